"""Whales and what happens to them, as events for the core."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from hydrophone.domain.events import (
    Ask,
    BlockConnected,
    BlockPlace,
    Effect,
    Event,
    NoAnswer,
    RecordBlock,
    Replaced,
    Source,
    TransactionSeen,
    TransactionTold,
)
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.questions import AboutTransaction, Question
from hydrophone.domain.script import Network
from hydrophone.domain.tracker import Tracker
from hydrophone.domain.transaction import Input, OutPoint, Output, Transaction
from hydrophone.domain.units import Height, Sats, Txid, UnixMicros, WeightUnits

T = TypeVar("T")
SOURCE = Source("mempool.space")
BTC = 100_000_000
T0 = UnixMicros(1_700_000_000_000_000)
EXCHANGE_SCRIPT = b"\x00\x14" + b"\xee" * 20


def txid(name: str) -> Txid:
    return Txid(name.encode().hex().ljust(64, "0"))


def script(name: str) -> bytes:
    return b"\x00\x14" + name.encode().ljust(20, b"\x00")


def output(name: str, btc: float) -> Output:
    return Output(script(name), Sats(round(btc * BTC)))


def whale(
    name: str,
    *,
    payee: str = "payee",
    btc: float = 150,
    rate: int = 10,
    has_prevouts: bool = True,
    coin: str | None = None,
) -> Transaction:
    """Return a whale that spends a coin of its own, or one that is named."""
    fee_sat = 200 * rate
    prevout = Output(script("payer"), Sats(round(btc * BTC) + 10 * BTC + fee_sat)) if has_prevouts else None
    return Transaction(
        txid=txid(name),
        inputs=(Input(OutPoint(txid(f"coin {name}" if coin is None else coin), 0), 0xFFFFFFFD, prevout),),
        outputs=(output(payee, btc), output("payer", 10)),
        weight_wu=WeightUnits(800),
        fee_sat=Sats(fee_sat),
    )


def tracker(book: LabelBook | None = None) -> Tracker:
    return Tracker(network=Network.MAINNET, book=book or LabelBook())


def seen(transaction: Transaction, at: int = 0) -> TransactionSeen:
    return TransactionSeen(later(at), SOURCE, transaction)


def later(micros: int) -> UnixMicros:
    return UnixMicros(T0 + micros)


def block(height: int, *mined: str, at: int = 5_000_000) -> BlockConnected:
    return BlockConnected(
        later(at), Height(height), f"block{height}", f"block{height - 1}", tuple(map(txid, mined))
    )


def replaced(name: str, by: str, successor: Transaction | None, at: int = 2_000_000) -> Replaced:
    return Replaced(later(at), SOURCE, txid(name), txid(by), successor)


def told(
    name: str, prevout: Output | None = None, *, at: int, height: int | None = None, payee: str = "payee"
) -> TransactionTold:
    """An answer: what a transaction is, and whether a block has it."""
    transaction = whale(name, payee=payee)
    if prevout is not None:
        transaction = replace(
            transaction, inputs=tuple(i._replace(prevout=prevout) for i in transaction.inputs)
        )
    place = None if height is None else BlockPlace(Height(height), f"block{height}")
    return TransactionTold(later(at), SOURCE, transaction, place)


def unknown(name: str, at: int) -> NoAnswer:
    return NoAnswer(later(at), AboutTransaction(txid(name)), "no such transaction", is_unknown=True)


def play(core: Tracker, *events: Event) -> list[Effect]:
    """What is said and stored of predictions: neither questions nor blocks."""
    effects = [effect for event in events for effect in core.step(event)]
    return [effect for effect in effects if not isinstance(effect, Ask | RecordBlock)]


def asked(core: Tracker, *events: Event) -> list[Question]:
    effects = [effect for event in events for effect in core.step(event)]
    return [effect.question for effect in effects if isinstance(effect, Ask)]


def only(effects: Sequence[Effect], kind: type[T]) -> list[T]:
    return [effect for effect in effects if isinstance(effect, kind)]
