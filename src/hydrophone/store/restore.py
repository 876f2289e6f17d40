"""Putting a copy in the place of the database, while no service runs."""

import os
import shutil
from contextlib import closing, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb

from hydrophone.errors import StoreError, StoreLocked, StoreMismatch
from hydrophone.store.backup import being_written, settle, sync_to_disk
from hydrophone.store.schema import (
    check_database,
    migrate,
    reading,
    schema_version,
    status_of,
    translated_errors,
)


class Restored(NamedTuple):
    """What a restoration did.

    Attributes:
        prediction_count: predictions in the database now.
        last_seq: newest entry of its record; 0: there is none.
        kept: where the former database is now; None: there was none.
    """

    prediction_count: int
    last_seq: int
    kept: Path | None


def restore(path: Path, copy: Path, now: datetime) -> Restored:
    """Put a copy in the place of the database, brought to the newest schema; the copy stays as it is.

    Everything is done beside the database first, and checked; that takes its place in one step. Whatever
    fails before leaves all as it was.

    Args:
        path: of the database; nothing need be there.
        copy: a database of ours that nobody has open.
        now: by which the former database is called.

    Raises:
        StoreLocked: a service has the database open, or somebody the copy.
        StoreMismatch: the copy is damaged, none of ours, newer than this code, or does not check.
        StoreError: there is no copy, or the disk refuses.
    """
    if not copy.is_file():
        raise StoreError(f"there is no copy at {copy}: name a file that `hydrophone db backup FILE` wrote")
    if path.exists() and path.samefile(copy):
        raise StoreError(f"{copy} is the database itself: name a file that `hydrophone db backup FILE` wrote")
    with reading(copy):
        pass  # nobody has it open
    log = Path(f"{path}.wal")
    former = path.with_name(f"{path.name}.before-{now:%Y%m%dT%H%M%SZ}")
    kept = former if path.exists() else None
    prepared = path.with_name(f".{path.name}.restored")
    with _held(path):
        prepared.unlink(missing_ok=True)
        try:
            with being_written(prepared, copy.stat().st_size) as (unfinished, _):
                shutil.copyfile(copy, unfinished)
                if (wal := Path(f"{copy}.wal")).exists():  # of a database that was not closed
                    shutil.copyfile(wal, f"{unfinished}.wal")
                counts = _checked(unfinished, copy)
                _hand_over(unfinished, path)
                settle(unfinished, prepared)
            if kept is not None:
                os.link(path, kept)
            if log.exists():  # of a database that is damaged or gone: the restored one would not open with it
                log.replace(f"{former}.wal")
            prepared.replace(path)
            sync_to_disk(path.parent)
        except OSError as error:
            raise StoreError(f"cannot write beside {path}: {error.strerror}: make room") from error
        finally:
            with suppress(OSError):
                prepared.unlink(missing_ok=True)
    return Restored(*counts, kept)


def _hand_over(unfinished: Path, path: Path) -> None:
    """Give a file the owner of the database, or of its folder: root may restore it for a service."""
    former = path.stat() if path.exists() else None
    owner = former or path.parent.stat()
    if former is not None:
        unfinished.chmod(former.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(unfinished, owner.st_uid, owner.st_gid)


def _held(path: Path) -> closing[duckdb.DuckDBPyConnection] | nullcontext[None]:
    """Return a context in which no service can open the database.

    Raises:
        StoreLocked: one has.
    """
    if not path.exists():
        return nullcontext()
    try:
        with translated_errors(path):
            connection = duckdb.connect(path)
            connection.execute("CHECKPOINT")  # so that nothing of it is left in its log
            return closing(connection)
    except StoreLocked as error:
        raise StoreLocked(f"{error}; nothing was restored") from error
    except StoreError:
        return nullcontext()  # it is damaged, which is why somebody restores a copy


def _checked(unfinished: Path, copy: Path) -> tuple[int, int]:
    """Bring a copied file to the newest schema and look it over; return predictions and newest entry.

    Raises:
        StoreMismatch: it is not sound.
    """
    try:
        with translated_errors(copy), closing(duckdb.connect(unfinished, read_only=True)) as connection:
            if schema_version(connection) == 0:
                raise StoreMismatch(f"expected a database of ours in {copy}, found another")
        migrate(unfinished)
        findings = check_database(unfinished)
    except StoreError as error:
        raise StoreMismatch(f"{copy} cannot be restored, and nothing was changed: {error}") from error
    if findings:
        raise StoreMismatch(f"{copy} is not sound, and nothing was changed: {'; '.join(findings)}")
    with translated_errors(copy), closing(duckdb.connect(unfinished)) as connection:
        status = status_of(connection)
        connection.execute("CHECKPOINT")
    return status.prediction_count, status.last_seq
