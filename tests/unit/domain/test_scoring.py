import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.scoring import (
    CATEGORIES,
    JudgedForecast,
    block_bootstrap,
    brier,
    calibration_error,
    calibration_floor,
    category_of,
    category_probabilities,
    climatology,
    has_enough,
    log_score,
    pit,
    ranked_score,
    reliability,
    skill,
    summarise,
)

BLOCKS_OF_90_DAYS = 13_000
GENERATOR = np.random.default_rng(7)
probabilities = st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=200)


def test_scores_of_known_answers() -> None:
    p, came = np.array([0.8, 0.8, 0.0]), np.array([1.0, 0.0, 0.0])
    assert brier(p, came) == pytest.approx([0.04, 0.64, 0.0])
    assert log_score(p, came) == pytest.approx([-np.log(0.8), -np.log(0.2), 0.0], abs=2e-4)


def test_a_certainty_that_is_wrong_costs_much_and_not_infinitely() -> None:
    [cost] = log_score(np.array([1.0]), np.array([0.0]))
    assert cost == pytest.approx(9.21, abs=0.01)


@pytest.mark.parametrize(
    ("blocks", "name"),
    [(1, "1"), (2, "2"), (3, "3"), (4, "4-6"), (6, "4-6"), (7, "7-12"), (24, "13-24"), (25, "25+")],
)
def test_categories_by_blocks(blocks: int, name: str) -> None:
    assert CATEGORIES[category_of(blocks)] == name


def test_categories_of_other_ends() -> None:
    assert CATEGORIES[category_of(None)] == "25+"
    assert CATEGORIES[category_of(None, is_replaced=True)] == "replaced"
    assert CATEGORIES[category_of(None, is_dropped=True)] == "dropped"


def test_probabilities_of_categories_sum_to_one() -> None:
    found = category_probabilities((0.2, 0.5, 0.6, 0.7, 0.8, 0.85), 0.05, 0.01)
    assert found == pytest.approx((0.2, 0.3, 0.1, 0.1, 0.1, 0.05, 0.09, 0.05, 0.01))


def test_the_ranked_score_punishes_by_distance() -> None:
    sure = np.eye(9)
    near, far = ranked_score(sure[[1, 8]], np.array([0, 0]))
    assert ranked_score(sure[[3]], np.array([3])) == pytest.approx([0])
    assert near == pytest.approx(1 / 8)
    assert far == pytest.approx(1)


@given(probabilities)
def test_bins_have_equal_mass_and_are_in_order(p: list[float]) -> None:
    bins = reliability(np.array(p), np.zeros(len(p)))
    counts = [b.count for b in bins]
    assert sum(counts) == len(p)
    assert max(counts) - min(counts) <= 1
    assert [b.mean_p for b in bins] == sorted(b.mean_p for b in bins)


def test_a_perfect_model_has_an_error_at_its_floor_and_a_wrong_one_far_above() -> None:
    blocks = np.repeat(np.arange(500), 8)
    p = GENERATOR.random(4_000)
    luck = GENERATOR.random(500)
    came = (luck[blocks] < p).astype(float)
    floor = calibration_floor(p, blocks, GENERATOR, repeats=50)
    assert 0 < calibration_error(p, came) < 3 * floor
    assert calibration_error(np.clip(p + 0.2, 0, 1), came) > 4 * floor


def test_who_shares_luck_is_known_less_well() -> None:
    values = np.repeat(GENERATOR.random(100), 20)
    shared = block_bootstrap(values, np.repeat(np.arange(100), 20), GENERATOR)
    alone = block_bootstrap(values, np.arange(2_000), GENERATOR)
    assert (shared.value, alone.value) == pytest.approx((values.mean(), values.mean()))
    assert shared.standard_error > 3 * alone.standard_error
    assert shared.low < shared.value < shared.high
    assert (shared.predictions, shared.blocks) == (2_000, 100)


def test_drawing_the_blocks_of_90_days_takes_little_memory() -> None:
    values, blocks = np.ones(BLOCKS_OF_90_DAYS), np.arange(BLOCKS_OF_90_DAYS)
    tracemalloc.start()
    try:
        found = block_bootstrap(values, blocks, GENERATOR)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.value == 1
    assert peak_bytes < 20_000_000


def test_draws_are_all_made_and_are_different() -> None:
    seen: list[float] = []

    def mean(sums: np.ndarray[Any, np.dtype[np.float64]], counts: Any) -> Any:  # noqa: ANN401 -- as numpy has it
        means = sums[:, 0] / counts
        seen.extend(means.tolist())
        return means

    block_bootstrap(np.arange(40.0), np.arange(40), GENERATOR, statistic=mean, resamples=120)
    assert len(seen) == 121  # and the value itself
    assert len(set(seen)) > 60


@pytest.mark.parametrize(
    ("predictions", "blocks", "is_enough"), [(49, 30, False), (50, 19, False), (60, 20, True)]
)
def test_too_little_is_said_to_be_too_little(predictions: int, blocks: int, *, is_enough: bool) -> None:
    found = block_bootstrap(np.ones(predictions), np.arange(predictions) % blocks, GENERATOR)
    assert has_enough(found.predictions, found.blocks) is is_enough


def test_skill_is_one_minus_the_ratio() -> None:
    blocks = np.arange(100) // 4
    found = skill(np.full(100, 0.3), np.full(100, 0.6), blocks, GENERATOR)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_transforms_of_a_right_model_are_spread_evenly() -> None:
    p = np.cumsum([0.5, 0.3, 0.2])
    blocks = GENERATOR.choice([1, 2, 3], size=5_000, p=[0.5, 0.3, 0.2])
    transforms = pit(np.tile(p, (5_000, 1)), blocks, GENERATOR)
    counts, _ = np.histogram(transforms, bins=10, range=(0, 1))
    assert counts.min() > 400
    assert counts.max() < 600


def judged(tip: int, number: int = 0, **more: Any) -> JudgedForecast:  # noqa: ANN401 -- any field
    fields: dict[str, Any] = {
        "tip": tip,
        "made_at_s": 600.0 * tip + number,
        "p_confirm": (0.6, 0.8, 0.9, 0.95, 0.97, 0.98),
        "p_replaced": 0.01,
        "p_dropped": 0.001,
        "eta_p50_s": 500.0,
        "eta_p90_s": 1_400.0,
        "projected": 1,
        "blocks": 1,
        "end": "confirmed",
        "ended_after_s": 300.0,
        "ended_after_blocks": 1,
        "age_blocks": 50,
    }
    return JudgedForecast(**(fields | more))


def waiting(tip: int, age_blocks: int) -> JudgedForecast:
    return judged(
        tip, blocks=None, end=None, ended_after_s=None, ended_after_blocks=None, age_blocks=age_blocks
    )


def test_what_still_waits_is_censored_and_counted() -> None:
    young, old = waiting(100, 2), waiting(90, 30)
    assert young.is_known(2)
    assert not young.is_known(3)
    assert old.is_known(24)
    assert CATEGORIES[old.category] == "25+"
    quick = judged(31, age_blocks=2)
    assert not quick.is_known(3), "else of the young only the quick would be judged"
    found = summarise([judged(tip, n) for tip in range(30) for n in range(3)] + [waiting(31, 2)])
    assert found["waiting"] == 1
    assert found["horizons"]["1"]["censored"] == 0
    assert found["horizons"]["3"]["censored"] == 1


def test_ends_that_came_too_late_to_be_foreseen_count_as_waiting() -> None:
    early = judged(5, blocks=None, end="replaced", ended_after_blocks=3)
    late = judged(5, blocks=None, end="replaced", ended_after_blocks=40)
    assert (CATEGORIES[early.category], CATEGORIES[late.category]) == ("replaced", "25+")


def test_a_summary_of_nothing_is_insufficient_data_and_never_a_percentage() -> None:
    found = summarise([])
    assert found["forecasts"] == 0
    for part in (*found["horizons"].values(), *found["coverage"].values(), found["ranked"], found["pit"]):
        assert part["insufficient_data"]
        assert part["n"] == 0


def test_a_summary_says_all_with_its_n() -> None:
    rng = np.random.default_rng(3)
    forecasts = []
    for tip in range(60):
        luck = rng.random()
        for number in range(4):
            blocks = int(np.searchsorted([0.6, 0.8, 0.9, 0.95, 0.97, 0.98], luck)) + 1
            forecasts.append(
                judged(tip, number, blocks=blocks, ended_after_blocks=blocks, ended_after_s=600.0 * blocks)
            )
    found = summarise(forecasts)
    assert json.loads(json.dumps(found)) == found
    scores = found["horizons"]["1"]
    assert (scores["n"], scores["blocks"]) == (240, 60)
    assert scores["said"] == pytest.approx(0.6)
    assert 0.4 < scores["came"] < 0.8
    assert scores["curve"][0][2] == 24
    assert found["coverage"]["p90"]["n"] == 240
    assert sum(found["pit"]["counts"]) == found["pit"]["n"]
    assert set(found["ranked"]["skill"]) == {"climatology", "projected_block", "next_block"}
    assert summarise(forecasts) == found, "the same draws each time"


def test_climatology_knows_only_what_had_ended() -> None:
    forecasts = [judged(tip) for tip in range(100)]
    rows = climatology(forecasts)
    assert rows[0] == pytest.approx([1 / 9] * 9)
    assert rows[-1][0] == pytest.approx(1)
