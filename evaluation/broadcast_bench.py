"""How long one alert takes to the last of many clients, against a loop in C; and what a stalled client costs.

Also with filters: clients that all ask for the same, and clients that ask for a hundred different things.

Both sides send the same bytes to the same kind of clients (`broadcast_floor.c`, a process of its own),
alternating in one run. Linux, with a C compiler.
"""

import asyncio
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import psutil

from hydrophone.web.live import AlertServer
from hydrophone.wire.socket_v1 import FiltersV1

MESSAGE_BYTES: Final = 1_024
"""# chosen: a whale alert with a few entities."""
ROUNDS: Final = 31
WARM_UP: Final = 3
FILTERS: Final = 100
"""Different ones among the clients. # chosen: far more than people think of."""
MAX_RATIO: Final = 2.5
"""The bar at 5,000 clients."""
_UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_Tool = Callable[..., Awaitable[asyncio.subprocess.Process]]
_Broadcast = Callable[[], Awaitable[float]]
"""Says one message to all; returns the seconds until the last had it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        name: what was measured.
        value: the figure.
        unit: of the value; `x` is a ratio.
        bar: the most it may be; None where it is there for comparison.
    """

    name: str
    value: float
    unit: str
    bar: float | None = None

    def __str__(self) -> str:
        bar = "" if self.bar is None else f"  (bar {self.bar:g} {self.unit})"
        return f"{self.name:<58} {self.value:9.2f} {self.unit}{bar}"


def run() -> list[Row]:
    """Measure everything; nothing where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return []
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder, "broadcast_floor")
        source = Path(__file__).with_suffix("").with_name("broadcast_floor.c")
        subprocess.run([compiler, "-O2", "-o", binary, source], check=True)
        return asyncio.run(_measure(binary))


async def _measure(binary: Path) -> list[Row]:
    return [  # memory first: a heap that has held thousands of clients would hide what one costs
        *await _beside_a_stalled_client(binary, 1_000),
        *await _against_floor(binary, 1_000),
        *await _against_floor(binary, 5_000, bar=MAX_RATIO),
        *await _with_filters(binary, 5_000),
    ]


async def _against_floor(binary: Path, clients: int, *, bar: float | None = None) -> list[Row]:
    async with AsyncExitStack() as stack:
        tool = _tools(binary, stack)
        floor = await _floor(tool, clients)
        server = await stack.enter_async_context(_serving())
        ours = await _ours(tool, server, clients)
        floor_s, ours_s = await _alternate(floor, ours)
    return [
        Row(f"C loop, to the last of {clients:,} clients", floor_s * 1e3, "ms"),
        Row(f"ours, to the last of {clients:,} clients", ours_s * 1e3, "ms"),
        Row(f"ours / C loop, {clients:,} clients", ours_s / floor_s, "x", bar),
    ]


async def _with_filters(binary: Path, clients: int) -> list[Row]:
    async with AsyncExitStack() as stack:
        tool = _tools(binary, stack)
        broadcasts = []
        for different in (0, 1, FILTERS):
            server = await stack.enter_async_context(_serving())
            broadcasts.append(await _ours(tool, server, clients))
            _subscribe(server, different)
        plain_s, shared_s, many_s = await _alternate(*broadcasts)
    return [
        Row(f"one filter for all / none, {clients:,} clients", shared_s / plain_s, "x", 1.2),
        Row(f"{FILTERS} filters / none, {clients:,} clients", many_s / plain_s, "x", 1.2),
    ]


def _subscribe(server: AlertServer, different: int) -> None:
    """Let clients ask for what the message meets, in so many different ways; 0: for everything."""
    for number, client in enumerate(tuple(server._room.clients) if different else ()):  # noqa: SLF001 -- as if each had asked
        least_btc = 1.0 + number % different
        client.session.filters = FiltersV1(min_btc_value=least_btc, exchanges=("binance", "kraken"))
        server._room.regroup(client)  # noqa: SLF001


async def _beside_a_stalled_client(binary: Path, clients: int) -> list[Row]:
    async with AsyncExitStack() as stack:
        tool = _tools(binary, stack)
        plain = await stack.enter_async_context(_serving())
        burdened = await stack.enter_async_context(_serving())
        stalled = await _join_and_never_read(burdened.port)
        stack.callback(stalled.close)
        before = _resident_bytes()
        await _publish_distinct(burdened, 1_500)  # more than the kernel, the write limit and the backlog take
        assert burdened.counters.dropped > 0, "the client is not stalled yet"
        full = _resident_bytes()
        await _publish_distinct(burdened, 20_000)
        later = _resident_bytes()
        without_s, with_s = await _alternate(
            await _ours(tool, plain, clients), await _ours(tool, burdened, clients)
        )
    return [
        Row(f"with one stalled client / without, {clients:,} clients", with_s / without_s, "x", 1.2),
        Row("memory a stalled client costs", (full - before) / 1e6, "MB", 4.0),
        Row("and 20,000 messages later, more", (later - full) / 1e6, "MB", 1.0),
    ]


async def _alternate(*broadcasts: _Broadcast) -> list[float]:
    samples: list[list[float]] = [[] for _ in broadcasts]
    for _ in range(WARM_UP + ROUNDS):
        for broadcast, times in zip(broadcasts, samples, strict=True):
            times.append(await broadcast())
    return [statistics.median(times[WARM_UP:]) for times in samples]


async def _floor(tool: _Tool, clients: int) -> _Broadcast:
    server = await tool("serve", clients, MESSAGE_BYTES)
    hearers = await tool("hear", await _read_int(server), clients)
    for process in (server, hearers):
        await _expect_ready(process)

    async def broadcast() -> float:
        assert server.stdin is not None
        server.stdin.write(b"\n")
        began_ns = await _read_int(server)
        return (await _read_int(hearers) - began_ns) / 1e9

    return broadcast


async def _ours(tool: _Tool, server: AlertServer, clients: int) -> _Broadcast:
    hearers = await tool("hear", server.port, clients)
    await _expect_ready(hearers)
    numbers = count(1)

    async def broadcast() -> float:
        message = _alert(next(numbers))
        began_ns = time.monotonic_ns()
        await server.publish(message)
        return (await _read_int(hearers) - began_ns) / 1e9

    return broadcast


def _alert(seq: int) -> bytes:
    """Return a whale alert of so many bytes, as far as filters ask."""
    data = {
        "prediction_id": f"prediction {seq}",
        "btc_value": 1_234.5,
        "moved_btc": 1_200.0,
        "flow_type": "inflow",
        "urgency_score": 0.5,
        "confidence_score": 0.8,
        "entities": [{"name": "Binance"}],
        "text": "",
    }
    bare = json.dumps({"type": "whale_alert", "seq": seq, "data": data})
    data["text"] = "x" * (MESSAGE_BYTES - len(bare))
    return json.dumps({"type": "whale_alert", "seq": seq, "data": data}).encode()


def _tools(binary: Path, stack: AsyncExitStack) -> _Tool:
    """Return what starts the C program, which is ended with the stack."""

    async def start(*args: object) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(binary, *map(str, args), stdin=pipe, stdout=pipe)

        async def end() -> None:
            if process.returncode is None:
                process.kill()
            await process.wait()

        stack.push_async_callback(end)
        return process

    return start


@asynccontextmanager
async def _serving() -> AsyncIterator[AlertServer]:
    server = AlertServer("127.0.0.1", 0, greeting=lambda: None, stall_timeout_s=3600.0)
    ready = asyncio.Event()
    task = asyncio.create_task(server.run(ready.set))
    await ready.wait()
    try:
        yield server
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _join_and_never_read(port: int) -> socket.socket:
    sock = socket.socket()
    sock.settimeout(0)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(sock, _UPGRADE)
    await loop.sock_recv(sock, 1)
    return sock


async def _publish_distinct(server: AlertServer, count: int) -> None:
    for number in range(count):
        await server.publish(b"%d" % number + b"x" * MESSAGE_BYTES)


async def _read_int(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    return int(await process.stdout.readline())


async def _expect_ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    line = await process.stdout.readline()
    assert line == b"ready\n", line


def _resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


def main() -> None:
    """Print the table."""
    rows = run()
    print(f"broadcast: {MESSAGE_BYTES} bytes, median of {ROUNDS}, alternating, {os.cpu_count()} processors")
    for row in rows:
        print(f"  {row}")
    if not rows:
        print("  not measured: there is no C compiler (cc)")


if __name__ == "__main__":
    main()
