import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hydrophone.domain.events import AmendSignal, Effect, RaiseSignal, RecordOutcome
from hydrophone.domain.flow import FlowType
from hydrophone.domain.outcome import Status
from hydrophone.domain.signal import Signal
from hydrophone.domain.units import UnixMicros
from hydrophone.errors import QueryTooSlow
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.hours import StoredHours
from hydrophone.store.stored_hours import read_netflow, read_statistics
from hydrophone.wire.rest_queries import NetflowQuery, StatisticsQuery, parse_query
from hydrophone.wire.rest_v1 import NetflowPageV1, StatisticsV1
from tests.contract.fake_store import DAY, T0, later, outcome_of, publication, reopening_of, whale
from tests.unit.web.asking import Clock

HOURS = 30
EACH_NET = whale().flow.entities[0].net_sat


def signal(number: int) -> Signal:
    return whale(number, detected_at=UnixMicros(T0 + number * 4 * DAY // 24))


async def fill(path: Path) -> DuckDbStore:
    store = DuckDbStore(path, address_of=bytes.hex)
    await store.open()
    await store.commit([publication(n + 1, RaiseSignal(signal(n).seen_at, signal(n))) for n in range(HOURS)])
    return store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DuckDbStore]:
    store = await fill(tmp_path / "x.db")
    yield store
    await store.close()


async def counted(store: DuckDbStore) -> StoredHours:
    hours = StoredHours(store, max_age_s=0)
    await hours.count_all()
    return hours


async def netflow(store: DuckDbStore, **asked: object) -> NetflowPageV1:
    query = parse_query(NetflowQuery, [(name, str(value)) for name, value in asked.items()])
    return await store.query(lambda cursor: read_netflow(cursor, query))


async def statistics(store: DuckDbStore, **asked: object) -> StatisticsV1:
    query = parse_query(StatisticsQuery, [(name, str(value)) for name, value in asked.items()])
    return await store.query(lambda cursor: read_statistics(cursor, query))


async def rows(store: DuckDbStore, table: str) -> list[Any]:
    return await store.query(lambda c: c.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall())


async def test_every_prediction_is_counted_once(store: DuckDbStore) -> None:
    await counted(store)
    for period in ("daily", "weekly", "monthly", "quarterly"):
        found = (await statistics(store, period=period)).data
        assert sum(row.n for row in found) == sum(row.open for row in found) == HOURS
        assert sum(row.gross_sat for row in found) == HOURS * whale().gross_sat
    flows = (await netflow(store, interval="hour")).data
    assert sum(flow.received.n for flow in flows) == HOURS
    assert {flow.exchange for flow in flows} == {"Exchange é"}
    assert sum(flow.net_sat for flow in flows) == HOURS * EACH_NET
    days = (await netflow(store)).data
    assert sum(flow.net_sat for flow in days) == HOURS * EACH_NET
    assert len(days) < len(flows)
    assert (await netflow(store, exchange="exchange É")).data == days, "spellings of one name are one"
    assert (await netflow(store, exchange="exchange")).data == []


async def test_a_period_is_left_off_whole_and_that_is_said(store: DuckDbStore) -> None:
    at = datetime(2026, 1, 1)  # noqa: DTZ001 -- the store keeps naive times
    insert = "INSERT INTO prediction_hours VALUES (?, FALSE, ?, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)"
    for back in range(3):
        for flow in ("inflow", "outflow"):
            row = [at - timedelta(days=back), flow]
            await store.write(lambda c, row=row: c.execute(insert, row))  # type: ignore[misc]

    async def found(limit: int) -> tuple[list[str], bool]:
        answer = await statistics(store, to="2026-02-01T00:00:00Z", limit=limit)
        return [row.start for row in answer.data], answer.left_off

    first, second, third = "2026-01-01", "2025-12-31", "2025-12-30"
    assert await found(6) == ([first] * 2 + [second] * 2 + [third] * 2, False)
    assert await found(5) == ([first] * 2 + [second] * 2, True)
    assert await found(4) == ([first] * 2 + [second] * 2, True)
    assert await found(3) == ([first] * 2, True)
    assert await found(1) == ([first], True)


async def test_what_changes_is_counted_anew_and_the_same_as_from_the_beginning(
    store: DuckDbStore, tmp_path: Path
) -> None:
    hours = await counted(store)
    two = signal(2)
    changes: list[Effect] = [
        RecordOutcome(outcome_of(signal(0), Status.CONFIRMED, ended_at=later(60, signal(0).detected_at))),
        RecordOutcome(outcome_of(signal(1), Status.DROPPED, ended_at=later(60, signal(1).detected_at))),
        AmendSignal(later(5), replace(two, flow=replace(two.flow, flow_type=FlowType.UNKNOWN)), "labels"),
        RaiseSignal(T0, whale(77)),
        RecordOutcome(outcome_of(signal(3), Status.REPLACED, ended_at=later(60, signal(3).detected_at))),
        reopening_of(signal(3), later(99, signal(3).detected_at)),
    ]
    for number, change in enumerate(changes, start=HOURS + 1):
        await store.commit([publication(number, change)])
        await hours.refresh()
    found = (await statistics(store)).data
    assert (sum(r.n for r in found), sum(r.confirmed for r in found), sum(r.dropped for r in found)) == (
        HOURS + 1,
        1,
        1,
    )
    assert sum(r.replaced for r in found) == 0
    assert sum(r.n for r in found if r.flow_type == "unknown") == 1
    flows = (await netflow(store)).data
    assert sum(flow.net_sat for flow in flows) == HOURS * EACH_NET, "one dropped, one new"
    before = {table: await rows(store, table) for table in ("prediction_hours", "exchange_hours")}
    for table in (*before, "hours_counted"):
        await store.write(lambda c, table=table: c.execute(f"DELETE FROM {table}"))  # type: ignore[misc]
    await counted(store)
    assert {table: await rows(store, table) for table in before} == before


async def test_what_retention_removed_stays_counted(store: DuckDbStore) -> None:
    hours = await counted(store)
    same_hour = whale(500, detected_at=signal(5).detected_at)
    await store.commit([publication(HOURS + 1, RaiseSignal(same_hour.seen_at, same_hour))])
    await hours.refresh()
    await store.write(
        lambda c: c.execute("DELETE FROM mempool_predictions WHERE transaction_id = ?", [signal(5).txid])
    )
    ended = outcome_of(same_hour, Status.CONFIRMED, ended_at=later(60, same_hour.detected_at))
    await store.commit([publication(HOURS + 2, RecordOutcome(ended))])
    await hours.refresh()
    assert sum(row.n for row in (await statistics(store)).data) == HOURS + 1


async def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    store = await fill(tmp_path / "x.db")
    await counted(store)
    await store.close()
    await store.open()
    await store.commit([publication(HOURS + 1, RaiseSignal(T0, whale(77)))])
    hours = await counted(store)
    await hours.refresh()
    assert sum(row.n for row in (await statistics(store)).data) == HOURS + 1
    await store.close()


async def test_until_it_is_counted_nothing_is_said(store: DuckDbStore) -> None:
    with pytest.raises(QueryTooSlow, match="being counted"):
        await StoredHours(store).refresh()


async def test_many_who_ask_at_once_count_it_once(store: DuckDbStore) -> None:
    hours = await counted(store)
    await store.commit([publication(HOURS + 1, RaiseSignal(T0, whale(77)))])
    await asyncio.gather(*(hours.refresh() for _ in range(10)))
    assert sum(row.n for row in (await statistics(store)).data) == HOURS + 1


async def test_what_was_counted_just_now_is_fresh_enough(store: DuckDbStore) -> None:
    clock = Clock()
    hours = StoredHours(store, max_age_s=5, now=clock)
    await hours.count_all()
    await hours.refresh()
    await store.commit([publication(HOURS + 1, RaiseSignal(T0, whale(77)))])
    await hours.refresh()
    assert sum(row.n for row in (await statistics(store)).data) == HOURS
    clock.now_s += 5
    await hours.refresh()
    assert sum(row.n for row in (await statistics(store)).data) == HOURS + 1


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_flows_come_in_pages(store: DuckDbStore, limit: int) -> None:
    await counted(store)
    whole = (await netflow(store, interval="hour", limit=1000)).data
    found = []
    cursor: dict[str, object] = {}
    while True:
        page = await netflow(store, interval="hour", limit=limit, **cursor)
        found += page.data
        if page.next_cursor is None:
            break
        cursor = {"cursor": page.next_cursor}
    assert found == whole
    assert len(whole) == HOURS


async def test_flows_are_chosen_by_exchange_and_time(store: DuckDbStore) -> None:
    await counted(store)
    assert (await netflow(store, exchange="Nobody")).data == []
    at = "2026-11-24T00:00:00Z"
    before = (await netflow(store, interval="hour", to=at)).data
    after = (await netflow(store, interval="hour", **{"from": at})).data
    assert len(before) + len(after) == HOURS
    assert before
    assert after
    assert max(flow.start for flow in before) < min(flow.start for flow in after)
    assert sum(row.n for row in (await statistics(store, to=at)).data) == len(before)
