"""`make bench`: one table of ratios against baselines that were measured in the same run.

python -m evaluation.benchmarks [--full] [--json FILE] [--only GROUP ...]

A look takes some minutes and uses less of everything; --full takes some twenty and prints the figures that
docs/performance.md keeps. Bars are shown, and a missed one fails nothing: a busy or slow machine
is no bug.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from inspect import isawaitable
from pathlib import Path
from typing import Any

from evaluation import (
    broadcast_bench,
    estimate_bench,
    ingest_bench,
    labels_bench,
    latency_bench,
    memory_bench,
    rest_load,
    start_bench,
    store_bench,
)
from evaluation.bench_machine import Machine
from evaluation.bench_table import Effort, Row, heading, not_measured, render, verdict

GROUPS: dict[str, Callable[[Effort], Any]] = {
    "ingest": ingest_bench.rows,
    "estimate": estimate_bench.rows,
    "labels": labels_bench.rows,
    "store": store_bench.rows,
    "broadcast": broadcast_bench.rows,
    "latency": latency_bench.rows,
    "rest": rest_load.rows,
    "memory": memory_bench.rows,
    "start": start_bench.rows,
}
"""What yields the lines of each part: an iterable, or one that is awaited."""


def collect(name: str, effort: Effort) -> list[Row]:
    """Return the lines of a part; one that says why, if it could not be measured."""
    try:
        found = GROUPS[name](effort)
        if isinstance(found, (list, Iterator)):
            return list(found)
        return asyncio.run(_gather(found))
    except Exception as error:  # noqa: BLE001 -- hours of other figures are not thrown away for one part
        return [not_measured(name, "all of it", f"{type(error).__name__}: {error}")]


async def _gather(found: Any) -> list[Row]:  # noqa: ANN401 -- a coroutine or an asynchronous iterator of rows
    rows: Iterable[Row] | AsyncIterator[Row] = await found if isawaitable(found) else found
    if isinstance(rows, AsyncIterator):
        return [row async for row in rows]
    return list(rows)


def main() -> int:
    """Print the table; write it down if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="for the figures that are kept")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the table for programs")
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="GROUP",
                        help=", ".join(GROUPS))  # fmt: skip
    options = parser.parse_args()
    effort, machine = Effort(is_full=options.full), Machine.here()
    print(heading(machine.lines()), flush=True)
    rows: list[Row] = []
    for name in options.only:
        began = time.monotonic()
        rows += (found := collect(name, effort))
        print(render(found), flush=True)
        print(f"({name}: {time.monotonic() - began:.0f} s)\n", flush=True)
        if options.json is not None:  # after each part, so that an interrupted run leaves what it has
            document = {
                "full": options.full,
                "machine": machine.as_json(),
                "rows": [row.as_json() for row in rows],
            }
            options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(verdict(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
