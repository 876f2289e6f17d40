"""What DuckDbStore writes of outcomes and amendments."""

import json
from dataclasses import replace

import pytest

from hydrophone.domain.confirmation import DEPTH, ConfirmationEstimate
from hydrophone.domain.events import (
    AmendSignal,
    RaiseSignal,
    RecordOutcome,
)
from hydrophone.domain.flow import FlowType
from hydrophone.domain.forecast import Forecast
from hydrophone.domain.outcome import Status
from hydrophone.domain.signal import Change, Sighting, Signal
from hydrophone.domain.units import Height
from hydrophone.domain.urgency import Urgency, UrgencyBasis
from hydrophone.pipeline.ports import Handover
from hydrophone.store.duckdb_store import DuckDbStore
from tests.contract.fake_store import (
    T0,
    bumped,
    later,
    outcome_of,
    publication,
    reopening_of,
    txid,
    whale,
)
from tests.unit.store.written import at, commit, prediction, rows


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
