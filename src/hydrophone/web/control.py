"""The control socket: what may be asked of a running service by whoever owns its files, and by nobody else.

It lies beside the database, is not reached over any network, and needs no token (ADR 26).
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from hydrophone.errors import HydrophoneError
from hydrophone.runtime.local_socket import is_friend, listen_at
from hydrophone.runtime.telemetry import get_logger
from hydrophone.wire.control_v1 import MAX_LINE_BYTES, Answer, BackUp, Failed, encode_line, parse_request

log = get_logger(__name__)

_PATIENCE_S: Final = 10.0
"""# chosen: a request is one line, written at once."""


class ControlServer:
    """Answers at the control socket.

    Args:
        path: of the socket.
        answer: does what is asked; cancelled when who asked goes away.
    """

    def __init__(self, path: Path, answer: Callable[[BackUp], Awaitable[Answer]]) -> None:
        self._path = path
        self._answer = answer

    async def run(self, ready: Callable[[], None]) -> NoReturn:
        """Serve until cancelled. Where there can be no socket, the service does without, and says so."""
        try:
            listener = listen_at(self._path)
        except OSError as error:
            log.warning("control_unavailable", path=str(self._path), reason=error.strerror)
            ready()
            await asyncio.Event().wait()
            raise AssertionError("unreachable") from error
        server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_LINE_BYTES)
        try:
            ready()
            await asyncio.Event().wait()
        finally:
            server.close()
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        raise AssertionError("unreachable")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            said = await self._hear(reader, writer)
            if said is not None:
                writer.write(encode_line(said))
                await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:  # ValueError: a line without an end
            log.warning("control_broken", reason=str(error) or type(error).__name__)
        finally:
            writer.close()

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer | None:
        """Return the answer; None when who asked went away."""
        async with asyncio.timeout(_PATIENCE_S):
            line = await reader.readline()
        if not is_friend(writer.get_extra_info("socket")):
            log.warning("control_refused", reason="another user asked")
            return Failed("only the user of the service, or root, may ask this", 2)
        try:
            working = asyncio.ensure_future(self._answer(parse_request(line)))
        except HydrophoneError as error:
            return Failed(str(error), error.exit_code)
        leaving = asyncio.ensure_future(reader.read())
        try:
            await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else None
        except HydrophoneError as error:
            return Failed(str(error), error.exit_code)
        finally:
            working.cancel()
            leaving.cancel()
            await asyncio.wait({working, leaving})
