"""Frame sent by the backend -> alert on a subscriber's socket: the whole service, storing on.

The service is a process of its own, the subscribers another: they read raw sockets and note the time. One of
them never reads.
"""

import argparse
import asyncio
import multiprocessing
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import psutil

from evaluation.feeder import Feeder
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


async def measure(name: str, feeder: Feeder, clients: int, frames: int, bars: str) -> None:
    """Feed a fresh service and print how long alerts took to the first and to the last subscriber."""
    up = asyncio.Event()
    feeding = asyncio.create_task(feeder.run(up.set))
    await up.wait()
    with tempfile.TemporaryDirectory() as folder:
        feeder.is_held.clear()
        service = await ServiceProcess.start(f"ws://127.0.0.1:{feeder.port}", Path(folder) / "bench.db")
        with subscribers(service.alerts_port, clients) as channel:
            await asyncio.to_thread(channel.recv)
            feeder.is_held.set()
            await feeder.is_done.wait()
            await asyncio.sleep(2.0)
            memory_mb = psutil.Process(service.process.pid).memory_info().rss / 2**20
            channel.send("stop")
            arrivals: dict[str, list[int]] = await asyncio.to_thread(channel.recv)
        code = await service.stop()
        inside_ms = inside(Path(folder) / "bench.db")
    feeding.cancel()
    first, last, lost = [], [], 0
    for txid, sent_ns in feeder.sent_ns.items():
        times = arrivals.get(txid, [])
        lost += clients - len(times)
        if times:
            first.append((min(times) - sent_ns) / 1e6)
            last.append((max(times) - sent_ns) / 1e6)
    print(f"{name}: {frames} frames, {len(feeder.sent_ns)} whales, {clients} clients and one stalled; {bars}")
    _say("frame received -> stored and written to every socket", inside_ms)
    _say("frame sent -> read by the first subscriber", first)
    _say("frame sent -> read by the last subscriber", last)
    print(f"  lost {lost}, resident memory {memory_mb:.0f} MB, exit code {code}")


def inside(store: Path) -> list[float]:
    """Return what the service itself recorded: from the frame's receipt to the hand-over, in ms."""
    with duckdb.connect(str(store), read_only=True) as connection:
        rows = connection.execute(
            "SELECT epoch_us(published_at) - epoch_us(detection_timestamp) FROM mempool_predictions"
            " WHERE published_at IS NOT NULL"
        ).fetchall()
    return [micros / 1e3 for (micros,) in rows]


def _say(name: str, times_ms: Sequence[float]) -> None:
    ordered = sorted(times_ms)
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    print(f"  {name:<52} p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  max {ordered[-1]:6.2f} ms")


async def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    frames = int(50 * seconds)
    slow = Feeder(frames_per_s=50, whales=1, limit=frames)
    await measure("50 tx/s, each a whale", slow, 100, frames, "bars p50 < 3 ms, p99 < 10 ms")
    frames = int(4 * seconds)
    fast = Feeder(frames_per_s=4, whales=2, ordinary=498, limit=frames)
    await measure("2,000 tx/s in frames of 500", fast, 100, frames, "bar: no loss")
    await measure(
        "2,000 tx/s, 1,000 clients",
        Feeder(frames_per_s=4, whales=2, ordinary=498, limit=frames),
        1_000,
        frames,
        "bar: p99 to the last < 60 ms",
    )
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
