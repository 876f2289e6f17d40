"""How predictions turned out, by day: kept in `accuracy_daily`, also when they themselves are not."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

import duckdb

from hydrophone.domain.accuracy import AccuracyDay, WindowCounts
from hydrophone.domain.units import UnixMicros
from hydrophone.errors import StoreMismatch
from hydrophone.store.rows import timestamp
from hydrophone.store.schema import reading, schema_version

_SCHEMA_VERSION: Final = 5
"""The first that has the table."""
_UNSETTLED_DAYS: Final = 2
"""A reorg may take back an outcome of so many days ago. Sources: `saved_state._REORG_DAYS`."""

Key = tuple[date, bool]
"""A day, and whether it was simulated."""

_COLUMNS: Final = (
    "day, simulated, confirmed, replaced, dropped, scored, accuracy_score, "
    "p50_known, p50_met, p90_known, p90_met, median_lead_time_s"
)
_STORED: Final = f"SELECT {_COLUMNS} FROM accuracy_daily"  # noqa: S608  our own names
_COMPUTED: Final = """
    SELECT CAST(ended_at AS DATE), coalesce(simulated, FALSE),
        count(*) FILTER (actual_outcome = 'confirmed'),
        count(*) FILTER (actual_outcome = 'replaced'),
        count(*) FILTER (actual_outcome = 'dropped'),
        count(accuracy_score), avg(accuracy_score),
        count(within_p50), count(*) FILTER (within_p50),
        count(within_p90), count(*) FILTER (within_p90),
        median(lead_time_s)
    FROM prediction_outcomes
    WHERE ended_at >= coalesce((SELECT max(day) FROM accuracy_daily) - ?, TIMESTAMP '1970-01-01')
    GROUP BY ALL
"""


def due_days(
    connection: duckdb.DuckDBPyConnection, kept_from: UnixMicros | None
) -> dict[Key, AccuracyDay | None]:
    """Return the days that are not in the table as the outcomes tell them now; None: nothing is left of it.

    Args:
        connection: to read by.
        kept_from: what ended before may not be kept any more, so of such days a row that counts more is
            right; None: everything is kept.
    """
    stored = _by_key(connection.execute(_STORED).fetchall())
    computed = _by_key(connection.execute(_COMPUTED, [_UNSETTLED_DAYS]).fetchall())
    newest = max((day for day, _ in stored), default=None)
    first_kept = None if kept_from is None else timestamp(kept_from).date()
    due: dict[Key, AccuracyDay | None] = {}
    for key in stored.keys() | computed.keys():
        before, now = stored.get(key), computed.get(key)
        is_settled = newest is not None and (newest - key[0]).days > _UNSETTLED_DAYS
        is_kept = first_kept is None or key[0] >= first_kept
        has_grown = now is not None and (before is None or now.ended > before.ended)
        if before != now and not is_settled and (is_kept or has_grown):
            due[key] = now
    return due


def write_days(
    connection: duckdb.DuckDBPyConnection, due: Mapping[Key, AccuracyDay | None], at: UnixMicros
) -> None:
    """Put days into the table in place of what it has of them."""
    for (day, simulated), found in due.items():
        connection.execute("DELETE FROM accuracy_daily WHERE day = ? AND simulated = ?", [day, simulated])
        if found is not None:
            connection.execute(
                f"INSERT INTO accuracy_daily ({_COLUMNS}, computed_at) "  # noqa: S608  our own names
                f"VALUES ({', '.join('?' * 13)})",
                [
                    found.day,
                    found.simulated,
                    found.confirmed,
                    found.replaced,
                    found.dropped,
                    found.scored,
                    found.accuracy_score,
                    found.p50_known,
                    found.p50_met,
                    found.p90_known,
                    found.p90_met,
                    found.median_lead_time_s,
                    timestamp(at),
                ],
            )


def days_of(connection: duckdb.DuckDBPyConnection, days: float) -> tuple[AccuracyDay, ...]:
    """Return the last days, oldest first, also those that the table does not have yet.

    Args:
        connection: to read by.
        days: before the newest.
    """
    found = _by_key(connection.execute(_STORED).fetchall())
    for key, day in due_days(connection, None).items():
        if day is not None and (key not in found or day.ended >= found[key].ended):
            found[key] = day
    newest = max((day for day, _ in found), default=None)
    return tuple(found[key] for key in sorted(found) if newest is not None and (newest - key[0]).days < days)


def read_days(path: Path, days: float) -> tuple[AccuracyDay, ...]:
    """Return the last days of a database that no service has open.

    Raises:
        StoreError: there is no such file, or it cannot be read, or is older than the table.
    """
    with reading(path) as connection:
        version = schema_version(connection)
        if version < _SCHEMA_VERSION:
            raise StoreMismatch(
                f"{path} has schema version {version}, and days are kept from {_SCHEMA_VERSION} on: "
                "run `hydrophone db migrate`"
            )
        return days_of(connection, days)


def count_window(
    connection: duckdb.DuckDBPyConnection, since: UnixMicros, *, is_simulated: bool
) -> WindowCounts:
    """Return how the confirmations since an instant kept to P90.

    Args:
        connection: to read by.
        since: those heard from then on.
        is_simulated: those of a simulated mempool, or those of a real one.
    """
    [(known, met)] = connection.execute(
        "SELECT count(within_p90), count(*) FILTER (within_p90) FROM prediction_outcomes "
        "WHERE ended_at >= ? AND coalesce(simulated, FALSE) = ?",
        [timestamp(since), is_simulated],
    ).fetchall()
    return WindowCounts(known, met)


def _by_key(rows: list[tuple[Any, ...]]) -> dict[Key, AccuracyDay]:
    return {(day.day, day.simulated): day for day in (AccuracyDay(*row) for row in rows)}
