"""Resident memory of the whole service: a full mempool, a long history, many clients, one that never reads.

python -m evaluation.memory_bench
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil

from evaluation.bench_table import FULL, Bar, Effort, On, Row, render
from evaluation.feeder import Feeder
from evaluation.latency_bench import subscribers
from evaluation.rest_history import make_history
from evaluation.rest_load import MEMORY_BAR_MB, wait_until_counted
from evaluation.service_process import ServiceProcess
from evaluation.start_bench import IMPORTS

FRAME = 500
FRAMES_PER_S = 6.0
_RSS = (
    f"{IMPORTS}, psutil, sys; connection = duckdb.connect(sys.argv[1]); "
    "connection.execute('SELECT count(*) FROM record').fetchall(); "
    "print(psutil.Process().memory_info().rss)"
)


def libraries_mb(path: Path) -> float:
    """Return the memory of an interpreter that has the service's libraries and the database open."""
    asked = subprocess.run([sys.executable, "-c", _RSS, path], check=True, capture_output=True, text=True)
    return int(asked.stdout) / 2**20


async def wait_until(is_so: Callable[[], bool], within_s: float) -> None:
    """Look once a second until something is so, or the time is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while not await asyncio.to_thread(is_so):
                await asyncio.sleep(1.0)


def heard(api_port: int) -> int:
    """Return how many transactions a service has heard of."""
    with urllib.request.urlopen(f"http://127.0.0.1:{api_port}/api/v1/status", timeout=30) as answer:
        return int(json.load(answer)["source"]["transactions"])


async def rows(effort: Effort) -> AsyncIterator[Row]:
    """Yield the lines, one for each thing that is added."""
    waiting = effort.pick(30_000, 300_000)
    predictions, clients = effort.pick(20_000, 200_000), effort.pick(100, 1_000)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "memory.db"
        await asyncio.to_thread(make_history, path, predictions)
        baseline, bare_mb = "its libraries, the file open", await asyncio.to_thread(libraries_mb, path)
        feeder = Feeder(
            frames_per_s=FRAMES_PER_S, whales=1, ordinary=FRAME - 1, limit=waiting // FRAME, first=10_000_000
        )
        up = asyncio.Event()
        feeding = asyncio.create_task(feeder.run(up.set))
        await up.wait()
        feeder.is_held.clear()
        service = await ServiceProcess.start(f"ws://127.0.0.1:{feeder.port}", path, patience_s=60)
        process = psutil.Process(service.process.pid)

        def row(what: str, *, bar: Bar | None = None, note: str = "") -> Row:
            now_mb = process.memory_info().rss / 2**20
            return Row("memory", what, now_mb, "MB", baseline, bare_mb, 1, bar, note)

        yield row(f"ready, {predictions:,} predictions")
        await asyncio.to_thread(wait_until_counted, service.api_port)
        yield row("the history counted by the hour, accuracy scored")
        with subscribers(service.alerts_port, clients) as channel:
            await asyncio.to_thread(channel.recv)
            yield row(f"and {clients:,} clients, one that never reads")
            feeder.is_held.set()
            await feeder.is_done.wait()
            await wait_until(lambda: heard(service.api_port) >= waiting, 60.0)
            told = await asyncio.to_thread(heard, service.api_port)
            bar = Bar(MEMORY_BAR_MB, On.VALUE)
            yield row(
                f"and a mempool of {waiting:,}", bar=bar, note="" if told >= waiting else f"heard {told:,}"
            )
            channel.send("stop")
            await asyncio.to_thread(channel.recv)
        feeding.cancel()
        await service.stop()


async def main() -> None:
    """Print the table."""
    print(render([row async for row in rows(FULL)]))


if __name__ == "__main__":
    asyncio.run(main())
