"""What it costs to commit one whale: the price of storing before publishing."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from evaluation.bench_table import FULL, Effort, Row, render
from evaluation.feeder import Feeder, new_txid
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.script import Network, address_from_script
from hydrophone.domain.tracker import Tracker
from hydrophone.domain.units import Sats
from hydrophone.pipeline.broadcast import Composer
from hydrophone.pipeline.ports import Entry
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.wire.mempool_space import MempoolSpaceDecoder
from hydrophone.wire.public_v1 import PublicEncoder
from hydrophone.wire.quarantine import Quarantine

SYNCED_BYTES = 4096
BATCH = 100
BATCHES = 5
OPENED = 25
_PLAIN = "one number"
START_MICROS = 1_700_000_000_000_000


def entries_of(count: int) -> list[Entry]:
    """Return the entries of so many different whales."""
    decoder = MempoolSpaceDecoder(source="bench", threshold_sat=Sats(10**10), quarantine=Quarantine())
    tracker = Tracker(network=Network.REGTEST, book=LabelBook())
    composer = Composer(PublicEncoder(Network.REGTEST))
    feeder = Feeder(frames_per_s=1)
    entries: list[Entry] = []
    for number in range(count):
        payload = feeder.frame(number + 1, [new_txid(number)]).encode()
        for event in decoder.decode(
            Frame(START_MICROS + number * 1000, "bench", FrameKind.RECEIVED, payload)
        ):
            entries += [composer.compose(effect) for effect in tracker.step(event)]
    return entries


def synced_write(folder: Path) -> Callable[[], None]:
    """Return the floor: so many bytes appended to a file and forced to the disk."""
    file = (folder / "floor.bin").open("ab", buffering=0)

    def commit() -> None:
        file.write(b"x" * SYNCED_BYTES)
        os.fsync(file.fileno())

    return commit


def plain_insert(folder: Path) -> Callable[[], None]:
    """Return the baseline: one row of one number, inserted and committed by DuckDB itself."""
    connection = duckdb.connect(str(folder / "floor.db"))
    connection.execute("CREATE TABLE t (n BIGINT)")

    def commit() -> None:
        connection.execute("INSERT INTO t VALUES (1)")

    return commit


def opened_insert(folder: Path) -> Callable[[], None]:
    """Return the baseline of who keeps no connection: the file is opened and closed for each row."""
    path = str(folder / "opened.db")
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE t (n BIGINT)")

    def commit() -> None:
        with duckdb.connect(path) as connection:
            connection.execute("INSERT INTO t VALUES (1)")

    return commit


async def rows(effort: Effort) -> list[Row]:
    """Return the lines."""
    rounds = effort.pick(60, 300)
    entries = entries_of(rounds + BATCH * BATCHES + OPENED)
    times_ms: dict[str, list[float]] = {"floor": [], "insert": [], "ours": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        baselines = {"floor": synced_write(folder), "insert": plain_insert(folder)}
        store = DuckDbStore(
            folder / "bench.db", address_of=lambda script: address_from_script(script, Network.REGTEST)
        )
        await store.open()
        for entry in entries[:rounds]:
            for key, commit in baselines.items():
                began = time.perf_counter()
                commit()
                times_ms[key].append((time.perf_counter() - began) * 1e3)
            began = time.perf_counter()
            await store.commit([entry])
            times_ms["ours"].append((time.perf_counter() - began) * 1e3)
        batches_ms, alone_ms = [], []
        for number in range(BATCHES):
            began = time.perf_counter()
            await store.commit(entries[rounds + number * BATCH :][:BATCH])
            batches_ms.append((time.perf_counter() - began) * 1e3 / BATCH)
            began = time.perf_counter()
            baselines["insert"]()
            alone_ms.append((time.perf_counter() - began) * 1e3)
        opened_ms, kept_ms = [], []
        reopen = opened_insert(folder)
        for entry in entries[rounds + BATCH * BATCHES :]:
            began = time.perf_counter()
            reopen()
            opened_ms.append((time.perf_counter() - began) * 1e3)
            began = time.perf_counter()
            await store.commit([entry])
            kept_ms.append((time.perf_counter() - began) * 1e3)
        await store.close()
    insert = f"{_PLAIN} by DuckDB"
    p50 = {key: statistics.median(times) for key, times in times_ms.items()}
    p99 = {key: sorted(times)[int(len(times) * 0.99)] for key, times in times_ms.items()}
    whale = "a whale and its entry, committed"
    return [
        Row("store", f"{whale}, p50", p50["ours"], "ms", insert, p50["insert"], rounds),
        Row("store", f"{whale}, p99", p99["ours"], "ms", insert, p99["insert"], rounds),
        Row("store", f"{whale}, p50", p50["ours"], "ms", "4 kB forced to disk", p50["floor"], rounds),
        Row(
            *("store", f"the same in batches of {BATCH}, each", statistics.median(batches_ms), "ms"),
            *(insert, statistics.median(alone_ms), BATCHES * BATCH),
        ),
        Row(
            *("store", f"{whale}, p50", statistics.median(kept_ms), "ms"),
            *(f"{_PLAIN}, the file opened for it", statistics.median(opened_ms), OPENED),
        ),
    ]


if __name__ == "__main__":
    print(render(asyncio.run(rows(FULL))))
