"""The record: all we said in public, chained by hashes so that a later change shows.

Each entry's hash covers the entry before it. Whoever kept one hash can tell whether anything up to it was
altered, left out or slipped in since. What an entry said may be dropped one day; its digest and its hash
stay, so the chain can still be followed.

**Sources**: ADR 21.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hydrophone.domain.units import UnixMicros, format_instant

GENESIS: Final = bytes(32)
"""What the first entry follows: there is nothing before it to hash."""


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """One public message as the record keeps it.

    Attributes:
        seq: its index, 1, 2, 3...
        recorded_at: when what it tells was received.
        kind: signal, amendment, outcome, successor, reopening.
        prediction_id: what it is about; None: no prediction.
        digest: SHA-256 of the exact bytes that were published.
        hash: what `chain_hash` gave for it.
        message: the exact bytes that were published; None when they are not kept any more.
    """

    seq: int
    recorded_at: UnixMicros
    kind: str
    prediction_id: str | None
    digest: bytes
    hash: bytes
    message: bytes | None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Entries in order, and where the record ended when they were read.

    Attributes:
        entries: some.
        head_seq: index of the newest entry; 0 when there is none.
        head_hash: its hash; `GENESIS` when there is none.
    """

    entries: tuple[RecordEntry, ...]
    head_seq: int = 0
    head_hash: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class NotedHead:
    """What somebody kept of the record, to hold against it later.

    Attributes:
        seq: so many entries there were; None: only the hash was kept.
        hash: of the newest then; None: only the index was kept.
    """

    seq: int | None = None
    hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class ChainFault:
    """Where the chain is broken.

    Attributes:
        seq: index of the first entry that is not as it was published.
        text: a sentence that says what is wrong with it.
    """

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What following the chain showed.

    Attributes:
        entry_count: entries that are as they were published.
        content_count: of those, with what they said.
        head: hash of the last of them; `GENESIS` when there is none.
        fault: the first that is not; None: the chain is whole.
    """

    entry_count: int
    content_count: int
    head: bytes
    fault: ChainFault | None


def digest_of(message: bytes) -> bytes:
    """Return what stays of a message: its SHA-256."""
    return hashlib.sha256(message).digest()


def header_of(seq: int, recorded_at: UnixMicros, kind: str, prediction_id: str | None) -> bytes:
    """Return what the hash of an entry covers besides its message: its columns as text, by spaces.

    Args:
        seq: its index.
        recorded_at: written in ISO 8601, UTC, with six decimals.
        kind: one word.
        prediction_id: any text, as it stands last; None: the header ends with the kind.

    Raises:
        ValueError: the kind is no word, so that two entries could have one header.
        OverflowError: no calendar has that instant.
    """
    if kind.split() != [kind]:
        raise ValueError(f"expected a kind of one word, found {kind!r}")
    about = "" if prediction_id is None else f" {prediction_id}"
    return f"{seq} {format_instant(recorded_at)} {kind}{about}".encode()


def chain_hash(previous: bytes, digest: bytes, header: bytes) -> bytes:
    """Return the hash of an entry: SHA-256 of the previous hash, the digest of the message and the header.

    Args:
        previous: hash of the entry before, `GENESIS` for the first: 32 bytes.
        digest: of the message: 32 bytes.
        header: what `header_of` gave; last, so that no length needs to be hashed.
    """
    return hashlib.sha256(previous + digest + header).digest()


def next_entry(
    previous: bytes,
    seq: int,
    recorded_at: UnixMicros,
    kind: str,
    prediction_id: str | None,
    *,
    message: bytes,
) -> RecordEntry:
    """Return the entry that follows the one with the hash `previous`."""
    digest = digest_of(message)
    entry_hash = chain_hash(previous, digest, header_of(seq, recorded_at, kind, prediction_id))
    return RecordEntry(seq, recorded_at, kind, prediction_id, digest, entry_hash, message)


def verify_chain(entries: Iterable[RecordEntry], noted: NotedHead | None = None) -> ChainReport:
    """Follow the chain to its end, or to the first entry that is missing or not what was published.

    Args:
        entries: the whole record in order, from index 1.
        noted: what somebody kept of it; without it, nobody can tell that entries are missing at the end.
    """
    noted = noted or NotedHead()
    previous, count, contents, is_noted_found = GENESIS, 0, 0, noted.hash is None

    def end(fault: ChainFault | None) -> ChainReport:
        return ChainReport(count, contents, previous, fault)

    for seq, entry in enumerate(entries, start=1):
        trouble = _trouble_of(entry, seq, previous)
        if trouble is None and entry.seq == noted.seq and noted.hash not in (None, entry.hash):
            trouble = "is not the one that was noted: its hash is another, so the record was made anew"
        if trouble is not None:
            return end(ChainFault(seq, f"record entry {seq} {trouble}"))
        previous, count = entry.hash, seq
        contents += entry.message is not None
        is_noted_found = is_noted_found or entry.hash == noted.hash
    if noted.seq is not None and count < noted.seq:
        return end(ChainFault(count + 1, f"record entry {count + 1} is missing: {noted.seq} had been noted"))
    if not is_noted_found:
        return end(
            ChainFault(
                count + 1,
                f"none of the {count} record entries has the noted hash: the record was cut off or made anew",
            )
        )
    return end(None)


def _trouble_of(entry: RecordEntry, seq: int, previous: bytes) -> str | None:
    """Return what is wrong with an entry where that of index `seq` should be; None: nothing."""
    if entry.seq != seq:
        return f"is missing: entry {entry.seq} stands in its place"
    if entry.message is not None and digest_of(entry.message) != entry.digest:
        return "is not what was published: its message has another digest"
    try:
        header = header_of(seq, entry.recorded_at, entry.kind, entry.prediction_id)
    except (ValueError, OverflowError):
        return "is not what was published: its time or its kind is none that we write"
    if entry.hash != chain_hash(previous, entry.digest, header):
        return "is not what was published: its hash does not follow from it and the entry before"
    return None
