import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.record import (
    GENESIS,
    NotedHead,
    RecordEntry,
    chain_hash,
    digest_of,
    header_of,
    next_entry,
    verify_chain,
)
from hydrophone.domain.units import UnixMicros

AT = UnixMicros(1_795_337_462_099_989)
KINDS = ("signal", "amendment", "outcome", "successor", "reopening")
IDS = ("6a1d3d0e-52c5-5b0c-9a3e-8c1f6a5d7b21", "7", "by hand", "", None)

SAID = st.lists(
    st.tuples(st.binary(max_size=40), st.sampled_from(KINDS), st.sampled_from(IDS), st.booleans()),
    min_size=1,
    max_size=8,
)
"""Messages with kind, prediction, and whether retention dropped what they said."""


def chain(said: Sequence[tuple[bytes, str, str | None, bool]]) -> list[RecordEntry]:
    entries: list[RecordEntry] = []
    for seq, (message, kind, prediction_id, is_dropped) in enumerate(said, start=1):
        previous = entries[-1].hash if entries else GENESIS
        entry = next_entry(previous, seq, UnixMicros(AT + seq), kind, prediction_id, message=message)
        entries.append(replace(entry, message=None) if is_dropped else entry)
    return entries


def broken_at(entries: Sequence[RecordEntry], noted: NotedHead | None = None) -> int | None:
    fault = verify_chain(entries, noted).fault
    return None if fault is None else fault.seq


def flipped(raw: bytes, data: st.DataObject) -> bytes:
    """Return some bytes with one of them changed."""
    place = data.draw(st.integers(0, len(raw) - 1))
    return raw[:place] + bytes([raw[place] ^ data.draw(st.integers(1, 255))]) + raw[place + 1 :]


def test_the_hash_covers_the_previous_one_the_message_and_the_columns() -> None:
    digest = hashlib.sha256(b"hello").digest()
    header = b"1 2026-11-22T08:51:02.099989Z signal 6a1d"
    first = next_entry(GENESIS, 1, AT, "signal", "6a1d", message=b"hello")
    assert (first.digest, first.hash) == (digest, hashlib.sha256(bytes(32) + digest + header).digest())
    second = next_entry(first.hash, 2, AT, "outcome", None, message=b"")
    rest = hashlib.sha256(b"").digest() + b"2 2026-11-22T08:51:02.099989Z outcome"
    assert second.hash == hashlib.sha256(first.hash + rest).digest()


@given(SAID)
def test_an_untouched_chain_is_whole_also_where_contents_were_dropped(
    said: list[tuple[bytes, str, str | None, bool]],
) -> None:
    entries = chain(said)
    report = verify_chain(entries)
    assert report.fault is None
    assert (report.entry_count, report.head) == (len(said), entries[-1].hash)
    assert report.content_count == sum(not is_dropped for *_, is_dropped in said)


def test_an_empty_record_is_whole() -> None:
    report = verify_chain([])
    assert (report.entry_count, report.head, report.fault) == (0, GENESIS, None)


@given(SAID, st.data())
def test_a_flipped_byte_in_any_column_of_any_entry_is_found_where_it_is(
    said: list[tuple[bytes, str, str | None, bool]], data: st.DataObject
) -> None:
    entries = chain(said)
    index = data.draw(st.integers(0, len(entries) - 1))
    entry = entries[index]
    column = data.draw(
        st.sampled_from(["seq", "recorded_at", "kind", "prediction_id", "digest", "hash", "message"])
    )
    value = getattr(entry, column)
    if value == "":
        changed: object = data.draw(st.sampled_from(["new", None]))
    elif isinstance(value, int):
        raw = flipped(value.to_bytes(8, "big", signed=True), data)
        changed = int.from_bytes(raw, "big", signed=True)
    elif isinstance(value, str):
        changed = flipped(value.encode(), data).decode("latin-1")
    else:
        changed = flipped(value, data) if value else data.draw(st.sampled_from([b"new", None]))
    entries[index] = replace(entry, **{column: changed})  # type: ignore[arg-type] # of the column's own type
    if changed is None or value is None:  # a text came or went
        is_told = column == "prediction_id" or (column == "message" and changed is not None)
        assert broken_at(entries) == (index + 1 if is_told and changed != value else None)
    else:
        assert broken_at(entries) == index + 1


@given(SAID, st.data())
def test_a_rewritten_entry_breaks_the_next_one(
    said: list[tuple[bytes, str, str | None, bool]], data: st.DataObject
) -> None:
    entries = chain([*said, (b"last", "signal", None, False)])
    index = data.draw(st.integers(0, len(entries) - 2))
    previous = entries[index - 1].hash if index else GENESIS
    entries[index] = next_entry(previous, index + 1, AT, "signal", "7", message=said[index][0] + b"!")
    assert broken_at(entries) == index + 2


@given(SAID, st.data())
def test_a_missing_a_doubled_and_a_swapped_entry_are_found(
    said: list[tuple[bytes, str, str | None, bool]], data: st.DataObject
) -> None:
    entries = chain([*said, (b"last", "signal", None, False)])
    index = data.draw(st.integers(0, len(entries) - 2))
    assert broken_at(entries[:index] + entries[index + 1 :]) == index + 1
    assert broken_at([*entries[: index + 1], *entries[index:]]) == index + 2
    swapped = [*entries[:index], entries[index + 1], entries[index], *entries[index + 2 :]]
    assert broken_at(swapped) == index + 1


@given(SAID, st.data())
def test_a_cut_off_end_is_found_by_whoever_noted_the_head(
    said: list[tuple[bytes, str, str | None, bool]], data: st.DataObject
) -> None:
    entries = chain(said)
    kept = data.draw(st.integers(0, len(entries) - 1))
    noted = entries[data.draw(st.integers(kept, len(entries) - 1))]
    rest = entries[:kept]
    assert broken_at(rest) is None, "nobody can tell without a note"
    for note in (
        NotedHead(noted.seq),
        NotedHead(None, noted.hash),
        NotedHead(noted.seq, noted.hash),
    ):
        assert broken_at(rest, note) == kept + 1
        assert broken_at(entries, note) is None


def test_a_record_made_anew_is_found_by_whoever_noted_a_hash() -> None:
    entries = chain([(b"a", "signal", None, False), (b"b", "signal", None, False)])
    forged = chain([(b"A", "signal", None, False), (b"b", "signal", None, False)])
    assert broken_at(forged) is None
    assert broken_at(forged, NotedHead(1, entries[0].hash)) == 1
    assert broken_at(forged, NotedHead(None, entries[1].hash)) == 3
    assert broken_at(forged, NotedHead(2)) is None


@given(*(st.tuples(st.sampled_from(KINDS), st.none() | st.text()) for _ in range(2)))
def test_two_entries_never_share_a_header(one: tuple[str, str | None], other: tuple[str, str | None]) -> None:
    assert (header_of(1, AT, *one) == header_of(1, AT, *other)) == (one == other)


@pytest.mark.parametrize("kind", ["a b", "", "a\n", "\ta"])
def test_a_kind_is_one_word(kind: str) -> None:
    with pytest.raises(ValueError, match="one word"):
        header_of(1, AT, kind, "b")


def test_a_header_is_its_columns_as_text() -> None:
    assert header_of(3, AT, "signal", None) == b"3 2026-11-22T08:51:02.099989Z signal"
    assert header_of(3, AT, "signal", "") == b"3 2026-11-22T08:51:02.099989Z signal "
    assert chain_hash(GENESIS, digest_of(b""), b"x") != chain_hash(GENESIS, digest_of(b""), b"y")
