"""What DuckDbStore writes, and how it does I/O. Its promises as a Store are in tests/contract."""

import asyncio
import hashlib
import threading
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.events import (
    AmendSignal,
    Effect,
    GapFound,
    GapReason,
    NoteSuccessor,
    RaiseSignal,
    RecordGap,
    RecordOutcome,
)
from hydrophone.domain.outcome import Status
from hydrophone.domain.revision import REMEMBERED_LIMIT
from hydrophone.domain.signal import Signal
from hydrophone.domain.units import FeeRate, Sats, Txid, UnixMicros
from hydrophone.errors import StoreClosed, StoreError, StoreMismatch
from hydrophone.pipeline.ports import Entry, Handover, Notation, Publication
from hydrophone.store.duckdb_store import DuckDbStore, check_database
from hydrophone.store.known_ids import KnownIds
from hydrophone.store.rows import Batch
from tests.contract.fake_store import (
    T0,
    bumped,
    doubt_about,
    later,
    outcome_of,
    publication,
    reopening_of,
    tracked,
    whale,
)
from tests.unit.store.written import address_of, at, commit, rows

QUICKSTART_ROW = """
    INSERT INTO mempool_predictions
    (prediction_id, transaction_id, flow_type, btc_value, fee_rate,
     urgency_score, rbf_enabled, detection_timestamp, exchange_addresses,
     confidence_score)
    VALUES ('by hand', 'cafe', 'inflow', 150.5, 3.5, 0.4, TRUE, '2026-11-22 08:51:02.099989', '[bc1qa]', 0.6)
"""


async def test_the_record_chains_the_exact_messages_across_restarts(store: DuckDbStore, path: Path) -> None:
    signal, second = whale(1), bumped(whale(1), 2, seen_at=later(1))
    effects: list[Effect] = [
        RaiseSignal(T0, signal),
        NoteSuccessor(later(1), signal.prediction_id, signal.txid, second.txid),
        RaiseSignal(later(1), second),
        AmendSignal(later(2), second, "late"),
        RecordOutcome(outcome_of(second, Status.CONFIRMED, ended_at=later(3))),
        reopening_of(second, later(4)),
        doubt_about(second, later(5), in_doubt=True),
        RecordGap(GapFound(later(6), "mempool.space", GapReason.STARTED, T0)),
    ]
    messages = [f'{{"text":"{n} \x00 🐋 é"}}'.encode() for n in range(len(effects))]
    entries = [
        Publication(n, effect, message)
        for n, (effect, message) in enumerate(zip(effects, messages, strict=True), 1)
    ]
    await store.commit(entries[:3])
    await store.close()
    await store.open()
    await store.commit(entries[3:])
    record = await rows(store, "SELECT * FROM record ORDER BY seq")
    assert [row["kind"] for row in record] == [
        "signal", "successor", "signal", "amendment", "outcome", "reopening", "doubt", "gap",
    ]  # fmt: skip
    assert [row["recorded_at"] for row in record] == [at(s) for s in (0, 1, 1, 2, 3, 4, 5, 6)]
    assert [row["prediction_id"] for row in record] == [signal.prediction_id] * 7 + [None]
    previous = bytes(32)
    for row, message in zip(record, messages, strict=True):
        assert row["message"].encode() == message
        assert row["digest"] == hashlib.sha256(message).digest()
        about = "" if row["prediction_id"] is None else f" {row['prediction_id']}"
        header = f"{row['seq']} {row['recorded_at'].isoformat()}Z {row['kind']}{about}".encode()
        previous = hashlib.sha256(previous + row["digest"] + header).digest()
        assert row["hash"] == previous
    assert check_database(path) == []


async def test_a_gap_is_stored_as_it_was_found(store: DuckDbStore) -> None:
    gap = GapFound(later(6), "mempool.space", GapReason.SEQUENCE_JUMP, T0, "5 -> 9")
    await store.commit([Notation(RecordGap(gap))])
    assert await rows(store, "SELECT * FROM source_gaps") == [
        {
            "source": "mempool.space",
            "reason": "sequence_jump",
            "started_at": at(0),
            "ended_at": at(6),
            "detail": "5 -> 9",
        }
    ]


async def test_a_large_batch_stores_what_many_small_ones_do(tmp_path: Path) -> None:
    signals = [whale(number, detected_at=later(number)) for number in range(1, 31)]
    ends = [outcome_of(signal, Status.CONFIRMED, ended_at=later(99)) for signal in signals[::2]]
    effects: list[Effect] = [
        *(RaiseSignal(signal.detected_at, signal) for signal in signals),
        *(
            RaiseSignal(later(50), bumped(signal, 1000 + n, seen_at=later(50)))
            for n, signal in enumerate(signals[:5])
        ),
        *(RecordOutcome(end) for end in ends),
    ]
    entries: list[Entry] = [publication(seq, effect) for seq, effect in enumerate(effects, start=1)]
    entries += [Handover(signal.prediction_id, signal.detected_at, later(60)) for signal in signals[:20]]
    found = []
    for name, size in (("large", 35), ("small", 1)):
        store = DuckDbStore(tmp_path / f"{name}.db", address_of=address_of)
        await store.open()
        for start in range(0, len(entries), size):
            await store.commit(entries[start : start + size])
        found.append(
            [
                await rows(store, f"SELECT * EXCLUDE ({left_out}) FROM {table} ORDER BY ALL")
                for table, left_out in (
                    ("mempool_predictions", "created_at"),
                    ("prediction_outcomes", "created_at"),
                    ("record", "recorded_at"),
                )
            ]
        )
        assert check_database(tmp_path / f"{name}.db") == []
    assert found[0] == found[1]
    assert sum(row["published_at"] is not None for row in found[0][0]) == 20


async def test_a_row_of_the_quickstarts_insert_is_followed_and_ended(store: DuckDbStore, path: Path) -> None:
    await rows(store, QUICKSTART_ROW)
    await store.open()
    [by_hand] = (await store.load_state()).tracked
    assert by_hand == replace(
        tracked(whale()), prediction_id="by hand", txid=Txid("cafe"), fee_rate_sat_vb=FeeRate(3.5), payees=()
    )
    signal = replace(whale(), prediction_id="by hand", txid=by_hand.txid)
    await commit(store, RecordOutcome(outcome_of(signal, Status.CONFIRMED, ended_at=later(60))))
    [row] = await rows(store, "SELECT predicted_flow, actual_outcome FROM prediction_outcomes")
    assert row == {"predicted_flow": "inflow", "actual_outcome": "confirmed"}
    assert check_database(path) == []


@pytest.mark.parametrize("history", ['{"txid":1}', '[{"seen_at":"2026-11-22"}]', "7", '["x"]'])
async def test_a_row_that_we_would_not_write_is_named(store: DuckDbStore, history: str) -> None:
    await commit(store, RaiseSignal(T0, whale()))
    for status in ("pending", "dropped"):
        await rows(store, f"UPDATE mempool_predictions SET status = '{status}', history = '{history}'")
        await store.open()
        with pytest.raises(StoreMismatch, match=f"prediction {whale().prediction_id} .* mend or delete"):
            await store.load_state()


async def test_a_batch_that_fails_leaves_nothing_and_can_be_retried(store: DuckDbStore) -> None:
    good, bad = whale(1), replace(whale(2), gross_sat=Sats(2**63))
    with pytest.raises(StoreError, match="out of range"):
        await store.commit([publication(1, RaiseSignal(T0, good)), publication(2, RaiseSignal(T0, bad))])
    assert (await store.query_status()).last_seq == 0
    await commit(store, RaiseSignal(T0, good), RaiseSignal(T0, whale(2)))
    assert len((await store.load_state()).tracked) == 2


async def test_a_bug_in_a_batch_is_not_hidden_and_leaves_nothing(store: DuckDbStore) -> None:
    with pytest.raises(UnicodeDecodeError):
        await store.commit(
            [publication(1, RaiseSignal(T0, whale())), Publication(2, RaiseSignal(T0, whale(2)), b"\xff")]
        )
    await commit(store, RaiseSignal(T0, whale()))
    assert (await store.query_status()).prediction_count == 1


async def test_queries_go_on_while_a_write_takes_long(
    store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await commit(store, RaiseSignal(T0, whale(1)))
    begun, may_end = threading.Event(), threading.Event()
    write = store._database._add

    def slow(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
        write(connection, batch)
        begun.set()
        assert may_end.wait(10)

    monkeypatch.setattr(store._database, "_add", slow)
    commit_task = asyncio.create_task(commit(store, RaiseSignal(T0, whale(2)), first_seq=2))
    await asyncio.to_thread(begun.wait, 10)
    assert (await store.query_status()).prediction_count == 1  # the loop is free, and sees what is committed
    may_end.set()
    await commit_task
    assert (await store.query_status()).prediction_count == 2


async def test_commits_asked_for_at_once_are_stored_in_order(store: DuckDbStore) -> None:
    await asyncio.gather(*(commit(store, RaiseSignal(T0, whale(n)), first_seq=n) for n in range(1, 21)))
    assert (await store.query_status()).last_seq == 20


async def test_close_finishes_what_was_begun(store: DuckDbStore) -> None:
    writing = asyncio.gather(*(commit(store, RaiseSignal(T0, whale(n)), first_seq=n) for n in range(1, 6)))
    await asyncio.sleep(0)  # let them be handed to the writer
    await store.close()
    await writing
    assert len(await rows(store, "SELECT * FROM record")) == 5


async def test_a_closed_store_says_so_and_can_be_opened_again(store: DuckDbStore) -> None:
    await commit(store, RaiseSignal(T0, whale()))
    await store.close()
    await store.close()
    for use in (store.load_state(), store.query_status(), store.commit([])):
        with pytest.raises(StoreClosed, match="not open"):
            await use
    await store.open()
    await store.open()
    assert (await store.load_state()).last_seq == 1


async def test_an_unopened_store_can_be_closed(path: Path) -> None:
    await DuckDbStore(path, address_of=address_of).close()
    assert list(path.parent.iterdir()) == []


async def test_a_restart_knows_when_something_was_heard_last(store: DuckDbStore) -> None:
    assert (await store.load_state()).heard_at is None
    await commit(store, RaiseSignal(later(5), whale(1, detected_at=later(5))))
    assert (await store.load_state()).heard_at == later(5)
    gap = GapFound(later(9), "m", GapReason.RECONNECTED, later(7))
    await store.commit([Notation(RecordGap(gap))])
    assert (await store.load_state()).heard_at == later(9)


async def test_the_head_of_the_record_is_in_the_status(store: DuckDbStore) -> None:
    assert (await store.query_status()).record_head == ""
    await commit(store, RaiseSignal(T0, whale(1)))
    head = (await store.query_status()).record_head
    assert len(bytes.fromhex(head)) == 32
    await commit(store, RaiseSignal(T0, whale(2)), first_seq=2)
    assert (await store.query_status()).record_head != head


@given(st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)), st.text(max_size=3))
def test_known_ids_never_miss_one_that_was_added(first: list[str], more: list[str], other: str) -> None:
    known = KnownIds(first)
    for prediction_id in more:
        known.add(prediction_id)
    assert all(prediction_id in known for prediction_id in first + more)
    assert (other in known) == (other in first + more)


async def test_two_ids_with_one_hash_are_two_predictions(
    store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hydrophone.store.duckdb_store.hash", lambda _: 7, raising=False)
    signals: list[Signal] = [whale(1), whale(2), whale(1, detected_at=UnixMicros(T0 + 1))]
    for seq, signal in enumerate(signals, start=1):
        await commit(store, RaiseSignal(T0, signal), first_seq=seq)
    assert (await store.query_status()).prediction_count == 2


async def test_a_long_history_is_loaded_within_the_memory_limit(tmp_path: Path) -> None:
    """Sorting whole rows of it would not fit."""
    store = DuckDbStore(tmp_path / "long.db", address_of=bytes.hex, memory_limit_mb=64)
    await store.open()
    await store.commit([publication(1, RaiseSignal(T0, whale()))])
    await store.write(lambda connection: connection.execute("CREATE TABLE one AS FROM mempool_predictions"))
    for first in range(0, 40_000, 2_000):
        period = f"range({first}, {first + 2_000})"
        await store.write(
            lambda connection, period=period: connection.execute(  # type: ignore[misc]
                "INSERT INTO mempool_predictions SELECT * EXCLUDE (range) REPLACE ("
                "'p' || range AS prediction_id, detection_timestamp + to_seconds(range) "
                "AS detection_timestamp, 'confirmed' AS status, "
                f"repeat(md5(range::TEXT), 60) AS urgency_reason) FROM one, {period}"
            )
        )
    state = await store.load_state()
    assert len(state.signals) == REMEMBERED_LIMIT
    assert state.signals[-1].prediction_id == "p39999"
    await store.close()
