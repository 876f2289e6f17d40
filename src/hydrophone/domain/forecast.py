"""What a signal says about confirmation and urgency, and the state that is needed to say it.

Computing the table of a market takes up to a tenth of a second, so it is asked for when a frame has been
dealt with and taken up by a later one: whoever runs the work decides where (`Run`), never what comes out or
when it is used. So a live run and its replay agree.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from hydrophone.domain.confirmation import (
    ConfirmationEstimate,
    ConfirmationTable,
    Paths,
    estimate_confirmation,
    seeded_paths,
)
from hydrophone.domain.feemarket import CAPACITY_WU, FeeMarket, FeeMarketWatch, RateProfile
from hydrophone.domain.model_state import Group, Learner, ModelState
from hydrophone.domain.units import MICROS_PER_S, FeeRate, Height, Txid, UnixMicros
from hydrophone.domain.urgency import Urgency, fallback_urgency, score_urgency

REFRESH_MICROS: Final = 1 * MICROS_PER_S
"""How old a table may get before another is asked for. # chosen: a backend tells news every two seconds."""
_PATIENCE_MICROS: Final = MICROS_PER_S // 2
"""# chosen: long enough for a table to be ready, so that nobody waits for it."""
_STALE_MICROS: Final = 60 * MICROS_PER_S
"""# chosen: for so long a market is believed while news of it are missing; they come every two seconds."""
ACCELERATED_SHARE: Final = 0.4
"""Of the hashrate, that takes what was accelerated. Sources: mempool.space, at the start of its accelerator
in July 2024: five pools with about 40 %. Today's share is not told, and no pool has to take a request."""
_SEED_DIGITS: Final = 16
"""The last digits of a block's hash: the first are 0."""

Work = Callable[[], "Computed"]
Run = Callable[[Work], Callable[[], "Computed"]]
"""Begins some work and returns what waits for its result."""


def at_once(work: Work) -> Callable[[], "Computed"]:
    """Do the work now: a replay has no other place for it."""
    done = work()
    return lambda: done


class Computed(NamedTuple):
    """Chance until the next block, and a table of it."""

    paths: Paths
    table: ConfirmationTable

    def filled(self) -> "Computed":
        """Return it with all its rows computed, for whom there is time until it is asked."""
        return self._replace(table=self.table.filled())


class _Awaited(NamedTuple):
    at: UnixMicros
    tip: Height
    result: Callable[[], Computed]


@dataclass(frozen=True, slots=True)
class MarketView:
    """The market that a forecast was computed from, as far as it mattered.

    Attributes:
        at: when.
        tip: height of the newest block then.
        tau_s: mean seconds between blocks.
        waiting_wu: weight that waited.
        ahead_wu: of that, in front of the transaction.
        inflow_wu_s: weight that arrived in front of it in a second, lately.
        marginal_rate_sat_vb: the least rate in the next template; None when nothing waited.
        overpay: the rate by that one.
    """

    at: UnixMicros
    tip: Height
    tau_s: float
    waiting_wu: float
    ahead_wu: float
    inflow_wu_s: float
    marginal_rate_sat_vb: FeeRate | None
    overpay: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is said about a transaction's confirmation.

    Attributes:
        urgency: of its sender.
        estimate: when it confirms; None: no market is known.
        market: it was computed from; None likewise.
        model_state: name of what was learned until then; None likewise.
        is_calibrated: whether the probabilities were mended by outcomes.
        made_at: when it was said: its minutes count from then; None: by whom nothing is followed.
    """

    urgency: Urgency
    estimate: ConfirmationEstimate | None = None
    market: MarketView | None = None
    model_state: str | None = None
    is_calibrated: bool = False
    made_at: UnixMicros | None = None


class Forecaster:
    """Follows the market, forecasts, and learns from what became of its forecasts.

    Args:
        state: what was learned before.
        run: where tables are computed.
        capacity_wu: room of a block.
    """

    def __init__(
        self, state: ModelState | None = None, *, run: Run = at_once, capacity_wu: float = CAPACITY_WU
    ) -> None:
        self._run = run
        self._watch = FeeMarketWatch(capacity_wu)
        self._learner = Learner(state)
        self._state_id = self._learner.state.state_id
        self._current: Computed | None = None
        self._left: FeeMarket | None = None
        self._behind_since: UnixMicros | None = None
        self._awaited: _Awaited | None = None
        self._seed = 0

    @property
    def market(self) -> FeeMarket | None:
        """The market that forecasts are computed from now; None: none is known.

        After a block, until the source has told what waits: what it should have left.
        """
        return self._left or self._table_market

    @property
    def _table_market(self) -> FeeMarket | None:
        return None if self._current is None else self._current.table.market

    @property
    def state(self) -> ModelState:
        """What was learned so far."""
        return self._learner.state

    @property
    def let_go_count(self) -> int:
        """Forecasts not followed to their end, as there were too many."""
        return self._learner.let_go_count

    def restore(self, state: ModelState) -> None:
        """Go on with what was learned before a restart."""
        self._learner = Learner(state)
        self._state_id = state.state_id

    # --- what is heard -------------------------------------------------------------------------------

    def note_time(self, at: UnixMicros) -> None:
        """Take up the table that was asked for, once it is due; let go of a market that nobody renews.

        A clock that was set back is no reason to wait.
        """
        awaited = self._awaited
        if awaited is not None and not awaited.at <= at < awaited.at + _PATIENCE_MICROS:
            self._awaited = None
            computed = awaited.result()
            if awaited.tip == self._watch.tip:  # else a block came meanwhile
                self._current, self._left = computed, None
        if self._behind_since is not None and at >= self._behind_since + _STALE_MICROS:
            self._current = self._left = None

    def note_market(
        self,
        rates_sat_vb: Iterable[float],
        weights_wu: Iterable[int],
        projected: Sequence[RateProfile] | None,
        at: UnixMicros,
    ) -> None:
        """Take account of what a frame said of the market, when all else it said has been dealt with.

        Args:
            rates_sat_vb: effective rate of each transaction that came.
            weights_wu: of each.
            projected: the blocks to come; None: it does not say.
            at: when it was received.
        """
        self._watch.arrive(rates_sat_vb, weights_wu, at)
        if projected is None:
            self._note_behind(at)
            return
        self._watch.project(projected, at)
        self._behind_since = None
        market = self._table_market
        is_new = (
            market is not None
            and market.tip == self._watch.tip
            and market.at <= at < market.at + REFRESH_MICROS
        )
        if self._awaited is not None or is_new:
            return
        shown = self._watch.show(at)
        if shown is not None:
            seed, corrections = self._seed, self._learner.state.corrections_by_standing
            before = self._current if market is not None and market.tip == shown.tip else None

            def compute() -> Computed:
                paths = seeded_paths(seed) if before is None else before.paths
                return Computed(paths, ConfirmationTable(shown.summed(), paths, corrections))

            self._awaited = _Awaited(at, shown.tip, self._run(compute))

    def note_block(
        self,
        height: Height,
        block_hash: str,
        at: UnixMicros,
        *,
        found_at: UnixMicros | None = None,
        profile: RateProfile | None = None,
        mined: Sequence[Txid] | None = (),
    ) -> bool:
        """Take a block in and learn from it; return whether anything was learned.

        Args:
            height: its height.
            block_hash: decides the chance until the next one.
            at: when we heard of it.
            found_at: what its header says; None: the source did not tell.
            profile: its rates; None likewise.
            mined: what it contains, as far as it was told; None: it was not, so nothing is learned from it.
        """
        learned_before, market = self._learner.state, self.market
        self._watch.connect(height, at if found_at is None else found_at, profile)
        self._seed = int.from_bytes(block_hash[-_SEED_DIGITS:].encode())
        self._note_behind(at)
        told = self._table_market
        self._left = None if told is None or told.tip == height else told.after(height)
        if mined is not None:
            self._learner.connect(height, at, mined, market)
        if self._learner.state is learned_before:
            return False
        self._state_id = self._learner.state.state_id
        return True

    def _note_behind(self, at: UnixMicros) -> None:
        """Note that something changed what waits, and the source has not told to what."""
        since = self._behind_since
        self._behind_since = at if since is None else min(since, at)

    def go_blind(self, started_at: UnixMicros, at: UnixMicros) -> None:
        """Forget what waited: something may have been missed."""
        self._watch.go_blind(started_at, at)
        self._learner.forget()
        self._current = self._left = None
        if self._awaited is not None:
            self._awaited.result()  # its work is finished before anybody begins anew
            self._awaited = None

    def note_gone(self, txid: Txid, *, is_replaced: bool) -> None:
        """Note that a transaction was replaced, or else left unexplained."""
        self._learner.gone(txid, is_replaced=is_replaced)

    def note_back(self, txid: Txid) -> None:
        """Note that a transaction waits again."""
        self._learner.is_back(txid)

    # --- what is said --------------------------------------------------------------------------------

    def forecast(
        self,
        txid: Txid,
        rate_sat_vb: float,
        weight_wu: int,
        *,
        made_at: UnixMicros,
        age_s: float = 0.0,
        bumps: int = 0,
        is_replacement: bool = False,
        is_accelerated: bool = False,
    ) -> Forecast:
        """Return what is said about a transaction, and hold it to account from now on.

        Args:
            txid: of it.
            rate_sat_vb: effective.
            weight_wu: its own.
            made_at: when it is said: minutes count from then.
            age_s: for how long its payment has been known.
            bumps: how often its fee was raised.
            is_replacement: whether it replaced something.
            is_accelerated: whether some miners were paid for it elsewhere.
        """
        market = self.market
        if self._current is None or market is None:
            return Forecast(fallback_urgency(rate_sat_vb, bumps), made_at=made_at)
        group = Group(market.standing(rate_sat_vb), is_replacement)
        state = self._learner.state
        if age_s == 0 and self._left is None and not is_replacement and not is_accelerated:
            plain = self._current.table.estimate(rate_sat_vb, weight_wu)
        else:
            corrections = state.corrections(group, accelerated=ACCELERATED_SHARE if is_accelerated else 0.0)
            plain = estimate_confirmation(
                market, self._current.paths, rate_sat_vb, weight_wu, age_s=age_s, corrections=corrections
            )
        self._learner.claim(
            txid, plain, made_at=made_at, rate_sat_vb=rate_sat_vb, weight_wu=weight_wu, group=group
        )
        estimate = state.mend(plain)
        urgency = (
            score_urgency(rate_sat_vb, market, estimate.by_block[0], bumps)
            if market.has_mined
            else fallback_urgency(rate_sat_vb, bumps)
        )
        inflow_wu_s, _ = market.inflow_above_wu_s(rate_sat_vb)
        view = MarketView(
            at=market.at,
            tip=market.tip,
            tau_s=market.tau_s,
            waiting_wu=market.total_waiting_wu,
            ahead_wu=market.ahead_wu(rate_sat_vb),
            inflow_wu_s=inflow_wu_s,
            marginal_rate_sat_vb=market.marginal_rate_sat_vb,
            overpay=urgency.overpay,
        )
        return Forecast(urgency, estimate, view, self._state_id, state.is_calibrated, made_at)
