"""A wall clock that never goes back."""

import time
from collections.abc import Callable
from typing import Final

_SLEW: Final = 0.1
"""# chosen: after the wall clock was set back we run 10 % slow until it has caught up."""
_NANOS_PER_MICRO: Final = 1_000


class SteadyClock:
    """Unix microseconds for ordering and durations: follows the wall clock, but only forwards.

    A wall clock set forward is followed at once; one set back is approached slowly, so that no deadline
    waits for the lost hour and no event is older than the one before it.

    Args:
        wall_ns: Unix nanoseconds.
        monotonic_ns: nanoseconds since some moment.
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._read_ns = monotonic_ns()
        self._offset_ns = wall_ns() - self._read_ns

    def __call__(self) -> int:
        """Return now in Unix microseconds; at least what was returned before."""
        now_ns = self._monotonic_ns()
        elapsed_ns, self._read_ns = now_ns - self._read_ns, now_ns
        wanted_ns = self._wall_ns() - now_ns
        slowest_ns = self._offset_ns - int(elapsed_ns * _SLEW)
        self._offset_ns = max(wanted_ns, slowest_ns)
        return (now_ns + self._offset_ns) // _NANOS_PER_MICRO
