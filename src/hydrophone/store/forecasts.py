"""Forecasts and their ends, read for scoring."""

import json
from pathlib import Path
from typing import Any, Final

import duckdb

from hydrophone.errors import StoreMismatch
from hydrophone.pipeline.ports import StoredForecast, StoredForecasts
from hydrophone.store.schema import reading, schema_version

_SCHEMA_VERSION: Final = 4
"""The first whose tables hold forecasts."""
_FORECASTS: Final = """
    SELECT market_tip, epoch(coalesce(TRY_CAST(market ->> 'made_at' AS TIMESTAMP), received_at)) AS made_at_s,
        p_confirm, p_replaced, p_dropped, eta_p50_s, eta_p90_s,
        CAST(market ->> 'ahead_wu' AS DOUBLE), weight_wu, status, p.confirmation_height, epoch(o.ended_at),
        p.simulated
    FROM mempool_predictions p
    LEFT JOIN prediction_outcomes o USING (prediction_id)
    WHERE p_confirm IS NOT NULL AND received_at IS NOT NULL AND received_at >= (
        SELECT max(received_at) FROM mempool_predictions
    ) - to_seconds(?)
    ORDER BY made_at_s, p.prediction_id
"""
"""Days are counted back from the newest prediction: a stored file says the same whenever it is asked."""
_BLOCKS: Final = "SELECT epoch(recorded_at), tip FROM fee_market ORDER BY recorded_at"
_S_PER_DAY: Final = 86_400


def forecasts_of(connection: duckdb.DuckDBPyConnection, days: float) -> StoredForecasts:
    """Return the forecasts that a connection sees.

    Args:
        connection: to read by.
        days: before the newest.
    """
    rows = connection.execute(_FORECASTS, [days * _S_PER_DAY]).fetchall()
    blocks = connection.execute(_BLOCKS).fetchall()
    return StoredForecasts(
        forecasts=tuple(_forecast(row[:-1]) for row in rows),
        blocks=tuple((at, tip) for at, tip in blocks),
        simulated_count=sum(bool(row[-1]) for row in rows),
    )


def read_forecasts(path: Path, days: float) -> StoredForecasts:
    """Return the forecasts of a database that no service has open.

    Raises:
        StoreError: there is no such file, or it cannot be read, or is older than forecasts are.
    """
    with reading(path) as connection:
        version = schema_version(connection)
        if version < _SCHEMA_VERSION:
            raise StoreMismatch(
                f"{path} has schema version {version}, and forecasts are stored from {_SCHEMA_VERSION} on: "
                "run `hydrophone db migrate`"
            )
        return forecasts_of(connection, days)


def _forecast(row: tuple[Any, ...]) -> StoredForecast:
    tip, made_at_s, p_confirm, p_replaced, p_dropped, *rest = row
    probabilities = json.loads(p_confirm)
    return StoredForecast(
        tip, made_at_s, tuple(float(p) for p in probabilities.values()), p_replaced, p_dropped, *rest
    )
