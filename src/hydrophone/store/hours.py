"""Counts by hour: what was predicted, and what exchanges received and sent. Counted anew where it changed.

Grouping 200,000 predictions by the exchanges in their JSON takes a quarter of a second; the hours of ninety
days are read in a few milliseconds. Which hours changed is told by the record, where every change of a
prediction is an entry.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from math import inf
from typing import Any, Final, NamedTuple

import duckdb

from hydrophone.errors import QueryTooSlow
from hydrophone.store.duckdb_store import DuckDbStore

_HOURS_AT_ONCE: Final = 24
"""# chosen: a day of 2,200 whales is counted in some milliseconds, for which a signal may wait."""
_ENTRIES_AT_ONCE: Final = 20_000
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)

_CHANGED: Final = """
    SELECT DISTINCT date_trunc('hour', p.detection_timestamp) FROM record r
    JOIN mempool_predictions p USING (prediction_id)
    WHERE r.seq > ? AND r.seq <= ? ORDER BY 1
"""
_COUNT_PREDICTIONS: Final = """
    INSERT INTO prediction_hours
    SELECT date_trunc('hour', detection_timestamp), coalesce(simulated, FALSE), flow_type, count(*),
        count(*) FILTER (coalesce(status, 'pending') NOT IN ('confirmed', 'replaced', 'dropped')),
        count(*) FILTER (status = 'confirmed'),
        count(*) FILTER (status = 'replaced'),
        count(*) FILTER (status = 'dropped'),
        coalesce(sum(gross_sat), 0), coalesce(sum(moved_sat), 0), coalesce(sum(inflow_sat), 0),
        coalesce(sum(outflow_sat), 0), coalesce(sum(fee_sat), 0)
    FROM mempool_predictions WHERE detection_timestamp >= ? AND detection_timestamp < ?
    GROUP BY ALL
"""
_LEDGER: Final = '{"certain_sat":"BIGINT","likely_sat":"BIGINT","unknown_sat":"BIGINT"}'
_COUNT_EXCHANGES: Final = f"""
    INSERT INTO exchange_hours
    SELECT hour, e.name, simulated, coalesce(sum(e.net_sat), 0),
        count(*) FILTER (e.in_sat > 0),
        coalesce(sum(e.received.certain_sat), 0), coalesce(sum(e.received.likely_sat), 0),
        coalesce(sum(e.received.unknown_sat), 0),
        count(*) FILTER (e.out_sat > 0),
        coalesce(sum(e.sent.certain_sat), 0), coalesce(sum(e.sent.likely_sat), 0),
        coalesce(sum(e.sent.unknown_sat), 0)
    FROM (
        SELECT date_trunc('hour', detection_timestamp) AS hour, coalesce(simulated, FALSE) AS simulated,
            unnest(from_json(entities, '[{{"name":"VARCHAR","in_sat":"BIGINT","out_sat":"BIGINT",
                "net_sat":"BIGINT","received":{_LEDGER},"sent":{_LEDGER}}}]')) AS e
        FROM mempool_predictions
        WHERE detection_timestamp >= ? AND detection_timestamp < ?
            AND coalesce(status, 'pending') NOT IN ('replaced', 'dropped')
    )
    WHERE e.name IS NOT NULL
    GROUP BY hour, e.name, simulated
"""  # noqa: S608 -- our own words


class _Due(NamedTuple):
    """What is to be counted.

    Attributes:
        seq: the entry of the record up to which `hours` are what changed.
        newest: entry there is.
        hours: that changed; the first time, the days there are.
        is_first: nothing was ever counted.
        is_new: there are entries that were not counted.
    """

    seq: int
    newest: int
    hours: list[datetime]
    is_first: bool
    is_new: bool


class StoredHours:
    """Keeps the counts as they have to be.

    Args:
        store: open.
        max_age_s: what is counted may be so old.
        now: seconds of a clock that never jumps.
    """

    def __init__(
        self, store: DuckDbStore, *, max_age_s: float = 5.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._max_age_s = max_age_s
        self._now = now
        self._fresh_until_s = -inf
        self._turn = asyncio.Lock()
        self._is_counted = False

    async def count_all(self) -> None:
        """Count what was never counted, a day at a time.

        Raises:
            StoreError: the database cannot be read or written.
        """
        async with self._turn:
            due = await self._store.query(_due_of)
            if due.is_first:
                for day in due.hours:
                    await self._store.write(lambda c, day=day: count_hours(c, day, day + _DAY))  # type: ignore[misc]
                await self._store.write(lambda c: note_counted(c, due.seq))
            self._is_counted = True

    async def refresh(self) -> None:
        """Count anew what changed since, unless that was done just now.

        Raises:
            QueryTooSlow: what is already there has not been counted yet.
            StoreError: the database cannot be read or written.
        """
        if not self._is_counted:
            raise QueryTooSlow("the history is being counted by the hour: ask again in a moment")
        if self._turn.locked() or self._now() < self._fresh_until_s:
            return  # somebody is at it: what is there is a moment old
        async with self._turn:
            newest = None
            while True:
                due = await self._store.query(_due_of)
                if due.is_first:  # somebody emptied the table
                    raise QueryTooSlow("the history is being counted by the hour: ask again in a moment")
                newest = due.newest if newest is None else newest  # what comes meanwhile is for the next time
                for first in range(0, len(due.hours), _HOURS_AT_ONCE):
                    hours = due.hours[first : first + _HOURS_AT_ONCE]
                    await self._store.write(lambda c, hours=hours: _count_each(c, hours))  # type: ignore[misc]
                if due.is_new:
                    await self._store.write(lambda c, seq=due.seq: note_counted(c, seq))  # type: ignore[misc]
                if due.seq >= newest:
                    break
            self._fresh_until_s = self._now() + self._max_age_s


def _counted_seq(connection: duckdb.DuckDBPyConnection) -> int:
    [(seq,)] = connection.execute("SELECT coalesce(max(seq), -1) FROM hours_counted").fetchall()
    return int(seq)


def _due_of(connection: duckdb.DuckDBPyConnection) -> _Due:
    counted = _counted_seq(connection)
    [(newest,)] = connection.execute("SELECT coalesce(max(seq), 0) FROM record").fetchall()
    if counted < 0:
        days = connection.execute(
            "SELECT DISTINCT date_trunc('day', detection_timestamp)::TIMESTAMP FROM mempool_predictions "
            "ORDER BY 1"
        ).fetchall()
        return _Due(newest, newest, [day for (day,) in days], is_first=True, is_new=True)
    if newest <= counted:
        return _Due(counted, counted, [], is_first=False, is_new=False)
    upto = min(newest, counted + _ENTRIES_AT_ONCE)
    hours = connection.execute(_CHANGED, [counted, upto]).fetchall()
    return _Due(upto, newest, [hour for (hour,) in hours], is_first=False, is_new=True)


def _count_each(connection: duckdb.DuckDBPyConnection, hours: Sequence[datetime]) -> None:
    for hour in hours:
        count_hours(connection, hour, hour + _HOUR)


def count_hours(connection: duckdb.DuckDBPyConnection, begin: datetime, end: datetime) -> None:
    """Count the hours of a period anew. One of which less is left than was counted keeps its counts.

    Args:
        connection: in a transaction.
        begin: of an hour, naive and in UTC.
        end: likewise; the hours before it.
    """
    period: list[Any] = [begin, end]
    [(left, counted)] = connection.execute(
        "SELECT (SELECT count(*) FROM mempool_predictions "
        "WHERE detection_timestamp >= $1 AND detection_timestamp < $2), "
        "(SELECT coalesce(sum(n), 0) FROM prediction_hours WHERE hour >= $1 AND hour < $2)",
        period,
    ).fetchall()
    if left < counted:
        return
    for table in ("prediction_hours", "exchange_hours"):
        connection.execute(f"DELETE FROM {table} WHERE hour >= ? AND hour < ?", period)  # noqa: S608  our own names
    connection.execute(_COUNT_PREDICTIONS, period)
    connection.execute(_COUNT_EXCHANGES, period)


def note_counted(connection: duckdb.DuckDBPyConnection, seq: int) -> None:
    """Note up to which entry of the record hours are counted.

    Args:
        connection: in a transaction.
        seq: of the entry.
    """
    connection.execute("DELETE FROM hours_counted")
    connection.execute("INSERT INTO hours_counted VALUES (?)", [seq])
