"""Whatever happens to a mempool, in whatever order, it stays what a naive model says."""

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hydrophone.simulator.node.mempool import (
    MAX_CLUSTER_COUNT,
    Chunk,
    Entry,
    Mempool,
    RejectedTransactionError,
)
from hydrophone.simulator.node.transactions import Coin, OutPoint, Transaction
from tests.unit.simulator.node.builders import make_coin, pay

LEAST_RATE = Fraction(1, 10)
EXPIRY_S = 40
ROOMY = 10**12
choices = st.integers(0, 10**6)


class Wish(NamedTuple):
    """What a transaction should be like.

    Attributes:
        picks: of the coins there are.
        is_peaceful: it spends nothing that something else spends, if it can.
        outputs: their number.
        rate: fee by weight unit; without extra the same as that of others, to the last bit.
        extra_sat: on top of the fee.
    """

    picks: list[int]
    is_peaceful: bool
    outputs: int
    rate: int
    extra_sat: int


wishes = st.builds(
    Wish,
    picks=st.lists(choices, min_size=1, max_size=3),
    is_peaceful=st.sampled_from([True, True, True, False]),
    outputs=st.integers(1, 3),
    rate=st.sampled_from([1, 2, 3, 4, 5, 6, 30]),
    extra_sat=st.sampled_from([0, 0, 1, 700, 5_000]),
)


def rate_of(transactions: Iterable[Transaction]) -> Fraction:
    known = list(transactions)
    return Fraction(4 * sum(t.fee_sat for t in known), sum(t.weight_wu for t in known))


def spent_by(transaction: Transaction) -> set[OutPoint]:
    return {spend.coin.outpoint for spend in transaction.inputs}


class MempoolStates(RuleBasedStateMachine):
    """A model of sets of transactions, searched through from end to end at every question."""

    def __init__(self) -> None:
        super().__init__()
        self.mempool = Mempool(max_usage_bytes=ROOMY, expiry_s=EXPIRY_S)
        self.waiting: dict[str, Transaction] = {}
        self.entered: dict[str, float] = {}
        self.blocks: list[list[Transaction]] = []
        self.now = 0.0
        self.made = 0

    @initialize(count=st.integers(2, 8), looks_always=st.booleans())
    def mint(self, *, count: int, looks_always: bool) -> None:
        self.minted = [make_coin(n) for n in range(count)]
        self.looks_always = looks_always

    # --- the model ---

    def confirmed(self) -> list[Transaction]:
        return [transaction for block in self.blocks for transaction in block]

    def coins(self) -> list[Coin]:
        """Return all coins that exist and that no block spends."""
        made = [coin for t in (*self.confirmed(), *self.waiting.values()) for coin in t.outputs]
        spent = {outpoint for transaction in self.confirmed() for outpoint in spent_by(transaction)}
        return [coin for coin in (*self.minted, *made) if coin.outpoint not in spent]

    def parents(self, transaction: Transaction) -> set[str]:
        sources = {outpoint.txid_internal[::-1].hex() for outpoint in spent_by(transaction)}
        return sources & set(self.waiting)

    def with_descendants(self, txids: Iterable[str]) -> set[str]:
        found = set(txids)
        while more := {txid for txid, t in self.waiting.items() if self.parents(t) & found} - found:
            found |= more
        return found

    def clusters(self, transactions: Iterable[Transaction]) -> list[set[str]]:
        """Return which of these are connected; all of them once."""
        clusters: list[set[str]] = []
        known: set[str] = set()
        for transaction in transactions:
            known.add(transaction.txid)
            relatives = {transaction.txid} | self.parents(transaction)
            near = [cluster for cluster in clusters if cluster & relatives]
            clusters = [cluster for cluster in clusters if cluster not in near]
            clusters.append(relatives.union(*near))
        return [cluster & known for cluster in clusters]

    def contradicted(self, transaction: Transaction) -> set[str]:
        others = {txid: t for txid, t in self.waiting.items() if txid != transaction.txid}
        return self.with_descendants(
            txid for txid, t in others.items() if spent_by(t) & spent_by(transaction)
        )

    def is_acceptable(self, transaction: Transaction) -> bool:
        rate = rate_of([transaction])
        if float(rate) < self.mempool.min_rate_sat_vb:
            return False
        replaced = [self.waiting[txid] for txid in self.contradicted(transaction)]
        stays = [t for t in self.waiting.values() if t not in replaced]
        if any(len(cluster) > MAX_CLUSTER_COUNT for cluster in self.clusters([*stays, transaction])):
            return False
        if not replaced:
            return True
        price_sat = sum(t.fee_sat for t in replaced) + LEAST_RATE * Fraction(transaction.weight_wu, 4)
        return (
            transaction.fee_sat >= price_sat
            and all(rate > rate_of([t]) for t in replaced)
            and not self.parents(transaction) & {t.txid for t in replaced}
        )

    def forget(self, txids: Iterable[str]) -> None:
        for txid in txids:
            del self.waiting[txid], self.entered[txid]

    def expect_gone(self, gone: list[Entry], expected: set[str]) -> None:
        """Fail unless exactly this went, parents first; then the model forgets it, too."""
        txids = [entry.transaction.txid for entry in gone]
        assert len(txids) == len(set(txids))
        assert set(txids) == expected
        for place, entry in enumerate(gone):
            assert not self.parents(entry.transaction) & set(txids[place + 1 :])
        self.forget(txids)

    def make(self, wish: Wish) -> Transaction | None:
        """Return a new transaction as wished; None when its coins are not worth its fee."""
        coins = self.coins()
        if wish.is_peaceful:
            coins = [c for c in coins if self.mempool.spender(c.outpoint) is None] or coins
        chosen = list(dict.fromkeys(coins[pick % len(coins)] for pick in wish.picks))
        self.made += 1
        weight_wu = pay(chosen, fee_sat=0, outputs=wish.outputs).weight_wu
        fee_sat = weight_wu * wish.rate + wish.extra_sat
        if fee_sat >= sum(coin.value_sat for coin in chosen):
            return None
        return pay(chosen, fee_sat=fee_sat, outputs=wish.outputs, locktime=self.made)

    # --- what happens ---

    @rule(wished=st.lists(wishes, min_size=1, max_size=8), later_s=st.integers(0, 3))
    def add(self, wished: list[Wish], later_s: int) -> None:
        self.now += later_s
        for transaction in filter(None, map(self.make, wished)):
            expected = self.contradicted(transaction) if self.is_acceptable(transaction) else None
            try:
                replaced = self.mempool.add(transaction, self.now)
            except RejectedTransactionError:
                assert expected is None
                continue
            assert expected is not None
            self.expect_gone(replaced, expected)
            self.waiting[transaction.txid] = transaction
            self.entered[transaction.txid] = self.now

    @precondition(lambda self: self.waiting)
    @rule(pick=choices)
    def remove(self, pick: int) -> None:
        txid = list(self.waiting)[pick % len(self.waiting)]
        gone = self.mempool.remove(self.mempool.entries[txid])
        self.expect_gone(gone, self.with_descendants([txid]))

    @rule(ago_s=st.sampled_from([0, 0, 1, 5]), max_weight_wu=st.sampled_from([900, 3_000, 10_000, 10**9]))
    def mine(self, ago_s: int, max_weight_wu: int) -> None:
        before = self.now - ago_s
        template = self.mempool.template(entered_before=before, max_weight_wu=max_weight_wu)
        self.expect_template(template, before, max_weight_wu)
        block = [entry.transaction for entry in template]
        for transaction in block:
            assert self.mempool.confirm(transaction) == []
        self.forget(transaction.txid for transaction in block)
        self.blocks.append(block)

    @rule(pick=choices, count=st.integers(1, 3))
    def mine_a_stranger(self, pick: int, count: int) -> None:
        """Confirm what never waited and may contradict what waits."""
        sources = {coin.outpoint for t in self.waiting.values() for coin in t.outputs}
        free = [coin for coin in self.coins() if coin.outpoint not in sources]
        if not free:
            return
        chosen = dict.fromkeys(free[(pick + n) % len(free)] for n in range(count))
        self.made += 1
        transaction = pay(list(chosen), fee_sat=0, locktime=self.made)
        self.expect_gone(self.mempool.confirm(transaction), self.contradicted(transaction))
        self.blocks.append([transaction])

    @precondition(lambda self: self.blocks)
    @rule()
    def disconnect(self) -> None:
        self.now += 1
        for transaction in self.blocks.pop():
            assert self.mempool.restore(transaction, self.now) == []
            self.waiting[transaction.txid] = transaction
            self.entered[transaction.txid] = self.now

    @rule(later_s=st.sampled_from([1, 10, EXPIRY_S]))
    def expire(self, later_s: int) -> None:
        self.now += later_s
        old = [txid for txid in self.waiting if self.now - self.entered[txid] > EXPIRY_S]
        self.expect_gone(self.mempool.expire(self.now), self.with_descendants(old))

    @precondition(lambda self: len(self.waiting) > 4)
    @rule(tenths=st.integers(5, 10))
    def evict(self, tenths: int) -> None:
        mempool = self.mempool
        before, min_rate_sat_vb = mempool.chunks(), mempool.min_rate_sat_vb
        limit_bytes = mempool.usage_bytes * tenths // 10
        mempool.max_usage_bytes = limit_bytes
        gone = mempool.evict()
        mempool.max_usage_bytes = ROOMY
        assert mempool.usage_bytes <= limit_bytes
        worst: list[Chunk] = []
        while sum(len(chunk.entries) for chunk in worst) < len(gone):
            worst.append(before.pop())
        assert gone == [entry for chunk in worst for entry in chunk.entries]
        txids = [entry.transaction.txid for entry in gone]
        assert set(txids) == self.with_descendants(txids)
        self.forget(txids)
        if worst:  # nothing more than needed; and the next must pay more than the best of what went
            assert mempool.usage_bytes + sum(e.usage_bytes for e in worst[-1].entries) > limit_bytes
            assert mempool.min_rate_sat_vb > worst[-1].rate_sat_vb
        else:
            assert mempool.min_rate_sat_vb == min_rate_sat_vb

    @rule(passed_s=st.floats(0, 200_000))
    def relax(self, passed_s: float) -> None:
        before = self.mempool.min_rate_sat_vb
        self.mempool.relax(passed_s)
        assert float(LEAST_RATE) <= self.mempool.min_rate_sat_vb <= before

    # --- what holds ---

    @rule()
    def look(self) -> None:
        self.expect_chunks()

    @invariant()
    def chunks_are_right_at_every_look(self) -> None:
        if self.looks_always:  # not in every run, because a look makes them anew
            self.expect_chunks()

    def expect_chunks(self) -> None:
        """Fail unless the chunks are those of all that waits, in a possible order, the best first."""
        chunks = self.mempool.chunks()
        order = [entry for chunk in chunks for entry in chunk.entries]
        assert sorted(entry.transaction.txid for entry in order) == sorted(self.waiting)
        for place, entry in enumerate(order):
            assert not self.parents(entry.transaction) & {e.transaction.txid for e in order[place + 1 :]}
        clusters = self.clusters(self.waiting.values())
        for chunk in chunks:
            assert any({e.transaction.txid for e in chunk.entries} <= cluster for cluster in clusters)
            assert all(entry.chunk is chunk for entry in chunk.entries)
            assert chunk.rate_sat_vb == float(rate_of(e.transaction for e in chunk.entries))
            assert chunk.weight_wu == sum(e.transaction.weight_wu for e in chunk.entries)
        assert all(a.rate_sat_vb >= b.rate_sat_vb for a, b in pairwise(chunks))

    def expect_template(self, template: list[Entry], before: float, max_weight_wu: int) -> None:
        txids = [entry.transaction.txid for entry in template]
        late = self.with_descendants(txid for txid in self.waiting if self.entered[txid] > before)
        assert len(txids) == len(set(txids))
        assert not set(txids) & late
        for place, entry in enumerate(template):
            assert self.parents(entry.transaction) <= set(txids[:place])
        assert sum(entry.transaction.weight_wu for entry in template) <= max_weight_wu
        if max_weight_wu >= sum(t.weight_wu for t in self.waiting.values()):
            assert set(txids) == set(self.waiting) - late
        if late:
            return
        room_wu = max_weight_wu
        for chunk in self.mempool.chunks():
            names = {entry.transaction.txid for entry in chunk.entries}
            needed = set().union(*(self.parents(e.transaction) for e in chunk.entries)) - names
            is_taken = names <= set(txids)
            assert is_taken == (chunk.weight_wu <= room_wu and needed <= set(txids))
            assert is_taken or not names & set(txids)
            room_wu -= chunk.weight_wu if is_taken else 0

    @invariant()
    def entries_and_sums_are_those_of_what_waits(self) -> None:
        mempool = self.mempool
        transactions = self.waiting.values()
        assert [(e.transaction, e.entered_at) for e in mempool.entries.values()] == [
            (transaction, self.entered[txid]) for txid, transaction in self.waiting.items()
        ]
        assert list(mempool.entries) == list(self.waiting)
        assert mempool.weight_wu == sum(t.weight_wu for t in transactions)
        assert mempool.fee_sat == sum(t.fee_sat for t in transactions)
        assert mempool.usage_bytes == sum(1_000 + t.size_bytes * 5 // 2 for t in transactions)

    @invariant()
    def every_coin_has_its_one_spender(self) -> None:
        expected = {
            outpoint: self.mempool.entries[txid]
            for txid, transaction in self.waiting.items()
            for outpoint in spent_by(transaction)
        }
        assert self.mempool._spenders == expected
        assert all(self.mempool.spender(outpoint) is entry for outpoint, entry in expected.items())

    @invariant()
    def parents_know_their_children(self) -> None:
        entries = self.mempool.entries
        for txid, transaction in self.waiting.items():
            assert {p.transaction.txid for p in entries[txid].parents} == self.parents(transaction)
            assert {c.transaction.txid for c in entries[txid].children} == {
                other for other, t in self.waiting.items() if txid in self.parents(t)
            }
            assert all(entries[p.transaction.txid] is p for p in entries[txid].parents)
            assert all(entries[c.transaction.txid] is c for c in entries[txid].children)


TestMempoolStates = MempoolStates.TestCase
TestMempoolStates.settings = settings(max_examples=100, stateful_step_count=40)
