"""The alert websocket at `/ws` of the REST port: the same alerts, behind the same gate."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from hydrophone.client import Client, ConnectionMessage, RequestRefused, WhaleAlertMessage
from hydrophone.domain.access import Scope, Token, digest_of_token
from hydrophone.web.access import Access
from hydrophone.web.gate import Doors, Gate
from hydrophone.web.live import AlertServer
from hydrophone.web.loopback import Endpoint
from hydrophone.web.rest import RestServer, Route
from hydrophone.web.socket_gate import SocketGate
from hydrophone.wire import rest_paths as paths
from hydrophone.wire.rest_v1 import PlainStatusV1
from tests.backends import running
from tests.said import MemoryRecord, alert, facts, notice
from tests.unit.web.asking import NOW, ask, make_access, make_server, send

GOOD = "hydrophone_good"
TOKEN = Token("id", "mine", Scope.READ, digest_of_token(GOOD), NOW)
DOORS = Doors(hosts=("localhost", "whales.example"), origins=("https://whales.example",))


async def answer(_: object) -> object:
    return PlainStatusV1("ok")


def alerts(first: int, last: int) -> list[bytes]:
    return [alert(seq, facts(f"p{seq}")) for seq in range(first, last + 1)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # of things that have no event
            await asyncio.sleep(0)


@asynccontextmanager
async def both(access: Access) -> AsyncIterator[tuple[AlertServer, RestServer]]:
    """Run the alerts, and REST that shares its port with them."""
    server = AlertServer(
        "127.0.0.1",
        0,
        greeting=notice,
        admission=SocketGate(Gate(access, DOORS), access),
        record=MemoryRecord(alerts(1, 9)),
        last_seq=5,
        sweep_interval_s=0.05,
    )
    rest = make_server([Route(paths.HEALTH, answer)], access=access, doors=DOORS, alerts=server)
    ready = asyncio.Event()
    task = asyncio.create_task(server.run(ready.set))
    await ready.wait()
    try:
        async with running(rest.run):
            yield server, rest
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_both_ports_serve_the_same_alerts() -> None:
    async with (
        both(make_access()) as (server, rest),
        aclosing(Client(alerts_url=f"ws://127.0.0.1:{server.port}").alerts(since=3)) as here,
        aclosing(Client(f"http://127.0.0.1:{rest.port}").alerts(since=3)) as there,
    ):
        for heard in (here, there):
            assert isinstance(await anext(heard), ConnectionMessage)
        await server.publish(*alerts(6, 7))
        for heard in (here, there):
            seqs: list[int] = []
            while len(seqs) < 4:
                message = await anext(heard)
                assert isinstance(message, WhaleAlertMessage)
                seqs.append(message.seq)
            assert seqs == [4, 5, 6, 7]
        assert server.client_count == 2
        assert rest.server.connection_count == 0


async def test_other_paths_are_answered_as_before_and_open_no_websocket() -> None:
    async with both(make_access()) as (_, rest):
        assert (await ask(rest, "/healthz")).status == 200
        assert (await ask(rest, "/wsx")).status == 404
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{rest.port}/healthz")
        assert refused.value.response.status_code == 200
        assert (await ask(rest, "/ws")).status == 426


UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


async def test_a_proxy_may_ask_for_a_websocket_on_a_connection_that_it_kept() -> None:
    async with both(make_access()) as (server, rest):
        reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
        for _ in range(2):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b'"ok"}')
        writer.write(UPGRADE)
        assert b"101" in await reader.readuntil(b"\r\n\r\n")
        assert b'"connection"' in await reader.readuntil(b"}")
        assert (server.client_count, rest.server.connection_count) == (1, 0)
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "before",
    [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /he",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
async def test_what_only_looks_like_a_request_opens_no_websocket(before: bytes) -> None:
    async with both(make_access()) as (server, rest):
        reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
        writer.write(before)
        await reader.readuntil(b"}")
        with suppress(OSError):
            writer.write(UPGRADE)
            assert b"HTTP/1.1 101" not in await reader.read()
        assert server.client_count == 0
        writer.transport.abort()


async def test_a_websocket_that_is_asked_for_before_an_answer_came_is_told_to_take_its_own() -> None:
    async with both(make_access()) as (_, rest):
        reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
        first = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        writer.write(first + b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        await reader.readuntil(b'"ok"}')
        assert b"426" in await reader.readuntil(b"\r\n\r\n")
        assert b"not_a_websocket" in await reader.read()
        writer.close()
        await writer.wait_closed()


async def test_the_schema_is_served() -> None:
    async with both(make_access()) as (_, rest):
        reply = await ask(rest, "/schemas/websocket.json")
    assert reply.headers["content-type"] == "application/schema+json"
    assert "Subscribe" in reply.json["$defs"]


@pytest.mark.parametrize(
    ("host", "origin", "code"),
    [
        ("localhost", None, 101),
        ("whales.example", "https://whales.example", 101),
        ("localhost", "http://localhost:3000", 101),
        ("evil.example", None, 403),
        ("localhost", "http://evil.example", 403),
        ("localhost", "null", 403),
    ],
)
async def test_hosts_and_origins_are_those_of_rest(host: str, origin: str | None, code: int) -> None:
    request = [
        "GET /ws HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        *([] if origin is None else [f"Origin: {origin}"]),
    ]
    async with both(make_access()) as (_, rest):
        reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
        writer.write("".join(f"{line}\r\n" for line in request).encode() + b"\r\n")
        first = await reader.readline()
        assert first.split()[1] == str(code).encode()
        writer.close()
        await writer.wait_closed()


async def test_what_a_proxy_passes_on_to_an_open_service_is_refused() -> None:
    async with both(make_access()) as (_, rest):
        with pytest.raises(InvalidStatus) as refused:
            await connect(
                f"ws://localhost:{rest.port}/ws", additional_headers={"X-Forwarded-For": "192.0.2.1"}
            )
    assert refused.value.response.status_code == 403


async def test_tokens_are_those_of_rest() -> None:
    access = make_access([TOKEN], is_open=False)
    async with both(access) as (server, rest):
        for port, path in ((server.port, "/"), (rest.port, "/ws")):
            url = f"ws://127.0.0.1:{port}{path}"
            async with aclosing(Client(alerts_url=url, token=GOOD).alerts()) as heard:
                assert isinstance(await anext(heard), ConnectionMessage)
            with pytest.raises(RequestRefused, match="expected a token of ours, found another one"):
                await anext(Client(alerts_url=url, token="hydrophone_bad").alerts())
            async with connect(url) as client:
                await client.send(json.dumps({"type": "authenticate", "token": GOOD}))
                assert json.loads(await client.recv())["type"] == "authenticated"


@pytest.mark.parametrize("by_header", [True, False])
async def test_who_came_by_a_token_that_is_over_hears_nothing_more(by_header: bool) -> None:
    kept = [TOKEN, replace(TOKEN, token_id="other", digest=digest_of_token("hydrophone_other"))]
    access = make_access(kept, is_open=False)
    async with both(access) as (server, rest):
        clients = []
        for token in ("hydrophone_other", GOOD):
            headers = {"Authorization": f"Bearer {token}"} if by_header else {}
            client = await connect(f"ws://127.0.0.1:{rest.port}/ws", additional_headers=headers)
            if not by_header:
                await client.send(json.dumps({"type": "authenticate", "token": token}))
                await client.recv()
            assert json.loads(await client.recv())["type"] == "connection"
            clients.append(client)
        assert server.client_count == 2
        kept[0] = replace(TOKEN, expires_at=NOW)
        with pytest.raises(ConnectionClosed):
            await clients[1].recv()
        await until(lambda: server.client_count == 1)  # the other one stays
        kept.clear()
        await until(lambda: server.client_count == 0)


async def test_alerts_that_have_stopped_are_not_served_and_nothing_hangs() -> None:
    server = AlertServer("127.0.0.1", 0, greeting=notice)
    rest = make_server([Route(paths.HEALTH, answer)], alerts=server)
    async with running(rest.run):
        reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
        writer.write(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        await until(lambda: rest.server.connection_count == 0)
        assert (
            await send(rest, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        ).status == 200


async def test_clients_of_the_rest_port_are_told_goodbye_when_the_alerts_stop() -> None:
    async with both(make_access()) as (server, rest):
        client = await connect(f"ws://127.0.0.1:{rest.port}/ws")
        await until(lambda: server.client_count == 1)
    assert json.loads(await client.recv())["type"] == "connection"
    with pytest.raises(ConnectionClosed) as closed:
        await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


async def test_a_foreign_page_is_told_which_pages_may() -> None:
    async with both(make_access()) as (server, _):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{server.port}", origin=Origin("http://evil.example"))
    assert b"access.allowed_origins" in (refused.value.response.body or b"")


def test_one_address_takes_only_its_share_of_the_websockets() -> None:
    """Before it showed a token too: else whoever has none keeps everybody out."""
    endpoint = Endpoint("localhost", 0, section="alerts", capacity=1_000)
    peer_of: Callable[[], Any] = object
    peers = [peer_of() for _ in range(66)]
    assert [endpoint.enter(peer, "192.0.2.1") for peer in peers] == [True] * 64 + [False] * 2
    assert endpoint.enter(peer_of(), "192.0.2.2")
    for _ in range(100):
        assert endpoint.enter(peer_of(), "127.0.0.1")
    for peer in [*peers[:3], *peers[:3]]:
        endpoint.leave(peer, "192.0.2.1")
    assert endpoint.enter(peer_of(), "192.0.2.1")
    assert not endpoint.enter(peer_of(), "192.0.2.1")
