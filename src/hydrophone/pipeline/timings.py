"""How long it takes from a frame to a signal, and what came of signals, since the start."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from hydrophone.domain.events import RaiseSignal
from hydrophone.domain.signal import Sighting
from hydrophone.domain.units import MICROS_PER_S, UnixMicros
from hydrophone.runtime.histogram import Histogram

BOUNDS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""# chosen: around 10 ms, which an alert may take (F4), and around the second that a look-up may."""


class Way(NamedTuple):
    """Which way a signal came.

    Attributes:
        source: that announced it.
        looked_up: whether its prevouts had to be asked for, for which a signal waits a second at most.
    """

    source: str
    looked_up: bool


@dataclass(slots=True)
class Timings:
    """Durations and counts since the start.

    Attributes:
        commits: of the batches that were stored.
        failed_commits: that were not, and were tried again.
        stored: from the receipt of the frame that announced a whale until it was stored.
        published: until it was handed to every client.
        outcomes: by what became of a prediction.
        amended: signals that were corrected.
        reopened: predictions that came back, by a reorganisation or otherwise.
    """

    commits: Histogram = field(default_factory=lambda: Histogram(BOUNDS_S))
    failed_commits: int = 0
    stored: dict[Way, Histogram] = field(default_factory=dict)
    published: dict[Way, Histogram] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    amended: int = 0
    reopened: int = 0

    def note_stored(self, effect: RaiseSignal, at: UnixMicros) -> None:
        """Note that a signal was stored."""
        _note(self.stored, effect, at)

    def note_published(self, effect: RaiseSignal, at: UnixMicros) -> None:
        """Note that a signal was published."""
        _note(self.published, effect, at)


def _note(histograms: dict[Way, Histogram], effect: RaiseSignal, at: UnixMicros) -> None:
    signal = effect.signal
    if signal.sighting is not Sighting.ANNOUNCED:
        return  # it was not heard when it was told of
    way = Way(signal.source, effect.at > signal.seen_at)
    histogram = histograms.setdefault(way, Histogram(BOUNDS_S))
    histogram.note((at - signal.seen_at) / MICROS_PER_S)
