"""Coins, and the transactions that spend and make them, serialised as Bitcoin serialises them."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from hydrophone.simulator.node.scripts import Form, Script, Unlocking, push

FINAL_SEQUENCE: Final = 0xFFFFFFFF
LOCKTIME_SEQUENCE: Final = 0xFFFFFFFE
REPLACEABLE_SEQUENCE: Final = 0xFFFFFFFD
"""Sources: BIP 125, explicit signaling."""
VERSION: Final = 2

_SEGWIT_MARKER: Final = b"\x00\x01"
"""Sources: BIP 144."""
_WITNESS_SCALE: Final = 4
"""Sources: BIP 141, transaction size calculations."""
_SIGOPS: Final = {Form.P2PK: 4, Form.P2PKH: 4, Form.MULTISIG: 80}
_SPENDING_SIGOPS: Final = {Form.P2SH_P2WPKH: 1, Form.P2SH_MULTISIG: 12, Form.P2WPKH: 1, Form.P2WSH: 3}
"""Sources: BIP 141, sigops: those of legacy scripts count four times."""
NO_TXID: Final = bytes(32)
"""What a coinbase spends."""


class OutPoint(NamedTuple):
    """Where a coin was made. The txid is in internal order."""

    txid_internal: bytes
    vout: int


@dataclass(slots=True, eq=False)
class Coin:
    """An output. One object for each: compared by identity.

    Attributes:
        outpoint: where it was made.
        script: what locks it.
        value_sat: in satoshis.
        height: of the block that confirmed it; None while unconfirmed.
    """

    outpoint: OutPoint
    script: Script
    value_sat: int
    height: int | None = None


class Payment(NamedTuple):
    """An output before its transaction exists."""

    script: Script
    value_sat: int


class Spend(NamedTuple):
    """An input."""

    coin: Coin
    unlocking: Unlocking
    sequence: int


@dataclass(slots=True, eq=False)
class Transaction:
    """A transaction. One object for each: compared by identity.

    Attributes:
        txid: display order, hex.
        txid_internal: the same 32 bytes in internal order.
        version: nVersion.
        locktime: nLockTime.
        inputs: in order; none in a coinbase.
        outputs: in order.
        fee_sat: inputs minus outputs.
        size_bytes: with witness.
        weight_wu: BIP 141.
        sigops: BIP 141 cost.
        coinbase_script: scriptSig of the only input of a coinbase; empty in others.
    """

    txid: str
    txid_internal: bytes
    version: int
    locktime: int
    inputs: tuple[Spend, ...]
    outputs: tuple[Coin, ...]
    fee_sat: int
    size_bytes: int
    weight_wu: int
    sigops: int
    coinbase_script: bytes = b""

    @property
    def is_coinbase(self) -> bool:
        """Whether it makes new coins."""
        return bool(self.coinbase_script)

    @property
    def vsize(self) -> float:
        """Virtual bytes, not rounded."""
        return self.weight_wu / _WITNESS_SCALE

    @property
    def fee_rate_sat_vb(self) -> float:
        """Fee by virtual byte."""
        return self.fee_sat * _WITNESS_SCALE / self.weight_wu

    @property
    def value_sat(self) -> int:
        """Sum of the outputs."""
        return sum([coin.value_sat for coin in self.outputs])

    @property
    def is_replaceable(self) -> bool:
        """Whether it says so by BIP 125."""
        return any(spend.sequence <= REPLACEABLE_SEQUENCE for spend in self.inputs)

    def serialize(self) -> bytes:
        """Return it as it goes over the wire, with its witness."""
        if self.is_coinbase:
            inputs = _coinbase_input(self.coinbase_script)
            witness = b"\x01\x20" + bytes(32)
        else:
            inputs = _inputs(self.inputs)
            witness = _witness(self.inputs)
        outputs = _outputs([Payment(coin.script, coin.value_sat) for coin in self.outputs])
        marker = _SEGWIT_MARKER if witness else b""
        return b"".join((_u32(self.version), marker, inputs, outputs, witness, _u32(self.locktime)))


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


_COMPACT_16: Final = 0xFD


def compact_size(number: int) -> bytes:
    """Return a number as CompactSize (up to 32 bits)."""
    if number < _COMPACT_16:
        return bytes([number])
    if number <= 0xFFFF:  # noqa: PLR2004 -- what fits
        return b"\xfd" + number.to_bytes(2, "little")
    return b"\xfe" + number.to_bytes(4, "little")


def double_sha256(data: bytes) -> bytes:
    """Return the hash of the hash."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def _inputs(inputs: Sequence[Spend]) -> bytes:
    parts = [compact_size(len(inputs))]
    for coin, unlocking, sequence in inputs:
        txid_internal, vout = coin.outpoint
        script_sig = unlocking.script_sig
        parts += (txid_internal, _u32(vout), compact_size(len(script_sig)), script_sig, _u32(sequence))
    return b"".join(parts)


def _coinbase_input(script_sig: bytes) -> bytes:
    return b"".join((
        b"\x01", NO_TXID, b"\xff\xff\xff\xff", compact_size(len(script_sig)), script_sig,
        _u32(FINAL_SEQUENCE),
    ))  # fmt: skip


def _witness(inputs: Sequence[Spend]) -> bytes:
    """Return the witnesses; nothing when no input has one."""
    if not any(spend.unlocking.witness for spend in inputs):
        return b""
    parts = []
    for spend in inputs:
        witness = spend.unlocking.witness
        parts.append(compact_size(len(witness)))
        for item in witness:
            parts += (compact_size(len(item)), item)
    return b"".join(parts)


def _outputs(outputs: Iterable[Payment]) -> bytes:
    parts = [b""]
    for script, value_sat in outputs:
        raw = script.raw
        parts += (value_sat.to_bytes(8, "little"), compact_size(len(raw)), raw)
    parts[0] = compact_size((len(parts) - 1) // 3)
    return b"".join(parts)


def weigh(inputs: Sequence[Spend], outputs: Sequence[Payment]) -> int:
    """Return the weight of a transaction before its amounts are known."""
    witness = _witness(inputs)
    stripped = 8 + len(_inputs(inputs)) + len(_outputs(outputs))
    return stripped * _WITNESS_SCALE + (len(witness) + len(_SEGWIT_MARKER) if witness else 0)


def make_transaction(
    inputs: Sequence[Spend], outputs: Sequence[Payment], *, locktime: int = 0, version: int = VERSION
) -> Transaction:
    """Return a transaction with its id.

    Raises:
        ValueError: it spends more than it has.
    """
    fee_sat = sum([spend.coin.value_sat for spend in inputs]) - sum([value for _, value in outputs])
    if fee_sat < 0:
        raise ValueError(f"expected outputs within the inputs, found {-fee_sat} sat too much")
    stripped_inputs, stripped_outputs = _inputs(inputs), _outputs(outputs)
    stripped = b"".join((_u32(version), stripped_inputs, stripped_outputs, _u32(locktime)))
    witness = _witness(inputs)
    extra = len(witness) + len(_SEGWIT_MARKER) if witness else 0
    sigops = sum([_SIGOPS.get(script.form, 0) for script, _ in outputs]) + sum(
        [_SPENDING_SIGOPS.get(spend.coin.script.form, 0) for spend in inputs]
    )
    txid_internal = double_sha256(stripped)
    return Transaction(
        txid=txid_internal[::-1].hex(),
        txid_internal=txid_internal,
        version=version,
        locktime=locktime,
        inputs=tuple(inputs),
        outputs=_coins(txid_internal, outputs),
        fee_sat=fee_sat,
        size_bytes=len(stripped) + extra,
        weight_wu=len(stripped) * _WITNESS_SCALE + extra,
        sigops=sigops,
    )


def make_coinbase(height: int, message: bytes, outputs: Sequence[Payment]) -> Transaction:
    """Return the first transaction of a block.

    Args:
        height: of the block; it goes into the script (BIP 34), so that no two coinbases are the same.
        message: what the miner says (up to 90 bytes).
        outputs: what the miner gets.
    """
    number = height.to_bytes((height.bit_length() + 8) // 8, "little")
    script_sig = push(number) + message
    stripped = b"".join((_u32(VERSION), _coinbase_input(script_sig), _outputs(outputs), _u32(0)))
    txid_internal = double_sha256(stripped)
    extra = len(_SEGWIT_MARKER) + 34  # one witness item of 32 bytes: BIP 141, commitment structure
    return Transaction(
        txid=txid_internal[::-1].hex(),
        txid_internal=txid_internal,
        version=VERSION,
        locktime=0,
        inputs=(),
        outputs=_coins(txid_internal, outputs),
        fee_sat=0,
        size_bytes=len(stripped) + extra,
        weight_wu=len(stripped) * _WITNESS_SCALE + extra,
        sigops=sum(_SIGOPS.get(script.form, 0) for script, _ in outputs),
        coinbase_script=script_sig,
    )


def _coins(txid_internal: bytes, outputs: Iterable[Payment]) -> tuple[Coin, ...]:
    return tuple(
        [Coin(OutPoint(txid_internal, vout), script, value) for vout, (script, value) in enumerate(outputs)]
    )
