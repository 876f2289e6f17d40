"""Reads how often what was first said of a flow is still said: amendments are how it turns out otherwise."""

from typing import Final, NamedTuple

import duckdb

_PERIOD: Final = """
    detection_timestamp >= (SELECT max(detection_timestamp) FROM mempool_predictions) - to_seconds(?)
"""
_AMENDED: Final = f"""
    WITH first AS (
        SELECT prediction_id, arg_min(before ->> 'flow_type', amended_at) AS said FROM amendments
        WHERE before ->> 'flow_type' IS NOT NULL GROUP BY prediction_id
    )
    SELECT said, flow_type, count(*) FROM first JOIN mempool_predictions USING (prediction_id)
    WHERE {_PERIOD} GROUP BY ALL ORDER BY ALL
"""  # noqa: S608 -- our own words
_NOW: Final = f"""
    SELECT flow_type, count(*) FROM mempool_predictions WHERE {_PERIOD} GROUP BY ALL ORDER BY ALL
"""  # noqa: S608 -- our own words
_S_PER_DAY: Final = 86_400


class FlowCount(NamedTuple):
    """So many predictions: what their flow was first said to be, and what it is said to be now."""

    said: str
    now: str
    n: int


def count_flows(connection: duckdb.DuckDBPyConnection, days: float) -> list[FlowCount]:
    """Return how flows were first said and are said now.

    Args:
        connection: to read by, in one transaction.
        days: before the newest.
    """
    seconds = days * _S_PER_DAY
    amended = [FlowCount(*row) for row in connection.execute(_AMENDED, [seconds]).fetchall()]
    counts = {(said, now): n for said, now, n in amended}
    for flow_type, n in connection.execute(_NOW, [seconds]).fetchall():
        stayed = n - sum(count.n for count in amended if count.now == flow_type)
        counts[flow_type, flow_type] = counts.get((flow_type, flow_type), 0) + stayed
    return [FlowCount(said, now, n) for (said, now), n in sorted(counts.items()) if n > 0]
