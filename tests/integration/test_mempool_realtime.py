"""Hearing a mempool in real time, over a socket, at the address that the quickstart names."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.protocol import State

from hydrophone.simulator.playback import PlaybackServer
from hydrophone.wire.mempool_space import SUBSCRIPTIONS
from tests.backends import running
from tests.recorded import load_excerpt


@pytest.fixture
async def mempool() -> AsyncIterator[ClientConnection]:
    """Yield a connection to a backend that plays the excerpt at its real pace."""
    server = PlaybackServer(load_excerpt())
    async with (
        running(server.run),
        connect(f"ws://localhost:{server.port}/ws/track-mempool-tx", max_size=None) as connection,
    ):
        yield connection


async def test_websocket_connection(mempool: ClientConnection) -> None:
    assert mempool.state is State.OPEN
    for subscription in SUBSCRIPTIONS:
        await mempool.send(subscription, text=True)
    async with asyncio.timeout(30):
        message = await mempool.recv()
    assert "mempool-blocks" in json.loads(message)


async def test_a_backend_is_silent_until_one_subscribes(mempool: ClientConnection) -> None:
    await mempool.send('{"action":"ping"}')
    assert json.loads(await mempool.recv()) == {"pong": True}
    await mempool.send('{"track-mempool":true}')
    assert "mempool-blocks" in json.loads(await mempool.recv())
