"""Ports that are ours, and who may talk to them.

Everything listens on loopback unless told otherwise; but a loopback port is reachable from every page that
the user's browser shows. So requests that carry an origin, and the name a request was sent to, are checked.
"""

import asyncio
import errno
import logging
import re
import resource
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import ClassVar, Final, cast

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from hydrophone.errors import ConfigError
from hydrophone.web.access import is_loopback_address

_Address = tuple[socket.AddressFamily, tuple[str | int, ...]]
"""A family, and a socket address whose port is still to be filled in."""

_LOCALHOST: Final[tuple[_Address, ...]] = (
    (socket.AF_INET, ("127.0.0.1", 0)),
    (socket.AF_INET6, ("::1", 0)),
)
"""What `localhost` means here, whatever the resolver says: browsers try both.

Sources: RFC 6761, section 6.3.
"""
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_LOOPBACK_ORIGIN: Final = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")
_HOST_HEADER: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_ADDRESS_MISSING: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
_FREE_PORT_ATTEMPTS: Final = 8
"""# chosen: a port free on 127.0.0.1 is hardly ever busy on ::1; eight in a row are something else."""
_LISTEN_BACKLOG: Final = 512
"""# chosen: connections that wait for accept; a burst of browsers after a restart, not a flood."""
_OPEN_TIMEOUT_S: Final = 5.0
"""# chosen: a request arrives within a round trip; who is slower only holds a file descriptor."""
_HANDSHAKES: Final = 256
"""# chosen: connections above the capacity that may wait to be told so."""
_PER_ADDRESS: Final = 64
"""Of those, from one address that is not this machine, with a token or not. # chosen: as REST."""
_QUEUE: Final = 2
"""# chosen: messages a client may be ahead of us; the kernel holds the rest."""
_OTHER_FILES: Final = 768
"""# chosen: descriptors left for the REST port at its busiest, the store, the sources and the log."""


_SPARE_FILES: Final = 32
"""# chosen: the source, its questions, a checkpoint of the database and the tokens need fewer at once."""


def is_allowed_origin(origin: str, allowed: Collection[str] = ()) -> bool:
    """Return whether a page of this origin may listen to us.

    Loopback on any port is allowed: whoever serves there is already on this machine. `null` is not: a
    sandboxed frame of any website has that origin, so allowing pages opened from files would allow everybody.

    Args:
        origin: the value of the Origin header.
        allowed: further origins, as browsers spell them (`https://whales.example`).
    """
    return origin in allowed or _LOOPBACK_ORIGIN.fullmatch(origin.lower()) is not None


def parse_host(header: str) -> str | None:
    """Return the name in a Host header in lower case, without its port; None when it is not one."""
    match = _HOST_HEADER.fullmatch(header.lower())
    return None if match is None else match[1]


def is_loopback_name(name: str) -> bool:
    """Return whether a name in a Host header can only mean this machine."""
    return name in _LOOPBACK_NAMES


def open_listeners(host: str, port: int, *, section: str) -> list[socket.socket]:
    """Return listening sockets on every address of a host, all on the same port.

    Args:
        host: `localhost` is 127.0.0.1 and, where the machine has it, ::1; otherwise a name or an address.
        port: 0 takes a free one.
        section: of the settings, for the message.

    Raises:
        ConfigError: unknown host, port in use, or not ours to take.
    """
    addresses = _LOCALHOST if host == "localhost" else _resolve(host, section=section)
    attempts = _FREE_PORT_ATTEMPTS if port == 0 else 1
    while True:
        attempts -= 1
        try:
            return _listen_on_all(addresses, port)
        except OSError as error:
            if attempts and error.errno == errno.EADDRINUSE:
                continue
            raise ConfigError(_why_not(host, port, error, section=section)) from error


def check_port_free(host: str, port: int, *, section: str) -> None:
    """Do nothing if we could listen there now.

    Raises:
        ConfigError: unknown host, port in use, or not ours to take.
    """
    for listener in open_listeners(host, port, section=section):
        listener.close()


def _resolve(host: str, *, section: str) -> tuple[_Address, ...]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"expected a name or address of this machine in {section}.host, found {host!r} ({error}); "
            "use localhost to be reachable from this machine only"
        ) from error
    return tuple(
        dict.fromkeys((family, cast("tuple[str | int, ...]", address)) for family, _, _, _, address in found)
    )


def _listen_on_all(addresses: tuple[_Address, ...], port: int) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    try:
        for family, address in addresses:
            try:
                listener = _listen(family, (address[0], port, *address[2:]))
            except OSError as error:
                if listeners and error.errno in _ADDRESS_MISSING:
                    continue  # a machine without IPv6
                raise
            listeners.append(listener)
            port = listener.getsockname()[1]
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _listen(family: socket.AddressFamily, address: tuple[str | int, ...]) -> socket.socket:
    # The protocol is named because asyncio sets TCP_NODELAY only on sockets that say they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A restart need not wait for connections of the previous process to fade.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_LISTEN_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _why_not(host: str, port: int, error: OSError, *, section: str) -> str:
    where = f"port {port} of {host}"
    remedy = f"set another with {section}.port (HYDROPHONE_{section.upper()}__PORT)"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use; stop what listens there (is Hydrophone already running?) or {remedy}"
    if error.errno == errno.EACCES:
        return f"{where} is not ours to take ({error.strerror}); {remedy}, above 1023"
    return f"cannot listen on {where}: {error.strerror}; check {section}.host, or {remedy}"


def make_room(connections: int) -> int:
    """Raise the process's limit of open files for so many connections; return how many it allows.

    The soft limit is often 1,024 and may be raised by anybody up to the hard one. Where that is low too, half
    of it is for connections.
    """
    reserve = _HANDSHAKES + _OTHER_FILES
    wanted = connections + reserve
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except (OSError, ValueError):
        raised = soft  # macOS has a further limit that it does not tell
    return min(connections, max(raised - reserve, raised // 2))


def is_spare(transport: asyncio.BaseTransport) -> bool:
    """Return whether a connection took one of the last files there may be; it is not to be kept.

    The system gives the lowest number that is free, so a number tells how many files are open. The last ones
    are for the source that reconnects and the database, which strangers' connections must not keep out.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    peer = transport.get_extra_info("socket")
    if limit == resource.RLIM_INFINITY or peer is None:
        return False
    return bool(peer.fileno() >= limit - min(_SPARE_FILES, limit // 4))


class Connection(ServerConnection):
    """A connection that its endpoint knows from accept until it is gone."""

    endpoint: ClassVar["Endpoint"]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register, or hang up when even refusing politely is too much."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self.endpoint.enter(self, self.address) or is_spare(transport):
            self.endpoint.refused_count += 1
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.endpoint.leave(self, self.address)
        super().connection_lost(exc)


class Endpoint:
    """A websockets server on every address of a host, which ends within a bounded time.

    What strangers do wrong (scanners, half a handshake) is answered or ignored, and not logged. What we do
    wrong ends `wait`: the library would only log it.

    Args:
        host: see `open_listeners`.
        port: see `open_listeners`.
        section: of the settings, for messages.
        capacity: connections we mean to serve at once.
        close_timeout_s: so long clients may take to say goodbye.
    """

    def __init__(
        self, host: str, port: int, *, section: str, capacity: int, close_timeout_s: float = 2.0
    ) -> None:
        self.port = port
        self.capacity = capacity
        self.connections: set[ServerConnection] = set()
        self.refused_count = 0
        self._by_address: Counter[str] = Counter()
        self._host = host
        self._section = section
        self._close_timeout_s = close_timeout_s
        self._make_connection: Callable[[], Connection] | None = None
        self._bug: Exception | None = None
        self._bug_found = asyncio.Event()
        # Its errors are about strangers' handshakes; those of our own handlers are raised by `wait`.
        self._library_log = logging.getLogger(f"{__name__}.websockets")
        self._library_log.setLevel(logging.CRITICAL)

    @asynccontextmanager
    async def serving(
        self,
        handle: Callable[[ServerConnection], Awaitable[None]],
        answer: Callable[[ServerConnection, Request], Awaitable[Response | None]],
        *,
        connection_class: type[Connection],
        max_message_bytes: int,
        write_limit: int,
        send_buffer_bytes: int | None = None,
    ) -> AsyncIterator[None]:
        """Serve within the context; then close clients with 1001, and cut those who do not answer.

        Args:
            handle: serves one websocket.
            answer: answers a request without opening a websocket, or returns None to open one.
            connection_class: what the library makes for each connection; its `endpoint` is this one.
            max_message_bytes: a client that sends more is closed with 1009.
            write_limit: bytes we hold for a client before `pause_writing`.
            send_buffer_bytes: asked of the kernel for each connection; None leaves it to grow.

        Raises:
            ConfigError: the port cannot be had.
        """

        async def handle_or_fail(connection: ServerConnection) -> None:
            try:
                await handle(connection)
            except ConnectionClosed:
                pass
            except Exception as bug:  # noqa: BLE001  # not swallowed: `wait` raises it
                self._fail(bug)

        async def answer_or_fail(connection: ServerConnection, request: Request) -> Response | None:
            try:
                return await answer(connection, request)
            except Exception as bug:
                self._fail(bug)
                raise

        def make_connection() -> Connection:
            protocol = ServerProtocol(max_size=max_message_bytes, logger=self._library_log)
            return connection_class(
                protocol,
                servers[0],
                close_timeout=self._close_timeout_s,
                max_queue=_QUEUE,
                write_limit=write_limit,
            )

        listeners = open_listeners(self._host, self.port, section=self._section)
        self.port = listeners[0].getsockname()[1]
        servers: list[Server] = []
        try:
            for listener in listeners:
                if send_buffer_bytes is not None:  # inherited by the connections it accepts
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
                server = serve(
                    handle_or_fail,
                    sock=listener,
                    backlog=_LISTEN_BACKLOG,
                    process_request=answer_or_fail,
                    create_connection=connection_class,
                    compression=None,  # costs three times the processor and 34 kB for each client
                    server_header=None,
                    open_timeout=_OPEN_TIMEOUT_S,
                    close_timeout=self._close_timeout_s,
                    max_size=max_message_bytes,
                    max_queue=_QUEUE,
                    write_limit=write_limit,
                    logger=self._library_log,
                )
                servers.append(await server)
            self._make_connection = make_connection
            yield
        finally:
            self._make_connection = None
            await self._close(servers)
            for listener in listeners:
                listener.close()

    def adopt(self, transport: asyncio.Transport, received: bytes) -> bool:
        """Serve a connection that another server accepted; False: nothing is served now.

        Args:
            transport: whose protocol is replaced.
            received: what came by it: the beginning of a request.
        """
        if self._make_connection is None:
            return False
        connection = self._make_connection()
        transport.set_protocol(connection)
        connection.connection_made(transport)
        connection.data_received(received)
        return True

    def enter(self, connection: ServerConnection, address: str) -> bool:
        """Register a connection; False: there are too many, of all or of its address."""
        self.connections.add(connection)
        self._by_address[address] += 1
        is_crowd = not is_loopback_address(address) and self._by_address[address] > _PER_ADDRESS
        return not is_crowd and len(self.connections) <= self.capacity + _HANDSHAKES

    def leave(self, connection: ServerConnection, address: str) -> None:
        """Forget a connection."""
        if connection in self.connections:
            self.connections.discard(connection)
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    async def wait(self, timeout_s: float | None = None) -> None:
        """Return after so long (None: never).

        Raises:
            Exception: whatever a handler of ours raised.
        """
        try:
            await asyncio.wait_for(self._bug_found.wait(), timeout_s)
        except TimeoutError:
            return
        assert self._bug is not None
        raise self._bug

    def note_end(self, task: asyncio.Task[None]) -> None:
        """Take up what ended a task of a handler: see `wait`."""
        bug = None if task.cancelled() else task.exception()
        if isinstance(bug, Exception) and not isinstance(bug, ConnectionClosed):
            self._fail(bug)

    def _fail(self, bug: Exception) -> None:
        self._bug = self._bug or bug
        self._bug_found.set()

    async def _close(self, servers: list[Server]) -> None:
        for server in servers:
            server.close()
        closing = {asyncio.create_task(server.wait_closed()) for server in servers}
        if not closing:
            return
        _, late = await asyncio.wait(closing, timeout=self._close_timeout_s)
        if late:
            for connection in tuple(self.connections):
                connection.transport.abort()
            await asyncio.wait(late)
