"""What an answer costs: time of `classify_flow` with 100,000 labels, and the memory those take.

Beside it, in turns, what any reader of the stream has to pay: `json.loads` of the same transaction as Esplora
writes it. Of each whale the median of all turns counts, since what else the machine does is not the model's
cost; the quantiles are over whales.
"""

import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from random import Random
from statistics import median
from typing import Any, Final

from evaluation.flow_worlds import TEST_SEEDS, WorldSpec, label_book, load_world
from evaluation.scores import quantile
from hydrophone.domain.flow import classify_flow
from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.transaction import Transaction
from hydrophone.simulator.world.label_claims import LabelQuality

LABELS: Final = 100_000
BAR_P99_US: Final = 300.0
ROUNDS: Final = 5
_WITNESS: Final = ("00" * 71, "00" * 33)
"""Of the length of a signature and a key."""


def other_labels(count: int) -> list[Label]:
    """Return labels of scripts that nobody in the world uses."""
    rng = Random(1)
    entities = [Entity(f"Exchange {number}", EntityKind.EXCHANGE) for number in range(50)]
    roles = tuple(Role)
    return [
        Label(b"\x00\x14" + rng.randbytes(20), rng.choice(entities), rng.choice(roles), "bench", 0.9)
        for _ in range(count)
    ]


def measure_memory() -> float:
    """Return the bytes that a label takes in the book, labels included."""
    gc.collect()
    tracemalloc.start()
    book = LabelBook(other_labels(LABELS))
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / len(book)


def as_esplora(transaction: Transaction) -> str:
    """Return a transaction as a backend writes it, without addresses and assembly."""
    inputs: list[dict[str, Any]] = []
    for tx_input in transaction.inputs:
        assert tx_input.outpoint is not None
        assert tx_input.prevout is not None
        inputs.append({
            "txid": tx_input.outpoint.txid,
            "vout": tx_input.outpoint.vout,
            "prevout": {
                "scriptpubkey": tx_input.prevout.script.hex(),
                "value": tx_input.prevout.value_sat,
            },
            "witness": _WITNESS,
            "sequence": tx_input.sequence,
            "is_coinbase": False,
        })  # fmt: skip
    outputs = [{"scriptpubkey": o.script.hex(), "value": o.value_sat} for o in transaction.outputs]
    return json.dumps({
        "txid": transaction.txid,
        "vin": inputs,
        "vout": outputs,
        "weight": transaction.weight_wu,
        "fee": transaction.fee_sat,
    })  # fmt: skip


def timed(run: Callable[[int], object], count: int) -> list[float]:
    """Return the microseconds of each of `count` runs."""
    took = []
    for index in range(count):
        began = time.perf_counter_ns()
        run(index)
        took.append((time.perf_counter_ns() - began) / 1_000)
    return took


def show(name: str, took_us: Sequence[float]) -> float:
    """Print quantiles; return that of 99 %."""
    p50, p90, p99 = (quantile(took_us, share) for share in (0.5, 0.9, 0.99))
    print(f"  {name:<40} p50 {p50:>7.1f}  p90 {p90:>7.1f}  p99 {p99:>7.1f}  max {max(took_us):>8.1f} us")
    return p99


def main() -> int:
    """Print the figures; fail if the bar is missed."""
    world = load_world(WorldSpec(TEST_SEEDS[0]))
    known = label_book(world.spec, LabelQuality(coverage=1.0, deposits=1.0))
    book = LabelBook([*known, *other_labels(LABELS - len(known))])
    whales = list(world.whales.values())
    texts = [as_esplora(whale) for whale in whales]
    gc.collect()
    gc.freeze()  # as the service does once it is ready
    flow_us: list[list[float]] = []
    json_us: list[list[float]] = []
    for _ in range(ROUNDS):
        flow_us.append(timed(lambda index: classify_flow(whales[index], book), len(whales)))
        json_us.append(timed(lambda index: json.loads(texts[index]), len(whales)))
    flow_by_whale = [median(turns) for turns in zip(*flow_us, strict=True)]
    json_by_whale = [median(turns) for turns in zip(*json_us, strict=True)]
    print(f"{len(whales)} whales, {ROUNDS} times in turns, {len(book)} labels:")
    p99_us = show("classify_flow", flow_by_whale)
    sizes = [len(whale.inputs) + len(whale.outputs) for whale in whales]
    show(
        "  of at most 50 inputs and outputs",
        [us for us, n in zip(flow_by_whale, sizes, strict=True) if n <= 50],
    )
    show("  of more", [us for us, n in zip(flow_by_whale, sizes, strict=True) if n > 50])
    show("json.loads of the same (baseline)", json_by_whale)
    print(f"  ratio of medians {median(flow_by_whale) / median(json_by_whale):.2f}", end="; ")
    print(f"bar: p99 < {BAR_P99_US:g} us, {'met' if p99_us < BAR_P99_US else 'MISSED'}")
    print(f"  memory: {measure_memory() * LABELS / 1e6:.1f} MB for {LABELS} labels")
    return 0 if p99_us < BAR_P99_US else 1


if __name__ == "__main__":
    sys.exit(main())
