"""What DuckDbStore writes of signals: their rows, forecasts, the market, versions."""

import json
import math
from dataclasses import replace
from datetime import datetime

import duckdb
import pytest
import structlog

from hydrophone.domain.confirmation import DEPTH, ConfirmationEstimate
from hydrophone.domain.events import (
    AmendSignal,
    RaiseSignal,
    RecordMarket,
    RecordModel,
    RecordOutcome,
)
from hydrophone.domain.feemarket import FeeMarket
from hydrophone.domain.flow import FlowSubtype, FlowType
from hydrophone.domain.forecast import Forecast, MarketView
from hydrophone.domain.model_state import ModelState
from hydrophone.domain.outcome import Status
from hydrophone.domain.units import FeeRate, Height
from hydrophone.domain.urgency import Urgency, UrgencyBasis
from hydrophone.pipeline.ports import Handover, Notation
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.raw_transactions import pack_transaction
from tests.contract.fake_store import (
    T0,
    bumped,
    later,
    outcome_of,
    txid,
    whale,
)
from tests.unit.store.written import VIEW, at, commit, prediction, rows


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
