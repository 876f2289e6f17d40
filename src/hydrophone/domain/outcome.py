"""What became of a prediction, and which transitions are allowed."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hydrophone.domain.signal import Change
from hydrophone.domain.units import FeeRate, Height, Txid, UnixMicros


class Status(StrEnum):
    """Where a prediction stands."""

    PENDING = "pending"
    IN_DOUBT = "in_doubt"
    """The source let go of the transaction and did not say why."""
    CONFIRMED = "confirmed"
    REPLACED = "replaced"
    DROPPED = "dropped"


OPEN: Final = frozenset({Status.PENDING, Status.IN_DOUBT})
"""Without an outcome yet."""

ALLOWED: Final = {
    Status.PENDING: frozenset({Status.IN_DOUBT, Status.CONFIRMED, Status.REPLACED, Status.DROPPED}),
    Status.IN_DOUBT: frozenset({Status.PENDING, Status.CONFIRMED, Status.REPLACED, Status.DROPPED}),
    Status.CONFIRMED: frozenset({Status.PENDING}),  # a reorg; nothing else undoes a confirmation
    Status.REPLACED: frozenset({Status.PENDING}),  # a block has it after all
    Status.DROPPED: frozenset({Status.PENDING}),  # it is announced again, or a block has it after all
}
"""Allowed transitions of a prediction."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a prediction ended.

    Attributes:
        prediction_id: which one.
        txid: the transaction it followed at the end.
        status: confirmed, replaced or dropped.
        ended_at: when we heard of it.
        detected_at: when the prediction was made; with `prediction_id` it finds the row.
        confirmation_height: height of the block; None unless confirmed.
        replaced_by: the successor; None unless replaced.
        final_fee_rate_sat_vb: fee rate of `txid`.
        change: what the successor changed; None unless replaced, or where the successor is not known.
        reason: how we know, for people; None where that is plain.
    """

    prediction_id: str
    txid: Txid
    status: Status
    ended_at: UnixMicros
    detected_at: UnixMicros
    confirmation_height: Height | None = None
    replaced_by: Txid | None = None
    final_fee_rate_sat_vb: FeeRate | None = None
    change: Change | None = None
    reason: str | None = None
