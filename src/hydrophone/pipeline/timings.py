"""How long it takes from a frame to a signal, and what came of signals, since the start."""

import math
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from hydrophone.domain.events import RaiseSignal
from hydrophone.domain.scoring import LEAST_PREDICTIONS
from hydrophone.domain.signal import Sighting
from hydrophone.domain.units import MICROS_PER_S, UnixMicros
from hydrophone.runtime.histogram import Histogram

BOUNDS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""# chosen: around 10 ms, which an alert may take (F4), and around the second that a look-up may."""
KEPT: Final = 500
"""Newest signals of a source. # chosen: a day's whales, or the last minutes of a flood; p99 rests on five."""
_MS_PER_S: Final = 1_000
_DECIMALS: Final = 1
"""# chosen: a tenth of a millisecond is what a clock and a busy machine leave of it."""


class Way(NamedTuple):
    """Which way a signal came.

    Attributes:
        source: that announced it.
        looked_up: whether its prevouts had to be asked for, for which a signal waits a second at most.
    """

    source: str
    looked_up: bool


class Timings:
    """Durations and counts since the start.

    Args:
        sources: names of which it is said from the start how fast we are.

    Attributes:
        commits: of the batches that were stored.
        failed_commits: that were not, and were tried again.
        stored: from the receipt of the frame that announced a whale until it was stored.
        published: until it was handed to every client.
        outcomes: by what became of a prediction.
        amended: signals that were corrected.
        reopened: predictions that came back, by a reorganisation or otherwise.
    """

    def __init__(self, sources: Sequence[str] = ()) -> None:
        self.commits = Histogram(BOUNDS_S)
        self.failed_commits = self.amended = self.reopened = 0
        self.stored: dict[Way, Histogram] = {}
        self.published: dict[Way, Histogram] = {}
        self.outcomes: Counter[str] = Counter()
        self._newest: dict[str, deque[int]] = {source: deque(maxlen=KEPT) for source in sources}

    def note_stored(self, effect: RaiseSignal, at: UnixMicros) -> None:
        """Note that a signal was stored."""
        if effect.signal.sighting is Sighting.ANNOUNCED:  # others were not heard when they were told of
            _note(self.stored, effect, at)

    def note_published(self, effect: RaiseSignal, at: UnixMicros) -> None:
        """Note that a signal was published."""
        signal = effect.signal
        if signal.sighting is Sighting.ANNOUNCED:
            _note(self.published, effect, at)
            newest = self._newest.setdefault(signal.source, deque(maxlen=KEPT))
            newest.append(max(0, at - signal.seen_at))

    def newest_published_ms(self) -> dict[str, dict[str, object]]:
        """Return by source n, and p50 and p99 in milliseconds where n carries them, of the newest signals."""
        return {source: _describe(sorted(taken)) for source, taken in self._newest.items()}


def _note(histograms: dict[Way, Histogram], effect: RaiseSignal, at: UnixMicros) -> None:
    signal = effect.signal
    way = Way(signal.source, effect.at > signal.seen_at)
    histogram = histograms.setdefault(way, Histogram(BOUNDS_S))
    histogram.note((at - signal.seen_at) / MICROS_PER_S)


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
