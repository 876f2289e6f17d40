import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.error import HTTPError

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from hydrophone.bootstrap.simulation import listeners_on
from hydrophone.errors import ConfigError
from hydrophone.simulator.server import SimulatorServer
from hydrophone.simulator.simulation import Simulation
from hydrophone.wire.mempool_space import SIMULATED_HEADER
from tests.unit.simulator.simulations import SUBSCRIPTIONS, settings_of

SPEED = 50.0


@asynccontextmanager
async def serving(
    name: str = "demo",
    *,
    duration_s: float | None = None,
    **changes: Any,  # noqa: ANN401 -- any field
) -> AsyncIterator[tuple[SimulatorServer, asyncio.Task[None]]]:
    simulation = Simulation(settings_of(name, **changes))
    server = SimulatorServer(simulation, listeners_on("localhost"), speed=SPEED, duration_s=duration_s)
    ready = asyncio.Event()
    task = asyncio.create_task(server.run(ready.set))
    await asyncio.wait_for(ready.wait(), 30)
    try:
        yield server, task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def listening(server: SimulatorServer, path: str = "/api/v1/ws") -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://localhost:{server.port}{path}", max_size=None, compression=None) as client:
        yield client


async def frames(client: ClientConnection, count: int) -> list[dict[str, Any]]:
    return [json.loads(await asyncio.wait_for(client.recv(), 30)) for _ in range(count)]


async def get(server: SimulatorServer, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(f"http://localhost:{server.port}{path}", method=method)

    def fetch() -> tuple[int, dict[str, str], bytes]:
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    return await asyncio.to_thread(fetch)


@pytest.mark.parametrize("path", ["/api/v1/ws", "/ws/track-mempool-tx", "/", "/anything?at=all"])
async def test_it_speaks_at_any_path_once_one_has_subscribed(path: str) -> None:
    async with serving() as (server, _), listening(server, path) as client:
        assert client.response is not None
        assert client.response.headers[SIMULATED_HEADER] == "1"
        for message in SUBSCRIPTIONS:
            await client.send(message)
        first, *rest = await frames(client, 5)
        assert len(first["blocks"]) == 8
        assert all("mempool-transactions" in frame for frame in rest)


async def test_it_is_silent_to_who_did_not_subscribe() -> None:
    async with serving() as (server, _), listening(server) as silent, listening(server) as loud:
        await loud.send('{"track-mempool":true}')
        await frames(loud, 5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(silent.recv(), 0.05)


async def test_clients_with_the_same_wishes_hear_the_same_bytes() -> None:
    async with serving() as (server, _), listening(server) as one, listening(server) as two:
        for client in (one, two):
            await client.send('{"track-mempool":true}')
            await client.send('{"action":"ping"}')
            assert await client.recv() == '{"pong": true}'
        heard = [[await client.recv() for _ in range(5)] for client in (one, two)]
        assert heard[0] == heard[1]


async def test_too_large_a_message_is_1009_and_no_json_closes_without_a_word() -> None:
    async with serving() as (server, _):
        async with listening(server) as client:
            await client.send("x" * 50_001)
            with pytest.raises(ConnectionClosedError) as large:
                await client.recv()
            assert large.value.rcvd is not None
            assert large.value.rcvd.code == 1009
        async with listening(server) as client:
            await client.send("hello")
            with pytest.raises(ConnectionClosed):
                await client.recv()


async def test_rest_answers_beside_the_websocket() -> None:
    async with serving() as (server, _):
        status, headers, body = await get(server, "/api/v1/fees/recommended?x=1")
        assert (status, headers[SIMULATED_HEADER]) == (200, "1")
        assert headers["Content-Type"].startswith("application/json")
        assert set(json.loads(body)) >= {"fastestFee", "minimumFee"}
        assert (await get(server, "/api/v1/nonexistent"))[0] == 404
        status, _, height = await get(server, "/api/v1/blocks/tip/height")
        assert int(height) >= 975_000


async def test_only_reading_is_answered() -> None:
    async with serving() as (server, _):
        status, headers, body = await get(server, "/api/v1/blocks/tip/height", "HEAD")
        assert (status, headers["Content-Length"], body) == (200, "6", b"")
        status, _, body = await get(server, "/api/v1/blocks/tip/height", "POST")
        assert status == 404
        assert b"Cannot POST /api/v1/blocks/tip/height" in body


async def test_a_restart_breaks_the_socket_and_closes_the_port_for_a_while() -> None:
    async with serving("restart", block_interval_s=60.0, rate_per_s=3.0) as (server, _):
        async with listening(server) as client:
            await client.send('{"track-mempool":true}')
            before = await frames(client, 5)
            with pytest.raises(ConnectionClosedError) as broken:
                await frames(client, 1_000)
            assert broken.value.rcvd is None  # no close frame: the process is gone
        refused = 0
        again: list[dict[str, Any]] = []
        while not again:
            try:
                async with listening(server) as client:
                    await client.send('{"track-mempool":true}')
                    again = [f for f in await frames(client, 6) if "mempool-transactions" in f]
            except OSError:
                refused += 1
                await asyncio.sleep(0.005)
        assert refused > 0
        assert again[0]["mempool-transactions"]["sequence"] < before[-1]["mempool-transactions"]["sequence"]


async def test_who_never_finishes_its_handshake_does_not_hold_a_restart_up() -> None:
    async with serving("restart", block_interval_s=60.0, rate_per_s=3.0) as (server, _):
        _, silent = await asyncio.open_connection("localhost", server.port)
        async with listening(server) as client:
            await client.wait_closed()  # killed

        async def come_back() -> None:
            while True:
                try:
                    async with listening(server):
                        return
                except OSError:
                    await asyncio.sleep(0.005)

        await asyncio.wait_for(come_back(), 8)  # less than the ten seconds of a handshake
        silent.close()


async def test_a_killed_server_leaves_no_socket_open_whatever_was_under_way() -> None:
    async with serving("calm") as (server, _):
        reader, silent = await asyncio.open_connection("localhost", server.port)
        half, asking = await asyncio.open_connection("localhost", server.port)
        asking.write(b"GET /api/v1/blocks")
        async with asyncio.timeout(8), listening(server) as client:
            await server._vanish()
            for broken in (reader, half):
                with contextlib.suppress(ConnectionResetError):
                    assert await broken.read() == b""
            await client.wait_closed()
        assert server._peers == set()
        for writer in (silent, asking):
            writer.close()


async def test_it_ends_when_its_time_is_over() -> None:
    async with serving(duration_s=20.0) as (server, task):
        async with listening(server) as client:
            await client.send('{"track-mempool":true}')
            with pytest.raises(ConnectionClosed):
                await frames(client, 1_000)
        await asyncio.wait_for(task, 30)
        assert server.update_count > 5


async def test_a_client_that_does_not_read_is_terminated() -> None:
    async with serving("calm", rate_per_s=400.0) as (server, _), listening(server) as client:
        await client.send('{"track-mempool":true}')
        client.transport.pause_reading()
        async with listening(server) as other:
            await other.send('{"track-mempool":true}')
            while len(server._sessions) > 1:
                await other.recv()
        client.transport.abort()


async def test_a_busy_port_is_an_error_that_names_a_free_one() -> None:
    async with serving() as (server, _):
        other = SimulatorServer(
            Simulation(settings_of("silence")), listeners_on("localhost"), port=server.port
        )
        with pytest.raises(ConfigError, match=rf"port {server.port} .* is in use.*port \d+ is free"):
            await other.run(lambda: None)
