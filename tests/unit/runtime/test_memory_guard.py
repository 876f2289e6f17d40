import asyncio
import ctypes
import gc
import itertools
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.runtime import memory_guard
from hydrophone.runtime.memory_guard import (
    LOOK_S,
    MB,
    Level,
    MemoryGuard,
    MemoryLimits,
    Relief,
    release_memory,
    relief,
)

LIMITS = MemoryLimits(shed_bytes=400 * MB, recover_bytes=340 * MB, limit_bytes=500 * MB)


class Scene:
    """A guard, the memory it reads, and what it asks to be let go."""

    def __init__(self, limits: MemoryLimits = LIMITS) -> None:
        self.rss_mb = 100.0
        self.time_s = 0.0
        self.done: list[str] = []
        self.levels: list[Level] = []
        self.in_cache = 10
        self.released_count = self.collected_count = 0
        self.guard = MemoryGuard(
            limits,
            (
                relief("cache", self.shrink, lambda: self.done.append("cache may grow")),
                Relief("lookups", self.hold, self.let_go, Level.HOLDING),
            ),
            on_level=self.note_level,
            read_rss=lambda: int(self.rss_mb * MB),
            release=self.release,
            now=lambda: self.time_s,
            sleep=self.sleep,
        )

    def shrink(self) -> int:
        went, self.in_cache = self.in_cache, 0
        self.done.append("cache shrinks")
        return went

    async def hold(self) -> int:
        self.done.append("lookups wait")
        return 1

    async def let_go(self) -> None:
        self.done.append("lookups go on")

    async def note_level(self, level: Level) -> None:
        self.levels.append(level)

    async def release(self, is_collecting: bool) -> None:
        self.released_count += 1
        self.collected_count += is_collecting

    async def sleep(self, seconds: float) -> None:
        self.time_s += seconds

    async def look(self, *sizes_mb: float) -> list[dict[str, Any]]:
        """Look once a second, at so much memory each; return what was logged."""
        with structlog.testing.capture_logs() as logs:
            for size_mb in sizes_mb:
                self.rss_mb = size_mb
                await self.guard.look()
                await self.sleep(LOOK_S)
        return [dict(entry) for entry in logs]


async def test_below_the_limit_nothing_is_done() -> None:
    scene = Scene()
    assert await scene.look(100, 399.9, 250) == []
    assert scene.done == []
    assert scene.guard.report() == {
        "level": "normal",
        "rss_mb": 250.0,
        "peak_mb": 399.9,
        "shed_mb": 400.0,
        "recover_mb": 340.0,
        "limit_mb": 500.0,
        "short_for_s": None,
        "times_short": 0,
        "times_held": 0,
        "shed": {"cache": 0, "lookups": 0},
    }


async def test_at_the_limit_caches_are_let_go_and_when_memory_is_back_they_may_grow() -> None:
    scene = Scene()
    [said] = await scene.look(400)
    assert (said["event"], said["log_level"], said["shed"]) == ("memory_shed", "warning", {"cache": 10})
    assert scene.levels == [Level.SHEDDING]
    assert scene.released_count == 1
    [said] = await scene.look(390, 341, 339)
    assert (said["event"], said["log_level"], said["after_s"]) == ("memory_recovered", "info", 3.0)
    assert scene.levels == [Level.SHEDDING, Level.NORMAL]
    assert scene.done[-1] == "cache may grow"
    assert "lookups wait" not in scene.done
    assert scene.guard.report()["shed"] == {"cache": 10, "lookups": 0}


async def test_if_that_does_not_suffice_lookups_wait_until_memory_is_back() -> None:
    scene = Scene()
    said = await scene.look(410, 405, 405)
    assert [entry["event"] for entry in said] == ["memory_shed", "memory_lookups_held"]
    assert scene.guard.level is Level.HOLDING
    assert "lookups wait" in scene.done
    await scene.look(399, 345)  # less, and still not enough less
    assert scene.guard.level is Level.HOLDING
    await scene.look(300)
    assert scene.levels == [Level.SHEDDING, Level.HOLDING, Level.NORMAL]
    assert scene.done[-2:] == ["cache may grow", "lookups go on"]
    assert (scene.guard.report()["times_short"], scene.guard.report()["times_held"]) == (1, 1)


async def test_between_the_two_limits_we_do_not_swing() -> None:
    scene = Scene()
    await scene.look(*[401, 345] * 20)
    assert scene.levels in ([Level.SHEDDING], [Level.SHEDDING, Level.HOLDING])
    scene = Scene()
    await scene.look(*[339, 399] * 20)
    assert scene.levels == []


async def test_while_memory_stays_short_it_is_given_back_again_and_garbage_sought_ever_more_seldom() -> None:
    scene = Scene()
    collected = []
    for second in range(300):
        before = scene.collected_count
        await scene.look(410)
        collected += [second] * (scene.collected_count - before)
    assert collected == [0, 3, 9, 21, 45, 93, 153, 213, 273]
    assert scene.released_count == 100
    assert scene.done.count("cache shrinks") == 300
    await scene.look(300, 410)
    assert scene.collected_count == len(collected) + 1, "a new shortage begins anew"


async def test_a_relief_that_is_held_up_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_guard, "_PRESS_S", 0.01)
    scene = Scene()

    async def wait_for_a_stuck_writer() -> int:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    stuck = Relief("database", wait_for_a_stuck_writer, scene.let_go)
    scene.guard._reliefs = (stuck, *scene.guard._reliefs)
    async with asyncio.timeout(5):
        await scene.look(410, 410, 410)
    assert scene.guard.level is Level.HOLDING
    assert {"cache shrinks", "lookups wait"} <= set(scene.done)
    assert scene.guard.report()["shed"] == {"cache": 10, "lookups": 1, "database": 0}


async def test_more_than_is_ever_meant_is_an_error_said_once() -> None:
    scene = Scene()
    said = await scene.look(501, 502, 450, 501)
    errors = [entry for entry in said if entry["log_level"] == "error"]
    assert [entry["event"] for entry in errors] == ["memory_above_limit"]
    await scene.look(300)
    assert [entry["event"] for entry in await scene.look(501)] == ["memory_above_limit", "memory_shed"]


async def test_0_is_never() -> None:
    scene = Scene(MemoryLimits(shed_bytes=0, recover_bytes=0, limit_bytes=10**6 * MB))
    assert await scene.look(900, 90_000) == []
    assert scene.done == []


@given(st.lists(st.integers(100, 600), max_size=60))
def test_whatever_memory_does_the_levels_rise_in_order_and_all_is_undone_in_the_end(
    sizes_mb: list[int],
) -> None:
    scene = Scene()
    asyncio.run(scene.look(*sizes_mb, 100))
    order = [Level.NORMAL, *scene.levels]
    allowed = {
        (Level.NORMAL, Level.SHEDDING),
        (Level.SHEDDING, Level.HOLDING),
        (Level.SHEDDING, Level.NORMAL),
        (Level.HOLDING, Level.NORMAL),
    }
    assert set(itertools.pairwise(order)) <= allowed
    assert scene.guard.level is Level.NORMAL
    for pressed, eased in (("cache shrinks", "cache may grow"), ("lookups wait", "lookups go on")):
        last = next((done for done in reversed(scene.done) if done in (pressed, eased)), eased)
        assert last == eased


async def test_it_looks_every_second_until_it_is_cancelled() -> None:
    scene = Scene()

    async def sleep(seconds: float) -> None:
        scene.done.append(f"slept {seconds:g}")
        if len(scene.done) == 3:
            raise asyncio.CancelledError

    guard = MemoryGuard(LIMITS, (), on_level=scene.note_level, read_rss=lambda: 5 * MB, sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await guard.run(lambda: scene.done.append("ready"))
    assert scene.done == ["ready", "slept 1", "slept 1"]
    assert guard.report()["rss_mb"] == 5.0


class Cycle:
    """Refers to itself: only the collector frees it."""

    def __init__(self) -> None:
        self.me = self


async def test_what_was_freed_is_collected_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    monkeypatch.setattr(memory_guard, "_malloc_trim", lambda: trimmed.append)
    gc.disable()
    try:
        cycle = Cycle()
        address = id(cycle)
        del cycle
        await release_memory(False)
        assert any(id(found) == address and isinstance(found, Cycle) for found in gc.get_objects())
        await release_memory(True)
        assert not any(id(found) == address and isinstance(found, Cycle) for found in gc.get_objects())
    finally:
        gc.enable()
    assert trimmed == [0, 0]


async def test_another_c_library_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    memory_guard._malloc_trim.cache_clear()
    try:
        assert memory_guard._malloc_trim() is None
        await release_memory(True)
    finally:
        memory_guard._malloc_trim.cache_clear()


async def test_when_the_system_does_not_tell_the_next_look_asks_again() -> None:
    scene = Scene()
    await scene.look(410)

    def refuse() -> int:
        raise OSError("Too many open files")

    told = scene.guard._read_rss
    scene.guard._read_rss = refuse
    assert await scene.look(410) == []
    assert scene.levels == [Level.SHEDDING]
    scene.guard._read_rss = told
    await scene.look(100)
    assert scene.levels == [Level.SHEDDING, Level.NORMAL]
