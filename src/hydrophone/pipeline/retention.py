"""Keeps the days and forgets what they were made of: old history goes, a little at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from hydrophone.domain.units import MICROS_PER_S, UnixMicros
from hydrophone.errors import StoreError
from hydrophone.pipeline.ports import Clock
from hydrophone.runtime.telemetry import get_logger

log = get_logger(__name__)

PERIOD_S: Final = 600.0
"""# chosen: the days are never further behind; reading them takes milliseconds."""
PAUSE_S: Final = 1.0
"""Between two steps. # chosen: a step takes some 10 ms, so 99 signals of 100 find the writer free, and
a day of 2,000 predictions is gone in a quarter of a minute."""
_DAY_MICROS: Final = 86_400 * MICROS_PER_S


class History(Protocol):
    """What is kept, as retention needs it. Each call that removes something is one short transaction."""

    async def newest_instant(self) -> UnixMicros | None:
        """Return when the newest thing that was said had been heard; None: nothing was."""
        ...

    async def update_days(self, kept_from: UnixMicros | None) -> int:
        """Bring the table of days up to date; say how many changed.

        Args:
            kept_from: what ended before may be gone; None: everything is kept.
        """
        ...

    async def drop_step(self, before: UnixMicros) -> int:
        """Remove a few things of before an instant; say how many, 0 when nothing is left to remove."""
        ...


class Retention:
    """Runs for ever: keeps the days up to date and removes what is older than the period.

    Args:
        history: what is kept.
        keep_days: the period; 0: everything is kept.
        clock: now.
        sleep: waits so many seconds.

    Attributes:
        removed_count: things that were removed since the start.
        done_at: when all that was due had been removed last; None: not since the start.
    """

    def __init__(
        self,
        history: History,
        *,
        keep_days: int,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._history = history
        self._keep_days = keep_days
        self._clock = clock
        self._sleep = sleep
        self.removed_count = 0
        self.done_at: UnixMicros | None = None

    async def run(self) -> None:
        """Work until cancelled.

        What the store cannot do now is tried again after the next pause: history that stays a little longer
        is no reason to stop listening.
        """
        while True:
            try:
                await self.run_once()
                self.done_at = self._clock()
            except StoreError as error:
                log.warning("retention_postponed", reason=str(error))
            await self._sleep(PERIOD_S)

    async def run_once(self) -> int:
        """Bring the days up to date, then remove what is due; return how many things went.

        Raises:
            StoreError: the database cannot be read or written now.
        """
        before = await self._cutoff()
        await self._history.update_days(before)
        if before is None:
            return 0
        total = 0
        while count := await self._history.drop_step(before):
            total += count
            self.removed_count += count
            await self._sleep(PAUSE_S)
        if total:
            log.info("history_removed", count=total, older_than_days=self._keep_days)
        return total

    async def _cutoff(self) -> UnixMicros | None:
        """Return from when on things are kept, a midnight, so that days go whole; None: always.

        Counted back from the newest thing that was heard, if that is earlier than now: a clock that is set
        wrong removes nothing by itself.
        """
        newest = await self._history.newest_instant() if self._keep_days else None
        if newest is None:
            return None
        last = min(newest, self._clock())
        return UnixMicros((last // _DAY_MICROS - self._keep_days) * _DAY_MICROS)
