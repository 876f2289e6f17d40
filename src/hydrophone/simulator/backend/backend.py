"""The backend's process: it polls the node and tells what is new.

It has no clock and no sockets: `poll` is called by whoever has them, and gives updates; a session makes
frames of them for its client.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Final, NamedTuple

from hydrophone.domain.script import Network
from hydrophone.simulator.backend.blocks import KnownBlock, Origin, Pools, similarity
from hydrophone.simulator.backend.difficulty import difficulty_adjustment
from hydrophone.simulator.backend.fees import recommended_fees
from hydrophone.simulator.backend.history import INTERVAL_S, History
from hydrophone.simulator.backend.js_text import dump, number, round_half_up, whole
from hydrophone.simulator.backend.known_mempool import KnownMempool, find_victims
from hydrophone.simulator.backend.projection import BLOCKS, Projection
from hydrophone.simulator.backend.replacements import Replacements
from hydrophone.simulator.backend.spelling import Spelling, Style
from hydrophone.simulator.backend.transactions import Record, TransactionText, mined_record
from hydrophone.simulator.backend.updates import PROJECTED_BLOCK, Update
from hydrophone.simulator.node.chain import Block
from hydrophone.simulator.node.mempool import (
    MAX_CLUSTER_COUNT,
    MAX_CLUSTER_WEIGHT_WU,
    MIN_RELAY_RATE_SAT_VB,
)
from hydrophone.simulator.node.node import Node
from hydrophone.simulator.node.transactions import Transaction

__all__ = ["Backend", "Style"]

POLL_INTERVAL_S: Final = 2.0
INDEXING_SLOWDOWN: Final = 10
DOWN_INTERVAL_S: Final = 1.0
"""Sources: recordings; mempool.space backend, index.ts (POLL_RATE_MS, runMainUpdateLoop)."""
INITIAL_BLOCKS: Final = 8
MAX_GAP_BLOCKS: Final = 16
KEPT_BLOCKS: Final = 32
"""A client gets the first at once; a backend that is further behind than the second skips; the third are kept
in memory. Sources: mempool.space backend, blocks.ts ($updateBlocks), INITIAL_BLOCKS_AMOUNT 8."""
_REORG_INDEXING_S: Final = 20.0
"""One slow poll. chosen: the recordings have one after a reorganisation."""
_CACHED_BLOCKS: Final = 64
"""chosen: a few megabytes; older blocks are written anew when somebody asks."""
_RATE_WINDOW_S: Final = 150
"""Sources: mempool.space backend, TX_PER_SECOND_SAMPLE_PERIOD; agrees with the recordings."""
_LATEST: Final = 6
_EMPTY_USAGE_BYTES: Final = 64
"""Sources: `mempoolInfo` of the recordings."""
_SATS_PER_BTC: Final = 100_000_000
_RATE_PER_BTC_KVB: Final = 100_000
"""sat/vB in one BTC/kvB."""
_NODE_DOWN: Final = '{"mempool":99}'
_REORG_INDICATORS: Final = ("block-indexing", "daily-hashrate-indexing", "weekly-hashrate-indexing")
_CURRENCIES: Final = (
    "USD", "EUR", "GBP", "CAD", "CHF", "AUD", "JPY", "BGN", "BRL", "CNY", "CZK", "DKK", "HKD", "HRK", "HUF",
    "IDR", "ILS", "INR", "ISK", "KRW", "MXN", "MYR", "NOK", "NZD", "PHP", "PLN", "RON", "RUB", "SEK", "SGD",
    "THB", "TRY", "ZAR",
)  # fmt: skip
"""Sources: recordings, `/api/v1/prices`."""


def _nobody(_: Sequence[str], __: float) -> None:
    """Listens to nothing."""


class _Info(NamedTuple):
    """The mempool in figures, as the node has it."""

    size: int
    vsize: int
    usage_bytes: int
    fee_sat: int
    min_rate_sat_vb: float


class _Delta(NamedTuple):
    """What `mempool-transactions` and `mempool-txids` say."""

    sequence: int
    added: Sequence[Record] = ()
    removed: Sequence[Record] = ()
    mined: Sequence[str] = ()
    replaced: Sequence[tuple[str, Record]] = ()


class Backend:
    """The backend of a node.

    Args:
        node: it polls.
        style: whether it has an index of all transactions.
        network: decides the addresses.
        started_at: seconds.
        on_announced: told which txids were just put into `added`, and when (seconds).
    """

    def __init__(
        self,
        node: Node,
        *,
        style: Style,
        network: Network,
        started_at: float,
        on_announced: Callable[[Sequence[str], float], None] = _nobody,
    ) -> None:
        self.node = node
        self.style = style
        self.spelling = Spelling(style, network)
        self.text = TransactionText(self.spelling)
        self.pools = Pools()
        self.history = History()
        self._on_announced = on_announced
        self._cached_blocks: dict[str, KnownBlock] = {}
        self._prices: dict[str, float] = {"time": 0, **dict.fromkeys(_CURRENCIES, -1)}
        self._has_new_prices = False
        self._indexing: tuple[float, float] | None = None
        self._slow_until = started_at
        self._start(started_at)

    def _start(self, now: float) -> None:
        """Forget all that lives in memory."""
        self.sequence = 0
        self.mempool = KnownMempool()
        self.replacements = Replacements()
        self.projection = Projection({}, self.node.mempool, self.text)
        self.blocks: list[KnownBlock] = []
        self.polled_at = now
        self.has_told_replacements = False
        self.has_initialised = False
        self._noted: list[str] = []
        self._is_fresh = True
        self._is_restarted = False
        self._is_down = False
        self._indicators = "{}"
        self._info = self._measure()
        self._latest: list[Record] = []
        self._arrivals: deque[tuple[float, int]] = deque()
        self._arrived_vsize = 0
        self._vbytes_per_second = 0
        self._next_point_at = (now // INTERVAL_S + 1) * INTERVAL_S

    @property
    def poll_interval_s(self) -> float:
        """When to poll again: seldom while indexing, often while the node is down."""
        if not self.node.is_up:
            return DOWN_INTERVAL_S
        is_slow = self.polled_at < self._slow_until
        return POLL_INTERVAL_S * INDEXING_SLOWDOWN if is_slow else POLL_INTERVAL_S

    def start_indexing(self, now: float, duration_s: float) -> None:
        """Let the indexer run.

        Args:
            now: seconds.
            duration_s: how long it takes.
        """
        self._indexing = (now, now + duration_s)
        self._slow_until = now + duration_s

    def note_block_read(self, block_hash: str) -> None:
        """Note that somebody asked for the transactions of a block; clients hear of it with the next poll.

        **Sources**: mempool-none: reading a block without an index is long work to the backend.
        """
        name = f"blocktxs-{block_hash}"
        self._noted += [f'{{"{name}":0}}', f'{{"{name}":50}}', "{}"]

    def set_price(self, usd: float, now: float) -> None:
        """Set the price of a bitcoin; clients hear of it with the next poll."""
        self._prices = {**self._prices, "time": int(now), "USD": whole(usd)}
        self._has_new_prices = True

    def restart(self, now: float) -> None:
        """Become a new process, which knows nothing but what is in its database."""
        self._start(now)
        self._is_restarted = True

    def poll(self, now: float) -> list[Update]:
        """Ask the node what is new.

        Args:
            now: seconds; not before the last poll.

        Returns:
            What clients may want to hear, in order. Frames have to be made of it before the next poll.
        """
        self.polled_at = now
        if not self.node.is_up:
            self._is_down = True
            return [self._indicate(_NODE_DOWN)]
        updates = [Update({}, is_for_everyone=True)] if self._is_restarted else []
        self._is_restarted = False
        if self._is_down:
            self._is_down = False
            updates.append(self._indicate("{}"))
        updates += self._advance_indexing(now)
        updates += [self._indicate(text) for text in self._noted]
        self._noted.clear()
        self._measure_rate(now)
        updates += self._poll_blocks(now)
        updates += self._poll_mempool(now)
        if now >= self._next_point_at:
            self._next_point_at = (now // INTERVAL_S + 1) * INTERVAL_S
            updates.append(self._add_point(now))
        if self._has_new_prices:
            self._has_new_prices = False
            prices = self.prices()
            updates.append(Update({"conversions": lambda: prices}, is_for_everyone=True, is_spaced=False))
        return updates

    # --- what sessions and REST answers ask for -------------------------------------------------------

    def current(self, name: str) -> str | None:
        """Return the latest value of a part of frames as JSON; None before it is known."""
        writers: dict[str, Callable[[], str | None]] = {
            "blocks": lambda: self._block_list(self.blocks[-INITIAL_BLOCKS:]),
            "mempool-blocks": lambda: self.projection.summary,
            "mempoolInfo": self._write_info,
            "vBytesPerSecond": self._write_told_rate,
            "fees": self.precise_fees,
            "da": self.difficulty,
            "transactions": self.latest_transactions,
            "loadingIndicators": lambda: self._indicators,
            "conversions": self.prices,
            "rbfLatest:all": partial(self.replacements.listed, only_full=False),
            "rbfLatest:fullRbf": partial(self.replacements.listed, only_full=True),
            "rbfLatestSummary": self.replacements.summary,
        }
        return writers[name]()

    @property
    def tip(self) -> Block | None:
        """The last block that the backend heard of."""
        return self.blocks[-1].block if self.blocks else None

    def known_block(self, block: Block) -> KnownBlock:
        """Return a block as the backend writes it."""
        known = self._cached_blocks.get(block.block_hash)
        if known is None:
            origin = Origin.DATABASE if self.style is Style.ESPLORA else Origin.NEW
            known = KnownBlock(block, self.spelling, self.pools, origin=origin)
            self._keep(known)
        return known

    def precise_fees(self) -> str:
        """Return the fees that the websocket has."""
        return self._write_fees(self.projection, is_precise=True)

    def rounded_fees(self) -> str:
        """Return the fees in whole sat/vB."""
        return self._write_fees(self.projection, is_precise=False)

    def difficulty(self) -> str:
        """Return the difficulty adjustment ahead."""
        return difficulty_adjustment(self.node.chain, self.polled_at)

    def latest_transactions(self) -> str:
        """Return the last six that came; their rates are their own, without relatives, as recorded."""
        return dump(
            [
                {
                    "txid": record.transaction.txid,
                    "fee": record.transaction.fee_sat,
                    "vsize": whole(record.transaction.vsize),
                    "value": record.transaction.value_sat,
                    "rate": whole(record.transaction.fee_rate_sat_vb),
                    "time": record.first_seen_s,
                }
                for record in self._latest
            ]
        )

    @property
    def latest(self) -> list[Transaction]:
        """The last six that came."""
        return [record.transaction for record in self._latest]

    def prices(self) -> str:
        """Return the prices; -1 where there is none."""
        return dump(self._prices)

    def mempool_totals(self) -> str:
        """Return the mempool in short, as REST has it."""
        return dump(
            {
                "count": self._info.size,
                "vsize": self._info.vsize,
                "total_fee": self._info.fee_sat,
                "fee_histogram": [],
            }
        )

    # --- blocks ---------------------------------------------------------------------------------------

    def _poll_blocks(self, now: float) -> list[Update]:
        chain = self.node.chain
        if self._is_fresh:
            self._is_fresh = False
            blocks = chain.last(INITIAL_BLOCKS)
            return [update for block in blocks for update in self._connect(block, now, sequence=0)]
        tip = self.tip
        height = chain.base_height if tip is None else tip.height
        if chain.height - height > MAX_GAP_BLOCKS:
            height = chain.height - INITIAL_BLOCKS
        updates: list[Update] = []
        for new_height in range(height + 1, chain.height + 1):
            block = chain.at(new_height)
            if block is None:
                continue
            reorganised = self._reorganise(block)
            self.sequence += 1
            updates += [*reorganised, *self._connect(block, now, sequence=self.sequence)]
            if reorganised:
                updates += self._index_after_reorganisation(now)
        return updates

    def _reorganise(self, block: Block) -> list[Update]:
        """Replace the blocks that no longer count, if the backend notices: without its indexer it does not.

        Args:
            block: the next one; its parent may be unknown.
        """
        tip = self.tip
        if self.style is Style.NONE or tip is None or tip.height != block.height - 1:
            return []
        if tip.block_hash == block.previous_hash:
            return []
        chain = self.node.chain
        self.blocks = [known for known in self.blocks if chain.is_active(known.block)]
        fork_height = self.blocks[-1].block.height if self.blocks else block.height - 1
        for height in range(fork_height + 1, block.height):
            replacing = chain.at(height)
            if replacing is not None:
                self._append(KnownBlock(replacing, self.spelling, self.pools, origin=Origin.REPLACING))
        oldest = self.blocks[0].block.height if self.blocks else block.height
        while len(self.blocks) < KEPT_BLOCKS:
            oldest -= 1
            older = chain.at(oldest)
            if older is None:
                break
            self.blocks.insert(0, self.known_block(older))
        blocks = list(self.blocks)
        return [Update({"blocks": lambda: self._block_list(blocks), "da": self.difficulty})]

    def _index_after_reorganisation(self, now: float) -> list[Update]:
        self._slow_until = now + _REORG_INDEXING_S
        texts = [text for name in _REORG_INDICATORS for text in (f'{{"{name}":0}}', "{}")]
        return [self._indicate(text) for text in texts]

    def _connect(self, block: Block, now: float, *, sequence: int) -> list[Update]:
        """Take in a block on the tip."""
        before = self._add_point(now)
        known = KnownBlock(block, self.spelling, self.pools)
        previous = self.projection
        projected = Projection(previous.records, self.node.mempool, self.text).blocks
        if projected:  # computed anew, so that it does not depend on who listened
            known.similarity = similarity(projected[0], block)
        replaced = self._confirm(known, now)
        self._append(known)
        projection = self.projection = Projection(self.mempool.records.copy(), self.node.mempool, self.text)
        mined = [transaction.txid for transaction in block.transactions]
        delta = _Delta(sequence, mined=mined, replaced=replaced)
        parts: dict[str, Callable[[], str | None]] = {
            "block": lambda: known.text,
            "mempoolInfo": self._write_info,
            "vBytesPerSecond": self._write_rate,
            "fees": partial(self._write_fees, projection, is_precise=True),
            "da": self.difficulty,
            "mempool-blocks": lambda: projection.summary,
        }
        for index in range(BLOCKS):
            name = f"{PROJECTED_BLOCK}:{index}"
            parts[name] = partial(_projected_after_block, projection, previous, index, sequence)
        parts["mempool-txids"] = partial(_write_txids, delta)
        parts["mempool-transactions"] = partial(self._write_delta, delta)
        return [before, Update(parts), self._add_point(now)]

    def _confirm(self, known: KnownBlock, now: float) -> list[tuple[str, Record]]:
        """Move what a block has out of the mempool; return what it replaced."""
        block = known.block
        waiting = self.mempool.records
        for transaction in block.transactions:
            record = waiting.get(transaction.txid)
            if record is not None and record.first_seen_s is not None:
                known.first_seen_s[transaction.txid] = record.first_seen_s
        unknown = self.mempool.confirm(block, known.rates_sat_vb)
        replaced: list[tuple[str, Record]] = []
        if unknown:
            entries = self.node.mempool.entries
            gone = [record for txid, record in self.mempool.records.items() if txid not in entries]
            victims = find_victims(gone, [transaction for transaction, _ in unknown])
            for transaction, rate in unknown:
                direct = victims.get(transaction.txid)
                if direct is not None:
                    record = mined_record(transaction, block, rate)
                    replaced += [(txid, record) for txid in self.replacements.add(direct, record, now)]
        for transaction in block.transactions:
            self.replacements.mined(transaction.txid)
        return replaced

    def _append(self, known: KnownBlock) -> None:
        self.blocks.append(known)
        del self.blocks[:-KEPT_BLOCKS]
        self._keep(known)

    def _keep(self, known: KnownBlock) -> None:
        self._cached_blocks[known.block.block_hash] = known
        if len(self._cached_blocks) > _CACHED_BLOCKS:
            del self._cached_blocks[next(iter(self._cached_blocks))]

    @staticmethod
    def _block_list(blocks: Iterable[KnownBlock]) -> str:
        return "[" + ",".join([known.text for known in blocks]) + "]"

    # --- mempool --------------------------------------------------------------------------------------

    def _poll_mempool(self, now: float) -> list[Update]:
        changes = self.mempool.compare(self.node.mempool, now)
        self._info = self._measure()
        added, removed = changes
        if not added and not removed:
            return []
        self._arrivals.append((now, sum([record.vsize for record in added])))
        self._arrived_vsize += self._arrivals[-1][1]
        replaced: list[tuple[str, Record]] = []
        if added and removed:
            victims = find_victims(removed, [record.transaction for record in added])
            for record in added if victims else ():
                direct = victims.get(record.transaction.txid)
                if direct is not None:
                    replaced += [(txid, record) for txid in self.replacements.add(direct, record, now)]
        self._latest = [*islice(added, _LATEST), *self._latest][:_LATEST]
        self.sequence += 1
        if added:
            self._on_announced([record.transaction.txid for record in added], now)
        return [self._tell(_Delta(self.sequence, added=added, removed=removed, replaced=replaced))]

    def _tell(self, delta: _Delta) -> Update:
        """Return the update about a change of the mempool."""
        previous = self.projection
        projection = self.projection = Projection(self.mempool.records.copy(), self.node.mempool, self.text)
        parts: dict[str, Callable[[], str | None]] = {
            "mempoolInfo": self._write_info,
            "vBytesPerSecond": self._write_rate,
            "transactions": self.latest_transactions,
            "da": self.difficulty,
            "fees": partial(self._write_fees, projection, is_precise=True),
            "mempool-blocks": lambda: projection.summary,
        }
        for index in range(BLOCKS):
            name = f"{PROJECTED_BLOCK}:{index}"
            parts[name] = partial(_projected_delta, projection, previous, index, delta.sequence)
        if self.replacements.has_news:
            self.replacements.has_news = False
            self.has_told_replacements = True
            for name in ("rbfLatest:all", "rbfLatest:fullRbf", "rbfLatestSummary"):
                parts[name] = partial(self.current, name)
        parts["mempool-txids"] = partial(_write_txids, delta)
        parts["mempool-transactions"] = partial(self._write_delta, delta)
        return Update(parts)

    def _write_delta(self, delta: _Delta) -> str:
        _ = self.projection.blocks  # decides the positions
        write = self.text.announced
        added = ",".join([write(record) for record in delta.added])
        pairs = ",".join([f'{{"replaced":"{txid}","by":{write(by)}}}' for txid, by in delta.replaced])
        return (
            f'{{"sequence":{delta.sequence},"added":[{added}],"removed":{_removed(delta)},'
            f'"mined":{dump(delta.mined)},"replaced":[{pairs}]}}'
        )

    # --- figures --------------------------------------------------------------------------------------

    def _advance_indexing(self, now: float) -> list[Update]:
        if self._indexing is None:
            return []
        started_at, until = self._indexing
        if now < until:
            percent = int((now - started_at) / (until - started_at) * 100)
            return [self._indicate(f'{{"block-indexing":{percent}}}')]
        self._indexing = None
        return [self._indicate("{}")]

    def _indicate(self, text: str) -> Update:
        self._indicators = text
        return Update({"loadingIndicators": lambda: text}, is_for_everyone=True, is_spaced=False)

    def _add_point(self, now: float) -> Update:
        point = self.history.add(
            now,
            self.mempool.records.values(),
            vbytes_per_second=self._vbytes_per_second,
            min_fee_sat_vb=self._info.min_rate_sat_vb,
        )
        return Update({"live-2h-chart": lambda: point}, is_spaced=False)

    def _measure(self) -> _Info:
        mempool = self.node.mempool
        return _Info(
            len(mempool.entries),
            self.mempool.vsize,
            mempool.usage_bytes + _EMPTY_USAGE_BYTES,
            mempool.fee_sat,
            mempool.min_rate_sat_vb,
        )

    def _measure_rate(self, now: float) -> None:
        """Average what came lately; once nothing did, the last figure stays, as in the recordings."""
        while self._arrivals and self._arrivals[0][0] <= now - _RATE_WINDOW_S:
            self._arrived_vsize -= self._arrivals.popleft()[1]
        if self._arrivals:
            self._vbytes_per_second = round_half_up(self._arrived_vsize / _RATE_WINDOW_S)

    def _write_rate(self) -> str:
        return str(self._vbytes_per_second)

    def _write_told_rate(self) -> str | None:
        """Return the rate for somebody new: the backend has none before it made its first frame."""
        return self._write_rate() if self.sequence or self.has_initialised else None

    def _write_fees(self, projection: Projection, *, is_precise: bool) -> str:
        return recommended_fees(
            projection.fees(), min_sat_vb=self._info.min_rate_sat_vb, is_precise=is_precise
        )

    def _write_info(self) -> str:
        info = self._info
        relay = number(MIN_RELAY_RATE_SAT_VB / _RATE_PER_BTC_KVB)
        return (
            f'{{"loaded":true,"size":{info.size},"bytes":{info.vsize},"usage":{info.usage_bytes},'
            f'"total_fee":{number(info.fee_sat / _SATS_PER_BTC)},'
            f'"maxmempool":{self.node.mempool.max_usage_bytes},'
            f'"mempoolminfee":{number(info.min_rate_sat_vb / _RATE_PER_BTC_KVB)},"minrelaytxfee":{relay},'
            f'"incrementalrelayfee":{relay},"unbroadcastcount":0,"permitbaremultisig":true,'
            f'"maxdatacarriersize":100000,"limitclustercount":{MAX_CLUSTER_COUNT},'
            f'"limitclustersize":{MAX_CLUSTER_WEIGHT_WU // 4},"optimal":true}}'
        )


def _projected_after_block(
    projection: Projection, previous: Projection, index: int, sequence: int
) -> str | None:
    """Return what followers of a projected block get with a mined one: all, if most of it is new."""
    if index >= len(projection.blocks):
        return None
    if projection.is_mostly_new(index, previous):
        return projection.full(index, sequence)
    return projection.delta(index, sequence, previous)


def _projected_delta(projection: Projection, previous: Projection, index: int, sequence: int) -> str | None:
    """Return what a client that follows a projected block gets when the mempool changed."""
    if index >= max(len(projection.blocks), len(previous.blocks)):
        return None
    return projection.delta(index, sequence, previous)


def _removed(delta: _Delta) -> str:
    return dump([record.transaction.txid for record in delta.removed])


def _write_txids(delta: _Delta) -> str:
    added = dump([record.transaction.txid for record in delta.added])
    pairs = dump([{"replaced": txid, "by": by.transaction.txid} for txid, by in delta.replaced])
    return (
        f'{{"sequence":{delta.sequence},"added":{added},"removed":{_removed(delta)},'
        f'"mined":{dump(delta.mined)},"replaced":{pairs}}}'
    )
