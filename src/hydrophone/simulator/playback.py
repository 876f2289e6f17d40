"""A backend that speaks mempool.space's protocol and plays a recording, over and over, at its real pace.

Each round gets transaction and block ids of its own and its blocks follow those of the round before, so that
a listener hears one endless chain and every whale is a new one.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Final

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from hydrophone.errors import ConfigError
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.simulator.handshake import (
    MAX_CLIENT_MESSAGE_BYTES,
    mark_simulated,
    path_of,
    plain_response,
)
from hydrophone.wire.mempool_space import Landmarks, parse_landmarks

_ROUND_PAUSE_S: Final = 2.0
"""Between two rounds. Sources: the backend polls its node every 2 s."""
_ID: Final = re.compile(r'(?<=")[0-9a-f]{64}(?=")')
_ID_IN_PATH: Final = re.compile(r"(?<=/)[0-9a-f]{64}(?![^/])")
_HEIGHT: Final = re.compile(r'("(?:height|block_height)": ?)(\d+)')
_SEQUENCE: Final = re.compile(r'("mempool-transactions": ?\{"sequence": ?)(\d+)')
"""Sources: observed, the backend puts a space after the keys of a frame and none deeper."""
_JSON: Final = "application/json"
_NO_PRICE: Final = b'{"time":0,"USD":-1}'
"""What the backend answers while it knows no price."""


class Rounds:
    """Rewrites the frames of a recording so that each round continues the one before.

    Args:
        frames: of one connection, with the REST answers that belong to it.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        kept = tuple(frames)
        self.frames = [frame for frame in kept if frame.kind is FrameKind.RECEIVED]
        self._answers = [frame for frame in kept if frame.kind is FrameKind.ANSWERED and frame.status > 0]
        self._texts = [_text(frame) for frame in self.frames]
        landmarks = [parse_landmarks(frame.payload) for frame in self.frames]
        heights = [mark.connected.height for mark in landmarks if mark.connected is not None]
        sequences = [mark.sequence for mark in landmarks if mark.sequence is not None]
        self._block_count = heights[-1] - heights[0] + 1 if heights else 0
        self._frame_count = sequences[-1] - sequences[0] + 1 if sequences else 0
        self._chain = _last_chain(landmarks)
        self._inherited = {
            block_id: height for height, block_id in self._chain.items() if not heights or height < heights[0]
        }

    def text(self, index: int, number: int) -> str:
        """Return the text of a frame as it reads in a round.

        Args:
            index: of the frame.
            number: of the round; round 0 is the recording itself.
        """
        return self._rewritten(self._texts[index], number)

    def answers(self, number: int) -> dict[str, tuple[int, bytes]]:
        """Return the REST answers as they read in a round: status and body by path."""
        return {
            _ID_IN_PATH.sub(lambda m: self._renamed(m[0], number), answer.path): (
                answer.status,
                self._rewritten(_text(answer), number).encode(),
            )
            for answer in self._answers
        }

    def _rewritten(self, text: str, number: int) -> str:
        if number == 0:
            return text
        text = _ID.sub(lambda m: self._renamed(m[0], number), text)
        text = _HEIGHT.sub(lambda m: f"{m[1]}{int(m[2]) + number * self._block_count}", text)
        return _SEQUENCE.sub(lambda m: f"{m[1]}{int(m[2]) + number * self._frame_count}", text)

    def _renamed(self, known: str, number: int) -> str:
        """Return what an id is called in a round; a block from before it is one of the round before."""
        while number > 0 and known in self._inherited:
            successor = self._chain.get(self._inherited[known] + self._block_count)
            if successor is None:
                break
            known, number = successor, number - 1
        return known if number == 0 else hashlib.sha256(f"{number}:{known}".encode()).hexdigest()


def _text(frame: Frame) -> str:
    """Return a payload as the text of a websocket frame, which must be UTF-8."""
    return frame.payload.decode(errors="replace")


def _last_chain(landmarks: Iterable[Landmarks]) -> dict[int, str]:
    """Return the block of each height that was told of; where two competed, the one that prevailed."""
    chain: dict[int, str] = {}
    for mark in landmarks:
        for block in (*mark.listed, *([mark.connected] if mark.connected is not None else [])):
            chain[block.height] = block.block_hash
            chain[block.height - 1] = block.previous_hash
    return chain


class PlaybackServer:
    """Serves a recording as a backend would: silent until one subscribes, at any path.

    Args:
        frames: of one connection; REST answers among them are served by their path, each in its round.
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
        self._answers = self._rounds.answers(0)
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
                process_response=mark_simulated,
                max_size=MAX_CLIENT_MESSAGE_BYTES,
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
            self._answers = self._rounds.answers(number)
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
        except (ValueError, RecursionError):
            request = None
        if request is None:
            await connection.close()  # as the backend does; what is JSON but unknown it ignores in silence
            return
        if not isinstance(request, dict):
            return
        if request.get("action") == "ping":
            await connection.send('{"pong":true}')
        if request.get("track-mempool") is True:
            self._subscribers.add(connection)
            self._wanted.set()

    def _answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        path = path_of(request)
        if path is None:
            return None
        if path == "/api/v1/prices" and path not in self._answers:
            return plain_response(HTTPStatus.OK, _JSON, _NO_PRICE)
        status, body = self._answers.get(path, (HTTPStatus.NOT_FOUND, b"Cannot GET " + path.encode()))
        return plain_response(status, _JSON, body)
