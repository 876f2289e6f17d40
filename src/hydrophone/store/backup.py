"""Copies of the database: written while it is in use, in one state of it, or from a file that nobody uses.

DuckDB copies from one database into another within a transaction, so a copy holds what was committed when it
began, and the writer goes on meanwhile. A copy gets its name when it is complete and on the disk.
"""

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import duckdb

from hydrophone.errors import QueryTooSlow, StoreError, StoreFull
from hydrophone.store.schema import reading, translated_errors
from hydrophone.store.side_reader import Cursor, SideReader

_SOURCE: Final = "hydrophone_original"
_COPY: Final = "hydrophone_copy"
"""What the databases are called meanwhile; files of ours have other names."""
_LEFT_FREE_BYTES: Final = 256 * 1024 * 1024
"""Of the disk a copy goes to. # chosen: the service may be on it too, and writes so much in weeks."""
_TIMEOUT_S: Final = 3_600.0
"""# chosen: at 60 MB a second this is 200 GB; a year of whales is two."""
_NICENESS: Final = 15
"""Of the copying thread alone, on Linux. # chosen: a fifteenth of the weight; a copy may take longer.

Sources: sched(7), setpriority(2): there a nice value belongs to a thread.
"""
_MEGA: Final = 1_000_000


class Copy(NamedTuple):
    """A copy that was written.

    Attributes:
        path: of the copy.
        size_bytes: of it.
        took_s: to write it.
        record_seq: newest entry of the record in it; 0: there is none.
        record_head: its hash, in hex; empty: there is none.
    """

    path: Path
    size_bytes: int
    took_s: float
    record_seq: int
    record_head: str


class Copier:
    """Copies a database that is open, one copy at a time, in a thread of its own.

    Args:
        path: of the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.reader = SideReader(path, timeout_s=_TIMEOUT_S, threads=1)
        self._is_busy = False

    async def copy_to(self, target: Path) -> Copy:
        """Write a copy.

        Args:
            target: an absolute path where nothing is.

        Raises:
            StoreFull: there is no room for it; nothing is left of it.
            StoreError: something is there, it cannot be written, or a copy is under way.
        """
        if self._is_busy:
            raise StoreError("a copy is being written already: wait for it")
        self._is_busy = True
        try:
            return await self.reader.query(lambda cursor: self._copy(cursor, target))
        except QueryTooSlow as error:
            raise StoreError(f"the copy to {target} was broken off: try again") from error
        finally:
            self._is_busy = False

    def _copy(self, cursor: Cursor, target: Path) -> Copy:
        _give_way()
        [(name,)] = cursor.execute("SELECT current_database()").fetchall()
        with being_written(target, _size_of(self._path)) as (unfinished, began):
            return _finish(_fill(cursor, name, unfinished), self._path, unfinished, target, began)


def _give_way() -> None:
    """Let this thread work when the event loop and the writer do not want the processor, where one can."""
    with suppress(OSError):
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def copy_file(path: Path, target: Path) -> Copy:
    """Copy a database that no service has open.

    Raises:
        StoreLocked: a service has it open.
        StoreFull: there is no room for it; nothing is left of it.
        StoreError: there is no such file, something is at the target, or it cannot be written.
    """
    with reading(path):
        pass  # it exists, is free, and is one of ours
    with being_written(target, _size_of(path)) as (unfinished, began):
        with closing(duckdb.connect(config={"threads": 1, "memory_limit": "256MB"})) as connection:
            connection.begin()
            connection.execute(f"ATTACH {_quoted(path)} AS {_SOURCE} (TYPE duckdb, READ_ONLY)")
            head = _fill(connection, _SOURCE, unfinished)
        return _finish(head, path, unfinished, target, began)


@contextmanager
def being_written(target: Path, size_bytes: int) -> Iterator[tuple[Path, float]]:
    """Yield where a file is to be written that is to be at `target`, and when that began; tidy up afterwards.

    Raises:
        StoreFull: there is no room for so many bytes.
        StoreError: something is at the target already, or its folder cannot be made.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target):
            raise StoreError(f"{target} exists already, and nothing is overwritten: name another file")
        free_bytes = shutil.disk_usage(target.parent).free
    except OSError as error:
        raise StoreError(f"cannot write to {target.parent}: {error.strerror}: name another place") from error
    wanted_bytes = size_bytes + _LEFT_FREE_BYTES
    if free_bytes < wanted_bytes:
        raise StoreFull(
            f"expected {wanted_bytes // _MEGA} MB free for {target} and for what is written meanwhile, found "
            f"{free_bytes // _MEGA} MB: make room, or name another disk"
        )
    unfinished = target.with_name(f".{target.name}.unfinished")
    leftovers = (unfinished, Path(f"{unfinished}.wal"))
    try:
        for file in leftovers:
            file.unlink(missing_ok=True)
        with translated_errors(target):
            yield unfinished, time.monotonic()
    except OSError as error:
        raise StoreError(f"cannot write {target}: {error.strerror}: name another place") from error
    finally:
        for file in leftovers:
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _fill(cursor: Cursor, name: str, unfinished: Path) -> tuple[int, str]:
    """Copy a database, within the transaction that is open, and end that; return the head of its record."""
    cursor.execute(f"ATTACH {_quoted(unfinished)} AS {_COPY} (TYPE duckdb)")
    try:
        quoted = name.replace('"', '""')
        cursor.execute(f'COPY FROM DATABASE "{quoted}" TO {_COPY}')
        heads = cursor.execute(
            f"SELECT seq, lower(hex(hash)) FROM {_COPY}.main.record ORDER BY seq DESC LIMIT 1"  # noqa: S608  our own name
        ).fetchall()
        cursor.commit()
        cursor.execute(f"CHECKPOINT {_COPY}")  # so that all of it is in the one file
    except BaseException:
        with suppress(duckdb.Error):  # a statement that failed may have ended it
            cursor.rollback()
        raise
    finally:
        with suppress(duckdb.Error):  # what was attached within a transaction goes with it
            cursor.execute(f"DETACH {_COPY}")
    return heads[0] if heads else (0, "")


def _finish(head: tuple[int, str], path: Path, unfinished: Path, target: Path, began: float) -> Copy:
    unfinished.chmod(path.stat().st_mode & 0o777)
    settle(unfinished, target)
    return Copy(target, target.stat().st_size, time.monotonic() - began, *head)


def settle(unfinished: Path, target: Path) -> None:
    """Give a complete file its name, where nothing is; afterwards both survive a power cut.

    Raises:
        StoreError: something is there by now.
        OSError: the disk refuses.
    """
    sync_to_disk(unfinished)
    try:
        os.link(unfinished, target)  # unlike a renaming, it never replaces what is there
    except FileExistsError as error:
        raise StoreError(f"{target} exists by now, and nothing is overwritten: name another file") from error
    unfinished.unlink()
    sync_to_disk(target.parent)


def sync_to_disk(path: Path) -> None:
    """Return when a file, or the names in a folder, would survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _size_of(path: Path) -> int:
    """Return bytes of a database and of its log."""
    log = Path(f"{path}.wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
