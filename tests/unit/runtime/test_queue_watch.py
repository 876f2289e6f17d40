import asyncio
from typing import Any

import pytest
import structlog

from hydrophone.runtime.queue_watch import LOOK_S, PATIENCE_S, Fill, QueueWatch


class Scene:
    """A queue of 100, and who watches it."""

    def __init__(self) -> None:
        self.fill = Fill(0, 100)
        self.time_s = 0.0
        self.watch = QueueWatch({"frames": lambda: self.fill}, now=lambda: self.time_s)

    def look(self, waiting: int, *, seconds: int = 1) -> list[dict[str, Any]]:
        """Look once a second; return what was logged."""
        self.fill = Fill(waiting, 100)
        with structlog.testing.capture_logs() as logs:
            for _ in range(seconds):
                self.watch.look()
                self.time_s += LOOK_S
        return [dict(entry) for entry in logs]


def test_a_queue_that_stays_full_is_said_once_and_so_is_its_end() -> None:
    scene = Scene()
    assert scene.look(95, seconds=30) == []
    [said] = scene.look(90, seconds=60)
    assert said == {
        "event": "queue_full",
        "log_level": "warning",
        "queue": "frames",
        "waiting": 90,
        "capacity": 100,
        "full_s": PATIENCE_S,
        "hint": "what empties it is too slow or stuck: see docs/operations.md",
    }
    assert scene.watch.report()["frames"]["full_for_s"] == 90.0
    assert scene.look(60, seconds=60) == [], "better, and not well"
    [said] = scene.look(49)
    assert (said["event"], said["log_level"], said["queue"]) == ("queue_drained", "info", "frames")
    assert scene.watch.report()["frames"]["full_for_s"] is None


def test_a_burst_is_no_news() -> None:
    scene = Scene()
    for _ in range(10):
        assert scene.look(100, seconds=29) == []
        assert scene.look(89) == []


def test_the_highest_is_kept_also_what_the_queue_itself_saw() -> None:
    scene = Scene()
    scene.look(70)
    scene.look(10)
    assert scene.watch.report() == {
        "frames": {"waiting": 10, "high_water": 70, "capacity": 100, "full_for_s": None}
    }
    scene.fill = Fill(10, 100, high_water=97)
    assert scene.watch.report()["frames"]["high_water"] == 97


def test_a_queue_without_room_at_all_is_not_full() -> None:
    watch = QueueWatch({"none": lambda: Fill(0, 0)})
    watch.look()
    assert watch.report()["none"]["full_for_s"] is None


async def test_it_looks_until_it_is_cancelled() -> None:
    looks: list[float] = []

    async def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise asyncio.CancelledError

    watch = QueueWatch({"frames": lambda: Fill(len(looks), 100)}, sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await watch.run(lambda: None)
    assert watch.report()["frames"]["high_water"] == 3
