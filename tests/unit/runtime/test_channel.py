import asyncio
from collections.abc import Coroutine

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.errors import ServiceStopped
from hydrophone.runtime.channel import Channel


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def started(*work: Coroutine[None, None, object]) -> list[asyncio.Task[object]]:
    tasks = [asyncio.create_task(each) for each in work]
    await settle()
    return tasks


@pytest.fixture
def channel() -> Channel[int]:
    return Channel("numbers", capacity=2)


async def test_items_come_out_all_at_once_in_the_order_they_went_in(channel: Channel[int]) -> None:
    await channel.put(1)
    await channel.put(2)
    assert len(channel) == 2
    assert await channel.take() == [1, 2]
    assert len(channel) == 0


async def test_the_receiver_waits_for_an_item(channel: Channel[int]) -> None:
    (taking,) = await started(channel.take())
    assert not taking.done()
    await channel.put(1)
    assert await taking == [1]
    (taking,) = await started(channel.take())
    assert not taking.done()
    await channel.put(2)
    assert await taking == [2]


async def test_a_sender_waits_while_it_is_full_and_senders_keep_their_order(channel: Channel[int]) -> None:
    senders = await started(*(channel.put(number) for number in range(5)))
    assert [sender.done() for sender in senders] == [True, True, False, False, False]
    taken = []
    for _ in range(3):
        taken.append(await channel.take())
        await settle()
    assert taken == [[0, 1], [2, 3], [4]]
    await asyncio.gather(*senders)
    assert channel.high_water == channel.capacity


async def test_heavy_items_wait_for_room_and_one_too_heavy_goes_alone() -> None:
    channel: Channel[bytes] = Channel("frames", 10, max_weight=10, weigh=len)
    await channel.put(b"x" * 8)
    heavy = asyncio.create_task(channel.put(b"y" * 50))
    await asyncio.sleep(0)
    assert (len(channel), channel.is_idle) == (1, False)
    assert await channel.take() == [b"x" * 8]
    await heavy
    late = asyncio.create_task(channel.put(b"z"))
    await asyncio.sleep(0)
    assert await channel.take() == [b"y" * 50]
    assert not channel.is_idle, "one is on its way in"
    await late
    assert await channel.take() == [b"z"]
    assert channel.is_idle


async def test_after_closing_the_receiver_takes_what_is_left_and_then_nothing(channel: Channel[int]) -> None:
    await channel.put(1)
    channel.close()
    assert await channel.take() == [1]
    assert await channel.take() == []
    assert await channel.take() == []


async def test_closing_wakes_a_waiting_receiver(channel: Channel[int]) -> None:
    (taking,) = await started(channel.take())
    channel.close()
    assert await taking == []


async def test_a_closed_channel_accepts_nothing(channel: Channel[int]) -> None:
    channel.close()
    with pytest.raises(ServiceStopped, match="channel numbers is closed"):
        await channel.put(1)
    assert await channel.take() == []


async def test_closing_turns_waiting_senders_away(channel: Channel[int]) -> None:
    senders = await started(*(channel.put(number) for number in range(4)))
    channel.close()
    results = await asyncio.gather(*senders, return_exceptions=True)
    assert [type(result) for result in results[2:]] == [ServiceStopped, ServiceStopped]
    assert await channel.take() == [0, 1]


async def test_a_cancelled_sender_leaves_nothing_behind_and_does_not_block_the_next(
    channel: Channel[int],
) -> None:
    _, _, cancelled, waiting = await started(*(channel.put(number) for number in range(4)))
    cancelled.cancel()
    await settle()
    assert await channel.take() == [0, 1]
    await waiting
    assert await channel.take() == [3]


async def test_a_cancelled_receiver_loses_nothing(channel: Channel[int]) -> None:
    (taking,) = await started(channel.take())
    await channel.put(1)
    taking.cancel()  # in the same moment in which the item came
    await settle()
    assert taking.cancelled()
    assert await channel.take() == [1]


async def test_the_high_water_mark_stays(channel: Channel[int]) -> None:
    await channel.put(1)
    await channel.put(2)
    await channel.take()
    await channel.put(3)
    assert channel.high_water == 2


@given(
    st.integers(1, 4),
    st.lists(st.lists(st.integers(0, 3), max_size=8), min_size=1, max_size=4),
    st.lists(st.integers(0, 3), max_size=20),
)
def test_nothing_is_lost_or_doubled_and_no_sender_overtakes_itself(
    capacity: int, pauses_of_senders: list[list[int]], pauses_of_receiver: list[int]
) -> None:
    async def pause(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def run() -> list[tuple[int, int]]:
        channel = Channel[tuple[int, int]]("pairs", capacity)

        async def send(sender: int, pauses: list[int]) -> None:
            for number, turns in enumerate(pauses):
                await pause(turns)
                await channel.put((sender, number))

        async def receive() -> list[tuple[int, int]]:
            received = []
            turns = iter(pauses_of_receiver)
            while items := await channel.take():
                received += items
                await pause(next(turns, 0))
            return received

        receiving = asyncio.create_task(receive())
        await asyncio.gather(*(send(*pair) for pair in enumerate(pauses_of_senders)))
        channel.close()
        assert channel.high_water <= capacity
        return await receiving

    received = asyncio.run(run())
    for sender, pauses in enumerate(pauses_of_senders):
        assert [number for name, number in received if name == sender] == list(range(len(pauses)))
