"""Waiting longer after each failure, up to a cap, never in step with others."""

from random import Random
from typing import Final

_LEAST_SHARE: Final = 0.5
"""# chosen: each delay is drawn from its upper half, so that waits still grow."""


class Backoff:
    """Delays between attempts: doubling, capped, jittered.

    Args:
        first_s: upper end of the first delay.
        cap_s: no delay is longer.
        random: where the jitter comes from.
    """

    def __init__(self, *, first_s: float, cap_s: float, random: Random) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._random = random
        self._ceiling_s = first_s

    def next_s(self) -> float:
        """Return the delay before the next attempt, in seconds."""
        ceiling_s = min(self._cap_s, self._ceiling_s)
        self._ceiling_s = ceiling_s * 2
        return self._random.uniform(_LEAST_SHARE * ceiling_s, ceiling_s)

    def reset(self) -> None:
        """Begin anew after a success."""
        self._ceiling_s = self._first_s
