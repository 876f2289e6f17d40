"""Runs the service on every scenario of the simulator and compares what it said with what was true.

No whale that the simulator announced while the service was connected may be missed, and nothing else may be
signalled. Whales announced while a gap was open are counted apart: nobody told the service of them.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from evaluation.service_process import ServiceProcess, free_port

THRESHOLD_SAT = 100 * 100_000_000
RUNS: dict[str, tuple[float, float]] = {
    "calm": (10, 700), "congested": (10, 700), "fee-spike": (10, 700), "reorg": (8, 560),
    "outage": (10, 1_000), "restart": (1, 170), "replacement-storm": (5, 350),
    "consolidation-season": (10, 700), "flood": (1, 60), "silence": (20, 1_400),
}  # fmt: skip
"""Speed and virtual seconds: each takes one to two minutes and sees its incidents at least once."""
WHALES = 200
"""In each scenario but those whose point is their number."""


@dataclass
class Heard:
    """What a client of the service heard."""

    alerts: set[str] = field(default_factory=set)
    live: set[str] = field(default_factory=set)
    below: int = 0
    confirmed: dict[str, int] = field(default_factory=dict)
    sightings: Counter[str] = field(default_factory=Counter)


async def listen(port: int, heard: Heard) -> None:
    """Collect alerts and confirmations until the service ends."""
    try:
        async with connect(f"ws://127.0.0.1:{port}", compression=None, max_size=None) as alerts:
            async for raw in alerts:
                message = json.loads(raw)
                data = message["data"]
                if message["type"] == "whale_alert":
                    heard.alerts.add(data["transaction_id"])
                    heard.sightings[data["sighting"]] += 1
                    if data["sighting"] == "announced":
                        heard.live.add(data["transaction_id"])
                    heard.below += data["btc_value"] * 1e8 <= THRESHOLD_SAT
                elif message["type"] == "status_update":
                    if data["new_status"] == "confirmed":
                        heard.confirmed[data["transaction_id"]] = data["confirmation_block"]
                    elif data["new_status"] == "reorged":
                        heard.confirmed.pop(data["transaction_id"], None)
    except ConnectionClosed:
        return


async def run(name: str, backend: str, folder: Path) -> bool:
    """Run one scenario; print its line; return whether all is as it should be."""
    speed, duration_s = RUNS[name]
    port, truth = free_port(), folder / f"{name}.jsonl"
    simulator = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "hydrophone", "simulate", "--scenario", name, "--seed", "1", "--port", str(port)),
        *("--speed", str(speed), "--duration", str(duration_s), "--truth", str(truth), "--json"),
        *("--backend", backend, "--network", "regtest"),
        *(() if name in {"flood", "silence"} else ("--whales-per-hour", str(WHALES * 3_600 / duration_s))),
        stdout=PIPE,
        stderr=PIPE,
    )
    assert simulator.stderr is not None
    await simulator.stderr.readline()  # it says that it is ready
    heard = Heard()
    store = folder / f"{name}.db"
    service = await ServiceProcess.start(f"ws://127.0.0.1:{port}", store)
    listening = asyncio.create_task(listen(service.alerts_port, heard))
    output, errors = await simulator.communicate()
    await asyncio.sleep(0.5)  # what was said last is on its way
    code = await service.stop()
    await listening
    if simulator.returncode or code:
        print(f"{name}: the simulator ended with {simulator.returncode}, the service with {code}")
        print(errors.decode()[-2_000:])
        return False
    print(f"{name} ({backend}): {describe(json.loads(output))}", end="; ")
    return report(RUNS[name][0], lines_of(truth), heard, gaps_of(store))


def lines_of(truth: Path) -> list[dict[str, Any]]:
    """Return the truth."""
    return [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()]


def gaps_of(store: Path) -> list[tuple[float, float]]:
    """Return from when to when the service says it heard nothing, in seconds since the epoch."""
    with duckdb.connect(str(store), read_only=True) as connection:
        rows = connection.execute(
            "SELECT epoch(started_at), epoch(ended_at) FROM source_gaps WHERE ended_at IS NOT NULL"
        ).fetchall()
    return [(start, end) for start, end in rows]


def describe(summary: dict[str, Any]) -> str:
    """Return what the simulator says it did."""
    return f"{summary['transactions']} transactions, {summary['blocks']} blocks"


def report(speed: float, truth: list[dict[str, Any]], heard: Heard, gaps: list[tuple[float, float]]) -> bool:
    """Print the counts of a scenario; return whether all is as it should be."""
    whales = [line for line in truth if line["gross_sat"] > THRESHOLD_SAT]
    announced = [line for line in whales if line["announced_at"] is not None]
    # What waited before the service came is found too, as far as the backend lists it.
    first_heard = min((li["announced_at"] for li in announced if li["txid"] in heard.live), default=None)
    due = [line for line in announced if first_heard is not None and line["announced_at"] >= first_heard]
    blind = [line for line in due if speed == 1 and any(a < line["announced_at"] <= b for a, b in gaps)]
    missed = [line for line in due if line["txid"] not in heard.alerts and line not in blind]
    extra = heard.alerts - {line["txid"] for line in whales}
    agreed = {line["txid"]: line["block_height"] for line in due if line["end"] == "confirmed"}
    right = sum(heard.confirmed.get(txid) == height for txid, height in agreed.items())
    print(
        f"{len(whales)} whales, {len(announced)} announced, {len(due)} while connected, "
        f"{len(due) - len(missed) - len(blind)} signalled, {len(missed)} missed, {len(blind)} in a gap, "
        f"{len(extra)} false, {heard.below} below; {dict(heard.sightings)}; "
        f"confirmed in the right block {right} of {len(agreed)}; gaps {len(gaps)}",
        flush=True,
    )
    for line in missed[:5]:
        print(f"  missed {line['txid']} {line['kind']} {line['end']} {line['announced_at']}")
    return not missed and not extra and not heard.below


async def main() -> int:
    """Run what was asked for, one after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[[], *RUNS], default=[])
    parser.add_argument("--backend", default="esplora", choices=["esplora", "none"])
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        results = [await run(name, arguments.backend, Path(folder)) for name in arguments.names or RUNS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
