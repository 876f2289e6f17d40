"""How long it took from a frame to the subscribers, for the newest signals of each source."""

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

from hydrophone.domain.scoring import LEAST_PREDICTIONS
from hydrophone.domain.units import MICROS_PER_S, UnixMicros

KEPT: Final = 500
"""# chosen: a day's whales, or the last minutes of a flood; p99 rests on five of them."""
_MS_PER_S: Final = 1_000
_DECIMALS: Final = 1
"""# chosen: a tenth of a millisecond is what a clock and a busy machine leave of it."""


class LatencyGauge:
    """Keeps how long the newest signals took.

    Args:
        sources: names that are shown from the start.
    """

    def __init__(self, sources: Sequence[str] = ()) -> None:
        self._taken: dict[str, deque[int]] = {source: deque(maxlen=KEPT) for source in sources}

    def note(self, source: str, received_at: UnixMicros, published_at: UnixMicros) -> None:
        """Take up a signal.

        Args:
            source: who told.
            received_at: the frame that announced it was received.
            published_at: it was handed to broadcast.
        """
        taken = self._taken.setdefault(source, deque(maxlen=KEPT))
        taken.append(max(0, published_at - received_at))

    def report(self) -> dict[str, dict[str, object]]:
        """Return by source n, and p50 and p99 in milliseconds where n carries them."""
        return {source: _describe(sorted(taken)) for source, taken in self._taken.items()}


def _describe(taken: Sequence[int]) -> dict[str, object]:
    n = len(taken)
    if n < LEAST_PREDICTIONS:
        return {"n": n, "insufficient_data": True}
    return {"n": n, "p50": _percentile_ms(taken, 50), "p99": _percentile_ms(taken, 99)}


def _percentile_ms(taken: Sequence[int], percent: int) -> float:
    """Return the least time within which so many percent of the signals were out.

    Args:
        taken: in microseconds, in order, at least one.
        percent: in 1 to 100.
    """
    micros = taken[math.ceil(len(taken) * percent / 100) - 1]
    return round(micros * _MS_PER_S / MICROS_PER_S, _DECIMALS)
