"""How good predictions were: proper scores, calibration, coverage, skill.

Whoever waited for the same block shares its luck. So every figure has its n in predictions and in blocks, and
its uncertainty comes from drawing whole blocks anew.

numpy is used for speed; where chance is needed its generator is given.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hydrophone.domain.confirmation import HORIZONS

LEAST_PREDICTIONS: Final = 50
LEAST_BLOCKS: Final = 20
"""Below either the answer is "insufficient data". # chosen: 50 is what alerts on accuracy need too (F13)."""
CATEGORIES: Final = ("1", "2", "3", "4-6", "7-12", "13-24", "25+", "replaced", "dropped")
"""Ends over which the ranked score runs: confirmed within so many blocks, or not at all."""
_CATEGORY_BLOCKS: Final = HORIZONS
_BINS: Final = 10
_LEAST_P: Final = 1e-4
"""# chosen: a certainty that turns out wrong costs 9.2 nats, not infinity."""
_RESAMPLES: Final = 1_000
_AT_ONCE: Final = 50
"""Draws whose counts are held in memory together. # chosen: 10 MB with the blocks of 90 days."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def brier(p: Floats, came_true: Floats) -> Floats:
    """Return the squared error of each probability."""
    return (p - came_true) ** 2


def log_score(p: Floats, came_true: Floats) -> Floats:
    """Return the negative log likelihood of each probability, in nats; probabilities are kept off 0 and 1."""
    clipped = np.clip(p, _LEAST_P, 1 - _LEAST_P)
    return -np.where(came_true > 0, np.log(clipped), np.log1p(-clipped))


def category_of(blocks: int | None, *, is_replaced: bool = False, is_dropped: bool = False) -> int:
    """Return the category of an end.

    Args:
        blocks: within so many it was confirmed; None: it was not.
        is_replaced: and it was replaced within 24 blocks.
        is_dropped: or dropped.
    """
    if blocks is None:
        return 7 if is_replaced else 8 if is_dropped else 6
    return next((n for n, most in enumerate(_CATEGORY_BLOCKS) if blocks <= most), 6)


def category_probabilities(
    p_confirm: Sequence[float], p_replaced: float, p_dropped: float
) -> tuple[float, ...]:
    """Return the probability of each category.

    Args:
        p_confirm: P(confirmed within 1, 2, 3, 6, 12, 24 blocks).
        p_replaced: P(replaced within 24 blocks).
        p_dropped: P(dropped within as many).
    """
    steps = [b - a for a, b in zip((0.0, *p_confirm[:-1]), p_confirm, strict=True)]
    waiting = max(0.0, 1 - p_confirm[-1] - p_replaced - p_dropped)
    return (*steps, waiting, p_replaced, p_dropped)


def ranked_score(probabilities: Floats, categories: Integers) -> Floats:
    """Return the ranked probability score of each: 0 is perfect, 1 is as wrong as can be.

    Args:
        probabilities: a row for each prediction, a column for each category, in order.
        categories: which came.
    """
    count = probabilities.shape[1]
    came = np.arange(count)[None, :] >= categories[:, None]
    errors = np.cumsum(probabilities, axis=1) - came
    scores: Floats = (errors[:, :-1] ** 2).sum(axis=1) / (count - 1)
    return scores


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions of about the same probability.

    Attributes:
        count: of them.
        mean_p: what was said.
        frequency: what came true.
    """

    count: int
    mean_p: float
    frequency: float


def reliability(p: Floats, came_true: Floats, bins: int = _BINS) -> list[ReliabilityBin]:
    """Return the reliability curve: equally many predictions in each bin, the least probable first."""
    order = np.argsort(p, kind="stable")
    return [
        ReliabilityBin(len(part), float(p[part].mean()), float(came_true[part].mean()))
        for part in np.array_split(order, min(bins, len(p)))
        if len(part)
    ]


def calibration_error(p: Floats, came_true: Floats, bins: int = _BINS) -> float:
    """Return the expected calibration error: the mean distance of the reliability curve from the diagonal."""
    if not len(p):
        return 0.0
    return sum(b.count * abs(b.mean_p - b.frequency) for b in reliability(p, came_true, bins)) / len(p)


def calibration_floor(
    p: Floats, blocks: Integers, generator: np.random.Generator, *, repeats: int = 200
) -> float:
    """Return the calibration error that a perfect model would show with the same p and blocks.

    Those of one block share one draw of chance, as they share the block's luck: the floor is what is left
    when nothing is wrong but n is small.

    Args:
        p: probabilities.
        blocks: which block each was waiting for.
        generator: of the draws.
        repeats: the mean of so many is returned.
    """
    _, place = np.unique(blocks, return_inverse=True)
    luck = generator.random((repeats, int(place.max()) + 1 if len(place) else 0))
    errors = [calibration_error(p, (draw[place] < p).astype(np.float64)) for draw in luck]
    return float(np.mean(errors))


def pit(p_by_block: Floats, blocks: Integers, generator: np.random.Generator) -> Floats:
    """Return randomised probability integral transforms: evenly spread over [0, 1] if the model is right.

    Args:
        p_by_block: a row for each confirmed prediction: P(confirmed within k | confirmed), k = 1, 2, ...
        blocks: within how many blocks it was.
        generator: draws within the step of the distribution.
    """
    padded = np.hstack([np.zeros((len(blocks), 1)), p_by_block])
    last = padded.shape[1] - 1
    rows = np.arange(len(blocks))
    low, high = padded[rows, np.minimum(blocks - 1, last)], padded[rows, np.minimum(blocks, last)]
    spread: Floats = low + generator.random(len(blocks)) * (high - low)
    return spread


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its uncertainty.

    Attributes:
        value: of all.
        low: 2.5 % of the draws are below.
        high: 2.5 % are above.
        standard_error: of the draws.
        predictions: n.
        blocks: n.
    """

    value: float
    low: float
    high: float
    standard_error: float
    predictions: int
    blocks: int


def block_bootstrap(
    values: Floats,
    blocks: Integers,
    generator: np.random.Generator,
    *,
    statistic: Callable[[Floats, Floats], Floats] | None = None,
    resamples: int = _RESAMPLES,
) -> Interval:
    """Return a mean, or a function of sums, with the uncertainty of drawing whole blocks anew.

    Args:
        values: one for each prediction, or a row of several columns.
        blocks: which block each was made for.
        generator: of the draws.
        statistic: of the sums of the columns (draws x columns) and the counts (draws); None: the mean.
        resamples: so many draws.
    """
    columns = values.reshape(len(values), -1)
    unique, place = np.unique(blocks, return_inverse=True)
    sums = np.zeros((len(unique), columns.shape[1]))
    np.add.at(sums, place, columns)
    counts = np.bincount(place, minlength=len(unique)).astype(np.float64)
    compute = statistic or _mean
    slices = []
    for done in range(0, resamples, _AT_ONCE):
        picks = generator.integers(0, len(unique), (min(_AT_ONCE, resamples - done), len(unique)))
        weights = np.zeros(picks.shape)
        np.add.at(weights, (np.arange(len(picks))[:, None], picks), 1.0)
        slices.append(compute(weights @ sums, weights @ counts))
    drawn = np.concatenate(slices)
    [value] = compute(sums.sum(axis=0)[None, :], counts.sum()[None])
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(value), float(low), float(high), float(drawn.std(ddof=1)), len(values), len(unique))


def _mean(sums: Floats, counts: Floats) -> Floats:
    means: Floats = sums[:, 0] / counts
    return means


def skill(scores: Floats, baseline: Floats, blocks: Integers, generator: np.random.Generator) -> Interval:
    """Return 1 - score / baseline's: 1 is perfect, 0 no better, below 0 worse.

    Args:
        scores: of the model, the lower the better.
        baseline: of the same predictions.
        blocks: which block each was made for.
        generator: of the draws.
    """

    def ratio(sums: Floats, _: Floats) -> Floats:
        found: Floats = 1 - sums[:, 0] / np.maximum(sums[:, 1], 1e-12)
        return found

    return block_bootstrap(np.column_stack([scores, baseline]), blocks, generator, statistic=ratio)


_CLIMATE_S: Final = 7 * 86_400.0
_CLIMATE_LEAST: Final = 30
"""# chosen: before so many ends are known, climatology says that all are equally likely."""


@dataclass(frozen=True, slots=True)
class JudgedForecast:
    """A forecast and what came of it so far.

    Attributes:
        tip: height of the newest block when it was made.
        made_at_s: when.
        p_confirm: P(confirmed within k) for the published horizons.
        p_replaced: within 24 blocks.
        p_dropped: likewise.
        eta_p50_s: seconds; None: beyond what is looked ahead.
        eta_p90_s: likewise.
        projected: in which block to come it would be, were nothing to change.
        blocks: within how many it was confirmed; None: it was not.
        end: confirmed, replaced, dropped; None: it still waits.
        ended_after_s: when that was heard, after the forecast.
        ended_after_blocks: how many blocks had come by then.
        age_blocks: how many have come until now, whatever became of it.
    """

    tip: int
    made_at_s: float
    p_confirm: tuple[float, ...]
    p_replaced: float
    p_dropped: float
    eta_p50_s: float | None
    eta_p90_s: float | None
    projected: int
    blocks: int | None
    end: str | None
    ended_after_s: float | None
    ended_after_blocks: int | None
    age_blocks: int

    def is_known(self, horizon: int) -> bool:
        """Whether it is old enough to be judged by what came within so many blocks; else it is censored.

        Also when it has ended already: of young ones only the quick have, and the slow would be missing.
        """
        return self.age_blocks >= horizon

    def came_within(self, horizon: int) -> bool:
        """Whether it was confirmed within so many blocks."""
        return self.blocks is not None and self.blocks <= horizon

    @property
    def category(self) -> int:
        """Which of `CATEGORIES` came."""
        is_early = self.ended_after_blocks is not None and self.ended_after_blocks < HORIZONS[-1]
        return category_of(
            self.blocks,
            is_replaced=is_early and self.end == "replaced",
            is_dropped=is_early and self.end == "dropped",
        )

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Of each of `CATEGORIES`."""
        return category_probabilities(self.p_confirm, self.p_replaced, self.p_dropped)


def climatology(forecasts: Sequence[JudgedForecast]) -> Floats:
    """Return, for each forecast, how often each category came within the seven days before it.

    Args:
        forecasts: in order of time, each settled.
    """
    ends = sorted((f.made_at_s + (f.ended_after_s or HORIZONS[-1] * 600.0), f.category) for f in forecasts)
    counts = np.zeros(len(CATEGORIES))
    recent: deque[tuple[float, int]] = deque()
    rows, place = [], 0
    for forecast in forecasts:
        while place < len(ends) and ends[place][0] <= forecast.made_at_s:
            recent.append(ends[place])
            counts[ends[place][1]] += 1
            place += 1
        while recent and recent[0][0] < forecast.made_at_s - _CLIMATE_S:
            counts[recent.popleft()[1]] -= 1
        known = counts.sum()
        rows.append(counts / known if known >= _CLIMATE_LEAST else np.full(len(counts), 1 / len(counts)))
    return np.array(rows)


def certain(blocks: Sequence[int]) -> Floats:
    """Return the distributions of somebody who is sure within how many blocks each is confirmed."""
    rows = np.zeros((len(blocks), len(CATEGORIES)))
    rows[np.arange(len(blocks)), [category_of(b) for b in blocks]] = 1.0
    return rows


def summarise(forecasts: Sequence[JudgedForecast], seed: int = 1) -> dict[str, Any]:
    """Return the scores of forecasts, ready for JSON; "insufficient_data" in place of what n does not carry.

    Args:
        forecasts: any, in order of time.
        seed: of the draws that give uncertainties.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    settled = [f for f in forecasts if f.is_known(HORIZONS[-1])]
    return {
        "forecasts": len(forecasts),
        "waiting": sum(f.end is None for f in forecasts),
        "blocks": len({f.tip for f in forecasts}),
        "horizons": {str(h): _horizon(forecasts, h, generator) for h in HORIZONS},
        "coverage": {
            "p50": _coverage([(f, f.eta_p50_s) for f in forecasts], generator),
            "p90": _coverage([(f, f.eta_p90_s) for f in forecasts], generator),
        },
        "ranked": _ranked(settled, generator),
        "pit": _pit(settled, generator),
    }


def _insufficient(predictions: int, blocks: int) -> dict[str, Any]:
    return {"insufficient_data": True, "n": predictions, "blocks": blocks}


def has_enough(predictions: int, blocks: int) -> bool:
    """Return whether there is enough data to say anything at all."""
    return predictions >= LEAST_PREDICTIONS and blocks >= LEAST_BLOCKS


def _horizon(
    forecasts: Sequence[JudgedForecast], horizon: int, generator: np.random.Generator
) -> dict[str, Any]:
    known = [f for f in forecasts if f.is_known(horizon)]
    tips = np.array([f.tip for f in known], dtype=np.int64)
    blocks, censored = len(set(tips.tolist())), len(forecasts) - len(known)
    if not has_enough(len(known), blocks):
        return _insufficient(len(known), blocks) | {"censored": censored}
    p = np.array([f.p_confirm[HORIZONS.index(horizon)] for f in known])
    came = np.array([float(f.came_within(horizon)) for f in known])
    return {
        "n": len(known),
        "blocks": blocks,
        "censored": censored,
        "said": float(p.mean()),
        "came": float(came.mean()),
        "brier": float(brier(p, came).mean()),
        "log_score": float(log_score(p, came).mean()),
        "ece": calibration_error(p, came),
        "ece_floor": calibration_floor(p, tips, generator, repeats=50),
        "curve": [[b.mean_p, b.frequency, b.count] for b in reliability(p, came)],
    }


def _coverage(
    pairs: Sequence[tuple[JudgedForecast, float | None]], generator: np.random.Generator
) -> dict[str, Any]:
    told = [
        (f.tip, float(f.ended_after_s <= eta_s))
        for f, eta_s in pairs
        if f.blocks is not None
        and f.ended_after_s is not None
        and eta_s is not None
        and f.is_known(HORIZONS[-1])
    ]
    blocks = len({tip for tip, _ in told})
    if not has_enough(len(told), blocks):
        return _insufficient(len(told), blocks)
    met = block_bootstrap(
        np.array([met for _, met in told]), np.array([tip for tip, _ in told], dtype=np.int64), generator
    )
    return _described(met)


def _described(found: Interval) -> dict[str, Any]:
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "n": found.predictions,
        "blocks": found.blocks,
    }


def _ranked(settled: Sequence[JudgedForecast], generator: np.random.Generator) -> dict[str, Any]:
    tips = np.array([f.tip for f in settled], dtype=np.int64)
    blocks = len(set(tips.tolist()))
    if not has_enough(len(settled), blocks):
        return _insufficient(len(settled), blocks)
    categories = np.array([f.category for f in settled])
    ours = ranked_score(np.array([f.probabilities for f in settled]), categories)
    baselines = {
        "climatology": climatology(settled),
        "projected_block": certain([f.projected for f in settled]),
        "next_block": certain([1] * len(settled)),
    }
    return {
        "score": _described(block_bootstrap(ours, tips, generator)),
        "skill": {
            name: _described(skill(ours, ranked_score(baseline, categories), tips, generator))
            for name, baseline in baselines.items()
        },
    }


def _pit(settled: Sequence[JudgedForecast], generator: np.random.Generator) -> dict[str, Any]:
    """Return how often each tenth of the distribution over blocks was hit by what was confirmed."""
    told = [f for f in settled if f.came_within(HORIZONS[-1]) and f.p_confirm[-1] > 0]
    blocks = len({f.tip for f in told})
    if not has_enough(len(told), blocks):
        return _insufficient(len(told), blocks)
    shares = np.array([[p / f.p_confirm[-1] for p in f.p_confirm] for f in told])
    steps = np.array([category_of(f.blocks) + 1 for f in told], dtype=np.int64)
    counts, _ = np.histogram(pit(shares, steps, generator), bins=_BINS, range=(0, 1))
    return {"n": len(told), "blocks": blocks, "counts": [int(c) for c in counts]}
