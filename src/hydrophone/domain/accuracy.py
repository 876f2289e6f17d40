"""How predictions turned out by day, and when an operator has to hear that they turned out badly."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from hydrophone.domain.units import MICROS_PER_S, UnixMicros

LEAST_CONFIRMED: Final = 50
"""Of fewer nothing is said, and nobody is alerted. # chosen: where nine in ten are met in the long run, less
than 70 % of fifty are by chance once in 50,000 windows."""
RECOVERY_PERCENT: Final = 5
"""So far above the threshold it is well again. # chosen: two confirmations of fifty do not flip it."""
_ALL_PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class AccuracyDay:
    """How the predictions turned out that ended on one day.

    Attributes:
        day: in UTC.
        simulated: whether the mempool was simulated.
        confirmed: so many ended that way.
        replaced: likewise.
        dropped: likewise.
        scored: of all, those of which a block had been predicted.
        accuracy_score: their mean score, 1 - Brier score; None: none was scored.
        p50_known: confirmed, and P50 had been said.
        p50_met: of those, confirmed within it.
        p90_known: likewise for P90.
        p90_met: likewise.
        median_lead_time_s: from publication to the block, of the confirmed; None: unknown.
    """

    day: date
    simulated: bool
    confirmed: int
    replaced: int
    dropped: int
    scored: int
    accuracy_score: float | None
    p50_known: int
    p50_met: int
    p90_known: int
    p90_met: int
    median_lead_time_s: float | None

    @property
    def ended(self) -> int:
        """How many ended, whichever way."""
        return self.confirmed + self.replaced + self.dropped


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """How confirmations of the last hours kept to what was said.

    Attributes:
        known: confirmed, and P90 had been said.
        met: of those, confirmed within it.
    """

    known: int
    met: int

    @property
    def is_enough(self) -> bool:
        """Whether there are enough of them to say anything."""
        return self.known >= LEAST_CONFIRMED

    @property
    def share(self) -> float | None:
        """Return the share that was met; None: too few."""
        return self.met / self.known if self.is_enough else None

    def is_below(self, percent: int) -> bool:
        """Return whether the share is below so many per cent, exactly."""
        return self.met * _ALL_PERCENT < percent * self.known


class Turn(StrEnum):
    """What an operator is told."""

    LOW = "accuracy_low"
    RECOVERED = "accuracy_recovered"


class AccuracyAlert:
    """Decides when an operator hears that accuracy is low, and that it is well again.

    Never on too little data; not again before the cooldown is over, however often it crosses the threshold;
    and a recovery is told only of what was told to be low.

    Args:
        threshold_percent: below it accuracy is low; 0: it never is.
        cooldown_s: seconds between two alerts.
    """

    def __init__(self, threshold_percent: int, cooldown_s: float) -> None:
        self._threshold_percent = threshold_percent
        self._cooldown_micros = int(cooldown_s * MICROS_PER_S)
        self._told_at: UnixMicros | None = None
        self._is_told = False
        self.is_low = False

    def step(self, at: UnixMicros, counts: WindowCounts) -> Turn | None:
        """Take account of a window; return what the operator is to be told, if anything.

        Args:
            at: now.
            counts: of the window that ends now.
        """
        if not counts.is_enough:
            return None
        if counts.is_below(self._threshold_percent):
            self.is_low = True
            return self._tell(at)
        well_percent = min(self._threshold_percent + RECOVERY_PERCENT, _ALL_PERCENT)
        if self.is_low and not counts.is_below(well_percent):
            was_told, self.is_low, self._is_told = self._is_told, False, False
            return Turn.RECOVERED if was_told else None
        return None

    def _tell(self, at: UnixMicros) -> Turn | None:
        is_too_soon = self._told_at is not None and at - self._told_at < self._cooldown_micros
        if self._is_told or is_too_soon:
            return None
        self._is_told, self._told_at = True, at
        return Turn.LOW
