import os
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from hydrophone.domain.events import RaiseSignal
from hydrophone.errors import StoreError, StoreMismatch
from hydrophone.store.backup import copy_file
from hydrophone.store.duckdb_store import DuckDbStore, check_database, initialise, read_status
from hydrophone.store.restore import restore
from tests.contract.fake_store import T0, publication, whale
from tests.older import undo_newest_migration

NOW = datetime(2026, 11, 26, 3, 4, 5, tzinfo=UTC)


async def told(path: Path, *seqs: int) -> None:
    store = DuckDbStore(path, address_of=bytes.hex)
    await store.open()
    await store.commit([publication(seq, RaiseSignal(T0, whale(seq))) for seq in seqs])
    await store.close()


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.db"


@pytest.fixture
async def copy(path: Path, tmp_path: Path) -> Path:
    """Return a copy with one whale; the database has two more."""
    await told(path, 1)
    copy_file(path, tmp_path / "copy.db")
    await told(path, 2, 3)
    return tmp_path / "copy.db"


def test_the_copy_takes_the_place_and_the_former_database_is_kept(path: Path, copy: Path) -> None:
    path.chmod(0o640)
    restored = restore(path, copy, NOW)
    assert (restored.prediction_count, restored.last_seq) == (1, 1)
    assert restored.kept == path.with_name("store.db.before-20261126T030405Z")
    assert read_status(path).last_seq == 1
    assert check_database(path) == []
    assert path.stat().st_mode & 0o777 == 0o640
    assert read_status(restored.kept).last_seq == 3
    assert check_database(restored.kept) == []
    assert read_status(copy).last_seq == 1
    assert names(path.parent) == {"store.db", restored.kept.name}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_restores_belongs_to_whoever_owned_it(path: Path, copy: Path) -> None:
    os.chown(path, 1234, 1235)
    restore(path, copy, NOW)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)
    path.unlink()
    os.chown(path.parent, 1236, 1237)
    restore(path, copy, NOW)
    assert (path.stat().st_uid, path.stat().st_gid) == (1236, 1237)


async def test_the_service_goes_on_from_what_was_restored(path: Path, copy: Path) -> None:
    restore(path, copy, NOW)
    await told(path, 2)
    assert read_status(path).last_seq == 2
    assert check_database(path) == []


def test_where_nothing_is_nothing_is_kept(path: Path, copy: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "data" / "new.db"
    assert restore(elsewhere, copy, NOW).kept is None
    assert read_status(elsewhere).last_seq == 1


def test_a_log_of_the_former_database_does_not_get_into_the_restored_one(path: Path, copy: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("INSERT INTO source_gaps VALUES ('s', 'r', now(), now(), 'd')")
    assert Path(f"{path}.wal").exists()
    kept = restore(path, copy, NOW).kept
    assert kept is not None
    assert not Path(f"{path}.wal").exists()
    assert read_status(path).gap_count == 0
    assert read_status(kept).gap_count == 1


def test_a_log_whose_database_was_removed_is_put_aside(path: Path, copy: Path) -> None:
    path.unlink()
    log = path.with_name("store.db.wal")
    log.write_bytes(b"what the removed database had not taken in")
    assert restore(path, copy, NOW).kept is None
    assert names(path.parent) == {"store.db", "store.db.before-20261126T030405Z.wal"}
    assert check_database(path) == []


def test_a_damaged_database_is_replaced_and_kept(path: Path, copy: Path) -> None:
    path.write_bytes(b"\xee" * 20_000)
    Path(f"{path}.wal").write_bytes(b"\xee")
    kept = restore(path, copy, NOW).kept
    assert kept is not None
    assert kept.read_bytes() == b"\xee" * 20_000
    assert Path(f"{kept}.wal").read_bytes() == b"\xee"
    assert read_status(path).last_seq == 1


def test_an_older_copy_is_brought_to_the_newest_schema_and_stays_as_it_is(path: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    initialise(old)
    with duckdb.connect(old) as connection:
        undo_newest_migration(connection)
    restore(path, old, NOW)
    assert check_database(path) == []
    assert "older" in check_database(old)[0]


def fail_to_restore(path: Path, copy: Path, reason: str) -> None:
    before = path.read_bytes()
    with pytest.raises(StoreError, match=reason):
        restore(path, copy, NOW)
    assert path.read_bytes() == before
    assert names(path.parent) == {"store.db"}


def test_a_copy_whose_record_was_changed_is_refused(path: Path, copy: Path) -> None:
    with duckdb.connect(copy) as connection:
        connection.execute("UPDATE record SET kind = 'amendment'")
    fail_to_restore(path, copy, "nothing was changed")


def test_a_damaged_copy_is_refused(path: Path, copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:15_000])
    with pytest.raises(StoreMismatch):
        restore(path, copy, NOW)
    assert read_status(path).last_seq == 3


def test_a_copy_of_a_newer_schema_is_refused(path: Path, copy: Path) -> None:
    with duckdb.connect(copy) as connection:
        connection.execute("INSERT INTO schema_version (version, name) VALUES (99, 'from the future')")
    fail_to_restore(path, copy, "upgrade Hydrophone")


def test_another_database_is_refused(path: Path, copy: Path, tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE t (i INT)")
    fail_to_restore(path, tmp_path / "other.db", "database of ours")


def test_no_copy_and_the_database_itself_are_refused(path: Path, copy: Path, tmp_path: Path) -> None:
    fail_to_restore(path, tmp_path / "nothing.db", "no copy")
    fail_to_restore(path, path, "itself")
