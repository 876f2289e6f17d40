"""The database file: opening it, bringing it to our schema, reading its status, checking it.

Every function here blocks; the service calls them off the event loop. No exception of DuckDB leaves the
package.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import duckdb

from hydrophone.domain.record import ChainReport, NotedHead, verify_chain
from hydrophone.errors import StoreClosed, StoreError, StoreFull, StoreLocked, StoreMismatch
from hydrophone.pipeline.ports import StoreStatus
from hydrophone.store.record_chain import chain_anew, read_entries

MEMORY_LIMIT_MB: Final = 96
"""# chosen: at 200,000 predictions (90 busy days) every query fits, and the process stays near 110 MB."""
_MIGRATION_MB: Final = 256
"""At least so much while old rows are brought to a newer schema. # chosen: nothing else runs then; with 64 MB
that fails at 200,000 predictions, and would at each start."""
_SPILL_LIMIT_MB: Final = 1_000
"""Of a question that does not fit into memory, on the disk. # chosen: a hundred times what honest ones need;
left alone DuckDB takes what is free, and then nothing can be committed."""
DUCKDB_VERSION: Final = str(duckdb.__version__)
DUCKDB_WANTED: Final = "2.0."
"""Sources: pyproject.toml; a newer one writes files that this one cannot read."""
_MAGIC: Final = b"DUCK"
_MAGIC_OFFSET: Final = 8
"""Sources: DuckDB, storage format: an 8-byte checksum, then the magic bytes, then the version."""
_NO_ROOM: Final = ("No space left on device", "Disk quota exceeded", "File too large")
_NO_FILES: Final = ("Too many open files",)
_NO_RIGHT: Final = ("Permission denied", "Read-only file system", "Operation not permitted")
_DAMAGED: Final = (
    "Corrupt database file",
    "version number",  # of a storage format that this DuckDB cannot read
    "Failure while replaying WAL",
    "Could not read enough bytes",
)
_LOCK_HOLDER: Final = re.compile(r"Conflicting lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")

_IN_PYTHON: Final[Mapping[int, Callable[[duckdb.DuckDBPyConnection], None]]] = {5: chain_anew}
"""What a migration does after its SQL, in the same transaction: SQL alone cannot follow a chain of hashes."""
_MAX_EXAMPLES: Final = 5
"""# chosen: ids named in a finding; enough to look one up, short enough for a line."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema; steps are taken in the order of their numbers."""

    version: int
    name: str
    sql: str


def load_migrations() -> tuple[Migration, ...]:
    """Return the migrations this code knows, oldest first. Numbers may be skipped, never used twice."""
    folder = resources.files("hydrophone.store") / "migrations"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda e: e.name)
    return tuple(
        Migration(int(number), name, entry.read_text(encoding="utf-8"))
        for entry in files
        for number, _, name in [entry.name.removesuffix(".sql").partition("_")]
    )


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn DuckDB's exceptions into ours.

    Raises:
        StoreLocked: another process has the file open.
        StoreMismatch: the file is damaged, no database, or has other tables than ours.
        StoreFull: no room on the disk or under the memory limit.
        StoreClosed: the connection was closed.
        StoreError: anything else that DuckDB complains about.
    """
    try:
        yield
    except duckdb.Error as error:
        raise _translate(error, path) from error


def _translate(error: duckdb.Error, path: Path) -> StoreError:  # noqa: PLR0911  one for each kind of trouble
    text = str(error)
    reason = text.partition("\n")[0]
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreFull(f"{path}: the memory limit of the database is too small for this: {reason}")
    if any(sign in text for sign in _NO_ROOM):
        return StoreFull(f"{path}: no room to write on its disk; free some, nothing stored is lost: {reason}")
    if any(sign in text for sign in _NO_FILES):
        return StoreFull(
            f"{path}: as many files are open as there may be; raise the limit (ulimit -n), or let fewer "
            f"clients come (alerts.max_clients): {reason}"
        )
    if "Could not set lock" in text:
        holder = _LOCK_HOLDER.search(text)
        who = f"process {holder['pid']} ({holder['program']})" if holder else "another process"
        return StoreLocked(
            f"{path} is in use by {who}, and only one process can have it open: stop that one, "
            "or ask the running service with `hydrophone status`"
        )
    if any(sign in text for sign in _DAMAGED):
        return StoreMismatch(
            f"{path} is damaged, or no database that DuckDB {duckdb.__version__} can read: "
            f"move it away or restore a copy: {reason}"
        )
    if isinstance(error, duckdb.BinderException | duckdb.CatalogException):
        return StoreMismatch(
            f"{path} has other tables than expected; set store.path to a file of ours: {reason}"
        )
    if any(sign in text for sign in _NO_RIGHT):
        return StoreError(
            f"{path} cannot be written: give this user the right to write the file and its folder, "
            f"or set store.path to another place: {reason}"
        )
    if isinstance(error, duckdb.ConnectionException) and "closed" in text:
        return StoreClosed(f"{path} was closed")
    return StoreError(f"{path}: {reason}")


def open_database(path: Path, *, memory_limit_mb: int = MEMORY_LIMIT_MB) -> duckdb.DuckDBPyConnection:
    """Return a connection that may write, on our newest schema; makes the folder and the file when missing.

    Raises:
        StoreError: it cannot be opened, or is newer than this code.
    """
    _make_folder(path)
    connection = _connect(path, memory_limit_mb=memory_limit_mb, read_only=False)
    try:
        _migrate_with_room(connection, path, memory_limit_mb)
    except BaseException:
        connection.close()
        raise
    return connection


def initialise(path: Path) -> int:
    """Make the database, or bring it to the newest schema; return its version.

    Raises:
        StoreError: it cannot be opened, or is newer than this code.
    """
    with closing(open_database(path)) as connection, translated_errors(path):
        return schema_version(connection)


def migrate(path: Path) -> int:
    """Bring an existing database to the newest schema; return its version.

    Raises:
        StoreError: there is no such file, it cannot be opened, or is newer than this code.
    """
    _require_file(path)
    return initialise(path)


def read_status(path: Path) -> StoreStatus:
    """Return the counts of a database that no service has open; the quickstart's snippet may have made it.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    with reading(path) as connection:
        return status_of(connection)


def status_of(connection: duckdb.DuckDBPyConnection) -> StoreStatus:
    """Return the counts a connection sees."""
    by_flow = connection.execute(
        "SELECT flow_type, count(*) FROM mempool_predictions GROUP BY flow_type ORDER BY flow_type"
    ).fetchall()
    counts = _COUNTS if schema_version(connection) > 0 else _QUICKSTART_COUNTS
    [(pending_count, outcome_count, gap_count, last_seq, head)] = connection.execute(counts).fetchall()
    return StoreStatus(
        prediction_count=sum(count for _, count in by_flow),
        pending_count=pending_count,
        outcome_count=outcome_count,
        gap_count=gap_count,
        last_seq=last_seq,
        by_flow=dict(by_flow),
        record_head=head or "",
    )


_COUNTS: Final = """
    SELECT
        (SELECT count(*) FROM mempool_predictions WHERE status IN ('pending', 'in_doubt')),
        (SELECT count(*) FROM prediction_outcomes),
        (SELECT count(*) FROM source_gaps),
        (SELECT coalesce(max(seq), 0) FROM record),
        (SELECT lower(hex(hash)) FROM record ORDER BY seq DESC LIMIT 1)
"""
_QUICKSTART_COUNTS: Final = """
    SELECT
        (SELECT count(*) FROM mempool_predictions
         WHERE prediction_id NOT IN (SELECT prediction_id FROM prediction_outcomes)),
        (SELECT count(*) FROM prediction_outcomes),
        0,
        0,
        NULL
"""
"""The quickstart's tables have no status, and joining 200,000 rows takes 50 ms where reading it takes 2."""


def check_database(path: Path) -> list[str]:
    """Look for what should not be in a database that no service has open.

    Returns:
        A line for each problem, with what to do where something can be done; empty when there is none.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    with reading(path) as connection:
        version, newest = schema_version(connection), load_migrations()[-1].version
        if version > newest:
            return [
                f"schema version {version} is newer than {newest}, the newest known here: upgrade Hydrophone"
            ]
        if version < newest:
            return [f"schema version {version} is older than {newest}: run `hydrophone db migrate`"]
        findings = []
        fault = verify_chain(read_entries(connection)).fault
        if fault is not None:
            findings.append(fault.text)
        for problem, query in _CONSISTENCY:
            ids = [prediction_id for (prediction_id,) in connection.execute(query).fetchall()]
            if ids:
                findings.append(f"{len(ids)} {problem}, such as {', '.join(ids[:_MAX_EXAMPLES])}")
        return findings


def verify_record(path: Path, noted: NotedHead) -> ChainReport:
    """Follow the record of a database that no service has open, from its first entry to its end.

    Args:
        path: the file.
        noted: what somebody kept of it earlier.

    Raises:
        StoreError: there is no such file, it cannot be read, or is not at the newest schema.
    """
    with reading(path) as connection:
        version, newest = schema_version(connection), load_migrations()[-1].version
        if version != newest:
            advice = "run `hydrophone db migrate`" if version < newest else "upgrade Hydrophone"
            raise StoreMismatch(f"{path} has schema version {version}, and {newest} is known here: {advice}")
        return verify_chain(read_entries(connection), noted)


_CONSISTENCY: Final = (
    (
        "prediction ids are in the table more than once",
        "SELECT prediction_id FROM mempool_predictions GROUP BY 1 HAVING count(*) > 1 ORDER BY 1",
    ),
    (
        "predictions have more than one outcome",
        "SELECT prediction_id FROM prediction_outcomes GROUP BY 1 HAVING count(*) > 1 ORDER BY 1",
    ),
    (
        "predictions have ended by status or by outcome, but not by both",
        """
        SELECT prediction_id FROM mempool_predictions p
        WHERE (status IN ('confirmed', 'replaced', 'dropped'))
            <> (prediction_id IN (SELECT prediction_id FROM prediction_outcomes))
        ORDER BY 1
        """,
    ),
)


def is_older(path: Path) -> bool:
    """Return whether a database that no service has open is still to be brought to our newest schema.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    with reading(path) as connection:
        return schema_version(connection) < load_migrations()[-1].version


def schema_version(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the version of the schema; 0 for an empty database and for the quickstart's."""
    tables = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE table_name = 'schema_version'"
    ).fetchall()
    if not tables:
        return 0
    [(version,)] = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchall()
    return int(version)


def _migrate_with_room(connection: duckdb.DuckDBPyConnection, path: Path, memory_limit_mb: int) -> None:
    """Apply what is missing with as much memory as that takes, and go back to what is used otherwise."""
    with translated_errors(path):
        connection.execute(f"SET GLOBAL memory_limit = '{max(memory_limit_mb, _MIGRATION_MB)}MB'")
        _apply_migrations(connection, path)
        connection.execute(f"SET GLOBAL memory_limit = '{memory_limit_mb}MB'")


def _apply_migrations(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Apply what is missing, each step in its transaction; one that fails is undone with the connection."""
    migrations = load_migrations()
    with translated_errors(path):
        version, newest = schema_version(connection), migrations[-1].version
        if version > newest:
            raise StoreMismatch(
                f"{path} has schema version {version} and this program knows none above {newest}: "
                "upgrade Hydrophone, or set store.path to another file"
            )
        taken = _steps_taken(connection) if version else set()
        for migration in (step for step in migrations if step.version not in taken):
            connection.begin()
            connection.execute(migration.sql)
            if migration.version in _IN_PYTHON:
                _IN_PYTHON[migration.version](connection)
            connection.execute(
                "INSERT INTO schema_version (version, name) VALUES (?, ?)",
                [migration.version, migration.name],
            )
            connection.commit()


def _steps_taken(connection: duckdb.DuckDBPyConnection) -> set[int]:
    rows = connection.execute("SELECT version FROM schema_version").fetchall()
    return {version for (version,) in rows}


def _connect(path: Path, *, memory_limit_mb: int, read_only: bool) -> duckdb.DuckDBPyConnection:
    _refuse_other_file(path)
    with translated_errors(path):
        connection = duckdb.connect(
            path,
            read_only=read_only,
            config={
                "memory_limit": f"{memory_limit_mb}MB",
                "threads": 1,  # chosen: with 2 a one-row commit takes a fifth longer
                "max_temp_directory_size": f"{_SPILL_LIMIT_MB}MB",
                # Gives back what a query no longer needs; without it a start keeps 30 MB more for ever.
                "allocator_background_threads": True,
                "autoinstall_known_extensions": False,  # a database must not download code
            },
        )
        # For every cursor: times are stored naive, so CURRENT_TIMESTAMP must not be the machine's local time.
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection


@contextmanager
def reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an existing file read-only.

    Raises:
        StoreError: there is none, or it cannot be read.
    """
    _require_file(path)
    with (
        translated_errors(path),
        closing(_connect(path, memory_limit_mb=MEMORY_LIMIT_MB, read_only=True)) as connection,
    ):
        yield connection


def _refuse_other_file(path: Path) -> None:
    """Raise StoreMismatch for another program's file, for which DuckDB would look for an extension."""
    try:
        with path.open("rb") as file:
            head = file.read(_MAGIC_OFFSET + len(_MAGIC))
    except OSError:
        return  # it does not exist yet, or DuckDB will say what is wrong
    if head[_MAGIC_OFFSET:] != _MAGIC:
        raise StoreMismatch(
            f"expected a DuckDB database in {path}, found {'another' if head else 'an empty'} file: "
            "move it away, or set store.path to another place"
        )


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path.parent} cannot be made to hold the database: {error.strerror}: make it yourself, "
            "or set store.path to another place"
        ) from error


def _require_file(path: Path) -> None:
    try:
        is_there = path.exists()
    except OSError as error:  # a name no file can have, or a folder we may not look into
        raise StoreError(f"{path} cannot be looked at: {error.strerror}") from error
    if not is_there:
        raise StoreError(
            f"there is no database at {path}: start the service, make one with `hydrophone db init`, "
            "or set store.path to where it is"
        )
