"""How often the direction of a whale is right, by how good the labels are: on worlds never fitted on.

Two kinds of world: ordinary habits, and mean ones that break the rules of thumb. Labels have 100, 70, 40 or
10 % of the published wallets, and of the deposit addresses a third as many (the ratio of `LabelQuality`) or
as many; 0, 2 or 5 % of their rows name somebody else. The headline is 40 % and 2 %.

Coverage (a) is of all whales that have a true direction, (b) of those whose direction the labels allow to
tell: `flow_answers` says which those are.
"""

import argparse
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Final, NamedTuple

from evaluation.flow_answers import FLOW_TYPES, UNKNOWN, Answers, Row, answer
from evaluation.flow_worlds import TEST_SEEDS, FlowWorld, WorldSpec, label_book, load_world
from evaluation.scores import (
    Interval,
    bootstrap,
    calibration_error,
    equal_mass_bins,
    macro_f1,
    quantile,
    wilson,
)
from hydrophone.simulator.world.label_claims import LabelQuality

COVERAGES: Final = (1.0, 0.7, 0.4, 0.1)
ERRORS: Final = (0.0, 0.02, 0.05)
DEPOSIT_RATIO: Final = LabelQuality().deposits / LabelQuality().coverage
HEADLINE: Final = (0.4, 0.02)
"""Coverage and errors of the labels that the bars are about."""
LABEL_SEEDS: Final = range(1, 5)
"""Each world is looked at with so many label books of the same quality: an exchange has few published
wallets, and which of them a book has decides more than anything else."""
GRID_SEEDS: Final = TEST_SEEDS[:2]
"""The table over all label books uses these, for time's sake; the headline all of them."""
ROUNDS: Final = 100
"""Of each bootstrap. chosen: the second digit of an interval's end is all that is read."""
THETAS: Final = (0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99)
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
ACCURACY_BAR: Final = 0.80
COVERAGE_BAR: Final = 0.50
FALSE_POSITIVE_BAR: Final = 0.20


class Cell(NamedTuple):
    """Which label book of which kind of world."""

    is_mean: bool
    has_all_deposits: bool
    coverage: float
    errors: float

    @property
    def quality(self) -> LabelQuality:
        """What its labels are like."""
        deposits = self.coverage * (1.0 if self.has_all_deposits else DEPOSIT_RATIO)
        return LabelQuality(coverage=self.coverage, deposits=deposits, errors=self.errors)

    def __str__(self) -> str:
        """Return what to write before its figures."""
        habits = "mean" if self.is_mean else "ordinary"
        return f"{habits:<9}{self.quality.coverage:>5.0%}{self.quality.deposits:>6.0%}{self.errors:>5.0%}"


class Summary(NamedTuple):
    """The figures of some whales."""

    whales: int
    directed: int
    allowed: int
    answered: int
    accuracy: float
    interval: Interval
    accuracy_allowed: float
    coverage: float
    coverage_allowed: float
    macro_f1: float
    false_positive_rate: float
    calibration_error: float


def summarise(rows: Sequence[Row]) -> Summary:
    """Return the figures of some whales."""
    answered = [row for row in rows if row.is_answered]
    right = sum(row.is_right for row in answered)
    directed = [row for row in rows if row.truth != UNKNOWN]
    allowed = [row for row in directed if row.is_allowed]
    undirected = [row for row in rows if row.truth == UNKNOWN]
    return Summary(
        whales=len(rows),
        directed=len(directed),
        allowed=len(allowed),
        answered=len(answered),
        accuracy=_share(right, len(answered)),
        interval=wilson(right, len(answered)),
        accuracy_allowed=_accuracy(allowed),
        coverage=_share(sum(row.is_answered for row in directed), len(directed)),
        coverage_allowed=_share(sum(row.is_answered for row in allowed), len(allowed)),
        macro_f1=macro_f1((row.truth, row.answer) for row in rows),
        false_positive_rate=_share(sum(row.is_answered for row in undirected), len(undirected)),
        calibration_error=_calibration_error(rows),
    )


def answers_of(worlds: Iterable[FlowWorld], quality: LabelQuality) -> Answers:
    """Return what was published in some worlds, each with all its label books of one quality."""
    found = [
        answer(world, label_book(world.spec, quality, label_seed=label_seed), label_seed=label_seed)
        for world in worlds
        for label_seed in LABEL_SEEDS
    ]
    return Answers(
        [row for answers in found for row in answers.first],
        [row for answers in found for row in answers.final],
        sum(answers.unsignalled for answers in found),
    )


def worlds_of(seeds: Iterable[int], *, is_mean: bool) -> list[FlowWorld]:
    """Return worlds of one kind."""
    return [load_world(WorldSpec(seed, is_mean=is_mean)) for seed in seeds]


# --- tables -----------------------------------------------------------------------------------------


def print_grid() -> None:
    """Print a line for each label book, as last amended."""
    seeds = f"seeds {GRID_SEEDS[0]} to {GRID_SEEDS[-1]}"
    print(f"Direction by labels, final answers, {seeds}, {len(LABEL_SEEDS)} books each,")
    print("by habits and shares of wallets, deposits and wrong rows; allowed: right where labels allow it")
    print(
        f"{'habits':<9}{'wall':>5}{'depo':>6}{'err':>5}{'whales':>8}{'directed':>9}{'allowed':>8}{'answered':>9}"
        f"{'right':>8}{'95 % interval':>16}{'allowed':>8}{'cov a':>7}{'cov b':>7}{'F1':>7}{'FP/neg':>8}"
        f"{'ECE':>7}"
    )
    for is_mean in (False, True):
        worlds = worlds_of(GRID_SEEDS, is_mean=is_mean)
        for has_all_deposits, coverage, errors in product((False, True), COVERAGES, ERRORS):
            cell = Cell(is_mean, has_all_deposits, coverage, errors)
            s = summarise(answers_of(worlds, cell.quality).final)
            print(
                f"{cell}{s.whales:>8}{s.directed:>9}{s.allowed:>8}{s.answered:>9}{s.accuracy:>8.1%}"
                f"{_interval(s.interval):>16}{s.accuracy_allowed:>8.1%}"
                f"{s.coverage:>7.1%}{s.coverage_allowed:>7.1%}{s.macro_f1:>7.3f}{s.false_positive_rate:>8.1%}{s.calibration_error:>7.3f}",
                flush=True,
            )


def print_headline(name: str, rows: Sequence[Row]) -> None:
    """Print everything about one label book."""
    s = summarise(rows)
    by_hour = bootstrap(_grouped(rows, lambda row: row.cluster), _calibration_error, rounds=ROUNDS)
    by_book = bootstrap(_grouped(rows, lambda row: row.book), _accuracy, rounds=ROUNDS)
    print(f"\n{name}: {s.whales} whales,")
    print(f"  {s.directed} with a true direction, which labels allow to tell of {s.allowed}")
    print(
        f"  answered {s.answered}, right {s.accuracy:.1%}: [{_interval(s.interval)}] as if each stood alone "
        f"(Wilson), [{_interval(by_book)}] by label book (bootstrap)"
    )
    print(f"  right where the labels allow the true direction: {s.accuracy_allowed:.1%} of answers")
    print(f"  coverage (a) {s.coverage:.1%} of the directed, (b) {s.coverage_allowed:.1%} of the allowed")
    print(f"  macro-F1 {s.macro_f1:.3f}")
    print(f"  false positives: {1 - s.accuracy:.1%} of answers, {s.false_positive_rate:.1%} of negatives")
    ends = f"[{by_hour.low:.4f}, {by_hour.high:.4f}]"
    print(f"  ECE of answers {s.calibration_error:.4f} {ends} (bootstrap by hour)")
    bars = {
        f"right >= {ACCURACY_BAR:.0%}": s.accuracy >= ACCURACY_BAR,
        f"coverage (b) >= {COVERAGE_BAR:.0%}": s.coverage_allowed >= COVERAGE_BAR,
        f"false < {FALSE_POSITIVE_BAR:.0%} (answers)": 1 - s.accuracy < FALSE_POSITIVE_BAR,
        f"false < {FALSE_POSITIVE_BAR:.0%} (negatives)": s.false_positive_rate < FALSE_POSITIVE_BAR,
    }
    print("  bars: " + ", ".join(f"{bar} {'met' if is_met else 'MISSED'}" for bar, is_met in bars.items()))
    _print_confusion(rows)
    _print_reliability(rows)
    _print_curve(rows)
    _print_amounts(rows)
    _print_kinds(rows)


def _print_confusion(rows: Sequence[Row]) -> None:
    counted = Counter((row.truth, row.answer) for row in rows)
    print(f"  {'true / answered':<18}" + "".join(f"{name:>10}" for name in FLOW_TYPES))
    for truth in FLOW_TYPES:
        print(f"  {truth:<18}" + "".join(f"{counted[truth, name]:>10}" for name in FLOW_TYPES))


def _print_reliability(rows: Sequence[Row]) -> None:
    print("  reliability of answers, bins of equal mass: confidence, right, n")
    for b in equal_mass_bins(_sure(rows), 10):
        print(f"    {b.confidence:>7.3f}{b.hit_rate:>8.3f}{b.size:>7}")


def _print_curve(rows: Sequence[Row]) -> None:
    print(
        "  by theta (from the published probabilities): answered, right, coverage (a), (b), FP of negatives"
    )
    for theta in THETAS:
        s = summarise([row.at(theta) for row in rows])
        figures = (s.accuracy, s.coverage, s.coverage_allowed, s.false_positive_rate)
        print(f"    {theta:>5.2f}{s.answered:>7}" + "".join(f"{figure:>8.1%}" for figure in figures))


def _print_amounts(rows: Sequence[Row]) -> None:
    print("  moved_sat: error relative to what moved (quantiles 5, 25, 50, 75, 95 %; share within 1 %, 10 %)")
    for truth in FLOW_TYPES:
        moving = [row for row in rows if row.truth == truth and row.true_moved_sat]
        errors = [(row.moved_sat - row.true_moved_sat) / row.true_moved_sat for row in moving]
        found = "".join(f"{quantile(errors, share):>9.3g}" for share in QUANTILES)
        within = "".join(
            f"{_share(sum(abs(e) <= most for e in errors), len(errors)):>8.1%}" for most in (0.01, 0.1)
        )
        print(f"    {truth:<10}n={len(errors):<6}{found}{within}")
    still = [row.moved_sat / row.gross_sat for row in rows if not row.true_moved_sat]
    found = "".join(f"{quantile(still, share):>9.3g}" for share in QUANTILES)
    print(f"    nothing   n={len(still):<6}{found}   of gross: all of it is error")


def _print_kinds(rows: Sequence[Row]) -> None:
    by_kind: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_kind[row.kind].append(row)
    print(
        f"  {'kind':<20}{'n':>6}{'allowed':>9}"
        + "".join(f"{name:>10}" for name in FLOW_TYPES)
        + f"{'right':>8}"
        "  subtypes answered"
    )
    for kind, found in sorted(by_kind.items(), key=lambda item: -len(item[1])):
        answers = Counter(row.answer for row in found)
        answered = [row for row in found if row.is_answered]
        right = _share(sum(row.is_right for row in answered), len(answered))
        subtypes = Counter(row.subtype for row in found if row.subtype)
        print(
            f"  {kind:<20}{len(found):>6}{sum(row.is_allowed for row in found):>9}"
            + "".join(f"{answers[name]:>10}" for name in FLOW_TYPES)
            + f"{right:>8.1%}  {dict(subtypes.most_common(4)) or ''}"
        )


def _grouped(rows: Iterable[Row], key: Callable[[Row], tuple[int, ...]]) -> list[list[Row]]:
    groups: dict[tuple[int, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return list(groups.values())


def _accuracy(rows: Iterable[Row]) -> float:
    rights = [row.is_right for row in rows if row.is_answered]
    return _share(sum(rights), len(rights))


def _calibration_error(rows: Iterable[Row]) -> float:
    return calibration_error(_sure(rows))


def _sure(rows: Iterable[Row]) -> list[tuple[float, bool]]:
    return [(row.confidence, row.is_right) for row in rows if row.is_answered]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _interval(interval: Interval) -> str:
    return f"{interval.low:.1%}-{interval.high:.1%}"


def main() -> int:
    """Print the grid and the headline."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--headline-only", action="store_true", help="leave out the table over all label books"
    )
    arguments = parser.parse_args()
    if not arguments.headline_only:
        print_grid()
    coverage, errors = HEADLINE
    for is_mean in (False, True):
        cell = Cell(is_mean, has_all_deposits=False, coverage=coverage, errors=errors)
        answers = answers_of(worlds_of(TEST_SEEDS, is_mean=is_mean), cell.quality)
        habits = "mean" if is_mean else "ordinary"
        head = f"HEADLINE {habits} habits, {coverage:.0%} labels, {errors:.0%} wrong, seeds {TEST_SEEDS[0]}+"
        first, final = ({(r.book, r.txid): r for r in rows} for rows in (answers.first, answers.final))
        amended = sum(first[key] != final[key] for key in first)
        if answers.unsignalled or amended:
            print(f"\n{head}: {answers.unsignalled} whales without a signal, {amended} answers amended")
        if amended:
            print_headline(f"{head}, as FIRST published", answers.first)
        print_headline(f"{head}, FINAL", answers.final)
    return 0


if __name__ == "__main__":
    sys.exit(main())
