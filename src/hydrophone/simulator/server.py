"""Sockets and timers for a simulation: what a mempool.space backend looks like from outside."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from hydrophone.runtime.telemetry import get_logger
from hydrophone.simulator.backend.rest import answer, cannot
from hydrophone.simulator.backend.session import Session
from hydrophone.simulator.backend.updates import Update
from hydrophone.simulator.handshake import (
    MAX_CLIENT_MESSAGE_BYTES,
    mark_simulated,
    path_of,
    plain_response,
)
from hydrophone.simulator.simulation import Simulation

_MAX_UNREAD_BYTES: Final = 10_000_000
"""Sources: mempool.space backend, a client that does not read is terminated."""
_SLICE_S: Final = 0.05
"""Real time between two looks at the world. chosen: at 2,000 transactions a second the loop stops for 15 ms
each time instead of for half a second at each poll."""
_READING_S: Final = 0.2
"""Real time for clients to read what was written, when the next poll is due already. chosen: loopback takes
ten megabytes in a tenth of it."""
_LATE_S: Final = 2.0
"""Real time by which a simulation may lag. chosen: one poll of the real backend."""

log = get_logger(__name__)


class _Peer(ServerConnection):
    """A connection that its server knows from accept until it is gone."""

    present: ClassVar[set[ServerConnection]]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register, or hang up when the server is gone already."""
        super().connection_made(transport)
        self.present.add(self)
        if not self.server.is_serving():
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.present.discard(self)
        super().connection_lost(exc)


class SimulatorServer:
    """Serves a simulation at any path, silent until one subscribes, and its REST answers.

    Args:
        simulation: what is told.
        open_listeners: returns listening sockets on a port (0: a free one), all on the same; raises
            ConfigError.
        port: to listen on; 0: a free one.
        speed: virtual seconds by real second.
        duration_s: virtual; None: for ever.
        sleep: waits so many real seconds.
    """

    def __init__(
        self,
        simulation: Simulation,
        open_listeners: Callable[[int], list[socket.socket]],
        *,
        port: int = 0,
        speed: float = 1.0,
        duration_s: float | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.port = port
        self.update_count = 0
        self._simulation = simulation
        self._open_listeners = open_listeners
        self._speed = speed
        self._duration_s = duration_s
        self._sleep = sleep
        self._peers: set[ServerConnection] = set()
        self._sessions: dict[ServerConnection, Session] = {}
        self._servers: list[Server] = []
        self._is_late = False

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled, or until the duration is over.

        Raises:
            ConfigError: the port is taken.
        """
        await self._listen()
        try:
            ready()
            await self._play()
        finally:
            await self._hang_up()

    # --- time ---------------------------------------------------------------------------------------

    async def _play(self) -> None:
        simulation = self._simulation
        started_at = simulation.settings.started_at
        end = None if self._duration_s is None else started_at + self._duration_s
        loop = asyncio.get_running_loop()
        begun_at = loop.time()

        def virtual_now() -> float:
            return started_at + (loop.time() - begun_at) * self._speed

        while end is None or simulation.next_at <= end:
            at = simulation.next_at
            while (wait_s := (at - virtual_now()) / self._speed) > 0:
                await self._sleep(min(wait_s, _SLICE_S))
                simulation.world.advance(min(at, virtual_now()))
            self._notice_lateness(-wait_s)
            happening = simulation.step()
            if happening.is_listening and not self._servers:
                await self._listen()
            elif not happening.is_listening and self._servers:
                await self._vanish()
            for update in happening.updates:
                self._tell(update)
            await self._sleep(0)
            if wait_s < 0:
                await self._let_read(loop.time() + _READING_S)

    async def _let_read(self, deadline: float) -> None:
        """Let sockets take what was written: who is late must not take its clients for silent ones."""
        loop = asyncio.get_running_loop()
        while loop.time() < deadline and any(
            connection.transport.get_write_buffer_size() > _MAX_UNREAD_BYTES // 4
            for connection in self._sessions
        ):
            await self._sleep(_READING_S / 20)

    def _notice_lateness(self, late_s: float) -> None:
        if (late_s > _LATE_S) != self._is_late:
            self._is_late = not self._is_late
            if self._is_late:
                log.warning("simulation_late", late_s=round(late_s, 1), hint="lower --rate or --speed")

    # --- sockets ------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        class Peer(_Peer):
            present = self._peers

        listeners = self._open_listeners(self.port)
        self.port = int(listeners[0].getsockname()[1])
        for listener in listeners:
            server = await serve(
                self._converse,
                sock=listener,
                process_request=self._answer,
                process_response=mark_simulated,
                create_connection=Peer,
                max_size=MAX_CLIENT_MESSAGE_BYTES,
                compression=None,
            )
            self._servers.append(server)

    async def _hang_up(self) -> None:
        """Close everything in good order."""
        for server in self._servers:
            server.close()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    async def _vanish(self) -> None:
        """End as a killed process does: sockets break without a word, and nobody listens any more.

        Those in a handshake or in the middle of an answer break too: to wait for them may take ten seconds.
        """
        for server in self._servers:
            server.close()
        self._servers.clear()
        for connection in list(self._peers):
            connection.transport.abort()
        self._sessions.clear()
        await self._sleep(0)  # now they close

    def _tell(self, update: Update) -> None:
        self.update_count += 1
        by_text: dict[str, list[ServerConnection]] = {}
        for connection, session in list(self._sessions.items()):
            if connection.transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
                log.info("simulation_client_terminated", reason="it does not read")
                connection.transport.abort()
                continue
            text = session.frame(update)
            if text is not None:
                by_text.setdefault(text, []).append(connection)
        for text, connections in by_text.items():
            broadcast(connections, text)

    async def _converse(self, connection: ServerConnection) -> None:
        session = Session(self._simulation.backend)
        self._sessions[connection] = session
        clock = asyncio.get_running_loop().time
        try:
            async for message in connection:
                reply = session.receive(message, clock())
                for text in reply.texts:
                    await connection.send(text)
                if reply.is_closing:
                    await connection.close()
        except ConnectionClosed:
            pass
        finally:
            self._sessions.pop(connection, None)

    def _answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        path = path_of(request)
        if path is None:
            return None
        if request.method not in {"GET", "HEAD"}:
            found = cannot(request.method, path)
        else:
            found = answer(self._simulation.backend, path)
        response = plain_response(found.status, found.content_type, found.body)
        if request.method == "HEAD":
            response.body = b""
        return response
