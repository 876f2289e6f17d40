"""The store on DuckDB: one process, one writer thread, one transaction per batch.

DuckDB gives a file to one process and a connection to one thread. So one thread writes; another reads on a
connection of its own, beside the writer and off the event loop.
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import duckdb

from hydrophone.domain.accuracy import AccuracyDay, WindowCounts
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.record import GENESIS, RecordEntry, RecordPage, next_entry
from hydrophone.domain.units import Txid, UnixMicros, micros_from_datetime
from hydrophone.errors import StoreClosed, StoreError
from hydrophone.pipeline.ports import (
    Entry,
    GapPeriod,
    Publication,
    SavedState,
    StoredForecasts,
    StoredGaps,
    StoreStatus,
)
from hydrophone.store.backup import Copier
from hydrophone.store.blocks import write_block
from hydrophone.store.daily import count_window, days_of
from hydrophone.store.forecasts import forecasts_of
from hydrophone.store.gaps import gaps_of
from hydrophone.store.known_ids import KnownIds, read_column
from hydrophone.store.label_history import (
    current_version,
    in_pages,
    next_instant,
    read_believed_ids,
    read_label_set,
    write_ended,
    write_new,
    write_set,
)
from hydrophone.store.record_chain import read_page
from hydrophone.store.rows import (
    CLAIM_COLUMNS,
    KEPT_COLUMNS,
    AddressOf,
    Batch,
    Key,
    Row,
    Value,
    describe_effect,
    timestamp,
    touched_keys,
)
from hydrophone.store.saved_state import fetch_rows, load_state
from hydrophone.store.schema import (
    MEMORY_LIMIT_MB,
    check_database,
    initialise,
    migrate,
    open_database,
    read_status,
    status_of,
    translated_errors,
)
from hydrophone.store.side_reader import TIMEOUT_S, SideReader
from hydrophone.store.stored_transactions import StoredTransaction, find_transaction

__all__ = ["DuckDbStore", "check_database", "initialise", "migrate", "read_status"]

T = TypeVar("T")

FORECASTS_AT_MOST: Final = 10_000
"""A running service scores so many. # chosen: 15 MB for half a second; a file alone is scored in full."""
_STATEMENTS_AT_MOST: Final = 2
"""Rows inserted one by one; an appender is the faster from three rows on. Sources: measured."""

_KEY_COLUMNS: Final = ("prediction_id", "detection_timestamp")
_INSERT_GAP: Final = """
    INSERT INTO source_gaps (source, reason, started_at, ended_at, detail)
    SELECT $source, $reason, $started_at::TIMESTAMP, $ended_at::TIMESTAMP, $detail
    EXCEPT SELECT source, reason, started_at, ended_at, detail FROM source_gaps
"""
"""A gap has no seq to tell a retry by; the same gap twice is one."""
_INSERT_MARKET: Final = """
    INSERT INTO fee_market (recorded_at, tip, tau_s, marginal_rate, waiting_wu, market)
    SELECT $recorded_at::TIMESTAMP, $tip, $tau_s, $marginal_rate, $waiting_wu, $market
    WHERE NOT EXISTS (FROM fee_market WHERE recorded_at = $recorded_at::TIMESTAMP AND tip = $tip)
"""
_INSERT_MODEL: Final = """
    INSERT INTO model_state (state_id, recorded_at, state)
    SELECT $state_id, $recorded_at::TIMESTAMP, $state
    WHERE NOT EXISTS (FROM model_state WHERE recorded_at = $recorded_at::TIMESTAMP AND state_id = $state_id)
"""


class DuckDbStore:
    """The `Store` port on a DuckDB file.

    Whoever awaits a commit waits for the disk, so callers bound the queue of the writer by waiting.

    Args:
        path: the file; it and its folder are made when missing.
        address_of: spells a script as an address of the network; None when it has none.
        memory_limit_mb: what DuckDB may use, for all threads together.
        query_timeout_s: a question by `query` that takes longer is broken off.
    """

    def __init__(
        self,
        path: Path,
        *,
        address_of: AddressOf,
        memory_limit_mb: int = MEMORY_LIMIT_MB,
        query_timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._side = SideReader(path, timeout_s=query_timeout_s)
        self.copier = Copier(path)
        self._database = _Database(
            path,
            address_of=address_of,
            memory_limit_mb=memory_limit_mb,
            sides=(self._side, self.copier.reader),
        )
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
        self._side.start()
        self.copier.reader.start()
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
        self._side.stop()
        self.copier.reader.stop()
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
        return await self.read(load_state)

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
        return await self.read(status_of)

    async def find_transaction(self, txid: Txid) -> StoredTransaction:
        """Return a transaction and what was said about it, read beside the writer.

        Raises:
            UnknownTransaction: it is not there, or was kept without its inputs and outputs.
            StoreError: the database cannot be read.
        """
        return await self.query(lambda cursor: find_transaction(cursor, txid))

    async def record_labels(self, book: LabelBook, at: UnixMicros) -> None:
        """Record the label set that is used, as far as it differs from the one before.

        Many small transactions, between which signals are committed. When it is broken off, the claims it
        recorded are taken up by the next call, and no label set names them before all are there.

        Args:
            book: the label set.
            at: from when it is used.

        Raises:
            StoreFull: transient; try again when there is room.
            StoreError: the database cannot be written.
        """
        if await self.read(current_version) == book.version:
            return
        left = await self.read(read_believed_ids)
        begun_at = await self.read(lambda cursor: next_instant(cursor, at))
        labels = iter(book)
        while await self.write(lambda connection: write_new(connection, labels, left, begun_at)):
            pass
        for page in in_pages(left):
            await self.write(partial(write_ended, claim_ids=page, at=begun_at))
        await self.write(lambda connection: write_set(connection, book, begun_at))

    async def load_label_set(self, version: str) -> LabelBook | None:
        """Return a label set as it was used, read beside the writer; None when it was never recorded."""
        return await self.read(lambda cursor: read_label_set(cursor, version))

    async def query_forecasts(self, days: float) -> StoredForecasts:
        """Return the newest forecasts of the last days that were stored, read beside the writer."""
        return await self.query(lambda cursor: forecasts_of(cursor, days, FORECASTS_AT_MOST))

    async def query_days(self, days: float) -> tuple[AccuracyDay, ...]:
        """Return how predictions turned out on the last days, read beside the writer."""
        return await self.query(lambda cursor: days_of(cursor, days))

    async def query_window(self, since: UnixMicros, is_simulated: bool) -> WindowCounts:  # noqa: FBT001 -- a port
        """Return how confirmations since an instant kept to P90, read beside the writer."""
        return await self.read(lambda cursor: count_window(cursor, since, is_simulated=is_simulated))

    async def query_record(self, since: int, limit: int) -> RecordPage:
        """Return entries of the record after an index, at most so many, read beside the writer."""
        return await self.query(lambda cursor: read_page(cursor, since, limit))

    async def read(self, query: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Return what a query finds in one state of the database, read beside the writer.

        Raises:
            StoreError: the database cannot be read.
        """
        return await self._run(self._reader, lambda: self._database.read(query))

    async def query(self, ask: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Return what a stranger's question finds: beside everything of ours, and within a time limit.

        Raises:
            QueryTooSlow: it took too long, or too many waited.
            StoreError: the database cannot be read.
        """
        return await self._side.query(ask)

    async def write(self, change: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Make a change that is no entry, in a transaction of its own; what it returns.

        Whoever makes many keeps each short and pauses between them: signals wait meanwhile.

        Raises:
            StoreFull: transient; try again when there is room.
            StoreError: the database cannot be written.
        """
        return await self._run(self._writer, lambda: self._database.write(change))

    async def ping(self) -> None:
        """Return when the writer has nothing before it: it never does while it is stuck."""
        await self._run(self._writer, lambda: None)

    async def limit_memory(self, limit_mb: int | None = None) -> bool:
        """Let DuckDB use less until further notice; return whether that changed anything.

        Args:
            limit_mb: in MB; never more than was set. None: as much as was set.

        Raises:
            StoreError: what is in use does not fit.
        """
        return await self._run(self._writer, lambda: self._database.limit_memory(limit_mb))

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def questions_waiting(self) -> int:
        """Questions of strangers that are under way or wait."""
        return self._side.waiting_count

    async def query_gaps(self, period: GapPeriod) -> StoredGaps:
        """Return when sources were blind and what was mined meanwhile, read beside the writer."""
        return await self.query(lambda cursor: gaps_of(cursor, period))

    async def _run(self, thread: ThreadPoolExecutor | None, work: Callable[[], T]) -> T:
        if thread is None:
            raise StoreClosed(
                f"{self._path} is not open: open the store first, and use it before it is closed"
            )
        return await asyncio.get_running_loop().run_in_executor(thread, work)


class _Database:
    """The file, its two connections, and what the writer remembers between batches. Every method blocks.

    One thread calls `open`, `commit` and `close`; another may call `read` at any time.
    """

    def __init__(
        self, path: Path, *, address_of: AddressOf, memory_limit_mb: int, sides: Sequence[SideReader]
    ) -> None:
        self._path = path
        self._sides = sides
        self._address_of = address_of
        self._memory_limit_mb = self._used_limit_mb = memory_limit_mb
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._cursor_in_use = threading.Lock()
        self._statements: dict[str, duckdb.Statement] = {}
        self._last_seq = 0
        self._last_hash = GENESIS
        self._ids = KnownIds(())
        self._learned = KnownIds(())

    def open(self) -> None:
        connection = open_database(self._path, memory_limit_mb=self._memory_limit_mb)
        self._used_limit_mb = self._memory_limit_mb
        try:
            with translated_errors(self._path):
                newest = connection.execute(
                    "SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1"
                ).fetchall()
                self._ids = KnownIds(read_column(connection, "mempool_predictions", "prediction_id"))
                self._learned = KnownIds(read_column(connection, "learned_scripts", "script"))
                self._cursor = connection.cursor()
                for side in self._sides:
                    side.sit_down(connection)
                connection.execute("PRAGMA disable_optimizer")  # see _optimised
        except BaseException:
            connection.close()
            raise
        self._last_seq, self._last_hash = newest[0] if newest else (0, GENESIS)
        self._statements = {}
        self._connection = connection

    def close(self) -> None:
        connections = [c for c in (self._cursor, self._connection) if c is not None]
        for side in self._sides:
            side.get_up()
        with self._cursor_in_use, translated_errors(self._path):
            self._cursor = self._connection = None
            for connection in connections:
                connection.close()

    def read(self, query: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        with self._cursor_in_use, translated_errors(self._path):
            if self._cursor is None:
                raise StoreClosed(f"{self._path} was closed after an error; the next write opens it again")
            self._cursor.begin()  # so that all statements of a query see one state
            try:
                return query(self._cursor)
            finally:
                with suppress(duckdb.Error):  # a statement that failed may have ended it
                    self._cursor.rollback()

    def write(self, change: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Make a change that is no entry, in a transaction of its own."""
        if self._connection is None:
            self.open()
        assert self._connection is not None
        connection = self._connection
        with translated_errors(self._path):
            try:
                with _optimised(connection):
                    connection.begin()
                    try:
                        result = change(connection)
                        connection.commit()
                    except BaseException:
                        with suppress(duckdb.Error):  # a COMMIT that failed has ended the transaction already
                            connection.rollback()
                        raise
            except duckdb.FatalException:
                self._reopen()
                raise
        return result

    def limit_memory(self, limit_mb: int | None) -> bool:
        wanted_mb = self._memory_limit_mb if limit_mb is None else min(limit_mb, self._memory_limit_mb)
        if self._connection is None:
            self.open()
        assert self._connection is not None
        if wanted_mb == self._used_limit_mb:
            return False
        with translated_errors(self._path):
            self._connection.execute(f"SET GLOBAL memory_limit = '{wanted_mb}MB'")
        self._used_limit_mb = wanted_mb
        return True

    def commit(self, entries: Sequence[Entry]) -> None:
        if self._connection is None:
            self.open()
        assert self._connection is not None
        with translated_errors(self._path):
            try:
                self._commit(self._connection, entries)
            except duckdb.FatalException:
                self._reopen()
                raise

    def _reopen(self) -> None:
        """Replace connections that DuckDB declared dead, as when a checkpoint finds the disk full."""
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
                raise ValueError(
                    f"expected record entry {last_seq + 1}, found {publication.seq} in the batch"
                )
            entry = _entry_of_publication(publication, last_hash)
            last_seq, last_hash = entry.seq, entry.hash
            record.append(_row_of_entry(entry))
        batch = self._plan(connection, entries)
        connection.begin()
        try:
            if batch.updated or batch.reopened:
                with _optimised(connection):
                    self._change(connection, batch)
            self._add(connection, batch)
            self._insert(connection, "record", record)
            connection.commit()
        except BaseException:
            with suppress(duckdb.Error):  # a COMMIT that failed has ended the transaction already
                connection.rollback()
            raise
        self._last_seq, self._last_hash = last_seq, last_hash
        for prediction_id, _ in batch.inserted:
            self._ids.add(prediction_id)
        for row in batch.learned:
            if row["script"] not in self._learned:
                self._learned.add(row["script"])

    def _plan(self, connection: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> Batch:
        """Work out what the entries change. Nobody else writes, so what is read here stays true."""
        keys = {key for key in touched_keys(entries) if key[0] in self._ids}
        stored: dict[Key, Row] = {}
        taken: Collection[str] = ()
        if keys:
            with _optimised(connection):
                stored = _read_rows(connection, keys)
                missing = {prediction_id for prediction_id, _ in keys - stored.keys()}
                taken = _read_taken(connection, missing) if missing else ()
        batch = Batch(self._address_of, stored, taken)
        for entry in entries:
            batch.add(entry)
        return batch

    def _change(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
        self._update(connection, batch.updated)
        for prediction_id in batch.reopened:
            connection.execute("DELETE FROM prediction_outcomes WHERE prediction_id = ?", [prediction_id])

    def _add(self, connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
        self._insert(connection, "mempool_predictions", batch.inserted.values())
        self._insert(connection, "prediction_outcomes", batch.ended.values())
        self._insert(connection, "amendments", batch.amendments)
        fresh = {row["script"]: row for row in batch.learned if row["script"] not in self._learned}
        self._insert(connection, "learned_scripts", fresh.values())
        for gap in batch.gaps:
            connection.execute(_INSERT_GAP, gap)
        for block in batch.blocks:
            write_block(connection, block)
        for market in batch.markets:
            connection.execute(_INSERT_MARKET, market)
        for model in batch.models:
            connection.execute(_INSERT_MODEL, model)

    def _insert(self, connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Row]) -> None:
        """Insert rows: a few by a statement each, many by an appender, which is 15 times faster for 100."""
        for columns, same in _by_columns(rows).items():
            if len(same) > _STATEMENTS_AT_MOST:
                with connection.appender(table, columns=list(columns)) as appender:
                    appender.append_rows(same)
                continue
            marks = ", ".join("?" * len(columns))
            sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608  our own names
            for row in same:
                connection.execute(self._prepared(connection, sql), row)

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


@contextmanager
def _optimised(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Plan with the optimiser: without it a look-up by key scans the table.

    The writer does without it else: the INSERT that an alert waits for is planned in two thirds of the time.
    """
    connection.execute("PRAGMA enable_optimizer")
    try:
        yield
    finally:
        connection.execute("PRAGMA disable_optimizer")


def _entry_of_publication(publication: Publication, previous: bytes) -> RecordEntry:
    kind, recorded_at, prediction_id = describe_effect(publication.effect)
    return next_entry(
        previous, publication.seq, recorded_at, kind, prediction_id, message=publication.message
    )


def _row_of_entry(entry: RecordEntry) -> Row:
    return {
        "seq": entry.seq,
        "recorded_at": timestamp(entry.recorded_at),
        "kind": entry.kind,
        "prediction_id": entry.prediction_id,
        "message": None if entry.message is None else entry.message.decode(),
        "digest": entry.digest,
        "hash": entry.hash,
    }


def _by_columns(rows: Iterable[Row]) -> dict[tuple[str, ...], list[list[Value]]]:
    """Return the values of rows, grouped by which columns they have."""
    groups: dict[tuple[str, ...], list[list[Value]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row)].append(list(row.values()))
    return groups


def _read_rows(connection: duckdb.DuckDBPyConnection, keys: Collection[Key]) -> dict[Key, Row]:
    """Return those rows that exist, as far as `Batch` needs them."""
    times = [timestamp(detected_at) for _, detected_at in keys]
    rows = fetch_rows(
        connection.execute(
            f"""
            SELECT prediction_id, detection_timestamp, {", ".join((*KEPT_COLUMNS, *CLAIM_COLUMNS))}
            FROM mempool_predictions
            WHERE detection_timestamp BETWEEN ? AND ? AND prediction_id IN (SELECT unnest(?::TEXT[]))
            """,  # noqa: S608  our own names
            [min(times), max(times), [prediction_id for prediction_id, _ in keys]],
        )
    )
    found = {(row["prediction_id"], micros_from_datetime(row["detection_timestamp"])): row for row in rows}
    return {key: found[key] for key in keys if key in found}


def _read_taken(connection: duckdb.DuckDBPyConnection, prediction_ids: Collection[str]) -> set[str]:
    """Return those of some ids that are in the table. Scans it."""
    rows = connection.execute(
        "SELECT prediction_id FROM mempool_predictions WHERE prediction_id IN (SELECT unnest(?::TEXT[]))",
        [list(prediction_ids)],
    ).fetchall()
    return {prediction_id for (prediction_id,) in rows}
