"""What DuckDbStore writes, and how it does I/O. Its promises as a Store are in tests/contract."""

import asyncio
import hashlib
import json
import math
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.confirmation import DEPTH, ConfirmationEstimate
from hydrophone.domain.events import (
    AmendSignal,
    Effect,
    GapFound,
    GapReason,
    NoteSuccessor,
    RaiseSignal,
    RecordGap,
    RecordMarket,
    RecordModel,
    RecordOutcome,
)
from hydrophone.domain.feemarket import FeeMarket
from hydrophone.domain.flow import FlowSubtype, FlowType
from hydrophone.domain.forecast import Forecast, MarketView
from hydrophone.domain.model_state import ModelState
from hydrophone.domain.outcome import Status
from hydrophone.domain.revision import REMEMBERED_LIMIT
from hydrophone.domain.signal import Change, Sighting, Signal
from hydrophone.domain.units import FeeRate, Height, Sats, Txid, UnixMicros
from hydrophone.domain.urgency import Urgency, UrgencyBasis
from hydrophone.errors import StoreClosed, StoreError, StoreMismatch
from hydrophone.pipeline.ports import Entry, Handover, Notation, Publication
from hydrophone.store.duckdb_store import DuckDbStore, check_database
from hydrophone.store.known_ids import KnownIds
from hydrophone.store.raw_transactions import pack_transaction
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
    txid,
    whale,
)

QUICKSTART_ROW = """
    INSERT INTO mempool_predictions
    (prediction_id, transaction_id, flow_type, btc_value, fee_rate,
     urgency_score, rbf_enabled, detection_timestamp, exchange_addresses,
     confidence_score)
    VALUES ('by hand', 'cafe', 'inflow', 150.5, 3.5, 0.4, TRUE, '2026-11-22 08:51:02.099989', '[bc1qa]', 0.6)
"""


VIEW = MarketView(
    at=T0,
    tip=Height(800),
    tau_s=600.0,
    waiting_wu=1e6,
    ahead_wu=5.5,
    inflow_wu_s=0.25,
    marginal_rate_sat_vb=FeeRate(1.5),
    overpay=2.0,
)


def address_of(script: bytes) -> str | None:
    """Stand in for the network: scripts of witness version 0 have an address, others none."""
    return f"bc1q{script[2:].hex().lstrip('0')}" if script.startswith(b"\x00") else None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[DuckDbStore]:
    store = DuckDbStore(path, address_of=address_of)
    await store.open()
    yield store
    await store.close()


async def commit(store: DuckDbStore, *effects: Effect, first_seq: int = 1) -> None:
    await store.commit([publication(seq, effect) for seq, effect in enumerate(effects, start=first_seq)])


async def rows(store: DuckDbStore, sql: str) -> list[dict[str, Any]]:
    """Close the store and return what a query finds in its file."""
    await store.close()
    with duckdb.connect(store._path) as connection:
        result = connection.execute(sql)
        columns = [column[0] for column in result.description]
        return [dict(zip(columns, values, strict=True)) for values in result.fetchall()]


async def prediction(store: DuckDbStore) -> dict[str, Any]:
    [row] = await rows(store, "SELECT * FROM mempool_predictions")
    return row


def at(seconds: float, micros: int = 99_989) -> datetime:
    """Return the stored form of `later(seconds)`."""
    return datetime(2026, 11, 22, 8, 51 + int(seconds // 60), 2 + int(seconds % 60), micros)  # noqa: DTZ001 -- as stored


async def test_a_forecast_fills_its_columns(store: DuckDbStore) -> None:
    estimate = ConfirmationEstimate(Height(800), (0.625,) * DEPTH, 0.0125, 0.001, 500.5, None)
    forecast = Forecast(
        Urgency(0.5, UrgencyBasis.FEE_MARKET, "a reason", 2.0),
        estimate,
        VIEW,
        "1-abc",
        is_calibrated=True,
        made_at=later(7),
    )
    await commit(store, RaiseSignal(T0, replace(whale(), forecast=forecast)))
    row = await prediction(store)
    assert json.loads(row["p_confirm"]) == dict.fromkeys(["1", "2", "3", "6", "12", "24"], 0.625)
    assert (row["eta_p50_s"], row["eta_p90_s"]) == (500.5, None)
    assert (row["p_replaced"], row["p_dropped"]) == (0.0125, 0.001)
    assert (row["predicted_confirmation_block"], row["market_tip"]) == (801, 800)
    assert row["p_predicted"] == 0.625
    assert (row["model_state"], row["calibrated"], row["urgency_reason"]) == ("1-abc", True, "a reason")
    assert json.loads(row["market"]) == {
        "made_at": "2026-11-22T08:51:09.099989Z",
        "at": "2026-11-22T08:51:02.099989Z",
        "tip": 800,
        "tau_s": 600.0,
        "waiting_wu": 1e6,
        "ahead_wu": 5.5,
        "inflow_wu_s": 0.25,
        "marginal_rate_sat_vb": 1.5,
        "overpay": 2.0,
    }
    assert row["confidence_score"] == 0.5


async def test_an_amendment_after_a_restart_repeats_the_forecast_as_published(store: DuckDbStore) -> None:
    curve = tuple(n / 50 for n in range(1, DEPTH + 1))
    estimate = ConfirmationEstimate(Height(800), curve, 0.0125, 0.001, 500.5, None)
    urgency = Urgency(0.5, UrgencyBasis.FEE_MARKET, "a reason", 2.0)
    forecast = Forecast(urgency, estimate, VIEW, "1-abc", is_calibrated=True, made_at=later(7))
    said = replace(whale(), forecast=forecast, urgency_score=0.5, urgency_basis=urgency.basis)
    await commit(store, RaiseSignal(T0, said))
    await store.close()
    await store.open()
    [remembered] = (await store.load_state()).signals
    again = remembered.forecast
    assert again is not None
    assert again.estimate is not None
    assert replace(again, estimate=estimate) == forecast
    assert again.estimate.p_confirm == estimate.p_confirm
    assert again.estimate.predicted_block == 825
    assert remembered.confidence_score == pytest.approx(said.confidence_score)
    await commit(
        store, AmendSignal(later(60), replace(remembered, label_set="another"), "labels"), first_seq=2
    )
    [amendment] = await rows(store, "SELECT * FROM amendments")
    changed = set(json.loads(amendment["after"]))
    assert "label_set" in changed
    assert not changed & {"p_confirm", "eta_p50_s", "p_replaced", "market", "model_state", "calibrated"}


async def test_a_market_and_what_was_learned_are_stored_once(store: DuckDbStore) -> None:
    market = FeeMarket.from_rates([(5.0, 4_000)], [], tip=Height(7))
    entries = [Notation(RecordMarket(T0, market)), Notation(RecordModel(T0, ModelState()))]
    await store.commit(entries)
    await store.commit(entries)
    [row] = await rows(store, "SELECT * FROM fee_market")
    assert (row["tip"], row["waiting_wu"], row["tau_s"]) == (7, 4_000, 600)
    assert json.loads(row["market"])["waiting"][0][1] == 4_000


async def test_of_two_states_of_one_time_the_last_is_read(store: DuckDbStore) -> None:
    states = [ModelState(scored_blocks=blocks) for blocks in (9, 10, 11)]
    await store.commit([Notation(RecordModel(T0, state)) for state in states])
    await store.close()
    await store.open()
    assert (await store.load_state()).model == states[-1]


@pytest.mark.parametrize("state", ['{"version":0}', "[]", '{"version":1,"taken":"x"}'])
async def test_what_is_no_model_is_learned_anew_and_said(store: DuckDbStore, state: str) -> None:
    await store.commit([Notation(RecordModel(T0, ModelState(scored_blocks=9)))])
    await store.close()
    with duckdb.connect(store._path) as connection:
        connection.execute("UPDATE model_state SET state = ?", [state])
    await store.open()
    with structlog.testing.capture_logs() as logged:
        assert (await store.load_state()).model is None
    assert [entry["event"] for entry in logged] == ["model_state_discarded"]


async def test_a_signal_fills_its_row_exactly(store: DuckDbStore) -> None:
    signal = whale()
    await commit(store, RaiseSignal(T0, signal))
    await store.commit([Handover(signal.prediction_id, T0, later(0.5))])
    row = await prediction(store)
    created_at = row.pop("created_at")
    assert isinstance(created_at, datetime)
    assert {column: value for column, value in row.items() if value is not None} == {
        "prediction_id": signal.prediction_id,
        "transaction_id": txid(1),
        "first_txid": txid(1),
        "text": "117.28 BTC from unknown wallet to Exchange é",
        "flow_type": "inflow",
        "flow_probabilities": '{"inflow":0.8,"outflow":0.0,"internal":0.05,"unknown":0.15}',
        "confidence_score": 0.8,
        "btc_value": 124.45678901,
        "gross_sat": 12_445_678_901,
        "moved_sat": 11_728_394_956,
        "inflow_sat": 9_876_543_121,
        "outflow_sat": 0,
        "internal_sat": 617_283_945,
        "interexchange_sat": 0,
        "entities": (
            '[{"name":"Exchange é","in_sat":9876543121,"out_sat":0,"net_sat":9876543121,'
            '"received":{"certain_sat":0,"likely_sat":9876543121,"unknown_sat":0},'
            '"sent":{"certain_sat":0,"likely_sat":0,"unknown_sat":0}}]'
        ),
        "exchange_addresses": '["bc1q1"]',
        "payees": '[{"script":"00140000000000000000000000000000000000000001","value_sat":12345678901}]',
        "fee_sat": 1_410,
        "weight_wu": 561,
        "fee_rate": 5640 / 561,
        "urgency_score": 0.2 + 1 / 30,
        "urgency_basis": "fallback_curve",
        "rbf_enabled": True,
        "was_modified": False,
        "history": "[]",
        "detection_timestamp": at(0),
        "received_at": at(0),
        "published_at": at(0, micros=599_989),
        "source": "mempool.space",
        "simulated": True,
        "label_set": "0123456789abcdef",
        "sighting": "announced",
        "status": "pending",
        "raw_transaction": pack_transaction(signal.transaction),
    }


async def test_flow_without_a_direction_says_why(store: DuckDbStore) -> None:
    signal = whale()
    flow = replace(
        signal.flow, flow_type=FlowType.UNKNOWN, subtype=FlowSubtype.MIXED, reason="below the threshold"
    )
    await commit(store, RaiseSignal(T0, replace(signal, flow=flow)))
    row = await prediction(store)
    assert (row["flow_type"], row["flow_subtype"], row["flow_reason"]) == (
        "unknown",
        "mixed",
        "below the threshold",
    )
    assert row["confidence_score"] == 0.15


async def test_a_script_without_an_address_is_left_out_of_the_addresses(store: DuckDbStore) -> None:
    signal = whale()
    flow = replace(signal.flow, exchange_scripts=(b"\x51", signal.payees[0].script))
    await commit(store, RaiseSignal(T0, replace(signal, flow=flow)))
    assert (await prediction(store))["exchange_addresses"] == '["bc1q1"]'


@pytest.mark.parametrize("number", [math.nan, math.inf])
async def test_a_market_with_a_number_that_cannot_be_compared_is_stored(
    store: DuckDbStore, number: float
) -> None:
    view = MarketView(T0, Height(7), number, number, number, number, FeeRate(number), number)
    forecast = Forecast(Urgency(0.5, UrgencyBasis.FEE_MARKET, "a reason", number), None, view, "1-abc")
    await commit(store, RaiseSignal(T0, replace(whale(), forecast=forecast)))
    told = json.loads((await prediction(store))["market"])
    assert {value for key, value in told.items() if key not in {"made_at", "at", "tip"}} == {None}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
async def test_a_number_that_cannot_be_compared_is_stored_as_unknown(
    store: DuckDbStore, number: float
) -> None:
    signal = whale()
    odd = replace(
        signal,
        fee_rate_sat_vb=FeeRate(number),
        effective_fee_rate_sat_vb=FeeRate(number),
        urgency_score=number,
        flow=replace(signal.flow, probabilities={**signal.flow.probabilities, FlowType.INFLOW: number}),
    )
    end = replace(outcome_of(odd, Status.DROPPED, ended_at=later(1)), final_fee_rate_sat_vb=FeeRate(number))
    await commit(
        store, RaiseSignal(T0, odd), RaiseSignal(T0, bumped(odd, 2, seen_at=later(1))), RecordOutcome(end)
    )
    [row] = await rows(
        store, "SELECT * FROM mempool_predictions JOIN prediction_outcomes USING (prediction_id)"
    )
    for column in ("fee_rate", "effective_fee_rate", "confidence_score", "final_fee_rate"):
        assert row[column] is None, column
    assert json.loads(row["flow_probabilities"])["inflow"] is None
    assert json.loads(row["history"])[0]["fee_rate_sat_vb"] is None


async def test_a_fee_bump_rewrites_the_claims_and_keeps_the_identity(store: DuckDbStore) -> None:
    first = whale(1)
    second = bumped(first, 2, seen_at=later(60))
    await commit(store, RaiseSignal(T0, first))
    await store.commit([Handover(first.prediction_id, T0, later(1))])
    await commit(store, RaiseSignal(later(60), second), first_seq=2)
    row = await prediction(store)
    assert (row["transaction_id"], row["first_txid"], row["was_modified"]) == (txid(2), txid(1), True)
    assert (row["detection_timestamp"], row["received_at"], row["published_at"]) == (at(0), at(60), None)
    assert (row["fee_sat"], row["urgency_score"], row["status"]) == (2_820, 0.5, "pending")
    assert json.loads(row["history"]) == [
        {"txid": txid(1), "seen_at": "2026-11-22T08:51:02.099989Z", "fee_rate_sat_vb": 5640 / 561}
        | {"change": None}
    ]


async def test_a_version_whose_first_was_never_stored_still_names_it(store: DuckDbStore) -> None:
    await commit(store, RaiseSignal(later(60), bumped(whale(1), 2, seen_at=later(60))))
    row = await prediction(store)
    assert (row["transaction_id"], row["first_txid"], row["was_modified"]) == (txid(2), txid(1), True)


async def test_a_handover_finds_its_row_by_id_and_time(store: DuckDbStore) -> None:
    early, late = whale(1, detected_at=later(-1)), whale(2, detected_at=later(1))
    await commit(store, RaiseSignal(T0, early), RaiseSignal(T0, late))
    await store.commit([Handover(signal.prediction_id, T0, later(5)) for signal in (early, late)])
    await store.commit([Handover(late.prediction_id, T0, later(5))])
    await store.commit([Handover(early.prediction_id, early.detected_at, later(6))])
    found = await rows(store, "SELECT published_at FROM mempool_predictions ORDER BY detection_timestamp")
    assert [row["published_at"] for row in found] == [at(6), None]


async def test_a_confirmed_outcome_says_how_long_it_took(store: DuckDbStore) -> None:
    signal = whale()
    end = outcome_of(signal, Status.CONFIRMED, ended_at=later(119.999999))
    await commit(store, RaiseSignal(T0, signal), RecordOutcome(end))
    [row] = await rows(store, "SELECT * EXCLUDE (created_at, outcome_id) FROM prediction_outcomes")
    assert row == {
        "prediction_id": signal.prediction_id,
        "transaction_id": txid(1),
        "predicted_flow": "inflow",
        "actual_outcome": "confirmed",
        "confirmation_time": at(120, micros=99_988),
        "confirmation_block": 970_000,
        "accuracy_score": None,
        "lead_time_s": 119.999999,
        "within_p50": None,
        "within_p90": None,
        "simulated": True,
        "time_to_confirmation": 119,
        "final_fee_rate": 5640 / 561,
        "ended_at": at(120, micros=99_988),
        "change": None,
        "reason": None,
    }
    row = (await rows(store, "SELECT status, replaced_by, confirmation_height FROM mempool_predictions"))[0]
    assert row == {"status": "confirmed", "replaced_by": None, "confirmation_height": 970_000}


async def test_what_was_only_seen_in_its_block_was_not_foretold(store: DuckDbStore) -> None:
    signal = replace(whale(), sighting=Sighting.MINED, forecast=None)
    end = outcome_of(signal, Status.CONFIRMED, ended_at=signal.detected_at)
    await commit(store, RaiseSignal(signal.detected_at, signal), RecordOutcome(end))
    [row] = await rows(
        store, "SELECT time_to_confirmation, lead_time_s, accuracy_score FROM prediction_outcomes"
    )
    assert set(row.values()) == {None}


async def test_how_a_prediction_ended_is_stored_with_what_changed(store: DuckDbStore) -> None:
    signal = whale()
    end = replace(
        outcome_of(signal, Status.REPLACED, ended_at=later(9)), change=Change.OTHER_PAYEE, reason="why"
    )
    await commit(store, RaiseSignal(signal.detected_at, signal), RecordOutcome(end))
    assert await rows(store, "SELECT change, reason FROM prediction_outcomes") == [
        {"change": "other_payee", "reason": "why"}
    ]


def predicting(signal: Signal, by_block: tuple[float, ...]) -> Signal:
    """Return a signal that says how likely it is confirmed within 1, 2, ... blocks after 969,999."""
    tail = (by_block[-1],) * (DEPTH - len(by_block))
    estimate = ConfirmationEstimate(Height(969_999), by_block + tail, 0.0, 0.0, 500.0, 900.0)
    urgency = Urgency(0.5, UrgencyBasis.FEE_MARKET, "a reason")
    return replace(signal, forecast=Forecast(urgency, estimate, None, "1-abc"))


@pytest.mark.parametrize(
    ("by_block", "status", "height", "score"),
    [
        ((0.25, 0.75), Status.CONFIRMED, 970_001, 1 - 0.25**2),
        ((0.25, 0.75), Status.CONFIRMED, 970_002, 1 - 0.75**2),
        ((0.25, 0.75), Status.REPLACED, 0, 1 - 0.75**2),
        ((0.25, 0.75), Status.DROPPED, 0, 1 - 0.75**2),
        ((0.25,), Status.CONFIRMED, 970_000, None),
    ],
)
async def test_an_outcome_scores_what_was_said_of_the_predicted_block(
    store: DuckDbStore, by_block: tuple[float, ...], status: Status, height: int, score: float | None
) -> None:
    signal = predicting(whale(), by_block)
    await commit(store, RaiseSignal(T0, signal))
    end = outcome_of(signal, status, ended_at=later(600), height=height)
    await commit(store, RecordOutcome(end), first_seq=2)
    found = await rows(store, "SELECT accuracy_score FROM prediction_outcomes")
    assert found == [{"accuracy_score": score}]


async def test_the_last_version_of_a_payment_is_scored_and_a_reorg_scores_anew(store: DuckDbStore) -> None:
    first = predicting(whale(1), (0.5,))
    second = predicting(bumped(first, 2, seen_at=later(1)), (0.25, 0.875))
    early = outcome_of(second, Status.CONFIRMED, ended_at=later(600), height=970_000)
    late = outcome_of(second, Status.CONFIRMED, ended_at=later(1200), height=970_002)
    await commit(store, RaiseSignal(T0, first), RaiseSignal(later(1), second), RecordOutcome(early))
    await commit(store, reopening_of(second, later(700)), RecordOutcome(late), first_seq=4)
    [row] = await rows(store, "SELECT accuracy_score, confirmation_block FROM prediction_outcomes")
    assert row == {"accuracy_score": 1 - 0.875**2, "confirmation_block": 970_002}


async def test_lead_time_counts_from_when_the_first_version_was_published(store: DuckDbStore) -> None:
    first, second = whale(1), bumped(whale(1), 2, seen_at=later(60))
    await commit(store, RaiseSignal(T0, first))
    await store.commit([Handover(first.prediction_id, T0, later(0.5), is_first=True)])
    await commit(store, RaiseSignal(later(60), second), first_seq=2)
    await store.commit([Handover(first.prediction_id, T0, later(61))])
    end = outcome_of(second, Status.CONFIRMED, ended_at=later(600.5))
    await commit(store, RecordOutcome(end), first_seq=3)
    assert await rows(store, "SELECT lead_time_s FROM prediction_outcomes") == [{"lead_time_s": 600.0}]


async def test_lead_time_counts_from_detection_where_the_publication_was_lost(store: DuckDbStore) -> None:
    signal = whale()
    end = outcome_of(signal, Status.CONFIRMED, ended_at=later(90))
    await commit(store, RaiseSignal(T0, signal))
    await store.commit([publication(2, RecordOutcome(end)), Handover(signal.prediction_id, T0, later(91))])
    assert await rows(store, "SELECT lead_time_s FROM prediction_outcomes") == [{"lead_time_s": 90.0}]


@pytest.mark.parametrize(
    ("status", "replaced_by"), [(Status.DROPPED, None), (Status.REPLACED, txid(0xBEEF))], ids=str
)
async def test_other_outcomes_have_no_confirmation(
    store: DuckDbStore, status: Status, replaced_by: str | None
) -> None:
    signal = whale()
    await commit(store, RaiseSignal(T0, signal))
    await commit(store, RecordOutcome(outcome_of(signal, status, ended_at=later(60))), first_seq=2)
    [row] = await rows(
        store, "SELECT * FROM prediction_outcomes JOIN mempool_predictions USING (prediction_id)"
    )
    assert (row["actual_outcome"], row["status"], row["replaced_by"]) == (status, status, replaced_by)
    assert row["ended_at"] == at(60)
    for column in ("confirmation_time", "confirmation_block", "time_to_confirmation", "confirmation_height"):
        assert row[column] is None, column


async def test_an_amendment_keeps_what_changed_as_it_was_and_as_it_is(store: DuckDbStore) -> None:
    signal = whale()
    flow = replace(signal.flow, flow_type=FlowType.UNKNOWN, entities=(), reason="no input is known")
    blind = replace(signal, flow=flow, fee_sat=None, fee_rate_sat_vb=None)
    sighted = replace(signal, seen_at=later(1))
    await commit(store, RaiseSignal(T0, blind), AmendSignal(later(9), sighted, "prevouts came late"))
    [row] = await rows(store, "SELECT * FROM amendments")
    assert (row["prediction_id"], row["amended_at"]) == (signal.prediction_id, at(9))
    assert row["reason"] == "prevouts came late"
    assert json.loads(row["before"]) == {
        "flow_type": "unknown",
        "flow_reason": "no input is known",
        "confidence_score": 0.15,
        "entities": [],
        "fee_sat": None,
        "fee_rate": None,
        "received_at": "2026-11-22T08:51:02.099989Z",
    }
    after = json.loads(row["after"])
    assert after.keys() == json.loads(row["before"]).keys()
    assert (after["flow_type"], after["entities"][0]["net_sat"], after["fee_sat"]) == (
        "inflow",
        9_876_543_121,
        1_410,
    )
    row = await prediction(store)
    assert (row["flow_type"], row["flow_reason"], row["fee_sat"]) == ("inflow", None, 1_410)


async def test_an_amendment_that_changes_nothing_is_still_noted(store: DuckDbStore) -> None:
    await commit(store, RaiseSignal(T0, whale()))
    await commit(store, AmendSignal(later(9), whale(), "looked again"), first_seq=2)
    [row] = await rows(store, "SELECT before, after FROM amendments")
    assert row == {"before": "{}", "after": "{}"}


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
