"""kill -9 at random moments, again and again, while everything else goes wrong too; then against the truth.

For each scenario two services hear the same simulated backend. One is left alone, the other is killed and
started again. At the end nothing that a subscriber of the killed one was told may be missing from its
record, its outcomes must be true, and they must be those of the other; a whale it does not have came and went
in a gap that it tells of.

    python -m evaluation.outcome_kills [SCENARIO ...]
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import duckdb
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from evaluation.outcome_truth import (
    Claim,
    Evidence,
    Truth,
    describe,
    judge_claims,
    read_claims,
    read_truth,
    successors,
)
from evaluation.service_process import ServiceProcess
from evaluation.simulator_process import SimulatorProcess
from hydrophone.store.duckdb_store import check_database

RUNS: dict[str, tuple[float, float, int]] = {
    "reorg": (4, 560, 14), "outage": (5, 1_000, 16), "restart": (1, 200, 10),
    "replacement-storm": (2.5, 300, 8), "silence": (10, 300, 2),
}  # fmt: skip
"""Speed, virtual seconds, kills: 50 in all. Each takes two to three minutes."""
WHALES = 150
GRACE_S = 25.0
"""Real time before the end in which what ended may not be known yet: prevouts, patience, a restart."""
BETWEEN_POLLS = timedelta(seconds=2.5)


@dataclass
class Subscriber:
    """Whoever listens to the killed service, across all its lives.

    Attributes:
        heard: exact messages that are entries of the record.
    """

    heard: set[str] = field(default_factory=set)

    async def listen(self, port: int) -> None:
        """Collect what is said until the service is gone."""
        with contextlib.suppress(ConnectionClosed, InvalidHandshake, OSError):
            async with connect(f"ws://127.0.0.1:{port}", compression=None, max_size=None) as alerts:
                async for raw in alerts:
                    text = raw if isinstance(raw, str) else raw.decode()
                    if json.loads(text)["type"] in {"whale_alert", "status_update"}:
                        self.heard.add(text)


@dataclass
class Run:
    """One scenario, its files, and what was seen of it.

    Attributes:
        name: of the scenario.
        folder: for its files.
        subscriber: of the killed service.
        starts_s: how long each start of it took.
    """

    name: str
    folder: Path
    subscriber: Subscriber = field(default_factory=Subscriber)
    starts_s: list[float] = field(default_factory=list)

    @property
    def truth(self) -> Path:
        """What really happened."""
        return self.folder / f"{self.name}.jsonl"

    @property
    def calm(self) -> Path:
        """The database of the service that is left alone."""
        return self.folder / f"{self.name}-calm.db"

    @property
    def killed(self) -> Path:
        """The database of the other."""
        return self.folder / f"{self.name}-killed.db"


async def run_scenario(run: Run) -> bool:
    """Run one scenario; print its lines; return whether all is as it should be."""
    speed, duration_s, kills = RUNS[run.name]
    is_silent = run.name == "silence"
    busy = () if is_silent else ("--rate", "1", "--whales-per-hour", str(WHALES * 3_600 / duration_s))
    simulator = await SimulatorProcess.start(
        *("--scenario", run.name, "--seed", "1", "--speed", str(speed), "--duration", str(duration_s)),
        *("--truth", str(run.truth), *busy),
    )
    undisturbed = await ServiceProcess.start(simulator.url, run.calm)
    killing = asyncio.create_task(kill_often(simulator.url, run, kills, duration_s / speed - GRACE_S))
    await simulator.finish()
    victim = await killing
    await asyncio.sleep(1.0)  # what was said last is on its way
    codes = (await undisturbed.stop(), await victim.stop())
    return report(run) and codes == (0, 0)


async def kill_often(url: str, run: Run, kills: int, for_s: float) -> ServiceProcess:
    """Kill a service at random moments; return the last one, which lives."""
    chance = Random(run.name)
    loop = asyncio.get_running_loop()
    began = loop.time()
    moments = sorted(chance.uniform(0, 0.8 * for_s) for _ in range(kills))
    while True:
        service = await ServiceProcess.start(url, run.killed)
        run.starts_s.append(service.ready_s)
        listening = asyncio.create_task(run.subscriber.listen(service.alerts_port))
        if len(run.starts_s) > kills:
            return service
        due_s = began + moments[len(run.starts_s) - 1] - loop.time()
        await asyncio.sleep(max(chance.uniform(0.05, 0.5), due_s))
        if loop.time() > began + for_s:  # a machine too slow for so many
            return service
        await service.kill()
        await listening


@dataclass
class Record:
    """What one service has in its file at the end.

    Attributes:
        claims: what became of each prediction.
        messages: every entry of the record.
        gaps: when it says that it may have heard less than everything.
        heard_at: when the current version of each prediction was heard.
    """

    claims: list[Claim]
    messages: set[str]
    gaps: list[tuple[datetime, datetime]]
    heard_at: dict[str, datetime]

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Return what is in a file that no service has open."""
        with duckdb.connect(str(path), read_only=True) as connection:
            messages = connection.execute("SELECT message FROM record").fetchall()
            gaps = connection.execute("SELECT started_at, ended_at FROM source_gaps").fetchall()
            heard = connection.execute(
                "SELECT prediction_id, received_at FROM mempool_predictions"
            ).fetchall()
        return cls(read_claims(path), {message for (message,) in messages}, gaps, dict(heard))

    def admits(self, at: datetime) -> bool:
        """Whether it says that it was blind then, or when the backend, which polls, told of it."""
        return any(start - BETWEEN_POLLS <= at <= end + BETWEEN_POLLS for start, end in self.gaps)


def report(run: Run) -> bool:
    """Print what was found; return whether all is as it should be."""
    truth = read_truth(run.truth)
    end = max((line["first_seen"] for line in truth.values()), default=0.0)
    evidence = Evidence(
        forgotten=[txid for txid, line in truth.items() if line["end"] == "replaced"],
        open_since=end - GRACE_S * RUNS[run.name][0],
    )
    kills = len(run.starts_s) - 1
    calm, killed = Record.read(run.calm), Record.read(run.killed)
    is_good = kills == RUNS[run.name][2]
    for record, label in ((calm, "left alone"), (killed, f"killed {kills} times")):
        verdict = judge_claims(record.claims, truth, evidence)
        faults = {str(fault): len(texts) for fault, texts in verdict.faults.items() if texts}
        made, ends = verdict.predictions, dict(verdict.ends)
        print(f"{run.name}, {label}: {made} predictions, {ends}, wrong {faults or 0}")
        for text in [text for texts in verdict.faults.values() for text in texts][:5]:
            print(f"    {text}")
        is_good = is_good and verdict.is_good
    lost = run.subscriber.heard - killed.messages
    findings = check_database(run.killed)
    different, blind, unsaid = compare(calm, killed, truth, evidence.open_since)
    print(
        f"    acknowledged {len(run.subscriber.heard)}, lost {len(lost)}; database {findings or 'sound'}; "
        f"other outcome than without kills {len(different)}; only heard without kills: {blind} in a gap "
        f"that is told, {len(unsaid)} in none; start to ready at most {max(run.starts_s):.2f} s",
        flush=True,
    )
    for text in (*different, *unsaid)[:5]:
        print(f"    {text}")
    return is_good and not lost and not findings and not different and not unsaid


def compare(
    calm: Record, killed: Record, truth: Truth, open_since: float
) -> tuple[list[str], int, list[str]]:
    """Return what differs: outcomes, how many whales only the first has from a gap, and which from none."""
    of = {txid: claim for claim in killed.claims for txid in claim.versions}
    different: list[str] = []
    unsaid: list[str] = []
    blind = 0
    for claim in calm.claims:
        other, ended_at = of.get(claim.txid), truth[claim.txid]["end_at"]
        if ended_at is not None and ended_at >= open_since:
            continue  # one of them may not have heard yet
        if other is None:
            at = calm.heard_at[claim.prediction_id]
            if killed.admits(at):
                blind += 1
            else:
                unsaid.append(f"{claim.txid} {describe(claim)}: heard at {at} and in no gap")
        elif not _agree(claim, other, truth):
            different.append(f"{claim.txid}: {describe(claim)}, with kills {describe(other)}")
    return different, blind, unsaid


def _agree(one: Claim, other: Claim, truth: Truth) -> bool:
    """Whether two say the same; after a gap the newest version is named as successor, else the next."""
    if one.is_open or other.is_open:
        return one.is_open and other.is_open
    if (one.txid, one.status, one.height) != (other.txid, other.status, other.height):
        return False
    by, other_by = one.replaced_by, other.replaced_by
    if by is None or other_by is None or by == other_by:
        return by == other_by
    return by in successors(truth, other_by) or other_by in successors(truth, by)


async def main() -> int:
    """Run what was asked for, one after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[[], *RUNS], default=[])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = [await run_scenario(Run(name, Path(folder))) for name in arguments.names or RUNS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
