import asyncio
import errno
import json
import logging
import resource
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus
from websockets.typing import Origin

from hydrophone.domain.units import UnixMicros
from hydrophone.errors import ConfigError
from hydrophone.web import live, loopback
from hydrophone.web.live import AlertServer
from hydrophone.web.loopback import check_port_free, is_allowed_origin, open_listeners, parse_host
from hydrophone.wire.socket_v1 import EVERYTHING

ANY_NUMBER = resource.RLIM_INFINITY


class Clock:
    def __init__(self) -> None:
        self.time_s = 0.0

    def __call__(self) -> float:
        return self.time_s


make_server = partial(AlertServer, "localhost", port=0, greeting=lambda: None, clock=lambda: UnixMicros(0))


@asynccontextmanager
async def running(server: AlertServer) -> AsyncIterator[AlertServer]:
    ready = asyncio.Event()
    task = asyncio.create_task(server.run(ready.set))
    waiter = asyncio.create_task(ready.wait())
    await asyncio.wait({task, waiter}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        waiter.cancel()
        await task
    try:
        yield server
    finally:
        task.cancel()
        await asyncio.wait({task})


def uri_of(server: AlertServer) -> str:
    return f"ws://127.0.0.1:{server.port}/"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # of things that have no event
            await asyncio.sleep(0)


async def ask(client: ClientConnection, message: str) -> dict[str, Any]:
    await client.send(message)
    answer: dict[str, Any] = json.loads(await client.recv())
    return answer


async def http(port: int, request: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode()


async def test_a_client_that_says_nothing_gets_every_alert_in_order_as_text() -> None:
    async with running(make_server()) as server, connect(uri_of(server)) as client:
        for n in range(50):
            await server.publish(b'{"n":%d}' % n)
        received = [await client.recv() for _ in range(50)]
    assert received == [f'{{"n":{n}}}' for n in range(50)]
    assert server.counters.messages == 50
    assert server.counters.dropped == 0


async def test_the_greeting_comes_before_any_alert() -> None:
    async with running(make_server(greeting=lambda: b"hello")) as server, connect(uri_of(server)) as client:
        await server.publish(b"alert")
        assert [await client.recv(), await client.recv()] == ["hello", "alert"]


async def test_ping_is_answered_by_pong() -> None:
    async with running(make_server()) as server, connect(uri_of(server)) as client:
        assert await ask(client, '{"type":"ping"}') == {
            "type": "pong",
            "data": {"seq": 0},
            "timestamp": "1970-01-01T00:00:00.000000Z",
        }


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("no json", "malformed"),
        ("", "malformed"),
        ("[]", "malformed"),
        ('{"type":7}', "malformed"),
        ('{"type":"ping","x":' + "[" * 60_000, "malformed"),
        ('{"type":"subscribe","filters":{"min_btc":500}}', "malformed"),
        ('{"type":"publish","data":{}}', "unsupported_message"),
    ],
)
async def test_bad_input_gets_a_typed_error_and_keeps_the_connection(message: str, code: str) -> None:
    async with running(make_server()) as server, connect(uri_of(server)) as client:
        answer = await ask(client, message)
        assert answer["type"] == "error"
        assert answer["data"]["code"] == code
        assert (await ask(client, '{"type":"ping"}'))["type"] == "pong"


async def test_a_message_above_64_kib_closes_with_1009() -> None:
    async with running(make_server()) as server, connect(uri_of(server)) as client:
        await client.send("x" * 65_537)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_twenty_messages_a_second_are_answered_and_the_next_closes_with_1008() -> None:
    clock = Clock()
    async with running(make_server(now=clock)) as server, connect(uri_of(server)) as client:
        for second in range(3):
            clock.time_s = float(second)
            for _ in range(20):
                assert (await ask(client, '{"type":"ping"}'))["type"] == "pong"
        clock.time_s = 2.99
        with pytest.raises(ConnectionClosed) as closed:
            await ask(client, '{"type":"ping"}')
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


async def test_who_pings_without_reading_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_ANSWERS_LIMIT_BYTES", 4096)
    async with running(make_server(write_limit=1024)) as server, connect(uri_of(server)) as client:
        client.transport.pause_reading()
        masked_ping = bytes([0x89, 0x80 | 125, 0, 0, 0, 0]) + bytes(125)
        await until(lambda: server.client_count == 1)

        def is_hung_up_on() -> bool:
            if client.transport.get_write_buffer_size() < 65_536:
                client.transport.write(masked_ping * 100)
            return server.client_count == 0

        await until(is_hung_up_on)
        client.transport.abort()


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost", True),
        ("http://localhost:8080", True),
        ("https://127.0.0.1:65535", True),
        ("http://[::1]:3000", True),
        ("https://whales.example", True),  # in the list below
        ("http://whales.example", False),
        ("null", False),
        ("", False),
        ("file://", False),
        ("http://localhost.evil.example", False),
        ("http://evil.example/localhost", False),
        ("http://localhost:80@evil.example", False),
        ("http://127.0.0.1.evil.example:8765", False),
        ("http://localhost:8080\n", False),
    ],
)
def test_pages_on_loopback_and_listed_ones_are_allowed_and_no_others(origin: str, allowed: bool) -> None:
    assert is_allowed_origin(origin, ("https://whales.example",)) is allowed


@pytest.mark.parametrize("origin", ["http://evil.example", "null"])
async def test_a_foreign_page_is_refused_with_403(origin: str) -> None:
    async with running(make_server()) as server:
        with pytest.raises(InvalidStatus) as refused:
            await connect(uri_of(server), origin=Origin(origin))
    assert refused.value.response.status_code == 403
    assert b"this machine" in (refused.value.response.body or b"")


async def test_one_good_origin_does_not_excuse_a_second_one() -> None:
    headers = [("Origin", "http://localhost"), ("Origin", "http://evil.example")]
    async with running(make_server()) as server:
        with pytest.raises(InvalidStatus) as refused:
            await connect(uri_of(server), additional_headers=headers)
    assert refused.value.response.status_code == 403


async def test_a_page_on_loopback_may_connect() -> None:
    async with (
        running(make_server()) as server,
        connect(uri_of(server), origin=Origin("http://localhost:8080")) as client,
    ):
        assert (await ask(client, '{"type":"ping"}'))["type"] == "pong"


async def test_a_browser_that_opens_the_port_is_told_what_it_is() -> None:
    async with running(make_server()) as server:
        answer = await http(server.port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith("HTTP/1.1 426 Upgrade Required\r\n")
    assert f"ws://localhost:{server.port}/" in answer


async def test_scanners_are_neither_logged_nor_harmful(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(make_server()) as server:
        for junk in ("\x16\x03\x01\x00\r\n\r\n", "GET / HTTP/9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n"):
            assert await http(server.port, junk) == ""
        async with connect(uri_of(server)) as client:
            assert (await ask(client, '{"type":"ping"}'))["type"] == "pong"
    assert [record for record in caplog.records if record.name.startswith(live.__package__)] == []


async def test_localhost_is_both_loopback_addresses_on_one_port() -> None:
    if not has_ipv6_loopback():
        pytest.skip("this machine has no ::1")
    async with running(make_server()) as server:
        for host in ("127.0.0.1", "[::1]", "localhost"):
            async with connect(f"ws://{host}:{server.port}/") as client:
                assert (await ask(client, '{"type":"ping"}'))["type"] == "pong"


def has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_machine_without_ipv6_is_served_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    documentation_address = (socket.AF_INET6, ("2001:db8::1", 0))  # RFC 3849: on no machine
    monkeypatch.setattr(loopback, "_LOCALHOST", (loopback._LOCALHOST[0], documentation_address))
    listeners = open_listeners("localhost", 0, section="alerts")
    assert [listener.getsockname()[0] for listener in listeners] == ["127.0.0.1"]
    listeners[0].close()


def test_a_free_port_is_looked_for_again_when_one_address_has_it_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy = OSError(errno.EADDRINUSE, "in use")
    results: list[OSError | list[socket.socket]] = [busy, busy, []]

    def listen(*_: object) -> list[socket.socket]:
        result = results.pop(0)
        if isinstance(result, OSError):
            raise result
        return result

    monkeypatch.setattr(loopback, "_listen_on_all", listen)
    assert open_listeners("localhost", 0, section="alerts") == []
    results[:] = [busy] * 8
    with pytest.raises(ConfigError, match="in use"):
        open_listeners("localhost", 0, section="alerts")
    assert results == []


def test_a_port_in_use_is_a_configuration_error_that_says_what_to_do() -> None:
    holder = open_listeners("127.0.0.1", 0, section="alerts")[0]
    port = holder.getsockname()[1]
    with pytest.raises(ConfigError, match=f"port {port} .*in use.*HYDROPHONE_ALERTS__PORT"):
        check_port_free("localhost", port, section="alerts")
    holder.close()
    check_port_free("localhost", port, section="alerts")
    check_port_free("localhost", port, section="alerts")  # and it did not keep it


async def test_running_on_a_port_in_use_raises_before_it_is_ready() -> None:
    async with running(make_server()) as first:
        with pytest.raises(ConfigError, match="in use"):
            async with running(make_server(port=first.port)):
                pytest.fail("must not become ready")


def test_a_host_that_is_none_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"alerts\.host"):
        check_port_free("x" * 70, 0, section="alerts")  # longer than a name may be: nobody is asked


def test_an_address_of_another_machine_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"check alerts\.host"):
        check_port_free("192.0.2.1", 0, section="alerts")  # RFC 5737: on no machine


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:8000", "localhost"),
        ("[::1]:8000", "[::1]"),
        ("evil.example:8000", "evil.example"),
        ("localhost:8000:80", None),
        ("user@localhost", None),
        ("", None),
    ],
)
def test_the_name_is_read_from_a_host_header(header: str, name: str | None) -> None:
    assert parse_host(header) == name


async def test_small_messages_do_not_wait_for_each_other() -> None:
    async with running(make_server()) as server, connect(uri_of(server)):
        await until(lambda: server.client_count == 1)
        (client,) = server._room.clients
        peer = client.transport.get_extra_info("socket")
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_clients_beyond_the_limit_get_503_until_one_leaves() -> None:
    async with running(make_server(max_clients=1)) as server:
        async with connect(uri_of(server)) as first:
            await ask(first, '{"type":"ping"}')
            with pytest.raises(InvalidStatus) as refused:
                await connect(uri_of(server))
            assert refused.value.response.status_code == 503
        await until(lambda: server.client_count == 0)
        async with connect(uri_of(server)) as second:
            assert (await ask(second, '{"type":"ping"}'))["type"] == "pong"


async def test_connections_that_never_ask_are_hung_up_on_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loopback, "_HANDSHAKES", 2)
    async with running(make_server(max_clients=1)) as server:
        silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(4)]
        assert await silent[3][0].read() == b""  # the fourth is above 1 + 2
        assert len(server._endpoint.connections) == 3
        for _, writer in silent:
            writer.close()


@pytest.mark.parametrize(
    ("wanted", "room", "before", "after"),
    [
        (100, 100, (2048, 8192), (2048, 8192)),  # enough already
        (4000, 4000, (1024, 8192), (5024, 8192)),
        (10_000, 8192 - 1024, (1024, 8192), (8192, 8192)),
        (10_000, 10_000, (1024, ANY_NUMBER), (11_024, ANY_NUMBER)),
        (10_000, 512, (1024, 1024), (1024, 1024)),
        (10_000, 10_000, (ANY_NUMBER, ANY_NUMBER), (ANY_NUMBER, ANY_NUMBER)),
    ],
)
def test_the_limit_of_open_files_is_raised_or_lowers_the_capacity(
    wanted: int, room: int, before: tuple[int, int], after: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = [before]
    monkeypatch.setattr("resource.getrlimit", lambda _: limits[-1])
    monkeypatch.setattr("resource.setrlimit", lambda _, new: limits.append(new))
    assert loopback.make_room(wanted) == room
    assert limits[-1] == after


def test_a_limit_that_cannot_be_raised_is_lived_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int, __: tuple[int, int]) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr("resource.getrlimit", lambda _: (2048, ANY_NUMBER))
    monkeypatch.setattr("resource.setrlimit", refuse)
    assert loopback.make_room(10_000) == 1024


async def test_stopping_says_goodbye_with_1001() -> None:
    async with running(make_server()) as server:
        client = await connect(uri_of(server))
        await until(lambda: server.client_count == 1)
    with pytest.raises(ConnectionClosed) as closed:
        await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert server.client_count == 0


async def test_stopping_waits_for_nobody_who_does_not_answer() -> None:
    async with running(make_server(close_timeout_s=0.02)) as server:
        mute = await connect(uri_of(server))
        await until(lambda: server.client_count == 1)
        mute.transport.pause_reading()  # never sees our goodbye
        half = await asyncio.open_connection("127.0.0.1", server.port)  # never asks for anything
        await until(lambda: len(server._endpoint.connections) == 2)
    assert server._endpoint.connections == set()
    mute.transport.abort()
    half[1].close()


async def test_publishing_while_and_after_stopping_is_harmless() -> None:
    server = make_server()

    async def publish_on() -> None:
        while True:
            await server.publish(b"alert")

    async with running(server):
        client = await connect(uri_of(server))
        await until(lambda: server.client_count == 1)
        publisher = asyncio.create_task(publish_on())
        await until(lambda: server.counters.messages > 3)
    published = server.counters.messages
    await until(lambda: server.counters.messages > published)
    publisher.cancel()
    await asyncio.wait({publisher})
    assert publisher.cancelled()
    assert {message async for message in client} == {"alert"}


class Listener:
    def __init__(self) -> None:
        self.heard: list[int] = []

    def deliver(self, frames: Sequence[bytes], joined: bytes) -> None:
        assert joined == b"".join(frames)
        self.heard += [int(frame[2:]) for frame in frames]


async def test_interleaved_publishers_are_heard_in_one_order_also_when_clients_come_and_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "_CHUNK", 3)
    server = make_server()
    early = [Listener() for _ in range(60)]
    late = [Listener() for _ in range(60)]
    clients: Any = server._room.groups.setdefault(EVERYTHING, set())
    clients.update(early)
    publishers = []
    for n in range(20):
        publishers.append(asyncio.create_task(server.publish(str(n).encode())))
        await asyncio.sleep(0)
        clients.difference_update(early[n : n + 1])
        clients.update(late[3 * n : 3 * n + 3])
    await asyncio.gather(*publishers)
    for listener in early + late:
        heard = listener.heard
        assert heard == list(range(heard[0], heard[0] + len(heard))) if heard else True
    assert all(listener.heard == list(range(20)) for listener in early[20:])


async def test_a_broadcast_to_many_lets_others_run_in_between() -> None:
    server = make_server()
    clients: Any = server._room.groups.setdefault(EVERYTHING, set())
    clients.update(listeners := [Listener() for _ in range(1000)])
    publishing = asyncio.create_task(server.publish(b"1"))
    steps = []
    while not publishing.done():
        await asyncio.sleep(0)
        steps.append(sum(len(listener.heard) for listener in listeners))
    assert steps[:4] == [250, 500, 750, 1000]


async def test_a_bug_of_ours_ends_the_service() -> None:
    def greet() -> bytes:
        raise LookupError("a bug")

    server = make_server(greeting=greet)
    ready = asyncio.Event()
    task = asyncio.create_task(server.run(ready.set))
    await ready.wait()
    async with connect(uri_of(server)):
        with pytest.raises(LookupError, match="a bug"):
            await task


async def test_clients_that_left_are_forgotten() -> None:
    async with running(make_server()) as server:
        async with connect(uri_of(server)):
            await until(lambda: server.client_count == 1)
        await until(lambda: server.client_count == 0)
        assert server._endpoint.connections == set()


async def test_messages_published_together_arrive_one_by_one_in_order() -> None:
    async with running(make_server()) as server, connect(uri_of(server)) as client:
        await until(lambda: server.client_count == 1)
        texts = [f'{{"n":{number}}}' for number in range(5)]
        await server.publish(*(text.encode() for text in texts))
        assert [await client.recv() for _ in texts] == texts
        assert server.counters.messages == 5


async def test_the_last_files_there_may_be_are_not_for_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(make_server()) as server:
        async with connect(uri_of(server)) as client:
            await server.publish(b"heard")
            assert await client.recv() == "heard"
            own = client.transport.get_extra_info("socket").fileno()
            monkeypatch.setattr(resource, "getrlimit", lambda _kind: (own + 1, ANY_NUMBER))
            with pytest.raises((ConnectionClosed, OSError, EOFError, InvalidMessage)):
                await connect(uri_of(server))
            assert server.refused_count == 1
            await server.publish(b"still")
            assert await client.recv() == "still"
            monkeypatch.setattr(resource, "getrlimit", lambda _kind: (ANY_NUMBER, ANY_NUMBER))
        async with connect(uri_of(server)):
            assert server.refused_count == 1
