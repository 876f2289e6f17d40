"""What an estimate costs the processor, beside reading the whale it is for with the standard library's json.

python -m evaluation.estimate_bench
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from random import Random

from evaluation.bench_table import FULL, Bar, Effort, On, Row, render
from evaluation.confirmation_checks import busy_market
from evaluation.feeder import recorded_transactions
from hydrophone.domain.confirmation import (
    ConfirmationTable,
    Corrections,
    estimate_confirmation,
    seeded_paths,
)
from hydrophone.domain.feemarket import STANDINGS

GROUP = "estimate"
TABLE_BAR_US = 50.0
FILL_BAR_MS = 100.0


def microseconds(work: Callable[[int], object], count: int) -> list[float]:
    """Return how much of the processor each call takes."""
    times = []
    for number in range(count):
        began = time.thread_time_ns()
        work(number)
        times.append((time.thread_time_ns() - began) / 1e3)
    return times


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the lines."""
    market, rng = busy_market(), Random(2)
    corrections = [Corrections(0.96, 0.005, 0.0005)] * len(STANDINGS)
    paths = seeded_paths(1)
    table = ConfirmationTable(market.summed(), paths, corrections).filled()
    whale = json.dumps(max(recorded_transactions(), key=lambda t: sum(o["value"] for o in t["vout"])))
    many, some, few = effort.pick(2_000, 20_000), effort.pick(100, 500), effort.pick(5, 40)
    rates = [rng.lognormvariate(1.5, 1.5) for _ in range(many)]
    reading, asked = [], []
    for number in range(many):  # alternating: both are short
        reading += microseconds(lambda _: json.loads(whale), 1)
        asked += microseconds(lambda _, number=number: table.estimate(rates[number]), 1)  # type: ignore[misc]
    read_us, json_loads = statistics.median(reading), "json.loads of a whale"
    high = sorted(asked)[int(many * 0.99)]
    yield Row(GROUP, "through the table, p50", statistics.median(asked), "us", json_loads, read_us, many)
    yield Row(GROUP, "through the table, p99", high, "us", count=many, bar=Bar(TABLE_BAR_US, On.VALUE))
    alone = microseconds(lambda n: estimate_confirmation(market, paths, rates[n], 561, age_s=60), some)
    yield Row(GROUP, "one for itself, p50", statistics.median(alone), "us", json_loads, read_us, some)
    filling = microseconds(lambda _: ConfirmationTable(busy_market(), paths, corrections).filled(), few)
    yield Row(
        *(GROUP, "a table of all rates, beside the loop", statistics.median(filling) / 1e3, "ms"),
        count=few,
        bar=Bar(FILL_BAR_MS, On.VALUE),
    )


if __name__ == "__main__":
    print(render(rows(FULL)))
