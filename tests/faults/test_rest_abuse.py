"""What strangers do to port 8000 ends in a refusal, and the service is as it was."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from hydrophone.domain.access import Scope, Token, digest_of_token
from hydrophone.web.http_server import Limits
from hydrophone.web.rest import Encoded, Question, RestServer, Route
from hydrophone.wire import rest_paths as paths
from hydrophone.wire.rest_v1 import PlainStatusV1
from tests.backends import running
from tests.unit.web.asking import NOW, ask, make_access, make_server, parse_reply, send

SECRET = "hydrophone_a-secret-that-nobody-may-read"
TOKEN = Token("t1", "desk", Scope.READ, digest_of_token(SECRET), NOW)
PATIENCE_S = 8.0
"""Waited at most for what comes within milliseconds."""


async def answer(_: Question) -> object:
    return PlainStatusV1("ok")


async def fail(_: Question) -> object:
    raise LookupError("a bug")


async def say_much(_: Question) -> object:
    return Encoded(b"x" * 20_000_000)


ROUTES = (Route(paths.STATUS, answer), Route(paths.RECORD, say_much), Route(paths.FEE_MARKET, fail))


@contextlib.asynccontextmanager
async def serving(limits: Limits, **others: Any) -> AsyncIterator[RestServer]:  # noqa: ANN401
    server = make_server(ROUTES, limits=limits, **others)
    async with running(server.run):
        yield server
        assert (await ask(server, "/api/v1/status", f"Authorization: Bearer {SECRET}")).status in (200, 401)


async def connect(server: RestServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.port)


@pytest.mark.parametrize(
    "said",
    [b"", b"GET", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"GET / HTTP/1.1\r\nHost: localhost\r\n"],
)
async def test_who_does_not_finish_a_request_is_hung_up_on(said: bytes) -> None:
    async with serving(Limits(head_s=0.1)) as server:
        reader, writer = await connect(server)
        writer.write(said)
        assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        writer.close()


async def test_a_drop_at_a_time_is_no_request_either() -> None:
    async with serving(Limits(head_s=0.2)) as server:
        reader, writer = await connect(server)

        async def drip() -> None:
            for letter in b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 10_000:
                writer.write(bytes([letter]))
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        with contextlib.suppress(ConnectionResetError):  # a drop came after it had hung up
            assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        writer.close()


async def test_the_second_request_of_a_connection_may_not_be_slow_either() -> None:
    async with serving(Limits(head_s=0.2)) as server:
        reader, writer = await connect(server)
        writer.write(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api")
        raw = await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert parse_reply(raw).status == 200
        writer.close()


@pytest.mark.parametrize(
    ("head", "body_bytes"),
    [
        (b"POST /api/v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n", 100_000),
        (b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n", 65_537),
        (
            b"PUT /api/v1/status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFF\r\n",
            100_000,
        ),
    ],
)
async def test_a_large_body_is_refused_without_being_read(head: bytes, body_bytes: int) -> None:
    async with serving(Limits()) as server:
        reply = await send(server, head + b"z" * body_bytes)
        assert (reply.status, reply.code) == (413, "body_too_large")


async def test_a_body_is_not_the_next_request() -> None:
    smuggled = b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(Limits()) as server:
        head = f"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(smuggled)}\r\n\r\n"
        raw_reply = await send(server, head.encode() + smuggled)
        assert raw_reply.status == 404
        assert "HTTP/1.1 200" not in raw_reply.body


async def test_lengths_that_contradict_are_no_request() -> None:
    async with serving(Limits()) as server:
        head = (
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        raw = head + b"0\r\n\r\n"
        assert (await send(server, raw)).status in (400, 413)


async def test_many_headers_are_refused() -> None:
    async with serving(Limits()) as server:
        raw = (
            b"GET / HTTP/1.1\r\nHost: localhost\r\n"
            + b"".join(b"X%d: y\r\n" % n for n in range(500))
            + b"\r\n"
        )
        assert (await send(server, raw)).status in (400, 431)


async def test_who_takes_no_answer_is_cut_off() -> None:
    async with serving(Limits(drain_s=0.1, sweep_s=0.05)) as server:
        reader, writer = await connect(server)
        writer.write(b"GET /api/v1/record HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            while not server.server.counters.stalled:  # noqa: ASYNC110 -- it tells nobody
                await asyncio.sleep(0.01)
        writer.close()
        del reader


async def test_who_takes_no_answers_does_not_make_us_hold_many() -> None:
    async with serving(Limits(unsent_bytes=1_000_000, drain_s=60)) as server:
        reader, writer = await connect(server)
        writer.write(b"GET /api/v1/record HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")  # and no more of its 20 MB
        reply = await ask(server, "/api/v1/status")
        assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "busy", "5")
        assert server.server.counters.unsent == 1
        writer.transport.abort()
        async with asyncio.timeout(PATIENCE_S):
            while server.server.connection_count:  # noqa: ASYNC110 -- it tells nobody
                await asyncio.sleep(0.01)


def storm(port: int, connections: int) -> None:
    """Open so many connections, two hundred at a time."""
    for _ in range(connections // 200):
        crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
        for one in crowd:
            one.close()


async def test_ten_thousand_connections_disturb_nobody() -> None:
    async with serving(Limits(capacity=50, head_s=30)) as server:
        held = [await connect(server) for _ in range(49)]
        reader, writer = await connect(server)
        storming = asyncio.create_task(asyncio.to_thread(storm, server.port, 10_000))
        asked = 0
        while not storming.done() or not asked:
            writer.write(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
            assert head.startswith(b"HTTP/1.1 200")
            await reader.readexactly(len(b'{"status":"ok"}'))
            asked += 1
        await storming
        async with asyncio.timeout(PATIENCE_S):
            while server.server.counters.refused < 10_000:  # noqa: ASYNC110 -- it tells nobody
                await asyncio.sleep(0.01)
        assert server.server.connection_count <= 50
        for _, other in [*held, (reader, writer)]:
            other.transport.abort()
        async with asyncio.timeout(PATIENCE_S):
            while server.server.connection_count:  # noqa: ASYNC110 -- it tells nobody
                await asyncio.sleep(0.01)


async def test_one_address_takes_only_its_share() -> None:
    server = make_server(ROUTES, limits=Limits(capacity=10, per_address=3))

    class Peer:
        address = "192.0.2.1"

    peers: Sequence[Any] = [Peer() for _ in range(5)]
    assert [server.server.enter(peer) for peer in peers] == [True] * 3 + [False] * 2
    server.server.leave(peers[0])
    assert server.server.enter(peers[4])


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/status%0d%0aX-Evil:1",
        "/%0d%0aX-Evil:%201",
        "/api/v1/record?since=0%0d%0aX-Evil:1",
        "/nowhere?a=%0aX-Evil:1",
    ],
)
async def test_no_header_comes_from_what_was_asked(path: str) -> None:
    async with serving(Limits()) as server:
        reply = await ask(server, path)
        assert reply.status in (404, 422)
        assert "x-evil" not in reply.headers


async def test_no_secret_is_in_answers_or_logs(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    access = make_access([TOKEN], is_open=False)
    async with serving(Limits(), access=access) as server:
        said = [
            await ask(server, path, f"Authorization: Bearer {SECRET}{suffix}")
            for path in ("/api/v1/status", "/api/v1/fee-market", "/nowhere", "/api/v1/record?since=x")
            for suffix in ("", "x")
        ]
    assert [reply.status for reply in said] == [200, 401, 500, 401, 404, 404, 422, 401]
    output = capsys.readouterr()
    everything = "".join([*(f"{r.headers}{r.body}" for r in said), caplog.text, output.out, output.err])
    assert SECRET not in everything
    assert TOKEN.digest not in everything


async def test_who_guesses_tokens_is_told_to_wait() -> None:
    async with serving(Limits(), access=make_access([TOKEN], is_open=False)) as server:
        statuses = [
            (await ask(server, "/api/v1/status", f"Authorization: Bearer guess{n}")).status for n in range(30)
        ]
        assert statuses == [401] * 10 + [429] * 20
        assert (await ask(server, "/api/v1/status", f"Authorization: Bearer {SECRET}")).status == 200


async def test_while_memory_is_short_who_takes_no_answer_is_cut_off_sooner() -> None:
    times = [0.0]
    async with serving(Limits(drain_s=20.0, sweep_s=3600.0)) as server:
        http = server.server
        http._now = lambda: times[0]
        _, writer = await connect(server)
        writer.write(b"GET /api/v1/record HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(PATIENCE_S):
            while not any(c.answered_at is not None and c.unsent_bytes for c in http._connections):  # noqa: ASYNC110 -- it tells nobody
                await asyncio.sleep(0.01)
        times[0] = 0.9
        assert http.shed_slow() == 0
        http.spare_slow()
        times[0] = 19.9
        http._cut_stalled()
        assert http.counters.stalled == 0
        assert http.shed_slow() == 1
        writer.close()
