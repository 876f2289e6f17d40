"""The core: step(event) -> effects."""

from dataclasses import dataclass

from hydrophone.domain.outcome import Status
from hydrophone.domain.signal import Version
from hydrophone.domain.transaction import Output
from hydrophone.domain.units import FeeRate, Height, Txid, UnixMicros


@dataclass(frozen=True, slots=True)
class TrackedPrediction:
    """What the core remembers of a prediction it follows; restored from the store after a restart.

    Attributes:
        prediction_id: its id.
        txid: the current transaction of the payment.
        history: earlier versions, oldest first.
        detected_at: when the first version was announced.
        seen_at: when the current version was announced.
        fee_rate_sat_vb: of the current version.
        payees: outputs that are probably not change.
        status: pending, in_doubt or confirmed.
        confirmation_height: of its block when confirmed.
    """

    prediction_id: str
    txid: Txid
    history: tuple[Version, ...]
    detected_at: UnixMicros
    seen_at: UnixMicros
    fee_rate_sat_vb: FeeRate | None
    payees: tuple[Output, ...]
    status: Status
    confirmation_height: Height | None = None
