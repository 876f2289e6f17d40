"""Blocks and the chain they make, which may reorganise."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hydrophone.simulator.node.transactions import (
    OutPoint,
    Transaction,
    compact_size,
    double_sha256,
)

BLOCK_VERSION: Final = 0x30000000
BITS: Final = 0x207FFFFF
"""Every second hash meets it: the proof of work is real, and cheap. Sources: Bitcoin Core, regtest."""
_TARGET: Final = 0x7FFFFF << 8 * (0x20 - 3)
DIFFICULTY: Final = 4.656542373906925e-10
"""That of `BITS`."""
MEDIAN_TIME_SPAN: Final = 11
"""Sources: BIP 113."""
HEADER_BYTES: Final = 80
RETARGET_BLOCKS: Final = 2016


@dataclass(slots=True, eq=False)
class Block:
    """A block.

    Attributes:
        block_hash: display order, hex.
        height: number of blocks below.
        previous_hash: of its parent.
        merkle_root: display order, hex.
        timestamp: whole seconds, as its header says.
        nonce: what makes the hash small enough.
        header: 80 bytes.
        transactions: the coinbase first.
        miner: name of the pool.
        found_at: seconds.
        median_time: of it and the ten before.
    """

    block_hash: str
    height: int
    previous_hash: str
    merkle_root: str
    timestamp: int
    nonce: int
    header: bytes
    transactions: tuple[Transaction, ...]
    miner: str
    found_at: float
    median_time: int

    @property
    def size_bytes(self) -> int:
        """With witnesses."""
        count = len(compact_size(len(self.transactions)))
        return HEADER_BYTES + count + sum(t.size_bytes for t in self.transactions)

    @property
    def weight_wu(self) -> int:
        """BIP 141."""
        count = len(compact_size(len(self.transactions)))
        return 4 * (HEADER_BYTES + count) + sum(t.weight_wu for t in self.transactions)


def merkle_root(txids_internal: Sequence[bytes]) -> bytes:
    """Return the root of the tree of transaction ids (at least one), in internal order."""
    level = list(txids_internal)
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [double_sha256(a + b) for a, b in zip(level[::2], level[1::2], strict=True)]
    return level[0]


class Chain:
    """The blocks that count, and where each transaction of the last of them is.

    Args:
        base_height: height below the first block.
        base_hash: what the first block has for a parent.
        kept_blocks: so many are kept; older ones are forgotten, and the newest of those becomes the base.
            At least eleven, or the median of times is one of fewer.
    """

    def __init__(self, *, base_height: int, base_hash: str, kept_blocks: int) -> None:
        self.base_height = base_height
        self.base_hash = base_hash
        self.by_hash: dict[str, Block] = {}
        self.stale: list[Block] = []
        self._active: list[Block] = []
        self._kept_blocks = kept_blocks
        self._blocks_of: dict[str, Block] = {}
        self._positions: dict[str, int] = {}
        self._spenders: dict[OutPoint, tuple[Transaction, int]] = {}

    @property
    def height(self) -> int:
        """Of the tip."""
        return self._active[-1].height if self._active else self.base_height

    @property
    def tip_hash(self) -> str:
        """Of the tip."""
        return self._active[-1].block_hash if self._active else self.base_hash

    def last(self, count: int) -> list[Block]:
        """Return the newest blocks, oldest first."""
        return self._active[-count:] if count else []

    def at(self, height: int) -> Block | None:
        """Return the block of a height; None when it is not known (any more)."""
        if not self._active or not self._active[0].height <= height <= self.height:
            return None
        return self._active[height - self._active[0].height]

    def is_active(self, block: Block) -> bool:
        """Whether a block is in the chain."""
        return self.at(block.height) is block

    def find(self, txid: str) -> tuple[Transaction, Block] | None:
        """Return a confirmed transaction with its block; None when it is not known (any more)."""
        block = self._blocks_of.get(txid)
        return None if block is None else (block.transactions[self._positions[txid]], block)

    def spender(self, outpoint: OutPoint) -> tuple[Transaction, Block, int] | None:
        """Return what confirmed spent a coin, its block, and by which input."""
        found = self._spenders.get(outpoint)
        if found is None:
            return None
        transaction, vin = found
        return transaction, self._blocks_of[transaction.txid], vin

    def mine(self, transactions: Iterable[Transaction], *, now: float, miner: str) -> Block:
        """Return a new block on the tip; it is not connected yet.

        Args:
            transactions: the coinbase first.
            now: seconds.
            miner: who found it.
        """
        mined = tuple(transactions)
        times = [block.timestamp for block in self.last(MEDIAN_TIME_SPAN)]
        timestamp = max(int(now), (sorted(times)[len(times) // 2] + 1) if times else 0)  # BIP 113
        root = merkle_root([t.txid_internal for t in mined])
        start = struct.pack("<i", BLOCK_VERSION) + bytes.fromhex(self.tip_hash)[::-1] + root
        nonce = 0
        while True:
            header = start + struct.pack("<III", timestamp, BITS, nonce)
            digest = double_sha256(header)
            if int.from_bytes(digest, "little") <= _TARGET:
                break
            nonce += 1
        times = sorted([*times, timestamp][-MEDIAN_TIME_SPAN:])
        return Block(
            block_hash=digest[::-1].hex(),
            height=self.height + 1,
            previous_hash=self.tip_hash,
            merkle_root=root[::-1].hex(),
            timestamp=timestamp,
            nonce=nonce,
            header=header,
            transactions=mined,
            miner=miner,
            found_at=now,
            median_time=times[len(times) // 2],
        )

    def connect(self, block: Block) -> None:
        """Make a block the tip.

        Raises:
            ValueError: its parent is not the tip.
        """
        if block.previous_hash != self.tip_hash:
            raise ValueError(f"expected a block after {self.tip_hash}, found one after {block.previous_hash}")
        self._active.append(block)
        self.by_hash[block.block_hash] = block
        for position, transaction in enumerate(block.transactions):
            self._blocks_of[transaction.txid] = block
            self._positions[transaction.txid] = position
            for vin, spend in enumerate(transaction.inputs):
                self._spenders[spend.coin.outpoint] = (transaction, vin)
        if len(self._active) > self._kept_blocks:
            self._forget(self._active.pop(0))

    def disconnect(self) -> Block:
        """Take the tip off and return it; it stays known as stale.

        Raises:
            ValueError: none is kept below.
        """
        if not self._active:
            raise ValueError(f"expected a block above height {self.base_height}, found none")
        block = self._active.pop()
        self._forget_transactions(block)
        self.stale.append(block)
        return block

    def _forget(self, block: Block) -> None:
        self._forget_transactions(block)
        self.base_height, self.base_hash = block.height, block.block_hash
        del self.by_hash[block.block_hash]
        for stale in [s for s in self.stale if s.height < block.height]:
            self.stale.remove(stale)
            self.by_hash.pop(stale.block_hash, None)

    def _forget_transactions(self, block: Block) -> None:
        for transaction in block.transactions:
            if self._blocks_of.get(transaction.txid) is block:
                del self._blocks_of[transaction.txid]
                del self._positions[transaction.txid]
                for spend in transaction.inputs:
                    self._spenders.pop(spend.coin.outpoint, None)
