"""Distributions the world draws from."""

from bisect import bisect
from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import exp
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


class Choice(Generic[T]):
    """A weighted choice that was prepared once.

    Args:
        weights: by what is chosen; they need not sum to 1.
    """

    def __init__(self, weights: Mapping[T, float]) -> None:
        self._options = list(weights)
        self._bounds = list(accumulate(weights.values()))

    def draw(self, rng: Random) -> T:
        """Return one of them."""
        return self._options[bisect(self._bounds, rng.random() * self._bounds[-1], hi=len(self._bounds) - 1)]


def draw_count(shares: Sequence[float], rng: Random) -> int:
    """Return 1, 2, 3, ... by these shares."""
    return rng.choices(range(1, len(shares) + 1), shares)[0]


def draw_lognormal(median: float, sigma: float, rng: Random) -> float:
    """Return a value whose logarithm is normal."""
    return median * exp(rng.gauss(0.0, sigma))


def draw_pareto(least: float, exponent: float, most: float, rng: Random) -> float:
    """Return a value with a heavy tail, cut at a most (by drawing within it, not by piling up there)."""
    share_below_most = 1.0 - (least / most) ** exponent
    return least * float((1.0 - rng.random() * share_below_most) ** (-1.0 / exponent))


def draw_poisson(mean: float, rng: Random) -> int:
    """Return a count."""
    count, left = 0, rng.expovariate(1.0)
    while left < mean:
        count += 1
        left += rng.expovariate(1.0)
    return count
