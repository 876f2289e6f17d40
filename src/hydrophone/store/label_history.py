"""Which claims were believed when: the tables `label_sets` and `label_claims`.

Every function here blocks, and those that write do so in the transaction of their caller. What a book has in
common with the one before is not written again.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, Final

import duckdb

from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.units import UnixMicros, micros_from_datetime
from hydrophone.store.label_formats.rows import FIELDS
from hydrophone.store.rows import timestamp

CLAIMS_AT_ONCE: Final = 500
"""# chosen: claims looked at in one transaction: a signal that comes meanwhile waits some 10 ms."""

_FIELDS: Final = ("script", *FIELDS)
_COLUMNS: Final = ("claim_id", *_FIELDS, "recorded_from")


def current_version(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return the version of the label set that was used last; None before the first."""
    found = connection.execute("SELECT version FROM label_sets ORDER BY last_used_at DESC LIMIT 1").fetchall()
    return found[0][0] if found else None


def read_believed_ids(connection: duckdb.DuckDBPyConnection) -> set[int]:
    """Return the ids of the claims that are believed now."""
    connection.execute("SELECT claim_id FROM label_claims WHERE recorded_to IS NULL")
    found: set[int] = set()
    while page := connection.fetchmany(10_000):
        found.update(claim_id for (claim_id,) in page)
    return found


def next_instant(connection: duckdb.DuckDBPyConnection, at: UnixMicros) -> UnixMicros:
    """Return an instant not before another, and after everything recorded: a clock may have been set back."""
    [(newest,)] = connection.execute(
        """
        SELECT greatest(
            (SELECT max(last_used_at) FROM label_sets),
            (SELECT max(recorded_from) FROM label_claims),
            (SELECT max(recorded_to) FROM label_claims)
        )
        """
    ).fetchall()
    if newest is None:
        return at
    return max(at, micros_from_datetime(newest + timedelta(microseconds=1)))


def write_new(
    connection: duckdb.DuckDBPyConnection, labels: Iterator[Label], left: set[int], at: UnixMicros
) -> int:
    """Record the next claims as far as they are new; return how many were looked at.

    Args:
        connection: in a transaction.
        labels: some are taken.
        left: ids of claims believed before and not met again yet; those met are taken out.
        at: from when they are believed.
    """
    taken = list(islice(labels, CLAIMS_AT_ONCE))
    rows = []
    for label in taken:
        claim_id = label.claim_id
        if claim_id in left:
            left.discard(claim_id)
        else:
            rows.append(_row(claim_id, label, at))
    if rows:
        with connection.appender("label_claims", columns=list(_COLUMNS)) as appender:
            appender.append_rows(rows)
    return len(taken)


def write_ended(connection: duckdb.DuckDBPyConnection, claim_ids: Sequence[int], at: UnixMicros) -> None:
    """Record that claims are believed no more."""
    connection.execute(
        """
        UPDATE label_claims SET recorded_to = ?
        WHERE recorded_to IS NULL AND claim_id IN (SELECT unnest(?::UBIGINT[]))
        """,
        [timestamp(at), list(claim_ids)],
    )


def write_set(connection: duckdb.DuckDBPyConnection, book: LabelBook, at: UnixMicros) -> None:
    """Record that a label set is used, once all its claims are recorded."""
    moment = timestamp(at)
    known = connection.execute("SELECT 1 FROM label_sets WHERE version = ?", [book.version]).fetchall()
    if known:
        connection.execute("UPDATE label_sets SET last_used_at = ? WHERE version = ?", [moment, book.version])
        return
    connection.execute(
        "INSERT INTO label_sets (version, first_used_at, last_used_at, dated, claims, scripts) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        [book.version, moment, moment, book.on, len(book), book.script_count],
    )


def read_label_set(connection: duckdb.DuckDBPyConnection, version: str) -> LabelBook | None:
    """Return a label set as it was used; None when it was never recorded."""
    found = connection.execute(
        "SELECT first_used_at, dated FROM label_sets WHERE version = ?", [version]
    ).fetchall()
    if not found:
        return None
    first_used_at, dated = found[0]
    connection.execute(
        f"""
        SELECT {", ".join(_FIELDS)} FROM label_claims
        WHERE recorded_from <= ? AND (recorded_to IS NULL OR recorded_to > ?)
        """,  # noqa: S608  our own names
        [first_used_at, first_used_at],
    )
    return LabelBook(_read_labels(connection), on=dated)


def _read_labels(connection: duckdb.DuckDBPyConnection) -> Iterator[Label]:
    while page := connection.fetchmany(10_000):
        for script, entity, kind, role, *rest in page:
            yield Label(bytes(script), Entity(entity, EntityKind(kind)), Role(role), *rest)


def _row(claim_id: int, label: Label, at: UnixMicros) -> list[Any]:
    return [
        claim_id,
        label.script,
        label.entity.name,
        label.entity.kind.value,
        label.role.value,
        label.source,
        label.confidence,
        label.as_of,
        label.citation,
        label.source_url,
        label.licence,
        label.valid_from,
        label.valid_to,
        timestamp(at),
    ]


def in_pages(claim_ids: Iterable[int]) -> Iterator[list[int]]:
    """Yield ids, as many at once as one transaction should end."""
    ids = iter(claim_ids)
    while page := list(islice(ids, CLAIMS_AT_ONCE)):
        yield page
