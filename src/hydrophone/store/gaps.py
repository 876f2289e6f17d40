"""When which source was blind, and how many whales were mined unseen."""

from datetime import datetime
from typing import Final

import duckdb

from hydrophone.domain.units import UnixMicros, micros_from_datetime
from hydrophone.pipeline.ports import BlockCounts, GapPeriod, StoredGap, StoredGaps

_MOST_GAPS: Final = 1_000
"""Told one by one, the newest. # chosen: a source that comes and goes all day has more; totals count all."""
_CATCH_UP_S: Final = 60
"""Blocks told within it after a gap are the gap's too: they are those that were missed, or hold what was.
# chosen: blocks are asked for as soon as a source is back, and again within a minute where that failed."""

_FIRST_KNOWN: Final = """
    SELECT least(
        (SELECT min(started_at) FROM source_gaps),
        (SELECT min(heard_at) FROM blocks),
        make_timestamp($open_from::BIGINT)
    )
"""
_GAPS: Final = """
    WITH gaps AS (
        SELECT source, reason, started_at, ended_at, detail FROM source_gaps
        WHERE ended_at >= make_timestamp($begun_at) AND started_at <= make_timestamp($ended_at)
        ORDER BY ended_at DESC, started_at DESC
        LIMIT $most
    ), until AS (
        SELECT heard_at, count(*) OVER upto AS told, count(whales) OVER upto AS told_fully,
            coalesce(sum(whales) OVER upto, 0) AS whales, coalesce(sum(unseen) OVER upto, 0) AS unseen
        FROM blocks WINDOW upto AS (ORDER BY heard_at)
    )
    SELECT source, reason, started_at, ended_at, detail,
        coalesce(after.told, 0) - coalesce(before.told, 0),
        coalesce(after.told_fully, 0) - coalesce(before.told_fully, 0),
        coalesce(after.whales, 0) - coalesce(before.whales, 0),
        coalesce(after.unseen, 0) - coalesce(before.unseen, 0)
    FROM gaps
    ASOF LEFT JOIN until after ON ended_at + to_seconds($catch_up_s) >= after.heard_at
    ASOF LEFT JOIN until before ON started_at > before.heard_at
    ORDER BY ended_at DESC, started_at DESC, reason
"""
"""Blocks are counted up to each; a gap has the difference. Joining each with each took 75 ms for 90 days."""
_BLIND: Final = """
    WITH gaps AS (
        SELECT started_at, ended_at FROM source_gaps
        UNION ALL
        SELECT make_timestamp($open_from::BIGINT), make_timestamp($ended_at)
        WHERE $open_from::BIGINT IS NOT NULL
    ), clipped AS (
        SELECT greatest(started_at, make_timestamp($begun_at)) AS began,
            least(ended_at, make_timestamp($ended_at)) AS ended
        FROM gaps
        WHERE ended_at >= make_timestamp($begun_at) AND started_at <= make_timestamp($ended_at)
    ), ordered AS (
        SELECT began, ended, max(ended) OVER (
            ORDER BY began, ended ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS covered
        FROM clipped
    )
    SELECT count(*), coalesce(sum(greatest(0, epoch_us(ended) - epoch_us(
        CASE WHEN covered > began THEN covered ELSE began END
    ))), 0) / 1e6
    FROM ordered
"""
"""Of each gap only what no earlier one covers counts, so that none is counted twice."""
_BLOCKS: Final = """
    SELECT count(*), count(whales), coalesce(sum(whales), 0), coalesce(sum(unseen), 0) FROM blocks
    WHERE ours AND heard_at >= make_timestamp($begun_at) AND heard_at <= make_timestamp($ended_at)
"""


def gaps_of(connection: duckdb.DuckDBPyConnection, period: GapPeriod) -> StoredGaps:
    """Return the gaps that a connection sees.

    Args:
        connection: to read by.
        period: which of them, and the gap that is open.
    """
    ended_at, open_from = period.ended_at, period.open_from
    [(first,)] = connection.execute(_FIRST_KNOWN, {"open_from": open_from}).fetchall()
    begun_at = period.begun_at
    if first is not None:
        begun_at = max(begun_at, micros_from_datetime(first))
    bounds = {"begun_at": begun_at, "ended_at": ended_at}
    most = {"most": _MOST_GAPS, "catch_up_s": _CATCH_UP_S}
    rows = connection.execute(_GAPS, {**bounds, **most}).fetchall()
    [(gap_count, blind_s)] = connection.execute(_BLIND, {**bounds, "open_from": open_from}).fetchall()
    open_gap = None
    if open_from is not None:
        gap_count -= 1
        open_gap = _blocks_within(connection, open_from, ended_at)
    return StoredGaps(
        begun_at=begun_at if first is not None else ended_at,
        gaps=tuple(_gap(*row) for row in rows),
        gap_count=gap_count,
        blind_s=blind_s,
        blocks=_blocks_within(connection, begun_at, ended_at),
        blocks_of_open_gap=open_gap,
    )


def _blocks_within(
    connection: duckdb.DuckDBPyConnection, begun_at: UnixMicros, ended_at: UnixMicros
) -> BlockCounts:
    [counts] = connection.execute(_BLOCKS, {"begun_at": begun_at, "ended_at": ended_at}).fetchall()
    return BlockCounts(*counts)


def _gap(
    source: str,
    reason: str,
    started_at: datetime,
    ended_at: datetime,
    detail: str,
    *counts: int,
) -> StoredGap:
    return StoredGap(
        source,
        reason,
        micros_from_datetime(started_at),
        micros_from_datetime(ended_at),
        detail,
        BlockCounts(*counts),
    )
