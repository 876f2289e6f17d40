"""Watches the memory of the process, and lets go of what can be had again before it gets too much.

Three levels. Normal; shedding: what is only kept to be quick is let go, and stays small; holding: that did
not suffice, so work that can wait waits. What must not be lost is nobody's relief, and so is never shed.
"""

import asyncio
import ctypes
import gc
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

from hydrophone.runtime.telemetry import get_logger, rss_bytes

log = get_logger(__name__)

LOOK_S: Final = 1.0
"""Between two looks. # chosen: a look costs some 30 microseconds; a burst fills some 30 MB in a second."""
_SETTLE_S: Final = 2.0
"""# chosen: within it memory that was let go is back with the system; else it did not suffice."""
_TRIM_EVERY_S: Final = 3.0
"""While memory stays short. # chosen: only so what was freed goes back, in a thread of its own."""
_COLLECT_SELDOM_S: Final = 60.0
"""The first collection comes at once, each next one after twice as long, up to this. # chosen: one stops us
for 15 ms for each 100,000 objects that live, and what three did not find the fourth hardly will."""
_PRESS_S: Final = 1.0
"""A relief may take so long. # chosen: DuckDB's waits for the writer, which a slow disk holds up; the others
come before the next look."""
MB: Final = 2**20


class Level(StrEnum):
    """How short of memory we are."""

    NORMAL = "normal"
    SHEDDING = "shedding"
    HOLDING = "holding"


@dataclass(frozen=True, slots=True)
class Relief:
    """Something that gives memory back.

    Attributes:
        name: for the log, the status and metrics.
        press: called at each look while memory is short; returns how many things it let go this time.
        ease: called when memory is there again.
        level: from which level on it is pressed.
    """

    name: str
    press: Callable[[], Awaitable[int]]
    ease: Callable[[], Awaitable[None]]
    level: Level = Level.SHEDDING


def relief(
    name: str, press: Callable[[], int], ease: Callable[[], None], level: Level = Level.SHEDDING
) -> Relief:
    """Return a relief whose calls do not wait."""

    async def press_now() -> int:
        return press()

    async def ease_now() -> None:
        ease()

    return Relief(name, press_now, ease_now, level)


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """From how much on what is done.

    Attributes:
        shed_bytes: from here on caches are let go; 0: never.
        recover_bytes: below it all is as before; less than `shed_bytes`, so that we do not swing.
        limit_bytes: we never mean to be above it; said as an error.
    """

    shed_bytes: int
    recover_bytes: int
    limit_bytes: int


class MemoryGuard:
    """Looks every second.

    Args:
        limits: from how much on what is done.
        reliefs: what gives memory back, in the order in which it is asked.
        on_level: told each new level.
        read_rss: resident memory in bytes.
        release: gives what was freed back to the system; told whether garbage is to be collected before.
        now: seconds of a clock that never jumps.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        limits: MemoryLimits,
        reliefs: Sequence[Relief],
        *,
        on_level: Callable[[Level], Awaitable[None]],
        read_rss: Callable[[], int] = rss_bytes,
        release: Callable[[bool], Awaitable[None]] | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._limits = limits
        self._reliefs = reliefs
        self._on_level = on_level
        self._read_rss = read_rss
        self._release = release or release_memory
        self._now = now
        self._sleep = sleep
        self.level = Level.NORMAL
        self.rss_bytes = self.peak_bytes = 0
        self.shed: Counter[str] = Counter({relief.name: 0 for relief in reliefs})
        self.episodes: Counter[Level] = Counter({Level.SHEDDING: 0, Level.HOLDING: 0})
        self._short_since = self._trimmed_at = self._collected_at = self._collect_pause_s = 0.0
        self._was_above_limit = False

    async def run(self, ready: Callable[[], None]) -> None:
        """Watch until cancelled."""
        ready()
        while True:
            await self.look()
            await self._sleep(LOOK_S)

    async def look(self) -> None:
        """Look once, and do what is due."""
        try:
            rss = self.rss_bytes = self._read_rss()
        except OSError:
            return  # no file is left by which the system tells; the next look may have one
        self.peak_bytes = max(self.peak_bytes, rss)
        self._note_limit(rss)
        if self.level is Level.NORMAL:
            if self._limits.shed_bytes and rss >= self._limits.shed_bytes:
                await self._begin(rss)
            return
        if rss < self._limits.recover_bytes:
            await self._end(rss)
            return
        is_settled = self._now() - self._short_since >= _SETTLE_S
        is_rising = self.level is Level.SHEDDING and is_settled and rss >= self._limits.shed_bytes
        if is_rising:
            await self._rise(Level.HOLDING)
        await self._press()
        if is_rising:
            log.warning(
                "memory_lookups_held",
                rss_mb=_mb(rss),
                shed_mb=_mb(self._limits.shed_bytes),
                hint="letting go of caches did not suffice: look-ups for low-fee whales wait; no signal does",
            )

    async def _begin(self, rss: int) -> None:
        self._short_since = self._now()
        self._trimmed_at = self._short_since - _TRIM_EVERY_S
        self._collect_pause_s = 0.0
        await self._rise(Level.SHEDDING)
        shed = await self._press()
        log.warning(
            "memory_shed",
            rss_mb=_mb(rss),
            shed_mb=_mb(self._limits.shed_bytes),
            shed=shed,
            hint="caches and slow clients were let go; predictions never are",
        )

    async def _rise(self, level: Level) -> None:
        self.level = level
        self.episodes[level] += 1
        await self._on_level(level)

    async def _press(self) -> dict[str, int]:
        """Ask every relief of this level; return what was let go."""
        shed = {}
        for one in self._reliefs:
            if one.level is Level.SHEDDING or self.level is Level.HOLDING:
                count = await _pressed(one)
                self.shed[one.name] += count
                if count:
                    shed[one.name] = count
        now = self._now()
        if now - self._trimmed_at >= _TRIM_EVERY_S:
            self._trimmed_at = now
            is_collecting = now - self._collected_at >= self._collect_pause_s
            if is_collecting:
                self._collected_at = now
                self._collect_pause_s = min(max(_TRIM_EVERY_S, 2 * self._collect_pause_s), _COLLECT_SELDOM_S)
            await self._release(is_collecting)
        return shed

    async def _end(self, rss: int) -> None:
        for one in self._reliefs:
            if one.level is Level.SHEDDING or self.level is Level.HOLDING:
                await one.ease()
        self.level = Level.NORMAL
        await self._on_level(Level.NORMAL)
        log.info("memory_recovered", rss_mb=_mb(rss), after_s=round(self._now() - self._short_since, 1))

    def _note_limit(self, rss: int) -> None:
        is_above = rss > self._limits.limit_bytes
        if is_above and not self._was_above_limit:
            log.error(
                "memory_above_limit",
                rss_mb=_mb(rss),
                limit_mb=_mb(self._limits.limit_bytes),
                hint="more is in use than is ever meant to be: see `hydrophone status`, and report it",
            )
        if is_above or rss < self._limits.recover_bytes:
            self._was_above_limit = is_above

    def report(self) -> dict[str, Any]:
        """Return how it stands, for people and programs; sizes in MB of 2**20 bytes."""
        is_short = self.level is not Level.NORMAL
        return {
            "level": self.level.value,
            "rss_mb": _mb(self.rss_bytes),
            "peak_mb": _mb(self.peak_bytes),
            "shed_mb": _mb(self._limits.shed_bytes),
            "recover_mb": _mb(self._limits.recover_bytes),
            "limit_mb": _mb(self._limits.limit_bytes),
            "short_for_s": round(self._now() - self._short_since, 1) if is_short else None,
            "times_short": self.episodes[Level.SHEDDING],
            "times_held": self.episodes[Level.HOLDING],
            "shed": dict(self.shed),
        }


async def _pressed(one: Relief) -> int:
    """Return how many things a relief let go; 0 also when it is held up: the next look asks it again."""
    try:
        async with asyncio.timeout(_PRESS_S):
            return await one.press()
    except TimeoutError:
        return 0


async def release_memory(is_collecting: bool) -> None:  # noqa: FBT001 -- the guard's question
    """Give what was freed back to the system: glibc keeps it otherwise.

    Args:
        is_collecting: whether garbage that only the collector finds is freed before.
    """
    if is_collecting:
        gc.collect()
    trim = _malloc_trim()
    if trim is not None:
        await asyncio.to_thread(trim, 0)  # ctypes lets go of the interpreter meanwhile


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Return glibc's malloc_trim; None: the C library is another one.

    Sources: malloc_trim(3).
    """
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


def _mb(size_bytes: int) -> float:
    return round(size_bytes / MB, 1)
