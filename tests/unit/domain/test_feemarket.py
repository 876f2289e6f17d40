import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.feemarket import (
    BUCKETS,
    CAPACITY_WU,
    STANDINGS,
    FeeMarket,
    FeeMarketWatch,
    RateProfile,
    bucket_of,
    histogram_of,
    mean_interval_s,
    rate_of,
)
from hydrophone.domain.units import MICROS_PER_S, Height, UnixMicros

rates = st.floats(min_value=0.05, max_value=10_000)
pairs = st.lists(st.tuples(rates, st.floats(min_value=0, max_value=1e7)), max_size=30)
START = 1_790_000_000


def at(seconds: float) -> UnixMicros:
    return UnixMicros(round((START + seconds) * MICROS_PER_S))


def watch_at(tip: int = 900_000, projected: tuple[RateProfile, ...] = ()) -> FeeMarketWatch:
    watch = FeeMarketWatch()
    watch.connect(Height(tip), at(0), None)
    watch.project(projected, at(0))
    return watch


def market_of(waiting: list[tuple[float, float]]) -> FeeMarket:
    return FeeMarket.from_rates(waiting, (), tip=Height(900_000))


@given(st.floats())
def test_every_float_has_a_bucket(rate: float) -> None:
    assert 0 <= bucket_of(rate) < BUCKETS


@given(rates)
def test_a_bucket_is_about_a_per_cent_wide(rate: float) -> None:
    assert rate_of(bucket_of(rate)) == pytest.approx(rate, rel=0.0101)


@given(rates, rates)
def test_buckets_are_in_the_order_of_rates(one: float, other: float) -> None:
    assert bucket_of(min(one, other)) <= bucket_of(max(one, other))


def test_there_are_about_1220_buckets_from_a_twentieth_to_ten_thousand() -> None:
    assert BUCKETS == 1_222
    assert bucket_of(0.05) == bucket_of(0) == bucket_of(math.nan) == 0
    assert bucket_of(10_000) == bucket_of(math.inf) == BUCKETS - 1


@given(st.lists(rates, min_size=7, max_size=7), st.floats(min_value=0, max_value=1e7))
def test_a_profile_keeps_its_weight_within_its_range(edges: list[float], weight_wu: float) -> None:
    histogram = histogram_of([RateProfile(weight_wu, tuple(edges))])
    assert sum(histogram) == pytest.approx(weight_wu)
    filled = [bucket for bucket, weight in enumerate(histogram) if weight > 0]
    assert all(bucket_of(min(edges)) <= bucket <= bucket_of(max(edges)) for bucket in filled)


@given(pairs, rates, rates)
def test_a_higher_rate_has_less_in_front(
    waiting: list[tuple[float, float]], one: float, other: float
) -> None:
    market = market_of(waiting)
    assert market.ahead_wu(max(one, other)) <= market.ahead_wu(min(one, other)) + 1e-6
    assert market.ahead_wu(min(one, other)) <= market.total_waiting_wu + 1e-6


def test_half_of_the_own_bucket_is_in_front() -> None:
    market = market_of([(5.0, 1_000), (50.0, 3_000)])
    assert market.ahead_wu(5.0) == 3_500
    assert market.ahead_wu(10.0) == 3_000
    assert market.ahead_wu(50.0) == 1_500
    assert market.ahead_wu(51.0) == 0


def test_the_marginal_rate_is_the_least_of_the_next_template() -> None:
    assert market_of([]).marginal_rate_sat_vb is None
    roomy = market_of([(50.0, 1_000), (0.2, 1_000)]).marginal_rate_sat_vb
    assert roomy == pytest.approx(0.2, rel=0.01)
    full = market_of([(50.0, CAPACITY_WU / 2), (7.0, CAPACITY_WU), (1.0, CAPACITY_WU)]).marginal_rate_sat_vb
    assert full == pytest.approx(7.0, rel=0.01)


@given(pairs, st.integers(min_value=-3, max_value=3))
def test_blocks_take_the_dearest_that_waits(waiting: list[tuple[float, float]], blocks: int) -> None:
    market = market_of(waiting)
    after = market.after(Height(900_000 + blocks))
    room_wu = max(0, blocks) * CAPACITY_WU
    assert after.tip == 900_000 + blocks
    assert after.total_waiting_wu == pytest.approx(max(0, market.total_waiting_wu - room_wu), abs=1e-3)
    for rate in (0.05, 1.0, 50.0):
        assert after.ahead_wu(rate) <= market.ahead_wu(rate)
    if room_wu and after.total_waiting_wu > 1:
        dearest_left = max(bucket for bucket, wu in enumerate(after.waiting_wu) if wu > 0)
        assert market.ahead_wu(rate_of(dearest_left)) >= room_wu - market.waiting_wu[dearest_left]


def test_no_market_is_shown_before_a_block_and_what_waits_are_known() -> None:
    watch = FeeMarketWatch()
    assert watch.show(at(0)) is None
    watch.project((), at(0))
    assert watch.show(at(0)) is None
    watch.connect(Height(1), at(0), None)
    assert watch.show(at(0)) is not None


def test_an_empty_mempool_is_a_market_too() -> None:
    market = watch_at().show(at(10))
    assert market is not None
    assert market.total_waiting_wu == 0
    assert market.ahead_wu(0.05) == 0
    assert market.inflow_above_wu_s(0.05) == (0, 0)
    assert not market.has_mined


def test_a_steady_inflow_is_measured_by_both_averages() -> None:
    watch = watch_at()
    for second in range(1, 3_601):
        watch.arrive([5.0], [800], at(second))
    market = watch.show(at(3_600))
    assert market is not None
    lately, long = market.inflow_above_wu_s(1.0)
    assert lately == pytest.approx(800, rel=0.02)
    assert long == pytest.approx(800, rel=0.02)
    assert market.inflow_above_wu_s(6.0) == (0, 0)


def test_the_short_average_follows_a_burst_and_the_long_one_remembers() -> None:
    watch = watch_at()
    for minute in range(1, 24 * 60 + 1):
        watch.arrive([5.0], [60_000], at(60 * minute))
        watch.show(at(60 * minute))
    for minute in range(24 * 60 + 1, 25 * 60 + 1):
        watch.arrive([5.0], [600_000], at(60 * minute))
        watch.show(at(60 * minute))
    market = watch.show(at(25 * 3_600))
    assert market is not None
    lately, long = market.inflow_above_wu_s(1.0)
    assert 9_000 < lately < 10_500
    assert 1_000 < long < 3_000


def test_time_in_which_nothing_could_be_heard_is_not_time_without_arrivals() -> None:
    watch = watch_at()
    for second in range(1, 1_801):
        watch.arrive([5.0], [800], at(second))
    before = watch.show(at(1_800))
    watch.go_blind(at(1_800), at(9_000))
    assert watch.show(at(9_000)) is None
    watch.project((), at(9_000))
    after = watch.show(at(9_001))
    assert before is not None
    assert after is not None
    assert after.inflow_above_wu_s(1.0)[0] == pytest.approx(before.inflow_above_wu_s(1.0)[0], rel=0.01)


def test_a_clock_that_is_set_back_stands_still() -> None:
    watch = watch_at()
    watch.arrive([5.0], [800], at(100))
    watch.arrive([5.0], [800], at(50))
    market = watch.show(at(100))
    assert market is not None
    assert market.inflow_above_wu_s(1.0)[0] == pytest.approx(1_600 / 100, rel=0.05)


@given(st.lists(st.floats(min_value=-7_200, max_value=1e5), max_size=144))
def test_the_mean_interval_is_always_positive(intervals_s: list[float]) -> None:
    assert mean_interval_s(intervals_s) > 0


def test_the_mean_interval_is_that_of_a_day_pulled_to_ten_minutes() -> None:
    assert mean_interval_s([]) == 600
    assert mean_interval_s([540.0] * 144) == pytest.approx((144 * 540 + 72 * 600) / 216)
    assert mean_interval_s([1_500.0]) == pytest.approx((1_500 + 72 * 600) / 73)


def test_a_chain_that_cannot_be_the_main_one_is_believed() -> None:
    assert mean_interval_s([30.0] * 8) == pytest.approx(30)
    assert mean_interval_s([3_600.0] * 40) == pytest.approx(3_600)


@pytest.mark.parametrize("ahead_s", [-7_200.0, -4_500.0, 4_500.0, 7_200.0])
@pytest.mark.parametrize("liar", [0, 4, 8])
@pytest.mark.parametrize("interval_s", [150.0, 600.0, 1_200.0])
def test_one_clock_that_lies_makes_no_other_chain(ahead_s: float, liar: int, interval_s: float) -> None:
    stamps = [interval_s * number + (ahead_s if number == liar else 0) for number in range(9)]
    found = mean_interval_s([later - earlier for earlier, later in pairwise(stamps)])
    assert found == pytest.approx(600, rel=0.25)


@pytest.mark.parametrize("interval_s", [3 * 3_600.0, 1.7e9])
def test_one_long_interval_makes_no_slow_chain(interval_s: float) -> None:
    assert 600 < mean_interval_s([interval_s]) < 900
    assert 600 < mean_interval_s([interval_s, *[600.0] * 30]) < 900


def test_a_block_at_a_known_height_replaces_what_was_there_and_above() -> None:
    watch = watch_at(900_000)
    watch.connect(Height(900_001), at(600), None)
    watch.connect(Height(900_002), at(1_200), None)
    watch.connect(Height(900_001), at(700), None)
    market = watch.show(at(1_300))
    assert market is not None
    assert market.tip == 900_001


def test_what_is_mined_is_compared_with_over_six_blocks_and_the_next_template() -> None:
    watch = FeeMarketWatch()
    for number in range(10):
        rate = 1.0 if number < 4 else 10.0
        watch.connect(Height(900_000 + number), at(600 * number), RateProfile(1_000_000, (rate,) * 7))
    watch.project((RateProfile(1_000_000, (20.0,) * 7),), at(6_000))
    market = watch.show(at(6_000))
    assert market is not None
    assert market.share_paying_less(5.0) == 0  # blocks of 1 sat/vB are more than six blocks ago
    assert market.share_paying_less(15.0) == pytest.approx(6 / 7)
    assert market.share_paying_less(30.0) == 1


@given(pairs)
def test_a_market_written_down_coarsely_keeps_its_weight_and_rates_to_a_tenth(
    waiting: list[tuple[float, float]],
) -> None:
    document = FeeMarket.from_rates(waiting, (), tip=Height(7)).as_json(merged=10)
    assert sum(wu for _, wu in document["waiting"]) == pytest.approx(sum(wu for _, wu in waiting), abs=0.1)
    assert len(document["waiting"]) <= BUCKETS / 10 + 1
    for rate, wu in waiting:
        assert wu < 0.01 or any(abs(math.log(rate / told)) < 0.11 for told, _ in document["waiting"])


@given(pairs, pairs)
def test_a_market_written_down_is_read_again(
    waiting: list[tuple[float, float]], inflow: list[tuple[float, float]]
) -> None:
    market = FeeMarket.from_rates(waiting, inflow, tip=Height(7), mined=waiting)
    document = market.as_json()
    again = FeeMarket.from_rates(
        document["waiting"],
        document["inflow"],
        tip=Height(7),
        mined=document["mined"],
    )
    assert again.as_json() == document


def test_a_rate_stands_in_the_next_template_or_by_what_is_below_it() -> None:
    full = market_of([(float(rate), CAPACITY_WU / 2) for rate in range(1, 41)])
    assert [full.standing(rate) for rate in (100.0, 40.0, 39.0, 38.0, 36.9, 30.0, 9.0, 1.0, 0.1)] == [
        0, 0, 0, 1, 1, 2, 3, 4, 4
    ]  # fmt: skip
    assert market_of([]).standing(0.1) == 0


@given(pairs, rates, rates)
def test_who_pays_less_never_stands_higher(
    waiting: list[tuple[float, float]], one: float, other: float
) -> None:
    market = market_of(waiting)
    high, low = market.standing(max(one, other)), market.standing(min(one, other))
    assert STANDINGS[0] <= high <= low <= STANDINGS[-1]
