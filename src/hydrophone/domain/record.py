"""The record: all we said in public, chained by hashes so that a later change shows.

Each entry's hash covers the entry before it. Whoever kept one hash can tell whether anything up to it was
altered, left out or slipped in since.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

GENESIS: Final = bytes(32)
"""What the first entry follows: there is nothing before it to hash."""

_SEQ_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """One public message as the record keeps it.

    Attributes:
        seq: its index, 1, 2, 3...
        message: the exact bytes that were published.
        hash: what `chain_hash` gave for it.
    """

    seq: int
    message: bytes
    hash: bytes


def chain_hash(previous: bytes, seq: int, message: bytes) -> bytes:
    """Return the hash of an entry: SHA-256 of the previous hash, the index and the message.

    Args:
        previous: hash of the entry before, `GENESIS` for the first: 32 bytes.
        seq: index of the entry; hashed as 8 bytes, big-endian.
        message: the exact bytes that were published; last, so that no length needs to be hashed.
    """
    return hashlib.sha256(previous + seq.to_bytes(_SEQ_BYTES, "big") + message).digest()


def first_break(entries: Iterable[RecordEntry]) -> int | None:
    """Return the first index whose entry is missing or is not what was published; None when all are.

    Args:
        entries: the whole record in order, from index 1. Missing entries at its end cannot be noticed.
    """
    previous = GENESIS
    for seq, entry in enumerate(entries, start=1):
        if entry.seq != seq or entry.hash != chain_hash(previous, seq, entry.message):
            return seq
        previous = entry.hash
    return None
