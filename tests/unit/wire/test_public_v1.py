import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.confirmation import DEPTH, ConfirmationEstimate
from hydrophone.domain.events import (
    AmendSignal,
    Ask,
    Effect,
    GapFound,
    GapReason,
    MarkDoubt,
    NoteSuccessor,
    RaiseSignal,
    RecordGap,
    RecordOutcome,
    ReopenPrediction,
)
from hydrophone.domain.flow import EntityFlow, FlowAssessment, FlowSubtype, FlowType, FlowValues
from hydrophone.domain.flow_values import Ledger
from hydrophone.domain.forecast import Forecast, MarketView
from hydrophone.domain.outcome import Outcome, Status
from hydrophone.domain.questions import AboutTransaction
from hydrophone.domain.script import Network
from hydrophone.domain.signal import Change, Signal, Version
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import MAX_MONEY_SAT, FeeRate, Height, Sats, UnixMicros, WeightUnits
from hydrophone.domain.urgency import Urgency, UrgencyBasis
from hydrophone.wire.public_v1 import (
    ConnectionV1,
    PublicEncoder,
    StatusUpdateV1,
    WhaleAlertV1,
    describe_in_words,
    encode_connection,
)
from tests.builders import START, txid_of, wpkh

SNAPSHOT: Final = Path(__file__).parents[2] / "snapshots" / "public_v1.json"
HOW_TO_GO_ON: Final = """
The public schema is not what tests/snapshots/public_v1.json says. Subscribers depend on it:
- only added something: that is a minor change; take it over by
      python -m tests.unit.wire.test_public_v1
  and say so in CHANGELOG.md;
- renamed or removed something, or changed a type: that is a new version. Leave public_v1 as it was and
  make public_v2 beside it.
"""

BTC: Final = 100_000_000
LATER: Final = UnixMicros(START + 600_000_001)
ZERO: Final = Sats(0)
RECEIVED: Final = Sats(1_000 * BTC)
FLOW: Final = FlowAssessment(
    flow_type=FlowType.INFLOW,
    subtype=FlowSubtype.MIXED,
    probabilities={
        FlowType.INFLOW: 0.66666666,
        FlowType.OUTFLOW: 0.0,
        FlowType.INTERNAL: 0.0,
        FlowType.UNKNOWN: 0.33333334,
    },
    values=FlowValues(Sats(1_000 * BTC), Sats(0), Sats(0), Sats(0), Sats(23_450_000_001)),
    moved_sat=Sats(123_450_000_001),
    change=(0.0, 1.0),
    entities=(EntityFlow("Binance", sent=Ledger(ZERO, ZERO, ZERO), received=Ledger(ZERO, RECEIVED, ZERO)),),
    exchange_scripts=(wpkh(1), b"\x6a", wpkh(2)),
    sender=None,
    receiver="Binance",
    reason=None,
)
UNESTIMATED: Final = Signal(
    prediction_id="a prediction",
    txid=txid_of("whale"),
    history=(Version(txid_of("first"), START, FeeRate(1.234567), Change.FEE_BUMP),),
    transaction=Transaction(txid_of("whale"), (), (), WeightUnits(561)),
    flow=FLOW,
    gross_sat=Sats(200_000_000_001),
    fee_sat=Sats(1_000),
    weight_wu=WeightUnits(561),
    fee_rate_sat_vb=FeeRate(7.1301247771836005),
    effective_fee_rate_sat_vb=FeeRate(0.5),
    urgency_score=0.18660093979277226,
    urgency_basis=UrgencyBasis.FALLBACK_CURVE,
    rbf_enabled=True,
    detected_at=START,
    seen_at=LATER,
    payees=(),
    source="mempool_space",
    is_simulated=True,
    label_set="labels",
)
FORECAST: Final = Forecast(
    urgency=Urgency(0.18660093979277226, UrgencyBasis.FEE_MARKET, "a reason", 1.23456),
    estimate=ConfirmationEstimate(
        tip=Height(800),
        by_block=tuple(k / (k + 1) for k in range(1, DEPTH + 1)),
        p_replaced=0.0123456789,
        p_dropped=0.001,
        eta_p50_s=500.04,
        eta_p90_s=None,
    ),
    market=MarketView(
        at=START,
        tip=Height(800),
        tau_s=601.234,
        waiting_wu=1_000_000.6,
        ahead_wu=5_000.4,
        inflow_wu_s=123.456,
        marginal_rate_sat_vb=FeeRate(1.00005),
        overpay=1.23456,
    ),
    model_state="1-abc",
)
SIGNAL: Final = replace(UNESTIMATED, urgency_basis=UrgencyBasis.FEE_MARKET, forecast=FORECAST)
OUTCOME: Final = Outcome(
    prediction_id="a prediction",
    txid=txid_of("whale"),
    status=Status.CONFIRMED,
    ended_at=LATER,
    detected_at=START,
    confirmation_height=Height(800),
)
GAP: Final = GapFound(START, "mempool_space", GapReason.STARTED, START)

ENCODER: Final = PublicEncoder(Network.REGTEST, "http://localhost:8080/tx/")
START_TEXT: Final = "2026-09-21T14:13:20.000000Z"
LATER_TEXT: Final = "2026-09-21T14:23:20.000001Z"
ALERT: Final[dict[str, Any]] = {
    "prediction_id": "a prediction",
    "transaction_id": txid_of("whale"),
    "flow_type": "inflow",
    "flow_subtype": "mixed",
    "flow_reason": None,
    "sender_conflict": [],
    "flow_probabilities": {"inflow": 0.666667, "outflow": 0.0, "internal": 0.0, "unknown": 0.333333},
    "values": {
        "inflow_sat": 100_000_000_000,
        "outflow_sat": 0,
        "internal_sat": 0,
        "interexchange_sat": 0,
        "unknown_sat": 23_450_000_001,
    },
    "btc_value": 2000.00000001,
    "gross_sat": 200_000_000_001,
    "moved_btc": 1234.50000001,
    "moved_sat": 123_450_000_001,
    "fee_sat": 1_000,
    "weight_wu": 561,
    "fee_rate": 7.1301,
    "effective_fee_rate": 0.5,
    "urgency_score": 0.186601,
    "urgency_basis": "fee_market",
    "urgency_reason": "a reason",
    "rbf_enabled": True,
    "detection_timestamp": START_TEXT,
    "predicted_confirmation_block": 801,
    "confirm_probability": {"1": 0.5, "2": 0.666667, "3": 0.75, "6": 0.857143, "12": 0.923077, "24": 0.96},
    "eta_minutes": {"p50": 8.3, "p90": None},
    "p_replaced": 0.012346,
    "p_dropped": 0.001,
    "calibrated": False,
    "market": {
        "at": START_TEXT,
        "tip": 800,
        "block_interval_s": 601.2,
        "waiting_wu": 1_000_001,
        "ahead_wu": 5_000,
        "inflow_wu_per_s": 123.5,
        "marginal_rate": 1.0001,
        "overpay": 1.2346,
    },
    "model_state": "1-abc",
    "exchange_addresses": [
        "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqpsqgljc",
        "bcrt1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqz7nafu8",
    ],
    "entities": [
        {
            "name": "Binance",
            "in_sat": 100_000_000_000,
            "out_sat": 0,
            "net_sat": 100_000_000_000,
            "received": {"certain_sat": 0, "likely_sat": 100_000_000_000, "unknown_sat": 0},
            "sent": {"certain_sat": 0, "likely_sat": 0, "unknown_sat": 0},
        }
    ],
    "confidence_score": 0.571429,
    "was_modified": True,
    "history": [
        {"transaction_id": txid_of("first"), "seen": START_TEXT, "fee_rate": 1.2346, "change": "fee_bump"}
    ],
    "source": "mempool_space",
    "simulated": True,
    "label_set": "labels",
    "explorer_url": f"http://localhost:8080/tx/{txid_of('whale')}",
    "text": "1,234.5 BTC from unknown wallet to Binance",
    "sighting": "announced",
}


def update(new_status: str, **known: object) -> dict[str, object]:
    return {
        "prediction_id": "a prediction",
        "transaction_id": txid_of("whale"),
        "new_status": new_status,
        "confirmation_block": None,
        "confirmation_time": None,
        "replacement_txid": None,
        "reason": None,
        "amendment": None,
        "change": None,
        "provisional": None,
    } | known


def exact(raw: bytes) -> str:
    """Return JSON as text that shows the order of its keys."""
    return json.dumps(json.loads(raw), indent=1)


# --- server messages


@pytest.mark.parametrize(
    ("effect", "kind", "data", "timestamp"),
    [
        (RaiseSignal(LATER, SIGNAL), "whale_alert", ALERT, LATER_TEXT),
        (
            AmendSignal(LATER, SIGNAL, "known now"),
            "status_update",
            update("amended", reason="known now", amendment=ALERT),
            LATER_TEXT,
        ),
        (
            RecordOutcome(OUTCOME),
            "status_update",
            update("confirmed", confirmation_block=800, confirmation_time=LATER_TEXT, provisional=True),
            LATER_TEXT,
        ),
        (
            RecordOutcome(
                replace(
                    OUTCOME,
                    status=Status.REPLACED,
                    confirmation_height=None,
                    replaced_by=txid_of("other"),
                    change=Change.CANCELLED,
                )
            ),
            "status_update",
            update("replaced", replacement_txid=txid_of("other"), change="cancelled"),
            LATER_TEXT,
        ),
        (
            RecordOutcome(
                replace(OUTCOME, status=Status.DROPPED, confirmation_height=None, reason="expired")
            ),
            "status_update",
            update("dropped", reason="expired"),
            LATER_TEXT,
        ),
        (
            NoteSuccessor(LATER, "a prediction", txid_of("whale"), txid_of("next"), Change.FEE_BUMP),
            "status_update",
            update("replaced", replacement_txid=txid_of("next"), change="fee_bump"),
            LATER_TEXT,
        ),
        (
            ReopenPrediction(LATER, "a prediction", txid_of("whale"), START),
            "status_update",
            update("reorged"),
            LATER_TEXT,
        ),
        (
            ReopenPrediction(LATER, "a prediction", txid_of("whale"), START, Status.DROPPED),
            "status_update",
            update("returned"),
            LATER_TEXT,
        ),
    ],
    ids=["raised", "amended", "confirmed", "replaced", "dropped", "succeeded", "reorged", "returned"],
)
def test_each_effect_is_said_with_these_keys_in_this_order(
    effect: Effect, kind: str, data: dict[str, object], timestamp: str
) -> None:
    expected = {"type": kind, "seq": 7, "data": data, "timestamp": timestamp}
    assert exact(ENCODER.encode(effect, 7)) == json.dumps(expected, indent=1)


@pytest.mark.parametrize(
    "effect",
    [
        Ask(AboutTransaction(txid_of("whale"))),
        MarkDoubt(START, "a prediction", txid_of("whale"), START, in_doubt=True),
        RecordGap(GAP),
    ],
    ids=lambda effect: type(effect).__name__,
)
def test_other_effects_are_not_said(effect: Effect) -> None:
    with pytest.raises(ValueError, match=f"{type(effect).__name__} is not said to subscribers"):
        ENCODER.encode(effect, 1)


def test_whether_the_mempool_is_heard_is_in_no_record_and_has_no_seq() -> None:
    message = encode_connection(
        "degraded", "a gap", START, mempool_available=False, since=START, blocks_followed=True
    )
    data = {
        "status": "degraded",
        "mempool_available": False,
        "message": "a gap",
        "since": START_TEXT,
        "blocks_followed": True,
    }
    expected = {"type": "connection", "data": data, "timestamp": START_TEXT}
    assert exact(message) == json.dumps(expected, indent=1)


def test_what_is_unknown_is_null_and_never_missing() -> None:
    unknown = replace(
        SIGNAL,
        history=(Version(txid_of("first"), START, None),),
        flow=replace(FLOW, subtype=None, reason="no prevouts"),
        fee_sat=None,
        fee_rate_sat_vb=None,
        effective_fee_rate_sat_vb=None,
        urgency_score=None,
        forecast=None,
    )
    data = json.loads(PublicEncoder(Network.MAINNET).encode(RaiseSignal(START, unknown), 1))["data"]
    assert list(data) == list(ALERT)
    names = ["flow_subtype", "fee_sat", "fee_rate", "effective_fee_rate", "urgency_score", "explorer_url"]
    names += ["predicted_confirmation_block", "confirm_probability", "p_replaced", "p_dropped", "calibrated"]
    names += ["market", "model_state", "urgency_reason"]
    assert [data[name] for name in names] == [None] * len(names)
    assert data["history"][0]["fee_rate"] is None
    assert data["flow_reason"] == "no prevouts"


def test_confidence_is_that_of_the_flow_alone_until_confirmation_is_estimated() -> None:
    assert ENCODER.describe(UNESTIMATED).confidence_score == 0.666667


def test_confidence_in_what_may_never_confirm_is_as_low_as_that() -> None:
    assert FORECAST.estimate is not None
    hopeless = replace(FORECAST, estimate=replace(FORECAST.estimate, by_block=(0.0,) * (DEPTH - 1) + (0.3,)))
    signal = replace(SIGNAL, forecast=hopeless)
    assert signal.confidence_score == pytest.approx(0.3 * FLOW.confidence)
    assert ENCODER.describe(signal).predicted_confirmation_block is None


def test_a_first_version_was_not_modified() -> None:
    alert = ENCODER.describe(replace(SIGNAL, history=()))
    assert (alert.was_modified, alert.history) == (False, [])


def test_the_network_decides_how_addresses_are_spelled() -> None:
    alert = PublicEncoder(Network.MAINNET).describe(SIGNAL)
    assert [address[:4] for address in alert.exchange_addresses] == ["bc1q", "bc1q"]


@given(st.integers(0, MAX_MONEY_SAT))
def test_amounts_are_exact_even_where_all_numbers_are_doubles(value_sat: int) -> None:
    signal = replace(SIGNAL, gross_sat=Sats(value_sat))
    raw = ENCODER.encode(RaiseSignal(START, signal), 1)
    data = json.loads(raw, parse_int=float)["data"]
    assert int(data["gross_sat"]) == value_sat
    assert round(data["btc_value"] * BTC) == value_sat


def test_the_same_effect_gives_the_same_bytes() -> None:
    effect = RaiseSignal(LATER, SIGNAL)
    assert ENCODER.encode(effect, 7) == PublicEncoder(Network.REGTEST, "http://localhost:8080/tx/").encode(
        effect, 7
    )


@pytest.mark.parametrize(
    ("sender", "receiver", "moved_sat", "text"),
    [
        (None, "Binance", 123_450_000_000, "1,234.5 BTC from unknown wallet to Binance"),
        ("Kraken", None, 100 * BTC, "100 BTC from Kraken to unknown wallet"),
        (None, None, MAX_MONEY_SAT, "21,000,000 BTC from unknown wallet to unknown wallet"),
        (None, None, 0, "0 BTC from unknown wallet to unknown wallet"),
    ],
)
def test_the_text_is_what_people_post(
    sender: str | None, receiver: str | None, moved_sat: int, text: str
) -> None:
    flow = replace(FLOW, sender=sender, receiver=receiver, moved_sat=Sats(moved_sat))
    assert describe_in_words(flow) == text


# --- the snapshot


def schema() -> str:
    """Return what subscribers may rely on: names, types and what may be null, without the descriptions."""
    types = [WhaleAlertV1, StatusUpdateV1, ConnectionV1]
    _, components = msgspec.json.schema_components(types)
    for component in components.values():
        component.pop("description", None)
    return json.dumps(components, indent=2) + "\n"


def test_the_schema_is_the_one_in_the_snapshot() -> None:
    assert schema() == SNAPSHOT.read_text(encoding="utf-8"), HOW_TO_GO_ON


if __name__ == "__main__":
    SNAPSHOT.write_text(schema(), encoding="utf-8")


@pytest.mark.parametrize(
    ("flow_type", "moved_sat", "said"),
    [
        (FlowType.INTERNAL, 0, "123.45 BTC inside Kraken"),
        (FlowType.OUTFLOW, 500_000_000, "5 BTC from Kraken to unknown wallet"),
        (FlowType.INFLOW, 500_000_000, "5 BTC from unknown wallet to Kraken"),
    ],
)
def test_what_mostly_stays_inside_an_exchange_is_said_by_its_direction(
    flow_type: FlowType, moved_sat: int, said: str
) -> None:
    flow = FlowAssessment(
        flow_type=flow_type,
        subtype=None,
        probabilities={flow_type: 1.0},
        values=FlowValues(Sats(0), Sats(0), Sats(12_345_000_000), Sats(0), Sats(0)),
        moved_sat=Sats(moved_sat),
        change=(0.0,),
        entities=(),
        exchange_scripts=(),
        sender="Kraken",
        receiver="Kraken",
        reason=None,
    )
    assert describe_in_words(flow) == said


def entity(name: str, in_btc: int, out_btc: int = 0) -> EntityFlow:
    sent, received = (Ledger(ZERO, Sats(btc * BTC), ZERO) for btc in (out_btc, in_btc))
    return EntityFlow(name, sent, received)


@pytest.mark.parametrize(
    ("entities", "said"),
    [
        ((entity("Kraken", 40), entity("Gemini", 30)), "100 BTC from unknown wallet to Kraken and Gemini"),
        (
            (entity("Kraken", 20), entity("OKX", 25), entity("Gemini", 15)),
            "100 BTC from unknown wallet to OKX and 2 others",
        ),
        ((entity("Kraken", 45),), "100 BTC from unknown wallet to unknown wallet"),
        ((entity("Kraken", 25), entity("Gemini", 25)), "100 BTC from unknown wallet to unknown wallet"),
        ((entity("Kraken", 40), entity("Gemini", 30, 31)), "100 BTC from unknown wallet to unknown wallet"),
    ],
)
def test_exchanges_that_receive_most_of_it_only_together_are_named_together(
    entities: tuple[EntityFlow, ...], said: str
) -> None:
    flow = replace(
        FLOW, entities=entities, moved_sat=Sats(100 * BTC), sender=None, receiver=None, conflict=()
    )
    assert describe_in_words(flow) == said
