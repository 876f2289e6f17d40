"""The alert websocket: says every message to every client, and waits for none.

A message is serialised once and written to each client's socket. A client whose socket is full gets its
messages later, from a bounded queue of references to the same bytes; when that is full too it loses the
oldest and is told how many; when it takes nothing for a while it is disconnected. No client has a task of
its own for sending: the event loop tells when a socket has room again.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import ClassVar, Final

from websockets.asyncio.server import ServerConnection
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State

from hydrophone.domain.units import micros_from_seconds
from hydrophone.errors import MalformedMessage, UnsupportedMessage
from hydrophone.pipeline.ports import Clock
from hydrophone.web.loopback import Connection, Endpoint, is_allowed_origin, make_room
from hydrophone.wire.public_v1 import encode_error, encode_lagged, encode_pong, parse_client_message

_CHUNK: Final = 250
"""Clients served between two turns of the event loop, so that a broadcast to thousands does not hold up the
frames that come in. Sources: measured, 28 -> 5 ms of stall at 3,000 clients."""
_SEND_BUFFER_BYTES: Final = 65_536
"""Asked of the kernel for each client (Linux doubles it). # chosen: about a hundred alerts; left alone it
grows to 4 MiB, which a stalled client would hold."""
_ANSWERS_LIMIT_BYTES: Final = 262_144
"""# chosen: what the library may hold in answers to a client's pings beyond the write limit: far more than a
client needs that reads at all."""
_MAX_MESSAGE_BYTES: Final = 65_536
"""Sources: the public interface, limits of the alert websocket."""
_MESSAGES_PER_S: Final = 20
"""Sources: the public interface, limits of the alert websocket."""

_NOT_A_WEBSOCKET: Final = """\
This port speaks websocket: it says each whale as it is heard, and every client gets every alert.
Connect with a websocket client to ws://localhost:{port}/ - the page for people is on the status port.
"""
_FOREIGN_ORIGIN: Final = """\
Pages of this origin may not listen: expected one served from this machine (http://localhost, any port).
A page opened from a file has the origin "null", as any website's sandboxed frame has: serve it instead,
for example with: python3 -m http.server 8080
"""
_FULL: Final = "As many clients as are allowed are connected; try again later.\n"


@dataclass(slots=True)
class AlertCounters:
    """What happened since the start.

    Attributes:
        messages: published.
        dropped: not delivered because a client was behind; one message counts once for each such client.
        kicked: clients disconnected because they took nothing.
    """

    messages: int = 0
    dropped: int = 0
    kicked: int = 0


@dataclass(slots=True)
class _Room:
    """What all clients of one server share."""

    backlog: int
    now: Callable[[], float]
    clock: Clock
    answers_limit_bytes: int
    counters: AlertCounters = field(default_factory=AlertCounters)
    clients: set["_Client"] = field(default_factory=set)
    paused: set["_Client"] = field(default_factory=set)


class _Client(Connection):
    """A connection, and what its client has yet to get.

    There is a backlog only while the socket is full (`paused`): both end in the same call.
    """

    room: ClassVar[_Room]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.backlog: deque[bytes] = deque()
        self.lost = 0
        self.paused_at = 0.0

    def deliver(self, frames: Sequence[bytes], joined: bytes) -> None:
        """Write frames, or keep them for later; never waits.

        Args:
            frames: in order.
            joined: all of them in one, for a socket with room.
        """
        if self.state is not State.OPEN or self.transport.is_closing():
            return
        if not self.paused:
            self.transport.write(joined)
            return
        for frame in frames:
            if len(self.backlog) >= self.room.backlog:
                self.backlog.popleft()
                self.lost += 1
                self.room.counters.dropped += 1
            self.backlog.append(frame)

    def pause_writing(self) -> None:
        """Note since when the socket is full."""
        super().pause_writing()
        self.paused_at = self.room.now()
        self.room.paused.add(self)

    def resume_writing(self) -> None:
        """Send what waited. What was lost was older than what is left, so that is said first."""
        super().resume_writing()
        self.room.paused.discard(self)
        if self.state is not State.OPEN:
            return
        if self.lost:
            lagged = encode_lagged(self.lost, self.room.clock())
            self.lost = 0
            self.transport.write(_serialise(lagged))
        while self.backlog and not self.paused:
            self.transport.write(self.backlog.popleft())

    def data_received(self, data: bytes) -> None:
        """Hang up on who asks and asks, and does not read: pings are answered without regard to limits."""
        super().data_received(data)
        if self.transport.get_write_buffer_size() > self.room.answers_limit_bytes:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.room.paused.discard(self)
        super().connection_lost(exc)


class AlertServer:
    """Serves the alert websocket. Implements the port `Broadcast`.

    Args:
        host: `localhost` is 127.0.0.1 and ::1.
        port: 0 takes a free one; `port` says which.
        greeting: what a client is told first; None: nothing. It is asked at the moment the client joins, so
            whoever publishes a change of it must make it the greeting before.
        backlog: messages kept for a client whose socket is full, at least one.
        write_limit: bytes written for a client beyond what the kernel takes.
        stall_timeout_s: a client that takes nothing for so long is disconnected.
        now: seconds of a clock that never jumps.
        clock: the time said in control messages.
        max_clients: further ones are refused; lowered to what the limit of open files allows.
        allowed_origins: of pages that may connect besides those on loopback.
        sweep_interval_s: how often stalled clients are looked for.
        close_timeout_s: so long clients may take to say goodbye.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        greeting: Callable[[], bytes | None],
        backlog: int = 1024,
        write_limit: int = 65_536,
        stall_timeout_s: float = 30.0,
        now: Callable[[], float] = time.monotonic,
        clock: Clock = lambda: micros_from_seconds(time.time()),
        max_clients: int = 10_000,
        allowed_origins: Collection[str] = (),
        sweep_interval_s: float = 1.0,
        close_timeout_s: float = 2.0,
    ) -> None:
        self._greeting = greeting
        self._write_limit = write_limit
        self._stall_timeout_s = stall_timeout_s
        self._now = now
        self._clock = clock
        self._allowed_origins = allowed_origins
        self._sweep_interval_s = sweep_interval_s
        self._turn = asyncio.Lock()
        self._room = _Room(backlog, now, clock, write_limit + _ANSWERS_LIMIT_BYTES)
        self._endpoint = Endpoint(
            host, port, section="alerts", capacity=max_clients, close_timeout_s=close_timeout_s
        )

    @property
    def port(self) -> int:
        """The port that is served, once `run` is ready."""
        return self._endpoint.port

    @property
    def client_count(self) -> int:
        """Clients connected now."""
        return len(self._room.clients)

    @property
    def counters(self) -> AlertCounters:
        """What happened since the start."""
        return self._room.counters

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled; then close clients with 1001, within a bounded time.

        Args:
            ready: called when clients can connect.

        Raises:
            ConfigError: the port cannot be had.
        """

        class Client(_Client):
            endpoint = self._endpoint
            room = self._room

        self._endpoint.capacity = make_room(self._endpoint.capacity)
        async with self._endpoint.serving(
            self._serve,
            self._admit,
            connection_class=Client,
            max_message_bytes=_MAX_MESSAGE_BYTES,
            write_limit=self._write_limit,
            send_buffer_bytes=_SEND_BUFFER_BYTES,
        ):
            ready()
            try:
                while True:
                    await self._endpoint.wait(self._sweep_interval_s)
                    self._kick_stalled()
            finally:
                for client in tuple(self._room.paused):
                    client.transport.abort()  # no goodbye would reach it

    async def publish(self, *messages: bytes) -> None:
        """Hand messages to every client, in one write where a socket has room; never waits for a slow one.

        Every client gets the messages that are published after it joined, in the order of the calls. When
        cancelled in the middle, some clients have the message and some have not.

        Args:
            messages: UTF-8 text each; so few that a client may well get them at once.
        """
        frames = [_serialise(message) for message in messages]
        joined = b"".join(frames)
        async with self._turn:
            self.counters.messages += len(frames)
            clients = tuple(self._room.clients)
            # At least one turn, also without clients: between two messages sockets drain and others run.
            for start in range(0, max(1, len(clients)), _CHUNK):
                for client in clients[start : start + _CHUNK]:
                    client.deliver(frames, joined)
                await asyncio.sleep(0)

    def _kick_stalled(self) -> None:
        deadline = self._now() - self._stall_timeout_s
        for client in tuple(self._room.paused):
            if client.paused_at <= deadline:
                client.transport.abort()
                self._room.paused.discard(client)
                self.counters.kicked += 1

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        origins = request.headers.get_all("Origin")
        if not all(is_allowed_origin(origin, self._allowed_origins) for origin in origins):
            return connection.respond(HTTPStatus.FORBIDDEN, _FOREIGN_ORIGIN)
        if not request.headers.get_all("Upgrade"):
            text = _NOT_A_WEBSOCKET.format(port=self.port)
            response = connection.respond(HTTPStatus.UPGRADE_REQUIRED, text)
            response.headers["Upgrade"] = "websocket"
            return response
        if self.client_count >= self._endpoint.capacity:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, _FULL)
        return None

    async def _serve(self, client: ServerConnection) -> None:
        assert isinstance(client, _Client)
        self._room.clients.add(client)
        try:
            greeting = self._greeting()
            if greeting is not None:
                frame = _serialise(greeting)
                client.deliver([frame], frame)
            await self._converse(client)
        finally:
            self._room.clients.discard(client)

    async def _converse(self, client: _Client) -> None:
        """Answer what a client says. Waits while its socket is full: who does not read is not answered."""
        arrivals: deque[float] = deque(maxlen=_MESSAGES_PER_S)
        async for raw in client:
            at = self._now()
            if len(arrivals) == _MESSAGES_PER_S and at - arrivals[0] < 1.0:
                await client.close(
                    CloseCode.POLICY_VIOLATION, f"more than {_MESSAGES_PER_S} messages a second"
                )
                return
            arrivals.append(at)
            await client.send(self._answer(raw), text=True)

    def _answer(self, raw: bytes | str) -> bytes:
        try:
            message = parse_client_message(raw)
        except UnsupportedMessage as error:
            return encode_error("unsupported_message", str(error), self._clock())
        except MalformedMessage as error:
            return encode_error("malformed", str(error), self._clock())
        assert message.type == "ping", message.type  # the parser lets nothing else through yet
        return encode_pong(self._clock())


def _serialise(message: bytes) -> bytes:
    return Frame(Opcode.TEXT, message).serialize(mask=False)
