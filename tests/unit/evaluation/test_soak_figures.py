"""What a long run is judged by: growth is found, noise is not taken for it."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.soak_figures import Growth, Sample, Slope, describe, settled, slope_of, theil_sen

figures = st.integers(-1_000, 1_000)


def sample(number: int, **changes: float) -> Sample:
    plain = {
        "rss_mb": 150.0,
        "cpu_s": number / 10,
        "descriptors": 12,
        "threads": 16,
        "file_mb": number * 0.01,
    }
    plain |= {"predictions": number * 5, "pending": 3, "clients": 10, "queue_high_water": 7, "gaps": 2}
    return Sample(**{"at_s": number * 10.0, "dropped": 0, "kicked": 0, **plain, **changes})  # type: ignore[arg-type]


@given(figures, figures, st.integers(2, 60))
def test_the_slope_of_a_line_is_its_own(slope: int, start: int, count: int) -> None:
    assert theil_sen([(x, start + slope * x) for x in range(count)]) == slope


def test_a_fifth_of_wild_samples_does_not_move_it() -> None:
    wild = [(x, 1e6 if x % 5 == 0 else 2.0 * x) for x in range(50)]
    assert theil_sen(wild) == pytest.approx(2.0)


def test_of_one_place_there_is_no_slope() -> None:
    assert math.isnan(theil_sen([(1.0, 2.0), (1.0, 3.0)]))
    assert math.isnan(theil_sen([]))


def test_of_many_points_some_are_taken() -> None:
    assert theil_sen([(x, 3.0 * x) for x in range(5_000)]) == 3.0


def test_the_error_is_about_what_repeating_shows() -> None:
    slopes, errors = [], []
    for seed in range(60):
        chance = Random(seed)
        found = slope_of([(x / 100, x / 100 + chance.gauss(0, 1)) for x in range(100)])
        slopes.append(found.value)
        errors.append(found.error)
    mean = sum(slopes) / len(slopes)
    spread = math.sqrt(sum((each - mean) ** 2 for each in slopes) / len(slopes))
    assert 0.6 < sum(errors) / len(errors) / spread < 1.6


def test_of_few_samples_the_error_is_unknown_and_nothing_is_clear() -> None:
    few = slope_of([(x, 100.0 * x) for x in range(5)])
    assert few.value == 100.0
    assert math.isnan(few.error)
    assert not few.is_clearly_above(20.0)


@pytest.mark.parametrize(
    ("slope", "is_clear"),
    [(Slope(30.0, 1.0), True), (Slope(30.0, 11.0), False), (Slope(19.0, 0.1), False)],
)
def test_growth_is_clear_above_its_bar_and_its_error(slope: Slope, *, is_clear: bool) -> None:
    assert slope.is_clearly_above(20.0) is is_clear


def test_the_first_quarter_does_not_count() -> None:
    assert [one.at_s for one in settled([sample(n) for n in range(9)])] == [20, 30, 40, 50, 60, 70, 80]
    assert settled([]) == ()


def test_what_stays_is_no_fault_and_what_leaks_is() -> None:
    calm = [sample(n, descriptors=12 + n % 3, threads=16 + n % 2) for n in range(360)]
    assert Growth.of(calm).faults() == []
    leaking = [sample(n, descriptors=12 + n % 3 + n // 10) for n in range(360)]
    (fault,) = Growth.of(leaking).faults()
    assert fault.startswith("descriptors grow by 36.0 ")


def test_the_file_is_told_by_its_predictions() -> None:
    assert Growth.of([sample(n) for n in range(100)]).file_mb_per_1000.value == pytest.approx(2.0)


def test_memory_that_filled_at_the_start_is_no_slope() -> None:
    filling = [sample(n, rss_mb=min(150.0, 100.0 + n)) for n in range(400)]
    assert Growth.of(filling).rss_mb_per_h.value == 0


def test_every_figure_has_its_line() -> None:
    lines = describe([sample(n) for n in range(100)])
    assert lines[0] == "samples            100 in 16.5 min, 75 of them after warm-up"
    assert any("2.00 +- 0.00 MB for 1,000 predictions" in line for line in lines)
    assert any(line.startswith("processor") and " 1.0 % of one core" in line for line in lines)
