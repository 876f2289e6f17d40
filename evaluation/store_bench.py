"""What it costs to commit one whale: the price of storing before publishing."""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

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

ROUNDS = 300
SYNCED_BYTES = 4096
BATCH = 100
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


async def main() -> int:
    """Print the table."""
    entries = entries_of(ROUNDS + BATCH)
    times_ms: dict[str, list[float]] = {"synced write": [], "plain insert": [], "ours": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        baselines = {"synced write": synced_write(folder), "plain insert": plain_insert(folder)}
        store = DuckDbStore(
            folder / "bench.db", address_of=lambda script: address_from_script(script, Network.REGTEST)
        )
        await store.open()
        for entry in entries[:ROUNDS]:
            for key, commit in baselines.items():
                began = time.perf_counter()
                commit()
                times_ms[key].append((time.perf_counter() - began) * 1e3)
            began = time.perf_counter()
            await store.commit([entry])
            times_ms["ours"].append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        await store.commit(entries[ROUNDS:])
        batch_ms = (time.perf_counter() - began) * 1e3
        await store.close()
    print(f"store: {ROUNDS} commits of one whale each, alternating with the baselines")
    _say(f"write of {SYNCED_BYTES} bytes, forced to the disk", times_ms["synced write"])
    _say("one number, committed by DuckDB", times_ms["plain insert"])
    _say("one whale and its record entry, committed", times_ms["ours"])
    ratio = statistics.median(times_ms["ours"]) / statistics.median(times_ms["plain insert"])
    print(f"  ours / DuckDB {ratio:.1f}x; in a batch of {BATCH}: {batch_ms / BATCH:.2f} ms a whale")
    return 0


def _say(name: str, times: Sequence[float]) -> None:
    ordered = sorted(times)
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    print(f"  {name:<44} p50 {p50:6.2f} ms  p99 {p99:6.2f} ms")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
