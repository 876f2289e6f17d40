"""What goes after the retention period, and what never does."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hydrophone.domain.events import (
    AmendSignal,
    Effect,
    GapFound,
    GapReason,
    RaiseSignal,
    RecordGap,
    RecordMarket,
    RecordModel,
    RecordOutcome,
)
from hydrophone.domain.feemarket import FeeMarket
from hydrophone.domain.forecast import Forecast
from hydrophone.domain.model_state import ModelState
from hydrophone.domain.outcome import Status
from hydrophone.domain.record import NotedHead
from hydrophone.domain.units import Height, UnixMicros
from hydrophone.domain.urgency import Urgency, UrgencyBasis
from hydrophone.pipeline.ports import Entry, Notation, Publication
from hydrophone.pipeline.retention import Retention
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.history import StoredHistory
from hydrophone.store.retention import EndedPrediction, drop_predictions
from hydrophone.store.schema import check_database, verify_record
from tests.contract.fake_store import DAY, T0, later, outcome_of, reopening_of, txid, whale

MIDNIGHT = UnixMicros(T0 // DAY * DAY)
KEEP_DAYS = 30
CUTOFF = UnixMicros(MIDNIGHT - KEEP_DAYS * DAY)


def days_ago(days: float) -> UnixMicros:
    return UnixMicros(int(T0 - days * DAY))


async def no_pause(_seconds: float) -> None:
    pass


class Past:
    """Fills a store with what happened on many days."""

    def __init__(self, store: DuckDbStore) -> None:
        self.store = store
        self.seq = 0

    async def tell(self, *effects: Effect) -> None:
        entries: list[Entry] = []
        for effect in effects:
            if isinstance(effect, RecordGap | RecordMarket | RecordModel):
                entries.append(Notation(effect))
            else:
                self.seq += 1
                entries.append(Publication(self.seq, effect, f'{{"seq":{self.seq}}}'.encode()))
        await self.store.commit(entries)

    async def whale(self, number: int, detected: float, ended: float | None, *, state: str = "") -> None:
        """Tell of a whale by how many days ago it was seen and dropped; None: it still waits."""
        signal = whale(number, detected_at=days_ago(detected))
        if state:
            urgency = Urgency(0.5, UrgencyBasis.FEE_MARKET, "why")
            signal = replace(signal, forecast=Forecast(urgency, None, None, state))
        amended = replace(signal, flow=replace(signal.flow, receiver=None, reason="late"))
        at = signal.detected_at
        await self.tell(RaiseSignal(at, signal), AmendSignal(at, amended, "why"))
        if ended is not None:
            await self.tell(RecordOutcome(outcome_of(signal, Status.DROPPED, ended_at=days_ago(ended))))

    def history(self, step_limit: int = 2) -> StoredHistory:
        return StoredHistory(self.store, lambda: T0, step_limit=step_limit)

    async def forget(self, step_limit: int = 2) -> int:
        retention = Retention(self.history(step_limit), keep_days=KEEP_DAYS, clock=lambda: T0, sleep=no_pause)
        return await retention.run_once()

    async def look(self, sql: str) -> list[tuple[object, ...]]:
        return await self.store.read(lambda cursor: cursor.execute(sql).fetchall())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def past(path: Path) -> AsyncIterator[Past]:
    store = DuckDbStore(path, address_of=bytes.hex)
    await store.open()
    yield Past(store)
    await store.close()


async def test_what_ended_before_the_period_goes_with_all_that_hangs_on_it(past: Past, path: Path) -> None:
    for number in range(1, 6):
        await past.whale(number, 50, 40)
    await past.whale(6, 50, 10)
    await past.whale(7, 50, None)
    await past.whale(8, 1, 0)
    assert await past.forget() == 5 + 15
    kept = {(whale(number).prediction_id,) for number in (6, 7, 8)}
    for table in ("mempool_predictions", "amendments"):
        assert set(await past.look(f"SELECT DISTINCT prediction_id FROM {table}")) == kept
    ended = {(whale(number).prediction_id,) for number in (6, 8)}
    assert set(await past.look("SELECT prediction_id FROM prediction_outcomes")) == ended
    assert await past.look("SELECT seq FROM record WHERE message IS NOT NULL ORDER BY seq") == [
        (seq,) for seq in range(16, 24)
    ]
    assert await past.forget() == 0, "nothing is left to remove"
    assert [day.dropped for day in await past.store.query_days(1_000)] == [5, 1, 1]
    await past.store.close()
    assert check_database(path) == []
    report = verify_record(path, NotedHead(23))
    assert (report.fault, report.entry_count, report.content_count) == (None, 23, 8)


async def test_what_is_exactly_as_old_as_the_period_stays(past: Past) -> None:
    edge = (T0 - CUTOFF) / DAY
    await past.whale(1, 60, edge)
    await past.whale(2, 60, edge + 1e-6)
    await past.whale(3, 0, 0)
    assert await past.forget() == 1 + 3
    assert len(await past.look("SELECT * FROM prediction_outcomes")) == 2


async def test_an_open_prediction_and_what_was_said_of_it_stay_however_old(past: Past) -> None:
    await past.whale(1, 400, None)
    await past.whale(2, 0, 0)
    assert await past.forget() == 0
    assert await past.look("SELECT count(*) FROM record WHERE message IS NULL") == [(0,)]
    gone = outcome_of(whale(1, detected_at=days_ago(400)), Status.DROPPED, ended_at=days_ago(100))
    await past.tell(RecordOutcome(gone))
    assert await past.forget() == 1 + 3


async def test_a_prediction_that_was_reopened_meanwhile_stays(past: Past, path: Path) -> None:
    await past.whale(1, 50, 40)
    signal = whale(2, detected_at=days_ago(50))
    mined = outcome_of(signal, Status.CONFIRMED, ended_at=days_ago(40))
    await past.tell(RaiseSignal(signal.detected_at, signal), RecordOutcome(mined))
    found = [
        EndedPrediction(str(name), ended_at, detected_at)  # type: ignore[arg-type] # times
        for name, ended_at, detected_at in await past.look(
            "SELECT prediction_id, ended_at, detection_timestamp "
            "FROM prediction_outcomes JOIN mempool_predictions USING (prediction_id)"
        )
    ]
    await past.tell(reopening_of(signal, days_ago(39)))
    await past.store.write(lambda connection: drop_predictions(connection, found))
    assert await past.look("SELECT transaction_id, status FROM mempool_predictions") == [(txid(2), "pending")]
    await past.store.close()
    assert check_database(path) == []


async def test_an_outcome_without_its_prediction_goes_too(past: Past) -> None:
    await past.whale(1, 50, 40)
    await past.whale(2, 0, 0)
    await past.store.write(lambda c: c.execute("DELETE FROM mempool_predictions WHERE rowid = 0"))
    await past.forget()
    assert len(await past.look("SELECT * FROM prediction_outcomes")) == 1


async def test_markets_gaps_and_states_of_the_model_go_too(past: Past) -> None:
    states = [ModelState(scored_blocks=blocks) for blocks in (1, 2, 3)]
    old, named, newest = (state.state_id for state in states)
    for state, age in zip(states, (60, 50, 40), strict=True):
        await past.tell(RecordModel(days_ago(age), state))
    for age in (90, 80, 70, 60, 1):
        await past.tell(RecordMarket(days_ago(age), FeeMarket.from_rates([], [], tip=Height(age))))
        gap = GapFound(days_ago(age), "m", GapReason.STARTED, days_ago(age + 1))
        await past.tell(RecordGap(gap))
    await past.whale(1, 50, 1, state=named)
    await past.whale(2, 50, 40, state=old)
    await past.whale(3, 0, 0)
    await past.forget()
    assert await past.look("SELECT tip FROM fee_market") == [(1,)]
    assert len(await past.look("SELECT * FROM source_gaps")) == 1
    assert await past.look("SELECT state_id FROM model_state") == [(named,), (newest,)]
    assert (await past.store.load_state()).model == states[2]


async def test_a_payment_that_comes_back_after_it_was_forgotten_is_a_prediction_again(past: Past) -> None:
    await past.whale(1, 50, 40)
    await past.whale(2, 0, 0)
    await past.forget()
    again = whale(1, detected_at=later(5))
    await past.tell(RaiseSignal(again.detected_at, again))
    assert (await past.store.query_status()).prediction_count == 2
    assert [p.txid for p in (await past.store.load_state()).tracked] == [txid(1)]


LIVES = st.lists(
    st.tuples(st.floats(0, 80), st.none() | st.floats(0, 1), st.sampled_from(["drop", "confirm", "reopen"])),
    min_size=1,
    max_size=8,
)
"""For each whale: how many days ago it was seen, which share of that ago it ended, and how."""


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lives=LIVES, steps=st.lists(st.integers(1, 4), max_size=12))
def test_after_any_steps_nothing_young_is_touched_and_all_is_consistent(
    tmp_path_factory: pytest.TempPathFactory,
    lives: list[tuple[float, float | None, str]],
    steps: list[int],
) -> None:
    path = tmp_path_factory.mktemp("any") / "store.db"

    async def live() -> None:
        store = DuckDbStore(path, address_of=bytes.hex)
        await store.open()
        past = Past(store)
        for number, (seen, share, how) in enumerate(lives, start=1):
            signal = whale(number, detected_at=days_ago(seen))
            await past.tell(RaiseSignal(signal.detected_at, signal))
            if share is None:
                continue
            status = Status.DROPPED if how == "drop" else Status.CONFIRMED
            await past.tell(RecordOutcome(outcome_of(signal, status, ended_at=days_ago(seen * share))))
            if how == "reopen":
                await past.tell(reopening_of(signal, days_ago(seen * share)))
        for limit in steps:
            await past.history(limit).drop_step(CUTOFF)
        await store.close()

    asyncio.run(live())
    assert check_database(path) == []
    assert verify_record(path, NotedHead(None)).fault is None
    with duckdb.connect(path, read_only=True) as connection:
        kept = set(connection.execute("SELECT transaction_id FROM mempool_predictions").fetchall())
        dropped = connection.execute("SELECT prediction_id FROM record WHERE message IS NULL").fetchall()
    for number, (seen, share, how) in enumerate(lives, start=1):
        is_over = share is not None and how != "reopen" and days_ago(seen * share) < CUTOFF
        assert is_over or (txid(number),) in kept
        assert is_over or (whale(number).prediction_id,) not in dropped
