"""The store on DuckDB: one process, one writer thread, one transaction per batch.

DuckDB gives a file to one process and a connection to one thread. So one thread writes; another reads on a
connection of its own, beside the writer and off the event loop.
"""

import asyncio
import threading
from array import array
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import duckdb

from hydrophone.domain.events import RaiseSignal
from hydrophone.domain.outcome import OPEN
from hydrophone.domain.record import GENESIS, chain_hash
from hydrophone.domain.units import micros_from_datetime
from hydrophone.errors import StoreClosed
from hydrophone.pipeline.ports import Entry, Publication, SavedState, StoreStatus
from hydrophone.store.rows import (
    CLAIM_COLUMNS,
    AddressOf,
    Batch,
    Key,
    Row,
    describe_effect,
    timestamp,
    touched_keys,
    tracked_of_row,
    txids_of_row,
)
from hydrophone.store.schema import (
    MEMORY_LIMIT_MB,
    open_database,
    roll_back,
    status_of,
    translated_errors,
)

T = TypeVar("T")

_REORG_DAYS: Final = 2
"""# chosen: how long a confirmed prediction is still followed: some 288 blocks, the deepest reorg had 53."""
_ENDED_DAYS: Final = 20
"""# chosen: a mempool forgets after 14 days (Bitcoin Core, DEFAULT_MEMPOOL_EXPIRY_HOURS), and some keep longer."""
_MAX_ENDED: Final = 50_000
"""# chosen: predictions; at most 10 MB of txids, more than a flood of whales gives in 20 days."""
_KEY_COLUMNS: Final = ("prediction_id", "detection_timestamp")


class DuckDbStore:
    """The `Store` port on a DuckDB file.

    Whoever awaits a commit waits for the disk, so callers bound the queue of the writer by waiting.

    Args:
        path: the file; it and its folder are made when missing.
        address_of: spells a script as an address of the network; None when it has none.
        memory_limit_mb: what DuckDB may use, for both threads together.
    """

    def __init__(
        self, path: Path, *, address_of: AddressOf, memory_limit_mb: int = MEMORY_LIMIT_MB
    ) -> None:
        self._database = _Database(path, address_of=address_of, memory_limit_mb=memory_limit_mb)
        self._path = path
        self._writer: ThreadPoolExecutor | None = None
        self._reader: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        """Open the file and bring it to the newest schema.

        Raises:
            StoreLocked: another process has it open.
            StoreMismatch: it is no database of ours, or is newer than this code.
            StoreError: it cannot be made, read or written.
        """
        if self._writer is not None:
            return
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        try:
            await self._run(self._writer, self._database.open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what was begun and close the file; harmless when it is closed already."""
        writer, reader = self._writer, self._reader
        self._writer = self._reader = None
        if writer is None or reader is None:
            return
        try:
            await self._run(writer, self._database.close)
        finally:
            reader.shutdown(wait=False)
            writer.shutdown(wait=False)

    async def load_state(self) -> SavedState:
        """Return what a restart needs.

        Ages are counted back from the newest thing stored, not from now: what was recent when we stopped is
        what may still change.
        """
        return await self._run(self._reader, lambda: self._database.read(_load_state))

    async def commit(self, entries: Sequence[Entry]) -> None:
        """Store the entries, in order, in one transaction; return when they survive kill -9.

        A publication whose `seq` is already stored is skipped, so that a retry is harmless. It may be stored
        although an error was raised, when the disk was full at just the wrong moment: so retry, or load the
        state anew, but never give its `seq` to something else.

        Raises:
            StoreFull: transient; retry when there is room.
            StoreError: the database cannot be written.
            ValueError: a `seq` is skipped or repeated in the batch; nothing was stored.
        """
        await self._run(self._writer, lambda: self._database.commit(entries))

    async def query_status(self) -> StoreStatus:
        """Return counts, read beside the writer."""
        return await self._run(self._reader, lambda: self._database.read(status_of))

    async def query_recent(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest predictions, newest first, as `{column: value}`; times are naive and in UTC."""
        return await self._run(
            self._reader, lambda: self._database.read(lambda connection: _query_recent(connection, limit))
        )

    async def _run(self, thread: ThreadPoolExecutor | None, work: Callable[[], T]) -> T:
        if thread is None:
            raise StoreClosed(f"{self._path} is not open: open the store first, and use it before it is closed")
        return await asyncio.get_running_loop().run_in_executor(thread, work)


class _Database:
    """The file, its two connections, and what the writer remembers between batches. Every method blocks.

    One thread calls `open`, `commit` and `close`; another may call `read` at any time.
    """

    def __init__(self, path: Path, *, address_of: AddressOf, memory_limit_mb: int) -> None:
        self._path = path
        self._address_of = address_of
        self._memory_limit_mb = memory_limit_mb
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._cursor_in_use = threading.Lock()
        self._statements: dict[str, duckdb.Statement] = {}
        self._last_seq = 0
        self._last_hash = GENESIS
        self._ids = _KnownIds(())

    def open(self) -> None:
        connection = open_database(self._path, memory_limit_mb=self._memory_limit_mb)
        try:
            with translated_errors(self._path):
                newest = connection.execute("SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1").fetchall()
                self._ids = _KnownIds(_read_ids(connection))
                self._cursor = connection.cursor()
        except BaseException:
            connection.close()
            raise
        self._last_seq, self._last_hash = newest[0] if newest else (0, GENESIS)
        self._statements = {}
        self._connection = connection

    def close(self) -> None:
        connections = [c for c in (self._cursor, self._connection) if c is not None]
        with self._cursor_in_use, translated_errors(self._path):
            self._cursor = self._connection = None
            for connection in connections:
                connection.close()

    def read(self, query: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        with self._cursor_in_use, translated_errors(self._path):
            if self._cursor is None:
                raise StoreClosed(f"{self._path} was closed after an error; the next write opens it again")
            return query(self._cursor)

    def commit(self, entries: Sequence[Entry]) -> None:
        if self._connection is None:
            self.open()
        assert self._connection is not None
        try:
            with translated_errors(self._path):
                self._commit(self._connection, entries)
        except StoreError as error:
            if isinstance(error.__cause__, duckdb.FatalException):
                self._reopen()
            raise

    def _reopen(self) -> None:
        """Replace connections that DuckDB has declared dead, as it does when a checkpoint finds the disk full."""
        with suppress(StoreError):  # then the next commit tries again
            self.close()
            self.open()

    def _commit(self, connection: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> None:
        entries = [e for e in entries if not (isinstance(e, Publication) and e.seq <= self._last_seq)]
        if not entries:
            return
        last_seq, last_hash, record = self._last_seq, self._last_hash, []
        for publication in (e for e in entries if isinstance(e, Publication)):
            if publication.seq != last_seq + 1:
                raise ValueError(f"expected record entry {last_seq + 1}, found {publication.seq} in the batch")
            last_seq, last_hash = publication.seq, chain_hash(last_hash, publication.seq, publication.message)
            record.append(_row_of_publication(publication, last_hash))
        batch = self._plan(connection, entries)
        connection.begin()
        try:
            self._write(connection, batch)
            self._insert(connection, "record", record)
            connection.commit()
        except BaseException:
            roll_back(connection)
            raise
        self._last_seq, self._last_hash = last_seq, last_hash
        for prediction_id, _ in batch.inserted:
            self._ids.add(prediction_id)

    def _plan(self, connection: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> Batch:
        """Work out what the entries change. Nobody else writes, so what is read here stays true."""
        keys = {key for key in touched_keys(entries) if key[0] in self._ids}
        stored = _read_rows(connection, keys) if keys else {}
        missing = {prediction_id for prediction_id, _ in keys - stored.keys()}
        batch = Batch(self._address_of, stored, _read_taken(connection, missing) if missing else ())
        for entry in entries:
            batch.add(entry)
        return batch

    def _write(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
        self._insert(connection, "mempool_predictions", batch.inserted.values())
        self._update(connection, batch.updated)
        for prediction_id in batch.reopened:
            connection.execute("DELETE FROM prediction_outcomes WHERE prediction_id = ?", [prediction_id])
        self._insert(connection, "prediction_outcomes", batch.ended.values())
        self._insert(connection, "amendments", batch.amendments)
        for gap in batch.gaps:
            # A gap has no seq to tell a retry by.
            connection.execute(
                "INSERT INTO source_gaps BY NAME (SELECT $source AS source, $reason AS reason, "
                "$started_at AS started_at, $ended_at AS ended_at, $detail AS detail) "
                "EXCEPT ALL SELECT ... ",
                gap,
            )

    def _insert(self, connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Row]) -> None:
        """Insert rows: one by a statement (cheapest for one), many by an appender (20 times cheaper for 100)."""
        for columns, same in _by_columns(rows).items():
            if len(same) > 1:
                with connection.appender(table, columns=list(columns)) as appender:
                    appender.append_rows(same)
            else:
                marks = ", ".join("?" * len(columns))
                sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608  our own names
                connection.execute(self._prepared(connection, sql), same[0])

    def _update(self, connection: duckdb.DuckDBPyConnection, changes: Mapping[Key, Row]) -> None:
        rows = (
            values | {"prediction_id": prediction_id, "detection_timestamp": timestamp(detected_at)}
            for (prediction_id, detected_at), values in changes.items()
        )
        for columns, same in _by_columns(rows).items():
            if len(same) > 1:
                with connection.appender(
                    "mempool_predictions", columns=list(columns), action="update", key=list(_KEY_COLUMNS)
                ) as appender:
                    appender.append_rows(same)
            else:
                values = ", ".join(f"{column} = ?" for column in columns[: -len(_KEY_COLUMNS)])
                sql = (
                    f"UPDATE mempool_predictions SET {values} "  # noqa: S608  our own names
                    "WHERE prediction_id = ? AND detection_timestamp = ?"
                )
                connection.execute(self._prepared(connection, sql), same[0])

    def _prepared(self, connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
        """Return a statement that is parsed once."""
        if sql not in self._statements:
            [self._statements[sql]] = connection.extract_statements(sql)
        return self._statements[sql]
