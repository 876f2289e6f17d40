"""What calibration is fitted on: each whale of the fit worlds with what the model saw and what was true.

Writes a table, and prints how often each answer is right by context: where a direction is answered, what was
labelled on either side decides how much that answer is worth. The table has the classified whales of all fit
seeds, both kinds of world and a mixture of label books; those with no label on either side are only counted.
"""

import argparse
import csv
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from evaluation.flow_answers import FLOW_TYPES, UNKNOWN, assess
from evaluation.flow_direction import DEPOSIT_RATIO
from evaluation.flow_worlds import FIT_SEEDS, FlowWorld, WorldSpec, label_book, load_world
from evaluation.scores import calibration_error, wilson
from hydrophone.domain.flow import FlowAssessment
from hydrophone.domain.labels import EntityKind, LabelBook, Role
from hydrophone.domain.script import classify_script
from hydrophone.domain.transaction import Output, Transaction
from hydrophone.simulator.world.label_claims import LabelQuality

BOOKS: Final = ((0.9, 0.01), (0.6, 0.02), (0.4, 0.02), (0.2, 0.03))
"""Coverage and errors of the labels in turn. chosen: from a good file to a poor one."""
_NONE: Final = "none"
_ROLES: Final = (Role.HOT, Role.COLD, Role.DEPOSIT, Role.UNKNOWN)
_LEAST: Final = 30
"""Smaller groups are not printed."""


class Sample(NamedTuple):
    """A whale as the model saw it, and the truth. Text and figures only: a row of the table.

    Attributes:
        seed: of its world.
        hour: of that world.
        is_mean: whether its habits break the rules of thumb.
        coverage: of the labels.
        errors: of the labels.
        kind: what it really was for.
        truth: its real direction.
        answer: the direction as last published.
        confidence: of that answer.
        inflow: share of the value in this direction.
        outflow: as above.
        internal: as above; between exchanges is in it.
        interexchange: share that is between exchanges.
        unknown: as above.
        subtype: as published; none where there is none.
        sender_role: of the surest claim on an input: hot, cold, deposit, unknown; none without any.
        sender_share: share of the input scripts that have a claim.
        payee_role: of the surest claim on the output that gets most, net of change; none without any.
        change_role: of the surest claim on the likeliest change; none without change or claim.
        is_same: whether a claim on an input and one on that output name one exchange.
        change: probability of the likeliest change.
        returned: whether an output pays a script of an input.
        input_count: of inputs.
        input_script_count: different scripts among them.
        output_count: of outputs.
        output_type_count: script types among them.
        paid_share: share of the outputs' sum that is not change, as estimated.
    """

    seed: int
    hour: int
    is_mean: bool
    coverage: float
    errors: float
    kind: str
    truth: str
    answer: str
    confidence: float
    inflow: float
    outflow: float
    internal: float
    interexchange: float
    unknown: float
    subtype: str
    sender_role: str
    sender_share: float
    payee_role: str
    change_role: str
    is_same: bool
    change: float
    returned: bool
    input_count: int
    input_script_count: int
    output_count: int
    output_type_count: int
    paid_share: float


def samples(seeds: Iterable[int], books: Sequence[tuple[float, float]] = BOOKS) -> Iterator[Sample]:
    """Yield the whales of some worlds, each world with each label book."""
    for seed in seeds:
        for is_mean in (False, True):
            world = load_world(WorldSpec(seed, is_mean=is_mean))
            for number, (coverage, errors) in enumerate(books, 1):
                quality = LabelQuality(coverage=coverage, deposits=coverage * DEPOSIT_RATIO, errors=errors)
                book = label_book(world.spec, quality, label_seed=100 * seed + number)
                yield from samples_of(world, book, quality)


def samples_of(world: FlowWorld, book: LabelBook, quality: LabelQuality) -> Iterator[Sample]:
    """Yield the whales of a world, as last published."""
    _, final = assess(world, book)
    for txid, flow in final.items():
        truth, whale = world.truth[txid], world.whales[txid]
        yield Sample(
            seed=world.spec.seed,
            hour=world.hour_of(txid)[1],
            is_mean=world.spec.is_mean,
            coverage=quality.coverage,
            errors=quality.errors,
            kind=truth["kind"],
            truth=truth["flow_type"],
            **_answered(flow),
            **_context(whale, flow, book),
        )


def _answered(flow: FlowAssessment) -> dict[str, Any]:
    shares = {flow_type.value: share for flow_type, share in flow.probabilities.items()}
    total_sat = flow.values.total_sat
    return {
        "answer": flow.flow_type.value,
        "confidence": flow.confidence,
        **{name: shares[name] for name in FLOW_TYPES},
        "interexchange": flow.values.interexchange_sat / total_sat if total_sat else 0.0,
        "subtype": _NONE if flow.subtype is None else flow.subtype.value,
    }


def _context(whale: Transaction, flow: FlowAssessment, book: LabelBook) -> dict[str, Any]:
    spent = list(dict.fromkeys(i.prevout.script for i in whale.inputs if i.prevout is not None))
    net_sat = [o.value_sat * (1 - c) for o, c in zip(whale.outputs, flow.change, strict=True)]
    payee = whale.outputs[max(range(len(net_sat)), key=net_sat.__getitem__)]
    likeliest = max(range(len(flow.change)), key=flow.change.__getitem__)
    change = flow.change[likeliest]
    of_sender = {name for script in spent for name, _, _ in claims_on(book, script)}
    of_payee = {name for name, _, _ in claims_on(book, payee.script)}
    return {
        "sender_role": _role(book, spent),
        "sender_share": sum(bool(claims_on(book, script)) for script in spent) / max(1, len(spent)),
        "payee_role": _role(book, [payee.script]),
        "change_role": _role(book, [whale.outputs[likeliest].script]) if change > 0.5 else _NONE,
        "is_same": bool(of_sender & of_payee),
        "change": change,
        "returned": _is_returned(spent, whale.outputs),
        "input_count": len(whale.inputs),
        "input_script_count": len(spent),
        "output_count": len(whale.outputs),
        "output_type_count": len({classify_script(output.script) for output in whale.outputs}),
        "paid_share": sum(net_sat) / max(1, whale.gross_sat),
    }


def claims_on(book: LabelBook, script: bytes) -> list[tuple[str, Role, float]]:
    """Return who is said to own a script, of exchanges: key, role and confidence."""
    return [
        (claim.entity.key, claim.role, claim.confidence)
        for claim in book.lookup(script)
        if claim.entity.kind is EntityKind.EXCHANGE
    ]


def _role(book: LabelBook, scripts: Iterable[bytes]) -> str:
    found = [claim for script in scripts for claim in claims_on(book, script)]
    if not found:
        return _NONE
    return max(found, key=lambda claim: (claim[2], -_ROLES.index(claim[1])))[1].value


def _is_returned(spent: Iterable[bytes], outputs: Iterable[Output]) -> bool:
    own = set(spent)
    return any(output.script in own for output in outputs)


# --- tables -----------------------------------------------------------------------------------------


def count_of(count: int) -> str:
    """Return a class of numbers of inputs or outputs."""
    for most in (1, 2, 4, 9, 24):
        if count <= most:
            return f"<={most}"
    return ">=25"


GROUPINGS: Final[dict[str, Callable[[Sample], tuple[object, ...]]]] = {
    "answer, habits": lambda s: (s.answer, "mean" if s.is_mean else "ordinary"),
    "answer, coverage": lambda s: (s.answer, s.coverage),
    "answer, role of the sender, role of the payee, same": lambda s: (
        s.answer, s.sender_role, s.payee_role, s.is_same,
    ),
    "answer, roles, outputs": lambda s: (s.answer, s.sender_role, s.payee_role, count_of(s.output_count)),
    "answer, roles, coverage": lambda s: (s.answer, s.sender_role, s.payee_role, s.coverage),
    "answer, roles, input scripts": lambda s: (
        s.answer, s.sender_role, s.payee_role, count_of(s.input_script_count),
    ),
    "answer, roles, coins return": lambda s: (
        s.answer, s.sender_role, s.payee_role, s.returned, s.change_role,
    ),
    "answer, subtype": lambda s: (s.answer, s.subtype),
}  # fmt: skip


def print_grouped(
    name: str, rows: Sequence[Sample], group_of: Callable[[Sample], tuple[object, ...]]
) -> None:
    """Print by group of answers: how many, what was said, what was right, what was true."""
    groups: dict[tuple[object, ...], list[Sample]] = defaultdict(list)
    for row in rows:
        groups[group_of(row)].append(row)
    print(f"\nby {name}: n, mean confidence, right [95 %], ECE, truth")
    for key, found in sorted(groups.items(), key=lambda item: -len(item[1])):
        if len(found) < _LEAST:
            continue
        right = sum(row.answer == row.truth for row in found)
        low, high = wilson(right, len(found))
        said = sum(row.confidence for row in found) / len(found)
        error = calibration_error((row.confidence, row.answer == row.truth) for row in found)
        truths = Counter(row.truth for row in found)
        print(
            f"  {', '.join(map(str, key)):<44}{len(found):>7}{said:>7.3f}"
            f"{right / len(found):>8.1%} [{low:.1%}-{high:.1%}]{error:>7.3f}  {dict(truths.most_common())}"
        )


def main() -> int:
    """Write the table and print the groups."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=4, help="how many of the fit seeds")
    parser.add_argument("--table", type=Path, default=Path(tempfile.gettempdir()) / "flow_fit.csv")
    arguments = parser.parse_args()
    rows = list(samples(FIT_SEEDS[: arguments.seeds]))
    labelled = [row for row in rows if (row.sender_role, row.payee_role) != (_NONE, _NONE) or row.unknown < 1]
    with arguments.table.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(Sample._fields)
        table.writerows(labelled)
    bare = Counter(row.truth for row in rows) - Counter(row.truth for row in labelled)
    print(f"{len(labelled)} whales with a label on either side: {arguments.table}")
    print(f"{bare.total()} without: {dict(bare.most_common())}")
    answered = [row for row in labelled if row.answer != UNKNOWN]
    for name, group_of in GROUPINGS.items():
        print_grouped(name, answered, group_of)
    return 0


if __name__ == "__main__":
    sys.exit(main())
