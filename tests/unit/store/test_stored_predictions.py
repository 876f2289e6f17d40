import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hydrophone.domain.events import AmendSignal, NoteSuccessor, RaiseSignal, RecordOutcome
from hydrophone.domain.flow import FlowType
from hydrophone.domain.outcome import Status
from hydrophone.domain.signal import Signal
from hydrophone.domain.units import Txid, UnixMicros, datetime_from_micros, format_instant
from hydrophone.errors import UnknownTransaction
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.hours import StoredHours
from hydrophone.store.stored_predictions import read_prediction, read_predictions, spellings_of
from hydrophone.wire.openapi import encode_answer
from hydrophone.wire.rest_json import encode_csv
from hydrophone.wire.rest_queries import PredictionsQuery, parse_query
from hydrophone.wire.rest_v1 import PredictionDetailV1, PredictionsPageV1, PredictionV1
from tests.contract.fake_store import DAY, T0, bumped, later, outcome_of, publication, txid, whale

COUNT = 40


def signal(number: int) -> Signal:
    """Whales over eighty days, some at the very same instant."""
    made = whale(number, detected_at=UnixMicros(T0 + (number // 3) * 6 * DAY))
    flow_type = FlowType.INFLOW if number % 2 else FlowType.OUTFLOW
    return replace(made, flow=replace(made.flow, flow_type=flow_type), urgency_score=number / COUNT)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DuckDbStore]:
    store = DuckDbStore(tmp_path / "x.db", address_of=bytes.hex)
    await store.open()
    entries = [publication(n + 1, RaiseSignal(signal(n).seen_at, signal(n))) for n in range(COUNT)]
    ended = outcome_of(signal(4), Status.CONFIRMED, ended_at=later(600, signal(4).detected_at))
    await store.commit([*entries, publication(COUNT + 1, RecordOutcome(ended))])
    yield store
    await store.close()


async def ask(store: DuckDbStore, **asked: object) -> PredictionsPageV1:
    query = parse_query(PredictionsQuery, [(name, str(value)) for name, value in asked.items()])
    return await store.query(lambda cursor: read_predictions(cursor, query))


async def read(store: DuckDbStore, wanted: Txid) -> PredictionDetailV1:
    return await store.query(lambda cursor: read_prediction(cursor, wanted))


async def ask_all(store: DuckDbStore, limit: int, **asked: object) -> list[str]:
    found: list[str] = []
    cursor: dict[str, object] = {}
    while True:
        page = await ask(store, limit=limit, **asked, **cursor)
        assert len(page.data) <= limit
        found += [prediction.prediction_id for prediction in page.data]
        if page.next_cursor is None:
            return found
        assert len(page.data) == limit
        cursor = {"cursor": page.next_cursor}


NEWEST_FIRST = sorted(
    (signal(n) for n in range(COUNT)), key=lambda s: (s.detected_at, s.prediction_id), reverse=True
)


async def test_spellings_of_an_exchange_are_one(store: DuckDbStore) -> None:
    for name in ("Huobi", "HTX", "Binance"):
        await store.write(
            lambda c, name=name: c.execute(  # type: ignore[misc]
                "INSERT INTO exchange_hours VALUES ('2026-01-01', ?, FALSE, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
                [name],
            )
        )
    for asked, found in (("htx.com", ["HTX", "Huobi", "htx.com"]), ("binance", ["Binance", "binance"])):
        assert await store.query(lambda c, asked=asked: spellings_of(c, asked)) == found  # type: ignore[misc]
    assert await store.query(lambda c: spellings_of(c, "!")) == ["!"]
    await StoredHours(store, max_age_s=0).count_all()
    assert len(await ask_all(store, 100, exchange="EXCHANGE é")) == COUNT


@pytest.mark.parametrize("limit", [1, 3, 7, COUNT, 1000])
async def test_pages_have_each_prediction_once_and_the_newest_first(store: DuckDbStore, limit: int) -> None:
    assert await ask_all(store, limit) == [s.prediction_id for s in NEWEST_FIRST]


@pytest.mark.parametrize("limit", [2, 100])
@pytest.mark.parametrize(
    ("asked", "is_meant"),
    [
        ({"flow_type": "inflow"}, lambda s: s.flow.flow_type is FlowType.INFLOW),
        ({"min_urgency": 0.5}, lambda s: s.urgency_score >= 0.5),
        ({"status": "confirmed"}, lambda s: s.txid == signal(4).txid),
        (
            {"status": "pending", "flow_type": "outflow"},
            lambda s: s.flow.flow_type is FlowType.OUTFLOW and s.txid != signal(4).txid,
        ),
        ({"exchange": "Exchange é"}, lambda _: True),
        ({"exchange": "Exchange"}, lambda _: False),
        ({"exchange": "' OR '1'='1"}, lambda _: False),
        ({"min_btc": 124.45678901}, lambda _: True),
        ({"min_btc": 124.45678902}, lambda _: False),
        ({"min_moved_btc": 117.28394956}, lambda _: True),
        ({"min_moved_btc": 117.28394957}, lambda _: False),
    ],
)
async def test_filters_choose(store: DuckDbStore, limit: int, asked: Any, is_meant: Any) -> None:  # noqa: ANN401
    assert await ask_all(store, limit, **asked) == [s.prediction_id for s in NEWEST_FIRST if is_meant(s)]


def spelled(at: UnixMicros) -> str:
    return datetime_from_micros(at).isoformat()


async def test_a_period_has_its_beginning_and_not_its_end(store: DuckDbStore) -> None:
    begin, end = signal(9).detected_at, signal(30).detected_at
    found = await ask_all(store, 4, **{"from": spelled(begin), "to": spelled(end)})
    assert found == [s.prediction_id for s in NEWEST_FIRST if begin <= s.detected_at < end]
    assert await ask_all(store, 4, **{"from": spelled(end), "to": spelled(begin)}) == []


async def test_times_may_be_told_in_any_zone(store: DuckDbStore) -> None:
    at = signal(9).detected_at
    there = datetime_from_micros(at).astimezone(UTC).isoformat().replace("+00:00", "-00:00")
    assert await ask_all(store, 50, **{"from": there}) == await ask_all(store, 50, **{"from": spelled(at)})


@pytest.mark.parametrize("cursor", ["0.", "9999999999999999.", "1.ff", f"{T0}.{'ff' * 64}"])
async def test_any_cursor_is_only_a_place(store: DuckDbStore, cursor: str) -> None:
    page = await ask(store, cursor=cursor)
    assert len(page.data) <= COUNT


async def test_what_is_newer_moves_no_page(store: DuckDbStore) -> None:
    first = await ask(store, limit=5)
    new = whale(99, detected_at=UnixMicros(T0 + 200 * DAY))
    await store.commit([publication(COUNT + 2, RaiseSignal(new.seen_at, new))])
    second = await ask(store, limit=5, cursor=first.next_cursor)
    assert [p.prediction_id for p in second.data] == [s.prediction_id for s in NEWEST_FIRST[5:10]]


async def test_an_empty_database_has_no_page(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "empty.db", address_of=bytes.hex)
    await store.open()
    assert await ask(store) == PredictionsPageV1([], None)
    await store.close()


async def test_amounts_are_there_exactly_and_in_btc(store: DuckDbStore) -> None:
    [prediction] = (await ask(store, limit=1)).data
    assert (prediction.gross_sat, prediction.btc_value) == (12_445_678_901, 124.45678901)
    assert (prediction.moved_sat, prediction.moved_btc) == (11_728_394_956, 117.28394956)
    assert prediction.flow_probabilities is not None
    assert prediction.flow_probabilities["inflow"] == 0.8
    assert [entity.name for entity in prediction.entities] == ["Exchange é"]
    assert prediction.simulated is True
    assert prediction.detection_timestamp == format_instant(NEWEST_FIRST[0].detected_at)


async def test_a_page_says_how_each_ended_and_shows_it_as_the_alert_did(store: DuckDbStore) -> None:
    query = parse_query(PredictionsQuery, [("limit", "100")])
    page = await store.query(
        lambda c: read_predictions(c, query, explorer_url="https://explorer.example/tx/")
    )
    for prediction in page.data:
        assert prediction.text == "117.28 BTC from unknown wallet to Exchange é"
        assert prediction.explorer_url == f"https://explorer.example/tx/{prediction.transaction_id}"
        assert prediction == msgspec.convert(
            msgspec.to_builtins(await read(store, Txid(prediction.transaction_id)))
            | {"explorer_url": prediction.explorer_url},
            PredictionV1,
        )
    [ended] = [prediction for prediction in page.data if prediction.outcome is not None]
    assert (ended.transaction_id, ended.status) == (signal(4).txid, "confirmed")
    assert ended.outcome is not None
    assert (
        ended.outcome.confirmation_time
        == ended.outcome.ended_at
        == format_instant(later(600, signal(4).detected_at))
    )
    assert {prediction.explorer_url for prediction in (await ask(store)).data} == {None}


async def test_an_end_before_the_beginning_is_told_too(store: DuckDbStore) -> None:
    """A clock was set back meanwhile."""
    ended = outcome_of(signal(39), Status.DROPPED, ended_at=later(-3_600, signal(39).detected_at))
    await store.commit([publication(COUNT + 2, RecordOutcome(ended))])
    [newest] = (await ask(store, limit=1, status="dropped")).data
    assert newest.outcome is not None
    assert newest.outcome.ended_at == format_instant(ended.ended_at)


async def test_csv_has_a_cell_for_each_name_also_of_what_has_not_ended(store: DuckDbStore) -> None:
    rows = list(
        csv.reader(io.StringIO(encode_csv(PredictionV1, (await ask(store)).data).decode(), newline=""))
    )
    assert {len(row) for row in rows} == {len(rows[0])}
    told = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    assert {row["history"] for row in told} == {"[]"}
    assert sorted({row["outcome_actual_outcome"] for row in told}) == ["", "confirmed"]


async def test_any_version_finds_the_payment_with_all_that_belongs_to_it(store: DuckDbStore) -> None:
    first = signal(7)
    second = bumped(first, 700, seen_at=later(60, first.detected_at))
    third = bumped(second, 701, seen_at=later(120, first.detected_at))
    amended = replace(third, flow=replace(third.flow, flow_type=FlowType.UNKNOWN))
    entries: list[Any] = []
    for before, after in ((first, second), (second, third)):
        entries += [
            NoteSuccessor(after.seen_at, after.prediction_id, before.txid, after.txid, None),
            RaiseSignal(after.seen_at, after),
        ]
    entries += [
        AmendSignal(later(150, first.detected_at), amended, "labels changed"),
        RecordOutcome(outcome_of(third, Status.CONFIRMED, ended_at=later(900, first.detected_at))),
    ]
    await store.commit([publication(COUNT + 2 + n, effect) for n, effect in enumerate(entries)])
    found = [await read(store, version.txid) for version in (first, second, third)]
    assert found[0].transaction_id == third.txid
    assert [version.transaction_id for version in found[0].history] == [first.txid, second.txid]
    assert found[0].outcome is not None
    assert found[0].outcome.actual_outcome == "confirmed"
    assert found[0].outcome.confirmation_block == 970_000
    [amendment] = found[0].amendments
    assert (amendment.reason, amendment.after["flow_type"]) == ("labels changed", "unknown")
    evidence = found[0].evidence
    assert [entry["kind"] for entry in evidence.record] == [
        "signal", "successor", "signal", "successor", "signal", "amendment", "outcome"
    ]  # fmt: skip
    assert evidence.raw_transaction_kept
    same = [json.loads(encode_answer(one)) for one in found]
    for one in same:
        del one["evidence"]["explanation"]
    assert same[0] == same[1] == same[2]


async def test_what_was_never_heard_is_unknown(store: DuckDbStore) -> None:
    with pytest.raises(UnknownTransaction, match="it was no whale"):
        await read(store, Txid("ab" * 32))


async def test_rows_of_the_quickstart_can_be_told(store: DuckDbStore) -> None:
    def insert(connection: Any) -> None:  # noqa: ANN401
        connection.execute(
            "INSERT INTO mempool_predictions (prediction_id, transaction_id, flow_type, btc_value, "
            "rbf_enabled, detection_timestamp, exchange_addresses) "
            "VALUES ('q', ?, 'inflow', 150.5, FALSE, ?, 'not json')",
            [txid(5_000), datetime(2027, 6, 1, tzinfo=UTC).replace(tzinfo=None)],
        )

    await store.write(insert)
    [prediction] = (await ask(store, limit=1)).data
    assert (prediction.prediction_id, prediction.status, prediction.gross_sat) == ("q", "pending", None)
    assert prediction.exchange_addresses == []
    assert (prediction.history, prediction.outcome, prediction.text) == ([], None, None)
    detail = await read(store, txid(5_000))
    assert (detail.history, detail.outcome, detail.evidence.record) == ([], None, [])
