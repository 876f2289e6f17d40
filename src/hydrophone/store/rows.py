"""What is stored, as rows: how signals become columns, and what one commit changes. No I/O here."""

import json
import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, assert_never

from hydrophone.domain.confirmation import ConfirmationEstimate
from hydrophone.domain.events import (
    AmendSignal,
    Ask,
    Effect,
    GapFound,
    KeepLearned,
    MarkDoubt,
    NoteSuccessor,
    RaiseSignal,
    RecordBlock,
    RecordContents,
    RecordGap,
    RecordMarket,
    RecordModel,
    RecordOutcome,
    ReopenPrediction,
)
from hydrophone.domain.feemarket import FeeMarket
from hydrophone.domain.forecast import Forecast, MarketView
from hydrophone.domain.learned_labels import LearnedLabel
from hydrophone.domain.model_state import ModelState
from hydrophone.domain.outcome import OPEN, Outcome, Status, accuracy_score
from hydrophone.domain.signal import Sighting, Signal
from hydrophone.domain.units import (
    MICROS_PER_S,
    Height,
    UnixMicros,
    btc_from_sats,
    datetime_from_micros,
    format_instant,
    micros_from_datetime,
    seconds_from_micros,
)
from hydrophone.pipeline.ports import Entry, Handover
from hydrophone.store.raw_transactions import pack_transaction
from hydrophone.wire.public_v1 import describe_in_words

Value = str | int | float | bytes | datetime | None
Row = dict[str, Value]
"""Values by column."""
Key = tuple[str, UnixMicros]
"""Prediction id and detection time: a row is found by both, as the time spares a scan of the table."""
AddressOf = Callable[[bytes], str | None]
"""Spells a script as an address; None when it has none."""

CLAIM_COLUMNS: Final = (
    "transaction_id",
    "flow_type",
    "flow_subtype",
    "flow_reason",
    "flow_probabilities",
    "confidence_score",
    "btc_value",
    "gross_sat",
    "moved_sat",
    "inflow_sat",
    "outflow_sat",
    "internal_sat",
    "interexchange_sat",
    "entities",
    "exchange_addresses",
    "payees",
    "fee_sat",
    "weight_wu",
    "fee_rate",
    "effective_fee_rate",
    "urgency_score",
    "urgency_basis",
    "urgency_reason",
    "predicted_confirmation_block",
    "p_predicted",
    "p_confirm",
    "eta_p50_s",
    "eta_p90_s",
    "p_replaced",
    "p_dropped",
    "market",
    "market_tip",
    "model_state",
    "calibrated",
    "rbf_enabled",
    "was_modified",
    "history",
    "received_at",
    "source",
    "simulated",
    "label_set",
    "sighting",
    "text",
    "raw_transaction",
)
"""What a signal says: a new version or an amendment replaces all of it."""
KEPT_COLUMNS: Final = ("status", "first_published_at")
"""What besides decides how an entry changes a prediction; no version replaces it."""
_UNTOLD: Final = frozenset({"raw_transaction"})
"""Columns that an amendment may change and does not list: bytes say nothing to people."""
_JSON_COLUMNS: Final = frozenset(
    {"flow_probabilities", "entities", "exchange_addresses", "payees", "history", "p_confirm", "market"}
)

_MERGED_BUCKETS: Final = 10
"""# chosen: rates to a tenth; a market for each of 13,000 blocks in 90 days is kept in 8 kB, not in 80."""
_OUTCOME_IDS: Final = uuid.UUID("0f5b8e2c-6f0d-5c55-9d53-3b9d2a4f7c10")
"""# chosen: any fixed UUID; it makes outcome ids the same in every replay."""


def timestamp(instant: UnixMicros) -> datetime:
    """Return an instant as the store keeps it: naive, in UTC."""
    return datetime_from_micros(instant).replace(tzinfo=None)


def row_of_signal(signal: Signal, address_of: AddressOf) -> Row:
    """Return the columns that a signal fills. A number that is not finite is stored as unknown."""
    flow = signal.flow
    addresses = (address_of(script) for script in flow.exchange_scripts)
    return {
        "prediction_id": signal.prediction_id,
        "detection_timestamp": timestamp(signal.detected_at),
        "first_txid": signal.history[0].txid if signal.history else signal.txid,
        "transaction_id": signal.txid,
        "flow_type": flow.flow_type.value,
        "flow_subtype": flow.subtype.value if flow.subtype else None,
        "flow_reason": flow.reason,
        "flow_probabilities": _json({kind.value: _finite(p) for kind, p in flow.probabilities.items()}),
        "confidence_score": _finite(signal.confidence_score),
        "btc_value": btc_from_sats(signal.gross_sat),
        "gross_sat": signal.gross_sat,
        "moved_sat": flow.moved_sat,
        "inflow_sat": flow.values.inflow_sat,
        "outflow_sat": flow.values.outflow_sat,
        "internal_sat": flow.values.internal_sat,
        "interexchange_sat": flow.values.interexchange_sat,
        "entities": _json(
            [
                {
                    "name": e.name,
                    "in_sat": e.in_sat,
                    "out_sat": e.out_sat,
                    "net_sat": e.net_sat,
                    "received": e.received._asdict(),
                    "sent": e.sent._asdict(),
                }
                for e in flow.entities
            ]
        ),
        "exchange_addresses": _json([address for address in addresses if address is not None]),
        "payees": _json([{"script": p.script.hex(), "value_sat": p.value_sat} for p in signal.payees]),
        "fee_sat": signal.fee_sat,
        "weight_wu": signal.weight_wu,
        "fee_rate": _finite(signal.fee_rate_sat_vb),
        "effective_fee_rate": _finite(signal.effective_fee_rate_sat_vb),
        "urgency_score": _finite(signal.urgency_score),
        "urgency_basis": signal.urgency_basis.value,
        **_columns_of_forecast(signal.forecast),
        "rbf_enabled": signal.rbf_enabled,
        "was_modified": signal.was_modified,
        "history": _json(
            [
                {
                    "txid": version.txid,
                    "seen_at": format_instant(version.seen_at),
                    "fee_rate_sat_vb": _finite(version.fee_rate_sat_vb),
                    "change": version.change,
                }
                for version in signal.history
            ]
        ),
        "received_at": timestamp(signal.seen_at),
        "source": signal.source,
        "simulated": signal.is_simulated,
        "label_set": signal.label_set,
        "sighting": signal.sighting.value,
        "text": describe_in_words(flow),
        "raw_transaction": pack_transaction(signal.transaction),
    }


def _columns_of_forecast(forecast: Forecast | None) -> Row:
    estimate = None if forecast is None else forecast.estimate
    view = None if forecast is None else forecast.market
    return {
        "urgency_reason": None if forecast is None else forecast.urgency.reason,
        "predicted_confirmation_block": None if estimate is None else estimate.predicted_block,
        "p_predicted": None if estimate is None else _p_predicted(estimate),
        "p_confirm": None if estimate is None else _json({str(k): p for k, p in estimate.p_confirm.items()}),
        "eta_p50_s": None if estimate is None else estimate.eta_p50_s,
        "eta_p90_s": None if estimate is None else estimate.eta_p90_s,
        "p_replaced": None if estimate is None else estimate.p_replaced,
        "p_dropped": None if estimate is None else estimate.p_dropped,
        "market": None
        if view is None
        else _json(_describe_market(view, forecast.made_at if forecast else None)),
        "market_tip": None if view is None else view.tip,
        "model_state": None if forecast is None else forecast.model_state,
        "calibrated": None if forecast is None or estimate is None else forecast.is_calibrated,
    }


def _p_predicted(estimate: ConfirmationEstimate) -> float | None:
    """Return P(confirmed by the predicted block); None: no block is predicted."""
    blocks = estimate.likely_blocks
    return None if blocks is None else estimate.p_within(blocks)


def _describe_market(view: MarketView, made_at: UnixMicros | None) -> dict[str, object]:
    return {
        "made_at": None if made_at is None else format_instant(made_at),
        "at": format_instant(view.at),
        "tip": view.tip,
        "tau_s": _finite(view.tau_s),
        "waiting_wu": _finite(view.waiting_wu),
        "ahead_wu": _finite(view.ahead_wu),
        "inflow_wu_s": _finite(view.inflow_wu_s),
        "marginal_rate_sat_vb": _finite(view.marginal_rate_sat_vb),
        "overpay": _finite(view.overpay),
    }


def describe_effect(effect: Effect) -> tuple[str, UnixMicros, str | None]:  # noqa: C901, PLR0911, PLR0912  one each
    """Return kind, time and prediction id of an effect, as the record lists them.

    Raises:
        TypeError: the effect asks for an action; there is nothing to record.
    """
    match effect:
        case RaiseSignal(at=at, signal=signal):
            return "signal", at, signal.prediction_id
        case AmendSignal(at=at, signal=signal):
            return "amendment", at, signal.prediction_id
        case RecordOutcome(outcome=outcome):
            return "outcome", outcome.ended_at, outcome.prediction_id
        case NoteSuccessor():
            return "successor", effect.at, effect.prediction_id
        case ReopenPrediction():
            return "reopening", effect.at, effect.prediction_id
        case MarkDoubt():
            return "doubt", effect.at, effect.prediction_id
        case RecordGap(gap=gap):
            return "gap", gap.at, None
        case KeepLearned(at=at):
            return "learned", at, None
        case RecordBlock() | RecordContents():
            return "block", effect.at, None
        case RecordMarket():
            return "market", effect.at, None
        case RecordModel():
            return "model", effect.at, None
        case Ask():
            raise _not_to_be_stored(effect)
        case _:
            assert_never(effect)


def _not_to_be_stored(effect: Ask) -> TypeError:
    return TypeError(f"expected an effect to store, found {effect}")


def touched_keys(entries: Iterable[Entry]) -> set[Key]:
    """Return the predictions whose stored rows decide what the entries change."""
    keys: set[Key] = set()
    for entry in entries:
        if isinstance(entry, Handover):
            continue  # it sets one column, whatever the row says
        match effect := entry.effect:
            case RaiseSignal(signal=signal) | AmendSignal(signal=signal):
                keys.add((signal.prediction_id, signal.detected_at))
            case RecordOutcome(outcome=outcome):
                keys.add((outcome.prediction_id, outcome.detected_at))
            case ReopenPrediction() | MarkDoubt():
                keys.add((effect.prediction_id, effect.detected_at))
            case (
                NoteSuccessor()
                | RecordGap()
                | RecordBlock()
                | RecordContents()
                | KeepLearned()
                | RecordMarket()
                | RecordModel()
                | Ask()
            ):
                pass
            case _:
                assert_never(effect)
    return keys


_Kept = RecordGap | RecordBlock | RecordContents | KeepLearned | NoteSuccessor | RecordMarket | RecordModel
"""Effects that change no prediction."""


class Batch:
    """What one commit changes, worked out before anything is written: then each table is written once.

    Args:
        address_of: spells scripts as addresses.
        stored: the rows of `touched_keys` that exist: `CLAIM_COLUMNS` and `KEPT_COLUMNS`.
        taken: ids of predictions that are in the table, with whatever detection time.

    Attributes:
        inserted: new rows of mempool_predictions.
        updated: new values of columns of existing rows.
        ended: new rows of prediction_outcomes, by prediction id.
        reopened: ids of predictions whose stored outcome goes.
        amendments: new rows of amendments.
        gaps: new rows of source_gaps.
        blocks: what became known of blocks, in order.
        learned: new rows of learned_scripts.
        markets: new rows of fee_market.
        models: new rows of model_state.
    """

    def __init__(self, address_of: AddressOf, stored: Mapping[Key, Row], taken: Iterable[str]) -> None:
        self._address_of = address_of
        self._rows = dict(stored)
        self._taken = set(taken)
        self.inserted: dict[Key, Row] = {}
        self.updated: dict[Key, Row] = {}
        self.ended: dict[str, Row] = {}
        self.reopened: set[str] = set()
        self.amendments: list[Row] = []
        self.gaps: list[Row] = []
        self.blocks: list[RecordBlock | RecordContents] = []
        self.learned: list[Row] = []
        self.markets: list[Row] = []
        self.models: list[Row] = []

    def add(self, entry: Entry) -> None:
        """Take account of the next entry.

        Raises:
            TypeError: its effect asks for an action; there is nothing to store.
        """
        if isinstance(entry, Handover):
            published_at = timestamp(entry.published_at)
            columns = ("published_at", "first_published_at") if entry.is_first else ("published_at",)
            self._change((entry.prediction_id, entry.detected_at), dict.fromkeys(columns, published_at))
            return
        match entry.effect:
            case RaiseSignal(signal=signal):
                self._raise(signal)
            case AmendSignal(at=at, signal=signal, reason=reason):
                self._amend(signal, at, reason)
            case RecordOutcome(outcome=outcome):
                self._end(outcome)
            case ReopenPrediction() as effect:
                self._reopen((effect.prediction_id, effect.detected_at))
            case MarkDoubt() as effect:
                status = Status.IN_DOUBT if effect.in_doubt else Status.PENDING
                self._move((effect.prediction_id, effect.detected_at), status)
            case (
                RecordGap()
                | RecordBlock()
                | RecordContents()
                | KeepLearned()
                | NoteSuccessor()
                | RecordMarket()
                | RecordModel() as effect
            ):
                self._keep(effect)
            case Ask() as effect:
                raise _not_to_be_stored(effect)
            case _:
                assert_never(entry.effect)

    def _keep(self, effect: _Kept) -> None:
        """Take up what changes no prediction; of a successor the next version says all."""
        if isinstance(effect, RecordGap):
            self.gaps.append(_row_of_gap(effect.gap))
        elif isinstance(effect, RecordBlock | RecordContents):
            self.blocks.append(effect)
        elif isinstance(effect, KeepLearned):
            self.learned += [_row_of_learned(label) for label in effect.labels]
        elif isinstance(effect, RecordMarket):
            self.markets.append(_row_of_market(effect.market, effect.at))
        elif isinstance(effect, RecordModel):
            self.models.append(_row_of_model(effect.state, effect.at))

    def _raise(self, signal: Signal) -> None:
        key = (signal.prediction_id, signal.detected_at)
        row = row_of_signal(signal, self._address_of)
        if key in self._rows:
            if signal.was_modified:  # else we know it already
                self._move(key, Status.PENDING)
                self._change(key, {column: row[column] for column in CLAIM_COLUMNS} | {"published_at": None})
        elif signal.prediction_id not in self._taken:
            self.inserted[key] = self._rows[key] = row | {"status": Status.PENDING.value}
            self._taken.add(signal.prediction_id)

    def _amend(self, signal: Signal, at: UnixMicros, reason: str) -> None:
        key = (signal.prediction_id, signal.detected_at)
        if key not in self._rows:
            return
        before, after = self._rows[key], row_of_signal(signal, self._address_of)
        changed = [column for column in CLAIM_COLUMNS if before[column] != after[column]]
        told = [column for column in changed if column not in _UNTOLD]
        self.amendments.append(
            {
                "prediction_id": signal.prediction_id,
                "amended_at": timestamp(at),
                "reason": reason,
                "before": _json({column: _plain(column, before[column]) for column in told}),
                "after": _json({column: _plain(column, after[column]) for column in told}),
            }
        )
        if changed:
            self._change(key, {column: after[column] for column in changed})

    def _end(self, outcome: Outcome) -> None:
        key = (outcome.prediction_id, outcome.detected_at)
        if not self._move(key, outcome.status):
            return  # it has ended already: the first outcome stands
        predicted = self._rows[key]
        is_confirmed = outcome.status is Status.CONFIRMED
        was_foretold = is_confirmed and predicted["sighting"] != Sighting.MINED
        ended_at = timestamp(outcome.ended_at)
        self._change(
            key,
            {
                "transaction_id": outcome.txid,  # a miner may have preferred an earlier version
                "replaced_by": outcome.replaced_by,
                "confirmation_height": outcome.confirmation_height,
            },
        )
        self.ended[outcome.prediction_id] = {
            "outcome_id": str(uuid.uuid5(_OUTCOME_IDS, outcome.prediction_id)),
            "prediction_id": outcome.prediction_id,
            "transaction_id": outcome.txid,
            "predicted_flow": predicted["flow_type"],
            "actual_outcome": outcome.status.value,
            "confirmation_time": ended_at if is_confirmed else None,
            "confirmation_block": outcome.confirmation_height,
            "accuracy_score": accuracy_score(
                outcome, _height(predicted["predicted_confirmation_block"]), _number(predicted["p_predicted"])
            ),
            "lead_time_s": _lead_time_s(outcome, predicted) if was_foretold else None,
            "within_p50": _is_within(outcome, predicted, "eta_p50_s") if is_confirmed else None,
            "within_p90": _is_within(outcome, predicted, "eta_p90_s") if is_confirmed else None,
            "simulated": predicted["simulated"],
            "time_to_confirmation": (
                (outcome.ended_at - outcome.detected_at) // MICROS_PER_S if was_foretold else None
            ),
            "final_fee_rate": _finite(outcome.final_fee_rate_sat_vb),
            "ended_at": ended_at,
            "change": outcome.change,
            "reason": outcome.reason,
        }

    def _reopen(self, key: Key) -> None:
        if key not in self._rows or self._rows[key]["status"] in OPEN:
            return
        self._change(key, {"status": Status.PENDING.value, "confirmation_height": None, "replaced_by": None})
        prediction_id = key[0]
        if self.ended.pop(prediction_id, None) is None:
            self.reopened.add(prediction_id)

    def _move(self, key: Key, status: Status) -> bool:
        """Change the status of an open prediction; say whether it was one."""
        if key not in self._rows or self._rows[key]["status"] not in OPEN:
            return False
        self._change(key, {"status": status.value})
        return True

    def _change(self, key: Key, values: Row) -> None:
        if key in self._rows:
            self._rows[key].update(values)
        if key not in self.inserted:  # there it is the same row, and changed already
            self.updated.setdefault(key, {}).update(values)


def _lead_time_s(outcome: Outcome, predicted: Row) -> float:
    """Return for how long it had been public when its block was heard, from the payment's first version on.

    A restart may have lost when that was handed to broadcast; then it counts from its detection.
    """
    published_at = predicted.get("first_published_at")
    known_at = (
        micros_from_datetime(published_at) if isinstance(published_at, datetime) else outcome.detected_at
    )
    return seconds_from_micros(outcome.ended_at - known_at)


def _is_within(outcome: Outcome, predicted: Row, column: str) -> bool | None:
    """Return whether a confirmation came within the minutes that were said; None: none were."""
    eta_s = _number(predicted[column])
    market, received_at = predicted["market"], predicted["received_at"]
    made_at = json.loads(market).get("made_at") if isinstance(market, str) else None
    since = datetime.fromisoformat(made_at) if made_at is not None else received_at
    if eta_s is None or not isinstance(since, datetime):
        return None
    return seconds_from_micros(outcome.ended_at - micros_from_datetime(since)) <= eta_s


def _height(value: Value) -> Height | None:
    return Height(value) if isinstance(value, int) else None


def _number(value: Value) -> float | None:
    return value if isinstance(value, float) else None


def _row_of_gap(gap: GapFound) -> Row:
    return {
        "source": gap.source,
        "reason": gap.reason.value,
        "started_at": timestamp(gap.started_at),
        "ended_at": timestamp(gap.at),
        "detail": gap.detail,
    }


def _row_of_learned(label: LearnedLabel) -> Row:
    return {
        "script": label.script,
        "entity": label.entity.name,
        "role": label.role.value,
        "learned_by": label.learned_by.value,
        "evidence": label.evidence,
        "source": label.source,
        "confidence": label.confidence,
        "learned_at": timestamp(label.learned_at),
    }


def _row_of_market(market: FeeMarket, at: UnixMicros) -> Row:
    return {
        "recorded_at": timestamp(at),
        "tip": market.tip,
        "tau_s": market.tau_s,
        "marginal_rate": market.marginal_rate_sat_vb,
        "waiting_wu": market.total_waiting_wu,
        "market": _json(market.as_json(merged=_MERGED_BUCKETS)),
    }


def _row_of_model(state: ModelState, at: UnixMicros) -> Row:
    return {"state_id": state.state_id, "recorded_at": timestamp(at), "state": _json(state.as_json())}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _plain(column: str, value: Value) -> object:
    """Return a column's value as part of a JSON document."""
    if column in _JSON_COLUMNS and isinstance(value, str):
        return json.loads(value)
    return format_instant(micros_from_datetime(value)) if isinstance(value, datetime) else value


def _finite(value: float | None) -> float | None:
    """Return a number, or None for one that no query could compare."""
    return value if value is not None and math.isfinite(value) else None
