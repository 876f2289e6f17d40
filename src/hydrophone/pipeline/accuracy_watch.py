"""Watches how forecasts turn out, and tells the operator when they turn out badly."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from hydrophone.domain.accuracy import AccuracyAlert, Turn, WindowCounts
from hydrophone.domain.units import MICROS_PER_S, UnixMicros
from hydrophone.errors import StoreError
from hydrophone.pipeline.ports import Clock
from hydrophone.runtime.telemetry import get_logger

log = get_logger(__name__)

PERIOD_S: Final = 30.0
"""# chosen: an alert has to come within a minute of the outcome that calls for it (F13)."""
_S_PER_HOUR: Final = 3_600

QueryWindow = Callable[[UnixMicros, bool], Awaitable[WindowCounts]]
"""Counts confirmations since an instant, of a simulated mempool or of a real one."""


class AccuracyWatch:
    """Looks at the last hours again and again.

    Args:
        query_window: counts how they turned out.
        threshold_percent: below it the operator is alerted; 0: never.
        window_h: so many hours are looked at.
        cooldown_h: between two alerts.
        is_simulated: whether what is heard now is simulated: only the like is counted.
        clock: now.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        query_window: QueryWindow,
        *,
        threshold_percent: int,
        window_h: int,
        cooldown_h: int,
        is_simulated: Callable[[], bool],
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._query_window = query_window
        self._threshold_percent = threshold_percent
        self._window_h = window_h
        self._is_simulated = is_simulated
        self._clock = clock
        self._sleep = sleep
        self._alert = AccuracyAlert(threshold_percent, cooldown_h * _S_PER_HOUR)
        self._counts = WindowCounts(0, 0)

    async def run(self, ready: Callable[[], None]) -> None:
        """Watch until cancelled; what cannot be read now is looked at the next time.

        Args:
            ready: called at once.
        """
        ready()
        while True:
            try:
                await self.look()
            except StoreError as error:
                log.debug("accuracy_unread", reason=str(error))
            await self._sleep(PERIOD_S)

    async def look(self) -> None:
        """Look once, and log what the operator has to know.

        Raises:
            StoreError: the outcomes cannot be read now.
        """
        now = self._clock()
        since = UnixMicros(now - self._window_h * _S_PER_HOUR * MICROS_PER_S)
        is_simulated = self._is_simulated()
        self._counts = await self._query_window(since, is_simulated)
        turn = self._alert.step(now, self._counts)
        if turn is None or self._counts.share is None:
            return
        say = log.warning if turn is Turn.LOW else log.info
        say(
            turn.value,
            within_p90=round(self._counts.share, 4),
            n=self._counts.known,
            threshold_percent=self._threshold_percent,
            window_h=self._window_h,
            simulated=is_simulated,
            hint="see `hydrophone accuracy`",
        )

    def report(self) -> dict[str, object]:
        """Return how it stands, for people and programs."""
        share = self._counts.share
        return {
            "low": self._alert.is_low,
            "within_p90": "insufficient data" if share is None else round(share, 4),
            "n": self._counts.known,
            "threshold_percent": self._threshold_percent,
            "window_h": self._window_h,
            "direction": "not verified by this version",
        }
