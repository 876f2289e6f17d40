"""While the mempool is not heard: say so in time, and go on with confirmed blocks.

The blocks that a source answers with go where its frames go: they are decoded, judged and stored like those
of the websocket, and their whales are recorded as seen only when mined.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from hydrophone.domain.questions import AboutTip
from hydrophone.domain.units import MICROS_PER_S, UnixMicros
from hydrophone.pipeline.connection import PATIENCE_S, ConnectionMonitor, ConnectionStatus
from hydrophone.pipeline.ports import Asker, Clock

POLL_S: Final = 30.0
"""Between two questions for blocks. # chosen: one comes every ten minutes, and REST serves others too."""
_LOOK_S: Final = 1.0
"""# chosen: nobody notices a second more after minutes, and a look costs microseconds."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for what.

    Attributes:
        unheard_s: without the mempool, until predictions are called unavailable.
        poll_s: between two questions for blocks from then on.
        look_s: between two looks at the clock.
    """

    unheard_s: float = PATIENCE_S
    poll_s: float = POLL_S
    look_s: float = _LOOK_S


class Degradation:
    """Looks at the clock for the monitor, and asks for blocks while nothing else tells of them.

    Args:
        monitor: knows whether the mempool is heard.
        asker: asked for the newest blocks.
        clock: now.
        patience: between two questions, and between two looks at the clock.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        *,
        monitor: ConnectionMonitor,
        asker: Asker,
        clock: Clock,
        patience: Patience = Patience(),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._monitor = monitor
        self._asker = asker
        self._clock = clock
        self._poll_micros = round(patience.poll_s * MICROS_PER_S)
        self._look_s = patience.look_s
        self._sleep = sleep

    async def run(self, ready: Callable[[], None]) -> None:
        """Look until cancelled."""
        ready()
        asked_at: UnixMicros | None = None
        while True:
            await self._sleep(self._look_s)
            now = self._clock()
            await self._monitor.look(now)
            if self._monitor.status is not ConnectionStatus.DEGRADED:
                asked_at = None
            elif asked_at is None or now - asked_at >= self._poll_micros:
                self._asker.ask(AboutTip())
                asked_at = now
