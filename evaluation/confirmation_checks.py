"""What the model of confirmation rests on, and what it costs.

Blocks: whether intervals are exponential and the running mean follows them, on real arrivals of 2021 (not
part of the repository: see `evaluation.shared_data`). Cost: time for each transaction, time and memory of a
table.
"""

import csv
import sys
import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from random import Random

import numpy as np

from evaluation.shared_data import find
from hydrophone.domain.confirmation import (
    ConfirmationTable,
    Corrections,
    estimate_confirmation,
    seeded_paths,
)
from hydrophone.domain.feemarket import (
    STANDINGS,
    FeeMarket,
    FeeMarketWatch,
    RateProfile,
    mean_interval_s,
)
from hydrophone.domain.forecast import Forecaster
from hydrophone.domain.scoring import block_bootstrap
from hydrophone.domain.units import MICROS_PER_S, Height, Txid, UnixMicros

TAU_BLOCKS = 144
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def arrivals() -> list[tuple[int, float]]:
    """Return heights and seconds, in order of height; nothing when the data are not there."""
    path = find("data/block_arrivals/offing-gcp.csv")
    if path is None:
        return []
    with path.open(encoding="utf-8") as file:
        rows = {int(row[0]): int(row[2]) / 1_000 for row in csv.reader(file)}
    return sorted(rows.items())


def check_blocks() -> None:
    """Print how exponential intervals are, and how often blocks keep what the running mean promises."""
    blocks = arrivals()
    if not blocks:
        return
    intervals = [b - a for (low, a), (high, b) in pairwise(blocks) if high == low + 1]
    positive = np.array([i for i in intervals if i > 0])
    print(
        f"block arrivals: {len(blocks)} blocks, {len(intervals)} intervals, mean {np.mean(intervals):.1f} s, "
        f"{len(intervals) - len(positive)} not positive (heard out of order)"
    )
    share = np.sort(positive) / positive.mean()
    place = (np.arange(len(share)) + 0.5) / len(share)
    distance = float(np.abs(-np.expm1(-share) - place).max())
    level = 1.36 / len(share) ** 0.5
    print(f"  Kolmogorov-Smirnov distance from the exponential {distance:.4f} (5 % level {level:.4f})")
    print("  quantile  interval  exponential")
    for quantile in QUANTILES:
        found, expected = np.quantile(positive, quantile), -positive.mean() * np.log1p(-quantile)
        print(f"  {quantile:>8.0%} {found:>9.0f} {expected:>12.0f} s")
    correlation = float(np.corrcoef(positive[:-1], positive[1:])[0, 1])
    error = 1 / len(share) ** 0.5
    print(f"  correlation of successive intervals {correlation:+.3f} (two standard errors {2 * error:.3f})")
    _check_promises(blocks, intervals)


def _check_promises(blocks: list[tuple[int, float]], intervals: list[float]) -> None:
    times = [at for _, at in blocks]
    generator = np.random.default_rng(2021)
    drawn = generator.standard_gamma(1.0, size=(200_000, 6)).cumsum(axis=1)
    taus = [mean_interval_s(intervals[n - TAU_BLOCKS : n]) for n in range(TAU_BLOCKS, len(intervals) - 6)]
    print(f"  running mean (144 blocks, pulled to 600 s): {min(taus):.0f} to {max(taus):.0f} s")
    for count in (1, 2, 3, 6):
        for quantile in (0.5, 0.9):
            limit = float(np.quantile(drawn[:, count - 1], quantile))
            kept = np.array(
                [
                    float(times[n + count] - times[n] <= limit * tau)
                    for n, tau in enumerate(taus, start=TAU_BLOCKS)
                ]
            )
            groups = np.arange(len(kept)) // TAU_BLOCKS
            found = block_bootstrap(kept, groups, generator)
            print(
                f"  {count} blocks within P{quantile * 100:.0f}: "
                f"{found.value:.3f} +- {found.standard_error:.3f} (n={len(kept)})"
            )


def busy_market(seed: int = 1) -> FeeMarket:
    """Return a market with twenty blocks' weight waiting at all rates, and as much coming as is mined."""
    rng = Random(seed)
    waiting = [(rng.lognormvariate(1.5, 1.5), 80_000.0) for _ in range(1_000)]
    return FeeMarket.from_rates(waiting, [(r, 6.6) for r, _ in waiting], tip=Height(900_000), mined=waiting)


def timed(work: Callable[[int], object], count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return how long each call takes, in microseconds."""
    times = np.empty(count)
    for number in range(count):
        began = time.perf_counter()
        work(number)
        times[number] = (time.perf_counter() - began) * 1e6
    return times


def show(name: str, times: np.ndarray[tuple[int], np.dtype[np.float64]], bar: str = "") -> None:
    """Print quantiles."""
    median, p99 = np.quantile(times, (0.5, 0.99))
    print(f"  {name:<58} median {median:>8.1f} us  p99 {p99:>8.1f} us  n={len(times)}{bar}")


def check_cost() -> None:
    """Print what an estimate costs, and what a table takes."""
    print("cost:")
    market, rng = busy_market(), Random(2)
    rates = [rng.lognormvariate(1.5, 1.5) for _ in range(20_000)]
    tracemalloc.start()
    paths = seeded_paths(1)
    corrections = [Corrections(0.96, 0.005, 0.0005)] * len(STANDINGS)
    table = ConfirmationTable(market.summed(), paths, corrections).filled()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    show(
        "through the table",
        timed(lambda n: table.estimate(rates[n]), 20_000),
        "  (bar p99 < 50)",
    )
    heavy = timed(lambda n: table.estimate(rates[n], 50_000), 2_000)
    show("a heavy transaction, in the same paths", heavy)
    alone = timed(lambda n: estimate_confirmation(market, paths, rates[n], 561, age_s=60), 500)
    show("one computed for itself (a replacement)", alone)
    show(
        "a table of all buckets",
        timed(lambda _: ConfirmationTable(busy_market(), paths, corrections).filled(), 40),
        "  (bar < 100 ms)",
    )
    show("paths, once for each block", timed(seeded_paths, 40))
    print(f"  memory of paths and table: {held / 1e6:.1f} MB held, {peak / 1e6:.1f} MB at most (bar < 20 MB)")
    forecaster = Forecaster()
    profile = RateProfile(3_990_000, (1, 2, 3, 5, 8, 13, 99))
    forecaster.note_block(Height(1), "ab", UnixMicros(1), profile=profile)
    for second in (1, 2):
        at = UnixMicros(second * MICROS_PER_S)
        forecaster.note_time(at)
        forecaster.note_market((), (), [profile] * 8, at)
    forecaster.note_time(UnixMicros(9 * MICROS_PER_S))
    asked = timed(lambda n: forecaster.forecast(Txid(str(n)), rates[n], 561, made_at=UnixMicros(1)), 10_000)
    show("all that is said of a whale: estimate, urgency, claim", asked)
    watch = FeeMarketWatch()
    weights = [561] * len(rates)
    batch = timed(lambda n: watch.arrive(rates, weights, UnixMicros(n)), 30) / len(rates)
    show("an ordinary transaction, counted for the market", batch)


def main() -> int:
    """Print both."""
    check_blocks()
    check_cost()
    return 0


if __name__ == "__main__":
    sys.exit(main())
