"""Blocks as the backend writes them."""

from collections.abc import Sequence
from enum import Enum
from functools import cached_property
from typing import Final

from hydrophone.simulator.backend.fees import NO_FEES, FeeStatistics, fee_statistics
from hydrophone.simulator.backend.js_text import dump, round_half_up, whole
from hydrophone.simulator.backend.projection import ProjectedBlock
from hydrophone.simulator.backend.spelling import Spelling
from hydrophone.simulator.node.chain import BITS, BLOCK_VERSION, DIFFICULTY, Block
from hydrophone.simulator.node.transactions import Transaction

_UNKNOWN_POOL: Final = "Unknown"
_DATABASE_ORDER: Final = (
    "totalFees", "medianFee", "feeRange", "reward", "pool", "avgFee", "avgFeeRate", "coinbaseRaw",
    "coinbaseAddress", "coinbaseAddresses", "coinbaseSignature", "coinbaseSignatureAscii", "avgTxSize",
    "totalInputs", "totalOutputs", "totalOutputAmt", "medianFeeAmt", "feePercentiles", "segwitTotalTxs",
    "segwitTotalSize", "segwitTotalWeight", "header", "utxoSetChange", "utxoSetSize", "totalInputAmt",
    "virtualSize", "firstSeen", "orphans", "matchRate", "expectedFees", "expectedWeight",
)  # fmt: skip
"""The keys of `extras` of a block that comes from the backend's database. Sources: mempool-esplora."""


_INDEX_ORDER: Final = (
    "id", "height", "version", "timestamp", "tx_count", "size", "weight", "merkle_root", "previousblockhash",
    "mediantime", "nonce", "bits", "difficulty", "stale", "extras",
)  # fmt: skip
"""The keys of a block that was asked from the index by its hash. Sources: mempool-esplora."""


class Origin(Enum):
    """How the backend came by a block."""

    NEW = "new"
    DATABASE = "database"
    REPLACING = "replacing"


class Pools:
    """The numbers of mining pools, in the order in which they found their first block."""

    def __init__(self) -> None:
        self._ids = {_UNKNOWN_POOL: 0}

    def describe(self, miner: str) -> dict[str, object]:
        """Return a pool as blocks name it."""
        name = miner or _UNKNOWN_POOL
        number = self._ids.setdefault(name, len(self._ids))
        slug = "".join(letter for letter in name.lower() if letter.isalnum())
        return {"id": number, "name": name, "slug": slug, "minerNames": None}


def effective_rates(transactions: Sequence[Transaction]) -> list[float]:
    """Return the effective rate of each transaction of a block but the coinbase, by whole virtual bytes.

    A transaction shares its rate with the ancestors that come right before it.

    **Sources**: mempool.space backend, cpfp.ts (calculateFastBlockCpfp).
    """
    rates: list[float] = []
    group: list[Transaction] = []
    ancestors: set[bytes] = set()
    for transaction in reversed(transactions[1:]):
        if group and transaction.txid_internal not in ancestors:
            rates += [_rate(group)] * len(group)
            group, ancestors = [], set()
        group.append(transaction)
        ancestors.update(spend.coin.outpoint.txid_internal for spend in transaction.inputs)
    rates += [_rate(group)] * len(group)
    return rates[::-1]


def _rate(group: Sequence[Transaction]) -> float:
    return sum(t.fee_sat for t in group) / sum(-(-t.weight_wu // 4) for t in group) if group else 0.0


def similarity(projected: ProjectedBlock, block: Block) -> float:
    """Return how much of the projected block was mined, by weight, the coinbase counted as hit.

    **Sources**: mempool.space backend, common.ts (getSimilarity).
    """
    mined = {transaction.txid for transaction in block.transactions}
    coinbase_wu = block.transactions[0].weight_wu
    weights = [(r.transaction.txid in mined, r.transaction.weight_wu) for r in projected.records]
    hit_wu = coinbase_wu + sum(weight for is_hit, weight in weights if is_hit)
    return hit_wu / (coinbase_wu + sum(weight for _, weight in weights))


class KnownBlock:
    """A block that the backend heard of.

    Args:
        block: of the node.
        spelling: of scripts.
        pools: numbers of pools.
        origin: found while polling, read from the database as blocks before the start are, or asked for
            because it took the place of another.

    Attributes:
        block: of the node.
        similarity: to what was projected; None when nothing was.
        first_seen_s: by txid, of its transactions that were announced before.
    """

    def __init__(
        self, block: Block, spelling: Spelling, pools: Pools, *, origin: Origin = Origin.NEW
    ) -> None:
        self.block = block
        self.similarity: float | None = None
        self.first_seen_s: dict[str, int] = {}
        self._spelling = spelling
        self._pool = pools.describe(block.miner)
        self._origin = origin

    @cached_property
    def rates_sat_vb(self) -> list[float]:
        """Effective, of all but the coinbase."""
        return effective_rates(self.block.transactions)

    @cached_property
    def text(self) -> str:
        """As JSON."""
        block = self.block
        extras = self._extras()
        is_from_database = self._origin is Origin.DATABASE
        if is_from_database:
            extras = {key: extras.get(key) for key in _DATABASE_ORDER}
        elif self.similarity is not None:
            extras["similarity"] = whole(self.similarity)
        fields: dict[str, object] = {
            "id": block.block_hash,
            "height": block.height,
            "version": BLOCK_VERSION,
            "timestamp": block.timestamp,
            "bits": BITS,
            "nonce": block.nonce,
            "difficulty": DIFFICULTY,
            "merkle_root": block.merkle_root,
            "tx_count": len(block.transactions),
            "size": block.size_bytes,
            "weight": block.weight_wu,
            "previousblockhash": block.previous_hash,
            "mediantime": block.median_time,
            "stale": 0 if is_from_database else False,
            "extras": extras,
        }
        if self._origin is Origin.REPLACING:
            fields = {key: fields[key] for key in _INDEX_ORDER}
        return dump(fields)

    @cached_property
    def fees(self) -> FeeStatistics:
        """Its fee rates."""
        others = self.block.transactions[1:]
        return fee_statistics(self.rates_sat_vb, [t.weight_wu for t in others]) if others else NO_FEES

    def _extras(self) -> dict[str, object]:
        """Return figures of a block; the coinbase counts where it counts for Bitcoin Core.

        **Sources**: Bitcoin Core, RPC getblockstats; mempool.space backend, blocks.ts ($getBlockExtended).
        """
        block = self.block
        coinbase, others = block.transactions[0], block.transactions[1:]
        size = sum(t.size_bytes for t in others)
        weight = sum(t.weight_wu for t in others)
        fees = sum(t.fee_sat for t in others)
        inputs = sum(len(t.inputs) for t in others)
        outputs = sum(len(t.outputs) for t in block.transactions)
        segwit = [t for t in others if any(spend.unlocking.witness for spend in t.inputs)]
        first = coinbase.outputs[0].script.raw if coinbase.outputs else b""
        address = self._spelling.address(first) if first else None
        addresses = [self._spelling.address(coin.script.raw) for coin in coinbase.outputs]
        return {
            "reward": coinbase.value_sat,
            "coinbaseRaw": coinbase.coinbase_script.hex(),
            "orphans": [],
            "medianFee": whole(self.fees.median_sat_vb),
            "feeRange": [whole(rate) for rate in self.fees.range_sat_vb],
            "totalFees": fees,
            "avgFee": fees // len(others) if others else 0,
            "avgFeeRate": fees * 4 // weight if others else 0,
            "utxoSetChange": outputs - inputs,
            "avgTxSize": whole(round_half_up(size / len(block.transactions) * 100) * 0.01),
            "totalInputs": inputs,
            "totalOutputs": outputs,
            "totalOutputAmt": sum(t.value_sat for t in others),
            "segwitTotalTxs": len(segwit),
            "segwitTotalSize": sum(t.size_bytes for t in segwit),
            "segwitTotalWeight": sum(t.weight_wu for t in segwit),
            "virtualSize": whole(block.weight_wu / 4),
            "coinbaseAddress": address,
            "coinbaseAddresses": list(dict.fromkeys(found for found in addresses if found)),
            "coinbaseSignature": self._spelling.asm(first),
            "coinbaseSignatureAscii": coinbase.coinbase_script.decode("latin-1"),
            "header": block.header.hex(),
            "utxoSetSize": None,
            "totalInputAmt": None,
            "pool": self._pool,
            "matchRate": None,
            "expectedFees": None,
            "expectedWeight": None,
            "firstSeen": None,
        }
