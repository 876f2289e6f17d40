"""What an online copy of the database costs: whether whales wait for it, memory, and whether it is sound."""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
import psutil

from evaluation.retention_bench import EVERY_S, TEMPLATES, history_of, opened
from evaluation.store_bench import entries_of
from hydrophone.pipeline.ports import Publication
from hydrophone.store.backup import Copy
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.schema import check_database

COMMITS_BEFORE = 200
"""In each round, before its copy."""
COMMITS = 6_000
DAYS = 100


class Bench:
    """Commits a whale now and then, as a service does, and notes how long that takes."""

    def __init__(self, store: DuckDbStore, whales: Sequence[Publication], last_seq: int) -> None:
        self._store = store
        self._whales = iter(whales)
        self._seq = last_seq
        self._process = psutil.Process()
        self.most_rss = 0
        self.latest_s = 0.0

    async def commit(self) -> float:
        """Commit one, and return how long it took, in milliseconds."""
        whale = next(self._whales)
        self._seq += 1
        began = time.perf_counter()
        await self._store.commit([Publication(self._seq, whale.effect, whale.message)])
        took_ms = (time.perf_counter() - began) * 1e3
        slept_at = time.perf_counter()
        await asyncio.sleep(EVERY_S)
        self.latest_s = max(self.latest_s, time.perf_counter() - slept_at - EVERY_S)
        self.most_rss = max(self.most_rss, self._process.memory_info().rss)
        return took_ms


def make_history(path: Path, by_day: int) -> list[Publication]:
    """Make a database of a hundred days; return whales that are not in it."""
    entries = [e for e in entries_of(TEMPLATES + COMMITS) if isinstance(e, Publication)]

    async def begin() -> None:
        store = await opened(path)
        await store.commit(entries[:TEMPLATES])
        await store.close()

    asyncio.run(begin())
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE template AS FROM mempool_predictions")
        for table in ("mempool_predictions", "record"):
            connection.execute(f"DELETE FROM {table}")
    history_of(path, range(DAYS), by_day, entries[TEMPLATES:])
    with duckdb.connect(path) as connection:
        connection.execute("DROP TABLE template")
    return entries[TEMPLATES:]


async def measure(path: Path, whales: Sequence[Publication], rounds: int) -> None:
    """Print the figures."""
    store = await opened(path)
    bench = Bench(store, whales, (await store.query_status()).last_seq)
    quiet: list[float] = []
    busy: list[float] = []
    copies: list[Copy] = []
    before = bench.latest_s
    for number in range(rounds):
        bench.latest_s = 0.0
        quiet += [await bench.commit() for _ in range(COMMITS_BEFORE)]
        before = max(before, bench.latest_s)
        rss_before, bench.most_rss, bench.latest_s = bench.most_rss, 0, 0.0
        copying = asyncio.create_task(store.copier.copy_to(path.with_name(f"copy{number}.db")))
        while not copying.done():
            busy.append(await bench.commit())
        copies.append(await copying)
        print(
            f"  copy {number}: {copies[-1].size_bytes / 1e6:.0f} MB in {copies[-1].took_s:.1f} s, up to "
            f"entry {copies[-1].record_seq}; memory {rss_before >> 20} MB before, "
            f"{bench.most_rss >> 20} MB at most; "
            f"loop late by {bench.latest_s * 1e3:.0f} ms at most ({before * 1e3:.0f} ms without)"
        )
    await store.close()
    say("commit of a whale, nothing else going on", quiet)
    say("the same while a copy is written", busy)
    began = time.perf_counter()
    for copy in copies:
        assert check_database(copy.path) == []
    print(
        f"  all sound (record, tables): checked in {(time.perf_counter() - began) / len(copies):.1f} s each"
    )


def say(name: str, times_ms: Sequence[float]) -> None:
    """Print how times are distributed."""
    cuts = statistics.quantiles(times_ms, n=100)
    print(
        f"  {name}: p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms, most {max(times_ms):.1f} ms, "
        f"n {len(times_ms)}"
    )


def main() -> int:
    """Make a history and measure copies of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--by-day", type=int, default=2_000, help="predictions a day")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "bench.db"
        whales = make_history(path, options.by_day)
        print(
            f"backup: {DAYS * options.by_day} predictions, twice as many entries, "
            f"{path.stat().st_size / 1e6:.0f} MB"
        )
        asyncio.run(measure(path, whales, options.rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
