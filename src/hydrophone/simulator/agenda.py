"""What happens when, in virtual time."""

import heapq
from collections.abc import Callable
from itertools import count

Act = Callable[[], object]
"""Something that happens."""


class Agenda:
    """What is planned; of one instant, what was planned first comes first."""

    def __init__(self) -> None:
        self._plans: list[tuple[float, int, Act]] = []
        self._ticket = count()

    @property
    def next_at(self) -> float:
        """When the next comes, in seconds since the epoch; infinity when nothing is planned."""
        return self._plans[0][0] if self._plans else float("inf")

    def plan(self, at: float, act: Act) -> None:
        """Put something on it.

        Args:
            at: seconds since the epoch.
            act: what happens then.
        """
        heapq.heappush(self._plans, (at, next(self._ticket), act))

    def take(self) -> Act:
        """Take off the next and return it."""
        return heapq.heappop(self._plans)[2]
