"""How far truths that a real service could have agree with the real truth, on simulated worlds.

Labels decide the answer; if they decided the truth, too, accuracy would say nothing. Three ways out:

- **T1**, hidden labels: 30 % of the scripts of each exchange are hidden, and the answers are compared with
  those that all labels would give.
- **T2**, delayed truth: within 72 hours an output was spent together with a labelled input, or swept (three
  inputs or more) to outputs that are all labelled for one entity. Then it belongs to that entity. What is
  spent from the output that gets most of the moved value says who received; from the likeliest change, who
  sent, where no input is labelled. A sender of whom nothing is known is taken for no exchange.
- **T3**: the share that T2 says nothing about.
"""

import hashlib
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from evaluation.flow_answers import FLOW_TYPES, UNKNOWN, Row, answer, assess
from evaluation.flow_direction import DEPOSIT_RATIO, HEADLINE, LABEL_SEEDS
from evaluation.flow_worlds import (
    LONG_SEEDS,
    TEST_SEEDS,
    FlowWorld,
    Spender,
    WorldSpec,
    label_book,
    load_world,
)
from evaluation.scores import wilson
from hydrophone.domain.flow import FlowAssessment
from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook
from hydrophone.domain.transaction import OutPoint, Transaction
from hydrophone.domain.units import MICROS_PER_S, Txid
from hydrophone.simulator.world.label_claims import LabelQuality

HIDDEN_SHARE: Final = 0.30
WINDOW_S: Final = 72 * 3_600
LONG_HOURS: Final = 96.0
LONG_RATE: Final = 0.1
LONG_WHALES_PER_HOUR: Final = 20.0
"""chosen: four days in about a minute."""
SWEEP_INPUTS: Final = 3
T1_COVERAGES: Final = (1.0, HEADLINE[0])


class Verified(NamedTuple):
    """A whale and what became of its coins.

    Attributes:
        truth: its real direction.
        answer: as published last.
        delayed: the direction by delayed truth; None: nothing was seen.
    """

    truth: str
    answer: str
    delayed: str | None


class Comparison(NamedTuple):
    """A whale answered twice.

    Attributes:
        hidden: its row where some labels are hidden.
        full: its row with all.
        is_touched: whether a hidden script is among its own.
    """

    hidden: Row
    full: Row
    is_touched: bool


def quality_of(coverage: float) -> LabelQuality:
    """Return labels with the headline's errors."""
    return LabelQuality(coverage=coverage, deposits=coverage * DEPOSIT_RATIO, errors=HEADLINE[1])


# --- T1 ---------------------------------------------------------------------------------------------


def hide(book: LabelBook) -> LabelBook:
    """Return the labels without 30 % of the scripts of each exchange, the same ones each time."""
    by_entity: dict[str, list[Label]] = defaultdict(list)
    for label in book:
        by_entity[label.entity.key if label.entity.kind is EntityKind.EXCHANGE else ""].append(label)
    kept = by_entity.pop("", [])
    for labels in by_entity.values():
        ordered = sorted(labels, key=lambda label: hashlib.sha256(label.script).digest())
        kept += ordered[round(HIDDEN_SHARE * len(ordered)) :]
    return LabelBook(kept)


def print_hidden_labels() -> None:
    """Print T1 for both kinds of world."""
    shares = f"{HIDDEN_SHARE:.0%} of each exchange's scripts hidden, {HEADLINE[1]:.0%} of rows wrong"
    print(f"T1: {shares};")
    print("  whales that both label books answer; touched: a hidden script is on either side")
    print(
        f"  {'habits':<10}{'labels':>7}{'':>9}{'n':>7}{'agree':>8}{'95 % interval':>16}{'really right':>14}"
    )
    for is_mean in (False, True):
        for coverage in T1_COVERAGES:
            compared = [
                comparison
                for seed in TEST_SEEDS
                for comparison in compare_hidden(WorldSpec(seed, is_mean=is_mean), coverage)
            ]
            name = f"{'mean' if is_mean else 'ordinary':<10}{coverage:>7.0%}"
            _print_agreement(f"{name}{'all':>9}", compared)
            _print_agreement(f"{name}{'touched':>9}", [c for c in compared if c.is_touched])


def compare_hidden(spec: WorldSpec, coverage: float) -> list[Comparison]:
    """Return the whales of a world that are answered with all labels and also when some are hidden."""
    world = load_world(spec)
    found = []
    for label_seed in LABEL_SEEDS:
        book = label_book(spec, quality_of(coverage), label_seed=label_seed)
        kept = hide(book)
        full = {row.txid: row for row in answer(world, book).final}
        for row in answer(world, kept).final:
            if row.is_answered and full[row.txid].is_answered:
                is_touched = any(
                    book.lookup(s) and not kept.lookup(s) for s in _scripts(world.whales[row.txid])
                )
                found.append(Comparison(row, full[row.txid], is_touched))
    return found


def _print_agreement(name: str, compared: Sequence[Comparison]) -> None:
    agreed = sum(c.hidden.answer == c.full.answer for c in compared)
    right = sum(c.hidden.is_right for c in compared)
    low, high = wilson(agreed, len(compared))
    print(
        f"  {name}{len(compared):>7}{_share(agreed, len(compared)):>8.1%}{f'{low:.1%}-{high:.1%}':>16}"
        f"{_share(right, len(compared)):>14.1%}",
        flush=True,
    )


def _scripts(whale: Transaction) -> set[bytes]:
    spent = {i.prevout.script for i in whale.inputs if i.prevout is not None}
    return spent | {output.script for output in whale.outputs}


# --- T2 and T3 --------------------------------------------------------------------------------------


def verify(world: FlowWorld, book: LabelBook) -> list[Verified]:
    """Return the whales that could be followed for the whole window, with what became of their coins."""
    _, final = assess(world, book)
    ends_at = max(event.at for event in world.events)
    return [
        Verified(
            world.truth[txid]["flow_type"], flow.flow_type.value, delayed_direction(world, txid, flow, book)
        )
        for txid, flow in final.items()
        if ends_at - world.seen_at[txid] >= WINDOW_S * MICROS_PER_S
    ]


def delayed_direction(world: FlowWorld, txid: Txid, flow: FlowAssessment, book: LabelBook) -> str | None:
    """Return the direction of a whale by what its outputs were spent with; None when nobody can say.

    Args:
        world: where it happened.
        txid: of the whale.
        flow: as published: it says which outputs are change.
        book: what the service knows.
    """
    whale = world.whales[txid]
    net_sat = [o.value_sat * (1 - c) for o, c in zip(whale.outputs, flow.change, strict=True)]
    paid = max(range(len(net_sat)), key=net_sat.__getitem__)
    receiver = _owner_later(world, txid, paid, book)
    if receiver is None:
        return None
    sender = _only_entity(book, [i.prevout.script for i in whale.inputs if i.prevout is not None])
    if sender is None:
        change = max(range(len(flow.change)), key=flow.change.__getitem__)
        if change != paid and flow.change[change] > 0.5:
            sender = _owner_later(world, txid, change, book)
    is_from_exchange = sender is not None and sender.kind is EntityKind.EXCHANGE
    if receiver.kind is EntityKind.EXCHANGE:
        return "internal" if is_from_exchange else "inflow"
    return "outflow" if is_from_exchange else UNKNOWN


def print_delayed_truth() -> None:
    """Print T2 and T3 for both kinds of world."""
    print(f"\nT2: what became of the outputs within {WINDOW_S // 3_600} h; labels as in the headline")
    for is_mean in (False, True):
        rows: list[Verified] = []
        for seed in LONG_SEEDS:
            spec = WorldSpec(
                seed,
                is_mean=is_mean,
                hours=LONG_HOURS,
                rate_per_s=LONG_RATE,
                whales_per_hour=LONG_WHALES_PER_HOUR,
            )
            world = load_world(spec)
            for label_seed in LABEL_SEEDS:
                rows += verify(world, label_book(spec, quality_of(HEADLINE[0]), label_seed=label_seed))
        _print_verified("mean" if is_mean else "ordinary", rows)


def _print_verified(habits: str, rows: Sequence[Verified]) -> None:
    answered = [row for row in rows if row.answer != UNKNOWN]
    for name, of in (("all", rows), ("answered", answered)):
        seen = [row for row in of if row.delayed is not None]
        agreed = sum(row.delayed == row.truth for row in seen)
        interval = wilson(agreed, len(seen))
        print(
            f"  {habits} habits, {name}: {len(of)} whales, verified {_share(len(seen), len(of)):.1%}, "
            f"T3 unverifiable {_share(len(of) - len(seen), len(of)):.1%}; delayed truth is true of "
            f"{_share(agreed, len(seen)):.1%} [{interval.low:.1%}-{interval.high:.1%}]"
        )
    seen = [row for row in answered if row.delayed is not None]
    print(
        f"    right by T2 {_share(sum(row.answer == row.delayed for row in seen), len(seen)):.1%}, "
        f"really {_share(sum(row.answer == row.truth for row in seen), len(seen)):.1%} (of the {len(seen)} "
        f"verified answers), {_share(sum(row.answer == row.truth for row in answered), len(answered)):.1%} "
        f"(of all {len(answered)} answers)"
    )
    counted = Counter((row.answer, row.delayed is not None) for row in answered)
    shares = {
        name: f"{_share(counted[name, True], counted[name, True] + counted[name, False]):.1%}"
        for name in FLOW_TYPES
        if name != UNKNOWN
    }
    print(f"    verified by answer: {shares}", flush=True)


def _owner_later(world: FlowWorld, txid: Txid, vout: int, book: LabelBook) -> Entity | None:
    """Return who turned out to own an output."""
    for spender in world.spenders.get(OutPoint(txid, vout), ()):
        is_in_time = spender.at - world.seen_at[txid] <= WINDOW_S * MICROS_PER_S
        if is_in_time and world.ends[spender.txid] == "confirmed":
            return _spent_by(spender, world.whales[txid], book)
    return None


def _spent_by(spender: Spender, whale: Transaction, book: LabelBook) -> Entity | None:
    own = {output.script for output in whale.outputs}
    beside = _only_entity(book, [spent.script for spent in spender.inputs if spent.script not in own])
    if beside is not None:
        return beside
    claimed = [book.entity_of(output.script) for output in spender.outputs]
    first = claimed[0]
    is_swept = len(spender.inputs) >= SWEEP_INPUTS and all(c is not None and c == first for c in claimed)
    return first if is_swept else None


def _only_entity(book: LabelBook, scripts: Iterable[bytes]) -> Entity | None:
    """Return whom all labels of some scripts name; None without labels, or when they disagree."""
    found: Mapping[str, Entity] = {
        entity.key: entity for script in scripts if (entity := book.entity_of(script)) is not None
    }
    return next(iter(found.values())) if len(found) == 1 else None


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def main() -> int:
    """Print T1 to T3."""
    print_hidden_labels()
    print_delayed_truth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
