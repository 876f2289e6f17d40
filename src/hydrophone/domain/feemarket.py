"""The fee market: what waits for a block, what keeps arriving, and what was mined lately.

Rates live in buckets of one per cent, from 0.05 to 10,000 sat/vB; what is outside counts in the outermost.
The watch follows the market by what a source says; a `FeeMarket` is what it shows at a moment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, pairwise
from math import exp, expm1, floor, log
from typing import Any, Final, NamedTuple

from hydrophone.domain.units import MICROS_PER_S, FeeRate, Height, UnixMicros

MIN_RATE_SAT_VB: Final = 0.05
MAX_RATE_SAT_VB: Final = 10_000.0
"""# chosen: half of the least rate that nodes relay by default (Bitcoin Core 29.1), and above any bid."""
_PER_E: Final = 100
"""Buckets by factor e, so that one is about a per cent wide. # chosen: finer than wallets bid."""
_LOWEST: Final = floor(_PER_E * log(MIN_RATE_SAT_VB))
BUCKETS: Final = floor(_PER_E * log(MAX_RATE_SAT_VB)) - _LOWEST + 1

_BELOW_SHARES: Final = (0.9, 0.6, 0.2)
"""# chosen: a full mempool drops its lowest fifth within minutes, and nobody whom nine tenths are below."""
STANDINGS: Final = tuple(range(2 + len(_BELOW_SHARES)))
"""Where a rate can stand in what waits: 0 is in the next template, the last is dropped first."""

CAPACITY_WU: Final = 3_992_000
"""Room of a block beside header and coinbase. Sources: Bitcoin Core, policy.h, DEFAULT_BLOCK_MAX_WEIGHT."""
TARGET_INTERVAL_S: Final = 600.0
"""Sources: Bitcoin Core, consensus parameters, nPowTargetSpacing."""
TEMPLATE_LAG_S: Final = 30.0
"""Age below which a transaction is not yet in miners' templates. # chosen: of high fees in December 2014
none younger than 15 s was mined, 57 % of those between 30 and 60 s, 92 % above."""

_TAU_BLOCKS: Final = 144
_TAU_WEIGHT: Final = 72
"""The mean interval is that of a day, pulled to the target as by half a day. # chosen."""
_TAU_DOUBT: Final = log(1e6)
"""# chosen: a chain whose intervals the target would give less than once in a million is believed alone: a
simulation or a test network."""
_TAU_LEAST_LONG: Final = 20
"""# chosen: so many intervals before a chain is believed to be slower; one may be a clock's, or luck."""
_CLOCK_S: Final = 7_200.0
"""Miners' clocks differ by as much. Sources: Bitcoin Core, chain.h, MAX_FUTURE_BLOCK_TIME."""
_LONGEST_S: Final = 14 * TARGET_INTERVAL_S + _CLOCK_S
"""# chosen: the target gives longer ones once in a million, and a clock may lie; what is beyond comes after a
genesis block, or while a chain stood still."""
SHORT_HALF_LIFE_S: Final = 15 * 60.0
LONG_HALF_LIFE_S: Final = 12 * 3_600.0
"""How fast averages of the inflow forget. # chosen: a burst, and half a day."""
_LEAST_LISTENED_S: Final = 60.0
"""# chosen: an average over less than a minute would be noise."""
_AVERAGED_EVERY_S: Final = 5.0
"""# chosen: what came within so long is dated alike; nothing beside a half-life of minutes."""
_MINED_BLOCKS: Final = 6
"""# chosen: the last hour is what a fee is compared with."""
_REBASE: Final = 50.0
"""# chosen: factors of the averages stay below e^50, far from overflow."""


def bucket_of(rate_sat_vb: float) -> int:
    """Return the bucket of a rate, 0 for the lowest; any float has one, also NaN (the lowest)."""
    if not rate_sat_vb > MIN_RATE_SAT_VB:
        return 0
    if rate_sat_vb >= MAX_RATE_SAT_VB:
        return BUCKETS - 1
    return floor(_PER_E * log(rate_sat_vb)) - _LOWEST


def rate_of(bucket: int) -> FeeRate:
    """Return the rate in the (geometric) middle of a bucket."""
    return FeeRate(exp((bucket + _LOWEST + 0.5) / _PER_E))


class RateProfile(NamedTuple):
    """The rates of a block, mined or to come, as mempool.space tells them.

    Attributes:
        weight_wu: of its transactions.
        range_sat_vb: lowest, 10th, 25th, 50th, 75th, 90th percentile, highest.
    """

    weight_wu: float
    range_sat_vb: tuple[float, ...]


_RANGE_SHARES: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
RANGE_LENGTH: Final = len(_RANGE_SHARES)


def histogram_of(profiles: Iterable[RateProfile]) -> list[float]:
    """Return the weight in each bucket: between two percentiles it is spread evenly over the logarithm."""
    histogram = [0.0] * BUCKETS
    for profile in profiles:
        buckets = sorted(map(bucket_of, profile.range_sat_vb))
        for (first, last), (lower, upper) in zip(pairwise(buckets), pairwise(_RANGE_SHARES), strict=True):
            each_wu = profile.weight_wu * (upper - lower) / (last - first + 1)
            for bucket in range(first, last + 1):
                histogram[bucket] += each_wu
    return histogram


def _from_rates(pairs: Iterable[tuple[float, float]]) -> list[float]:
    histogram = [0.0] * BUCKETS
    for rate_sat_vb, amount in pairs:
        histogram[bucket_of(rate_sat_vb)] += amount
    return histogram


class _Above:
    """Sums of a histogram above a rate, half of the rate's own bucket included."""

    __slots__ = ("_own", "_suffix")

    def __init__(self, histogram: Sequence[float]) -> None:
        self._own = histogram
        sums = list(accumulate(reversed(histogram)))
        self._suffix = [*reversed(sums), 0.0]

    def __call__(self, bucket: int) -> float:
        return self._suffix[bucket + 1] + self._own[bucket] / 2

    @property
    def total(self) -> float:
        return self._suffix[0]


@dataclass(frozen=True)
class FeeMarket:
    """The market at a moment.

    Attributes:
        at: when.
        tip: height of the newest block.
        waiting_wu: weight that waits, by bucket.
        inflow_wu_s: weight that arrives in a second, by bucket: as lately.
        long_inflow_wu_s: the same, as over half a day.
        mined_wu: weight of the last blocks and of the next, by bucket; empty: no block is known.
        tau_s: mean seconds between blocks.
        template_lag_s: age below which a transaction is in no template.
        capacity_wu: room of a block.
    """

    at: UnixMicros
    tip: Height
    waiting_wu: Sequence[float]
    inflow_wu_s: Sequence[float]
    long_inflow_wu_s: Sequence[float]
    mined_wu: Sequence[float] = ()
    tau_s: float = TARGET_INTERVAL_S
    template_lag_s: float = TEMPLATE_LAG_S
    capacity_wu: float = CAPACITY_WU

    @classmethod
    def from_rates(
        cls,
        waiting: Iterable[tuple[float, float]],
        inflow: Iterable[tuple[float, float]],
        *,
        tip: Height,
        tau_s: float = TARGET_INTERVAL_S,
        template_lag_s: float = TEMPLATE_LAG_S,
        long_inflow: Iterable[tuple[float, float]] | None = None,
        mined: Iterable[tuple[float, float]] | None = None,
    ) -> "FeeMarket":
        """Return a market given by rates.

        Args:
            waiting: pairs of sat/vB and WU.
            inflow: pairs of sat/vB and WU in a second.
            tip: height of the newest block.
            tau_s: mean seconds between blocks.
            template_lag_s: age below which a transaction is in no template.
            long_inflow: as `inflow`, over half a day; None: the same.
            mined: pairs of sat/vB and WU of the last blocks; None: they are not known.
        """
        arriving = _from_rates(inflow)
        return cls(
            at=UnixMicros(0),
            tip=tip,
            waiting_wu=_from_rates(waiting),
            inflow_wu_s=arriving,
            long_inflow_wu_s=arriving if long_inflow is None else _from_rates(long_inflow),
            mined_wu=() if mined is None else _from_rates(mined),
            tau_s=tau_s,
            template_lag_s=template_lag_s,
        )

    @cached_property
    def _ahead(self) -> _Above:
        return _Above(self.waiting_wu)

    @cached_property
    def _arriving(self) -> tuple[_Above, _Above]:
        return _Above(self.inflow_wu_s), _Above(self.long_inflow_wu_s)

    @cached_property
    def _mined(self) -> _Above:
        return _Above(self.mined_wu or [0.0] * BUCKETS)

    def ahead_wu(self, rate_sat_vb: float) -> float:
        """Return the weight that waits in front of a rate: what pays more, and half of its own bucket."""
        return self._ahead(bucket_of(rate_sat_vb))

    def inflow_above_wu_s(self, rate_sat_vb: float) -> tuple[float, float]:
        """Return what arrives in front of a rate in a second: lately, and over half a day."""
        bucket = bucket_of(rate_sat_vb)
        lately, long = self._arriving
        return lately(bucket), long(bucket)

    @property
    def total_waiting_wu(self) -> float:
        """Weight of all that waits."""
        return self._ahead.total

    @cached_property
    def marginal_rate_sat_vb(self) -> FeeRate | None:
        """The least rate that is in the next template, were it made now; None when nothing waits."""
        ahead_wu, lowest = 0.0, None
        for bucket in range(BUCKETS - 1, -1, -1):
            if self.waiting_wu[bucket] > 0:
                lowest = bucket
                ahead_wu += self.waiting_wu[bucket]
                if ahead_wu >= self.capacity_wu:
                    break
        return None if lowest is None else rate_of(lowest)

    def standing(self, rate_sat_vb: float) -> int:
        """Return where a rate stands, one of `STANDINGS`: outside the next template, by what is below it."""
        marginal = self.marginal_rate_sat_vb
        if marginal is None or bucket_of(rate_sat_vb) >= bucket_of(marginal):
            return 0
        below = 1 - self.ahead_wu(rate_sat_vb) / self._ahead.total
        return 1 + sum(below < share for share in _BELOW_SHARES)

    def after(self, tip: Height) -> "FeeMarket":
        """Return it as it is after blocks of which nobody has told yet what they left waiting.

        Each is taken to have mined the dearest that waited, as much as fits.

        Args:
            tip: height of the newest of them; not above the own tip: a reorganisation, nothing was mined.
        """
        room_wu = max(0, tip - self.tip) * self.capacity_wu
        waiting_wu = list(self.waiting_wu)
        for bucket in range(BUCKETS - 1, -1, -1):
            mined_wu = min(room_wu, waiting_wu[bucket])
            waiting_wu[bucket] -= mined_wu
            room_wu -= mined_wu
        return replace(self, tip=tip, waiting_wu=waiting_wu)

    @property
    def has_mined(self) -> bool:
        """Whether any block is known whose rates were told."""
        return bool(self.mined_wu)

    def share_paying_less(self, rate_sat_vb: float) -> float:
        """Return the share of the last blocks' and the next template's weight that pays at most a rate.

        1.0 when they are known and empty: any rate is enough then.
        """
        total_wu = self._mined.total
        if total_wu <= 0:
            return 1.0
        return min(1.0, max(0.0, 1 - self._mined(bucket_of(rate_sat_vb)) / total_wu))

    def summed(self) -> "FeeMarket":
        """Return it with all its sums made, so that nobody who asks for one waits a millisecond."""
        _ = self.marginal_rate_sat_vb, self._arriving, self._mined
        return self

    def as_json(self, *, merged: int = 1) -> dict[str, Any]:
        """Return it as it is served, and as `hydrophone estimate 5 --market FILE` reads it.

        Args:
            merged: so many buckets become one.
        """
        return {
            "tip": self.tip,
            "tau_s": round(self.tau_s, 3),
            "template_lag_s": self.template_lag_s,
            "waiting": _pairs(self.waiting_wu, merged),
            "inflow": _pairs(self.inflow_wu_s, merged),
            "inflow_long": _pairs(self.long_inflow_wu_s, merged),
            "mined": _pairs(self.mined_wu, merged),
        }


_PAIR_DECIMALS: Final = 4


def _pairs(histogram: Sequence[float], merged: int) -> list[list[float]]:
    sums = ((first, sum(histogram[first : first + merged])) for first in range(0, len(histogram), merged))
    return [
        [round(rate_of(first + merged // 2), _PAIR_DECIMALS), round(amount, _PAIR_DECIMALS)]
        for first, amount in sums
        if round(amount, _PAIR_DECIMALS) > 0
    ]


class _InflowAverage:
    """An average by bucket that forgets exponentially."""

    def __init__(self, half_life_s: float) -> None:
        self._decay = log(2) / half_life_s
        self._sums = [0.0] * BUCKETS
        self._zero_s = 0.0

    def add(self, arrived_wu: Sequence[float], clock_s: float) -> None:
        age = self._decay * (clock_s - self._zero_s)
        if age > _REBASE:
            factor = exp(-age)
            self._sums = [wu * factor for wu in self._sums]
            self._zero_s, age = clock_s, 0.0
        factor = exp(age)
        self._sums = [wu + new_wu * factor for wu, new_wu in zip(self._sums, arrived_wu, strict=True)]

    def rates(self, clock_s: float) -> list[float]:
        """Return WU in a second by bucket."""
        listened_s = max(clock_s, _LEAST_LISTENED_S)
        factor = (
            self._decay * exp(-self._decay * (clock_s - self._zero_s)) / -expm1(-self._decay * listened_s)
        )
        return [wu * factor for wu in self._sums]


@dataclass(slots=True)
class _KnownBlock:
    found_at: UnixMicros
    profile: RateProfile | None


@dataclass(slots=True)
class FeeMarketWatch:
    """Follows the market of one source.

    Attributes:
        capacity_wu: room of a block.
        tip: height of the newest block; None before there is one.
        projected: the blocks to come as the source last told them; None: it has not, or we were blind since.
    """

    capacity_wu: float = CAPACITY_WU
    tip: Height | None = None
    projected: Sequence[RateProfile] | None = None
    _blocks: dict[Height, _KnownBlock] = field(default_factory=dict)
    _short: _InflowAverage = field(default_factory=lambda: _InflowAverage(SHORT_HALF_LIFE_S))
    _long: _InflowAverage = field(default_factory=lambda: _InflowAverage(LONG_HALF_LIFE_S))
    _arrived_wu: list[float] = field(default_factory=lambda: [0.0] * BUCKETS)
    _clock_s: float = 0.0
    _averaged_s: float = 0.0
    _last_at: UnixMicros | None = None

    def arrive(self, rates_sat_vb: Iterable[float], weights_wu: Iterable[int], at: UnixMicros) -> None:
        """Take account of transactions that came; a replacement counts as it comes.

        Args:
            rates_sat_vb: effective rate of each.
            weights_wu: of each.
            at: when they were announced.
        """
        self._advance(at)
        if self._clock_s >= self._averaged_s + _AVERAGED_EVERY_S:
            self._average()
        arrived, least, most, per_e, lowest = (
            self._arrived_wu, MIN_RATE_SAT_VB, MAX_RATE_SAT_VB, _PER_E, _LOWEST
        )  # fmt: skip
        # `bucket_of`, spelled out: a call costs as much again, and all transactions come along here.
        for rate_sat_vb, weight_wu in zip(rates_sat_vb, weights_wu, strict=True):
            if least < rate_sat_vb < most:
                arrived[int(per_e * log(rate_sat_vb) - lowest)] += weight_wu
            else:
                arrived[bucket_of(rate_sat_vb)] += weight_wu

    def project(self, projected: Sequence[RateProfile], at: UnixMicros) -> None:
        """Replace what waits by what the source projects."""
        self._advance(at)
        self.projected = projected

    def connect(self, height: Height, found_at: UnixMicros, profile: RateProfile | None) -> None:
        """Take a block in; what was at its height or above is no longer in the chain.

        Args:
            height: its height.
            found_at: when it was found, as its header says.
            profile: its rates; None when the source did not tell.
        """
        self._blocks = {h: b for h, b in self._blocks.items() if height - _TAU_BLOCKS <= h < height}
        self._blocks[height] = _KnownBlock(found_at, profile)
        self.tip = height

    def go_blind(self, started_at: UnixMicros, at: UnixMicros) -> None:
        """Forget what waited; time in which nothing was heard does not count as time without arrivals."""
        self._advance(started_at)
        self._last_at = at
        self.projected = None

    def show(self, at: UnixMicros) -> FeeMarket | None:
        """Return the market now; None while a block or what waits is unknown."""
        if self.tip is None or self.projected is None:
            return None
        self._advance(at)
        self._average()
        mined = [b.profile for b in list(self._blocks.values())[-_MINED_BLOCKS:] if b.profile is not None]
        return FeeMarket(
            at=at,
            tip=self.tip,
            waiting_wu=histogram_of(self.projected),
            inflow_wu_s=self._short.rates(self._clock_s),
            long_inflow_wu_s=self._long.rates(self._clock_s),
            mined_wu=histogram_of([*mined, *self.projected[:1]]) if mined else (),
            tau_s=self._tau_s(),
            capacity_wu=self.capacity_wu,
        )

    def _advance(self, at: UnixMicros) -> None:
        """Let time pass; a clock that was set back stands still."""
        if self._last_at is None:
            self._last_at = at
        passed = at - self._last_at
        if passed > 0:
            self._clock_s += passed / MICROS_PER_S
            self._last_at = at

    def _average(self) -> None:
        for average in (self._short, self._long):
            average.add(self._arrived_wu, self._clock_s)
        self._arrived_wu = [0.0] * BUCKETS
        self._averaged_s = self._clock_s

    def _tau_s(self) -> float:
        intervals = [
            (after.found_at - before.found_at) / MICROS_PER_S
            for (low, before), (high, after) in pairwise(self._blocks.items())
            if high == low + 1
        ]
        return mean_interval_s(intervals)


def mean_interval_s(intervals_s: Sequence[float]) -> float:
    """Return the mean seconds between blocks, pulled to ten minutes.

    Args:
        intervals_s: between successive headers; single ones may be negative, as miners' clocks differ.
    """
    count = len(intervals_s)
    bounded_s = [min(_LONGEST_S, max(-_CLOCK_S, interval_s)) for interval_s in intervals_s]
    if count:
        # A header that is ahead at the window's start, or behind at its end, makes no chain faster.
        forward_s = max(sum(max(0.0, interval_s) for interval_s in bounded_s), float(count))
        ratio = forward_s / count / TARGET_INTERVAL_S
        # Chernoff: the chance of a sum of exponentials so far from its mean is below exp(-this).
        is_doubtful = count * (ratio - 1 - log(ratio)) > _TAU_DOUBT
        if is_doubtful and (ratio < 1 or count >= _TAU_LEAST_LONG):
            return forward_s / count
    total_s = max(sum(bounded_s), float(count))
    return (total_s + _TAU_WEIGHT * TARGET_INTERVAL_S) / (count + _TAU_WEIGHT)
