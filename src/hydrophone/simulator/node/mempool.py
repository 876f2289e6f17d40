"""The mempool: what waits, grouped into clusters, ranked by what a miner earns with it.

A cluster is everything connected by unconfirmed parents and children. Its transactions are put into an order
in which every next piece, a *chunk*, is the best rest that can be mined without anything after it. A block
is filled with chunks by their fee rate. Most clusters are one transaction, and that is their chunk.

**Sources**: Bitcoin Core 31, doc/policy/mempool-terminology.md (cluster, linearization, chunk);
the policy limits are those of its policy/policy.h.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, NamedTuple

from hydrophone.simulator.node.transactions import OutPoint, Transaction

MAX_CLUSTER_COUNT: Final = 64
MAX_CLUSTER_WEIGHT_WU: Final = 404_000
"""Sources: Bitcoin Core 31, policy.h, DEFAULT_CLUSTER_SIZE_LIMIT_KVB: 101,000 virtual bytes."""
MAX_REPLACED: Final = 100
"""Sources: Bitcoin Core, policy/rbf.h, MAX_REPLACEMENT_CANDIDATES."""
MIN_RELAY_RATE_SAT_VB: Final = 0.1
"""Also what a replacement must pay more by. Sources: Bitcoin Core 29.1, DEFAULT_MIN_RELAY_TX_FEE."""
MIN_RATE_HALF_LIFE_S: Final = 12 * 3_600.0
"""Sources: Bitcoin Core, txmempool.h, ROLLING_FEE_HALFLIFE."""
MAX_BLOCK_WEIGHT_WU: Final = 3_992_000
"""What is left beside header and coinbase. Sources: Bitcoin Core, policy.h, DEFAULT_BLOCK_MAX_WEIGHT."""
USAGE_BYTES_PER_ENTRY: Final = 1_000
USAGE_BYTES_PER_BYTE: Final = 2.5
"""Memory of an entry. Sources: fitted to `mempoolInfo` of the recordings (20 transactions of 222 bytes take
24,496 bytes; 36 of 15,296 vB take 101,512)."""
_FITTING_TRIES: Final = 200
"""Chunks in a row that do not fit before a block counts as full. chosen: Bitcoin Core gives up after 1,000;
the last per mille of a block is worth little to a simulation."""


class RejectedTransactionError(Exception):
    """The mempool does not take a transaction; the message says why."""


class Chunk(NamedTuple):
    """What is mined together.

    Attributes:
        rate_sat_vb: fees by virtual byte.
        weight_wu: of all.
        entries: parents before children.
        position: number of chunks of its cluster before it; it decides where rates are the same.
    """

    rate_sat_vb: float
    weight_wu: int
    entries: tuple["Entry", ...]
    position: int = 0


@dataclass(slots=True, eq=False)
class Entry:
    """A transaction that waits.

    Attributes:
        transaction: it.
        entered_at: seconds.
        parents: unconfirmed transactions whose coins it spends.
        children: unconfirmed transactions that spend its coins.
        chunk: what it will be mined with; kept current by `Mempool.chunks`.
    """

    transaction: Transaction
    entered_at: float
    parents: dict["Entry", None] = field(default_factory=dict)
    children: dict["Entry", None] = field(default_factory=dict)
    chunk: Chunk = field(init=False)

    def __post_init__(self) -> None:
        transaction = self.transaction
        self.chunk = Chunk(transaction.fee_rate_sat_vb, transaction.weight_wu, (self,))

    @property
    def usage_bytes(self) -> int:
        """Memory it takes."""
        return USAGE_BYTES_PER_ENTRY + int(USAGE_BYTES_PER_BYTE * self.transaction.size_bytes)


class Mempool:
    """What waits for a block.

    Sets are dicts here: their order does not depend on addresses in memory, so the same seed gives the same.

    Args:
        max_usage_bytes: above it the worst is evicted.
        expiry_s: what waits longer is dropped.
    """

    def __init__(self, *, max_usage_bytes: int, expiry_s: float) -> None:
        self.entries: dict[str, Entry] = {}
        self.max_usage_bytes = max_usage_bytes
        self.expiry_s = expiry_s
        self.usage_bytes = 0
        self.weight_wu = 0
        self.fee_sat = 0
        self.min_rate_sat_vb = MIN_RELAY_RATE_SAT_VB
        self._spenders: dict[OutPoint, Entry] = {}
        self._stale: dict[Entry, None] = {}

    def spender(self, outpoint: OutPoint) -> Entry | None:
        """Return what spends a coin, if anything does."""
        return self._spenders.get(outpoint)

    def add(self, transaction: Transaction, now: float) -> list[Entry]:
        """Take a transaction in; what it replaces goes, with its descendants.

        Args:
            transaction: new.
            now: seconds.

        Returns:
            What it replaced.

        Raises:
            RejectedTransactionError: it pays too little, or its cluster is too large.
        """
        rate_sat_vb = transaction.fee_rate_sat_vb
        if rate_sat_vb < self.min_rate_sat_vb:
            raise RejectedTransactionError(f"mempool min fee not met, {rate_sat_vb:.3f} sat/vB")
        replaced = self._conflicts(transaction)
        if replaced:
            self._check_replacement(transaction, replaced)
        entry = Entry(transaction, now)
        parents = self._parents(transaction)
        if parents:
            going = dict.fromkeys(replaced)
            if any(parent in going for parent in parents):
                raise RejectedTransactionError("bad-txns-spends-conflicting-tx")
            cluster = self._reach(parents, lambda e: [n for n in _neighbours(e) if n not in going])
            weight_wu = sum(e.transaction.weight_wu for e in cluster) + transaction.weight_wu
            if len(cluster) >= MAX_CLUSTER_COUNT or weight_wu > MAX_CLUSTER_WEIGHT_WU:
                raise RejectedTransactionError("too-large-cluster")
        for victim in reversed(replaced):
            self._unlink(victim)
        self._link(entry, parents)
        return replaced

    def restore(self, transaction: Transaction, now: float) -> list[Entry]:
        """Take back a transaction of a disconnected block, before what spends it.

        Returns:
            What conflicts with it and so goes.
        """
        conflicts = self._conflicts(transaction)
        for victim in reversed(conflicts):
            self._unlink(victim)
        entry = Entry(transaction, now)
        self._link(entry, self._parents(transaction))
        for coin in transaction.outputs:
            child = self._spenders.get(coin.outpoint)
            if child is not None:
                child.parents[entry] = None
                entry.children[child] = None
                self._stale[entry] = None
        return conflicts

    def confirm(self, transaction: Transaction) -> list[Entry]:
        """Take out what a block contains, and what contradicts it.

        Returns:
            What contradicted it, with descendants.
        """
        entry = self.entries.get(transaction.txid)
        if entry is not None:
            self._unlink(entry)
            return []
        conflicts = self._conflicts(transaction)
        for victim in reversed(conflicts):
            self._unlink(victim)
        return conflicts

    def remove(self, entry: Entry) -> list[Entry]:
        """Take out a transaction and its descendants; return them, parents first."""
        victims = self._with_descendants([entry])
        for victim in reversed(victims):
            self._unlink(victim)
        return victims

    def expire(self, now: float) -> list[Entry]:
        """Take out what waited too long, with its descendants."""
        expired: list[Entry] = []
        for entry in self.entries.values():  # in order of arrival: the first that is young enough ends it
            if now - entry.entered_at <= self.expiry_s:
                break
            expired.append(entry)
        victims = self._with_descendants(expired)
        for victim in reversed(victims):
            self._unlink(victim)
        return victims

    def evict(self) -> list[Entry]:
        """Take out the worst until the rest fits; what comes later must pay more than that."""
        if self.usage_bytes <= self.max_usage_bytes:
            return []
        evicted: list[Entry] = []
        for chunk in reversed(self.chunks()):
            if self.usage_bytes <= self.max_usage_bytes:
                break
            self.min_rate_sat_vb = max(self.min_rate_sat_vb, chunk.rate_sat_vb + MIN_RELAY_RATE_SAT_VB)
            victims = self._with_descendants(e for e in chunk.entries if e.transaction.txid in self.entries)
            for victim in reversed(victims):
                self._unlink(victim)
            evicted += victims
        return evicted

    def relax(self, passed_s: float) -> None:
        """Lower the rate that eviction asked for, the faster the more room there is.

        **Sources**: Bitcoin Core, txmempool.cpp, GetMinFee; it also waits for the first block.

        Args:
            passed_s: since the last time.
        """
        half_life_s = MIN_RATE_HALF_LIFE_S
        if self.usage_bytes < self.max_usage_bytes // 4:
            half_life_s /= 4
        elif self.usage_bytes < self.max_usage_bytes // 2:
            half_life_s /= 2
        lower = self.min_rate_sat_vb * 0.5 ** (passed_s / half_life_s)
        is_over = lower < 1.5 * MIN_RELAY_RATE_SAT_VB  # half the increment above the least
        self.min_rate_sat_vb = MIN_RELAY_RATE_SAT_VB if is_over else lower

    def relinearize(self) -> None:
        """Bring `Entry.chunk` up to date where clusters changed; costs nothing where they did not."""
        while self._stale:
            entry, _ = self._stale.popitem()
            cluster = self._reach([entry], _neighbours)
            for chunk in linearize(cluster):
                for member in chunk.entries:
                    member.chunk = chunk
            for member in cluster:
                self._stale.pop(member, None)

    def chunks(self) -> list[Chunk]:
        """Return all chunks, the best first; of one cluster always in a possible order."""
        self.relinearize()
        found = {id(entry.chunk): entry.chunk for entry in self.entries.values()}
        return _ranked(found.values())

    def template(self, *, entered_before: float, max_weight_wu: int = MAX_BLOCK_WEIGHT_WU) -> list[Entry]:
        """Return what a miner puts into a block, parents first.

        Args:
            entered_before: seconds; what came later has not reached the miner, nor has what depends on it:
                a parent that came back from a block may be younger than its children.
            max_weight_wu: room.
        """
        self.relinearize()
        chunks: list[Chunk] = []
        done: dict[Entry, None] = {}
        for entry in self.entries.values():
            if entry in done:
                continue
            if not entry.parents and not entry.children:
                if entry.entered_at <= entered_before:
                    chunks.append(entry.chunk)
                continue
            cluster = self._reach([entry], _neighbours)
            done |= cluster
            late = self._reach((e for e in cluster if e.entered_at > entered_before), _children)
            if late:
                chunks += linearize(e for e in cluster if e not in late)
            else:
                chunks += {id(e.chunk): e.chunk for e in cluster}.values()
        return _fill(_ranked(chunks), max_weight_wu)

    def _parents(self, transaction: Transaction) -> dict[Entry, None]:
        entries = self.entries
        found = (entries.get(spend.coin.outpoint.txid_internal[::-1].hex()) for spend in transaction.inputs)
        return {entry: None for entry in found if entry is not None}

    def _conflicts(self, transaction: Transaction) -> list[Entry]:
        """Return what spends the same coins, with descendants, parents first."""
        spenders = self._spenders
        found = (spenders.get(spend.coin.outpoint) for spend in transaction.inputs)
        direct = {entry: None for entry in found if entry is not None}
        return self._with_descendants(direct) if direct else []

    def _check_replacement(self, transaction: Transaction, replaced: list[Entry]) -> None:
        """Raise unless a replacement pays for itself and is better. Sources: Bitcoin Core 31, doc/policy."""
        if len(replaced) > MAX_REPLACED:
            raise RejectedTransactionError("too many potential replacements")
        replaced_fee_sat = sum(e.transaction.fee_sat for e in replaced)
        needed_sat = replaced_fee_sat + MIN_RELAY_RATE_SAT_VB * transaction.vsize
        if transaction.fee_sat < needed_sat:
            raise RejectedTransactionError(f"insufficient fee, {transaction.fee_sat} < {needed_sat:.0f}")
        if any(transaction.fee_rate_sat_vb <= e.transaction.fee_rate_sat_vb for e in replaced):
            raise RejectedTransactionError("insufficient feerate: does not improve what it replaces")

    def _link(self, entry: Entry, parents: dict[Entry, None]) -> None:
        transaction = entry.transaction
        self.entries[transaction.txid] = entry
        for spend in transaction.inputs:
            self._spenders[spend.coin.outpoint] = entry
        entry.parents = parents
        for parent in parents:
            parent.children[entry] = None
        if parents:
            self._stale[entry] = None
        self.usage_bytes += entry.usage_bytes
        self.weight_wu += transaction.weight_wu
        self.fee_sat += transaction.fee_sat

    def _unlink(self, entry: Entry) -> None:
        transaction = entry.transaction
        del self.entries[transaction.txid]
        for spend in transaction.inputs:
            if self._spenders.get(spend.coin.outpoint) is entry:
                del self._spenders[spend.coin.outpoint]
        for parent in entry.parents:
            del parent.children[entry]
            self._stale[parent] = None
        for child in entry.children:
            del child.parents[entry]
            self._stale[child] = None
        self._stale.pop(entry, None)
        self.usage_bytes -= entry.usage_bytes
        self.weight_wu -= transaction.weight_wu
        self.fee_sat -= transaction.fee_sat

    def _with_descendants(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return entries and what depends on them, parents first."""
        return _topological(self._reach(entries, _children))

    @staticmethod
    def _reach(entries: Iterable[Entry], neighbours: Callable[[Entry], Iterable[Entry]]) -> dict[Entry, None]:
        found = dict.fromkeys(entries)
        queue = list(found)
        while queue:
            for entry in neighbours(queue.pop()):
                if entry not in found:
                    found[entry] = None
                    queue.append(entry)
        return found


def _children(entry: Entry) -> Iterable[Entry]:
    return entry.children


def _neighbours(entry: Entry) -> Iterable[Entry]:
    return (*entry.parents, *entry.children)


_by_rate = attrgetter("rate_sat_vb")
_by_position = attrgetter("position")


def _ranked(chunks: Iterable[Chunk]) -> list[Chunk]:
    """Return chunks, the best first; those of one cluster in its order, also where rates are the same."""
    return sorted(sorted(chunks, key=_by_position), key=_by_rate, reverse=True)


def _topological(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries, parents first, else in the order given."""
    wanted = dict.fromkeys(entries)
    if len(wanted) < 2:  # noqa: PLR2004 -- nothing to order
        return list(wanted)
    ordered: dict[Entry, None] = {}
    for entry in wanted:
        path = [entry]
        while path:
            waiting = [p for p in path[-1].parents if p in wanted and p not in ordered]
            if waiting:
                path.append(waiting[0])
            else:
                ordered[path.pop()] = None
    return list(ordered)


def linearize(cluster: Iterable[Entry]) -> list[Chunk]:
    """Return the chunks of a cluster, the best first.

    Again and again the best set of a transaction with all its ancestors is taken; then neighbours are merged
    wherever the later one is better. That is not always the best order there is, but never an impossible one.

    Args:
        cluster: connected entries; parents that are missing count as confirmed.
    """
    rest = dict.fromkeys(_topological(cluster))
    chunks: list[Chunk] = []
    while rest:
        chunk = max((_chunk(_ancestors(entry, rest)) for entry in rest), key=_by_rate)
        for entry in chunk.entries:
            del rest[entry]
        chunks.append(chunk)
        while len(chunks) > 1 and chunks[-1].rate_sat_vb > chunks[-2].rate_sat_vb:
            later = chunks.pop()
            chunks[-1] = _chunk([*chunks[-1].entries, *later.entries])
    return [chunk._replace(position=position) for position, chunk in enumerate(chunks)]


def _ancestors(entry: Entry, among: dict[Entry, None]) -> list[Entry]:
    """Return an entry and its ancestors among some, parents first."""
    found = {entry: None}
    queue = [entry]
    while queue:
        for parent in queue.pop().parents:
            if parent in among and parent not in found:
                found[parent] = None
                queue.append(parent)
    return [e for e in among if e in found] if len(found) > 1 else [entry]


def _chunk(entries: list[Entry]) -> Chunk:
    weight_wu = sum([e.transaction.weight_wu for e in entries])
    fee_sat = sum([e.transaction.fee_sat for e in entries])
    return Chunk(fee_sat * 4 / weight_wu, weight_wu, tuple(entries))


def _fill(chunks: Iterable[Chunk], max_weight_wu: int) -> list[Entry]:
    """Return the entries of the best chunks that fit, parents first."""
    taken: dict[Entry, None] = {}
    left: dict[Entry, None] = {}
    room_wu = max_weight_wu
    failures = 0
    for chunk in chunks:
        fits = chunk.weight_wu <= room_wu
        if fits and not any(parent in left for entry in chunk.entries for parent in entry.parents):
            taken |= dict.fromkeys(chunk.entries)
            room_wu -= chunk.weight_wu
            failures = 0
            continue
        left |= dict.fromkeys(chunk.entries)
        failures += 1
        if failures > _FITTING_TRIES:
            break
    return list(taken)
