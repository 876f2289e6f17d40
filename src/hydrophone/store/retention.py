"""Removes what is older than the retention period, a little at a time.

What is due is found beside the writer; removing it is one short transaction of the writer, so that a signal
that waits behind it is not late. DuckDB returns no room to the file system, but what is freed is used again,
so the file stops growing (docs/performance.md has figures).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import duckdb

from hydrophone.domain.chain import KEPT
from hydrophone.domain.units import UnixMicros, micros_from_datetime
from hydrophone.store.rows import timestamp

_IS_FAR_BELOW: Final = f"height <= (SELECT max(height) FROM blocks) - {KEPT}"  # noqa: S608  our own number
_OPEN: Final = "('pending', 'in_doubt')"


class EndedPrediction(NamedTuple):
    """A prediction that may go; its times spare a scan of the tables."""

    prediction_id: str
    ended_at: datetime
    detected_at: datetime | None


def newest_instant(connection: duckdb.DuckDBPyConnection) -> UnixMicros | None:
    """Return when the newest thing that was said had been heard; None: nothing was."""
    [(newest,)] = connection.execute("SELECT max(recorded_at) FROM record").fetchall()
    return None if newest is None else micros_from_datetime(newest)


def find_predictions(
    connection: duckdb.DuckDBPyConnection, before: UnixMicros, limit: int
) -> list[EndedPrediction]:
    """Return predictions that ended before an instant and are not open again, the oldest first.

    Args:
        connection: to read by; it takes longer than a step may.
        before: the instant.
        limit: at most so many.
    """
    rows = connection.execute(
        f"""
        SELECT o.prediction_id, o.ended_at, p.detection_timestamp
        FROM prediction_outcomes o LEFT JOIN mempool_predictions p USING (prediction_id)
        WHERE o.ended_at < ? AND coalesce(p.status, '') NOT IN {_OPEN}
        ORDER BY o.ended_at, o.prediction_id LIMIT ?
        """,  # noqa: S608  our own words
        [timestamp(before), limit],
    ).fetchall()
    return [EndedPrediction(*row) for row in rows]


def drop_predictions(connection: duckdb.DuckDBPyConnection, ended: Sequence[EndedPrediction]) -> None:
    """Remove predictions with their outcomes and amendments, except such as are open again by now.

    Args:
        connection: in a transaction.
        ended: what `find_predictions` gave, or a part of it; one at least.
    """
    detected = [prediction.detected_at for prediction in ended if prediction.detected_at is not None]
    ids = [prediction.prediction_id for prediction in ended]
    if detected:
        between = [min(detected), max(detected)]
        is_one = "detection_timestamp BETWEEN ? AND ? AND prediction_id IN (SELECT unnest(?::TEXT[]))"
        reopened = set(
            _column(
                connection,
                f"SELECT prediction_id FROM mempool_predictions WHERE {is_one} AND status IN {_OPEN}",  # noqa: S608  our own words
                [*between, ids],
            )
        )
        ids = [prediction_id for prediction_id in ids if prediction_id not in reopened]
        connection.execute(f"DELETE FROM mempool_predictions WHERE {is_one}", [*between, ids])  # noqa: S608  our own words
    connection.execute(
        "DELETE FROM prediction_outcomes WHERE ended_at BETWEEN ? AND ? "
        "AND prediction_id IN (SELECT unnest(?::TEXT[]))",
        [min(p.ended_at for p in ended), max(p.ended_at for p in ended), ids],
    )
    connection.execute("DELETE FROM amendments WHERE prediction_id IN (SELECT unnest(?::TEXT[]))", [ids])


def find_contents(
    connection: duckdb.DuckDBPyConnection, before: UnixMicros, after_seq: int, limit: int
) -> list[int]:
    """Return the indices of record entries whose contents may go: old, and of no prediction that is kept.

    Args:
        connection: to read by; it takes longer than a step may.
        before: what was recorded before that instant is old.
        after_seq: entries after that index.
        limit: at most so many, in order.
    """
    return _column(
        connection,
        "SELECT seq FROM record r WHERE seq > ? AND recorded_at < ? AND message IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM mempool_predictions p WHERE p.prediction_id = r.prediction_id) "
        "ORDER BY seq LIMIT ?",
        [after_seq, timestamp(before), limit],
    )


def drop_contents(connection: duckdb.DuckDBPyConnection, seqs: Sequence[int]) -> None:
    """Remove what entries of the record said. Digest and hash stay, so the chain still verifies.

    Args:
        connection: in a transaction.
        seqs: their indices, in order; one at least.
    """
    connection.execute(
        "UPDATE record SET message = NULL WHERE seq BETWEEN ? AND ? AND seq IN (SELECT unnest(?::BIGINT[]))",
        [seqs[0], seqs[-1], list(seqs)],
    )


def drop_background(connection: duckdb.DuckDBPyConnection, before: UnixMicros, limit: int) -> int:
    """Remove markets, gaps, blocks and states of the model from before an instant; say how many.

    A state that a kept prediction names stays, and so does the newest, with which a restart goes on, and the
    newest blocks, by which it finds a reorg. What was learned about scripts stays: it is knowledge, not
    history.

    Args:
        connection: in a transaction.
        before: the instant.
        limit: at most so many of each kind, the oldest first.
    """
    count = 0
    for table, column, condition in (
        ("fee_market", "recorded_at", "TRUE"),
        ("source_gaps", "ended_at", "TRUE"),
        ("blocks", "heard_at", _IS_FAR_BELOW),
        (
            "model_state",
            "recorded_at",
            """rowid <> (SELECT max(rowid) FROM model_state) AND state_id NOT IN (
                SELECT model_state FROM mempool_predictions WHERE model_state IS NOT NULL
            )""",
        ),
    ):
        due = _column(
            connection,
            f"SELECT rowid FROM {table} WHERE {column} < ? AND {condition} ORDER BY {column} LIMIT ?",  # noqa: S608  our own names
            [timestamp(before), limit],
        )
        if due:
            connection.execute(
                f"DELETE FROM {table} WHERE rowid IN (SELECT unnest(?::BIGINT[]))",  # noqa: S608  our own names
                [due],
            )
        count += len(due)
    return count


def _column(connection: duckdb.DuckDBPyConnection, query: str, values: list[Any]) -> list[Any]:
    return [value for (value,) in connection.execute(query, values).fetchall()]
