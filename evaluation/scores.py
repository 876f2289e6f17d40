"""Scores of answers and probabilities, with how sure they are. Pure: chance is seeded, nothing is read.

**Sources**: E. B. Wilson, Probable inference, JASA 22 (1927), the interval of a share; R. Roelofs et al.,
Mitigating Bias in Calibration Error Estimation, AISTATS 2022, bins of equal mass; J. Hanley and B. McNeil,
Radiology 143 (1982), the area under a ROC curve as a rank statistic.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from random import Random
from typing import Final, NamedTuple, TypeVar

_T = TypeVar("_T")
_Z_95: Final = 1.959964
"""Two-sided 95 % of the normal distribution."""


class Interval(NamedTuple):
    """Where a figure lies with 95 %."""

    low: float
    high: float


class Bin(NamedTuple):
    """Answers of about the same confidence.

    Attributes:
        size: how many.
        confidence: their mean.
        hit_rate: share that was right.
    """

    size: int
    confidence: float
    hit_rate: float


def wilson(hits: int, count: int) -> Interval:
    """Return the interval of a share; of nothing, all of it."""
    if count == 0:
        return Interval(0.0, 1.0)
    share, z2 = hits / count, _Z_95 * _Z_95
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z_95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    # The last bit of a float must not put the share outside its own interval.
    return Interval(max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def macro_f1(pairs: Iterable[tuple[str, str]]) -> float:
    """Return the mean over classes of the harmonic mean of precision and recall.

    Args:
        pairs: truth and answer. A class that is neither true nor answered anywhere does not count.

    Returns:
        0 without pairs.
    """
    counted = Counter(pairs)
    classes = sorted({name for pair in counted for name in pair})
    scores = []
    for name in classes:
        hits = counted[name, name]
        true = sum(count for (truth, _), count in counted.items() if truth == name)
        answered = sum(count for (_, answer), count in counted.items() if answer == name)
        scores.append(2 * hits / (true + answered))
    return math.fsum(scores) / len(scores) if scores else 0.0


def equal_mass_bins(answers: Iterable[tuple[float, bool]], bins: int) -> list[Bin]:
    """Return bins of about equally many answers, least confident first.

    Answers of equal confidence stay together, or else chance would say which bin has the wrong ones.

    Args:
        answers: confidence, and whether it was right.
        bins: at most so many.
    """
    ordered = sorted(answers)
    wanted = len(ordered) / bins
    found: list[Bin] = []
    held: list[tuple[float, bool]] = []
    taken = 0
    for _, group in groupby(ordered, key=lambda answer: answer[0]):
        held += group
        if taken + len(held) >= wanted * (len(found) + 1) - 1e-9:
            found.append(_bin_of(held))
            taken += len(held)
            held = []
    return found if not held else [*found, _bin_of(held)]


def calibration_error(answers: Iterable[tuple[float, bool]], bins: int = 10) -> float:
    """Return the expected calibration error: mean distance of confidence and hit rate over bins, by mass.

    Returns:
        0 without answers.
    """
    found = equal_mass_bins(answers, bins)
    total = sum(b.size for b in found)
    return math.fsum(b.size * abs(b.confidence - b.hit_rate) for b in found) / total if total else 0.0


def area_under_roc(scored: Iterable[tuple[float, bool]]) -> float:
    """Return the probability that a positive scores above a negative; equal scores count half.

    Args:
        scored: the score, and whether it is a positive.

    Returns:
        NaN without positives or without negatives.
    """
    ordered = sorted(scored)
    positives = sum(is_positive for _, is_positive in ordered)
    negatives = len(ordered) - positives
    if not positives or not negatives:
        return math.nan
    below, wins = 0, 0.0
    for _, group in groupby(ordered, key=lambda item: item[0]):
        truths = [is_positive for _, is_positive in group]
        here = sum(truths)
        wins += here * (below + (len(truths) - here) / 2)
        below += len(truths) - here
    return wins / (positives * negatives)


def bootstrap(
    clusters: Sequence[Sequence[_T]],
    statistic: Callable[[Sequence[_T]], float],
    *,
    rounds: int = 300,
    seed: int = 1,
) -> Interval:
    """Return the interval of a statistic by drawing whole clusters with replacement.

    Neighbours share a cause (an hour, a block): drawn one by one they would look like more evidence than they
    are. Rounds in which the statistic is undefined (NaN) are left out.

    Args:
        clusters: of observations.
        statistic: of observations.
        rounds: how often it is drawn.
        seed: of chance.
    """
    rng = Random(seed)
    drawn = []
    for _ in range(rounds if clusters else 0):
        sample = [item for cluster in rng.choices(clusters, k=len(clusters)) for item in cluster]
        value = statistic(sample)
        if not math.isnan(value):
            drawn.append(value)
    return Interval(quantile(drawn, 0.025), quantile(drawn, 0.975))


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value that a share of the values does not exceed, interpolated; NaN of nothing."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _bin_of(answers: Sequence[tuple[float, bool]]) -> Bin:
    confidence = math.fsum(c for c, _ in answers) / len(answers)
    return Bin(len(answers), confidence, sum(is_right for _, is_right in answers) / len(answers))
