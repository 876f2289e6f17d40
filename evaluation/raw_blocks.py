"""Reads real blocks: raw, with a file beside each that says what its inputs spend."""

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

from hydrophone.domain.transaction import Input, OutPoint, Output, Transaction
from hydrophone.domain.units import Sats, Txid, WeightUnits


class Reader:
    """Reads Bitcoin's serialisation.

    Args:
        data: what to read.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self) -> int:
        """Return the next CompactSize."""
        first = self.take(1)[0]
        length = {0xFD: 2, 0xFE: 4, 0xFF: 8}.get(first)
        return first if length is None else int.from_bytes(self.take(length), "little")

    def output(self) -> Output:
        """Return the next amount and script."""
        value_sat = struct.unpack("<q", self.take(8))[0]
        return Output(self.take(self.number()), Sats(value_sat))


def read_block(path: Path) -> Iterator[Transaction]:
    """Yield the transactions of a block but its coinbase, with what they spend.

    Args:
        path: of the raw block; its undo file is beside it, `-undo` in its name.
    """
    block = Reader(path.read_bytes())
    undo = Reader(path.with_name(path.stem + "-undo.raw").read_bytes())
    block.take(80)
    for number in range(block.number()):
        transaction = _read_transaction(block)
        if number > 0:
            yield transaction.with_prevouts([undo.output() for _ in transaction.inputs])


def _read_transaction(block: Reader) -> Transaction:
    start = block.at
    version = block.take(4)
    has_witness = block.data[block.at] == 0
    block.take(2 if has_witness else 0)
    stripped_from = block.at
    inputs = []
    for _ in range(block.number()):
        txid, vout = block.take(32)[::-1].hex(), int.from_bytes(block.take(4), "little")
        block.take(block.number())
        inputs.append(Input(OutPoint(Txid(txid), vout), int.from_bytes(block.take(4), "little")))
    outputs = [block.output() for _ in range(block.number())]
    body = block.data[stripped_from : block.at]
    for _ in range(len(inputs) if has_witness else 0):
        for _ in range(block.number()):
            block.take(block.number())
    stripped = version + body + block.take(4)
    return Transaction(
        txid=Txid(hashlib.sha256(hashlib.sha256(stripped).digest()).digest()[::-1].hex()),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        weight_wu=WeightUnits(len(stripped) * 3 + block.at - start),
    )
