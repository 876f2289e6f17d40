import asyncio
import socket
from pathlib import Path

import pytest

from hydrophone.runtime.channel import Channel
from hydrophone.runtime.heartbeat import ChannelProbe, Heartbeat, Probe, Stuck
from hydrophone.runtime.service_manager import ServiceManager


class Rounds:
    """A sleep that lets a number of rounds pass, and then ends the heartbeat."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.slept_s: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self._left -= 1
        if self._left < 0:
            raise asyncio.CancelledError


class Manager(ServiceManager):
    """Keeps what it is told."""

    def __init__(self, watchdog_s: float | None) -> None:
        super().__init__("@nobody", watchdog_s)
        self.told: list[str] = []

    def _send(self, text: str) -> None:
        self.told.append(text)


async def beat(probe: Probe, *, watchdog_s: float | None = 0.03, rounds: int = 2) -> tuple[list[str], Rounds]:
    manager, sleep = Manager(watchdog_s), Rounds(rounds)
    heartbeat = Heartbeat(manager, [("part", probe)], lambda: "well", sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await heartbeat.run(lambda: None)
    return manager.told, sleep


async def answers() -> None:
    return


async def never_answers() -> None:
    await asyncio.Event().wait()


async def is_stuck() -> None:
    raise Stuck("nothing moves")


async def test_it_gives_signs_of_life_thrice_as_often_as_they_are_wanted() -> None:
    told, sleep = await beat(answers)
    assert told == ["STATUS=well", "WATCHDOG=1", "WATCHDOG=1"]
    assert sleep.slept_s == pytest.approx([0.01] * 3)


@pytest.mark.parametrize("probe", [never_answers, is_stuck])
async def test_it_gives_none_while_a_part_is_stuck(probe: Probe) -> None:
    told, _ = await beat(probe)
    assert told == ["STATUS=well"]


async def test_where_none_are_wanted_it_only_says_what_goes_on() -> None:
    told, _ = await beat(is_stuck, watchdog_s=None)
    assert told == ["STATUS=well"]


async def test_a_channel_is_stuck_when_something_waits_and_nothing_is_taken() -> None:
    channel: Channel[int] = Channel("numbers", 10)
    probe = ChannelProbe(channel, lambda: False)
    await probe()
    await channel.put(1)
    await probe()  # it may just have come
    with pytest.raises(Stuck, match="numbers"):
        await probe()
    await channel.take()
    await channel.put(2)
    await probe()


async def test_an_idle_channel_and_one_whose_receiver_is_excused_are_not_stuck() -> None:
    channel: Channel[int] = Channel("numbers", 10)
    is_excused = False
    probe = ChannelProbe(channel, lambda: is_excused)
    for _ in range(3):
        await probe()
    await channel.put(1)
    await probe()
    is_excused = True
    await probe()
    is_excused = False
    await probe()
    with pytest.raises(Stuck):
        await probe()


async def test_a_real_manager_hears_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(tmp_path / "notify"))
        manager = ServiceManager(str(tmp_path / "notify"), 0.03)
        heartbeat = Heartbeat(manager, [("part", answers)], lambda: "well", sleep=Rounds(1))
        with pytest.raises(asyncio.CancelledError):
            await heartbeat.run(lambda: None)
        bound.settimeout(30)
        assert [bound.recv(100), bound.recv(100)] == [b"STATUS=well", b"WATCHDOG=1"]
