"""Questions of strangers to the database: beside the writer and its reader, few at a time, not for long."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import duckdb

from hydrophone.errors import QueryTooSlow, StoreClosed
from hydrophone.store.schema import translated_errors

T = TypeVar("T")

Cursor = duckdb.DuckDBPyConnection
"""What a question reads by."""

_THREADS: Final = 2
"""# chosen: one slow question leaves room for another; more would only share the same processor."""
MOST_WAITING: Final = 64
"""# chosen: at some milliseconds each they are answered within a second; more are too many."""
TIMEOUT_S: Final = 5.0
"""# chosen: the slowest honest question takes a tenth of a second."""

_AGAIN_S: Final = 0.02
"""An interrupt that comes between two statements, or just before the first, is lost: so it is repeated."""


class _Seat:
    """The connection of one thread, and what it is doing."""

    def __init__(self) -> None:
        self.in_use = threading.Lock()
        self.cursor: duckdb.DuckDBPyConnection | None = None


class _Job:
    """One question, and whether it is to be broken off."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self.is_over = False

    def begin(self, cursor: duckdb.DuckDBPyConnection) -> bool:
        """Note by what it works; False: it is not to begin any more."""
        with self._guard:
            self._cursor = None if self.is_over else cursor
            return not self.is_over

    def end(self) -> None:
        """From here on the connection works for somebody else."""
        with self._guard:
            self._cursor = None

    def break_off(self) -> bool:
        """Interrupt it, and return whether it may still be working."""
        with self._guard:
            self.is_over = True
            if self._cursor is not None:
                self._cursor.interrupt()
            return self._cursor is not None


class SideReader:
    """Answers questions within a time limit, each in one state of the database.

    Args:
        path: of the database, for messages.
        timeout_s: a question that takes longer, waiting included, is broken off.
        threads: so many are answered at once.
    """

    def __init__(self, path: Path, *, timeout_s: float = TIMEOUT_S, threads: int = _THREADS) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._threads: ThreadPoolExecutor | None = None
        self._seats = tuple(_Seat() for _ in range(threads))
        self._free = list(self._seats)
        self._waiting = 0

    @property
    def waiting_count(self) -> int:
        """Questions that are under way or wait."""
        return self._waiting

    def sit_down(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Take connections of a database that was opened; blocks while questions are under way."""
        for seat in self._seats:
            with seat.in_use:
                seat.cursor = connection.cursor()

    def get_up(self) -> None:
        """Close the connections; what is under way is broken off."""
        for seat in self._seats:
            cursor = seat.cursor
            while not seat.in_use.acquire(timeout=_AGAIN_S):
                if cursor is not None:
                    with suppress(duckdb.Error):
                        cursor.interrupt()
            try:
                if seat.cursor is not None:
                    with suppress(duckdb.Error):
                        seat.cursor.close()
                seat.cursor = None
            finally:
                seat.in_use.release()

    def start(self) -> None:
        """Begin to answer."""
        self._threads = ThreadPoolExecutor(len(self._seats), thread_name_prefix="store-side")

    def stop(self) -> None:
        """Answer nothing any more."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    async def query(self, ask: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Return what a question finds.

        Args:
            ask: reads by a connection, in a thread of its own; it may spell what it found there too.

        Raises:
            QueryTooSlow: it took too long, or too many waited.
            StoreError: the database cannot be read.
        """
        if self._threads is None:
            raise StoreClosed(f"{self._path} is not open: open the store first")
        if self._waiting >= MOST_WAITING:
            raise QueryTooSlow(f"{MOST_WAITING} questions wait already: ask again in a moment")
        loop = asyncio.get_running_loop()
        job = _Job()

        def break_off() -> None:
            if job.break_off():
                loop.call_later(_AGAIN_S, break_off)

        timer = loop.call_later(self._timeout_s, break_off)
        self._waiting += 1
        try:
            return await loop.run_in_executor(self._threads, self._work, job, ask)
        except asyncio.CancelledError:
            break_off()
            raise
        finally:
            timer.cancel()
            self._waiting -= 1

    def _work(self, job: _Job, ask: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        seat = self._free.pop()  # there are as many as threads
        try:
            with seat.in_use, translated_errors(self._path):
                if seat.cursor is None:
                    raise StoreClosed(
                        f"{self._path} was closed after an error; the next write opens it again"
                    )
                return self._read(seat.cursor, job, ask)
        finally:
            self._free.append(seat)

    def _read(
        self, cursor: duckdb.DuckDBPyConnection, job: _Job, ask: Callable[[duckdb.DuckDBPyConnection], T]
    ) -> T:
        if not job.begin(cursor):
            raise self._too_slow()
        try:
            cursor.begin()  # so that all statements of a question see one state
            try:
                return ask(cursor)
            finally:
                job.end()
                with suppress(duckdb.Error):  # a statement that failed may have ended it
                    cursor.rollback()
        except duckdb.InterruptException as error:
            raise self._too_slow() from error

    def _too_slow(self) -> QueryTooSlow:
        return QueryTooSlow(f"the question took more than {self._timeout_s:g} s and was broken off")
