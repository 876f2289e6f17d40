import asyncio

import pytest
import structlog

from hydrophone.domain.units import MICROS_PER_S, UnixMicros
from hydrophone.errors import StoreFull
from hydrophone.pipeline.retention import PAUSE_S, PERIOD_S, Retention
from tests.contract.fake_store import T0

DAY = 86_400 * MICROS_PER_S
MIDNIGHT = UnixMicros(T0 // DAY * DAY)


class Attic:
    """History that has so many things to remove, and notes what is asked of it."""

    def __init__(self, *counts: int | Exception, newest: UnixMicros | None = T0) -> None:
        self.counts = list(counts)
        self.newest = newest
        self.done: list[tuple[str, UnixMicros | None]] = []
        self.pauses: list[float] = []

    async def newest_instant(self) -> UnixMicros | None:
        return self.newest

    async def update_days(self, kept_from: UnixMicros | None) -> int:
        self.done.append(("days", kept_from))
        return 1

    async def drop_step(self, before: UnixMicros) -> int:
        self.done.append(("drop", before))
        count = self.counts.pop(0) if self.counts else 0
        if isinstance(count, Exception):
            raise count
        return count

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def retention(self, *, keep_days: int = 90, now: UnixMicros = T0) -> Retention:
        return Retention(self, keep_days=keep_days, clock=lambda: now, sleep=self.sleep)


async def test_days_are_kept_before_anything_goes_and_it_goes_with_pauses() -> None:
    attic = Attic(200, 3)
    before = UnixMicros(MIDNIGHT - 90 * DAY)
    with structlog.testing.capture_logs() as logs:
        assert await attic.retention().run_once() == 203
    assert attic.done == [("days", before), ("drop", before), ("drop", before), ("drop", before)]
    assert attic.pauses == [PAUSE_S, PAUSE_S]
    [entry] = logs
    assert (entry["event"], entry["count"], entry["older_than_days"]) == ("history_removed", 203, 90)


@pytest.mark.parametrize(("keep_days", "newest"), [(0, T0), (90, None)])
async def test_nothing_goes_when_all_is_kept_or_nothing_was_heard(
    keep_days: int, newest: UnixMicros | None
) -> None:
    attic = Attic(7, newest=newest)
    assert await attic.retention(keep_days=keep_days).run_once() == 0
    assert attic.done == [("days", None)]


async def test_age_counts_from_the_newest_that_was_heard_and_from_now_if_that_is_earlier() -> None:
    for newest, now in ((T0, UnixMicros(T0 + 400 * DAY)), (UnixMicros(T0 + 400 * DAY), T0)):
        attic = Attic(newest=newest)
        await attic.retention(keep_days=30, now=now).run_once()
        assert attic.done[0] == ("days", MIDNIGHT - 30 * DAY)


async def test_a_full_disk_only_puts_it_off() -> None:
    attic = Attic(StoreFull("no room"), 5)
    enough = asyncio.Event()

    async def sleep(seconds: float) -> None:
        attic.pauses.append(seconds)
        if attic.pauses.count(PERIOD_S) == 2:
            enough.set()
            await asyncio.Event().wait()

    retention = Retention(attic, keep_days=90, clock=lambda: T0, sleep=sleep)
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(retention.run())
        await enough.wait()
        task.cancel()
        await asyncio.wait([task])
    assert attic.pauses == [PERIOD_S, PAUSE_S, PERIOD_S]
    assert [entry["event"] for entry in logs] == ["retention_postponed", "history_removed"]
    assert logs[0]["reason"] == "no room"
