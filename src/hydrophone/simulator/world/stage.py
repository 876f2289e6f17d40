"""Where the actors meet: the clock, the dice, the node, and the way to send a transaction."""

from collections import deque
from collections.abc import Iterable
from random import Random
from typing import Final

from hydrophone.simulator.node.chain import Block
from hydrophone.simulator.node.mempool import Entry, RejectedTransactionError
from hydrophone.simulator.node.node import Node
from hydrophone.simulator.node.transactions import Coin, Transaction
from hydrophone.simulator.world.fees import FeeMarket
from hydrophone.simulator.world.habits import Habits
from hydrophone.simulator.world.lives import End, Life, TruthBook
from hydrophone.simulator.world.wallets import Draft, Terms, wallet_of

_COINBASE_DEPTH: Final = 108
"""Blocks above a coinbase before its coins are spent. Sources: Bitcoin Core, consensus.h, COINBASE_MATURITY,
100; eight more, so that no reorganisation takes a spent one back below it."""


class Stage:
    """What all actors share.

    Args:
        node: the mempool and chain.
        habits: how everybody behaves.
        rng: the only source of chance.
        book: of what really happened.
        now: seconds since the epoch at the beginning.
    """

    def __init__(self, node: Node, habits: Habits, rng: Random, book: TruthBook, now: float) -> None:
        self.node = node
        self.habits = habits
        self.rng = rng
        self.book = book
        self.fees = FeeMarket(node, habits)
        self.now = now
        self._unripe: deque[tuple[Coin, ...]] = deque()

    def terms(self, fee_rate_sat_vb: float) -> Terms:
        """Return what the next transaction bids, dressed by habit."""
        rng, habits = self.rng, self.habits
        is_replaceable = rng.random() < habits.replaceable
        locktime = self.node.chain.height if rng.random() < habits.anti_fee_sniping else 0
        return Terms(fee_rate_sat_vb, is_replaceable, locktime)

    def send(
        self, draft: Draft | None, kind: str, *, replaces: tuple[str, ...] = (), reason: str = "double_spend"
    ) -> Life | None:
        """Send a transaction to the node.

        Args:
            draft: what to send; None is not sent.
            kind: what it is for.
            replaces: what it is meant to replace.
            reason: why.

        Returns:
            None when the node did not take it.
        """
        if draft is None:
            return None
        transaction = draft.transaction
        try:
            replaced = self.node.submit(transaction, self.now)
        except RejectedTransactionError:
            return None
        life = Life(transaction, kind, draft.change, self.now, replaces)
        self.book.begin(life)
        for spend in transaction.inputs:
            self._take_from_wallet(spend.coin)
        for entry in replaced:
            if _conflict(entry.transaction, transaction):
                self.end(entry, End.REPLACED, reason, life)
            else:
                self.end(entry, End.DROPPED, "parent_replaced")
        return life

    def end(self, entry: Entry, end: End, reason: str, by: Life | None = None) -> None:
        """Note that something left the mempool without being mined."""
        life = self.book.lives.get(entry.transaction.txid)
        if life is not None:
            life.end, life.end_at, life.reason = end, self.now, reason
            life.replaced_by = by.transaction.txid if by is not None and end is End.REPLACED else None
        self._return_to_wallets(spend.coin for spend in entry.transaction.inputs)

    def confirmed(self, block: Block) -> None:
        """Note that a block was connected: its coins can be spent, and those of a coinbase now mature."""
        self._unripe.append(block.transactions[0].outputs)
        if len(self._unripe) > _COINBASE_DEPTH:
            self._return_to_wallets(self._unripe.popleft())
        for transaction in block.transactions:
            if not transaction.is_coinbase:
                self._return_to_wallets(transaction.outputs)
            for spend in transaction.inputs:
                self._take_from_wallet(spend.coin)
            life = self.book.lives.get(transaction.txid)
            if life is not None:
                life.end, life.end_at, life.block = End.CONFIRMED, self.now, block
                life.replaced_by = life.reason = None

    def disconnected(self, block: Block) -> None:
        """Note that a block was disconnected: its coins are gone until its transactions are mined again."""
        self._unripe.pop()
        for transaction in block.transactions:
            for coin in transaction.outputs:
                self._take_from_wallet(coin)
            life = self.book.lives.get(transaction.txid)
            if life is not None:
                life.end, life.end_at, life.block = End.PENDING, None, None
                life.reorged += 1

    @staticmethod
    def _take_from_wallet(coin: Coin) -> None:
        wallet = wallet_of(coin.script)
        if wallet is not None:
            wallet.coins.pop(coin, None)

    def _return_to_wallets(self, coins: Iterable[Coin]) -> None:
        """Give back the confirmed coins that nothing spends any more."""
        for coin in coins:
            wallet = wallet_of(coin.script)
            if (
                wallet is not None
                and coin.height is not None
                and self.node.mempool.spender(coin.outpoint) is None
                and self.node.chain.spender(coin.outpoint) is None
            ):
                wallet.coins[coin] = None


def _conflict(old: Transaction, new: Transaction) -> bool:
    spent = {spend.coin.outpoint for spend in new.inputs}
    return any(spend.coin.outpoint in spent for spend in old.inputs)
