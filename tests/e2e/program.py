"""The real program as a child process, and its log read while it runs."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LINE_LIMIT_BYTES = 1 << 20
PATIENCE_S = 40.0
"""Less than the time-out of a test, so that a failure says what was logged."""

_LEFT_OUT = frozenset({"log_level", "log_format", "http_proxy", "pythonunbuffered"})
"""Variables that would change what a program does."""

Entry = dict[str, Any]


def clean_environment(**variables: str) -> dict[str, str]:
    """Return our environment without settings, but with these."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("HYDROPHONE_") and name.lower() not in _LEFT_OUT
    }
    return inherited | {"PYTHONWARNINGS": "error"} | variables


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program that has ended left behind."""

    code: int
    out: str
    err: str


async def finish(*arguments: str, cwd: Path, stdout: int = PIPE, **variables: str) -> Finished:
    """Run `python ARGUMENTS` to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=cwd, env=clean_environment(**variables), stdout=stdout, stderr=PIPE
    )
    try:
        out, err = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Finished(process.returncode, (out or b"").decode(), err.decode())


async def hydrophone(*arguments: str, cwd: Path, stdout: int = PIPE) -> Finished:
    """Run `hydrophone ARGUMENTS` to its end."""
    return await finish("-m", "hydrophone", *arguments, cwd=cwd, stdout=stdout)


@dataclass
class Program:
    """`hydrophone ARGUMENTS` while it runs.

    Attributes:
        process: the child.
        log: entries of its log so far.
        noise: lines on stderr that are no entries.
    """

    process: asyncio.subprocess.Process
    log: list[Entry] = field(default_factory=list)
    noise: list[str] = field(default_factory=list)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _has_ended: bool = False

    async def read(self) -> None:
        """Read stderr to its end."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.noise.append(line.decode().rstrip("\n"))
            async with self._news:
                self._news.notify_all()
        async with self._news:
            self._has_ended = True
            self._news.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds that may change with each line of the log."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S), self._news:
                await self._news.wait_for(lambda: condition() or self._has_ended)
        assert condition(), f"it ended, or took too long: {self.log[-3:]} {self.noise}"

    async def logged(self, event: str) -> Entry:
        """Wait for an entry; return the first of that name."""
        await self.until(lambda: any(entry["event"] == event for entry in self.log))
        return next(entry for entry in self.log if entry["event"] == event)

    @property
    def whales(self) -> list[str]:
        """Txids of which it logged an alert, in order."""
        return [entry["event"].rpartition(" ")[2] for entry in self.alerts]

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """What it logged of each alert."""
        return [entry for entry in self.log if "WHALE ALERT" in entry["event"]]

    async def end(self) -> int:
        """Wait for it to end by itself; return its exit code."""
        return await self.process.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to stop; return its exit code and how many seconds that took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return await self.process.wait(), time.monotonic() - began


@asynccontextmanager
async def started(
    *arguments: str, cwd: Path, by: Sequence[str] = ("-m", "hydrophone"), **variables: str
) -> AsyncIterator[Program]:
    """Run `hydrophone ARGUMENTS` within the context; what still runs then is killed.

    Args:
        arguments: of the program.
        cwd: where it runs.
        by: what Python is told to run.
        variables: of its environment.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *by, *arguments),
        cwd=cwd,
        env=clean_environment(HYDROPHONE_LOG__FORMAT="json", **variables),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=PIPE,
        limit=LINE_LIMIT_BYTES,
    )
    program = Program(process)
    reading = asyncio.create_task(program.read())
    try:
        yield program
        await process.wait()
        await reading
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a service that runs is reached."""

    alerts_url: str
    api_url: str

    @property
    def api_port(self) -> str:
        return self.api_url.rstrip("/").rpartition(":")[2]


async def addresses_of(program: Program) -> Addresses:
    """Wait until a service is ready; return where it is reached."""
    ready: Mapping[str, str] = await program.logged("ready")
    return Addresses(ready["alerts"], ready["page"])
