"""`hydrophone simulate` as a child process, and a gate in front of it that can be closed."""

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from typing import Any

from evaluation.service_process import free_port


@dataclass
class SimulatorProcess:
    """A simulated backend and where it is reached."""

    process: Process
    port: int

    @property
    def url(self) -> str:
        """Of its websocket."""
        return f"ws://127.0.0.1:{self.port}/api/v1/ws"

    @classmethod
    async def start(cls, *arguments: str) -> "SimulatorProcess":
        """Start it with these flags and wait until it listens."""
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "hydrophone", "simulate", "--port", str(port), "--network", "regtest", "--json"),
            *arguments,
            stdout=PIPE,
            stderr=PIPE,
        )
        assert process.stderr is not None
        if not await process.stderr.readline():  # it says that it is ready
            raise RuntimeError(f"the simulator ended with {await process.wait()}")
        return cls(process, port)

    async def finish(self) -> dict[str, Any]:
        """Wait for its end; return its summary."""
        output, errors = await self.process.communicate()
        if self.process.returncode:
            raise RuntimeError(
                f"the simulator ended with {self.process.returncode}: {errors.decode()[-2_000:]}"
            )
        summary: dict[str, Any] = json.loads(output)
        return summary

    async def stop(self) -> None:
        """End it now."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        await self.process.wait()


class Gate:
    """Passes connections on to a port, until it is shut: with a bang, or so that nothing moves any more.

    Args:
        target: port on loopback.
    """

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    @property
    def url(self) -> str:
        """Where a service should listen."""
        return f"ws://127.0.0.1:{self.port}/api/v1/ws"

    async def open(self) -> None:
        """Let everything through."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port)

    async def shut(self) -> None:
        """Break every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()

    def freeze(self) -> None:
        """Let connections stand, and take new ones, but let nothing through."""
        self._flowing.clear()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(there_writer)
        try:
            await asyncio.gather(self._pump(reader, there_writer), self._pump(there_reader, writer))
        finally:
            self._writers -= {writer, there_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
