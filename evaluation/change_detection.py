"""How well change is told from payments: on simulated worlds, and on self-change in real blocks.

Self-change: exactly one output pays the script of an input. That gives it away, and so the check hides it:
the output gets another script of the same type, and only the votes can find it. Who reuses scripts may
differ in other habits, too, from those who do not.
"""

import hashlib
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from evaluation.flow_direction import DEPOSIT_RATIO, HEADLINE
from evaluation.flow_worlds import TEST_SEEDS, FlowWorld, WorldSpec, label_book, load_world
from evaluation.raw_blocks import read_block
from evaluation.scores import Interval, area_under_roc, bootstrap, wilson
from evaluation.shared_data import find
from hydrophone.domain.change import ChangeEstimate, estimate_change
from hydrophone.domain.flow import classify_flow
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.parties import NOBODY
from hydrophone.domain.script import ScriptType, classify_script
from hydrophone.domain.shapes import recognise
from hydrophone.domain.transaction import Output, Transaction
from hydrophone.simulator.world.label_claims import LabelQuality

SEEDS: Final = TEST_SEEDS[:2]
"""chosen: twenty thousand transactions."""
LIKELY: Final = 0.5
ROUNDS: Final = 100
_PAYLOADS: Final = {
    ScriptType.P2PKH: 3, ScriptType.P2SH: 2, ScriptType.V0_P2WPKH: 2, ScriptType.V0_P2WSH: 2,
    ScriptType.V1_P2TR: 2, ScriptType.P2PK: 2,
}  # fmt: skip
"""Where the part begins in which two scripts of a type differ."""


class Judged(NamedTuple):
    """One output.

    Attributes:
        probability: to be change, as estimated.
        is_change: whether it is.
    """

    probability: float
    is_change: bool


class Case(NamedTuple):
    """A transaction whose change is known.

    Attributes:
        transaction: it.
        change: indices of its change.
        cluster: its neighbours.
    """

    transaction: Transaction
    change: frozenset[int]
    cluster: tuple[int, ...]


def by_votes(transaction: Transaction) -> ChangeEstimate:
    """Return what can be said without any label."""
    prevouts = [i.prevout for i in transaction.inputs if i.prevout is not None]
    outputs = transaction.outputs
    looks = recognise(prevouts, outputs, is_exchange=False)
    return estimate_change(prevouts, outputs, looks, sender=None, receivers=[NOBODY] * len(outputs))


def simulated_cases(world: FlowWorld) -> tuple[list[Case], list[Case]]:
    """Return whales, and other transactions, that have more than one output."""
    found = []
    for transactions in (world.whales, world.ordinary):
        cases = [
            Case(
                transaction,
                frozenset(world.truth[txid]["change"]),
                (world.spec.seed, int(world.truth[txid]["first_seen"] // 3_600)),
            )
            for txid, transaction in transactions.items()
            if len(transaction.outputs) > 1
        ]
        found.append(cases)
    return found[0], found[1]


def hidden_self_change(path: Path) -> list[Case]:
    """Return the transactions of a block with self-change, after hiding it."""
    cases = []
    for number, transaction in enumerate(read_block(path)):
        spent = {i.prevout.script for i in transaction.inputs if i.prevout is not None}
        back = [index for index, output in enumerate(transaction.outputs) if output.script in spent]
        payable = [output for output in transaction.outputs if output.value_sat > 0]
        if len(back) != 1 or len(payable) < 2:
            continue
        hidden = other_script(transaction.outputs[back[0]].script)
        if hidden is not None:
            cases.append(Case(_with_script(transaction, back[0], hidden), frozenset(back), (number,)))
    return cases


def other_script(script: bytes) -> bytes | None:
    """Return another script of the same type; None for types of which that is not easily made."""
    start = _PAYLOADS.get(classify_script(script))
    if start is None:
        return None
    length = 20 if len(script) < 30 else 32
    fresh = hashlib.sha256(script).digest()[:length]
    return script[:start] + fresh + script[start + length :]


def _with_script(transaction: Transaction, index: int, script: bytes) -> Transaction:
    outputs = list(transaction.outputs)
    outputs[index] = Output(script, outputs[index].value_sat)
    return Transaction(transaction.txid, transaction.inputs, tuple(outputs), transaction.weight_wu)


Estimate = Callable[[Case], Sequence[float]]


# --- tables -----------------------------------------------------------------------------------------


def print_scores(name: str, cases: Sequence[Case], estimate: Estimate) -> None:
    """Print a line: how well an estimate finds the change of some transactions."""
    clusters: dict[tuple[int, ...], list[Judged]] = defaultdict(list)
    named = named_right = 0
    for case in cases:
        probabilities = estimate(case)
        likeliest = max(range(len(probabilities)), key=probabilities.__getitem__)
        named += probabilities[likeliest] >= LIKELY
        named_right += probabilities[likeliest] >= LIKELY and likeliest in case.change
        clusters[case.cluster] += [
            Judged(probability, index in case.change) for index, probability in enumerate(probabilities)
        ]
    judged = [output for outputs in clusters.values() for output in outputs]
    area = bootstrap(list(clusters.values()), area_under_roc, rounds=ROUNDS)
    said = [output.is_change for output in judged if output.probability >= LIKELY]
    changes = [output.probability >= LIKELY for output in judged if output.is_change]
    print(
        f"  {name:<42}{len(cases):>7}{len(judged):>8}{area_under_roc(judged):>8.3f}{_text(area, '.3f'):>16}"
        f"{_with_interval(said):>26}{_with_interval(changes):>26}"
        f"{_share(named, len(cases)):>8.1%}{_share(named_right, named):>8.1%}",
        flush=True,
    )


def print_votes(name: str, cases: Iterable[Case]) -> None:
    """Print how often each vote fires and is right."""
    fired: dict[str, list[bool]] = defaultdict(list)
    count = 0
    for case in cases:
        count += 1
        for vote in by_votes(case.transaction).votes:
            fired[vote.vote.value].append(vote.output_index in case.change)
    for vote_name, rights in sorted(fired.items()):
        share = _share(len(rights), count)
        print(f"  {name:<42}{vote_name:<16}{len(rights):>7}{share:>8.1%}{_with_interval(rights):>26}")


def _with_interval(hits: Sequence[bool]) -> str:
    low, high = wilson(sum(hits), len(hits))
    return f"{_share(sum(hits), len(hits)):.1%} [{low:.1%}-{high:.1%}]"


def _text(interval: Interval, form: str) -> str:
    return f"[{interval.low:{form}}-{interval.high:{form}}]"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _simulated_groups(*, is_mean: bool) -> dict[str, list[Case]]:
    """Print the scores of one kind of world; return its transactions."""
    habits = "mean" if is_mean else "ordinary"
    coverage, errors = HEADLINE
    quality = LabelQuality(coverage=coverage, deposits=coverage * DEPOSIT_RATIO, errors=errors)
    groups: dict[str, list[Case]] = {f"{habits}, whales": [], f"{habits}, others": []}
    books: dict[int, LabelBook] = {}
    for seed in SEEDS:
        world = load_world(WorldSpec(seed, is_mean=is_mean))
        books[seed] = label_book(world.spec, quality)
        for kept, found in zip(groups.values(), simulated_cases(world), strict=True):
            kept.extend(found)
    for name, cases in groups.items():
        two = [case for case in cases if len(case.transaction.outputs) == 2]
        print_scores(f"{name}, no labels", cases, _votes_of)
        print_scores(f"{name}, no labels, two outputs", two, _votes_of)
        print_scores(f"{name}, {coverage:.0%} labels", cases, lambda case: _with_labels(case, books))
        print_scores(
            f"{name}, {coverage:.0%} labels, two outputs", two, lambda case: _with_labels(case, books)
        )
    return groups


def _votes_of(case: Case) -> Sequence[float]:
    return by_votes(case.transaction).probabilities


def _with_labels(case: Case, books: Mapping[int, LabelBook]) -> Sequence[float]:
    return classify_flow(case.transaction, books[case.cluster[0]]).change


def main() -> int:
    """Print all tables."""
    print("Change by output: area under ROC, precision and recall of p >= .5; by transaction: named, right")
    print(
        f"  {'':<42}{'n':>7}{'outputs':>8}{'area':>8}{'95 %':>16}{'precision':>26}{'recall':>26}"
        f"{'named':>8}{'right':>8}"
    )
    groups = {**_simulated_groups(is_mean=False), **_simulated_groups(is_mean=True)}
    blocks = find("data/blocks")
    for path in [] if blocks is None else sorted(blocks.glob("block*[0-9].raw")):
        cases = hidden_self_change(path)
        name = f"{path.stem}, hidden self-change"
        if cases:
            groups[name] = cases
            print_scores(name, cases, _votes_of)
    print("By vote: fired, share of transactions, right")
    for name, cases in groups.items():
        print_votes(name, cases)
    return 0


if __name__ == "__main__":
    sys.exit(main())
