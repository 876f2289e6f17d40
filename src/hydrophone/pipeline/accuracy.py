"""How good stored forecasts were."""

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from hydrophone.domain.accuracy import AccuracyDay
from hydrophone.domain.feemarket import CAPACITY_WU
from hydrophone.domain.scoring import LEAST_PREDICTIONS, JudgedForecast, summarise
from hydrophone.errors import ConfigError
from hydrophone.pipeline.ports import StoredForecast, StoredForecasts

_ENDED: Final = frozenset({"confirmed", "replaced", "dropped"})


MAX_DAYS: Final = 3_650.0
DEFAULT_DAYS: Final = 90.0
"""# chosen: as long as history is meant to be kept."""


def days_of(text: str | None) -> float:
    """Return a number of days as somebody asked for it; None: the default.

    Raises:
        ConfigError: it is no number of days.
    """
    try:
        days = DEFAULT_DAYS if text is None else float(text)
    except ValueError:
        days = 0.0
    if not 0 < days <= MAX_DAYS:
        raise ConfigError(
            f"expected a number of days, more than 0 and at most {MAX_DAYS:.0f}, found {text!r}"
        )
    return days


class AccuracyDesk:
    """Answers how good forecasts were, off the loop and one question at a time: each reads much of the store.

    Args:
        query_forecasts: reads the forecasts of so many days.
        query_days: reads how predictions turned out on as many.
    """

    def __init__(
        self,
        query_forecasts: Callable[[float], Awaitable[StoredForecasts]],
        query_days: Callable[[float], Awaitable[Sequence[AccuracyDay]]],
    ) -> None:
        self._query_forecasts = query_forecasts
        self._query_days = query_days
        self._free = asyncio.Lock()

    async def answer(self, query: Mapping[str, str]) -> dict[str, object]:
        """Return the scores of the days that are asked for.

        Raises:
            ConfigError: they are no number of days.
            StoreError: the forecasts cannot be read.
        """
        days = days_of(query.get("days"))
        async with self._free:
            stored = await self._query_forecasts(days)
            ended = await self._query_days(days)
            scores = await asyncio.to_thread(report_accuracy, stored)
            return {"days": days, **scores, **report_days(ended)}


def report_days(days: Sequence[AccuracyDay]) -> dict[str, Any]:
    """Return how predictions turned out by day, and their mean score, ready for JSON.

    Simulated ones are kept apart. Means and shares of a day stand beside their n, however small; the mean
    over all days is "insufficient_data" below the least n that carries one.
    """
    return {
        "accuracy_score": {
            name: _mean_score([day for day in days if day.simulated is is_simulated])
            for name, is_simulated in (("real", False), ("simulated", True))
        },
        "daily": [
            {
                "day": day.day.isoformat(),
                "simulated": day.simulated,
                "confirmed": day.confirmed,
                "replaced": day.replaced,
                "dropped": day.dropped,
                "accuracy_score": {"value": day.accuracy_score, "n": day.scored},
                "within_p50": {"met": day.p50_met, "n": day.p50_known},
                "within_p90": {"met": day.p90_met, "n": day.p90_known},
                "median_lead_time_s": day.median_lead_time_s,
            }
            for day in days
        ],
    }


def _mean_score(days: Sequence[AccuracyDay]) -> dict[str, Any]:
    count = sum(day.scored for day in days)
    if count < LEAST_PREDICTIONS:
        return {"insufficient_data": True, "n": count}
    return {"value": sum(day.scored * (day.accuracy_score or 0.0) for day in days) / count, "n": count}


def report_accuracy(stored: StoredForecasts) -> dict[str, Any]:
    """Return the scores, ready for JSON."""
    heights = [height for _, height in stored.blocks]
    confirmed = [f.confirmation_height for f in stored.forecasts if f.confirmation_height is not None]
    newest = max([*(h + 1 for h in heights), *confirmed, *(f.tip for f in stored.forecasts)], default=0)
    times = [at_s for at_s, _ in stored.blocks]

    def tip_at(at_s: float) -> int:
        place = bisect_right(times, at_s)
        return heights[place - 1] + 1 if place else newest

    def judge(forecast: StoredForecast) -> JudgedForecast:
        end = forecast.status if forecast.status in _ENDED else None
        height, ended_at_s = forecast.confirmation_height, forecast.ended_at_s
        is_over = end is not None and ended_at_s is not None
        return JudgedForecast(
            tip=forecast.tip,
            made_at_s=forecast.made_at_s,
            p_confirm=forecast.p_confirm,
            p_replaced=forecast.p_replaced,
            p_dropped=forecast.p_dropped,
            eta_p50_s=forecast.eta_p50_s,
            eta_p90_s=forecast.eta_p90_s,
            projected=1 + int((forecast.ahead_wu + forecast.weight_wu) / CAPACITY_WU),
            blocks=None if height is None else max(1, height - forecast.tip),
            end=end,
            ended_after_s=ended_at_s - forecast.made_at_s if is_over and ended_at_s is not None else None,
            ended_after_blocks=(
                tip_at(ended_at_s) - forecast.tip if is_over and ended_at_s is not None else None
            ),
            age_blocks=newest - forecast.tip,
        )

    summary = summarise([judge(forecast) for forecast in stored.forecasts])
    return {"simulated": stored.simulated_count, "forecasts_left_off": stored.left_off, **summary}
