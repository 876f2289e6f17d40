"""Forecasts: read with their ends for scoring, and read back as they were said."""

import json
from collections.abc import Mapping
from datetime import datetime
from itertools import accumulate, pairwise
from math import nextafter
from pathlib import Path
from typing import Any, Final

import duckdb

from hydrophone.domain.confirmation import DEPTH, ConfirmationEstimate
from hydrophone.domain.forecast import Forecast, MarketView
from hydrophone.domain.signal import GRACE_BLOCKS
from hydrophone.domain.units import Height, UnixMicros, micros_from_datetime
from hydrophone.domain.urgency import Urgency, UrgencyBasis
from hydrophone.errors import StoreMismatch
from hydrophone.pipeline.ports import StoredForecast, StoredForecasts
from hydrophone.store.schema import reading, schema_version

_SCHEMA_VERSION: Final = 4
"""The first whose tables hold forecasts."""
_FORECASTS: Final = """
    WITH looked_at AS (
        SELECT * FROM mempool_predictions
        WHERE p_confirm IS NOT NULL AND received_at IS NOT NULL AND received_at >= (
            SELECT max(received_at) FROM mempool_predictions
        ) - to_seconds($seconds) AND received_at >= $oldest
    )
    SELECT market_tip, epoch(coalesce(TRY_CAST(market ->> 'made_at' AS TIMESTAMP), received_at)) AS made_at_s,
        p_confirm, p_replaced, p_dropped, eta_p50_s, eta_p90_s,
        CAST(market ->> 'ahead_wu' AS DOUBLE), weight_wu, status, p.confirmation_height, epoch(o.ended_at),
        p.simulated
    FROM looked_at p
    LEFT JOIN prediction_outcomes o USING (prediction_id)
    ORDER BY made_at_s, p.prediction_id
"""
_OLDEST: Final = """
    SELECT coalesce((
        SELECT received_at FROM mempool_predictions WHERE p_confirm IS NOT NULL
        ORDER BY received_at DESC LIMIT 1 OFFSET $most
    ), TIMESTAMP '1970-01-01')
"""
"""The first that is not looked at any more; those of the very same instant are looked at too."""
_COUNT: Final = """
    SELECT count(*) FROM mempool_predictions
    WHERE p_confirm IS NOT NULL AND received_at >= (
        SELECT max(received_at) FROM mempool_predictions
    ) - to_seconds($seconds) AND received_at < $oldest
"""
"""Days are counted back from the newest prediction: a stored file says the same whenever it is asked."""
_BLOCKS: Final = "SELECT epoch(recorded_at), tip FROM fee_market ORDER BY recorded_at"
_S_PER_DAY: Final = 86_400


def forecasts_of(
    connection: duckdb.DuckDBPyConnection, days: float, most: int | None = None
) -> StoredForecasts:
    """Return the forecasts that a connection sees.

    Args:
        connection: to read by.
        days: before the newest.
        most: the newest so many at most; None: all of them.
    """
    oldest, left_off = datetime(1970, 1, 1), 0  # noqa: DTZ001 -- the store keeps naive times
    if most is not None:
        [(oldest,)] = connection.execute(_OLDEST, {"most": most}).fetchall()
        period = {"seconds": days * _S_PER_DAY, "oldest": oldest}
        [(left_off,)] = connection.execute(_COUNT, period).fetchall()
    rows = connection.execute(_FORECASTS, {"seconds": days * _S_PER_DAY, "oldest": oldest}).fetchall()
    blocks = connection.execute(_BLOCKS).fetchall()
    return StoredForecasts(
        forecasts=tuple(_forecast(row[:-1]) for row in rows),
        blocks=tuple((at, tip) for at, tip in blocks),
        simulated_count=sum(bool(row[-1]) for row in rows),
        left_off=left_off,
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


def forecast_of_row(row: Mapping[str, Any], flow_confidence: float) -> Forecast | None:
    """Return what a stored prediction said of its confirmation; None: nothing.

    The whole curve is not stored. What was said is: the published horizons, the predicted block, and with
    p(flow) the probability five blocks later; in between it is drawn straight.

    Args:
        row: of mempool_predictions.
        flow_confidence: p(flow) that the stored confidence has in it.

    Raises:
        KeyError, TypeError, ValueError: it holds what this program does not write.
    """
    if row["urgency_reason"] is None:
        return None
    market = None if row["market"] is None else json.loads(row["market"])
    urgency = Urgency(
        row["urgency_score"],
        UrgencyBasis(row["urgency_basis"]),
        row["urgency_reason"],
        None if market is None else market["overpay"],
    )
    if market is None or row["p_confirm"] is None:
        return Forecast(urgency)
    tip, block = Height(market["tip"]), row["predicted_confirmation_block"]
    likely = None if block is None else block - tip
    known = {int(k): float(p) for k, p in json.loads(row["p_confirm"]).items()}
    if flow_confidence > 0:
        within = DEPTH if likely is None else min(likely + GRACE_BLOCKS, DEPTH)
        p_within = row["confidence_score"] / flow_confidence  # to the last digit; horizons are exact
        known.setdefault(within, min([p_within, *(p for k, p in known.items() if k > within)]))
    estimate = ConfirmationEstimate(
        tip, _curve(known, likely), row["p_replaced"], row["p_dropped"], row["eta_p50_s"], row["eta_p90_s"]
    )
    made_at = market["made_at"]
    return Forecast(
        urgency,
        estimate,
        MarketView(**{name: market[name] for name in _PLAIN_MARKET}, at=_instant(market["at"]), tip=tip),
        row["model_state"],
        row["calibrated"],
        None if made_at is None else _instant(made_at),
    )


_PLAIN_MARKET: Final = (
    "tau_s", "waiting_wu", "ahead_wu", "inflow_wu_s", "marginal_rate_sat_vb", "overpay"
)  # fmt: skip
_LIKELY: Final = 0.5


def _instant(text: str) -> UnixMicros:
    return micros_from_datetime(datetime.fromisoformat(text))


def _curve(known: Mapping[int, float], likely: int | None) -> tuple[float, ...]:
    """Return P(confirmed within k blocks), k = 1 ... `DEPTH`, straight between what is known of it.

    Args:
        known: probabilities by blocks.
        likely: the first that makes it more likely than not; None: none does.
    """
    ends = sorted({0: 0.0, DEPTH: max(known.values()), **known}.items())
    curve = [
        high if blocks == after else low + (high - low) * (blocks - before) / (after - before)
        for (before, low), (after, high) in pairwise(ends)
        for blocks in range(before + 1, after + 1)
    ]
    short = nextafter(_LIKELY, 0.0)
    last_short = DEPTH if likely is None else likely - 1
    bounded = [min(p, short) if k <= last_short else max(p, _LIKELY) for k, p in enumerate(curve, 1)]
    return tuple(accumulate(bounded, max))
