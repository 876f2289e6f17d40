"""Who is connected, who gets what, and what each has yet to get.

Clients that asked for the same are one group: whether a message is for them is decided once, and the bytes
are the same. A client has no task of its own for sending: the event loop tells when its socket has room.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from websockets.frames import Frame, Opcode
from websockets.protocol import State

from hydrophone.pipeline.ports import Clock
from hydrophone.web.loopback import Connection
from hydrophone.web.session import Session
from hydrophone.wire.socket_v1 import FiltersV1, encode_lagged


@dataclass(slots=True)
class AlertCounters:
    """What happened since the start.

    Attributes:
        messages: published.
        dropped: not delivered because a client was behind; one message counts once for each such client.
        kicked: clients disconnected because they took nothing.
        shed: clients disconnected because they were behind while memory was short.
    """

    messages: int = 0
    dropped: int = 0
    kicked: int = 0
    shed: int = 0


@dataclass(slots=True)
class Room:
    """What all clients share, on whichever port they came.

    Attributes:
        backlog: messages kept for a client whose socket is full.
        now: seconds of a clock that never jumps.
        clock: the time said in messages.
        answers_limit_bytes: written for a client at most in answers to its pings.
        counters: what happened.
        clients: all.
        groups: clients by what they get; None: only what everybody gets.
        paused: clients whose socket is full.
    """

    backlog: int
    now: Callable[[], float]
    clock: Clock
    answers_limit_bytes: int
    counters: AlertCounters = field(default_factory=AlertCounters)
    clients: set["Client"] = field(default_factory=set)
    groups: dict[FiltersV1 | None, set["Client"]] = field(default_factory=dict)
    paused: set["Client"] = field(default_factory=set)

    def enter(self, client: "Client") -> None:
        """Let a client have what is said from now on."""
        self.clients.add(client)
        self._join(client)

    def leave(self, client: "Client") -> None:
        """Forget a client."""
        self.clients.discard(client)
        self._quit(client)

    def regroup(self, client: "Client") -> None:
        """Note that what a client gets may have changed."""
        if client in self.clients and client.audience is not client.session.audience:
            self._quit(client)
            self._join(client)

    def _join(self, client: "Client") -> None:
        client.audience = client.session.audience
        self.groups.setdefault(client.audience, set()).add(client)

    def _quit(self, client: "Client") -> None:
        group = self.groups.get(client.audience)
        if group is not None:
            group.discard(client)
            if not group:
                del self.groups[client.audience]


class Client(Connection):
    """A connection, and what its client has yet to get.

    There is a backlog only while the socket is full (`paused`): both end in the same call.

    Attributes:
        session: its conversation, once it is served.
        audience: in which group it is.
        is_known: whether its token was judged good.
        token_name: of the token it was let in by; None: it needed none.
    """

    room: ClassVar[Room]
    session: Session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with nothing to get."""
        super().connection_made(transport)
        self.audience: FiltersV1 | None = None
        self.is_known = False
        self.token_name: str | None = None
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
            self.transport.write(frame_of(lagged))
        while self.backlog and not self.paused:
            self.transport.write(self.backlog.popleft())

    async def caught_breath(self) -> None:
        """Return when the socket has room and nothing waits for it."""
        while self.paused:
            with contextlib.suppress(OSError):  # the connection is lost, and nothing waits any more
                await self.drain()

    def data_received(self, data: bytes) -> None:
        """Hang up on who asks and asks, and does not read: pings are answered without regard to limits."""
        super().data_received(data)
        if self.transport.get_write_buffer_size() > self.room.answers_limit_bytes:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget that its socket was full."""
        self.room.paused.discard(self)
        super().connection_lost(exc)


def frame_of(message: bytes) -> bytes:
    """Return a message as it is written: one text frame."""
    return Frame(Opcode.TEXT, message).serialize(mask=False)
