import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from hydrophone.domain.events import RaiseSignal
from hydrophone.errors import StoreError, StoreFull, StoreLocked
from hydrophone.store.backup import copy_file
from hydrophone.store.duckdb_store import DuckDbStore, check_database, initialise, read_status
from tests.backends import until
from tests.contract.fake_store import T0, publication, whale

GIGA = 10**9


async def tell(store: DuckDbStore, *seqs: int) -> None:
    await store.commit([publication(seq, RaiseSignal(T0, whale(seq))) for seq in seqs])


def named(folder: Path, part: str) -> list[str]:
    return [file.name for file in folder.iterdir() if part in file.name]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[DuckDbStore]:
    store = DuckDbStore(path, address_of=bytes.hex)
    await store.open()
    await tell(store, 1, 2, 3)
    yield store
    await store.close()


async def test_a_copy_holds_what_was_committed_when_it_began_and_is_sound(
    store: DuckDbStore, tmp_path: Path
) -> None:
    target = tmp_path / "copies" / "it's a copy.db"
    copying = asyncio.create_task(store.copier.copy_to(target))
    seq = 4
    while not copying.done():
        await tell(store, seq)
        seq += 1
    copy = await copying
    assert check_database(target) == []
    status = read_status(target)
    assert 3 <= status.last_seq < seq
    assert (copy.record_seq, copy.record_head) == (status.last_seq, status.record_head)
    assert status.prediction_count == status.last_seq
    assert copy.size_bytes == target.stat().st_size
    assert (await store.query_status()).last_seq == seq - 1
    assert [file.name for file in target.parent.iterdir()] == [target.name]


async def test_a_copy_can_be_opened_as_the_database_of_a_service(store: DuckDbStore, tmp_path: Path) -> None:
    await store.copier.copy_to(tmp_path / "copy.db")
    other = DuckDbStore(tmp_path / "copy.db", address_of=bytes.hex)
    await other.open()
    await tell(other, 4)
    assert (await other.load_state()).last_seq == 4
    await other.close()
    assert check_database(tmp_path / "copy.db") == []


async def test_nothing_is_overwritten(store: DuckDbStore, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_text("precious")
    with pytest.raises(StoreError, match="exists already"):
        await store.copier.copy_to(target)
    assert target.read_text() == "precious"
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(StoreError, match="exists already"):
        await store.copier.copy_to(link)
    assert not (tmp_path / "elsewhere.db").exists()


async def test_what_came_there_meanwhile_is_not_overwritten_either(
    store: DuckDbStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "copy.db"
    monkeypatch.setattr("hydrophone.store.backup.sync_to_disk", lambda _: target.write_text("precious"))
    with pytest.raises(StoreError, match="by now"):
        await store.copier.copy_to(target)
    assert target.read_text() == "precious"
    assert named(tmp_path, "unfinished") == []


class Usage(NamedTuple):
    free: int


async def test_a_disk_with_too_little_room_is_not_filled(
    store: DuckDbStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(GIGA // 5))
    with pytest.raises(StoreFull, match="found 200 MB: make room"):
        await store.copier.copy_to(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(GIGA))
    await store.copier.copy_to(tmp_path / "copy.db")


async def test_a_place_that_cannot_be_written_is_said(store: DuckDbStore, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="name another place"):
        await store.copier.copy_to(tmp_path / "file" / "copy.db")


async def test_one_copy_at_a_time(store: DuckDbStore, tmp_path: Path) -> None:
    first, second = await asyncio.gather(
        store.copier.copy_to(tmp_path / "one.db"),
        store.copier.copy_to(tmp_path / "two.db"),
        return_exceptions=True,
    )
    assert not isinstance(first, BaseException)
    assert isinstance(second, StoreError)
    await store.copier.copy_to(tmp_path / "two.db")


def never_end(cursor: duckdb.DuckDBPyConnection, _name: str, unfinished: Path) -> tuple[int, str]:
    unfinished.write_text("half")
    cursor.execute("SELECT count(*) FROM range(1_000_000) a, range(1_000_000) b WHERE a.range * b.range = 7")
    raise AssertionError


async def test_a_copy_that_is_broken_off_leaves_nothing_and_the_next_one_works(
    store: DuckDbStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("hydrophone.store.backup._fill", never_end)
        copying = asyncio.create_task(store.copier.copy_to(tmp_path / "copy.db"))
        await until(lambda: named(tmp_path, "copy") == [".copy.db.unfinished"])
        copying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await copying
        await until(lambda: named(tmp_path, "copy") == [])
    await tell(store, 4)
    copy = await store.copier.copy_to(tmp_path / "copy.db")
    assert copy.record_seq == 4
    assert named(tmp_path, "copy") == ["copy.db"]


async def test_what_an_earlier_attempt_left_is_no_obstacle(store: DuckDbStore, tmp_path: Path) -> None:
    (tmp_path / ".copy.db.unfinished").write_text("half")
    (tmp_path / ".copy.db.unfinished.wal").write_text("half")
    await store.copier.copy_to(tmp_path / "copy.db")
    assert check_database(tmp_path / "copy.db") == []


async def test_closing_the_store_ends_a_copy(
    store: DuckDbStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hydrophone.store.backup._fill", never_end)
    copying = asyncio.create_task(store.copier.copy_to(tmp_path / "copy.db"))
    await until(lambda: named(tmp_path, "copy") == [".copy.db.unfinished"])
    await store.close()
    with pytest.raises(StoreError):
        await copying
    assert named(tmp_path, "copy") == []


def test_a_file_that_no_service_uses_is_copied_too(path: Path, tmp_path: Path) -> None:
    initialise(path)
    path.chmod(0o640)
    copy = copy_file(path, tmp_path / "copy.db")
    assert (copy.record_seq, copy.record_head) == (0, "")
    assert check_database(tmp_path / "copy.db") == []
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o640


def test_there_is_no_copy_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no database"):
        copy_file(tmp_path / "store.db", tmp_path / "copy.db")


def test_a_file_with_a_log_is_copied_with_it(path: Path, tmp_path: Path) -> None:
    initialise(path)
    shutil.copy(path, tmp_path / "moved.db")
    with duckdb.connect(path) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("INSERT INTO source_gaps VALUES ('s', 'r', now(), now(), 'd')")
    assert Path(f"{path}.wal").exists()
    copy_file(path, tmp_path / "copy.db")
    assert read_status(tmp_path / "copy.db").gap_count == 1


async def test_a_file_that_a_service_uses_is_not_copied_behind_its_back(
    store: DuckDbStore, path: Path, tmp_path: Path
) -> None:
    with pytest.raises((StoreLocked, StoreError)):
        copy_file(path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
