"""Compares the simulated world with real data: sizes, counts, fee rates, dependencies, block intervals.

Prints quantiles side by side. The data are old (2014 and 2021) and amounts and fees have moved since, so for
those it is the spread that should agree, not the level.
"""

import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from evaluation.raw_blocks import read_block
from evaluation.shared_data import find

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
HOURS = 6


def simulate(hours: float, *flags: str) -> list[dict[str, Any]]:
    """Return the truth of some simulated hours."""
    with tempfile.TemporaryDirectory() as folder:
        truth = Path(folder) / "truth.jsonl"
        command = [sys.executable, "-m", "hydrophone", "simulate", "--port", "0", "--seed", "11", *flags]
        subprocess.run(
            [*command, "--duration", str(hours * 3_600), "--truth", str(truth)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return [json.loads(line) for line in truth.read_text(encoding="utf-8").splitlines()]


def show(name: str, values: Sequence[float], scale: float = 1.0) -> None:
    """Print quantiles, and how far the outer ones are from the median."""
    ordered = sorted(values)
    found = [ordered[int(q * (len(ordered) - 1))] * scale for q in QUANTILES]
    spread = found[4] / found[2] if found[2] else 0.0
    print(f"  {name:<34} n={len(ordered):<7}" + "".join(f"{v:>11.4g}" for v in found) + f"   x{spread:.3g}")


def share(name: str, part: int, whole: int) -> None:
    """Print a share."""
    print(f"  {name:<34} n={whole:<7}{part / whole:>11.1%}")


def compare_transactions(folder: Path, simulated: list[dict[str, Any]]) -> None:
    """Compare with the mainnet block of 2014."""
    real = list(read_block(folder / "block300025.raw"))
    header = "".join(f"{q:>11.0%}" for q in QUANTILES)
    print(f"{'':<45}{header}   90 % by median")
    for name, of_real, of_simulated in (
        ("inputs", [len(t.inputs) for t in real], [t["input_count"] for t in simulated]),
        ("outputs", [len(t.outputs) for t in real], [t["output_count"] for t in simulated]),
        ("weight (WU)", [t.weight_wu for t in real], [t["weight_wu"] for t in simulated]),
    ):
        show(f"{name}, block 300025", of_real)
        show(f"{name}, simulated", of_simulated)
    show("value (BTC), block 300025", [t.gross_sat for t in real], 1e-8)
    show("value (BTC), simulated", [t["gross_sat"] for t in simulated], 1e-8)
    share("two outputs, block 300025", sum(len(t.outputs) == 2 for t in real), len(real))
    share("two outputs, simulated", sum(t["output_count"] == 2 for t in simulated), len(simulated))
    share("one input, block 300025", sum(len(t.inputs) == 1 for t in real), len(real))
    share("one input, simulated", sum(t["input_count"] == 1 for t in simulated), len(simulated))
    share("above 100 BTC, block 300025", sum(t.gross_sat > 10**10 for t in real), len(real))
    share("above 100 BTC, simulated", sum(t["gross_sat"] > 10**10 for t in simulated), len(simulated))


def compare_pools(folder: Path, simulated: list[dict[str, Any]]) -> None:
    """Compare with the pools of 2014: fee rates, sizes, waiting."""
    with (folder / "lifecycle_2014.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["in_continuous_window"] == "1"]
    confirmed = [t for t in simulated if t["end"] == "confirmed" and t["announced_at"] is not None]
    rates = [float(r["feerate_sat_per_kB"]) / 1_000 for r in rows]
    show("fee rate (sat/vB), pools of 2014", rates)
    show("fee rate (sat/vB), simulated", [t["fee_rate_sat_vb"] for t in simulated])
    show("size (bytes), pools of 2014", [int(r["size_bytes"]) for r in rows])
    show("size (vB), simulated", [t["weight_wu"] / 4 for t in simulated])
    waited = [
        float(r["confirmed_seen_unix"]) - float(r["first_seen_unix"]) for r in rows if r["blocks_waited"]
    ]
    show("wait until confirmed (s), 2014", waited)
    show("wait until confirmed (s), simulated", [t["end_at"] - t["first_seen"] for t in confirmed])


def compare_blocks(path: Path, simulated: list[dict[str, Any]]) -> None:
    """Compare with block arrivals of 2021."""
    with path.open(encoding="utf-8") as file:
        times = sorted((int(row[0]), int(row[2]) / 1_000) for row in csv.reader(file))
    real = [b[1] - a[1] for a, b in pairwise(times) if b[0] == a[0] + 1]
    found = {t["block_height"]: t["end_at"] for t in simulated if t["end"] == "confirmed"}
    ordered = sorted(found.items())
    intervals = [b[1] - a[1] for a, b in pairwise(ordered) if b[0] == a[0] + 1]
    show("block interval (s), 2021", real)
    show("block interval (s), simulated", intervals)


def main() -> int:
    """Print all comparisons."""
    simulated = simulate(HOURS)
    blocks, lifecycle = find("data/blocks"), find("data/lifecycle_2014")
    arrivals = find("data/block_arrivals/offing-gcp.csv")
    if blocks is None or lifecycle is None or arrivals is None:
        return 0
    compare_transactions(blocks, simulated)
    compare_pools(lifecycle, simulated)
    compare_blocks(arrivals, simulate(48, "--rate", "0.2"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
