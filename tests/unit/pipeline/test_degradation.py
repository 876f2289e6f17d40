import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hydrophone.domain.questions import AboutTip, Question
from hydrophone.domain.units import MICROS_PER_S, UnixMicros
from hydrophone.pipeline.connection import ConnectionStatus
from hydrophone.pipeline.degradation import Degradation
from tests.builders import mempool_json, opened, received
from tests.unit.pipeline.test_connection import Audience, after, closed, seconds_of


class Time:
    """A clock that only sleeping moves, up to where the test lets it."""

    def __init__(self) -> None:
        self.now = after(0)
        self._until = after(0)
        self._changed = asyncio.Event()
        self._is_asleep = asyncio.Event()

    def clock(self) -> UnixMicros:
        return self.now

    async def sleep(self, delay_s: float) -> None:
        wake_at = UnixMicros(self.now + round(delay_s * MICROS_PER_S))
        while wake_at > self._until:
            self._is_asleep.set()
            self._changed.clear()
            await self._changed.wait()
        self.now = wake_at

    async def pass_to(self, second: int) -> None:
        """Let time pass, and whoever sleeps do what is due."""
        self._is_asleep.clear()
        self._until = after(second)
        self._changed.set()
        await self._is_asleep.wait()


class Stage:
    """A monitor, its clock, and when blocks were asked for."""

    def __init__(self) -> None:
        self.audience = Audience()
        self.time = Time()
        self.asked_s: list[float] = []

    def ask(self, question: Question) -> None:
        assert question == AboutTip()
        self.asked_s.append(seconds_of(self.time.now))


@asynccontextmanager
async def degradation() -> AsyncIterator[Stage]:
    stage = Stage()
    service = Degradation(
        monitor=stage.audience.monitor,
        asker=stage,
        clock=stage.time.clock,
        sleep=stage.time.sleep,
    )
    ready = asyncio.Event()
    task = asyncio.create_task(service.run(ready.set))
    await ready.wait()
    try:
        yield stage
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()


async def test_while_the_mempool_is_not_heard_blocks_are_asked_for_each_half_minute() -> None:
    async with degradation() as stage:
        await stage.time.pass_to(299)
        assert stage.audience.heard == []
        assert stage.asked_s == []
        await stage.time.pass_to(421)
    assert stage.audience.statuses == ["degraded"]
    assert stage.asked_s == [300, 330, 360, 390, 420]


async def test_when_it_is_heard_again_nothing_is_asked_and_the_next_time_at_once() -> None:
    async with degradation() as stage:
        monitor = stage.audience.monitor
        await stage.time.pass_to(310)
        await monitor.note(opened(after(310)))
        await monitor.note(received(mempool_json(), after(311)))
        await stage.time.pass_to(500)
        assert stage.asked_s == [300]
        assert monitor.status is ConnectionStatus.CONNECTED
        await monitor.note(closed(after(500)))
        await stage.time.pass_to(640)
    assert stage.asked_s == [300, 611]


async def test_a_short_loss_is_no_reason_to_ask() -> None:
    async with degradation() as stage:
        for second in range(0, 1_200, 200):
            await stage.audience.monitor.note(opened(after(second)))
            await stage.audience.monitor.note(received(mempool_json(), after(second + 1)))
            await stage.audience.monitor.note(closed(after(second + 1)))
            await stage.time.pass_to(second + 200)
    assert stage.asked_s == []
    assert set(stage.audience.statuses) == {"connected", "disconnected"}
