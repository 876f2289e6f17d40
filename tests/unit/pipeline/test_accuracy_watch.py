import asyncio

import structlog

from hydrophone.domain.accuracy import WindowCounts
from hydrophone.domain.units import MICROS_PER_S, UnixMicros
from hydrophone.errors import StoreClosed
from hydrophone.pipeline.accuracy_watch import PERIOD_S, AccuracyWatch
from tests.contract.fake_store import T0

HOUR = 3_600 * MICROS_PER_S


class Scene:
    """A watch, what it is told of the store, and the time."""

    def __init__(self, *windows: WindowCounts | Exception, is_simulated: bool = False) -> None:
        self.windows = list(windows)
        self.asked: list[tuple[UnixMicros, bool]] = []
        self.pauses: list[float] = []
        self.now = T0
        self.watch = AccuracyWatch(
            self.query,
            threshold_percent=70,
            window_h=24,
            cooldown_h=6,
            is_simulated=lambda: is_simulated,
            clock=lambda: self.now,
            sleep=self.sleep,
        )

    async def query(self, since: UnixMicros, is_simulated: bool) -> WindowCounts:
        self.asked.append((since, is_simulated))
        found = self.windows.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now = UnixMicros(self.now + HOUR)
        if not self.windows:
            raise asyncio.CancelledError

    async def run(self) -> list[dict[str, object]]:
        """Run until all windows were looked at; return what was logged."""
        with structlog.testing.capture_logs() as logs:
            task = asyncio.create_task(self.watch.run(lambda: None))
            await asyncio.wait([task])
            assert task.cancelled()
        return [dict(entry) for entry in logs if entry["log_level"] != "debug"]


async def test_a_fall_is_a_warning_and_the_recovery_is_said() -> None:
    scene = Scene(WindowCounts(60, 54), WindowCounts(60, 41), WindowCounts(60, 41), WindowCounts(80, 60))
    fall, recovery = await scene.run()
    assert fall == {
        "event": "accuracy_low",
        "log_level": "warning",
        "within_p90": 0.6833,
        "n": 60,
        "threshold_percent": 70,
        "window_h": 24,
        "simulated": False,
        "hint": "see `hydrophone accuracy`",
    }
    assert (recovery["event"], recovery["log_level"]) == ("accuracy_recovered", "info")
    assert (recovery["within_p90"], recovery["n"]) == (0.75, 80)
    assert scene.pauses == [PERIOD_S] * 4


async def test_it_looks_at_the_last_hours_of_the_kind_of_mempool_that_is_heard() -> None:
    scene = Scene(WindowCounts(0, 0), WindowCounts(0, 0), is_simulated=True)
    await scene.run()
    assert scene.asked == [(T0 - 24 * HOUR, True), (T0 - 23 * HOUR, True)]


async def test_the_status_says_how_it_stands_and_never_a_share_of_too_few() -> None:
    scene = Scene(WindowCounts(49, 0), WindowCounts(50, 0))
    assert scene.watch.report()["n"] == 0
    await scene.watch.look()
    assert scene.watch.report() == {
        "low": False,
        "within_p90": "insufficient data",
        "n": 49,
        "threshold_percent": 70,
        "window_h": 24,
        "direction": "not verified by this version",
    }
    await scene.watch.look()
    report = scene.watch.report()
    assert (report["low"], report["within_p90"], report["n"]) == (True, 0.0, 50)


async def test_what_cannot_be_read_is_looked_at_the_next_time() -> None:
    scene = Scene(StoreClosed("it was closed after an error"), WindowCounts(60, 0))
    [fall] = await scene.run()
    assert fall["event"] == "accuracy_low"
