"""The public schema, version 1: what is said to subscribers about whales, and about our hearing.

Adding a field is a minor change; renaming or removing one is a new version (a snapshot test guards it). A
field that is added has a default: entries of the record that lack it are still replayed and read.
What is said to one subscriber, and what it may say, is in `socket_v1`.
Amounts come twice: `*_btc` for people, `*_sat` exact. Times are ISO 8601 in UTC. Keys keep the order
they are declared in, so that a replay gives the same bytes.
"""

from typing import Final, assert_never

import msgspec

from hydrophone.domain.events import (
    AmendSignal,
    Ask,
    Effect,
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
from hydrophone.domain.flow import FlowAssessment, FlowType
from hydrophone.domain.forecast import Forecast
from hydrophone.domain.outcome import Status
from hydrophone.domain.script import Network, address_from_script
from hydrophone.domain.signal import Signal
from hydrophone.domain.units import UnixMicros, btc_from_sats, format_btc, format_instant

_RATE_DECIMALS: Final = 4
"""# chosen: a ten-thousandth of a sat/vB is below what any wallet sets."""
_MINUTE_DECIMALS: Final = 1
_S_PER_MINUTE: Final = 60
_SHARE_DECIMALS: Final = 6
"""# chosen: probabilities are not known better; keeps messages short and byte-stable."""


class LedgerV1(msgspec.Struct, frozen=True):
    """An expected amount by how sure its parts are: from 95 %, from 50 %, and the rest."""

    certain_sat: int
    likely_sat: int
    unknown_sat: int


class EntityV1(msgspec.Struct, frozen=True):
    """An exchange on one side or both; net is positive for coins into it."""

    name: str
    in_sat: int
    out_sat: int
    net_sat: int
    received: LedgerV1
    sent: LedgerV1


class ValuesV1(msgspec.Struct, frozen=True):
    """The value net of change, split by direction."""

    inflow_sat: int
    outflow_sat: int
    internal_sat: int
    interexchange_sat: int
    unknown_sat: int


class EtaV1(msgspec.Struct, frozen=True):
    """Minutes until confirmation: half, and nine in ten, are met within."""

    p50: float | None
    p90: float | None


class MarketV1(msgspec.Struct, frozen=True):
    """The fee market that the estimate was computed from, as far as it mattered."""

    at: str
    tip: int
    block_interval_s: float
    waiting_wu: int
    ahead_wu: int
    inflow_wu_per_s: float
    marginal_rate: float | None
    overpay: float | None


class VersionV1(msgspec.Struct, frozen=True):
    """An earlier version of a payment that was replaced by fee."""

    transaction_id: str
    seen: str
    fee_rate: float | None
    change: str | None = None


class WhaleAlertV1(msgspec.Struct, frozen=True):
    """A whale, as published. None means that we do not know (yet)."""

    prediction_id: str
    transaction_id: str
    flow_type: str
    flow_subtype: str | None
    flow_reason: str | None
    sender_conflict: list[str]
    flow_probabilities: dict[str, float]
    values: ValuesV1
    btc_value: float
    gross_sat: int
    moved_btc: float
    moved_sat: int
    fee_sat: int | None
    weight_wu: int
    fee_rate: float | None
    effective_fee_rate: float | None
    urgency_score: float | None
    urgency_basis: str
    urgency_reason: str | None
    rbf_enabled: bool
    detection_timestamp: str
    predicted_confirmation_block: int | None
    confirm_probability: dict[str, float] | None
    eta_minutes: EtaV1
    p_replaced: float | None
    p_dropped: float | None
    calibrated: bool | None
    market: MarketV1 | None
    model_state: str | None
    exchange_addresses: list[str]
    entities: list[EntityV1]
    confidence_score: float
    was_modified: bool
    history: list[VersionV1]
    source: str
    simulated: bool
    label_set: str
    explorer_url: str | None
    text: str
    sighting: str = "announced"


class StatusUpdateV1(msgspec.Struct, frozen=True):
    """What became of a prediction.

    `amendment` is there when the signal was corrected, `change` when it was replaced by something known:
    fee_bump, other_amount, other_payee (a double spend) or cancelled. A confirmation is `provisional`: until
    two more blocks came a reorg may well undo it.
    """

    prediction_id: str
    transaction_id: str
    new_status: str
    confirmation_block: int | None = None
    confirmation_time: str | None = None
    replacement_txid: str | None = None
    reason: str | None = None
    amendment: WhaleAlertV1 | None = None
    change: str | None = None
    provisional: bool | None = None


class ConnectionV1(msgspec.Struct, frozen=True):
    """Whether we hear the mempool at all. None: it is heard, or not known yet."""

    status: str
    mempool_available: bool
    message: str
    since: str | None = None
    blocks_followed: bool | None = None


class Envelope(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Every message is an object with `type`, `data` and `timestamp`, and `seq` if it is in the record."""


class WhaleAlertMessage(Envelope, frozen=True, kw_only=True, tag="whale_alert"):
    """A whale was heard, or a new version of one. `seq` is the index in the record."""

    seq: int
    data: WhaleAlertV1
    timestamp: str


class StatusUpdateMessage(Envelope, frozen=True, kw_only=True, tag="status_update"):
    """Something became of a prediction. `seq` is the index in the record."""

    seq: int
    data: StatusUpdateV1
    timestamp: str


class ConnectionMessage(Envelope, frozen=True, kw_only=True, tag="connection"):
    """Whether the mempool is heard: said first, and when it changes."""

    data: ConnectionV1
    timestamp: str


_encode = msgspec.json.Encoder().encode


def encode_connection(
    status: str,
    message: str,
    at: UnixMicros,
    *,
    mempool_available: bool,
    since: UnixMicros | None = None,
    blocks_followed: bool | None = None,
) -> bytes:
    """Say whether we hear the mempool.

    Args:
        status: connected, degraded or disconnected.
        message: for people.
        at: since when that is so.
        mempool_available: whether predictions are being made.
        since: when the mempool was heard last; None: it is heard.
        blocks_followed: while it is not: whether confirmed blocks still are; None: not known yet.
    """
    told = None if since is None else format_instant(since)
    data = ConnectionV1(status, mempool_available, message, told, blocks_followed)
    return _encode(ConnectionMessage(data=data, timestamp=format_instant(at)))


class PublicEncoder:
    """Turns effects into public messages; holds what the spelling depends on.

    Args:
        network: decides how scripts are spelled as addresses.
        explorer_url: where a txid is appended, the user's own explorer; None: no link.
    """

    def __init__(self, network: Network, explorer_url: str | None = None) -> None:
        self._network = network
        self._explorer_url = explorer_url

    def encode(self, effect: Effect, seq: int) -> bytes:
        """Return the message that says an effect.

        Raises:
            ValueError: the effect is not one that is said to subscribers.
        """
        match effect:
            case RaiseSignal(at, signal):
                return _encode(
                    WhaleAlertMessage(seq=seq, data=self.describe(signal), timestamp=format_instant(at))
                )
            case AmendSignal(at, signal, reason):
                update = StatusUpdateV1(
                    signal.prediction_id,
                    signal.txid,
                    "amended",
                    reason=reason,
                    amendment=self.describe(signal),
                )
                return _updated(update, at, seq)
            case RecordOutcome(outcome):
                confirmed = outcome.status is Status.CONFIRMED
                update = StatusUpdateV1(
                    outcome.prediction_id,
                    outcome.txid,
                    outcome.status,
                    confirmation_block=outcome.confirmation_height,
                    confirmation_time=format_instant(outcome.ended_at) if confirmed else None,
                    replacement_txid=outcome.replaced_by,
                    reason=outcome.reason,
                    change=outcome.change,
                    provisional=True if confirmed else None,
                )
                return _updated(update, outcome.ended_at, seq)
            case NoteSuccessor(at, prediction_id, txid, replaced_by, change):
                update = StatusUpdateV1(
                    prediction_id, txid, Status.REPLACED, replacement_txid=replaced_by, change=change
                )
                return _updated(update, at, seq)
            case ReopenPrediction(at, prediction_id, txid, _, ended_as):
                status = "reorged" if ended_as is Status.CONFIRMED else "returned"
                update = StatusUpdateV1(prediction_id, txid, status)
                return _updated(update, at, seq)
            case (
                Ask()
                | MarkDoubt()
                | RecordGap()
                | RecordBlock()
                | RecordContents()
                | KeepLearned()
                | RecordMarket()
                | RecordModel()
            ):
                raise ValueError(f"{type(effect).__name__} is not said to subscribers")
            case _:
                assert_never(effect)

    def describe(self, signal: Signal) -> WhaleAlertV1:
        """Return a signal as published."""
        flow, forecast = signal.flow, signal.forecast
        estimate = None if forecast is None else forecast.estimate
        return WhaleAlertV1(
            prediction_id=signal.prediction_id,
            transaction_id=signal.txid,
            flow_type=flow.flow_type,
            flow_subtype=flow.subtype,
            flow_reason=flow.reason,
            sender_conflict=list(flow.conflict),
            flow_probabilities={k.value: round(p, _SHARE_DECIMALS) for k, p in flow.probabilities.items()},
            values=ValuesV1(
                inflow_sat=flow.values.inflow_sat,
                outflow_sat=flow.values.outflow_sat,
                internal_sat=flow.values.internal_sat,
                interexchange_sat=flow.values.interexchange_sat,
                unknown_sat=flow.values.unknown_sat,
            ),
            btc_value=btc_from_sats(signal.gross_sat),
            gross_sat=signal.gross_sat,
            moved_btc=btc_from_sats(flow.moved_sat),
            moved_sat=flow.moved_sat,
            fee_sat=signal.fee_sat,
            weight_wu=signal.weight_wu,
            fee_rate=_rounded(signal.fee_rate_sat_vb),
            effective_fee_rate=_rounded(signal.effective_fee_rate_sat_vb),
            urgency_score=_rounded(signal.urgency_score, _SHARE_DECIMALS),
            urgency_basis=signal.urgency_basis,
            urgency_reason=None if forecast is None else forecast.urgency.reason,
            rbf_enabled=signal.rbf_enabled,
            detection_timestamp=format_instant(signal.detected_at),
            predicted_confirmation_block=None if estimate is None else estimate.predicted_block,
            confirm_probability=(
                None
                if estimate is None
                else {str(k): round(p, _SHARE_DECIMALS) for k, p in estimate.p_confirm.items()}
            ),
            eta_minutes=EtaV1(
                None if estimate is None else _minutes(estimate.eta_p50_s),
                None if estimate is None else _minutes(estimate.eta_p90_s),
            ),
            p_replaced=None if estimate is None else round(estimate.p_replaced, _SHARE_DECIMALS),
            p_dropped=None if estimate is None else round(estimate.p_dropped, _SHARE_DECIMALS),
            calibrated=None if forecast is None or estimate is None else forecast.is_calibrated,
            market=None if forecast is None else _market(forecast),
            model_state=None if forecast is None else forecast.model_state,
            exchange_addresses=self._addresses(flow),
            entities=[
                EntityV1(e.name, e.in_sat, e.out_sat, e.net_sat, LedgerV1(*e.received), LedgerV1(*e.sent))
                for e in flow.entities
            ],
            confidence_score=round(signal.confidence_score, _SHARE_DECIMALS),
            was_modified=signal.was_modified,
            history=[
                VersionV1(v.txid, format_instant(v.seen_at), _rounded(v.fee_rate_sat_vb), v.change)
                for v in signal.history
            ],
            source=signal.source,
            simulated=signal.is_simulated,
            label_set=signal.label_set,
            explorer_url=link_to(self._explorer_url, signal.txid),
            text=describe_in_words(flow),
            sighting=signal.sighting,
        )

    def _addresses(self, flow: FlowAssessment) -> list[str]:
        spelled = (address_from_script(script, self._network) for script in flow.exchange_scripts)
        return [address for address in spelled if address is not None]


def _updated(update: StatusUpdateV1, at: UnixMicros, seq: int) -> bytes:
    return _encode(StatusUpdateMessage(seq=seq, data=update, timestamp=format_instant(at)))


def describe_in_words(flow: FlowAssessment) -> str:
    """Return the sentence people post: `1,234.5 BTC from unknown wallet to Binance`."""
    sender, receiver = flow.sender, flow.receiver
    if sender is not None and sender == receiver:
        # Most of it stays inside; what is said is what goes in or out beside it.
        if flow.flow_type is FlowType.OUTFLOW:
            receiver = None
        elif flow.flow_type is FlowType.INFLOW:
            sender = None
        else:
            return f"{format_btc(flow.values.total_sat, decimals=2)} BTC inside {sender}"
    sender = sender or " or ".join(flow.conflict) or "unknown wallet"
    receiver = receiver or _several_receivers(flow) or "unknown wallet"
    return f"{format_btc(flow.moved_sat, decimals=2)} BTC from {sender} to {receiver}"


def _several_receivers(flow: FlowAssessment) -> str | None:
    """Return the names of exchanges that only together receive more than half of what moves."""
    received = sorted(((e.in_sat, e.name) for e in flow.entities if e.in_sat > e.out_sat), reverse=True)
    is_inflow = flow.flow_type is FlowType.INFLOW
    if not is_inflow or len(received) < 2 or 2 * sum(sat for sat, _ in received) <= flow.moved_sat:  # noqa: PLR2004 -- one would be the receiver
        return None
    first, second = received[0][1], received[1][1]
    others = len(received) - 1
    return f"{first} and {second}" if others == 1 else f"{first} and {others} others"


def link_to(explorer_url: str | None, txid: str) -> str | None:
    """Return where an explorer shows a transaction.

    Args:
        explorer_url: where a txid is appended; None: there is no explorer.
        txid: of it.
    """
    return None if explorer_url is None else explorer_url + txid


def _market(forecast: Forecast) -> MarketV1 | None:
    view = forecast.market
    if view is None:
        return None
    return MarketV1(
        at=format_instant(view.at),
        tip=view.tip,
        block_interval_s=round(view.tau_s, _MINUTE_DECIMALS),
        waiting_wu=round(view.waiting_wu),
        ahead_wu=round(view.ahead_wu),
        inflow_wu_per_s=round(view.inflow_wu_s, _MINUTE_DECIMALS),
        marginal_rate=_rounded(view.marginal_rate_sat_vb),
        overpay=_rounded(view.overpay),
    )


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / _S_PER_MINUTE, _MINUTE_DECIMALS)


def _rounded(number: float | None, decimals: int = _RATE_DECIMALS) -> float | None:
    return None if number is None else round(number, decimals)
