"""kill -9 during writes: nothing a subscriber has seen may be missing afterwards, and it is back at once."""

import asyncio
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from evaluation.feeder import Feeder
from evaluation.service_process import ServiceProcess
from hydrophone.store.duckdb_store import check_database

KILLS = 25
RESTART_BAR_S = 2.0


async def listen(port: int, seen: set[str]) -> None:
    """Collect the prediction ids that were acknowledged: published, therefore committed."""
    try:
        async with connect(f"ws://127.0.0.1:{port}", compression=None) as alerts:
            async for raw in alerts:
                message = json.loads(raw)
                if message["type"] == "whale_alert":
                    seen.add(message["data"]["prediction_id"])
    except ConnectionClosed:
        return


def stored(path: Path) -> list[str]:
    """Return the prediction ids in the file, as often as they are there."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return [
            row[0] for row in connection.execute("SELECT prediction_id FROM mempool_predictions").fetchall()
        ]


@dataclass
class Aftermath:
    """What was found after some kills.

    Attributes:
        starts_s: how long each start took; the first had nothing to recover from.
        acknowledged: alerts that a subscriber had.
        lost: of them, not in the database.
        stored: predictions in it.
        twice: of them, more than once.
        findings: what is unsound about the database.
    """

    starts_s: list[float]
    acknowledged: int
    lost: int
    stored: int
    twice: int
    findings: Sequence[object]

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.lost and not self.twice and not self.findings


async def kill_during_writes(count: int) -> Aftermath:
    """Kill a service at random moments of 300 whales a second, and start it again; stop at the first loss."""
    chance = random.Random(1)
    seen: set[str] = set()
    starts_s: list[float] = []
    lost = 0
    feeder = Feeder(frames_per_s=100, whales=3)
    up = asyncio.Event()
    feeding = asyncio.create_task(feeder.run(up.set))
    await up.wait()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kills.db"
        for _ in range(count):
            service = await ServiceProcess.start(f"ws://127.0.0.1:{feeder.port}", path)
            starts_s.append(service.ready_s)
            listening = asyncio.create_task(listen(service.alerts_port, seen))
            await asyncio.sleep(chance.uniform(0.3, 1.5))
            await service.kill()
            await listening
            lost = len(seen - set(stored(path)))
            if lost:
                break
        ids = stored(path)
        findings = check_database(path)
    feeding.cancel()
    return Aftermath(starts_s, len(seen), lost, len(ids), len(ids) - len(set(ids)), findings)


async def main() -> int:
    """Kill, look, start again; print what was found."""
    found = await kill_during_writes(KILLS)
    kills = len(found.starts_s)
    print(f"kill -9 during writes: {kills} times, {found.acknowledged} acknowledged, {found.lost} lost")
    print(f"  {found.stored} stored, {found.twice} twice; database: {found.findings or 'sound'}")
    first_s, *recoveries = found.starts_s
    median_s, worst_s = statistics.median(recoveries), max(recoveries)
    print(f"  start to ready {first_s:.2f} s; after a kill median {median_s:.2f} s, worst {worst_s:.2f} s")
    print(f"  (bar {RESTART_BAR_S:g} s)")
    return 0 if found.is_good and kills == KILLS and worst_s < RESTART_BAR_S else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
