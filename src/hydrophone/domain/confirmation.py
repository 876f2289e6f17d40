"""When a transaction will confirm: a distribution over blocks, not a point.

A transaction waits until the weight that pays more, what is there and what will have come by then, fits into
the blocks found so far: a first passage. Blocks come by chance, so it is followed along many paths, the same
ones for every rate; then what the plain model leaves out is put on top (`Corrections`).

numpy is used here for speed alone; its generator is given, so the same seed gives the same distribution.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import ceil, exp
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from hydrophone.domain.feemarket import BUCKETS, MAX_RATE_SAT_VB, FeeMarket, bucket_of, rate_of
from hydrophone.domain.units import Height

HORIZONS: Final = (1, 2, 3, 6, 12, 24)
"""Blocks for which a probability is published."""
DEPTH: Final = 36
"""Blocks that are looked ahead. # chosen: six hours; who waits longer is told so."""
PATHS: Final = 2_000
"""# chosen: the half of a distribution is known to one per cent, and a new draw comes with each block."""
ENDS_HORIZON: Final = HORIZONS[-1]
"""The other ends are counted up to the last published horizon, so that with it all ends sum to 1."""

_GROWTH_SIGMA: Final = 0.35
"""Spread of the factor by which the inflow may differ from its average. # chosen: a prior guess."""
_GROWTH_NODES: Final = 16
_INFLOW_BLOCKS: Final = 144
"""The average over half a day takes over towards a horizon of a day. # chosen."""
_LIKE: Final = 0.02
"""# chosen: a row says hardly ever .01 less than its bucket would, and a table takes about 65 ms."""
_HEAVY_SHARE: Final = 0.005
"""# chosen: what is lighter than half a per cent of a block does not notice its own weight."""
_LIKELY: Final = 0.5
_QUANTILES: Final = (0.5, 0.9)
_NEVER: Final = float("inf")
_LEAST_WU_S: Final = 1e-9
"""An inflow that fills no block in any time that is looked at."""
_LEAST_OUTLIVES: Final = 1e-6
"""Else nobody would be left whose minutes could be told."""
_BINS_BY_E: Final = 64
_SHORTEST: Final = -8.0
_BINS: Final = 13 * _BINS_BY_E
"""Times are told apart to 1.6 % and interpolated in between: bins of their logarithm, in mean intervals, from
e^-8 (a fifth of a second) to e^5 (a day), and one more for never. # chosen: a weighted median costs 18 us."""

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Corrections:
    """What the plain model leaves out.

    Attributes:
        inclusion: probability that a block takes a transaction that is in its template by rate and age.
        replaced: probability, after each block that did not take it, of being replaced.
        dropped: the same of being dropped.
        replaced_at_once: probability of being replaced before the first block: many bump within minutes.
        dropped_at_once: the same of being dropped.
        accelerated: share of the hashrate that takes it whatever its rate: it was paid for elsewhere.
    """

    inclusion: float = 1.0
    replaced: float = 0.0
    dropped: float = 0.0
    accelerated: float = 0.0
    replaced_at_once: float = 0.0
    dropped_at_once: float = 0.0


NO_CORRECTIONS: Final = Corrections()


@dataclass(frozen=True, slots=True)
class ConfirmationEstimate:
    """What becomes of a transaction, as far as can be said now.

    Attributes:
        tip: height of the newest block then.
        by_block: P(confirmed within k blocks) for k = 1 ... `DEPTH`.
        p_replaced: P(replaced within `ENDS_HORIZON` blocks).
        p_dropped: P(dropped within as many).
        eta_p50_s: half of the confirmations come within so many seconds; None: beyond `DEPTH` blocks.
        eta_p90_s: nine in ten do.
    """

    tip: Height
    by_block: tuple[float, ...]
    p_replaced: float
    p_dropped: float
    eta_p50_s: float | None
    eta_p90_s: float | None

    @property
    def p_confirm(self) -> dict[int, float]:
        """P(confirmed within k blocks) for the published horizons."""
        return {horizon: self.by_block[horizon - 1] for horizon in HORIZONS}

    @property
    def p_waiting(self) -> float:
        """P(still waiting after `ENDS_HORIZON` blocks)."""
        return max(0.0, 1 - self.by_block[ENDS_HORIZON - 1] - self.p_replaced - self.p_dropped)

    @property
    def likely_blocks(self) -> int | None:
        """So many blocks make it more likely confirmed than not; None: more than `DEPTH`."""
        return next((k for k, p in enumerate(self.by_block, 1) if p >= _LIKELY), None)

    @property
    def predicted_block(self) -> Height | None:
        """The block by which it is more likely confirmed than not; None: later than can be said."""
        blocks = self.likely_blocks
        return None if blocks is None else Height(self.tip + blocks)

    def p_within(self, blocks: int) -> float:
        """Return P(confirmed within so many blocks), at most `DEPTH`."""
        return self.by_block[min(blocks, DEPTH) - 1]

    def recalibrated(
        self, calibrate: Callable[[int, float], float], eta_factors: tuple[float, float]
    ) -> "ConfirmationEstimate":
        """Return it with its probabilities mended.

        Args:
            calibrate: mended probability of a horizon in blocks; never falls as the probability rises.
            eta_factors: on the minutes P50 and P90; P90 stays the later one.
        """
        by_block = tuple(accumulate((calibrate(k, p) for k, p in enumerate(self.by_block, 1)), max))
        before, after = 1 - self.by_block[ENDS_HORIZON - 1], 1 - by_block[ENDS_HORIZON - 1]
        rest = after / before if before > 0 else 0.0
        p50_s = None if self.eta_p50_s is None else self.eta_p50_s * eta_factors[0]
        p90_s = None if self.eta_p90_s is None else max(self.eta_p90_s * eta_factors[1], p50_s or 0.0)
        return replace(
            self,
            by_block=by_block,
            p_replaced=self.p_replaced * rest,
            p_dropped=self.p_dropped * rest,
            eta_p50_s=p50_s,
            eta_p90_s=p90_s,
        )


class Paths:
    """Chance, drawn once: when blocks come (in units of their mean), and how much more or less arrives.

    Each variable is stratified: the first block's time, which matters most, is spread evenly over its
    distribution.

    Args:
        generator: decides everything.
        is_growth_known: whether the inflow is taken to be exactly its average (G = 1).
        count: of paths.
    """

    def __init__(
        self, generator: np.random.Generator, *, is_growth_known: bool = False, count: int = PATHS
    ) -> None:
        uniform = (np.arange(count)[:, None] + generator.random((count, DEPTH + 1))) / count
        shuffled = generator.permuted(uniform, axis=0)
        self.times: _Floats = np.cumsum(-np.log1p(-shuffled[:, :DEPTH]), axis=1).astype(np.float32)
        place = (np.log(self.times) - _SHORTEST) * _BINS_BY_E
        self.bins: npt.NDArray[np.intp] = np.full((count, DEPTH + 1), _BINS, dtype=np.intp)
        self.bins[:, :DEPTH] = np.clip(place, 0, _BINS - 1).astype(np.intp)
        growth = np.ones(count) if is_growth_known else _growth(shuffled[:, DEPTH])
        self.growth: _Floats = growth.astype(np.float32)
        self.luck: _Floats = generator.random((count, DEPTH), dtype=np.float32)
        self.nodes: tuple[float, ...] = (
            (1.0,)
            if is_growth_known
            else tuple(float(g) for g in _growth((np.arange(_GROWTH_NODES) + 0.5) / _GROWTH_NODES))
        )


def seeded_paths(seed: int, *, is_growth_known: bool = False, count: int = PATHS) -> Paths:
    """Return paths that are the same for the same seed, on every machine with the same numpy.

    Args:
        seed: not negative; the hash of the newest block serves.
        is_growth_known: as in `Paths`.
        count: of paths.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    return Paths(generator, is_growth_known=is_growth_known, count=count)


def _growth(uniform: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the factor's quantiles; their mean is made 1."""
    normal = NormalDist()
    factors = np.exp(_GROWTH_SIGMA * np.array([normal.inv_cdf(float(u)) for u in uniform]))
    mean_one: npt.NDArray[np.float64] = factors / factors.mean()
    return mean_one


def closed_form_next_block(
    market: FeeMarket, need_wu: float, inflow_wu_s: float, age_s: float, growth: float = 1.0
) -> float:
    """Return the probability of the next block: late enough for the template, before too much else comes.

    Args:
        market: at the moment.
        need_wu: weight in front of the transaction, and its own.
        inflow_wu_s: weight that arrives in front of it in a second.
        age_s: for how long it has been known.
        growth: factor on the inflow.
    """
    room_wu = market.capacity_wu - need_wu
    if room_wu < 0 or (room_wu == 0 and inflow_wu_s > 0):
        return 0.0
    lag_s, tau_s = market.template_lag_s, market.tau_s
    late = exp(-max(0.0, lag_s - age_s) / tau_s)
    if inflow_wu_s * growth <= 0:
        return late
    return max(0.0, late - exp(-(lag_s + room_wu / (inflow_wu_s * growth)) / tau_s))


class Row(NamedTuple):
    """What is said of one rate, before other ends compete.

    Attributes:
        within: P(N <= k) for k = 1 ... `DEPTH`.
        quantiles_s: of the seconds until confirmation, of what is confirmed.
    """

    within: list[float]
    quantiles_s: tuple[float, ...]


class FirstPassage:
    """The paths in a market, for transactions of one age.

    Args:
        market: at the moment.
        paths: chance.
        age_s: for how long the transactions have been known.
    """

    def __init__(self, market: FeeMarket, paths: Paths, age_s: float = 0.0) -> None:
        self._market = market
        self._paths = paths
        self._age_s = age_s
        times_s = paths.times * np.float32(market.tau_s)
        lag_s = np.float32(market.template_lag_s)
        grown_s = np.maximum(times_s - lag_s, 0) * paths.growth[:, None]
        grown_s[times_s < np.float32(market.template_lag_s - age_s)] = np.inf  # in no template yet
        self._grown_s: _Floats = grown_s
        blocks = np.arange(1, DEPTH + 1)
        self._long_share = 1 - (1 - np.minimum(blocks, _INFLOW_BLOCKS) / _INFLOW_BLOCKS) ** 2
        self._room_wu = blocks * market.capacity_wu
        self._count = len(times_s)
        self._rows = np.arange(self._count)

    def taken_after(self, inclusion: float, accelerated: float) -> npt.NDArray[np.intp]:
        """Return, for each path and block, the first that takes what is eligible from that block on.

        Args:
            inclusion: probability that a block does.
            accelerated: share of the hashrate that does not ask whether it is eligible.
        """
        takes = self._paths.luck < np.float32(accelerated + (1 - accelerated) * inclusion)
        next_taken = np.full((self._count, DEPTH + 1), DEPTH, dtype=np.intp)
        for block in range(DEPTH - 1, -1, -1):
            next_taken[:, block] = np.where(takes[:, block], block, next_taken[:, block + 1])
        if accelerated > 0:
            any_block = self._paths.luck < np.float32(accelerated)
            first = np.where(any_block.any(axis=1), any_block.argmax(axis=1), DEPTH)
            next_taken = np.minimum(next_taken, first[:, None])
        return next_taken

    def first_eligible(self, need_wu: float, short_wu_s: float, long_wu_s: float) -> npt.NDArray[np.intp]:
        """Return the index of the first block of each path in which there is room; `DEPTH`: in none.

        Args:
            need_wu: weight in front, and its own.
            short_wu_s: weight that arrives in front in a second, as lately.
            long_wu_s: the same, as over half a day.
        """
        inflow_wu_s = short_wu_s + (long_wu_s - short_wu_s) * self._long_share
        longest_s = (self._room_wu - need_wu) / np.maximum(inflow_wu_s, _LEAST_WU_S)
        is_eligible = self._grown_s <= longest_s.astype(np.float32)
        first: npt.NDArray[np.intp] = is_eligible.argmax(axis=1)
        first[~is_eligible[self._rows, first]] = DEPTH
        return first

    def row(
        self, rate_sat_vb: float, weight_wu: float, corrections: Corrections, next_taken: npt.NDArray[np.intp]
    ) -> Row:
        """Return what the paths say of one rate.

        Args:
            rate_sat_vb: effective rate.
            weight_wu: its own.
            corrections: inclusion and acceleration, and for the minutes what outlives a block.
            next_taken: what `taken_after` gave for them.
        """
        market = self._market
        need_wu = market.ahead_wu(rate_sat_vb) + weight_wu
        short_wu_s, long_wu_s = market.inflow_above_wu_s(rate_sat_vb)
        first = self.first_eligible(need_wu, short_wu_s, long_wu_s)
        eligible = np.bincount(first, minlength=DEPTH + 1)[:DEPTH] / self._count
        long_share = 1 - (1 - 1 / _INFLOW_BLOCKS) ** 2
        next_wu_s = (1 - long_share) * short_wu_s + long_share * long_wu_s
        nodes = self._paths.nodes
        exact = sum(closed_form_next_block(market, need_wu, next_wu_s, self._age_s, g) for g in nodes)
        within = [float(p) for p in np.cumsum(eligible)]
        within[0] = exact / len(nodes)
        within = list(accumulate(within, max))
        taken = next_taken[self._rows, first]
        return Row(
            _thinned(within, corrections.inclusion, corrections.accelerated),
            self._quantiles_s(taken, 1 - corrections.replaced - corrections.dropped),
        )

    def _quantiles_s(self, taken: npt.NDArray[np.intp], outlives: float) -> tuple[float, ...]:
        """Return quantiles of the seconds until confirmation, of what is not replaced or dropped before.

        Who waits long is confirmed only if it outlives that, so each path counts by the probability that it
        does. What ends before the first block is missing everywhere alike.

        Args:
            taken: index of the block that takes it, for each path; `DEPTH`: none does.
            outlives: probability of outliving a block that did not take it.
        """
        survival = max(outlives, _LEAST_OUTLIVES) ** np.arange(DEPTH + 1)
        mass = np.bincount(self._paths.bins[self._rows, taken], survival[taken], minlength=_BINS + 1)
        within = np.cumsum(mass)
        quantiles = []
        for wanted in _QUANTILES:
            bin_ = int(np.searchsorted(within, wanted * within[-1]))
            if bin_ >= _BINS:
                quantiles.append(_NEVER)
                continue
            share = 1 - (float(within[bin_]) - wanted * float(within[-1])) / float(mass[bin_])
            low, high = (exp(_SHORTEST + edge / _BINS_BY_E) for edge in (bin_, bin_ + 1))
            quantiles.append((low + share * (high - low)) * self._market.tau_s)
        return tuple(quantiles)


def _thinned(within: Sequence[float], inclusion: float, accelerated: float) -> list[float]:
    """Return P(N <= k) when a block takes what is eligible, and what is not, with given probabilities."""
    passed_over = (1 - accelerated) * (1 - inclusion)
    eligible = before = 0.0
    unhurried = 1.0
    taken = []
    for p in within:
        eligible = (eligible + (p - before) * unhurried) * passed_over
        before = p
        unhurried *= 1 - accelerated
        taken.append(1 - eligible - (1 - p) * unhurried)
    return list(accumulate(taken, max))


def compete(within: Sequence[float], corrections: Corrections) -> tuple[tuple[float, ...], float, float]:
    """Let other ends compete with confirmation.

    Args:
        within: P(N <= k) without them.
        corrections: the other ends.

    Returns:
        P(confirmed within k), P(replaced) and P(dropped) within `ENDS_HORIZON` blocks.
    """
    by_block: list[float] = []
    replaced, dropped = corrections.replaced, corrections.dropped
    p_replaced, p_dropped = corrections.replaced_at_once, corrections.dropped_at_once
    confirmed = before = 0.0
    surviving = 1 - p_replaced - p_dropped
    for block, p in enumerate(within, 1):
        confirmed += (p - before) * surviving
        before = p
        by_block.append(confirmed)
        if block <= ENDS_HORIZON:
            p_replaced += (1 - p) * surviving * replaced
            p_dropped += (1 - p) * surviving * dropped
        surviving *= 1 - replaced - dropped
    return tuple(by_block), p_replaced, p_dropped


def estimate_confirmation(
    market: FeeMarket,
    paths: Paths,
    rate_sat_vb: float,
    weight_wu: float,
    *,
    age_s: float = 0.0,
    corrections: Corrections = NO_CORRECTIONS,
) -> ConfirmationEstimate:
    """Return what becomes of a transaction, computed for it alone.

    Args:
        market: at the moment.
        paths: chance; the same for all that are to be compared.
        rate_sat_vb: effective rate.
        weight_wu: its own.
        age_s: for how long it has been known.
        corrections: what the plain model leaves out.
    """
    passage = FirstPassage(market, paths, age_s)
    next_taken = passage.taken_after(corrections.inclusion, corrections.accelerated)
    row = passage.row(rate_sat_vb, weight_wu, corrections, next_taken)
    best = passage.row(MAX_RATE_SAT_VB, weight_wu, corrections, next_taken)
    return _estimate(market.tip, _no_sooner(row, best), corrections)


def _estimate(tip: Height, row: Row, corrections: Corrections) -> ConfirmationEstimate:
    by_block, p_replaced, p_dropped = compete(row.within, corrections)
    p50_s, p90_s = (None if q == _NEVER else q for q in row.quantiles_s)
    return ConfirmationEstimate(tip, by_block, p_replaced, p_dropped, p50_s, p90_s)


class ConfirmationTable:
    """Estimates for all buckets of rates, so that one for a transaction of age 0 is a look-up.

    A row serves the buckets above its own for as long as what is in front of them stays nearly the same: it
    says at most `_LIKE` / e less for each of what waits and what arrives, and where a block becomes possible
    that was not, a new row begins. The weight of the transaction itself is left out, unless it is a
    noticeable part of a block: then its estimate is computed for it alone.

    Rows are computed when the first is asked for, or by `filled`.

    Args:
        market: at the moment.
        paths: chance.
        corrections: by standing; their inclusion is the same, and nothing is accelerated.
    """

    def __init__(self, market: FeeMarket, paths: Paths, corrections: Sequence[Corrections]) -> None:
        self.market = market
        self._corrections = corrections
        self._passage = FirstPassage(market, paths)
        self._next_taken = self._passage.taken_after(corrections[0].inclusion, 0.0)
        self._rows: list[Row] = []

    def filled(self) -> "ConfirmationTable":
        """Return it with its rows computed.

        Of who stands low only the quick are confirmed; the others are replaced or dropped before. Still their
        minutes are not made shorter than of any higher rate: to pay less is never said to be faster.
        """
        if self._rows:
            return self
        market, begins = self.market, []
        begun: tuple[int, tuple[float, float, float]] | None = None
        for bucket in range(BUCKETS):
            rate = rate_of(bucket)
            standing, front = market.standing(rate), (market.ahead_wu(rate), *market.inflow_above_wu_s(rate))
            if begun is None or begun[0] != standing or not _is_like(begun[1], front, market):
                begun = (standing, front)
                begins.append(bucket)
        rows: list[Row] = []
        last, row = BUCKETS, None
        for bucket in reversed(begins):
            row = _no_sooner(self._alone(rate_of(bucket), 0.0), row)
            rows += [row] * (last - bucket)
            last = bucket
        self._rows = rows[::-1]
        return self

    def estimate(self, rate_sat_vb: float, weight_wu: float = 0.0) -> ConfirmationEstimate:
        """Return the estimate for a transaction just seen.

        Args:
            rate_sat_vb: effective rate.
            weight_wu: its own.
        """
        self.filled()
        row = self._rows[bucket_of(rate_sat_vb)]
        if weight_wu > _HEAVY_SHARE * self.market.capacity_wu:
            row = _no_sooner(self._alone(rate_sat_vb, weight_wu), row)
        return _estimate(self.market.tip, row, self._corrections[self.market.standing(rate_sat_vb)])

    def _alone(self, rate_sat_vb: float, weight_wu: float) -> Row:
        corrections = self._corrections[self.market.standing(rate_sat_vb)]
        return self._passage.row(rate_sat_vb, weight_wu, corrections, self._next_taken)


def _no_sooner(row: Row, than: Row | None) -> Row:
    return (
        row if than is None else row._replace(quantiles_s=tuple(map(max, row.quantiles_s, than.quantiles_s)))
    )


def _is_like(begun: tuple[float, float, float], front: tuple[float, float, float], market: FeeMarket) -> bool:
    """Return whether a row begun at a lower rate serves.

    P(next block) is 1 - exp(-x), x = room / (inflow * tau), so its slope is at most 1 / (e * room) in the
    room and 1 / e in the logarithm of the inflow; later blocks are less sharp.

    Args:
        begun: weight in front where it begins, and what arrives there in a second: lately, over half a day.
        front: the same at the higher rate.
        market: of both.
    """
    blocks = ceil(begun[0] / market.capacity_wu)
    if ceil(front[0] / market.capacity_wu) != blocks:
        return begun == front
    room_wu = blocks * market.capacity_wu - begun[0] if begun[0] > 0 else market.capacity_wu
    return begun[0] - front[0] <= _LIKE * room_wu and all(
        before - now <= _LIKE * max(before, room_wu / market.tau_s)
        for before, now in zip(begun[1:], front[1:], strict=True)
    )
