"""What is learned from outcomes: how often blocks take what they should, other ends, and recalibration.

One small state, renewed with each block, that forgets with a half-life of a thousand blocks. It is written
down as JSON and named by its hash, so that a signal can say which state it was computed with.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import exp, log, log1p
from typing import Any, Final, NamedTuple

from hydrophone.domain.confirmation import HORIZONS, ConfirmationEstimate, Corrections
from hydrophone.domain.feemarket import STANDINGS, FeeMarket
from hydrophone.domain.units import MICROS_PER_S, Height, Txid, UnixMicros

VERSION: Final = 2
"""Of the meaning of the state; one of another version is not used."""
SCORED_BLOCKS: Final = 500
"""Before so many the answer is "uncalibrated": nothing is mended on less. # chosen."""
HALF_LIFE_BLOCKS: Final = 1_000
"""# chosen: a week."""
CLAIMS_BY_BLOCK: Final = 300
"""# chosen: so many predictions made between two blocks are enough to learn from; the rest is not kept."""

_MOST_FOLLOWED: Final = 5_000
"""# chosen: to look at all with each block takes 5 ms; the oldest that all horizons have scored gives way."""
_KEPT: Final = 0.5 ** (1 / HALF_LIFE_BLOCKS)
_PRIOR_WEIGHT: Final = 20.0
"""The weight of 200 blocks, each of which tells about a tenth of a unit. # chosen."""
_IDENTITY: Final = (1.0, 1.0, 0.0)
_LEAST_SLOPE: Final = 0.05
"""Slopes stay positive, so that a mended probability never falls as the plain one rises."""
_LEAST_P: Final = 1e-4
_TOP_SHARE: Final = 0.9
_OLD_ENOUGH_S: Final = 120.0
"""# chosen: in the top nine tenths of a template and two minutes old, it should be mined."""
_ETA_STEP: Final = 0.02
_ETA_MISSES: Final = (0.5, 0.1)
"""Shares of confirmations that come after P50 and after P90."""
_ETA_LIMIT: Final = log(2)
_ETA_LARGEST: Final = 0.05
"""P50 and P90 are never more than doubled or halved; an average block moves them by 2 % at most, any by 5.
# chosen."""
_MOST_COUNTED: Final = 1e9
"""# chosen: no count, slope or shift that outcomes lead to comes near."""


class Group(NamedTuple):
    """Whose other ends are counted together.

    Attributes:
        standing: of its rate, as in `FeeMarket.standing`.
        is_replacement: whether it replaced something itself.
    """

    standing: int
    is_replacement: bool


_GROUPS: Final = tuple(Group(standing, again) for standing in STANDINGS for again in (False, True))


class Ends(NamedTuple):
    """Counts, forgetting, of waits from one block to the next and of how some ended.

    Attributes:
        exposed: waits that began with a block which did not take the transaction.
        replaced: of them, ended by a replacement.
        dropped: of them, ended otherwise.
        begun: waits that began with the announcement.
        replaced_at_once: of those, ended by a replacement.
        dropped_at_once: of those, ended otherwise.
    """

    exposed: float = 100.0
    replaced: float = 0.5
    dropped: float = 0.05
    begun: float = 100.0
    replaced_at_once: float = 0.5
    dropped_at_once: float = 0.05


_PRIOR_ENDS: Final = Ends()
"""As if .005 of 100 had been replaced and .0005 dropped. # chosen: a prior guess; full RBF is the default, so
it is never 0; Bitcoin Core drops what is two weeks old."""
_KINDS: Final = (
    ("replaced", "exposed"),
    ("dropped", "exposed"),
    ("replaced_at_once", "begun"),
    ("dropped_at_once", "begun"),
)
"""Each end and what it is counted among."""


class Calibration(NamedTuple):
    """Beta calibration of one horizon: logit p' = a ln p - b ln(1 - p) + d.

    Attributes:
        a: slope.
        b: slope.
        d: shift.
        information: 3 x 3, row by row: how much the data said.

    **Sources**: Kull, Silva Filho, Flach (2017), Beta calibration.
    """

    a: float = 1.0
    b: float = 1.0
    d: float = 0.0
    information: tuple[float, ...] = (0.0,) * 9

    def __call__(self, p: float) -> float:
        """Return the mended probability."""
        x = _features(p)
        return _sigmoid(self.a * x[0] + self.b * x[1] + self.d)

    @property
    def is_sound(self) -> bool:
        """Whether it rises, and can be learned from: the data said less than nothing in no direction."""
        numbers = (self.a, self.b, self.d, *self.information)
        if not all(abs(number) <= _MOST_COUNTED for number in numbers) or min(self.a, self.b) < _LEAST_SLOPE:
            return False
        return all(pivot > 0 for pivot in _pivots(self._weighted(self.information)))

    @staticmethod
    def _weighted(information: Sequence[float]) -> list[float]:
        return [value + (_PRIOR_WEIGHT if i % 4 == 0 else 0.0) for i, value in enumerate(information)]

    def learned(self, scored: Sequence[tuple[float, bool]], typical_count: float) -> "Calibration":
        """Return it after one block: one Newton step, pulled to the identity.

        Each prediction counts the same, whether its block was long in coming (so that many waited for it) or
        not; together those of an average block count as one, as they share its luck.

        Args:
            scored: probabilities and whether it came true, of one block.
            typical_count: how many a block has on average.
        """
        gradient, news = [0.0] * 3, [0.0] * 9
        for p, came_true in scored:
            x = _features(p)
            mended = self(p)
            for i in range(3):
                gradient[i] += (came_true - mended) * x[i] / typical_count
                for j in range(3):
                    news[3 * i + j] += mended * (1 - mended) * x[i] * x[j] / typical_count
        information = tuple(_KEPT * old + new for old, new in zip(self.information, news, strict=True))
        theta = (self.a, self.b, self.d)
        pull = [(1 - _KEPT) * _PRIOR_WEIGHT * (start - t) for start, t in zip(_IDENTITY, theta, strict=True)]
        step = _solve(self._weighted(information), [g + p for g, p in zip(gradient, pull, strict=True)])
        a, b, d = (t + s for t, s in zip(theta, step, strict=True))
        return Calibration(max(a, _LEAST_SLOPE), max(b, _LEAST_SLOPE), d, information)


def _features(p: float) -> tuple[float, float, float]:
    clipped = min(max(p, _LEAST_P), 1 - _LEAST_P)
    return log(clipped), -log1p(-clipped), 1.0


def _sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def _eliminate(matrix: Sequence[float], right: Sequence[float]) -> list[list[float]]:
    rows = [[*matrix[3 * i : 3 * i + 3], right[i]] for i in range(3)]
    for i in range(3):
        for j in range(i + 1, 3):
            factor = rows[j][i] / rows[i][i]
            rows[j] = [a - factor * b for a, b in zip(rows[j], rows[i], strict=True)]
    return rows


def _pivots(matrix: Sequence[float]) -> list[float]:
    """Return what a 3 x 3 matrix is divided by when it is solved; where that is 0, zeros."""
    try:
        rows = _eliminate(matrix, [0.0] * 3)
    except ZeroDivisionError:
        return [0.0] * 3
    return [rows[i][i] for i in range(3)]


def _solve(matrix: Sequence[float], right: Sequence[float]) -> list[float]:
    """Return x of matrix x = right: 3 x 3, symmetric, positive definite, so no pivoting is needed."""
    rows = _eliminate(matrix, right)
    x = [0.0] * 3
    for i in (2, 1, 0):
        known = sum(rows[i][j] * x[j] for j in range(i + 1, 3))
        x[i] = (rows[i][3] - known) / rows[i][i]
    return x


@dataclass(frozen=True)
class ModelState:
    """All that was learned.

    Attributes:
        scored_blocks: so many blocks told whether predictions came true.
        counted_blocks: the same, forgetting.
        counted_claims: predictions they told of, forgetting.
        taken: by blocks, of what they should take; begins as 48 of 50.
        passed_over: by blocks, of the same.
        ends: other ends by group.
        calibrations: by horizon.
        eta_log_factors: logarithms of the factors on the minutes P50 and P90.
    """

    scored_blocks: int = 0
    counted_blocks: float = 0.0
    counted_claims: float = 0.0
    taken: float = 48.0
    passed_over: float = 2.0
    ends: Mapping[Group, Ends] = field(default_factory=lambda: dict.fromkeys(_GROUPS, _PRIOR_ENDS))
    calibrations: Mapping[int, Calibration] = field(
        default_factory=lambda: dict.fromkeys(HORIZONS, Calibration())
    )
    eta_log_factors: tuple[float, float] = (0.0, 0.0)

    @property
    def is_calibrated(self) -> bool:
        """Whether enough was scored to mend probabilities."""
        return self.scored_blocks >= SCORED_BLOCKS

    @property
    def inclusion(self) -> float:
        """Probability that a block takes what it should."""
        return self.taken / (self.taken + self.passed_over)

    @property
    def eta_factors(self) -> tuple[float, float]:
        """Factors on the minutes P50 and P90; 1 before there is enough to learn them from."""
        p50, p90 = self.eta_log_factors
        return (exp(p50), exp(p90)) if self.is_calibrated else (1.0, 1.0)

    def corrections(self, group: Group, *, accelerated: float = 0.0) -> Corrections:
        """Return what the plain model leaves out.

        Who pays less is never less likely to be replaced or dropped, else a higher rate could make an
        estimate slower: where the counts say otherwise they are pooled.
        """
        ends = [self.ends[Group(standing, group.is_replacement)] for standing in STANDINGS]
        rates = {}
        for kind, among in _KINDS:
            pairs = [(getattr(e, kind), getattr(e, among)) for e in ends]
            rates[kind] = _never_falling(pairs)[group.standing]
        return Corrections(self.inclusion, accelerated=accelerated, **rates)

    @property
    def corrections_by_standing(self) -> tuple[Corrections, ...]:
        """Of what replaces nothing."""
        return tuple(self.corrections(Group(standing, is_replacement=False)) for standing in STANDINGS)

    def mend(self, estimate: ConfirmationEstimate) -> ConfirmationEstimate:
        """Return an estimate recalibrated, or as it is while too little was scored."""
        return estimate.recalibrated(self.calibrate, self.eta_factors) if self.is_calibrated else estimate

    def calibrate(self, blocks: int, p: float) -> float:
        """Return the mended probability of any horizon: between two that are learned, between theirs."""
        below = max((h for h in HORIZONS if h <= blocks), default=HORIZONS[0])
        above = min((h for h in HORIZONS if h >= blocks), default=HORIZONS[-1])
        low = self.calibrations[below](p)
        if above <= below:
            return low
        share = (blocks - below) / (above - below)
        return low + share * (self.calibrations[above](p) - low)

    def as_json(self) -> dict[str, Any]:
        """Return it for the store."""
        return {
            "version": VERSION,
            "scored_blocks": self.scored_blocks,
            "counted_blocks": self.counted_blocks,
            "counted_claims": self.counted_claims,
            "taken": self.taken,
            "passed_over": self.passed_over,
            "ends": {f"{g.standing:d}{g.is_replacement:d}": list(self.ends[g]) for g in _GROUPS},
            "calibrations": {str(k): [*c[:3], *c.information] for k, c in self.calibrations.items()},
            "eta_log_factors": list(self.eta_log_factors),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "ModelState":
        """Return what was written down.

        Raises:
            ValueError: it is of another version, or no such state, or one that no outcomes could have led to.
        """
        try:
            if document["version"] != VERSION:
                raise ValueError(f"expected model state version {VERSION}, found {document['version']}")
            state = cls(
                scored_blocks=int(document["scored_blocks"]),
                counted_blocks=float(document["counted_blocks"]),
                counted_claims=float(document["counted_claims"]),
                taken=float(document["taken"]),
                passed_over=float(document["passed_over"]),
                ends={g: _ends(document["ends"][f"{g.standing:d}{g.is_replacement:d}"]) for g in _GROUPS},
                calibrations={k: _calibration(document["calibrations"][str(k)]) for k in HORIZONS},
                eta_log_factors=_pair(document["eta_log_factors"]),
            )
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"expected a model state, found {error!r} missing or misshapen") from error
        state._check()
        return state

    def _check(self) -> None:
        """Raise ValueError when no outcomes could have led here: what it mends would be nonsense."""
        counts = (self.scored_blocks, self.counted_blocks, self.counted_claims, self.taken, self.passed_over)
        if not all(0 <= count <= _MOST_COUNTED for count in counts) or self.taken + self.passed_over <= 0:
            raise ValueError(f"expected counts of blocks and predictions, found {counts}")
        for group, ends in self.ends.items():
            is_counted = all(0 <= count <= _MOST_COUNTED for count in ends)
            later, at_once = ends.replaced + ends.dropped, ends.replaced_at_once + ends.dropped_at_once
            if not is_counted or not later <= ends.exposed > 0 or not at_once <= ends.begun > 0:
                raise ValueError(f"expected counts, and no more ends than waits, of {group}, found {ends}")
        for horizon, calibration in self.calibrations.items():
            if not calibration.is_sound:
                raise ValueError(f"expected a rising calibration of {horizon} blocks, found {calibration}")
        if not all(abs(factor) <= _ETA_LIMIT for factor in self.eta_log_factors):
            raise ValueError(
                f"expected eta_log_factors within {_ETA_LIMIT:.3f} of 0, found {self.eta_log_factors}"
            )

    @property
    def state_id(self) -> str:
        """Its name: version and the beginning of its hash."""
        text = json.dumps(self.as_json(), sort_keys=True)
        return f"{VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _never_falling(pairs: Sequence[tuple[float, float]]) -> list[float]:
    """Return the quotients of pairs; where one is below that before it, both are pooled."""
    pools: list[tuple[float, float, int]] = []
    for part, whole in pairs:
        pools.append((part, whole, 1))
        while len(pools) > 1 and pools[-1][0] * pools[-2][1] < pools[-2][0] * pools[-1][1]:
            (a, b, n), (c, d, m) = pools.pop(), pools.pop()
            pools.append((a + c, b + d, n + m))
    return [part / whole for part, whole, count in pools for _ in range(count)]


def _ends(counts: Sequence[float]) -> Ends:
    return Ends(*map(float, counts))


def _pair(numbers: Sequence[float]) -> tuple[float, float]:
    try:
        p50, p90 = map(float, numbers)
    except ValueError as error:
        raise TypeError("not two numbers") from error
    return p50, p90


def _calibration(numbers: Sequence[float]) -> Calibration:
    a, b, d, *information = map(float, numbers)
    if len(information) != len(Calibration().information):
        raise TypeError("a calibration of another length")
    return Calibration(a, b, d, tuple(information))


@dataclass(slots=True)
class _Claim:
    """A prediction that is being held to account.

    Attributes:
        tip: when it was made.
        made_at: when it was made.
        p_confirm: of each horizon, before recalibration.
        etas_s: P50 and P90, before they are mended.
        rate_sat_vb: effective.
        weight_wu: its own.
        group: whose other ends it counts among.
        confirmed_in: height of its block.
        gone_as: as what it ended otherwise: a name of `Ends`; None: it did not.
        gone_at: height of the newest block then.
    """

    tip: Height
    made_at: UnixMicros
    p_confirm: tuple[float, ...]
    etas_s: tuple[float | None, float | None]
    rate_sat_vb: float
    weight_wu: float
    group: Group
    confirmed_in: Height | None = None
    gone_as: str | None = None
    gone_at: Height | None = None

    @property
    def is_open(self) -> bool:
        return self.confirmed_in is None and self.gone_as is None


class Learner:
    """Holds predictions to account, block by block.

    Args:
        state: what was learned before.

    Attributes:
        state: what was learned so far.
        let_go_count: predictions not followed to their end, as there were too many.
    """

    def __init__(self, state: ModelState | None = None) -> None:
        self.state = ModelState() if state is None else state
        self.let_go_count = 0
        self._claims: dict[Txid, _Claim] = {}
        self._made_since_block = 0
        self._height: Height | None = None

    def claim(
        self,
        txid: Txid,
        estimate: ConfirmationEstimate,
        *,
        made_at: UnixMicros,
        rate_sat_vb: float,
        weight_wu: float,
        group: Group,
    ) -> None:
        """Hold a prediction to account from now on.

        Args:
            txid: of the transaction.
            estimate: before recalibration.
            made_at: when it was made: its minutes count from then.
            rate_sat_vb: effective.
            weight_wu: its own.
            group: whose other ends it counts among.
        """
        if self._made_since_block < CLAIMS_BY_BLOCK:
            self._made_since_block += 1
            p_confirm = tuple(estimate.p_confirm.values())
            etas_s = (estimate.eta_p50_s, estimate.eta_p90_s)
            self._claims[txid] = _Claim(
                estimate.tip, made_at, p_confirm, etas_s, rate_sat_vb, weight_wu, group
            )

    def gone(self, txid: Txid, *, is_replaced: bool) -> None:
        """Note that a transaction was replaced, or else dropped."""
        claim = self._claims.get(txid)
        if claim is None or not claim.is_open:
            return
        is_at_once = self._height is None or self._height <= claim.tip  # no block came since
        claim.gone_as = ("replaced" if is_replaced else "dropped") + ("_at_once" if is_at_once else "")
        claim.gone_at = self._height
        self._count(claim.group, claim.gone_as, 1.0)
        if is_at_once:
            self._count(claim.group, "begun", 1.0)

    def _count(self, group: Group, name: str, amount: float) -> None:
        counts = self.state.ends[group]
        counted = counts._replace(**{name: max(0.0, getattr(counts, name) + amount)})
        self.state = replace(self.state, ends={**self.state.ends, group: counted})

    def is_back(self, txid: Txid) -> None:
        """Note that a transaction waits again: a reorganisation, or a source that has it after all.

        Then it did not end as it was counted, and the count is taken back, as far as it is not forgotten yet.
        """
        claim = self._claims.get(txid)
        if claim is None:
            return
        if claim.gone_as is not None:
            blocks = 0 if self._height is None or claim.gone_at is None else self._height - claim.gone_at
            self._count(claim.group, claim.gone_as, -(_KEPT**blocks))
            if blocks == 0 and claim.gone_as.endswith("_at_once"):  # the next block counts it
                self._count(claim.group, "begun", -1.0)
        claim.confirmed_in = claim.gone_as = claim.gone_at = None

    def forget(self) -> None:
        """Hold nothing to account any more: what happened while we were blind would be held against it."""
        self._claims.clear()

    def connect(
        self, height: Height, at: UnixMicros, mined: Sequence[Txid], market: FeeMarket | None
    ) -> None:
        """Learn from a block; one at a known height (a reorganisation) is not learned from.

        Args:
            height: its height.
            at: when we heard of it.
            mined: what it contains.
            market: as it was before the block; None: it was not known.
        """
        is_next = self._height is None or height == self._height + 1
        if not is_next and height > (self._height or 0):
            self.forget()  # blocks in between were not told
        taken_now = [txid for txid in mined if txid in self._claims]
        if is_next and market is not None:
            self._learn_inclusion(at, frozenset(taken_now), market)
        for txid in taken_now:
            self._claims[txid].confirmed_in = height
        if is_next:
            self._learn_ends(height)
            self._learn_calibration(height)
            self._learn_eta([self._claims[txid] for txid in taken_now], at)
        self._height = height if self._height is None else max(height, self._height)
        self._made_since_block = 0
        oldest = height - HORIZONS[-1]
        self._claims = {txid: c for txid, c in self._claims.items() if c.tip > oldest or c.is_open}
        self._let_go(oldest)

    def _let_go(self, oldest: int) -> None:
        excess = len(self._claims) - _MOST_FOLLOWED
        if excess > 0:
            scored = [txid for txid, claim in self._claims.items() if claim.tip <= oldest][:excess]
            self.let_go_count += len(scored)
            for txid in scored:
                del self._claims[txid]

    def _learn_inclusion(self, at: UnixMicros, taken: frozenset[Txid], market: FeeMarket) -> None:
        state = self.state
        hits = misses = 0
        for txid, claim in self._claims.items():
            if not claim.is_open or (at - claim.made_at) < _OLD_ENOUGH_S * MICROS_PER_S:
                continue
            if market.ahead_wu(claim.rate_sat_vb) + claim.weight_wu <= _TOP_SHARE * market.capacity_wu:
                hits += txid in taken
                misses += txid not in taken
        start = ModelState()
        self.state = replace(
            state,
            taken=start.taken + _KEPT * (state.taken - start.taken) + hits,
            passed_over=start.passed_over + _KEPT * (state.passed_over - start.passed_over) + misses,
        )

    def _learn_ends(self, height: Height) -> None:
        outlived, begun = dict.fromkeys(_GROUPS, 0), dict.fromkeys(_GROUPS, 0)
        for claim in self._claims.values():
            outlived[claim.group] += claim.is_open
            begun[claim.group] += claim.tip == height - 1 and claim.gone_as is None
        ends = {
            group: Ends(
                *(p + _KEPT * (n - p) for p, n in zip(_PRIOR_ENDS, self.state.ends[group], strict=True))
            )
            for group in _GROUPS
        }
        ends = {
            group: e._replace(exposed=e.exposed + outlived[group], begun=e.begun + begun[group])
            for group, e in ends.items()
        }
        self.state = replace(self.state, ends=ends)

    def _learn_calibration(self, height: Height) -> None:
        scored = {
            horizon: [
                (claim.p_confirm[number], claim.confirmed_in is not None and claim.confirmed_in <= height)
                for claim in self._claims.values()
                if claim.tip == height - horizon
            ]
            for number, horizon in enumerate(HORIZONS)
        }
        if not any(scored.values()):
            return
        state = self.state
        blocks = _KEPT * state.counted_blocks + 1
        claims = _KEPT * state.counted_claims + len(scored[HORIZONS[0]])
        typical_count = max(1.0, claims / blocks)
        self.state = replace(
            state,
            calibrations={
                horizon: calibration.learned(scored[horizon], typical_count)
                if scored[horizon]
                else calibration
                for horizon, calibration in state.calibrations.items()
            },
            scored_blocks=state.scored_blocks + 1,
            counted_blocks=blocks,
            counted_claims=claims,
        )

    def _learn_eta(self, confirmed: Sequence[_Claim], at: UnixMicros) -> None:
        """Move the factors so that half are later than P50, and one in ten than P90; each counts the same."""
        typical_count = max(1.0, self.state.counted_claims / max(1.0, self.state.counted_blocks))
        waited = [((at - claim.made_at) / MICROS_PER_S, claim.etas_s) for claim in confirmed]
        moved = []
        for number, misses in enumerate(_ETA_MISSES):
            before = self.state.eta_log_factors[number]
            said = [(waited_s, eta_s) for waited_s, etas_s in waited if (eta_s := etas_s[number]) is not None]
            late = sum(waited_s > eta_s * exp(before) for waited_s, eta_s in said)
            step = _ETA_STEP * (late - misses * len(said)) / typical_count
            step = min(_ETA_LARGEST, max(-_ETA_LARGEST, step))
            moved.append(min(_ETA_LIMIT, max(-_ETA_LIMIT, before + step)))
        self.state = replace(self.state, eta_log_factors=(moved[0], moved[1]))
