"""The file: made, migrated, refused, checked."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from hydrophone.domain.record import GENESIS, next_entry
from hydrophone.domain.units import micros_from_datetime
from hydrophone.errors import StoreClosed, StoreError, StoreFull, StoreLocked, StoreMismatch
from hydrophone.pipeline.ports import StoreStatus
from hydrophone.store import schema
from hydrophone.store.schema import (
    check_database,
    initialise,
    load_migrations,
    migrate,
    open_database,
    read_status,
    translated_errors,
)

NEWEST = load_migrations()[-1].version

# The quickstart's statements, as it writes them.
QUICKSTART_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS mempool_predictions (
        prediction_id TEXT PRIMARY KEY,
        transaction_id TEXT NOT NULL,
        flow_type TEXT NOT NULL,
        btc_value REAL NOT NULL CHECK (btc_value > 100),
        fee_rate REAL NOT NULL CHECK (fee_rate > 0),
        urgency_score REAL NOT NULL CHECK (urgency_score >= 0 AND urgency_score <= 1),
        rbf_enabled BOOLEAN NOT NULL,
        detection_timestamp TIMESTAMP NOT NULL,
        predicted_confirmation_block INTEGER,
        exchange_addresses TEXT,
        confidence_score REAL,
        was_modified BOOLEAN DEFAULT FALSE,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS prediction_outcomes (
        outcome_id TEXT PRIMARY KEY,
        prediction_id TEXT NOT NULL,
        transaction_id TEXT NOT NULL,
        predicted_flow TEXT NOT NULL,
        actual_outcome TEXT,
        confirmation_time TIMESTAMP,
        confirmation_block INTEGER,
        accuracy_score REAL,
        time_to_confirmation INTEGER,
        final_fee_rate REAL,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
    )
    """,
)
QUICKSTART_INSERT = """
    INSERT INTO mempool_predictions
    (prediction_id, transaction_id, flow_type, btc_value, fee_rate,
     urgency_score, rbf_enabled, detection_timestamp, exchange_addresses,
     confidence_score)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
QUICKSTART_PENDING = """
    SELECT COUNT(*) FROM mempool_predictions
    WHERE prediction_id NOT IN (
        SELECT prediction_id FROM prediction_outcomes
    )
"""


def quickstart_row(
    prediction_id: str, *, btc_value: float = 100.1, fee_rate: float = 3.3
) -> tuple[object, ...]:
    when = datetime(2026, 11, 22, 8, 51, 2).isoformat()  # noqa: DTZ001 -- the quickstart writes it without a zone
    return (
        prediction_id,
        "ab" * 32,
        "inflow",
        btc_value,
        fee_rate,
        0.4,
        True,
        when,
        ["bc1qa", "bc1qb"],
        0.58,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "mempool_predictions.db"


@pytest.fixture
def quickstart_path(path: Path) -> Path:
    """A database as the quickstart's snippet makes it, with three predictions."""
    path.parent.mkdir()
    with duckdb.connect(path) as connection:
        for statement in QUICKSTART_TABLES:
            connection.execute(statement)
        connection.execute(QUICKSTART_INSERT, quickstart_row("open"))
        connection.execute(QUICKSTART_INSERT, quickstart_row("mined", btc_value=12345.678, fee_rate=0.1))
        connection.execute(QUICKSTART_INSERT, quickstart_row("odd"))
        connection.execute(
            "INSERT INTO prediction_outcomes VALUES ('o1', 'mined', 'ab', 'inflow', 'confirmed', "
            "'2026-11-22 09:00:00', 970000, 0.1, 538, 0.3, '2026-11-22 09:00:01')"
        )
    return path


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(path) as connection:
        return connection.execute(sql).fetchall()


def columns_of(path: Path, table: str) -> dict[str, str]:
    rows = query(path, f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{table}'")
    return {str(name): str(kind) for name, kind in rows}


def test_migrations_are_numbered_without_a_hole() -> None:
    versions = [migration.version for migration in load_migrations()]
    assert versions == sorted(set(versions))
    assert versions[0] == 1
    assert all(migration.name for migration in load_migrations())


def test_a_new_database_gets_its_folder_and_the_newest_schema_once(path: Path) -> None:
    assert initialise(path) == NEWEST
    assert initialise(path) == NEWEST
    assert migrate(path) == NEWEST
    names = [(migration.version, migration.name) for migration in load_migrations()]
    assert query(path, "SELECT version, name FROM schema_version ORDER BY version") == names
    assert check_database(path) == []
    assert read_status(path) == StoreStatus(0, 0, 0, 0, 0, {})


def test_migrations_have_more_memory_than_is_used_otherwise(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[str] = []

    def note(connection: duckdb.DuckDBPyConnection) -> None:
        limits.append(limit_of(connection))

    monkeypatch.setattr(schema, "_IN_PYTHON", {NEWEST: note})
    with closing(open_database(path, memory_limit_mb=64)) as connection:
        assert (limits, limit_of(connection)) == (["244.1 MiB"], "61.0 MiB")


def limit_of(connection: duckdb.DuckDBPyConnection) -> str:
    [(limit,)] = connection.execute("SELECT current_setting('memory_limit')").fetchall()
    return str(limit)


def test_the_quickstarts_rows_survive_with_the_numbers_it_wrote(quickstart_path: Path) -> None:
    migrate(quickstart_path)
    assert query(
        quickstart_path,
        "SELECT prediction_id, btc_value, fee_rate, urgency_score, confidence_score, status, "
        "confirmation_height FROM mempool_predictions ORDER BY prediction_id",
    ) == [
        ("mined", 12345.678, 0.1, 0.4, 0.58, "confirmed", 970_000),
        ("odd", 100.1, 3.3, 0.4, 0.58, "pending", None),
        ("open", 100.1, 3.3, 0.4, 0.58, "pending", None),
    ]
    assert query(
        quickstart_path,
        "SELECT accuracy_score, final_fee_rate, time_to_confirmation FROM prediction_outcomes",
    ) == [(0.1, 0.3, 538)]
    assert check_database(quickstart_path) == []
    assert (
        query(quickstart_path, "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'quickstart%'")
        == []
    )


def test_the_quickstarts_columns_come_first_and_no_real_is_left(quickstart_path: Path) -> None:
    before = {
        table: columns_of(quickstart_path, table) for table in ("mempool_predictions", "prediction_outcomes")
    }
    migrate(quickstart_path)
    for table, columns in before.items():
        after = columns_of(quickstart_path, table)
        expected = {name: "DOUBLE" if kind == "FLOAT" else kind for name, kind in columns.items()}
        assert list(after.items())[: len(columns)] == list(expected.items())
        assert "FLOAT" not in after.values()
    assert query(quickstart_path, "SELECT count(*) FROM duckdb_indexes()") == [(0,)]
    assert query(
        quickstart_path,
        "SELECT DISTINCT constraint_type FROM duckdb_constraints() WHERE table_name <> 'schema_version'",
    ) == [("NOT NULL",)]


def test_a_file_made_by_the_quickstart_ends_like_a_new_one(quickstart_path: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.db"
    migrate(quickstart_path)
    initialise(fresh)
    tables = "SELECT table_name, sql FROM duckdb_tables() ORDER BY table_name"
    assert query(quickstart_path, tables) == query(fresh, tables)


def test_the_quickstarts_insert_and_queries_run_unchanged_on_ours(path: Path) -> None:
    initialise(path)
    with duckdb.connect(path) as connection:
        connection.execute(QUICKSTART_INSERT, quickstart_row("small", btc_value=100.000001))
        connection.execute(QUICKSTART_INSERT, quickstart_row("free", fee_rate=0.0))
    with duckdb.connect(path, read_only=True) as connection:
        count = connection.execute("SELECT COUNT(*) FROM mempool_predictions").fetchone()
        pending = connection.execute(QUICKSTART_PENDING).fetchone()
    assert (count, pending) == ((2,), (2,))
    [(value, was_modified, status)] = query(
        path, "SELECT btc_value, was_modified, status FROM mempool_predictions WHERE prediction_id = 'small'"
    )
    assert (value, was_modified, status) == (100.000001, False, "pending")


def test_the_status_of_the_quickstarts_own_file_can_be_read(quickstart_path: Path) -> None:
    assert read_status(quickstart_path) == StoreStatus(3, 2, 1, 0, 0, {"inflow": 3})
    assert check_database(quickstart_path) == [
        f"schema version 0 is older than {NEWEST}: run `hydrophone db migrate`"
    ]
    assert query(quickstart_path, "SELECT count(*) FROM duckdb_tables()") == [(2,)]  # reading changed nothing


def test_created_at_is_utc_wherever_the_machine_is(path: Path) -> None:
    script = f"""
from pathlib import Path
from hydrophone.store.schema import open_database
connection = open_database(Path({str(path)!r}))
connection.cursor().execute({QUICKSTART_INSERT!r}, {quickstart_row("tokyo")!r})
connection.close()
"""
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "TZ": "Asia/Tokyo"})
    [(created_at,)] = query(path, "SELECT created_at FROM mempool_predictions")
    assert isinstance(created_at, datetime)
    assert abs(created_at.replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_newer_schema_is_refused_by_all_that_write(path: Path) -> None:
    initialise(path)
    query(path, "INSERT INTO schema_version (version, name) VALUES (99, 'from the future')")
    for refuse in (initialise, migrate, open_database):
        with pytest.raises(StoreMismatch, match=r"schema version 99 .* upgrade Hydrophone"):
            refuse(path)
    assert check_database(path) == [
        f"schema version 99 is newer than {NEWEST}, the newest known here: upgrade Hydrophone"
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mempool_predictions (txid TEXT)",
        "CREATE TABLE schema_version (number INTEGER)",
        "CREATE TABLE record (anything TEXT)",
    ],
)
def test_a_database_of_somebody_else_is_refused_and_left_as_it_was(path: Path, statement: str) -> None:
    path.parent.mkdir()
    query(path, statement)
    tables = query(path, "SELECT table_name, sql FROM duckdb_tables()")
    with pytest.raises(StoreMismatch, match=r"store\.path"):
        initialise(path)
    assert query(path, "SELECT table_name, sql FROM duckdb_tables()") == tables


@pytest.mark.parametrize(
    "content", [b"", b"SQLite format 3\x00", b"x" * 20_000], ids=["empty", "short", "long"]
)
def test_a_file_that_is_no_database_is_refused_and_kept(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    for refuse in (initialise, read_status, check_database):
        with pytest.raises(StoreMismatch, match="move it away"):
            refuse(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("read", [read_status, check_database, migrate])
def test_a_missing_file_is_said_and_not_made(path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(StoreError, match=r"there is no database at .*hydrophone db init"):
        read(path)
    assert not path.parent.exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"file cannot be made .* store\.path"):
        initialise(tmp_path / "file" / "store.db")


@pytest.fixture
def sound_path(path: Path) -> Path:
    """A database with two predictions, one of them ended, and a record of three entries."""
    initialise(path)
    with duckdb.connect(path) as connection:
        connection.execute(QUICKSTART_INSERT, quickstart_row("one"))
        connection.execute(QUICKSTART_INSERT, quickstart_row("two"))
        connection.execute("UPDATE mempool_predictions SET status = 'dropped' WHERE prediction_id = 'two'")
        connection.execute(
            "INSERT INTO prediction_outcomes (outcome_id, prediction_id, transaction_id, predicted_flow) "
            "VALUES ('o', 'two', 'tx', 'inflow')"
        )
        previous = GENESIS
        for seq, message in ((1, "first"), (2, "second"), (3, "third 🐋")):
            at = datetime(2026, 11, 22, tzinfo=UTC)
            when = micros_from_datetime(at)
            entry = next_entry(previous, seq, when, "signal", "one", message=message.encode())
            previous = entry.hash
            connection.execute(
                "INSERT INTO record VALUES (?, '2026-11-22', 'signal', 'one', ?, ?, ?)",
                [seq, message, entry.digest, entry.hash],
            )
    assert check_database(path) == []
    return path


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (
            "UPDATE record SET message = 'Second' WHERE seq = 2",
            "record entry 2 is not what was published",
        ),
        ("DELETE FROM record WHERE seq = 1", "record entry 1 is missing"),
        ("INSERT INTO record SELECT * FROM record WHERE seq = 2", "record entry 3 is missing"),
        (
            "INSERT INTO mempool_predictions SELECT * FROM mempool_predictions WHERE prediction_id = 'one'",
            "1 prediction ids",
        ),
        (
            "INSERT INTO prediction_outcomes SELECT * FROM prediction_outcomes",
            "more than one outcome, such as two",
        ),
        ("DELETE FROM prediction_outcomes", "by status or by outcome, but not by both, such as two"),
        (
            "UPDATE mempool_predictions SET status = 'pending'",
            "by status or by outcome, but not by both, such as two",
        ),
    ],
)
def test_the_check_finds_damage(sound_path: Path, damage: str, finding: str) -> None:
    query(sound_path, damage)
    [found] = check_database(sound_path)
    assert finding in found


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (duckdb.OutOfMemoryException("failed to allocate data of size 2.0 MiB"), StoreFull, "memory limit"),
        (duckdb.IOException("Could not write file: No space left on device"), StoreFull, "free some"),
        (duckdb.IOException('Cannot open file "x": Too many open files'), StoreFull, "raise the limit"),
        (duckdb.FatalException("the autocheckpoint failed: File too large"), StoreFull, "free some"),
        (
            duckdb.IOException("Could not set lock on file: Resource unavailable"),
            StoreLocked,
            "another process",
        ),
        (
            duckdb.IOException(
                "Could not set lock on file: Conflicting lock is held in /bin/x (PID 42). See also"
            ),
            StoreLocked,
            r"process 42 \(/bin/x\).*hydrophone status",
        ),
        (
            duckdb.IOException("Trying to read a database file with version number 999"),
            StoreMismatch,
            "move it away",
        ),
        (
            duckdb.Error("Corrupt database file: computed checksum 1 does not match"),
            StoreMismatch,
            "move it away",
        ),
        (duckdb.IOException("Cannot open file: Permission denied"), StoreError, "right to write"),
        (duckdb.ConnectionException("Connection already closed!"), StoreClosed, "was closed"),
        (duckdb.CatalogException("Table record does not exist"), StoreMismatch, "other tables"),
        (duckdb.InternalException("assertion failed\nstack"), StoreError, "assertion failed$"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_what_duckdb_says_becomes_our_error(
    error: duckdb.Error, expected: type[StoreError], words: str
) -> None:
    with pytest.raises(StoreError, match=words) as caught, translated_errors(Path("some/where.db")):
        raise error
    assert type(caught.value) is expected
    assert "some/where.db" in str(caught.value)
