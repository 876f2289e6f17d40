"""The blocks that the backend projects from what waits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Final

from hydrophone.simulator.backend.fees import (
    BLOCK_WEIGHT_WU,
    NO_FEES,
    FeeStatistics,
    ProjectedFees,
    fee_statistics,
)
from hydrophone.simulator.backend.js_text import number, round_half_up
from hydrophone.simulator.backend.transactions import Record, TransactionText
from hydrophone.simulator.node.mempool import Chunk, Mempool

BLOCKS: Final = 8
"""So many are projected; the last has all the rest. Sources: mempool.space backend, MEMPOOL_BLOCKS_AMOUNT."""
_MAX_WEIGHT_WU: Final = BLOCK_WEIGHT_WU - 4_000
"""Sources: mempool.space, rust-gbt, BLOCK_RESERVED_WEIGHT."""
_LISTED_WEIGHT_WU: Final = BLOCK_WEIGHT_WU * 12 // 10
"""The last block is listed up to 1.2 blocks. Sources: mempool.space backend, mempool-blocks.ts."""


_by_rate = attrgetter("rate_sat_vb")


@dataclass(slots=True)
class _Row:
    """What may change of a transaction in a projected block: rate in cents of sat/vB, and flags."""

    rate: float
    flags: int


@dataclass(slots=True)
class ProjectedBlock:
    """A block to come.

    Attributes:
        records: the best first, parents before children.
        rates_sat_vb: of each, effective.
        weight_wu: of all.
        size_bytes: of all.
        fee_sat: of all.
        vsize: of all, each rounded up.
    """

    records: list[Record] = field(default_factory=list)
    rates_sat_vb: list[float] = field(default_factory=list)
    weight_wu: int = 0
    size_bytes: int = 0
    fee_sat: int = 0
    vsize: int = 0

    def add(self, record: Record, rate_sat_vb: float) -> None:
        """Put a transaction at the end.

        Args:
            record: of it; it learns its position.
            rate_sat_vb: effective.
        """
        transaction = record.transaction
        record.position_vb = self.vsize + record.vsize / 2
        self.vsize += record.vsize
        self.size_bytes += transaction.size_bytes
        self.fee_sat += transaction.fee_sat
        self.weight_wu += transaction.weight_wu
        self.records.append(record)
        self.rates_sat_vb.append(rate_sat_vb)

    def statistics(self) -> FeeStatistics:
        """Return its fee rates; a single transaction counts as none, as in the recordings."""
        if len(self.records) == 1:
            return NO_FEES
        return fee_statistics(self.rates_sat_vb, [record.transaction.weight_wu for record in self.records])


class Projection:
    """The blocks to come, computed when somebody asks.

    Args:
        records: what waits, by txid; not changed afterwards.
        mempool: of the node, which ranks it.
        text: writes rows.
    """

    def __init__(self, records: Mapping[str, Record], mempool: Mempool, text: TransactionText) -> None:
        self.records = records
        self._mempool = mempool
        self._text = text
        self._rows: dict[int, dict[str, _Row]] = {}

    @cached_property
    def blocks(self) -> list[ProjectedBlock]:
        """The next one first; none when nothing waits."""
        records = self.records
        found: list[ProjectedBlock] = []
        block = ProjectedBlock()
        for chunk in self._chunks():
            weight_wu = chunk.weight_wu
            if block.weight_wu + weight_wu > _MAX_WEIGHT_WU and block.records and len(found) < BLOCKS - 1:
                found.append(block)
                block = ProjectedBlock()
            for entry in chunk.entries:
                record = records.get(entry.transaction.txid)
                if record is not None:
                    record.block_number = len(found)
                    block.add(record, chunk.rate_sat_vb)
        if block.records:
            found.append(block)
        return found

    def _chunks(self) -> list[Chunk]:
        """Return the node's chunks, the best first, with what has left it unnoticed by the backend."""
        chunks = self._mempool.chunks()
        present = self._mempool.entries
        gone = [record.entry for txid, record in self.records.items() if txid not in present]
        if gone:
            chunks += [Chunk(e.chunk.rate_sat_vb, e.transaction.weight_wu, (e,)) for e in gone]
            chunks.sort(key=_by_rate, reverse=True)
        return chunks

    @cached_property
    def statistics(self) -> list[FeeStatistics]:
        """Of each block."""
        return [block.statistics() for block in self.blocks]

    def fees(self) -> list[ProjectedFees]:
        """Return what recommending needs of each block."""
        return [
            ProjectedFees(block.weight_wu / 4, statistics.median_sat_vb)
            for block, statistics in zip(self.blocks, self.statistics, strict=True)
        ]

    @cached_property
    def summary(self) -> str:
        """`mempool-blocks`."""
        parts = []
        for block, statistics in zip(self.blocks, self.statistics, strict=True):
            fee_range = ",".join([number(rate) for rate in statistics.range_sat_vb])
            parts.append(
                f'{{"blockSize":{block.size_bytes},"blockVSize":{number(block.weight_wu / 4)},'
                f'"nTx":{len(block.records)},"totalFees":{block.fee_sat},'
                f'"medianFee":{number(statistics.median_sat_vb)},"feeRange":[{fee_range}]}}'
            )
        return f"[{','.join(parts)}]"

    def full(self, index: int, sequence: int) -> str:
        """Return all rows of a block (which need not exist).

        Args:
            index: of the block.
            sequence: of the delta it belongs to.
        """
        rows = ",".join([self._full_row(index, txid) for txid in self._rows_of(index)])
        return f'{{"index":{index},"sequence":{sequence},"blockTransactions":[{rows}]}}'

    def delta(self, index: int, sequence: int, previous: "Projection") -> str:
        """Return what changed in a block.

        Args:
            index: of the block.
            sequence: of the delta it belongs to.
            previous: what was sent before.
        """
        old, new = previous._rows_of(index), self._rows_of(index)  # noqa: SLF001 -- same class
        added = ",".join([self._full_row(index, txid) for txid in new if txid not in old])
        removed = ",".join([f'"{txid}"' for txid in old if txid not in new])
        changed = ",".join(
            [
                f'["{txid}",{number(row.rate)},{row.flags},0]'
                for txid, row in new.items()
                if txid in old and row != old[txid]
            ]
        )
        return (
            f'{{"index":{index},"sequence":{sequence},'
            f'"delta":{{"added":[{added}],"removed":[{removed}],"changed":[{changed}]}}}}'
        )

    def is_mostly_new(self, index: int, previous: "Projection") -> bool:
        """Whether more than half of a block was not in it before."""
        old, new = previous._rows_of(index), self._rows_of(index)  # noqa: SLF001 -- same class
        return 2 * sum(txid not in old for txid in new) > len(new)

    def _full_row(self, index: int, txid: str) -> str:
        record, row = self.records[txid], self._rows[index][txid]
        start = self._text.row(record)
        return f"{start}{number(row.rate)},{row.flags},{record.first_seen_s}]"

    def _rows_of(self, index: int) -> dict[str, _Row]:
        rows = self._rows.get(index)
        if rows is None:
            rows = self._rows[index] = self._make_rows(index)
        return rows

    def _make_rows(self, index: int) -> dict[str, _Row]:
        if index >= len(self.blocks):
            return {}
        block = self.blocks[index]
        rows: dict[str, _Row] = {}
        weight_wu = 0
        for record, rate in zip(block.records, block.rates_sat_vb, strict=True):
            weight_wu += record.transaction.weight_wu
            if weight_wu > _LISTED_WEIGHT_WU:
                break
            rows[record.transaction.txid] = _Row(round_half_up(rate * 100) / 100, self._text.flags(record))
        return rows
