"""How long one alert takes to the last of many clients, against a loop in C; and what a stalled client costs.

Also with filters: clients that all ask for the same, and clients that ask for a hundred different things.

Both sides send the same bytes to the same kind of clients (`broadcast_floor.c`, a process of its own),
alternating in one run. Linux, with a C compiler.
"""

import asyncio
import json
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Final

import psutil

from evaluation.bench_table import FULL, Bar, Effort, On, Row, not_measured, render
from hydrophone.web.live import AlertServer
from hydrophone.wire.socket_v1 import FiltersV1

MESSAGE_BYTES: Final = 1_024
"""# chosen: a whale alert with a few entities."""
WARM_UP: Final = 3
FILTERS: Final = 100
"""Different ones among the clients. # chosen: far more than people think of."""
MAX_RATIO: Final = 2.5
"""The bar against the C loop."""
SAME: Final = 1.2
"""The bar where nothing should change. # chosen: medians of so few differ by a tenth by themselves."""
_MOST_MB: Final = Bar(4.0, On.VALUE)
_LATER_MB: Final = Bar(1.0, On.VALUE)
GROUP: Final = "broadcast"
_UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_Tool = Callable[..., Awaitable[asyncio.subprocess.Process]]
_Broadcast = Callable[[], Awaitable[float]]
"""Says one message to all; returns the seconds until the last had it."""


def rows(effort: Effort) -> list[Row]:
    """Measure everything that a machine with a C compiler can."""
    compiler = shutil.which("cc")
    if compiler is None:
        return [not_measured(GROUP, "time to the last client", "no C compiler (cc)")]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder, "broadcast_floor")
        source = Path(__file__).with_suffix("").with_name("broadcast_floor.c")
        subprocess.run([compiler, "-O2", "-o", binary, source], check=True)
        return asyncio.run(_measure(binary, effort.pick(11, 31)))


async def _measure(binary: Path, rounds: int) -> list[Row]:
    return [  # memory first: a heap that has held thousands of clients would hide what one costs
        *await _beside_a_stalled_client(binary, 1_000, rounds),
        *await _against_floor(binary, 1_000, rounds),
        *await _against_floor(binary, 5_000, rounds),
        *await _with_filters(binary, 5_000, rounds),
    ]


async def _against_floor(binary: Path, clients: int, rounds: int) -> list[Row]:
    async with AsyncExitStack() as stack:
        tool = _tools(binary, stack)
        floor = await _floor(tool, clients)
        server = await stack.enter_async_context(_serving())
        ours = await _ours(tool, server, clients)
        floor_s, ours_s = await _alternate(rounds, floor, ours)
    what, bar = f"to the last of {clients:,} clients", Bar(MAX_RATIO)
    return [Row(GROUP, what, ours_s * 1e3, "ms", "C loop", floor_s * 1e3, rounds, bar)]


async def _with_filters(binary: Path, clients: int, rounds: int) -> list[Row]:
    async with AsyncExitStack() as stack:
        tool = _tools(binary, stack)
        broadcasts = []
        for different in (0, 1, FILTERS):
            server = await stack.enter_async_context(_serving())
            broadcasts.append(await _ours(tool, server, clients))
            _subscribe(server, different)
        plain_s, *filtered_s = await _alternate(rounds, *broadcasts)
    names = (f"{clients:,} clients with one filter", f"{clients:,} clients with {FILTERS} filters")
    return [
        Row(GROUP, name, took_s * 1e3, "ms", "without", plain_s * 1e3, rounds, Bar(SAME))
        for name, took_s in zip(names, filtered_s, strict=True)
    ]


def _subscribe(server: AlertServer, different: int) -> None:
    """Let clients ask for what the message meets, in so many different ways; 0: for everything."""
    for number, client in enumerate(tuple(server._room.clients) if different else ()):  # noqa: SLF001 -- as if each had asked
        least_btc = 1.0 + number % different
        client.session.filters = FiltersV1(min_btc_value=least_btc, exchanges=("binance", "kraken"))
        server._room.regroup(client)  # noqa: SLF001


async def _beside_a_stalled_client(binary: Path, clients: int, rounds: int) -> list[Row]:
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
            rounds, await _ours(tool, plain, clients), await _ours(tool, burdened, clients)
        )
    what = f"{clients:,} clients beside a stalled one"
    return [
        Row(GROUP, what, with_s * 1e3, "ms", "without it", without_s * 1e3, rounds, Bar(SAME)),
        Row(GROUP, "memory a stalled client costs", (full - before) / 1e6, "MB", count=1, bar=_MOST_MB),
        Row(GROUP, "and 20,000 messages later, more", (later - full) / 1e6, "MB", count=1, bar=_LATER_MB),
    ]


async def _alternate(rounds: int, *broadcasts: _Broadcast) -> list[float]:
    samples: list[list[float]] = [[] for _ in broadcasts]
    for _ in range(WARM_UP + rounds):
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


if __name__ == "__main__":
    print(render(rows(FULL)))
