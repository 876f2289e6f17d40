"""Fits what can be fitted of the flow model, on worlds that are never reported on.

Prints what to write into `domain/flow_calibration.py` and `domain/flow_parameters.py`:

- the reliability of each basis: how often answers that rest on it were right as first published;
- the temperature: the one with the least log loss;
- theta: the smallest of which the one-sided 95 % lower bound of precision is 80 %;
- kappa, the discount of change votes: log loss and its standard error for several values;
- structural weights: a logistic regression of "an exchange sends" on what unlabelled transactions look like.

The worlds have ordinary habits (mean ones are a stress test, no prior) and label books from 40 % of the
published wallets, about what the bundled set has of the largest ones, to all, with 0, 2 and 5 % of errors.
"""

import argparse
import dataclasses
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from evaluation.flow_answers import assess
from evaluation.flow_direction import DEPOSIT_RATIO
from evaluation.flow_worlds import EXCHANGE_NAMES, FIT_SEEDS, FlowWorld, WorldSpec, label_book, load_world
from evaluation.scores import wilson
from hydrophone.domain.change import estimate_change
from hydrophone.domain.flow import FlowEvidence, FlowType
from hydrophone.domain.flow_calibration import Basis
from hydrophone.domain.flow_parameters import DEFAULT
from hydrophone.domain.parties import NOBODY, structural_signs
from hydrophone.domain.shapes import recognise
from hydrophone.simulator.world.label_claims import LabelQuality

COVERAGES: Final = (0.4, 0.7, 1.0)
ERRORS: Final = (0.0, 0.02, 0.05)
TEMPERATURES: Final = (1.0, 0.7, 0.5, 0.4, 0.35, 0.3, 0.25, 0.2)
KAPPAS: Final = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
THETAS: Final = tuple(n / 100 for n in range(50, 100))
_Z_ONE_SIDED_95: Final = 1.6449
_WANTED_PRECISION: Final = 0.80
_NEWTON_STEPS: Final = 25
_RIDGE: Final = 1e-3


class Answer(NamedTuple):
    """A direction that labels were clear about, before calibration had its say.

    Attributes:
        basis: what it rests on.
        share: of the value in that direction.
        is_right: whether it is true.
    """

    basis: Basis
    share: float
    is_right: bool


def clear_answers(world: FlowWorld) -> Iterator[Answer]:
    """Yield what labels say in a world, with each label book, as first published."""
    for number, coverage in enumerate(COVERAGES):
        for errors in ERRORS:
            quality = LabelQuality(coverage=coverage, deposits=coverage * DEPOSIT_RATIO, errors=errors)
            book = label_book(world.spec, quality, label_seed=100 * world.spec.seed + number)
            first, _ = assess(world, book)
            for txid, flow in first.items():
                if flow.evidence is not None:
                    yield from _clear(flow.evidence, world.truth[txid]["flow_type"])


def _clear(evidence: FlowEvidence, truth: str) -> Iterator[Answer]:
    likeliest = max(evidence.shares, key=evidence.shares.__getitem__)
    if likeliest is not FlowType.UNKNOWN and evidence.shares[likeliest] >= DEFAULT.theta:
        yield Answer(evidence.basis[likeliest], evidence.shares[likeliest], likeliest.value == truth)


def sharpened(share: float, temperature: float) -> float:
    """Return a share after sharpening, where all else is one other direction."""
    log_odds = math.log(share) - math.log(1 - share) if share < 1 else math.inf
    return 1 / (1 + math.exp(-log_odds / temperature))


def confidence_of(answer: Answer, reliability: Mapping[Basis, tuple[int, int]], temperature: float) -> float:
    """Return the probability that an answer is right."""
    right, n = reliability[answer.basis]
    return (right + 1) / (n + 2) * sharpened(answer.share, temperature)


def log_loss(
    answers: Iterable[Answer], reliability: Mapping[Basis, tuple[int, int]], temperature: float
) -> float:
    """Return the mean of the negative logarithm of the probability of what was true."""
    total, count = 0.0, 0
    for answer in answers:
        confidence = confidence_of(answer, reliability, temperature)
        total -= math.log(confidence if answer.is_right else 1 - confidence)
        count += 1
    return total / count


def lower_bound(right: int, n: int) -> float:
    """Return the one-sided 95 % lower bound of a share. Sources: Wilson (1927)."""
    if not n:
        return 0.0
    z2 = _Z_ONE_SIDED_95**2
    p = right / n
    root = math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return (p + z2 / (2 * n) - _Z_ONE_SIDED_95 * root) / (1 + z2 / n)


def fit_answers(worlds: Iterable[FlowWorld]) -> None:
    """Print reliability, temperature and theta."""
    answers = [answer for world in worlds for answer in clear_answers(world)]
    counts: dict[Basis, tuple[int, int]] = {}
    for basis in Basis:
        of_basis = [answer.is_right for answer in answers if answer.basis is basis]
        counts[basis] = (sum(of_basis), len(of_basis))
    print(f"reliability, {len(answers)} answers:")
    for basis, (right, n) in counts.items():
        low, high = wilson(right, n)
        print(f"    Basis.{basis.name}: Reliability({right}, {n}),  # [{low:.3f}-{high:.3f}]")
    losses = {temperature: log_loss(answers, counts, temperature) for temperature in TEMPERATURES}
    best = min(losses, key=losses.__getitem__)
    print("temperature: log loss", {t: round(loss, 4) for t, loss in losses.items()}, f"-> {best}")
    for theta in THETAS:
        said = [
            answer.is_right
            for answer in answers
            if (counts[answer.basis][0] + 1) / (counts[answer.basis][1] + 2) * sharpened(answer.share, best)
            >= theta
        ]
        bound = lower_bound(sum(said), len(said))
        if bound >= _WANTED_PRECISION:
            print(f"least confidence: {theta:.2f}, {sum(said)} of {len(said)} right, lower bound {bound:.3f}")
            return
    print("least confidence: none reaches the precision wanted")


def fit_change(worlds: Iterable[FlowWorld]) -> None:
    """Print the log loss of change by kappa, on all transactions of two outputs and more, without labels."""
    losses: dict[float, list[float]] = defaultdict(list)
    for world in worlds:
        for txid, tx in (*world.whales.items(), *world.ordinary.items()):
            prevouts = [i.prevout for i in tx.inputs if i.prevout is not None]
            looks = recognise(prevouts, tx.outputs, is_exchange=False)
            if len(looks.candidates) < 2:
                continue
            change = set(world.truth[txid]["change"])
            for kappa in KAPPAS:
                found = estimate_change(
                    prevouts,
                    tx.outputs,
                    looks,
                    sender=None,
                    receivers=[NOBODY] * len(tx.outputs),
                    parameters=dataclasses.replace(DEFAULT, vote_discount=kappa),
                ).probabilities
                losses[kappa].append(
                    -math.fsum(
                        math.log(max(1e-6, found[index] if index in change else 1 - found[index]))
                        for index in looks.candidates
                    )
                )
    reference = losses[DEFAULT.vote_discount]
    print(f"kappa, {len(reference)} transactions: log loss, difference to {DEFAULT.vote_discount}, its 95 %")
    for kappa, of_kappa in losses.items():
        gaps = [a - b for a, b in zip(of_kappa, reference, strict=True)]
        mean = math.fsum(gaps) / len(gaps)
        spread = 1.96 * math.sqrt(math.fsum((g - mean) ** 2 for g in gaps)) / len(gaps)
        print(f"    {kappa:<5}{math.fsum(of_kappa) / len(of_kappa):.4f}  {mean:+.4f} +- {spread:.4f}")


def fit_structure(worlds: Iterable[FlowWorld]) -> None:
    """Print the weights of a logistic regression of "an exchange sends" on the signs in a transaction."""
    names = ("batch", "many_outputs", "consolidation", "round_total", "coinjoin")
    table: Counter[tuple[tuple[float, ...], bool]] = Counter()
    for world in worlds:
        for txid, tx in world.whales.items():
            prevouts = [i.prevout for i in tx.inputs if i.prevout is not None]
            signs = {s.name for s in structural_signs(recognise(prevouts, tx.outputs, is_exchange=False))}
            features = (1.0, *[float(name in signs) for name in names])
            senders = world.truth[txid]["senders"]
            table[features, any(sender in EXCHANGE_NAMES for sender in senders)] += 1
    weights = _logistic(table)
    print(f"structure, {table.total()} whales:")
    for index, (name, weight) in enumerate(zip(("bias", *names), weights, strict=True)):
        n = sum(count for (features, _), count in table.items() if features[index])
        sent = sum(count for (features, is_sent), count in table.items() if features[index] and is_sent)
        print(f"    {name:<14}{weight:+.2f}  an exchange sends {sent} of {n}")


def _logistic(table: Mapping[tuple[tuple[float, ...], bool], int]) -> list[float]:
    """Return the weights of most likelihood, by Newton's method with a small ridge."""
    size = len(next(iter(table))[0])
    weights = [0.0] * size
    for _ in range(_NEWTON_STEPS):
        gradient = [-_RIDGE * weight for weight in weights]
        hessian = [[_RIDGE if row == column else 0.0 for column in range(size)] for row in range(size)]
        for (features, is_true), count in table.items():
            p = 1 / (1 + math.exp(-sum(w * x for w, x in zip(weights, features, strict=True))))
            for row in range(size):
                gradient[row] += count * (is_true - p) * features[row]
                for column in range(size):
                    hessian[row][column] += count * p * (1 - p) * features[row] * features[column]
        step = _solve(hessian, gradient)
        weights = [weight + change for weight, change in zip(weights, step, strict=True)]
    return weights


def _solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """Return the solution of a positive definite system, by Gauss."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for pivot, row in enumerate(rows):
        for other in rows:
            if other is not row:
                factor = other[pivot] / row[pivot]
                other[:] = [a - factor * b for a, b in zip(other, row, strict=True)]
    return [row[-1] / row[index] for index, row in enumerate(rows)]


def main() -> int:
    """Fit and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=len(FIT_SEEDS), help="how many of the fit seeds")
    seeds = FIT_SEEDS[: parser.parse_args().seeds]
    print(f"fit seeds {seeds[0]} to {seeds[-1]}, ordinary habits", flush=True)
    fit_answers(load_world(WorldSpec(seed)) for seed in seeds)
    fit_change(load_world(WorldSpec(seed)) for seed in seeds[:4])
    fit_structure(load_world(WorldSpec(seed)) for seed in seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
