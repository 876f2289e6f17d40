"""Transactions and blocks as Esplora's JSON has them, the form of mempool.space's websocket and REST alike.

Sources: frames and answers of a mempool.space backend 3.4-dev on regtest (August 2026); Esplora, API.md.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Final, TypeVar

import msgspec

from hydrophone.domain.events import BlockConnected
from hydrophone.domain.feemarket import RANGE_LENGTH, RateProfile
from hydrophone.domain.transaction import Input, OutPoint, Output, Transaction
from hydrophone.domain.units import (
    MAX_MONEY_SAT,
    FeeRate,
    Height,
    Sats,
    Txid,
    UnixMicros,
    WeightUnits,
    micros_from_seconds,
)
from hydrophone.errors import MalformedMessage

T = TypeVar("T")

NOTHING: Final = msgspec.Raw(b"")
_TXID_DIGITS: Final = 64
TXID: Final = re.compile(r"[0-9a-f]{64}")

_MAX_WEIGHT_WU: Final = 4_000_000
"""No transaction weighs more than a block may. Sources: BIP 141, block size."""
Amount = Annotated[Sats, msgspec.Meta(ge=0, le=MAX_MONEY_SAT)]
_Fee = Annotated[float, msgspec.Meta(ge=0, le=MAX_MONEY_SAT)]
"""Satoshis; backends compute it from BTC and may be a hair off."""
MAX_RATE: Final = 1e12
Rate = Annotated[float, msgspec.Meta(ge=0, le=MAX_RATE)]
"""Also of sizes in vB. # chosen: beyond any that a block has; sums of them and ratios to them stay finite."""
Weight = Annotated[int, msgspec.Meta(gt=0, le=_MAX_WEIGHT_WU)]
BlockHeight = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""Sources: Bitcoin Core, chain.h, CBlockIndex::nHeight is an int."""
Uint32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
BlockHash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class _Output(msgspec.Struct, gc=False):
    value: Amount
    scriptpubkey: str = ""


class GatedTransaction(msgspec.Struct, gc=False):
    """Stage one: outputs typed, inputs raw. What they pay decides whether anything else is read."""

    txid: str
    vin: msgspec.Raw
    vout: list[_Output]
    weight: Weight
    fee: _Fee | None = None
    effective_rate: float | None = msgspec.field(name="effectiveFeePerVsize", default=None)
    ancestors: msgspec.Raw = NOTHING
    acceleration: msgspec.Raw = NOTHING


class _Prevout(msgspec.Struct, gc=False):
    value: Amount
    scriptpubkey: str


class _Input(msgspec.Struct, gc=False):
    """Typed as the domain wants it: each conversion, a call, would cost a whale's inputs a tenth more."""

    sequence: Uint32
    txid: Txid = Txid("")
    vout: Uint32 = 0
    prevout: _Prevout | None = None
    is_coinbase: bool = False


class Block(msgspec.Struct, gc=False):
    """Its header is needed; what it says of fees may be malformed, and is read apart."""

    id: BlockHash
    height: BlockHeight
    previousblockhash: BlockHash
    timestamp: msgspec.Raw = NOTHING
    weight: msgspec.Raw = NOTHING
    extras: msgspec.Raw = NOTHING


class _Extras(msgspec.Struct, gc=False):
    range_sat_vb: list[Rate] | None = msgspec.field(name="feeRange", default=None)


_decode_transaction = msgspec.json.Decoder(GatedTransaction).decode
_decode_inputs = msgspec.json.Decoder(list[_Input]).decode
_decode_extras = msgspec.json.Decoder(_Extras).decode
_decode_weight = msgspec.json.Decoder(Weight).decode
_decode_timestamp = msgspec.json.Decoder(Uint32).decode

NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not what was asked for; RecursionError: nested too deeply."""


def parse_esplora_transaction(raw: bytes) -> Transaction:
    """Return a transaction given as Esplora JSON, as REST answers it.

    Raises:
        MalformedMessage: it is not such a transaction.
    """
    try:
        return transaction_of(_decode_transaction(raw))
    except NOT_JSON as error:
        raise MalformedMessage(f"expected a transaction in Esplora's JSON: {error}") from error


def encode_esplora_transaction(tx: Transaction) -> bytes:
    """Return a transaction as Esplora JSON, with all that `Transaction` holds and nothing else."""
    inputs = [
        {
            **({} if i.outpoint is None else {"txid": i.outpoint.txid, "vout": i.outpoint.vout}),
            "is_coinbase": i.outpoint is None,
            "sequence": i.sequence,
            "prevout": None if i.prevout is None else _output_json(i.prevout),
        }
        for i in tx.inputs
    ]
    document = {
        "txid": tx.txid,
        "vin": inputs,
        "vout": [_output_json(output) for output in tx.outputs],
        "weight": tx.weight_wu,
        "fee": tx.fee_sat,
        "effectiveFeePerVsize": tx.effective_fee_rate,
        "acceleration": tx.is_accelerated or None,
    }
    return msgspec.json.encode({key: value for key, value in document.items() if value is not None})


def _output_json(output: Output) -> dict[str, object]:
    return {"scriptpubkey": output.script.hex(), "value": output.value_sat}


def transaction_of(gated: GatedTransaction) -> Transaction:
    """Return stage two: the whole transaction.

    Raises:
        MalformedMessage: something in it is not as it must be.
    """
    if not TXID.fullmatch(gated.txid):
        raise MalformedMessage(f"expected a txid of 64 hex digits, found {gated.txid[:80]!r}")
    try:
        inputs = _decode_inputs(gated.vin)
    except NOT_JSON as error:
        raise MalformedMessage(f"inputs of {gated.txid}: {error}") from error
    _check_total(gated.txid, gated.vout)
    _check_total(gated.txid, [i.prevout for i in inputs if i.prevout is not None])
    # Then the package's rate has in it what was paid elsewhere; other miners see what it pays itself.
    is_accelerated = bytes(gated.acceleration) == b"true"
    try:
        return Transaction(
            txid=Txid(gated.txid),
            inputs=tuple([_input(i) for i in inputs]),
            outputs=tuple([Output(bytes.fromhex(o.scriptpubkey), o.value) for o in gated.vout]),
            weight_wu=WeightUnits(gated.weight),
            fee_sat=None if gated.fee is None else Sats(round(gated.fee)),
            effective_fee_rate=None if is_accelerated else effective_rate_of(gated.effective_rate),
            is_accelerated=is_accelerated,
        )
    except ValueError as error:
        raise MalformedMessage(f"expected txids and scripts in hex in {gated.txid}: {error}") from error


def _check_total(txid: str, amounts: Sequence[_Output | _Prevout]) -> None:
    """Refuse more coins than there are: sums of amounts stay within 64 bits, and exact as JSON numbers."""
    total_sat = sum([amount.value for amount in amounts])
    if total_sat > MAX_MONEY_SAT:
        raise MalformedMessage(f"expected at most 21 million BTC on a side of {txid}, found {total_sat} sat")


def _input(parsed: _Input) -> Input:
    """Return an input; raises ValueError when something in it is no hex. A whale may have thousands."""
    if parsed.is_coinbase:
        return Input(None, parsed.sequence)
    if len(parsed.txid) != _TXID_DIGITS:
        raise ValueError(f"found {parsed.txid[:80]!r}")
    spent = OutPoint(parsed.txid, parsed.vout)
    prevout = parsed.prevout
    if prevout is None:
        return Input(spent, parsed.sequence)
    return Input(spent, parsed.sequence, Output(bytes.fromhex(prevout.scriptpubkey), prevout.value))


def block_connected(at: UnixMicros, block: Block, mined: Iterable[str] | None) -> BlockConnected:
    """Return the event of a block; `mined` None: the source did not say what is in it."""
    timestamp = lenient(_decode_timestamp, block.timestamp)
    return BlockConnected(
        at,
        Height(block.height),
        block.id,
        block.previousblockhash,
        None if mined is None else tuple(map(Txid, mined)),
        None if timestamp is None else micros_from_seconds(timestamp),
        _profile(block),
    )


def linked(blocks: Iterable[Block]) -> list[Block]:
    """Return those of a list of blocks that are one chain, from below: the highest and what it rests on.

    A backend without an index lists the blocks it has in memory, also those that a reorg made stale.

    Sources: recording of such a backend (August 2026): after a reorg of three blocks it lists both branches.
    """
    chain: list[Block] = []
    for block in sorted(blocks, key=lambda block: block.height, reverse=True):
        if not chain or block.id == chain[-1].previousblockhash:
            chain.append(block)
    return chain[::-1]


def lenient(decode: Callable[[msgspec.Raw], T], raw: msgspec.Raw) -> T | None:
    """Return what is not worth losing a block for; None when it is missing or malformed."""
    try:
        return decode(raw) if raw else None
    except NOT_JSON:
        return None


def _profile(block: Block) -> RateProfile | None:
    extras, weight_wu = lenient(_decode_extras, block.extras), lenient(_decode_weight, block.weight)
    if extras is None or weight_wu is None or extras.range_sat_vb is None:
        return None
    rates = tuple(extras.range_sat_vb)
    return RateProfile(weight_wu, rates) if len(rates) == RANGE_LENGTH else None


def effective_rate_of(rate_sat_vb: float | None) -> FeeRate | None:
    """Return a rate that can be one; None for what cannot."""
    return FeeRate(rate_sat_vb) if rate_sat_vb is not None and 0 <= rate_sat_vb <= MAX_RATE else None
