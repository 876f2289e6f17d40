import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import duckdb
import pytest

from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.units import UnixMicros
from hydrophone.errors import StoreClosed
from hydrophone.store import label_history
from hydrophone.store.duckdb_store import DuckDbStore, check_database

T0 = UnixMicros(1_795_000_000_000_000)
TODAY = date(2026, 11, 25)


def label(number: int) -> Label:
    return Label(
        b"\x00\x14" + number.to_bytes(20, "big"),
        Entity("Binance" if number % 2 else "HTX", EntityKind.EXCHANGE),
        Role.DEPOSIT,
        "a list",
        0.1 + 0.2,  # not what 0.3 is
        date(2026, 9, 23) if number % 3 else None,
        'its "own" list',
        "https://example.org/",
        "MIT",
        date(2020, 1, 1),
        TODAY if number % 5 == 0 else None,
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DuckDbStore]:
    store = DuckDbStore(tmp_path / "x.db", address_of=lambda _script: None)
    await store.open()
    yield store
    await store.close()


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(query).fetchall()


async def test_a_label_set_is_given_back_as_it_was_used(store: DuckDbStore) -> None:
    count = 2 * label_history.CLAIMS_AT_ONCE + 7
    book = LabelBook(map(label, range(count)), on=TODAY)
    await store.record_labels(book, T0)
    again = await store.load_label_set(book.version)
    assert again is not None
    assert (again.version, again.on, list(again)) == (book.version, TODAY, list(book))
    assert await store.load_label_set("0123456789abcdef") is None


async def test_of_the_next_set_only_the_differences_are_written(store: DuckDbStore, tmp_path: Path) -> None:
    first = LabelBook(map(label, range(10)))
    second = LabelBook([*map(label, range(2, 10)), label(99), replace(label(3), role=Role.HOT)])
    third = LabelBook(map(label, range(10)))
    for number, book in enumerate((first, second, third)):
        await store.record_labels(book, UnixMicros(T0 + number))
    for book in (first, second, third):
        again = await store.load_label_set(book.version)
        assert again is not None
        assert again.version == book.version
    await store.close()
    [(count, believed)] = rows(
        tmp_path / "x.db", "SELECT count(*), count(*) FILTER (recorded_to IS NULL) FROM label_claims"
    )
    assert (count, believed) == (10 + 2 + 2, 10)
    assert rows(tmp_path / "x.db", "SELECT claims, scripts FROM label_sets ORDER BY first_used_at") == [
        (10, 10),
        (10, 9),
    ]
    assert check_database(tmp_path / "x.db") == []


async def test_the_same_set_again_writes_nothing(store: DuckDbStore, tmp_path: Path) -> None:
    book = LabelBook(map(label, range(10)))
    await store.record_labels(book, T0)
    await store.record_labels(book, UnixMicros(T0 + 5))
    await store.close()
    assert rows(tmp_path / "x.db", "SELECT count(DISTINCT last_used_at) FROM label_sets") == [(1,)]


async def test_a_clock_set_back_does_not_mix_two_sets(store: DuckDbStore) -> None:
    first, second = LabelBook([label(1)]), LabelBook([label(2)])
    await store.record_labels(first, T0)
    await store.record_labels(second, UnixMicros(T0 - 1_000_000))
    for book in (first, second):
        again = await store.load_label_set(book.version)
        assert again is not None
        assert list(again) == list(book)


async def test_what_was_broken_off_is_taken_up(store: DuckDbStore) -> None:
    book = LabelBook(map(label, range(3 * label_history.CLAIMS_AT_ONCE)))
    left = set[int]()
    labels = iter(book)
    await asyncio.to_thread(
        store._database.write, lambda connection: label_history.write_new(connection, labels, left, T0)
    )
    assert await store.load_label_set(book.version) is None
    smaller = LabelBook(map(label, range(1, 4)))
    await store.record_labels(smaller, UnixMicros(T0 + 1))
    await store.record_labels(book, UnixMicros(T0 + 2))
    for wanted in (smaller, book):
        again = await store.load_label_set(wanted.version)
        assert again is not None
        assert again.version == wanted.version


async def test_a_set_of_nothing_is_one(store: DuckDbStore) -> None:
    await store.record_labels(LabelBook([label(1)]), T0)
    empty = LabelBook()
    await store.record_labels(empty, UnixMicros(T0 + 1))
    again = await store.load_label_set(empty.version)
    assert again is not None
    assert len(again) == 0


async def test_nothing_is_recorded_in_a_closed_store(store: DuckDbStore) -> None:
    await store.close()
    with pytest.raises(StoreClosed):
        await store.record_labels(LabelBook(), T0)
