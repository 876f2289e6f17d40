"""The node: a mempool over a chain, kept consistent through blocks and reorganisations."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hydrophone.simulator.node.chain import Block, Chain
from hydrophone.simulator.node.mempool import Entry, Mempool, RejectedTransactionError
from hydrophone.simulator.node.transactions import Coin, Payment, Transaction, make_coinbase

_HALVING_BLOCKS = 210_000
_FIRST_SUBSIDY_SAT = 50 * 100_000_000


def subsidy_sat(height: int) -> int:
    """Return the new coins of a block. Sources: Bitcoin Core, validation.cpp, GetBlockSubsidy."""
    return _FIRST_SUBSIDY_SAT >> height // _HALVING_BLOCKS


class Connected(NamedTuple):
    """What a new block did.

    Attributes:
        block: it.
        conflicts: what waited and is contradicted by it, with descendants, parents first.
    """

    block: Block
    conflicts: list[Entry]


class Disconnected(NamedTuple):
    """What taking the tip off did.

    Attributes:
        block: what was the tip.
        restored: its transactions that wait again.
        conflicts: what spent coins that no longer exist.
    """

    block: Block
    restored: list[Transaction]
    conflicts: list[Entry]


@dataclass(slots=True)
class Node:
    """A node.

    Attributes:
        mempool: what waits.
        chain: what is confirmed.
        is_up: whether its backend reaches it.
    """

    mempool: Mempool
    chain: Chain
    is_up: bool = True

    def submit(self, transaction: Transaction, now: float) -> list[Entry]:
        """Take a transaction into the mempool; return what it replaced.

        Raises:
            RejectedTransactionError: the mempool does not take it.
        """
        for coin in (spend.coin for spend in transaction.inputs):
            txid = coin.outpoint.txid_internal[::-1].hex()
            exists = coin.height is not None or txid in self.mempool.entries
            if not exists or self.chain.spender(coin.outpoint) is not None:
                raise RejectedTransactionError("bad-txns-inputs-missingorspent")
        return self.mempool.add(transaction, now)

    def connect(
        self,
        transactions: Sequence[Transaction],
        rewards: Iterable[Payment],
        *,
        now: float,
        miner: str,
        message: bytes,
    ) -> Connected:
        """Mine a block of these on the tip.

        Args:
            transactions: parents before children; they need not have been in the mempool.
            rewards: outputs of the coinbase.
            now: seconds.
            miner: who found it.
            message: what the miner says in its coinbase.

        Raises:
            ValueError: one spends what is spent, or what does not exist yet.
        """
        self._check_inputs(transactions)
        coinbase = make_coinbase(self.chain.height + 1, message, tuple(rewards))
        block = self.chain.mine((coinbase, *transactions), now=now, miner=miner)
        self.chain.connect(block)
        conflicts: list[Entry] = []
        for transaction in block.transactions:
            for coin in transaction.outputs:
                coin.height = block.height
            if not transaction.is_coinbase:
                conflicts += self.mempool.confirm(transaction)
        return Connected(block, conflicts)

    def _check_inputs(self, transactions: Sequence[Transaction]) -> None:
        spent: set[Coin] = set()
        made: set[Coin] = set()
        for transaction in transactions:
            for coin in (spend.coin for spend in transaction.inputs):
                exists = coin.height is not None or coin in made
                if not exists or coin in spent or self.chain.spender(coin.outpoint) is not None:
                    raise ValueError(f"bad-txns-inputs-missingorspent in {transaction.txid}")
                spent.add(coin)
            made.update(transaction.outputs)

    def disconnect(self, now: float) -> Disconnected:
        """Take the tip off; its transactions wait again, and what spent its coinbase is gone."""
        block = self.chain.disconnect()
        restored: list[Transaction] = []
        conflicts: list[Entry] = []
        for transaction in block.transactions:
            for coin in transaction.outputs:
                coin.height = None
            if transaction.is_coinbase:
                spenders = (self.mempool.spender(coin.outpoint) for coin in transaction.outputs)
                for spender in spenders:
                    if spender is not None:
                        conflicts += self.mempool.remove(spender)
            else:
                conflicts += self.mempool.restore(transaction, now)
                restored.append(transaction)
        return Disconnected(block, restored, conflicts)
