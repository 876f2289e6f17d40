"""Reads how far labels reach: on how many whales they gave a direction."""

from typing import Final

import duckdb

_SIGNALS: Final = """
    SELECT count(*), count(*) FILTER (flow_type <> 'unknown') FROM mempool_predictions
    WHERE detection_timestamp >= (SELECT max(detection_timestamp) FROM mempool_predictions) - to_days(?)
"""


def count_directions(connection: duckdb.DuckDBPyConnection, days: int) -> tuple[int, int]:
    """Return how many whales there were in the last days, and to how many a direction was given.

    Args:
        connection: to read by.
        days: before the newest.
    """
    [(n, with_direction)] = connection.execute(_SIGNALS, [days]).fetchall()
    return n, with_direction
