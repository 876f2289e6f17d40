"""The real service as a child process, on ports and a file of its own."""

import asyncio
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class ServiceProcess:
    """`hydrophone run` and where it is reached."""

    process: Process
    alerts_port: int
    api_port: int
    ready_s: float

    @classmethod
    async def start(
        cls, source_url: str, store: Path, *, patience_s: float = 20.0, log: Path | None = None
    ) -> "ServiceProcess":
        """Start it and wait until its alert port accepts connections.

        Args:
            source_url: where it listens.
            store: its file.
            patience_s: how long it may take to be ready.
            log: gets its warnings, a JSON line each; None: they go where ours go.
        """
        alerts_port, api_port = free_port(), free_port()
        errors = None if log is None else log.open("ab")
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "hydrophone", "run", "--source", source_url, "--network", "regtest"),
            *("--store-path", str(store), "--alerts-port", str(alerts_port), "--api-port", str(api_port)),
            *("--log-level", "WARNING", *(() if log is None else ("--log-format", "json"))),
            stdout=PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        if errors is not None:
            errors.close()
        while time.monotonic() < began + patience_s:
            if process.returncode is not None:
                raise RuntimeError(f"the service ended with {process.returncode}")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", alerts_port)
            except OSError:
                await asyncio.sleep(0.005)
                continue
            writer.close()
            return cls(process, alerts_port, api_port, time.monotonic() - began)
        raise RuntimeError(f"the service was not ready within {patience_s} s")

    async def kill(self) -> None:
        """Kill it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()
