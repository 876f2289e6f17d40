"""How soon the service is ready: on nothing, on a long history, and after kill -9.

python -m evaluation.start_bench
"""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from evaluation.bench_table import FULL, Bar, Effort, On, Row, render
from evaluation.kills import RESTART_BAR_S, kill_during_writes
from evaluation.rest_history import make_history
from evaluation.service_process import ServiceProcess, free_port

READY_BAR = Bar(RESTART_BAR_S, On.VALUE)
IMPORTS = "import aiohttp, asyncio, duckdb, msgspec, numpy, structlog, websockets.asyncio.server"
"""What any service of this kind needs before its first line."""


def import_s() -> float:
    """Return how long an interpreter takes that only imports what the service is built on."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    return time.monotonic() - began


async def start_s(path: Path) -> float:
    """Return how long the service takes until it accepts connections; nobody tells it anything."""
    service = await ServiceProcess.start(f"ws://127.0.0.1:{free_port()}", path, patience_s=60)
    await service.stop()
    return service.ready_s


async def rows(effort: Effort) -> AsyncIterator[Row]:
    """Yield the lines."""
    count, predictions = effort.pick(5, 15), effort.pick(20_000, 200_000)
    importing: list[float] = []
    fresh: list[float] = []
    long: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        await asyncio.to_thread(make_history, folder / "long.db", predictions)
        for number in range(count):
            importing.append(await asyncio.to_thread(import_s))
            fresh.append(await start_s(folder / f"{number}.db"))
            long.append(await start_s(folder / "long.db"))
    baseline, imports_s = "its libraries imported", statistics.median(importing)
    ready = "start to ready"
    yield Row("start", f"{ready}, p50", statistics.median(fresh), "s", baseline, imports_s, count, READY_BAR)
    what = f"{ready} on {predictions:,} predictions, p50"
    yield Row("start", what, statistics.median(long), "s", baseline, imports_s, count, READY_BAR)
    found = await kill_during_writes(effort.pick(4, 25))
    first_s, *after_s = found.starts_s
    kills, first = len(after_s), "first start"
    yield Row(
        "start", "back after kill -9, p50", statistics.median(after_s), "s", first, first_s, kills, READY_BAR
    )
    yield Row("start", "back after kill -9, worst", max(after_s), "s", first, first_s, kills, READY_BAR)
    wrong, note = found.lost + found.twice, "; ".join(map(str, found.findings))
    bar = Bar(0, On.VALUE)
    yield Row(
        "start", "acknowledged and lost, or twice", wrong, "alerts", "", None, found.acknowledged, bar, note
    )


async def main() -> None:
    """Print the table."""
    print(render([row async for row in rows(FULL)]))


if __name__ == "__main__":
    asyncio.run(main())
