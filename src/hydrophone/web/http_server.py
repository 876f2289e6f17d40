"""An HTTP server with limits: on size, on time, on how many at once. It knows nothing of what is served.

aiohttp speaks the protocol (ADR 24). What strangers do wrong is answered in our own words and not logged;
what we do wrong is logged, counted and answered 500, for nobody may stop the detector by asking.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, Final, Protocol

from aiohttp import hdrs
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web import BaseRequest, RequestHandler, Response, Server
from aiohttp.web_response import StreamResponse

from hydrophone.runtime.telemetry import get_logger
from hydrophone.web.access import is_loopback_address
from hydrophone.web.loopback import is_spare, make_room, open_listeners
from hydrophone.web.replies import Refused, refusal

log = get_logger(__name__)

MAX_HEAD_LINE_BYTES: Final = 8_190
"""Of the request line, and of one header. # chosen: what other servers allow; cookies of foreign apps on
localhost are the longest that honest clients send."""
_MAX_HEADERS: Final = 64
_BACKLOG: Final = 512
"""Connections that wait for accept. # chosen: a burst of browsers after a restart."""
MAX_BODY_BYTES: Final = 65_536
"""# chosen: nothing we serve needs a body at all."""
_SHORT_DRAIN_S: Final = 1.0
"""A client may take for its answer while memory is short. # chosen: a page is 1 MB at most."""
_LINGER_S: Final = 1.0
"""So long the rest of a refused body is read and dropped, so that the refusal arrives."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much and how long.

    Attributes:
        capacity: connections at once; further ones are closed unheard.
        per_address: of those, from one address that is not this machine.
        head_s: a connection that has not said a whole request by then is closed, the first one or a later.
        answer_s: an answer that is not ready by then becomes 503.
        drain_s: a client that has not taken its answer by then is cut off.
        close_s: so long answers under way may take when we stop.
        sweep_s: so often stalled clients are looked for.
        unsent_bytes: while clients have yet to take so much of their answers, nothing more is answered.
    """

    capacity: int = 512
    per_address: int = 64
    head_s: float = 10.0
    answer_s: float = 10.0
    drain_s: float = 20.0
    close_s: float = 2.0
    sweep_s: float = 1.0
    unsent_bytes: int = 32 * 1024 * 1024


class Neighbour(Protocol):
    """Serves connections that come to this port and ask for something else."""

    def is_asked(self, received: bytes) -> bool:
        """Return whether a request begins that it answers."""
        ...

    def adopt(self, transport: asyncio.Transport, received: bytes) -> bool:
        """Serve a connection; False: not now.

        Args:
            transport: whose protocol is replaced.
            received: what came by it: a request, or its beginning.
        """
        ...


class _Connection(RequestHandler):
    """One connection, as long as it is within the limits."""

    owner: ClassVar["HttpServer"]
    is_admitted = False
    is_between = True
    has_heard = False
    address = ""
    answered_at: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        self.is_admitted = self.owner.enter(self, is_spare=is_spare(transport))
        super().connection_made(transport)
        if not self.is_admitted and self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.is_admitted:
            self.is_admitted = False
            self.owner.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a request, or hand the connection over: only where one begins, and nothing is under way.

        Not at the first request alone: proxies ask for a websocket on a connection that they kept.
        """
        is_next = self.is_between and self.is_admitted and (not self.has_heard or self._is_idle())
        self.has_heard = True
        self.is_between = data.endswith(b"\r\n\r\n")  # else there may be half a head
        if not (is_next and self.owner.is_for_another(data)):
            super().data_received(data)
            return
        transport, self.transport = self.transport, None  # so that it is not closed
        self.connection_lost(None)
        if isinstance(transport, asyncio.Transport) and not self.owner.hand_over(transport, data):
            transport.abort()

    def _is_idle(self) -> bool:
        """Return whether every request was answered and the connection stays."""
        is_waiting = self._waiter is not None and not self._waiter.done()
        return is_waiting and not (self._messages or self._close or self._force_close)

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- of the library; we have our own words
    ) -> StreamResponse:
        """Answer what could not be read as HTTP, or what went wrong here, in the form of every refusal."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer is under way already")
        answer = self.owner.explain(status, exc)
        answer.force_close()
        return answer

    def log_exception(self, *args: Any, **kw: Any) -> None:  # noqa: ANN401 -- as it is declared
        """Say nothing: whatever matters was counted and logged by `HttpServer.explain`."""

    @property
    def unsent_bytes(self) -> int:
        """Of its answer, what the client has not taken."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def cut_if_stalled(self, before: float) -> bool:
        """Hang up on a client that has not taken its answer since an instant; say whether it was one."""
        transport = self.transport
        if transport is None or self.answered_at is None or self.answered_at > before:
            return False
        if not transport.get_write_buffer_size():
            return False
        transport.abort()
        return True


@dataclass(slots=True)
class HttpCounters:
    """What happened since the start.

    Attributes:
        refused: connections closed unheard: there were too many.
        stalled: clients cut off because they did not take their answer.
        unreadable: requests that were no HTTP, or too large.
        failed: answers that failed by a fault of ours.
        late: answers that were not ready in time.
        unsent: requests refused because clients had too much of their answers yet to take.
    """

    refused: int = 0
    stalled: int = 0
    unreadable: int = 0
    failed: int = 0
    late: int = 0
    unsent: int = 0


class HttpServer:
    """Serves HTTP on every address of a host.

    Args:
        host: see `open_listeners`.
        port: 0 takes a free one; `port` says which.
        handle: answers a request, or raises `Refused`.
        dress: adds to an answer what every one of them carries.
        neighbour: serves connections that ask for something else than HTTP; None: there is none.
        limits: how much and how long.
        now: seconds of a clock that never jumps.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        handle: Callable[[BaseRequest], Awaitable[Response]],
        dress: Callable[[BaseRequest | None, Response], None],
        neighbour: Neighbour | None = None,
        limits: Limits = Limits(),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.port = port
        self.counters = HttpCounters()
        self._host = host
        self._handle = handle
        self._dress = dress
        self._neighbour = neighbour
        self._limits = limits
        self._drain_s = limits.drain_s
        self._now = now
        self._connections: set[_Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._capacity = limits.capacity

    @property
    def connection_count(self) -> int:
        """Connections there are now."""
        return len(self._connections)

    @property
    def capacity(self) -> int:
        """Connections there may be, as far as open files allow."""
        return self._capacity

    def enter(self, connection: _Connection, *, is_spare: bool = False) -> bool:
        """Take a connection in, or say that there are too many, or too many open files."""
        address = connection.address
        is_crowd = not is_loopback_address(address) and self._by_address[address] >= self._limits.per_address
        if is_crowd or is_spare or len(self._connections) >= self._capacity:
            self.counters.refused += 1
            return False
        self._connections.add(connection)
        self._by_address[address] += 1
        return True

    def leave(self, connection: _Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self._by_address[connection.address] -= 1
        if self._by_address[connection.address] <= 0:
            del self._by_address[connection.address]

    def is_for_another(self, received: bytes) -> bool:
        """Return whether a request begins that the neighbour answers."""
        return self._neighbour is not None and self._neighbour.is_asked(received)

    def hand_over(self, transport: asyncio.Transport, received: bytes) -> bool:
        """Let the neighbour serve a connection; False: it does not now."""
        return self._neighbour is not None and self._neighbour.adopt(transport, received)

    def explain(self, status: int, exc: BaseException | None) -> Response:
        """Return the answer to a request that could not be read, or to one that failed here."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.counters.failed += 1
            log.error("request_failed", exc_info=exc)
            answer = refusal(
                Refused(
                    HTTPStatus.INTERNAL_SERVER_ERROR,
                    "bug",
                    "this request met a fault of ours; nothing else was harmed",
                    "its trace is in the log: please report it",
                )
            )
        else:
            self.counters.unreadable += 1
            is_long = isinstance(exc, LineTooLong)
            answer = refusal(
                Refused(
                    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if is_long else HTTPStatus.BAD_REQUEST,
                    "head_too_large" if is_long else "not_http",
                    f"expected lines of at most {MAX_HEAD_LINE_BYTES} bytes"
                    if is_long
                    else "expected HTTP/1.1",
                    "",
                )
            )
        self._dress(None, answer)
        return answer

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled; then let what is under way end, and cut the rest, within a bounded time.

        Args:
            ready: called when requests are answered.

        Raises:
            ConfigError: the port cannot be had.
        """
        self._capacity = make_room(self._limits.capacity)
        async with self._serving():
            ready()
            while True:
                await asyncio.sleep(self._limits.sweep_s)
                self._cut_stalled()

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        class Connection(_Connection):
            owner = self

        loop = asyncio.get_running_loop()
        quiet = logging.getLogger(f"{__name__}.aiohttp")
        quiet.setLevel(logging.CRITICAL)
        protocol_server = Server(self._answer)

        def accept() -> Connection:
            return Connection(
                protocol_server,
                loop=loop,
                keepalive_timeout=self._limits.head_s,
                max_line_size=MAX_HEAD_LINE_BYTES,
                max_field_size=MAX_HEAD_LINE_BYTES,
                max_headers=_MAX_HEADERS,
                lingering_time=_LINGER_S,
                access_log=quiet,
                logger=quiet,
            )

        listeners = open_listeners(self._host, self.port, section="api")
        self.port = listeners[0].getsockname()[1]
        servers = []
        try:
            for listener in listeners:
                servers.append(await loop.create_server(accept, sock=listener, backlog=_BACKLOG))  # noqa: PERF401 -- closed below
            yield
        finally:
            for server in servers:
                server.close()
            protocol_server.pre_shutdown()
            await protocol_server.shutdown(self._limits.close_s)
            for connection in tuple(self._connections):
                if connection.transport is not None:
                    connection.transport.abort()
            for listener in listeners:
                listener.close()

    async def _answer(self, request: BaseRequest) -> StreamResponse:
        connection = request.protocol
        assert isinstance(connection, _Connection)
        connection.answered_at = None
        answer = await self._answer_in_time(request)
        self._dress(request, answer)
        if request.can_read_body:
            answer.force_close()  # what is left of a body is nobody's next request
        connection.answered_at = self._now()
        return answer

    async def _answer_in_time(self, request: BaseRequest) -> Response:
        try:
            _check_body(request)
            self._check_unsent()
            async with asyncio.timeout(self._limits.answer_s):
                return await self._handle(request)
        except Refused as error:
            return refusal(error)
        except TimeoutError:
            self.counters.late += 1
            return refusal(
                Refused(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "too_slow",
                    f"the answer was not ready within {self._limits.answer_s:g} s",
                    "ask for less, or later",
                    retry_after_s=5,
                )
            )

    def _check_unsent(self) -> None:
        """Refuse a request while slow clients make us hold too much.

        Raises:
            Refused: they do.
        """
        if sum(connection.unsent_bytes for connection in self._connections) <= self._limits.unsent_bytes:
            return
        self.counters.unsent += 1
        raise Refused(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "busy",
            "clients have not taken their answers yet, and no more are kept for them",
            "take answers as they come, or ask for less (limit)",
            retry_after_s=5,
        )

    def _cut_stalled(self) -> None:
        before = self._now() - self._drain_s
        for connection in tuple(self._connections):
            self.counters.stalled += connection.cut_if_stalled(before)

    def shed_slow(self) -> int:
        """Cut clients that have not taken their answer, from now on after a second; return how many now."""
        self._drain_s = min(self._limits.drain_s, _SHORT_DRAIN_S)
        before = self.counters.stalled
        self._cut_stalled()
        return self.counters.stalled - before

    def spare_slow(self) -> None:
        """Be as patient with clients as usual."""
        self._drain_s = self._limits.drain_s


def _check_body(request: BaseRequest) -> None:
    """Refuse a body that is long, or whose length nobody tells.

    Raises:
        Refused: it is one.
    """
    if (request.content_length or 0) > MAX_BODY_BYTES or hdrs.TRANSFER_ENCODING in request.headers:
        raise Refused(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            "body_too_large",
            f"expected no body, or at most {MAX_BODY_BYTES} bytes of a length that is told",
            "everything is asked in the path and the query",
        )
