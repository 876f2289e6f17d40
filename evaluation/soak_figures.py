"""What samples of a long run say: slopes with how sure they are, and whether something grows. Pure.

**Sources**: P. Sen, Estimates of the regression coefficient based on Kendall's tau, JASA 63 (1968), the
median of the slopes of all pairs; B. Efron and C. Stein, The jackknife estimate of variance, Annals of
Statistics 9 (1981), here leaving out a block at a time, because neighbouring samples are alike.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

WARM_UP_SHARE: Final = 0.25
"""Of a run that does not count for slopes: caches fill. # chosen: one turn of the scenario in four."""
BLOCKS: Final = 8
"""Left out one at a time. # chosen: in an hour each is six minutes, longer than what one incident moves."""
STEADY_ERRORS: Final = 3.0
"""Growth is clear when it exceeds so many standard errors. # chosen: one run in a thousand by chance."""
CLEAR_GROWTH_PER_H: Final = 20.0
"""Descriptors or threads. # chosen: 500 a day; the usual limit of 1,024 would be reached within days."""
_MAX_PAIRS: Final = 400
"""Samples that are compared pairwise. # chosen: 80,000 slopes take some tens of milliseconds."""
_HOUR_S: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The service at one moment.

    Attributes:
        at_s: since the run began.
        rss_mb: resident memory.
        cpu_s: processor time since its start.
        descriptors: open files and sockets, those of clients not counted.
        threads: of the process.
        file_mb: the database and its log.
        predictions: stored.
        pending: of them.
        clients: of the alert websocket.
        queue_high_water: of the fullest queue, the most that ever waited there.
        gaps: stored.
        dropped: messages that slow clients did not get.
        kicked: clients put out because they took nothing.
    """

    at_s: float
    rss_mb: float
    cpu_s: float
    descriptors: int
    threads: int
    file_mb: float
    predictions: int
    pending: int
    clients: int
    queue_high_water: int
    gaps: int
    dropped: int
    kicked: int


class Slope(NamedTuple):
    """How fast something grows.

    Attributes:
        value: per unit of the other axis; NaN of fewer than two different places.
        error: standard error; NaN of fewer samples than blocks.
    """

    value: float
    error: float

    def is_clearly_above(self, bar: float) -> bool:
        """Whether it is above a bar by more than chance."""
        return self.value > bar and self.value - STEADY_ERRORS * self.error > 0


def theil_sen(points: Sequence[tuple[float, float]]) -> float:
    """Return the median of the slopes of all pairs; NaN if there is none.

    Args:
        points: in any order; of more than some hundred, evenly spread ones are taken.
    """
    step = max(1, len(points) // _MAX_PAIRS)
    chosen = points[::step]
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for place, earlier in enumerate(chosen)
        for later in chosen[place + 1 :]
        if later[0] != earlier[0]
    ]
    return statistics.median(slopes) if slopes else math.nan


def slope_of(points: Sequence[tuple[float, float]]) -> Slope:
    """Return the slope of points in order of time, with its standard error by leaving out blocks."""
    value = theil_sen(points)
    if len(points) < 2 * BLOCKS:
        return Slope(value, math.nan)
    edges = [round(number * len(points) / BLOCKS) for number in range(BLOCKS + 1)]
    without = [theil_sen([*points[:begin], *points[end:]]) for begin, end in pairwise(edges)]
    mean = statistics.fmean(without)
    variance = (BLOCKS - 1) / BLOCKS * sum((each - mean) ** 2 for each in without)
    return Slope(value, math.sqrt(variance))


def settled(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Return the samples after the warm-up."""
    if not samples:
        return ()
    begin_s = samples[-1].at_s * WARM_UP_SHARE
    return [sample for sample in samples if sample.at_s >= begin_s]


@dataclass(frozen=True, slots=True)
class Growth:
    """What a run says of what must not grow.

    Attributes:
        rss_mb_per_h: resident memory.
        descriptors_per_h: open files.
        threads_per_h: of the process.
        file_mb_per_1000: the database by the predictions in it.
    """

    rss_mb_per_h: Slope
    descriptors_per_h: Slope
    threads_per_h: Slope
    file_mb_per_1000: Slope

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Growth":
        """Return it, after the warm-up."""
        kept = settled(samples)
        hours = [sample.at_s / _HOUR_S for sample in kept]
        return cls(
            slope_of([(at, sample.rss_mb) for at, sample in zip(hours, kept, strict=True)]),
            slope_of([(at, sample.descriptors) for at, sample in zip(hours, kept, strict=True)]),
            slope_of([(at, sample.threads) for at, sample in zip(hours, kept, strict=True)]),
            slope_of([(sample.predictions / 1_000, sample.file_mb) for sample in kept]),
        )

    def faults(self) -> list[str]:
        """Return what clearly grows and must not."""
        watched = {"descriptors": self.descriptors_per_h, "threads": self.threads_per_h}
        return [
            f"{name} grow by {slope.value:.1f} +- {slope.error:.1f} an hour"
            for name, slope in watched.items()
            if slope.is_clearly_above(CLEAR_GROWTH_PER_H)
        ]


def describe(samples: Sequence[Sample]) -> list[str]:
    """Return a line for each figure of a run that has samples."""
    kept = settled(samples)
    growth, last = Growth.of(samples), samples[-1]

    def spread(name: str, unit: str, values: Sequence[float], slope: Slope, per: str) -> str:
        middle = statistics.median(values)
        return (
            f"{name:<14}{middle:8.1f} {unit} (median after warm-up, {min(values):.1f} to {max(values):.1f}), "
            f"slope {slope.value:+.2f} +- {slope.error:.2f} {unit} {per}"
        )

    cpu_share = (last.cpu_s - kept[0].cpu_s) / max(last.at_s - kept[0].at_s, 1e-9)
    return [
        f"samples       {len(samples):8d} in {last.at_s / 60:.1f} min, {len(kept)} of them after warm-up",
        spread("memory", "MB", [s.rss_mb for s in kept], growth.rss_mb_per_h, "an hour"),
        spread(
            "descriptors", "open", [float(s.descriptors) for s in kept], growth.descriptors_per_h, "an hour"
        ),
        spread("threads", "running", [float(s.threads) for s in kept], growth.threads_per_h, "an hour"),
        spread("file", "MB", [s.file_mb for s in kept], growth.file_mb_per_1000, "for 1,000 predictions"),
        f"processor     {100 * cpu_share:8.1f} % of one core after warm-up",
        f"queues        {max(s.queue_high_water for s in samples):8d} waited at the most, in the fullest",
        f"predictions   {last.predictions:8d} stored, {last.pending} pending, {last.gaps} gaps stored",
        f"slow clients  {last.dropped:8d} messages not delivered, {last.kicked} put out",
    ]
