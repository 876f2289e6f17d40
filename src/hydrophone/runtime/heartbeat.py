"""Signs of life: given while every part is seen to work, and withheld as soon as one is not.

The sign comes from the event loop, so a loop that is stuck gives none. Whatever else can get stuck has a
probe.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NoReturn

from hydrophone.runtime.channel import Channel
from hydrophone.runtime.service_manager import ServiceManager
from hydrophone.runtime.telemetry import get_logger

log = get_logger(__name__)

_SIGNS: Final = 3
"""In the time within which one is wanted. # chosen: two may be late or missed before we are killed."""
_STATUS_EVERY_S: Final = 5.0
"""# chosen: `systemctl status` is read by people."""

Probe = Callable[[], Awaitable[None]]
"""Returns when its part works; raises `Stuck`, or takes too long, when it does not."""


class Stuck(Exception):
    """A part does not go on. It never leaves this module: the manager is told by silence."""


class ChannelProbe:
    """Whether the receiver of a channel goes on taking what waits.

    Args:
        channel: between two services.
        is_excused: whether the receiver waits for a reason that is known, such as a full disk.
    """

    def __init__(self, channel: Channel[Any], is_excused: Callable[[], bool]) -> None:
        self._channel = channel
        self._is_excused = is_excused
        self._taken_before: int | None = None

    async def __call__(self) -> None:
        """Raise Stuck when something waits, and nothing was taken since the last time."""
        taken, before = self._channel.taken_count, self._taken_before
        is_waiting = len(self._channel) > 0 and not self._is_excused()
        self._taken_before = taken if is_waiting else None
        if is_waiting and taken == before:
            raise Stuck(f"nobody takes what waits in {self._channel.name}")


class Heartbeat:
    """Tells the service manager what goes on, and that it goes on.

    Args:
        manager: who is told.
        probes: of all that can get stuck, by name.
        describe: what the service does, for people.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        manager: ServiceManager,
        probes: Sequence[tuple[str, Probe]],
        describe: Callable[[], str],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._manager = manager
        self._probes = probes
        self._describe = describe
        self._sleep = sleep

    async def run(self, ready: Callable[[], None]) -> NoReturn:
        """Tell until cancelled."""
        ready()
        watchdog_s = self._manager.watchdog_s
        every_s = _STATUS_EVERY_S if watchdog_s is None else min(_STATUS_EVERY_S, watchdog_s / _SIGNS)
        while True:
            await self._sleep(every_s)
            self._manager.say(self._describe())
            if watchdog_s is not None and await self._is_alive(watchdog_s / _SIGNS):
                self._manager.alive()

    async def _is_alive(self, patience_s: float) -> bool:
        for name, probe in self._probes:
            try:
                async with asyncio.timeout(patience_s):
                    await probe()
            except (Stuck, TimeoutError) as error:
                log.error("part_stuck", part=name, reason=str(error) or "does not answer")  # noqa: TRY400 -- no bug of ours is known
                return False
        return True
