"""The database file: opening it, bringing it to our schema, reading its status, checking it.

Every function here blocks; the service calls them off the event loop. No DuckDB exception leaves this package.
"""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import duckdb

from hydrophone.domain.record import RecordEntry, first_break
from hydrophone.errors import StoreClosed, StoreError, StoreFull, StoreLocked, StoreMismatch
from hydrophone.pipeline.ports import StoreStatus

MEMORY_LIMIT_MB: Final = 96
"""# chosen: at 200,000 predictions (90 busy days) every query fits and the whole process stays near 110 MB."""

_NO_ROOM: Final = ("No space left on device", "Disk quota exceeded", "File too large")
_NO_RIGHT: Final = ("Permission denied", "Read-only file system", "Operation not permitted")
_DAMAGED: Final = (
    "not a valid DuckDB database",
    "Corrupt database file",
    "version number",  # of a storage format that this DuckDB cannot read
    "Failure while replaying WAL",
    "Could not read enough bytes",
)
_LOCK_HOLDER: Final = re.compile(r"Conflicting lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")

_RECORD_PAGE: Final = 1000
"""# chosen: entries read at once while the chain is checked: about 2 MB."""
_MAX_EXAMPLES: Final = 5
"""# chosen: ids named in a finding; enough to look one up, short enough for a line."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of the schema; the steps are 1, 2, 3..."""

    version: int
    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a database that should not be so.

    Attributes:
        check: which check found it.
        detail: what was found, and what to do where something can be done.
    """

    check: str
    detail: str


def load_migrations() -> tuple[Migration, ...]:
    """Return the migrations this code knows, oldest first."""
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


def _translate(error: duckdb.Error, path: Path) -> StoreError:
    text = str(error)
    reason = text.partition("\n")[0]
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreFull(f"{path}: the memory limit of the database is too small for this: {reason}")
    if any(sign in text for sign in _NO_ROOM):
        return StoreFull(f"{path}: no room to write on its disk; free some, nothing stored is lost: {reason}")
    if "Could not set lock" in text:
        holder = _LOCK_HOLDER.search(text)
        who = f"process {holder['pid']} ({holder['program']})" if holder else "another process"
        return StoreLocked(
            f"{path} is in use by {who}, and only one process can have it open: stop that one, "
            "or ask the running service with `hydrophone status`"
        )
    if any(sign in text for sign in _DAMAGED):
        return StoreMismatch(
            f"{path} is not a database that DuckDB {duckdb.__version__} can read: move it away or restore a copy: "
            f"{reason}"
        )
    if isinstance(error, duckdb.BinderException | duckdb.CatalogException):
        return StoreMismatch(f"{path} has other tables than expected; set store.path to a file of ours: {reason}")
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
        _apply_migrations(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def initialise(path: Path) -> tuple[str, ...]:
    """Make the database, or bring it to the newest schema.

    Returns:
        Names of the migrations that were applied; empty when there was nothing to do.

    Raises:
        StoreError: it cannot be opened, or is newer than this code.
    """
    _make_folder(path)
    with closing(_connect(path, memory_limit_mb=MEMORY_LIMIT_MB, read_only=False)) as connection:
        return _apply_migrations(connection, path)


def migrate(path: Path) -> tuple[str, ...]:
    """Bring an existing database to the newest schema; otherwise as `initialise`."""
    _require_file(path)
    return initialise(path)


def read_status(path: Path) -> StoreStatus:
    """Return the counts of a database that no service has open. Also reads what the quickstart's snippet made.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    with _reading(path) as connection:
        return status_of(connection)


def status_of(connection: duckdb.DuckDBPyConnection) -> StoreStatus:
    """Return the counts a connection sees. Raises DuckDB's exceptions."""
    [(prediction_count, pending_count, outcome_count)] = connection.execute(
        # What "pending" means is the quickstart's: there is no outcome.
        """
        SELECT
            (SELECT count(*) FROM mempool_predictions),
            (SELECT count(*) FROM mempool_predictions
             WHERE prediction_id NOT IN (SELECT prediction_id FROM prediction_outcomes)),
            (SELECT count(*) FROM prediction_outcomes)
        """
    ).fetchall()
    by_flow = connection.execute(
        "SELECT flow_type, count(*) FROM mempool_predictions GROUP BY flow_type ORDER BY flow_type"
    ).fetchall()
    gap_count = last_seq = 0
    if schema_version(connection) > 0:
        [(gap_count, last_seq)] = connection.execute(
            "SELECT (SELECT count(*) FROM source_gaps), (SELECT coalesce(max(seq), 0) FROM record)"
        ).fetchall()
    return StoreStatus(
        prediction_count=prediction_count,
        pending_count=pending_count,
        outcome_count=outcome_count,
        gap_count=gap_count,
        last_seq=last_seq,
        by_flow=dict(by_flow),
    )


def check_database(path: Path) -> list[Finding]:
    """Look for what should not be in a database that no service has open; an empty list is a clean one.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    with _reading(path) as connection:
        version, newest = schema_version(connection), load_migrations()[-1].version
        if version > newest:
            return [Finding("schema", f"version {version} is newer than {newest}, the newest known here: upgrade")]
        if version < newest:
            return [Finding("schema", f"version {version} is older than {newest}: run `hydrophone db migrate`")]
        findings = []
        broken_seq = first_break(_read_record(connection))
        if broken_seq is not None:
            findings.append(
                Finding("record", f"entry {broken_seq} is missing or is not what was published: the file was changed")
            )
        for check, problem, query in _CONSISTENCY:
            ids = [prediction_id for (prediction_id,) in connection.execute(query).fetchall()]
            if ids:
                examples = ", ".join(ids[:_MAX_EXAMPLES])
                findings.append(Finding(check, f"{len(ids)} {problem}, such as {examples}"))
        return findings


_CONSISTENCY: Final = (
    (
        "ids",
        "prediction ids are in the table more than once",
        "SELECT prediction_id FROM mempool_predictions GROUP BY 1 HAVING count(*) > 1 ORDER BY 1",
    ),
    (
        "outcomes",
        "predictions have more than one outcome",
        "SELECT prediction_id FROM prediction_outcomes GROUP BY 1 HAVING count(*) > 1 ORDER BY 1",
    ),
    (
        "status",
        "predictions have ended by status or by outcome, but not by both",
        """
        SELECT prediction_id FROM mempool_predictions p
        WHERE (status IN ('confirmed', 'replaced', 'dropped'))
            <> (prediction_id IN (SELECT prediction_id FROM prediction_outcomes))
        ORDER BY 1
        """,
    ),
)


def schema_version(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the version of the schema; 0 for an empty database and for the quickstart's. Raises DuckDB's exceptions."""
    tables = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'schema_version'").fetchall()
    if not tables:
        return 0
    [(version,)] = connection.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchall()
    return int(version)


def _apply_migrations(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, ...]:
    """Apply what is missing, each step in a transaction of its own; return the names."""
    migrations = load_migrations()
    with translated_errors(path):
        version = schema_version(connection)
        if version > len(migrations):
            raise StoreMismatch(
                f"{path} has schema version {version} and this program knows none above {len(migrations)}: "
                "upgrade Hydrophone, or set store.path to another file"
            )
        for migration in migrations[version:]:
            connection.begin()
            try:
                connection.execute(migration.sql)
                connection.execute(
                    "INSERT INTO schema_version (version, name) VALUES (?, ?)", [migration.version, migration.name]
                )
                connection.commit()
            except duckdb.Error:
                roll_back(connection)
                raise
    return tuple(migration.name for migration in migrations[version:])


def roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    """End a transaction that failed, without hiding why it did."""
    with suppress(duckdb.Error):  # a failed COMMIT has ended it already
        connection.rollback()


def _connect(path: Path, *, memory_limit_mb: int, read_only: bool) -> duckdb.DuckDBPyConnection:
    with translated_errors(path):
        connection = duckdb.connect(
            path,
            read_only=read_only,
            config={
                "memory_limit": f"{memory_limit_mb}MB",
                "threads": 1,  # chosen: with 2 a one-row commit takes a fifth longer, and no query here needs them
                "autoinstall_known_extensions": False,  # a database must not download code
            },
        )
        # For every cursor: times are stored naive, so CURRENT_TIMESTAMP must not be the machine's local time.
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection


@contextmanager
def _reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an existing file read-only."""
    _require_file(path)
    with (
        translated_errors(path),
        closing(_connect(path, memory_limit_mb=MEMORY_LIMIT_MB, read_only=True)) as connection,
    ):
        yield connection


def _read_record(connection: duckdb.DuckDBPyConnection) -> Iterator[RecordEntry]:
    """Yield the record in order, a page at a time: it may be larger than the memory limit."""
    [(last_seq,)] = connection.execute("SELECT coalesce(max(seq), 0) FROM record").fetchall()
    for first in range(1, last_seq + 1, _RECORD_PAGE):
        page = connection.execute(
            "SELECT seq, message, hash FROM record WHERE seq BETWEEN ? AND ? ORDER BY seq",
            [first, first + _RECORD_PAGE - 1],
        ).fetchall()
        for seq, message, entry_hash in page:
            yield RecordEntry(seq, message.encode(), entry_hash)


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path.parent} cannot be made to hold the database: {error.strerror}: make it yourself, "
            "or set store.path to another place"
        ) from error


def _require_file(path: Path) -> None:
    if not path.exists():
        raise StoreError(
            f"there is no database at {path}: start the service, make one with `hydrophone db init`, "
            "or set store.path to where it is"
        )
