import asyncio
from collections.abc import Sequence
from datetime import date

import pytest

from hydrophone.domain.accuracy import AccuracyDay
from hydrophone.domain.feemarket import CAPACITY_WU
from hydrophone.errors import ConfigError
from hydrophone.pipeline.accuracy import DEFAULT_DAYS, AccuracyDesk, days_of, report_accuracy, report_days
from hydrophone.pipeline.ports import StoredForecast, StoredForecasts

P_CONFIRM = (0.6, 0.8, 0.9, 0.95, 0.97, 0.98)


def stored(tip: int, status: str, height: int | None, ended_at_s: float | None) -> StoredForecast:
    return StoredForecast(
        tip, 600.0 * tip, P_CONFIRM, 0.01, 0.001, 500.0, 1_400.0, 10.0, 561, status, height, ended_at_s
    )


def test_of_nothing_stored_nothing_is_said() -> None:
    found = report_accuracy(StoredForecasts((), ()))
    assert found["forecasts"] == 0
    assert found["ranked"]["insufficient_data"]


def test_ends_are_counted_in_blocks() -> None:
    blocks = tuple((600.0 * (tip + 1), tip) for tip in range(100, 200))
    forecasts = (
        *(stored(tip, "confirmed", tip + 2, 600.0 * (tip + 2)) for tip in range(100, 180) for _ in range(2)),
        stored(180, "replaced", None, 600.0 * 183),
        stored(199, "pending", None, None),
        stored(100, "in_doubt", None, None),
    )
    found = report_accuracy(StoredForecasts(forecasts, blocks))
    assert found["waiting"] == 2
    one, two = found["horizons"]["1"], found["horizons"]["2"]
    assert one["came"] == 0
    assert two["came"] == pytest.approx(160 / 162)
    assert (one["censored"], two["censored"]) == (0, 1)
    assert found["coverage"]["p90"]["value"] == 1
    assert found["coverage"]["p50"]["value"] == 0


def test_the_projected_block_is_the_one_its_place_in_the_queue_says() -> None:
    deep = StoredForecast(
        1, 600.0, P_CONFIRM, 0, 0, None, None, 2.5 * CAPACITY_WU, 561, "confirmed", 4, 2_400.0
    )
    found = report_accuracy(StoredForecasts((deep,) * 60, ((90_000.0, 100),)))
    assert found["ranked"]["insufficient_data"]
    assert found["ranked"]["n"] == 60
    assert found["ranked"]["blocks"] == 1


def day(number: int, scored: int, score: float | None, *, simulated: bool = False) -> AccuracyDay:
    return AccuracyDay(
        date(2026, 11, number), simulated, 40, 5, 1, scored, score, 40, 22, 39, 36, 480.0 if scored else None
    )


def test_days_stand_with_their_n_and_real_ones_apart_from_simulated() -> None:
    found = report_days([day(1, 40, 0.75), day(2, 20, 0.9), day(2, 49, 0.5, simulated=True), day(3, 0, None)])
    assert found["accuracy_score"]["real"] == {"value": pytest.approx((40 * 0.75 + 20 * 0.9) / 60), "n": 60}
    assert found["accuracy_score"]["simulated"] == {"insufficient_data": True, "n": 49}
    assert found["daily"][0] == {
        "day": "2026-11-01",
        "simulated": False,
        "confirmed": 40,
        "replaced": 5,
        "dropped": 1,
        "accuracy_score": {"value": 0.75, "n": 40},
        "within_p50": {"met": 22, "n": 40},
        "within_p90": {"met": 36, "n": 39},
        "median_lead_time_s": 480.0,
    }
    assert [d["simulated"] for d in found["daily"]] == [False, False, True, False]


@pytest.mark.parametrize(("text", "days"), [(None, DEFAULT_DAYS), ("7", 7.0), ("0.5", 0.5)])
def test_days_are_a_number(text: str | None, days: float) -> None:
    assert days_of(text) == days


@pytest.mark.parametrize("text", ["", "week", "0", "-1", "nan", "1e9"])
def test_what_is_no_number_of_days_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a number of days"):
        days_of(text)


async def test_one_question_is_answered_at_a_time() -> None:
    asked: list[float] = []
    may_go_on = asyncio.Event()

    async def query(days: float) -> StoredForecasts:
        asked.append(days)
        await may_go_on.wait()
        return StoredForecasts((), ())

    async def query_days(_days: float) -> Sequence[AccuracyDay]:
        return ()

    desk = AccuracyDesk(query, query_days)
    first, second = (asyncio.create_task(desk.answer({"days": days})) for days in ("7", "8"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert asked == [7.0]
    may_go_on.set()
    assert [(await answer)["days"] for answer in (first, second)] == [7.0, 8.0]
    assert asked == [7.0, 8.0]
    with pytest.raises(ConfigError, match="a number of days"):
        await desk.answer({"days": "week"})
