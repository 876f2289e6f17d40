"""The alert websocket: says every message to every client that wants it, and waits for none.

A message is serialised once and written to each client's socket. A client whose socket is full gets its
messages later, from a bounded queue of references to the same bytes; when that is full too it loses the
oldest and is told how many; when it takes nothing for a while it is disconnected.
What a client may say, and what it gets then, is in `session`; here it is only carried.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from http import HTTPStatus
from typing import Final, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.protocol import State

from hydrophone.domain.units import micros_from_seconds
from hydrophone.errors import StoreError, WireError
from hydrophone.pipeline.ports import Clock, RecordReader
from hydrophone.web.journal import TAIL, Entry, Journal, is_for
from hydrophone.web.loopback import Endpoint, is_allowed_origin, make_room
from hydrophone.web.room import AlertCounters, Client, Room, frame_of
from hydrophone.web.session import Session, Trouble, Wish
from hydrophone.wire.socket_v1 import (
    EVERYTHING,
    MAX_MESSAGE_BYTES,
    Authenticate,
    encode_authenticated,
    encode_error,
    parse_client_message,
)

_SEND_BUFFER_BYTES: Final = 65_536
"""Asked of the kernel for each client (Linux doubles it). # chosen: about a hundred alerts; left alone it
grows to 4 MiB, which a stalled client would hold."""
_WRITE_LIMIT_BYTES: Final = 65_536
"""# chosen: written for a client beyond what the kernel takes, before its messages wait."""

_CHUNK: Final = 250
"""Clients served between two turns of the event loop, so that a broadcast to thousands does not hold up the
frames that come in. Sources: measured, 28 -> 5 ms of stall at 3,000 clients."""
_ANSWERS_LIMIT_BYTES: Final = 262_144
"""# chosen: what the library may hold in answers to a client's pings beyond the write limit: far more than a
client needs that reads at all."""
_PORTION_BYTES: Final = 65_536
"""Written at once to a client that catches up. # chosen: as much as any client is held."""
_PAGE: Final = 500
"""Entries read at once for it. # chosen: some 800 kB; a tenth would cost the store as much."""
_PAGES: Final = 32
"""Pages that are read and passed on at once. # chosen: 25 MB that slow clients make us hold at most."""
_SHORT_PATIENCE_S: Final = 1.0
"""With a client that takes nothing, while memory is short. # chosen: one that reads at all has room within
it; it may resume."""
_INTRODUCTION_S: Final = 10.0
"""# chosen: for the first message, where that must bring a token; a stranger only holds a file descriptor."""

_NOT_A_WEBSOCKET: Final = """\
Here alerts are said by websocket: each whale as it is heard. Connect with a websocket client to
ws://localhost:{port}{path} - the page for people is on the REST port.
"""
_FOREIGN_ORIGIN: Final = """\
Pages of this origin may not listen: expected one served from this machine (http://localhost, any port).
A page opened from a file has the origin "null", as any website's sandboxed frame has: serve it instead,
for example with: python3 -m http.server 8080"""
_FULL: Final = "As many clients as are allowed are connected; try again later.\n"
_NOT_INTRODUCED: Final = (
    'expected {"type":"authenticate","token":"..."} as the first message, or the header '
    "Authorization: Bearer with a token"
)


class Admission(Protocol):
    """Who may listen, by what is known of a request and of whoever sends it."""

    def refuse_place(self, headers: Headers, peer: str) -> str | None:
        """Return why nobody may ask from there, or for that; None: they may.

        Args:
            headers: of the request.
            peer: the address it came from.
        """
        ...

    def refuse_token(self, token: str | None, headers: Headers, peer: str) -> str | None:
        """Return why somebody may not listen; None: they may.

        Args:
            token: what they show; None: nothing.
            headers: of the request.
            peer: the address it came from.
        """
        ...

    def name_token(self, token: str | None) -> str | None:
        """Return what names the token somebody was let in by; None: they needed none."""
        ...

    def good_names(self) -> Collection[str] | None:
        """Return the names of the tokens that are good now; None: it cannot be told now."""
        ...


class OpenToThisMachine:
    """Lets in whoever reaches a port on loopback, but no page of elsewhere."""

    def refuse_place(self, headers: Headers, _peer: str) -> str | None:
        """Refuse pages that are not served from this machine."""
        is_ours = all(is_allowed_origin(origin) for origin in headers.get_all("Origin"))
        return None if is_ours else _FOREIGN_ORIGIN

    def refuse_token(self, _token: str | None, _headers: Headers, _peer: str) -> str | None:
        """Refuse nobody."""
        return None

    def name_token(self, _token: str | None) -> str | None:
        """Return that nobody needs one."""
        return None

    def good_names(self) -> Collection[str]:
        """Return that there are none."""
        return ()


class AlertServer:
    """Serves the alert websocket on a port of its own, and whoever came to another. Is a `Broadcast`.

    Args:
        host: `localhost` is 127.0.0.1 and ::1.
        port: 0 takes a free one; `port` says which.
        greeting: what a client is told first; None: nothing. It is asked at the moment the client joins, so
            whoever publishes a change of it must make it the greeting before.
        record: where is read what clients missed that were away; None: only what is in memory can be sent.
        last_seq: index of the newest entry of the record at the start.
        admission: says who may listen.
        backlog: messages kept for a client whose socket is full, at least one.
        write_limit: bytes written for a client beyond what the kernel takes.
        stall_timeout_s: a client that takes nothing for so long is disconnected.
        now: seconds of a clock that never jumps.
        clock: the time said in control messages.
        max_clients: further ones are refused; lowered to what the limit of open files allows.
        sweep_interval_s: how often stalled clients are looked for.
        close_timeout_s: so long clients may take to say goodbye.
        tail: entries of the record that stay in memory.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        greeting: Callable[[], bytes | None],
        record: RecordReader | None = None,
        last_seq: int = 0,
        admission: Admission = OpenToThisMachine(),  # noqa: B008 -- it has no state
        backlog: int = 1024,
        write_limit: int = _WRITE_LIMIT_BYTES,
        stall_timeout_s: float = 30.0,
        now: Callable[[], float] = time.monotonic,
        clock: Clock = lambda: micros_from_seconds(time.time()),
        max_clients: int = 10_000,
        sweep_interval_s: float = 1.0,
        close_timeout_s: float = 2.0,
        tail: int = TAIL,
    ) -> None:
        self._greeting = greeting
        self._record = record
        self._admission = admission
        self._write_limit = write_limit
        self._stall_timeout_s = self._patience_s = stall_timeout_s
        self._now = now
        self._clock = clock
        self._sweep_interval_s = sweep_interval_s
        self._tail = tail
        self._journal = Journal(last_seq, frame=frame_of, keep=tail)
        self._turn = asyncio.Lock()
        self._pages = asyncio.Semaphore(_PAGES)
        self._room = Room(backlog, now, clock, write_limit + _ANSWERS_LIMIT_BYTES)
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
    def refused_count(self) -> int:
        """Connections closed unheard: too many of all, of one address, or of open files."""
        return self._endpoint.refused_count

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
            StoreError: the record cannot be read.
        """
        room_of_all = self._room

        class AlertClient(Client):
            endpoint = self._endpoint
            room = room_of_all

        self._endpoint.capacity = make_room(self._endpoint.capacity)
        await self._remember()
        async with self._endpoint.serving(
            self._serve,
            self._admit,
            connection_class=AlertClient,
            max_message_bytes=MAX_MESSAGE_BYTES,
            write_limit=self._write_limit,
            send_buffer_bytes=_SEND_BUFFER_BYTES,
        ):
            ready()
            try:
                while True:
                    await self._endpoint.wait(self._sweep_interval_s)
                    self._kick_stalled()
                    self._kick_strangers()
            finally:
                for client in tuple(self._room.paused):
                    client.transport.abort()  # no goodbye would reach it

    @staticmethod
    def is_asked(received: bytes) -> bool:
        """Return whether a request begins that asks for alerts on a port that serves other things too."""
        return received.startswith((b"GET /ws ", b"GET /ws?"))

    def adopt(self, transport: asyncio.Transport, received: bytes) -> bool:
        """Serve a client that came to another port of ours; False: nothing is served now.

        Args:
            transport: the connection, on which nothing is under way.
            received: what came by it: a request for `/ws`, or its beginning.
        """
        peer = transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        return self._endpoint.adopt(transport, received)

    async def _remember(self) -> None:
        """Take up what was said before the start: whoever reconnects then costs no query."""
        if self._record is None or self._journal.head == 0:
            return
        page = await self._record.read_entries(max(0, self._journal.head - self._tail), self._tail)
        alerts = dict(await self._record.read_open_alerts())
        ended = {entry.prediction_id for entry in page if entry.prediction_id is not None} - alerts.keys()
        alerts.update(await self._record.read_alerts(ended))
        self._journal.restore(page, [message for said in alerts.values() for message in said])

    async def publish(self, *messages: bytes) -> None:
        """Hand messages to every client that wants them, in one write where a socket has room.

        Never waits for a slow client. Every client gets what is published after it joined, in the order of
        the calls. When cancelled in the middle, some clients have the message and some have not.

        Args:
            messages: UTF-8 text each; so few that a client may well get them at once.

        Raises:
            ValueError: an entry of the record was said already.
        """
        async with self._turn:  # nobody changes what it gets meanwhile, but who catches up may become live
            entries = self._journal.note(messages)
            self.counters.messages += len(entries)
            groups = [(filters, tuple(clients)) for filters, clients in self._room.groups.items()]
            left = _CHUNK
            for filters, clients in groups:
                frames = [entry.frame for entry in entries if is_for(filters, entry)]
                joined = b"".join(frames)
                served = clients if frames else ()
                for start in range(0, max(1, len(served)), _CHUNK):
                    chunk = served[start : start + _CHUNK]
                    for client in chunk:
                        client.deliver(frames, joined)
                    left -= max(1, len(chunk))  # a filter takes time too
                    if left <= 0:
                        await asyncio.sleep(0)
                        left = _CHUNK
            # At least one turn, also without clients: between two messages sockets drain and others run.
            if left < _CHUNK or not groups:
                await asyncio.sleep(0)

    def shrink(self) -> int:
        """Keep little in memory for clients that resume, from now on; return how much went."""
        return self._journal.shrink()

    def grow(self) -> None:
        """Keep as much as usual again."""
        self._journal.grow()

    def shed_slow(self) -> int:
        """Disconnect clients that are behind, from now on after a second; return how many went now."""
        self._patience_s = min(self._stall_timeout_s, _SHORT_PATIENCE_S)
        before = self.counters.shed
        self._kick_stalled()
        return self.counters.shed - before

    def spare_slow(self) -> None:
        """Be as patient with clients that are behind as usual."""
        self._patience_s = self._stall_timeout_s

    @property
    def kept(self) -> dict[str, int]:
        """How much is in memory for clients that resume."""
        return {"entries": self._journal.tail_count, "predictions": self._journal.prediction_count}

    @property
    def longest_backlog(self) -> int:
        """Messages that wait for the client that is the most behind."""
        return max((len(client.backlog) for client in self._room.paused), default=0)

    @property
    def backlog_capacity(self) -> int:
        """Messages that may wait for one client."""
        return self._room.backlog

    @property
    def capacity(self) -> int:
        """Clients there may be, as far as open files allow."""
        return self._endpoint.capacity

    def _kick_stalled(self) -> None:
        deadline = self._now() - self._patience_s
        is_short = self._patience_s < self._stall_timeout_s
        for client in tuple(self._room.paused):
            if client.paused_at <= deadline:
                client.transport.abort()
                self._room.paused.discard(client)
                if is_short:
                    self.counters.shed += 1
                else:
                    self.counters.kicked += 1

    def _kick_strangers(self) -> None:
        """Hang up on who was let in by a token that was revoked or has expired since."""
        named = [client for client in self._room.clients if client.token_name is not None]
        good = self._admission.good_names() if named else None
        for client in named:
            if good is not None and client.token_name not in good:
                client.transport.abort()

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        assert isinstance(connection, Client)
        problem = self._admission.refuse_place(request.headers, _address_of(connection))
        if problem is not None:
            return connection.respond(HTTPStatus.FORBIDDEN, f"{problem}\n")
        if not request.headers.get_all("Upgrade"):
            port = connection.local_address[1]
            text = _NOT_A_WEBSOCKET.format(port=port, path=request.path.partition("?")[0])
            response = connection.respond(HTTPStatus.UPGRADE_REQUIRED, text)
            response.headers["Upgrade"] = "websocket"
            return response
        if self.client_count >= self._endpoint.capacity:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, _FULL)
        return self._check_header(connection, request.headers)

    def _check_header(self, client: Client, headers: Headers) -> Response | None:
        """Refuse a bad token; who shows none may still do so by the first message."""
        credentials = headers.get_all("Authorization")
        if not credentials:
            client.is_known = self._admission.refuse_token(None, headers, _address_of(client)) is None
            return None
        scheme, _, token = credentials[0].partition(" ")
        problem: str | None = "expected one header Authorization: Bearer with a token"
        if len(credentials) == 1 and scheme.lower() == "bearer":
            problem = self._admission.refuse_token(token.strip(), headers, _address_of(client))
        client.is_known = problem is None
        if problem is None:
            client.token_name = self._admission.name_token(token.strip())
            return None
        response = client.respond(HTTPStatus.UNAUTHORIZED, f"{problem}\n")
        response.headers["WWW-Authenticate"] = "Bearer"
        return response

    async def _serve(self, connection: ServerConnection) -> None:
        assert isinstance(connection, Client)
        client = connection
        if not client.is_known and not await self._introduce(client):
            return
        client.session = Session(self._journal, self._clock, has_store=self._record is not None)
        self._room.enter(client)
        catching_up: asyncio.Task[None] | None = None
        try:
            greeting = self._greeting()
            if greeting is not None:
                _send(client, [frame_of(greeting)])
            async for raw in client:
                if not await self._hear(client, raw):
                    return
                if client.session.wish is not None and (catching_up is None or catching_up.done()):
                    catching_up = asyncio.create_task(self._catch_up(client))
                    catching_up.add_done_callback(self._endpoint.note_end)
        finally:
            self._room.leave(client)
            if catching_up is not None:
                catching_up.cancel()

    async def _introduce(self, client: Client) -> bool:
        """Return whether the first message brings a good token, in time; else the client is sent away."""
        problem: str | None = _NOT_INTRODUCED
        with contextlib.suppress(WireError, TimeoutError):
            async with asyncio.timeout(_INTRODUCTION_S):
                said = parse_client_message(await client.recv())
            if isinstance(said, Authenticate):
                assert client.request is not None
                headers = client.request.headers
                problem = self._admission.refuse_token(said.token, headers, _address_of(client))
                client.token_name = None if problem else self._admission.name_token(said.token)
        if problem is None:
            await client.send(encode_authenticated(self._clock()), text=True)
            return True
        await client.send(encode_error("unauthorized", problem, self._clock()), text=True)
        await client.close(CloseCode.POLICY_VIOLATION, "unauthorized")
        return False

    async def _hear(self, client: Client, raw: bytes | str) -> bool:
        """Answer what a client said, and return whether it may say more.

        Waits while its socket is full: who does not read is not answered; and so an answer overtakes nothing.
        """
        at = self._now()
        while True:
            await client.caught_breath()
            async with self._turn:
                if client.paused:
                    continue
                reply = client.session.receive(raw, at)
                self._room.regroup(client)
                _send(client, [frame_of(message) for message in reply.messages])
            break
        if reply.close is None:
            return True
        await client.close(CloseCode.POLICY_VIOLATION, reply.close)
        return False

    async def _catch_up(self, client: Client) -> None:
        """Send what a client missed, as fast as it reads, until it is live or has said something else."""
        session = client.session
        while (wish := session.wish) is not None and client.state is State.OPEN:
            entries = self._journal.entries_after(wish.since, _PAGE)
            if entries is not None:
                await self._pass_on(client, wish, entries)
            else:
                async with self._pages:
                    await self._pass_on(client, wish, await self._look_up(wish))
            await asyncio.sleep(0)

    async def _pass_on(self, client: Client, wish: Wish, found: Sequence[Entry] | Trouble) -> None:
        """Send entries to a client that wished for them, unless it has said something else meanwhile."""
        session = client.session
        if isinstance(found, str):
            await client.caught_breath()
            if session.wish is wish:
                resync = session.give_up(found)
                self._room.regroup(client)
                _send(client, [frame_of(resync)])
            return
        for portion in _portions(found):
            await client.caught_breath()
            if session.wish is not wish:
                return
            frames = session.catch_up(portion)
            self._room.regroup(client)
            _send(client, frames)

    async def _look_up(self, wish: Wish) -> Sequence[Entry] | Trouble:
        """Return entries that are not in memory any more, or why they cannot be had."""
        if self._record is None:
            return "too_old"
        try:
            page = await self._record.read_entries(wish.since, _PAGE)
            unknown = set() if wish.filters is EVERYTHING else self._journal.unknown_in(page)
            alerts = await self._record.read_alerts(unknown) if unknown else {}
        except StoreError:
            return "unavailable"
        return self._journal.entries_of(page, wish.since, alerts) or "not_kept"


def _portions(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Yield entries in portions of so many bytes, one entry at least."""
    portion: list[Entry] = []
    size = 0
    for entry in entries:
        if portion and size + len(entry.frame) > _PORTION_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(entry)
        size += len(entry.frame)
    if portion:
        yield portion


def _address_of(client: Client) -> str:
    return str(client.remote_address[0])


def _send(client: Client, frames: Sequence[bytes]) -> None:
    if frames:
        client.deliver(frames, b"".join(frames))
