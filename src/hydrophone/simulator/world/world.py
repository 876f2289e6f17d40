"""The world: who acts when, which blocks are found, and what goes wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from random import Random
from typing import Final

from hydrophone.simulator.agenda import Agenda
from hydrophone.simulator.node.chain import Chain
from hydrophone.simulator.node.mempool import MAX_BLOCK_WEIGHT_WU, Entry, Mempool
from hydrophone.simulator.node.node import Node, subsidy_sat
from hydrophone.simulator.node.transactions import Payment, Transaction
from hydrophone.simulator.world.chance import Choice, draw_lognormal, draw_poisson
from hydrophone.simulator.world.habits import BTC, Habits
from hydrophone.simulator.world.lives import End, Life, TruthBook
from hydrophone.simulator.world.minds import Minds
from hydrophone.simulator.world.mixing import Mixing
from hydrophone.simulator.world.organisations import Organisations
from hydrophone.simulator.world.people import People
from hydrophone.simulator.world.stage import Stage
from hydrophone.simulator.world.wallets import wallet_of

BASE_HEIGHT: Final = 975_000
"""Of the chain before the simulation. chosen: about that of November 2026."""
_HISTORY_BLOCKS: Final = 32
"""Blocks there are when it begins: as many as a backend lists at most."""
_TIDY_S: Final = 60.0
"""chosen: Bitcoin Core trims with each transaction; once a minute costs less and shows the same."""
_REAL_INTERVAL_S: Final = 600.0
_DAY_S: Final = 86_400
_HOUR_S: Final = 3_600
_WHALE_SHARE: Final = 0.57
"""Share of the large amounts that exceed 100 BTC: they begin at 60 BTC with a tail of 1.1 (`Habits`)."""
_WHALE_SAT: Final = 100 * BTC
_ACCELERATED_WU: Final = 40_000
"""Room that a miner keeps for what was paid for elsewhere. chosen: one per cent of a block."""
_CERTAIN_TRIES: Final = 20
"""Each has better than an even chance: together they fail once in ten million worlds."""


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """How much happens.

    Attributes:
        seed: decides everything.
        rate_per_s: mean number of ordinary transactions.
        whales_per_hour: mean number above 100 BTC.
        block_interval_s: mean.
        started_at: seconds since the epoch.
        prefill: transactions that wait when it begins.
        max_usage_bytes: of the mempool.
        expiry_s: what waits longer is dropped.
        kept_blocks: so many keep their transactions; what is older, nobody can look up. A block of ten
            minutes takes about 13 MB.
        first_whale_s: a whale comes then for certain; None: when chance has it.
        first_block_s: a block comes then for certain; None: when chance has it.
    """

    seed: int
    rate_per_s: float
    whales_per_hour: float
    block_interval_s: float
    started_at: float
    prefill: int = 0
    max_usage_bytes: int = 300_000_000
    expiry_s: float = 14 * _DAY_S
    kept_blocks: int = 40
    first_whale_s: float | None = None
    first_block_s: float | None = None


class World:
    """A simulated economy in virtual time.

    Args:
        settings: how much happens.
        habits: how everybody behaves.
        write_truth: gets a line for each transaction whose end is settled; None: nobody wants to know.

    Attributes:
        node: its mempool and chain.
        book: what really happened.
        organisations: who has a name.
        first_height: of the chain when it began.
    """

    def __init__(
        self, settings: WorldSettings, habits: Habits, write_truth: Callable[[str], object] | None = None
    ) -> None:
        self.settings = settings
        rng = Random(settings.seed)  # noqa: S311 -- chance, not secrets
        mempool = Mempool(max_usage_bytes=settings.max_usage_bytes, expiry_s=settings.expiry_s)
        base_hash = rng.randbytes(28).hex().rjust(64, "0")
        chain = Chain(base_height=BASE_HEIGHT, base_hash=base_hash, kept_blocks=settings.kept_blocks)
        self.node = Node(mempool, chain)
        self.book = TruthBook(write_truth)
        self._stage = Stage(self.node, habits, rng, self.book, settings.started_at)
        self._people = People(self._stage)
        self.organisations = Organisations(self._stage, self._people)
        self._mixing = Mixing(self._stage, self._people)
        self._minds = Minds(self._stage, self._people)
        self._activities = self._all_activities()
        self._ordinary = Choice(habits.ordinary_mix)
        self._whales = Choice(habits.whale_mix)
        self._agenda = Agenda()
        self._extra_demand = 1.0
        self._burst = 1.0
        self._begin()
        self.first_height = self.node.chain.height

    @property
    def now(self) -> float:
        """Seconds since the epoch, of virtual time."""
        return self._stage.now

    def advance(self, until: float) -> None:
        """Let everything happen up to an instant."""
        agenda, stage = self._agenda, self._stage
        while agenda.next_at <= until:
            stage.now = max(stage.now, agenda.next_at)  # what was put off before the beginning comes at once
            agenda.take()()
        stage.now = max(stage.now, until)

    def close(self) -> None:
        """Write the truth of all that is not settled."""
        self.book.close()

    # --- what scenarios do --------------------------------------------------------------------------

    def set_demand(self, factor: float) -> None:
        """Multiply the demand for ordinary transactions."""
        self._extra_demand = factor

    def set_pressure(self, factor: float) -> None:
        """Multiply what everybody bids."""
        self._stage.fees.pressure = factor

    def reorganise(self, depth: int) -> None:
        """Replace the last blocks by one more, in which one coin is spent otherwise."""
        stage = self._stage
        lost: list[Transaction] = []
        for _ in range(min(depth, self.node.chain.height - BASE_HEIGHT - 1)):
            undone = self.node.disconnect(stage.now)
            stage.disconnected(undone.block)
            for entry in undone.conflicts:
                stage.end(entry, End.DROPPED, "reorganised")
            lost += undone.restored
        double_spends = self._double_spends(lost)
        for number in range(depth + 1):
            # The new branch is younger: its first blocks do not have all of the old ones.
            entered_before = stage.now if number == depth else stage.now - stage.rng.uniform(0, 60)
            share = stage.rng.uniform(0.4, 0.9)
            entries = self.node.mempool.template(entered_before=entered_before)
            entries = entries[: int(len(entries) * share)] if number < depth else entries
            extra = double_spends if number == 0 else []
            self._connect([e.transaction for e in entries], extra)

    def _double_spends(self, lost: list[Transaction]) -> list[Transaction]:
        lives = [
            self.book.lives[t.txid]
            for t in lost
            if t.txid in self.book.lives and all(spend.coin.height is not None for spend in t.inputs)
        ]
        if not lives:
            return []
        made = self._minds.double_spend(self._stage.rng.choice(lives))
        return [] if made is None else [self._unseen(made.transaction, made.change, "double_spend")]

    # --- the agenda ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        settings, rng = self.settings, self._stage.rng
        start = settings.started_at
        for number in range(_HISTORY_BLOCKS):
            self._stage.now = start - (_HISTORY_BLOCKS - number) * settings.block_interval_s
            self._connect([], [])
        span_s = settings.prefill / max(settings.rate_per_s, 1e-9)
        for number in range(settings.prefill):
            self._stage.now = start - span_s * (1 - number / settings.prefill)
            self._act(self._ordinary.draw(rng))
        self._stage.now = start
        if settings.rate_per_s > 0:
            self._agenda.plan(start + rng.expovariate(settings.rate_per_s), self._ordinary_arrives)
        if settings.whales_per_hour > 0:
            self._agenda.plan(start + self._next_whale_s(), self._whale_arrives)
        if settings.first_whale_s is not None:
            self._agenda.plan(start + settings.first_whale_s, self._whale_for_certain)
        block_s = settings.first_block_s
        if block_s is None:
            block_s = rng.expovariate(1 / settings.block_interval_s)
        self._agenda.plan(start + block_s, self._block_found)
        self._agenda.plan(start + _TIDY_S, self._tidy)
        burst_every_s = self._stage.habits.burst_every_s
        self._agenda.plan(start + rng.expovariate(1 / burst_every_s), self._burst_begins)

    def _ordinary_arrives(self) -> None:
        self._act(self._ordinary.draw(self._stage.rng))
        rate = self.settings.rate_per_s * self._demand()
        self._agenda.plan(self.now + self._stage.rng.expovariate(rate), self._ordinary_arrives)

    def _whale_arrives(self) -> None:
        self._act(self._whales.draw(self._stage.rng))
        self._agenda.plan(self.now + self._next_whale_s(), self._whale_arrives)

    def _whale_for_certain(self) -> None:
        """Let large amounts move until one is above 100 BTC."""
        for _ in range(_CERTAIN_TRIES):
            life = self._act(self._whales.draw(self._stage.rng))
            if life is not None and life.transaction.value_sat > _WHALE_SAT:
                break

    def _next_whale_s(self) -> float:
        per_s = self.settings.whales_per_hour / _WHALE_SHARE / _HOUR_S
        return self._stage.rng.expovariate(per_s)

    def _demand(self) -> float:
        """Return the factor of this hour."""
        habits = self._stage.habits
        hour = self.now % _DAY_S / _HOUR_S
        daily = 1 + habits.daily_swing * cos((hour - habits.busiest_hour_utc) / 24 * 2 * pi)
        return max(1e-3, daily * self._burst * self._extra_demand)

    def _burst_begins(self) -> None:
        habits, rng = self._stage.habits, self._stage.rng
        self._burst = habits.burst_factor
        self._agenda.plan(self.now + rng.expovariate(1 / habits.burst_length_s), self._burst_ends)

    def _burst_ends(self) -> None:
        self._burst = 1.0
        every_s = self._stage.habits.burst_every_s
        self._agenda.plan(self.now + self._stage.rng.expovariate(1 / every_s), self._burst_begins)

    def _tidy(self) -> None:
        """Let the mempool drop what is too old or too cheap, and write what is settled."""
        mempool = self.node.mempool
        for entry in mempool.expire(self.now):
            is_old = self.now - entry.entered_at > mempool.expiry_s
            self._stage.end(entry, End.DROPPED, "expired" if is_old else "parent_expired")
        for entry in mempool.evict():
            self._stage.end(entry, End.DROPPED, "evicted")
        mempool.relax(_TIDY_S)
        self.book.settle(self.node.chain.height)
        self._agenda.plan(self.now + _TIDY_S, self._tidy)

    # --- transactions -------------------------------------------------------------------------------

    def _act(self, kind: str) -> Life | None:
        """Let somebody do something; who cannot, pays."""
        life = self._activities[kind]()
        if life is None:
            life = self._people.payment()
        if life is not None:
            self._reconsider(life)
        return life

    def _all_activities(self) -> dict[str, Callable[[], Life | None]]:
        people, organisations, mixing = self._people, self.organisations, self._mixing
        return {
            "payment": people.payment,
            "data": people.data,
            "self_transfer": people.self_transfer,
            "payjoin": people.payjoin,
            "whale_otc": people.whale_otc,
            "coinjoin": mixing.coinjoin,
            "whale_coinjoin": mixing.whale_coinjoin,
            "deposit": organisations.deposit,
            "whale_deposit": organisations.whale_deposit,
            "custody_to_exchange": organisations.custody_to_exchange,
            "miner_deposit": organisations.miner_deposit,
            "withdrawal": organisations.withdrawal,
            "whale_withdrawal": organisations.whale_withdrawal,
            "batch_withdrawal": organisations.batch_withdrawal,
            "whale_batch": organisations.whale_batch,
            "sweep": organisations.sweep,
            "whale_sweep": organisations.whale_sweep,
            "consolidation": organisations.consolidation,
            "whale_consolidation": organisations.whale_consolidation,
            "exchange_internal": organisations.exchange_internal,
            "cold_to_hot": organisations.cold_to_hot,
            "hot_to_cold": organisations.hot_to_cold,
            "interexchange": organisations.interexchange,
            "custody_move": organisations.custody_move,
            "miner_payout": organisations.miner_payout,
        }

    def _reconsider(self, life: Life) -> None:
        """Let chance decide whether somebody will want it otherwise."""
        habits, rng = self._stage.habits, self._stage.rng
        chance = habits.bump if life.bumps == 0 else habits.bump_again
        if rng.random() < chance:
            after_s = rng.expovariate(1 / habits.bump_after_s)
            self._agenda.plan(self.now + after_s, lambda: self._replace(life))
        elif rng.random() < habits.rescue:
            after_s = rng.expovariate(1 / habits.rescue_after_s)
            self._agenda.plan(self.now + after_s, lambda: self._minds.rescue(life))

    def _replace(self, life: Life) -> None:
        replacement = self._minds.replace(life)
        if replacement is not None:
            self._reconsider(replacement)

    # --- blocks -------------------------------------------------------------------------------------

    def _block_found(self) -> None:
        rng, habits = self._stage.rng, self._stage.habits
        if rng.random() < habits.natural_fork:
            self.reorganise(1)
        else:
            self._mine()
        self._agenda.plan(self.now + rng.expovariate(1 / self.settings.block_interval_s), self._block_found)

    def _mine(self) -> None:
        stage = self._stage
        rng, habits = stage.rng, stage.habits
        if rng.random() < habits.empty_block:
            self._connect([], [])
            return
        lag_s = draw_lognormal(habits.template_lag_median_s, habits.template_lag_sigma, rng)
        if rng.random() < habits.stale_template:
            lag_s += habits.stale_template_s
        lag_s *= min(
            1.0, self.settings.block_interval_s / _REAL_INTERVAL_S
        )  # else a fast chain has no blocks
        unseen = self._unannounced()
        room_wu = MAX_BLOCK_WEIGHT_WU - sum([t.weight_wu for t in unseen]) - _ACCELERATED_WU
        entries = self.node.mempool.template(entered_before=self.now - lag_s, max_weight_wu=room_wu)
        if habits.skipped:
            entries = self._without(entries, {e for e in entries if rng.random() < habits.skipped})
        accelerated = self._accelerated(entries)
        if rng.random() < habits.mined_double_spend and entries:
            victim = rng.choice(entries)
            life = self.book.lives.get(victim.transaction.txid)
            made = None if life is None else self._minds.double_spend(life)
            if made is not None:
                entries = self._without(entries, {victim})
                unseen.append(self._unseen(made.transaction, made.change, "double_spend"))
        self._connect([e.transaction for e in (*entries, *accelerated)], unseen)

    def _without(self, entries: list[Entry], unwanted: set[Entry]) -> list[Entry]:
        """Return a template without some, and so without what depends on them."""
        out = set(unwanted)
        kept: list[Entry] = []
        for entry in entries:
            if entry in out or any(parent in out for parent in entry.parents):
                out.add(entry)
            else:
                kept.append(entry)
        return kept

    def _accelerated(self, entries: list[Entry]) -> list[Entry]:
        """Return what a miner takes though it pays too little here."""
        taken = set(entries)
        rest = [e for e in self.node.mempool.entries.values() if e not in taken and not e.parents]
        number = min(len(rest), draw_poisson(self._stage.habits.accelerated, self._stage.rng))
        found = self._stage.rng.sample(rest, number)
        return [e for e in found if e.transaction.weight_wu * number <= _ACCELERATED_WU]

    def _unannounced(self) -> list[Transaction]:
        """Return transactions that went to the miner directly: the mempool never has them."""
        number = draw_poisson(self._stage.habits.unannounced, self._stage.rng)
        if self.settings.rate_per_s == 0:
            return []
        made = (self._people.private_payment() for _ in range(number))
        return [self._unseen(d.transaction, d.change, "payment") for d in made if d is not None]

    def _unseen(self, transaction: Transaction, change: tuple[int, ...], kind: str) -> Transaction:
        self.book.begin(Life(transaction, kind, change, self.now))
        return transaction

    def _connect(self, transactions: list[Transaction], unseen: list[Transaction]) -> None:
        stage = self._stage
        pool = self.organisations.choose_pool.draw(stage.rng)
        mined = [*transactions, *unseen]
        reward_sat = subsidy_sat(self.node.chain.height + 1) + sum([t.fee_sat for t in mined])
        connected = self.node.connect(
            mined,
            [Payment(pool.new_script(stage.rng), reward_sat)],
            now=stage.now,
            miner=pool.owner.name,
            message=b"/" + pool.owner.name.encode() + b"/" + stage.rng.randbytes(8),
        )
        by = self._contradictions(unseen)
        for entry in connected.conflicts:
            winner = next((by[o] for o in _outpoints(entry.transaction) if o in by), None)
            end = End.DROPPED if winner is None else End.REPLACED
            stage.end(entry, end, "parent_replaced" if winner is None else "mined_double_spend", winner)
        stage.confirmed(connected.block)
        for transaction in mined:
            for coin in transaction.outputs:
                wallet = wallet_of(coin.script)
                if wallet is not None:
                    self._people.receive(wallet)

    def _contradictions(self, unseen: list[Transaction]) -> dict[object, Life]:
        lives = (self.book.lives.get(t.txid) for t in unseen)
        return {o: life for life in lives if life is not None for o in _outpoints(life.transaction)}


def _outpoints(transaction: Transaction) -> list[object]:
    return [spend.coin.outpoint for spend in transaction.inputs]
