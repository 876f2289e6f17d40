"""A backend that plays the excerpt as fast as a test allows, and a client that keeps what it hears."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import duckdb
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.simulator.playback import PlaybackServer
from tests.backends import running
from tests.recorded import load_excerpt
from tests.replay.expected import (
    Summary,
    summary_of,
)

Message = dict[str, Any]

FREE_PORTS = ("--alerts-port", "0", "--api-port", "0")
STORE = Path("data/mempool_predictions.db")
STOP_S = 8.0
"""An orderly stop ends well before this, even on a busy machine."""


class Pace:
    """Stands in for `asyncio.sleep` in a playback: frames follow at once, as far as the test allows."""

    def __init__(self) -> None:
        self._allowed = 0
        self._changed = asyncio.Event()
        self._slept = 0

    def allow(self, frame_count: int) -> None:
        self._allowed = frame_count
        self._changed.set()

    async def sleep(self, _delay_s: float) -> None:
        """Wait before a frame; there is one more sleep after the last."""
        self._slept += 1
        while self._slept > self._allowed:
            self._changed.clear()
            await self._changed.wait()
        await asyncio.sleep(0)


FRAMES = [frame for frame in load_excerpt() if frame.kind is FrameKind.RECEIVED]


@asynccontextmanager
async def playback(pace: Pace, frames: Sequence[Frame] = FRAMES) -> AsyncIterator[str]:
    """Yield the URL of a backend that plays frames once, and then hangs up."""
    server = PlaybackServer(frames, rounds=1, sleep=pace.sleep)
    async with running(server.run):
        yield f"ws://localhost:{server.port}/api/v1/ws"


class Listener:
    """A plain websocket client that keeps what it is told."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.messages: list[Message] = []

    async def until(self, condition: Callable[[Message], bool]) -> Message:
        """Listen until a message is the one waited for."""
        while True:
            message: Message = json.loads(await self._connection.recv())
            self.messages.append(message)
            if condition(message):
                return message

    async def until_seq(self, seq: int) -> None:
        await self.until(lambda message: message.get("seq") == seq)

    async def until_closed(self) -> int | None:
        """Listen to the end; return the code it was closed with."""
        with contextlib.suppress(ConnectionClosed):
            await self.until(lambda _: False)
        return self._connection.close_code

    @property
    def record(self) -> list[Message]:
        """What is in the record: alerts and their updates."""
        return [message for message in self.messages if "seq" in message]


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Listener]:
    async with connect(url) as connection:
        yield Listener(connection)


def summary(messages: Sequence[Message]) -> list[Summary]:
    return [summary_of(message) for message in messages]


def stored(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        return connection.execute(query).fetchall()
