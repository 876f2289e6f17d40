"""Frame sent by the backend -> alert on a subscriber's socket: the whole service, storing on.

The service is a process of its own, the subscribers another: they read raw sockets and note the time. One of
them never reads.
"""

import asyncio
import multiprocessing
import selectors
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import psutil

from evaluation.bench_table import FULL, Bar, Effort, On, Row, render
from evaluation.feeder import Feeder
from evaluation.scores import quantile
from evaluation.service_process import ServiceProcess

_HANDSHAKE = (
    "GET / HTTP/1.1\r\nHost: localhost:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_TXID_MARK = b'"transaction_id":"'
_TXID_DIGITS = 64
_PING, _PONG = 0x9, 0xA


def join(port: int, *, receive_buffer: int | None = None) -> socket.socket:
    """Return a socket that is past the handshake of the alert websocket."""
    client = socket.socket()
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect(("127.0.0.1", port))
    client.sendall(_HANDSHAKE.format(port=port).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096)
    return client


class Subscriber:
    """A client as cheap as can be: it parses frame headers, answers pings and looks for txids."""

    def __init__(self, port: int) -> None:
        self.socket = join(port)
        self.socket.settimeout(0)
        self._pending = b""

    def read(self) -> list[str]:
        """Return the txids in what has come."""
        self._pending += self.socket.recv(1 << 18)
        txids = []
        while (frame := self._next_frame()) is not None:
            opcode, payload = frame
            if opcode == _PING:
                self.socket.send(bytes((0x80 | _PONG, 0x80 | len(payload))) + b"\0\0\0\0" + payload)
            place = payload.find(_TXID_MARK)
            if place >= 0:
                start = place + len(_TXID_MARK)
                txids.append(payload[start : start + _TXID_DIGITS].decode())
        return txids

    def _next_frame(self) -> tuple[int, bytes] | None:
        """Take one frame of the server off what is pending. Sources: RFC 6455, section 5.2."""
        if len(self._pending) < 4:
            return None
        start, length = 2, self._pending[1]
        if length == 126:
            start, length = 4, int.from_bytes(self._pending[2:4])
        if len(self._pending) < start + length:
            return None
        opcode, payload = self._pending[0] & 0x0F, self._pending[start : start + length]
        self._pending = self._pending[start + length :]
        return opcode, payload


def subscribe(port: int, count: int, channel: Connection) -> None:
    """Join with so many clients and one that never reads; send back when each alert came to each."""
    stalled = join(port, receive_buffer=4096)
    selector = selectors.DefaultSelector()
    for _ in range(count):
        subscriber = Subscriber(port)
        selector.register(subscriber.socket, selectors.EVENT_READ, subscriber)
    arrivals: dict[str, list[int]] = {}
    channel.send("joined")
    while not channel.poll():
        for key, _ in selector.select(timeout=0.2):
            now_ns = time.time_ns()
            for txid in key.data.read():
                arrivals.setdefault(txid, []).append(now_ns)
    channel.send(arrivals)
    stalled.close()


@contextmanager
def subscribers(port: int, count: int) -> Iterator[Connection]:
    """Run the subscribers in a process of their own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=subscribe, args=(port, count, theirs))
    process.start()
    try:
        yield ours
    finally:
        process.join(10)
        process.kill()


@dataclass(frozen=True)
class Load:
    """One way of feeding a service.

    Attributes:
        name: of it.
        frames_per_s: frames a second.
        whales: in each.
        ordinary: others in each.
        clients: that listen.
        inside: bars for p50 and p99 from receipt to the hand-over, in ms; None: no bar.
        last: bar for p99 from sending to the last subscriber, in ms.
    """

    name: str
    frames_per_s: float
    whales: int
    ordinary: int
    clients: int
    inside: tuple[float | None, float | None] = (None, None)
    last: float | None = None


LOADS = (
    Load("50 tx/s, each a whale, 100 clients", 50, 1, 0, 100, (3.0, 10.0)),
    Load("50 tx/s, each a whale, 1,000 clients", 50, 1, 0, 1_000),
    Load("2,000 tx/s, 100 clients", 4, 2, 498, 100),
    Load("2,000 tx/s, 1,000 clients", 4, 2, 498, 1_000, last=60.0),
)


def paced_commits(per_s: float, seconds: float) -> list[float]:
    """Return how long DuckDB takes to commit one number, asked so often a second, idle in between. In ms.

    It is what remains of latency when nothing is detected, said or sent; idleness makes each slower.
    """
    times: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        duckdb.connect(str(Path(folder) / "floor.db")) as connection,
    ):
        connection.execute("CREATE TABLE t (n BIGINT)")
        began = time.perf_counter()
        for number in range(int(per_s * seconds)):
            time.sleep(max(0.0, began + number / per_s - time.perf_counter()))
            start = time.perf_counter()
            connection.execute("INSERT INTO t VALUES (1)")
            times.append((time.perf_counter() - start) * 1e3)
    return times


async def measure(load: Load, seconds: float) -> list[Row]:
    """Feed a fresh service and return how long alerts took."""
    frames = int(load.frames_per_s * seconds)
    feeder = Feeder(frames_per_s=load.frames_per_s, whales=load.whales, ordinary=load.ordinary, limit=frames)
    floor = await asyncio.to_thread(paced_commits, load.frames_per_s, seconds / 2)
    up = asyncio.Event()
    feeding = asyncio.create_task(feeder.run(up.set))
    await up.wait()
    with tempfile.TemporaryDirectory() as folder:
        feeder.is_held.clear()
        service = await ServiceProcess.start(f"ws://127.0.0.1:{feeder.port}", Path(folder) / "bench.db")
        with subscribers(service.alerts_port, load.clients) as channel:
            await asyncio.to_thread(channel.recv)
            feeder.is_held.set()
            await feeder.is_done.wait()
            await asyncio.sleep(2.0)
            memory_mb = psutil.Process(service.process.pid).memory_info().rss / 2**20
            channel.send("stop")
            arrivals: dict[str, list[int]] = await asyncio.to_thread(channel.recv)
        await service.stop()
        inside_ms = inside(Path(folder) / "bench.db")
    feeding.cancel()
    floor += await asyncio.to_thread(paced_commits, load.frames_per_s, seconds / 2)
    last = [(max(times) - feeder.sent_ns[txid]) / 1e6 for txid, times in arrivals.items() if times]
    lost = sum(load.clients - len(arrivals.get(txid, [])) for txid in feeder.sent_ns)
    group, count = f"latency: {load.name}", len(inside_ms)
    insert = "one number, as often"
    return [
        *(
            Row(
                *(group, f"received to sent, {name}", quantile(inside_ms, share), "ms"),
                *(insert, quantile(floor, share), count, _at_most(bar)),
            )
            for name, share, bar in (("p50", 0.5, load.inside[0]), ("p99", 0.99, load.inside[1]))
        ),
        *(
            Row(
                group,
                f"to the last client, {name}",
                quantile(last, share),
                "ms",
                count=count,
                bar=_at_most(bar),
            )
            for name, share, bar in (("p50", 0.5, None), ("p99", 0.99, load.last))
        ),
        Row(group, "lost", lost, "alerts", count=len(feeder.sent_ns) * load.clients, bar=Bar(0, On.VALUE)),
        Row(group, "resident memory after", memory_mb, "MB", count=1),
    ]


def _at_most(bar: float | None) -> Bar | None:
    return None if bar is None else Bar(bar, On.VALUE)


def inside(store: Path) -> list[float]:
    """Return what the service itself recorded: from the frame's receipt to the hand-over, in ms."""
    with duckdb.connect(str(store), read_only=True) as connection:
        found = connection.execute(
            "SELECT epoch_us(published_at) - epoch_us(detection_timestamp) FROM mempool_predictions"
            " WHERE published_at IS NOT NULL"
        ).fetchall()
    return [micros / 1e3 for (micros,) in found]


async def rows(effort: Effort) -> AsyncIterator[Row]:
    """Yield the lines."""
    for load in LOADS:
        for row in await measure(load, effort.pick(5.0, 60.0)):
            yield row


async def main() -> None:
    """Print the table."""
    print(render([row async for row in rows(FULL)]))


if __name__ == "__main__":
    asyncio.run(main())
