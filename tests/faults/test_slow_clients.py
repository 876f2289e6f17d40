"""Clients that read slowly or not at all, on real sockets; only the clock is ours."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from hydrophone.domain.units import UnixMicros
from hydrophone.web.live import AlertServer
from hydrophone.web.room import Client
from tests.backends import running

MESSAGE_BYTES = 4096
WRITE_LIMIT = 65_536
BACKLOG = 8
MOST_HELD = WRITE_LIMIT + MESSAGE_BYTES + 100  # one message more, with its frame, may cross the limit


class Clock:
    def __init__(self) -> None:
        self.time_s = 0.0

    def __call__(self) -> float:
        return self.time_s


make_server = partial(
    AlertServer,
    "127.0.0.1",
    0,
    greeting=lambda: None,
    clock=lambda: UnixMicros(1_000_000),
    backlog=BACKLOG,
    write_limit=WRITE_LIMIT,
    sweep_interval_s=0.001,
)


@asynccontextmanager
async def joined(server: AlertServer) -> AsyncIterator[tuple[ClientConnection, Client]]:
    """A client that reads nothing until `recv`, and the server's end of it."""
    before = set(server._room.clients)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that it fills soon
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", server.port))
    client = await connect("ws://alerts/", sock=sock, max_queue=1, ping_interval=None)
    await until(lambda: server._room.clients != before)
    (ours,) = server._room.clients - before
    try:
        yield client, ours
    finally:
        client.transport.abort()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # of things that have no event
            await asyncio.sleep(0)


def message(n: int) -> bytes:
    return json.dumps({"n": n, "padding": "x" * MESSAGE_BYTES}).encode()


def parse(raw: str | bytes) -> int | tuple[str, int]:
    """The number of a message, or ("lagged", how many)."""
    said = json.loads(raw)
    if "type" not in said:
        return int(said["n"])
    assert said["timestamp"] == "1970-01-01T00:00:01.000000Z"
    return (said["type"], said["data"]["n"])


async def publish_until(server: AlertServer, condition: Callable[[], bool], *, start: int = 0) -> int:
    """Publish numbered messages until a condition holds; return the number of the next."""
    n = start
    while not condition():
        await server.publish(message(n))
        n += 1
    return n


async def receive(client: ClientConnection, last: int) -> list[int | tuple[str, int]]:
    """Everything up to a message."""
    received = [parse(await client.recv())]
    while received[-1] != last:
        received.append(parse(await client.recv()))
    return received


async def test_a_stalled_client_keeps_nothing_from_the_others() -> None:
    server = make_server()
    async with running(server.run), joined(server) as (_, stalled), joined(server) as (reader, _):
        for n in range(500):
            await server.publish(message(n))
            assert parse(await reader.recv()) == n
        assert stalled.lost > 0


async def test_what_was_lost_is_told_exactly_and_where() -> None:
    server = make_server()
    async with running(server.run), joined(server) as (client, ours):
        end = await publish_until(server, lambda: server.counters.dropped == 5)
        received = await receive(client, end - 1)
        before = end - BACKLOG - 5
        assert received == [*range(before), ("lagged", 5), *range(end - BACKLOG, end)]
        assert ours.lost == 0
        assert not ours.backlog

        await server.publish(message(end))
        assert parse(await client.recv()) == end


async def test_a_client_that_was_behind_but_lost_nothing_gets_everything_in_order() -> None:
    server = make_server()
    async with running(server.run), joined(server) as (client, ours):
        end = await publish_until(server, lambda: len(ours.backlog) == BACKLOG)
        assert await receive(client, end - 1) == list(range(end))
        assert server.counters.dropped == 0


async def test_losses_again_and_again_add_up() -> None:
    server = make_server()
    async with running(server.run), joined(server) as (client, _):
        end = 0
        received: list[int | tuple[str, int]] = []
        for dropped in (3, 10, 40):
            end = await publish_until(server, lambda d=dropped: server.counters.dropped >= d, start=end)  # type: ignore[misc]
            received += [parse(await client.recv()) for _ in range(30)]
        while received[-1] != end - 1:
            received.append(parse(await client.recv()))
        expected = 0
        for item in received:
            expected = expected + item[1] if isinstance(item, tuple) else expected
            if isinstance(item, int):
                assert item == expected
                expected += 1
        assert sum(item[1] for item in received if isinstance(item, tuple)) == server.counters.dropped


async def test_a_stalled_client_holds_a_bounded_amount_of_memory_and_no_copies() -> None:
    server = make_server()
    async with running(server.run), joined(server) as (_, first), joined(server) as (_, second):
        await publish_until(server, lambda: min(first.lost, second.lost) > 1000)
        for ours in (first, second):
            assert len(ours.backlog) == BACKLOG
            assert ours.transport.get_write_buffer_size() <= MOST_HELD
        assert all(a is b for a, b in zip(first.backlog, second.backlog, strict=True))


async def test_a_stalled_client_is_disconnected_after_the_time_out_and_no_other() -> None:
    clock = Clock()
    server = make_server(now=clock)
    async with running(server.run), joined(server) as (client, stalled), joined(server) as (reader, ours):
        clock.time_s = 100.0
        n = 0
        while not stalled.paused:
            await server.publish(message(n))
            assert parse(await reader.recv()) == n
            n += 1
        clock.time_s = 129.9
        server._kick_stalled()
        assert server.counters.kicked == 0
        clock.time_s = 130.0
        await until(lambda: server.counters.kicked == 1)
        await until(lambda: server.client_count == 1)
        assert server._room.clients == {ours}
        assert server._room.paused == set()
        await server.publish(message(n))
        assert parse(await reader.recv()) == n
        with pytest.raises(ConnectionClosed):
            await receive(client, n)


async def test_a_client_that_takes_something_is_not_stalled() -> None:
    clock = Clock()
    many = 64  # more than the socket takes at once, so that it is full again and again
    server = make_server(now=clock, backlog=many)
    async with running(server.run), joined(server) as (client, ours):
        n = 0
        for _ in range(5):
            clock.time_s += 20.0
            n = await publish_until(server, lambda: len(ours.backlog) == many, start=n)
            while ours.paused_at != clock.time_s:
                await client.recv()
            assert ours.transport.get_write_buffer_size() <= MOST_HELD
        server._kick_stalled()
        assert server.counters.kicked == 0
        clock.time_s += 30.0
        server._kick_stalled()
        assert server.counters.kicked == 1


async def test_a_client_that_caught_up_is_not_held_to_its_past() -> None:
    clock = Clock()
    server = make_server(now=clock)
    async with running(server.run), joined(server) as (client, ours):
        end = await publish_until(server, lambda: ours.paused)
        await receive(client, end - 1)
        await until(lambda: not ours.paused)
        clock.time_s = 1000.0
        server._kick_stalled()
        await server.publish(message(end))
        assert parse(await client.recv()) == end


async def test_a_stalled_client_does_not_hold_up_the_end() -> None:
    server = make_server(close_timeout_s=600.0)  # longer than a test may take
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(server.run))
        async with joined(server) as (_, ours):
            await publish_until(server, lambda: ours.paused)
            await stack.aclose()
    assert server.client_count == 0


async def test_who_does_not_read_is_not_answered_and_no_answer_overtakes_what_waits() -> None:
    server = make_server()
    async with running(server.run), joined(server) as (client, ours):
        end = await publish_until(server, lambda: len(ours.backlog) == BACKLOG)
        full = ours.transport.get_write_buffer_size()
        for _ in range(10):
            await client.send('{"type":"ping"}')
        await until(lambda: len(ours.recv_messages.frames) > 0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert ours.transport.get_write_buffer_size() == full

        received = [json.loads(await client.recv()) for _ in range(end + 10)]
        assert [said.get("type") for said in received] == [None] * end + ["pong"] * 10


async def test_while_memory_is_short_who_is_behind_for_a_second_is_disconnected_and_no_other() -> None:
    clock = Clock()
    server = make_server(now=clock)
    async with running(server.run), joined(server) as (_, stalled), joined(server) as (reader, ours):
        clock.time_s = 100.0
        n = 0
        while not stalled.paused:
            await server.publish(message(n))
            assert parse(await reader.recv()) == n
            n += 1
        assert server.shed_slow() == 0, "it may catch its breath"
        assert server.longest_backlog == len(stalled.backlog)
        clock.time_s = 101.0
        await until(lambda: server.counters.shed == 1)
        await until(lambda: server.client_count == 1)
        assert server._room.clients == {ours}
        assert (server.counters.kicked, server.longest_backlog) == (0, 0)


async def test_when_memory_is_back_who_is_behind_has_the_usual_time() -> None:
    clock = Clock()
    server = make_server(now=clock)
    async with running(server.run), joined(server) as (_, stalled):
        clock.time_s = 100.0
        server.shed_slow()
        server.spare_slow()
        await publish_until(server, lambda: stalled.paused)
        clock.time_s = 129.9
        server._kick_stalled()
        assert (server.counters.shed, server.counters.kicked) == (0, 0)
        clock.time_s = 130.0
        await until(lambda: server.counters.kicked == 1)
