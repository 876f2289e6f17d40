import hashlib
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.record import GENESIS, RecordEntry, chain_hash, first_break

MESSAGES = st.lists(st.binary(max_size=40), min_size=1, max_size=8)


def chain(messages: list[bytes]) -> list[RecordEntry]:
    entries, previous = [], GENESIS
    for seq, message in enumerate(messages, start=1):
        previous = chain_hash(previous, seq, message)
        entries.append(RecordEntry(seq, message, previous))
    return entries


def test_the_hash_is_sha256_of_previous_hash_index_and_message() -> None:
    first = hashlib.sha256(bytes(32) + b"\x00\x00\x00\x00\x00\x00\x00\x01" + b"hello").digest()
    assert chain_hash(GENESIS, 1, b"hello") == first
    assert chain_hash(first, 2, b"") == hashlib.sha256(first + b"\x00\x00\x00\x00\x00\x00\x00\x02").digest()


@given(MESSAGES)
def test_an_untouched_chain_is_whole(messages: list[bytes]) -> None:
    assert first_break(chain(messages)) is None


def test_an_empty_record_is_whole() -> None:
    assert first_break([]) is None


@given(MESSAGES, st.data())
def test_a_changed_message_is_found_where_it_is(messages: list[bytes], data: st.DataObject) -> None:
    entries = chain(messages)
    index = data.draw(st.integers(0, len(entries) - 1))
    entries[index] = replace(entries[index], message=entries[index].message + b"!")
    assert first_break(entries) == index + 1


@given(MESSAGES, st.data())
def test_a_rewritten_entry_breaks_the_next_one(messages: list[bytes], data: st.DataObject) -> None:
    entries = chain([*messages, b"last"])
    index = data.draw(st.integers(0, len(entries) - 2))
    previous = entries[index - 1].hash if index else GENESIS
    forged = entries[index].message + b"!"
    entries[index] = RecordEntry(index + 1, forged, chain_hash(previous, index + 1, forged))
    assert first_break(entries) == index + 2


@given(MESSAGES, st.data())
def test_a_missing_entry_is_found(messages: list[bytes], data: st.DataObject) -> None:
    entries = chain([*messages, b"last"])
    index = data.draw(st.integers(0, len(entries) - 2))
    del entries[index]
    assert first_break(entries) == index + 1
