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


def came_by(outcome: Outcome, predicted_block: Height) -> bool:
    """Return whether a prediction came true: confirmed in the predicted block, or in one before it."""
    height = outcome.confirmation_height
    return outcome.status is Status.CONFIRMED and height is not None and height <= predicted_block


def accuracy_score(
    outcome: Outcome, predicted_block: Height | None, p_predicted: float | None
) -> float | None:
    """Return how good a prediction turned out: 1 - Brier score, in [0, 1], the higher the better.

    Its mean over many cannot be dressed up: it is best for whoever says what they believe.

    Args:
        outcome: how it ended; what was replaced or dropped did not come.
        predicted_block: by which it was said to be more likely confirmed than not; None: none was said.
        p_predicted: how likely that was said to be; None: likewise.

    Returns:
        None where there was nothing to turn out right or wrong.

    Sources: Brier, Monthly Weather Review 78 (1950).
    """
    if predicted_block is None or p_predicted is None:
        return None
    return 1 - (p_predicted - came_by(outcome, predicted_block)) ** 2
