"""What it costs to commit one whale: the price of storing before publishing."""

import asyncio
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


def floor(folder: Path) -> Callable[[], None]:
    """Return the baseline: one row of one number, inserted and committed by DuckDB itself."""
    connection = duckdb.connect(str(folder / "floor.db"))
    connection.execute("CREATE TABLE t (n BIGINT)")

    def commit() -> None:
        connection.execute("INSERT INTO t VALUES (1)")

    return commit


async def main() -> int:
    """Print the table."""
    entries = entries_of(ROUNDS + BATCH)
    ours_ms: list[float] = []
    floor_ms: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commit_floor = floor(folder)
        store = DuckDbStore(
            folder / "bench.db", address_of=lambda script: address_from_script(script, Network.REGTEST)
        )
        await store.open()
        for entry in entries[:ROUNDS]:
            began = time.perf_counter()
            commit_floor()
            between = time.perf_counter()
            await store.commit([entry])
            floor_ms.append((between - began) * 1e3)
            ours_ms.append((time.perf_counter() - between) * 1e3)
        began = time.perf_counter()
        await store.commit(entries[ROUNDS:])
        batch_ms = (time.perf_counter() - began) * 1e3
        await store.close()
    print(f"store: {ROUNDS} commits of one whale each, alternating with DuckDB's own one-number insert")
    _say("one number, committed by DuckDB", floor_ms)
    _say("one whale and its record entry, committed", ours_ms)
    print(
        f"  ratio of medians {statistics.median(ours_ms) / statistics.median(floor_ms):.1f}x; "
        f"batch of {BATCH}: {batch_ms / BATCH:.2f} ms a whale"
    )
    return 0


def _say(name: str, times_ms: Sequence[float]) -> None:
    ordered = sorted(times_ms)
    print(
        f"  {name:<44} p50 {statistics.median(ordered):6.2f} ms  p99 {ordered[int(len(ordered) * 0.99)]:6.2f} ms"
    )


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
