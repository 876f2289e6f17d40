"""A backend that speaks mempool.space's protocol and plays a recording, over and over, at its real pace.

Each round gets transaction and block ids of its own and its blocks follow those of the round before, so that
a listener hears one endless chain and every whale is a new one.
"""

import asyncio
import gzip
import hashlib
import importlib.resources
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Final

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from hydrophone.errors import ConfigError
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.wire.mempool_space import SIMULATED_HEADER
from hydrophone.wire.recording import parse_recorded_frame

_SOURCE: Final = "mempool.space"
_MAX_CLIENT_MESSAGE_BYTES: Final = 50_000
"""Sources: observed, the real backend closes with 1009 above it."""
_ROUND_PAUSE_S: Final = 2.0
"""Between two rounds. Sources: the backend polls its node every 2 s."""
_ID: Final = re.compile(r'"([0-9a-f]{64})"')
_HEIGHT: Final = re.compile(r'"(height|block_height)":(\d+)')
_SEQUENCE: Final = re.compile(r'("mempool-transactions":\{"sequence":)(\d+)')
_NO_PRICE: Final = b'{"time":0,"USD":-1}'
"""What the backend answers while it knows no price."""


def load_excerpt() -> list[Frame]:
    """Return the excerpt of a real recording that comes with the package."""
    packed = importlib.resources.files("hydrophone.simulator").joinpath("excerpt.jsonl.gz").read_bytes()
    return [parse_recorded_frame(line, _SOURCE).frame for line in gzip.decompress(packed).splitlines()]


class Rounds:
    """Rewrites the frames of a recording so that each round continues the one before.

    Args:
        frames: of one connection.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        self.frames = [frame for frame in frames if frame.kind is FrameKind.RECEIVED]
        texts = [frame.payload.decode() for frame in self.frames]
        documents = [json.loads(text) for text in texts]
        blocks = [document["block"] for document in documents if "block" in document]
        deltas = [d["mempool-transactions"] for d in documents if "mempool-transactions" in d]
        self._texts = texts
        self._parent: str = blocks[0]["previousblockhash"] if blocks else ""
        self._tip: str = blocks[-1]["id"] if blocks else ""
        self._block_count = blocks[-1]["height"] - blocks[0]["height"] + 1 if blocks else 0
        self._frame_count = deltas[-1]["sequence"] - deltas[0]["sequence"] + 1 if deltas else 0

    def text(self, index: int, number: int) -> str:
        """Return the text of a frame as it reads in a round.

        Args:
            index: of the frame.
            number: of the round; round 0 is the recording itself.
        """
        text = self._texts[index]
        if number == 0:
            return text
        text = _ID.sub(lambda m: f'"{self._renamed(m.group(1), number)}"', text)
        text = _HEIGHT.sub(lambda m: f'"{m.group(1)}":{int(m.group(2)) + number * self._block_count}', text)
        return _SEQUENCE.sub(lambda m: f"{m.group(1)}{int(m.group(2)) + number * self._frame_count}", text)

    def _renamed(self, known: str, number: int) -> str:
        if known == self._parent:
            known, number = self._tip, number - 1
        return known if number == 0 else hashlib.sha256(f"{number}:{known}".encode()).hexdigest()


class PlaybackServer:
    """Serves a recording as a backend would: silent until one subscribes, at any path.

    Args:
        frames: of one connection; REST answers among them are served by their path.
        host: address to bind.
        port: to listen on; 0: a free one.
        rounds: how often it is played; None: for ever.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        *,
        host: str = "localhost",
        port: int = 0,
        rounds: int | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rounds = Rounds(frames)
        self._answers = {
            frame.path: (frame.status, frame.payload) for frame in frames if frame.kind is FrameKind.ANSWERED
        }
        self._host = host
        self._wanted_port = port
        self._round_limit = rounds
        self._sleep = sleep
        self._subscribers: set[ServerConnection] = set()
        self._wanted = asyncio.Event()
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """The port in use."""
        assert self._server is not None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled, or until the last round was played.

        Raises:
            ConfigError: the port is taken.
        """
        try:
            self._server = await serve(
                self._converse,
                self._host,
                self._wanted_port,
                process_request=self._answer,
                process_response=_mark_simulated,
                max_size=_MAX_CLIENT_MESSAGE_BYTES,
                compression=None,
            )
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {self._host}:{self._wanted_port}: {error.strerror}"
            ) from error
        async with self._server:
            ready()
            await self._wanted.wait()
            await self._play()

    async def _play(self) -> None:
        number = 0
        while self._round_limit is None or number < self._round_limit:
            before = self._rounds.frames[0].at if self._rounds.frames else 0
            for index, frame in enumerate(self._rounds.frames):
                await self._sleep(max(0.0, (frame.at - before) / 1e6))
                before = frame.at
                broadcast(self._subscribers, self._rounds.text(index, number))
            await self._sleep(_ROUND_PAUSE_S)
            number += 1

    async def _converse(self, connection: ServerConnection) -> None:
        try:
            async for message in connection:
                await self._obey(connection, message)
        except ConnectionClosed:
            pass
        finally:
            self._subscribers.discard(connection)

    async def _obey(self, connection: ServerConnection, message: str | bytes) -> None:
        try:
            request = json.loads(message)
        except ValueError:
            await connection.close()  # as the backend does; unknown actions it ignores in silence
            return
        if not isinstance(request, dict):
            return
        if request.get("action") == "ping":
            await connection.send('{"pong":true}')
        if request.get("track-mempool") is True:
            self._subscribers.add(connection)
            self._wanted.set()

    def _answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        if "Upgrade" in request.headers:
            return None
        path = request.path.partition("?")[0]
        if path == "/api/v1/prices" and path not in self._answers:
            return _response(HTTPStatus.OK, _NO_PRICE)
        status, body = self._answers.get(path, (HTTPStatus.NOT_FOUND, b"Cannot GET " + path.encode()))
        return _response(status, body)


def _mark_simulated(_connection: ServerConnection, _request: Request, response: Response) -> Response:
    response.headers[SIMULATED_HEADER] = "1"
    return response


def _response(status: int, body: bytes) -> Response:
    headers = Headers(
        {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    )
    headers[SIMULATED_HEADER] = "1"
    return Response(status, HTTPStatus(status).phrase, headers, body)
