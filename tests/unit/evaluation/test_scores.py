import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.scores import (
    area_under_roc,
    bootstrap,
    calibration_error,
    equal_mass_bins,
    macro_f1,
    quantile,
    wilson,
)

shares = st.floats(min_value=0, max_value=1)
answers = st.lists(st.tuples(shares, st.booleans()), max_size=60)
classes = st.sampled_from(("inflow", "outflow", "internal", "unknown"))


def test_the_interval_of_a_share_is_that_of_the_tables() -> None:
    low, high = wilson(8, 10)
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)


def test_of_nothing_no_share_is_excluded() -> None:
    assert wilson(0, 0) == (0, 1)


@given(st.integers(0, 500), st.integers(1, 500))
def test_an_interval_holds_its_share_and_narrows_with_evidence(hits: int, misses: int) -> None:
    low, high = wilson(hits, hits + misses)
    assert 0 <= low <= hits / (hits + misses) <= high <= 1
    more = wilson(4 * hits, 4 * (hits + misses))
    assert more.high - more.low < high - low


def test_macro_f1_counts_each_class_alike() -> None:
    pairs = [("inflow", "inflow")] * 8 + [("outflow", "inflow")] * 2
    assert macro_f1(pairs) == pytest.approx((2 * 8 / 18 + 0) / 2)
    assert macro_f1([]) == 0


@given(st.lists(st.tuples(classes, classes), min_size=1))
def test_macro_f1_is_one_only_for_right_answers(pairs: list[tuple[str, str]]) -> None:
    score = macro_f1(pairs)
    assert 0 <= score <= 1
    assert (score == 1) == all(truth == answer for truth, answer in pairs)


def test_bins_have_equally_many_answers() -> None:
    bins = equal_mass_bins([(n / 100, n % 2 == 0) for n in range(100)], 10)
    assert [b.size for b in bins] == [10] * 10
    assert bins[0].confidence == pytest.approx(0.045)
    assert bins[0].hit_rate == 0.5


def test_answers_of_equal_confidence_share_a_bin() -> None:
    bins = equal_mass_bins([(0.9, True)] * 50 + [(0.9, False)] * 30 + [(0.95, True)] * 20, 10)
    assert [(b.size, b.hit_rate) for b in bins] == [(80, 0.625), (20, 1.0)]


@given(answers, st.integers(1, 12))
def test_bins_lose_no_answer_and_are_at_most_as_many_as_wanted(
    found: list[tuple[float, bool]], wanted: int
) -> None:
    bins = equal_mass_bins(found, wanted)
    assert sum(b.size for b in bins) == len(found)
    assert len(bins) <= wanted
    assert [b.confidence for b in bins] == sorted(b.confidence for b in bins)


def test_calibration_error_is_the_distance_of_what_was_said_from_what_came() -> None:
    assert calibration_error([(0.9, True)] * 6 + [(0.9, False)] * 4) == pytest.approx(0.3)
    assert calibration_error([(0.6, True)] * 6 + [(0.6, False)] * 4) == pytest.approx(0)
    two = [(0.5, True)] * 10 + [(1.0, True)] * 30  # a quarter is half off
    assert calibration_error(two) == pytest.approx(0.125)
    assert calibration_error([]) == 0


@given(answers.flatmap(lambda a: st.tuples(st.just(a), st.permutations(a))))
def test_calibration_error_does_not_depend_on_the_order(
    both: tuple[list[tuple[float, bool]], list[tuple[float, bool]]],
) -> None:
    assert calibration_error(both[0]) == calibration_error(both[1])


def test_area_is_one_for_a_perfect_order_and_half_for_none() -> None:
    assert area_under_roc([(0.9, True), (0.8, True), (0.1, False)]) == 1
    assert area_under_roc([(0.1, True), (0.9, False)]) == 0
    assert area_under_roc([(0.5, True), (0.5, False)]) == 0.5
    assert math.isnan(area_under_roc([(0.5, True)]))


@given(answers)
def test_area_is_the_share_of_pairs_in_the_right_order(scored: list[tuple[float, bool]]) -> None:
    positives = [score for score, is_positive in scored if is_positive]
    negatives = [score for score, is_positive in scored if not is_positive]
    if not positives or not negatives:
        assert math.isnan(area_under_roc(scored))
        return
    wins = sum((p > n) + (p == n) / 2 for p in positives for n in negatives)
    assert area_under_roc(scored) == pytest.approx(wins / (len(positives) * len(negatives)))


def test_whole_clusters_are_drawn() -> None:
    def mean(sample: object) -> float:
        assert isinstance(sample, list)
        return sum(sample) / len(sample)

    together = [[0.0] * 50, [1.0] * 50]
    apart = [[value] for cluster in together for value in cluster]
    assert bootstrap(together, mean) == (0, 1)
    low, high = bootstrap(apart, mean)
    assert 0.38 < low < 0.45
    assert 0.55 < high < 0.62
    assert bootstrap(apart, mean) == (low, high)


def test_without_clusters_there_is_no_interval() -> None:
    assert all(math.isnan(end) for end in bootstrap([], len))


def test_quantiles_are_interpolated() -> None:
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile([0, 10], 0.25) == 2.5
    assert math.isnan(quantile([], 0.5))
