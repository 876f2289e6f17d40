"""Watches how full bounded queues are, and tells the operator of one that stays full."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from hydrophone.runtime.telemetry import get_logger

log = get_logger(__name__)

LOOK_S: Final = 1.0
_FULL_SHARE: Final = 0.9
"""From here on a queue counts as full. # chosen: whoever takes from it is behind, and the rest goes soon."""
_DRAINED_SHARE: Final = 0.5
"""# chosen: below it the queue is well again; between the two nothing new is said."""
PATIENCE_S: Final = 30.0
"""# chosen: a burst after a reconnect fills queues for seconds; longer is too much, or stuck."""


class Fill(NamedTuple):
    """How full a queue is.

    Attributes:
        waiting: now.
        capacity: at most.
        high_water: the most that ever waited, if the queue itself knows; else what was seen at a look.
    """

    waiting: int
    capacity: int
    high_water: int = 0


class QueueWatch:
    """Looks every second.

    Args:
        queues: name, and what reads its fill.
        now: seconds of a clock that never jumps.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        queues: Mapping[str, Callable[[], Fill]],
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._queues = queues
        self._now = now
        self._sleep = sleep
        self._high_water = dict.fromkeys(queues, 0)
        self._full_since: dict[str, float] = {}
        self._said: set[str] = set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Watch until cancelled."""
        ready()
        while True:
            self.look()
            await self._sleep(LOOK_S)

    def look(self) -> None:
        """Look once, and log what the operator has to know."""
        for name, read in self._queues.items():
            fill = read()
            self._note(name, fill)
            share = fill.waiting / fill.capacity if fill.capacity else 0.0
            if share >= _FULL_SHARE:
                self._note_full(name, fill, self._full_since.setdefault(name, self._now()))
            elif share < _DRAINED_SHARE or name not in self._said:
                since = self._full_since.pop(name, None)
                if name in self._said and since is not None:
                    self._said.discard(name)
                    log.info("queue_drained", queue=name, after_s=round(self._now() - since, 1))

    def _note(self, name: str, fill: Fill) -> None:
        self._high_water[name] = max(self._high_water[name], fill.high_water, fill.waiting)

    def _note_full(self, name: str, fill: Fill, since: float) -> None:
        if name in self._said or self._now() - since < PATIENCE_S:
            return
        self._said.add(name)
        log.warning(
            "queue_full",
            queue=name,
            waiting=fill.waiting,
            capacity=fill.capacity,
            full_s=round(self._now() - since, 1),
            hint="what empties it is too slow or stuck: see docs/operations.md",
        )

    def report(self) -> dict[str, dict[str, Any]]:
        """Return how full each is: waiting, high_water, capacity, and since when it is full, in seconds."""
        report = {}
        for name, read in self._queues.items():
            fill = read()
            self._note(name, fill)
            since = self._full_since.get(name)
            report[name] = {
                "waiting": fill.waiting,
                "high_water": self._high_water[name],
                "capacity": fill.capacity,
                "full_for_s": None if since is None else round(self._now() - since, 1),
            }
        return report
