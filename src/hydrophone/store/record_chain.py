"""The table `record`: its entries read by the page or by prediction, and chained anew by a migration."""

from collections.abc import Collection, Iterator
from typing import Any, Final

import duckdb

from hydrophone.domain.record import (
    GENESIS,
    RecordEntry,
    RecordPage,
    digest_of,
    next_entry,
)
from hydrophone.domain.units import UnixMicros, datetime_from_micros

_PAGE: Final = 1000
"""# chosen: entries read at once while the chain is checked: about 2 MB."""
_FORMER_HASH_COVERED: Final = 8
"""Bytes of the index in what a hash covered before migration 5."""

_ALERTS: Final = """
    SELECT prediction_id, message FROM record
    WHERE kind IN ('signal', 'amendment') AND message IS NOT NULL AND prediction_id IN ({which}) ORDER BY seq
"""
_ARE_OPEN: Final = "SELECT prediction_id FROM mempool_predictions WHERE status IN ('pending', 'in_doubt')"
_ARE_LISTED: Final = "SELECT unnest(?::TEXT[])"

_ENTRIES: Final = """
    SELECT seq, epoch_us(recorded_at), kind, prediction_id, digest, hash, message FROM record
    WHERE seq BETWEEN ? AND ? ORDER BY seq
"""


def read_entries(connection: duckdb.DuckDBPyConnection) -> Iterator[RecordEntry]:
    """Yield all entries in order, whatever their indices; a page at a time, as memory may not hold them."""
    first = _next_seq(connection, None)
    while first is not None:
        page = connection.execute(_ENTRIES, [first, first + _PAGE - 1]).fetchall()
        yield from map(_entry_of, page)
        last = first + _PAGE - 1
        first = last + 1 if len(page) >= _PAGE else _next_seq(connection, last)


def read_range(connection: duckdb.DuckDBPyConnection, first: int, last: int) -> list[RecordEntry]:
    """Return the entries from one index to another, as far as there are any."""
    return [_entry_of(row) for row in connection.execute(_ENTRIES, [first, last]).fetchall()]


def read_page(connection: duckdb.DuckDBPyConnection, since: int, limit: int) -> RecordPage:
    """Return entries after an index, and the head.

    Args:
        connection: to read by, in one transaction.
        since: index of the last entry that is not wanted; 0: from the first.
        limit: at most so many.
    """
    first = _next_seq(connection, since)  # usually the next one; whoever looks for a hole has to see it
    rows = [] if first is None else connection.execute(_ENTRIES, [first, first + limit - 1]).fetchall()
    heads = connection.execute("SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1").fetchall()
    head_seq, head_hash = heads[0] if heads else (0, GENESIS)
    return RecordPage(tuple(map(_entry_of, rows)), head_seq, head_hash)


def read_alerts(
    connection: duckdb.DuckDBPyConnection, prediction_ids: Collection[str] | None
) -> dict[str, list[bytes]]:
    """Return alerts and amendments by prediction, in order, as far as their contents are kept.

    Args:
        connection: to read by.
        prediction_ids: of these; None: of all that are open.
    """
    if prediction_ids is None:
        rows = connection.execute(_ALERTS.format(which=_ARE_OPEN)).fetchall()
    else:
        rows = connection.execute(_ALERTS.format(which=_ARE_LISTED), [list(prediction_ids)]).fetchall()
    alerts: dict[str, list[bytes]] = {}
    for prediction_id, message in rows:
        alerts.setdefault(prediction_id, []).append(message.encode())
    return alerts


def _next_seq(connection: duckdb.DuckDBPyConnection, after: int | None) -> int | None:
    """Return the least index after another one; None: there is none."""
    query, values = ("SELECT min(seq) FROM record", [])
    if after is not None:
        query, values = "SELECT min(seq) FROM record WHERE seq > ?", [after]
    [(seq,)] = connection.execute(query, values).fetchall()
    return None if seq is None else int(seq)


def _entry_of(row: tuple[Any, ...]) -> RecordEntry:
    seq, recorded_at, kind, prediction_id, digest, entry_hash, message = row
    said = None if message is None else message.encode()
    return RecordEntry(seq, UnixMicros(recorded_at), kind, prediction_id, digest, entry_hash, said)


def chain_anew(connection: duckdb.DuckDBPyConnection) -> None:
    """Fill `record` from `former_record`, whose hashes covered less, and drop that.

    From the first entry on whose former hash does not follow, the former hashes are kept: they do not
    follow by the new rule either, so nobody can launder a change by a migration.

    Args:
        connection: within the transaction of migration 5.
    """
    former = new = GENESIS
    is_whole = True
    [(last_seq,)] = connection.execute("SELECT coalesce(max(seq), 0) FROM former_record").fetchall()
    for first in range(1, last_seq + 1, _PAGE):
        rows = connection.execute(
            "SELECT seq, epoch_us(recorded_at), kind, prediction_id, message, hash FROM former_record "
            "WHERE seq BETWEEN ? AND ? ORDER BY seq",
            [first, first + _PAGE - 1],
        ).fetchall()
        with connection.appender("record") as appender:
            for seq, recorded_at, kind, prediction_id, message, former_hash in rows:
                said = message.encode()
                number = seq.to_bytes(_FORMER_HASH_COVERED, "big")
                former_due = digest_of(former + number + said)
                is_whole = is_whole and former_hash == former_due
                entry = next_entry(new, seq, UnixMicros(recorded_at), kind, prediction_id, message=said)
                former, new = former_hash, entry.hash if is_whole else former_hash
                when = datetime_from_micros(entry.recorded_at).replace(tzinfo=None)
                appender.append_row(seq, when, kind, prediction_id, message, entry.digest, new)
    connection.execute("DROP TABLE former_record")
