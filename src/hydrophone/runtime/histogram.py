"""Counts durations by how long they were."""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Durations, counted in buckets.

    Args:
        bounds_s: upper bounds of the buckets, growing; what is longer than the last is only in `count`.
    """

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self.bounds_s = tuple(bounds_s)
        self.count = 0
        self.sum_s = 0.0
        self._counts = [0] * (len(self.bounds_s) + 1)

    def note(self, duration_s: float) -> None:
        """Count one; a negative one, of a clock that was set back, counts as none."""
        duration_s = max(0.0, duration_s)
        self.count += 1
        self.sum_s += duration_s
        self._counts[bisect_left(self.bounds_s, duration_s)] += 1

    def cumulated(self) -> list[int]:
        """Return for each bound how many were no longer than that."""
        total, cumulated = 0, []
        for count in self._counts[:-1]:
            total += count
            cumulated.append(total)
        return cumulated
