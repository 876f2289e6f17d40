import math
import time
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrophone.domain.confirmation import (
    DEPTH,
    ENDS_HORIZON,
    HORIZONS,
    NO_CORRECTIONS,
    ConfirmationEstimate,
    ConfirmationTable,
    Corrections,
    closed_form_next_block,
    compete,
    estimate_confirmation,
    seeded_paths,
)
from hydrophone.domain.feemarket import BUCKETS, CAPACITY_WU, STANDINGS, FeeMarket, rate_of
from hydrophone.domain.units import Height

TIP = Height(900_000)
PATHS = seeded_paths(1)
PLAIN = seeded_paths(1, is_growth_known=True)

rates = st.floats(min_value=0.05, max_value=10_000)
shares = st.floats(min_value=0, max_value=1)
hazards = st.floats(min_value=0, max_value=0.2)
backlogs = st.lists(st.tuples(rates, st.floats(min_value=0, max_value=CAPACITY_WU)), max_size=20)
inflows = st.lists(st.tuples(rates, st.floats(min_value=0, max_value=8_000)), max_size=10)
corrections = st.builds(
    Corrections, st.floats(min_value=0.05, max_value=1), hazards, hazards, shares, hazards, hazards
)
PLAIN_LADDER = [NO_CORRECTIONS] * len(STANDINGS)
LADDER = [Corrections(0.96, 0.005, 0.02 * s, 0, 0.05, 0.1 * s) for s in STANDINGS]
"""Who stands lower is dropped more."""
few = settings(max_examples=40, deadline=None)


def market_of(
    waiting: list[tuple[float, float]],
    inflow: Sequence[tuple[float, float]] = (),
) -> FeeMarket:
    return FeeMarket.from_rates(waiting, inflow, tip=TIP)


CHECKED = market_of([(50.0, 3_000_000)], [(50.0, 2_000)])
"""The worked check: 3 MWU in front and 2,000 WU more each second."""
CONGESTED = market_of([(1.02**n, 200_000) for n in range(200)], [(1.02**n, 40) for n in range(200)])


@pytest.mark.parametrize(("age_s", "expected"), [(0, 0.535), (30, 0.584), (1_000, 0.584)])
def test_the_worked_check_of_the_closed_form(age_s: float, expected: float) -> None:
    found = closed_form_next_block(CHECKED, 3_000_000, 2_000, age_s)
    assert found == pytest.approx(expected, abs=0.0005)
    estimate = estimate_confirmation(CHECKED, PLAIN, 10.0, 0, age_s=age_s)
    assert estimate.by_block[0] == pytest.approx(expected, abs=0.0005)


def test_an_uncertain_inflow_adds_about_two_per_cent() -> None:
    estimate = estimate_confirmation(CHECKED, PATHS, 10.0, 0)
    assert estimate.by_block[0] == pytest.approx(0.555, abs=0.005)


def test_the_paths_agree_with_the_closed_form() -> None:
    """They are made independently of each other."""
    from hydrophone.domain.confirmation import FirstPassage

    first = FirstPassage(CHECKED, PLAIN).first_eligible(3_000_000, 2_000, 2_000)
    assert (first == 0).mean() == pytest.approx(0.535, abs=0.002)


def test_a_full_next_block_takes_nobody_more() -> None:
    full = market_of([(50.0, CAPACITY_WU)])
    assert estimate_confirmation(full, PLAIN, 10.0, 561).by_block[0] == 0
    assert estimate_confirmation(full, PLAIN, 100.0, 561).by_block[0] > 0.9


def test_without_competition_blocks_alone_decide() -> None:
    """Then it is the template's age, and an exponential: 600 ln 2 s, 600 ln 10 s."""
    empty = estimate_confirmation(market_of([]), PLAIN, 1.0, 561, age_s=60)
    assert empty.by_block[0] == 1
    assert empty.eta_p50_s == pytest.approx(416, rel=0.01)
    assert empty.eta_p90_s == pytest.approx(1_382, rel=0.01)
    assert empty.predicted_block == TIP + 1


def test_what_waits_beyond_all_blocks_is_said_to() -> None:
    hopeless = estimate_confirmation(market_of([(50.0, CAPACITY_WU * 40)]), PATHS, 1.0, 561)
    assert hopeless.by_block[-1] == 0
    assert (hopeless.eta_p50_s, hopeless.eta_p90_s, hopeless.predicted_block) == (None, None, None)


@few
@given(backlogs, inflows, rates, rates, corrections)
def test_a_higher_rate_is_never_slower(
    waiting: list[tuple[float, float]],
    inflow: list[tuple[float, float]],
    one: float,
    other: float,
    corrected: Corrections,
) -> None:
    market = market_of(waiting, inflow)
    low, high = (
        estimate_confirmation(market, PATHS, r, 561, corrections=corrected) for r in sorted((one, other))
    )
    assert all(a <= b + 1e-9 for a, b in zip(low.by_block, high.by_block, strict=True))


@few
@given(backlogs, inflows, rates, rates, shares)
def test_without_other_ends_the_minutes_of_a_higher_rate_are_never_more(
    waiting: list[tuple[float, float]],
    inflow: list[tuple[float, float]],
    one: float,
    other: float,
    accelerated: float,
) -> None:
    """With them who pays less may be dropped before it could be late."""
    market, corrected = market_of(waiting, inflow), Corrections(inclusion=0.9, accelerated=accelerated)
    low, high = (
        estimate_confirmation(market, PATHS, r, 561, corrections=corrected) for r in sorted((one, other))
    )
    for a, b in ((low.eta_p50_s, high.eta_p50_s), (low.eta_p90_s, high.eta_p90_s)):
        assert a is None or (b is not None and b <= a * 1.000001)


@few
@given(backlogs, inflows, rates, rates)
def test_within_one_table_a_higher_rate_is_never_slower(
    waiting: list[tuple[float, float]], inflow: list[tuple[float, float]], one: float, other: float
) -> None:
    table = ConfirmationTable(market_of(waiting, inflow), PATHS, LADDER)
    low, high = (table.estimate(rate) for rate in sorted((one, other)))
    assert all(a <= b + 1e-9 for a, b in zip(low.by_block, high.by_block, strict=True))
    for a, b in ((low.eta_p50_s, high.eta_p50_s), (low.eta_p90_s, high.eta_p90_s)):
        assert a is None or (b is not None and b <= a * 1.000001)


@few
@given(backlogs, inflows, rates, rates, st.floats(min_value=0, max_value=2 * CAPACITY_WU))
def test_more_in_front_is_never_faster(
    waiting: list[tuple[float, float]],
    inflow: list[tuple[float, float]],
    rate: float,
    added_rate: float,
    added_wu: float,
) -> None:
    less = estimate_confirmation(market_of(waiting, inflow), PATHS, rate, 561)
    more = estimate_confirmation(market_of([*waiting, (added_rate, added_wu)], inflow), PATHS, rate, 561)
    assert all(a >= b - 1e-9 for a, b in zip(less.by_block, more.by_block, strict=True))


@few
@given(backlogs, inflows, rates, corrections)
def test_all_ends_sum_to_one_and_the_distribution_never_falls(
    waiting: list[tuple[float, float]],
    inflow: list[tuple[float, float]],
    rate: float,
    corrected: Corrections,
) -> None:
    estimate = estimate_confirmation(market_of(waiting, inflow), PATHS, rate, 561, corrections=corrected)
    confirmed = estimate.by_block[ENDS_HORIZON - 1]
    total = confirmed + estimate.p_replaced + estimate.p_dropped + estimate.p_waiting
    assert total == pytest.approx(1)
    assert all(a <= b for a, b in pairwise(estimate.by_block))
    assert all(0 <= p <= 1 for p in estimate.by_block)
    assert len(estimate.by_block) == DEPTH


def test_competing_ends_are_those_of_the_formula() -> None:
    within = (0.5, 0.8, *([0.9] * (DEPTH - 2)))
    by_block, p_replaced, p_dropped = compete(within, Corrections(replaced=0.1, dropped=0.05))
    assert by_block[0] == 0.5
    assert by_block[1] == pytest.approx(0.5 + 0.3 * 0.85)
    first_three = 0.1 * (0.5 + 0.2 * 0.85 + 0.1 * 0.85**2)
    assert p_replaced == pytest.approx(first_three + 0.1 * sum(0.1 * 0.85**j for j in range(3, ENDS_HORIZON)))
    assert p_dropped == pytest.approx(p_replaced / 2)


def test_who_is_replaced_before_the_first_block_is_missing_in_all() -> None:
    within = (0.5, *([0.9] * (DEPTH - 1)))
    by_block, p_replaced, p_dropped = compete(
        within, Corrections(replaced_at_once=0.06, dropped_at_once=0.04)
    )
    assert by_block[:2] == pytest.approx((0.45, 0.81))
    assert (p_replaced, p_dropped) == pytest.approx((0.06, 0.04))


def test_of_who_may_be_dropped_the_quick_are_confirmed() -> None:
    """One in five does not outlive a block that did not take it: the median comes earlier."""
    market, thinned = market_of([]), Corrections(inclusion=0.5)
    plain = estimate_confirmation(market, PLAIN, 1.0, 561, age_s=60, corrections=thinned)
    harder = Corrections(inclusion=0.5, replaced=0.1, dropped=0.1)
    competing = estimate_confirmation(market, PLAIN, 1.0, 561, age_s=60, corrections=harder)
    # N is geometric with 0.5, of the confirmed with 1 - 0.5 * 0.8; so many exponentials sum to one.
    assert plain.eta_p50_s == pytest.approx(600 / 0.5 * math.log(2), rel=0.04)
    assert competing.eta_p50_s == pytest.approx(600 / 0.6 * math.log(2), rel=0.04)
    assert competing.eta_p90_s == pytest.approx(600 / 0.6 * math.log(10), rel=0.04)


def test_who_is_lost_after_every_block_has_minutes_all_the_same() -> None:
    lost = Corrections(inclusion=0.5, replaced=0.5, dropped=0.5)
    estimate = estimate_confirmation(market_of([]), PLAIN, 1.0, 561, age_s=60, corrections=lost)
    assert estimate.eta_p50_s == pytest.approx(600 * math.log(2), rel=0.05), "of those in the first block"


def test_to_pay_less_is_never_said_to_be_faster() -> None:
    """It is mined within two minutes or not at all; the median of who pays for any block is later."""
    rush = market_of([(50.0, CAPACITY_WU - 100_000)], [(50.0, 600), (50.0, 6_000)])
    corrections = [Corrections(dropped=0.2)] * len(STANDINGS)
    low, high = (ConfirmationTable(rush, PATHS, corrections).estimate(rate) for rate in (10.0, 100.0))
    assert low.by_block[0] < high.by_block[0] / 5
    assert low.eta_p50_s is not None
    assert low.eta_p50_s >= (high.eta_p50_s or 0)
    alone = estimate_confirmation(rush, PATHS, 10.0, 561, corrections=corrections[0])
    assert alone.eta_p50_s is not None
    assert alone.eta_p50_s >= (high.eta_p50_s or 0) * 0.999


def test_imperfect_inclusion_thins_geometrically() -> None:
    empty = market_of([])
    estimate = estimate_confirmation(empty, PLAIN, 1.0, 561, age_s=60, corrections=Corrections(inclusion=0.9))
    assert estimate.by_block[:3] == pytest.approx((0.9, 0.99, 0.999))
    assert estimate.eta_p90_s is not None
    assert estimate.eta_p90_s > 1_382


def test_acceleration_helps_who_would_wait() -> None:
    hopeless = market_of([(50.0, CAPACITY_WU * 40)])
    estimate = estimate_confirmation(hopeless, PLAIN, 1.0, 561, corrections=Corrections(accelerated=0.25))
    assert estimate.by_block[:2] == pytest.approx((0.25, 0.4375))
    assert estimate.predicted_block == TIP + 3


@pytest.mark.parametrize("rate", [0.05, 0.3, 1.0, 2.5, 8.0, 20.0, 55.0, 500.0, 10_000.0])
def test_the_table_agrees_with_what_is_computed_for_one(rate: float) -> None:
    corrected = Corrections(0.96, 0.005, 0.0005)
    table = ConfirmationTable(CONGESTED, PATHS, [corrected] * len(STANDINGS)).estimate(rate)
    alone = estimate_confirmation(CONGESTED, PATHS, rate, 0, corrections=corrected)
    assert table.by_block == pytest.approx(alone.by_block, abs=0.015)


JUMP = market_of([(1.0, 30e6), (2.0, 5e5)], [(rate, 600.0) for rate in (0.5, 1.0, 2.0, 3.0, 5.0)])
BOUNDARY = market_of([(rate / 100, CAPACITY_WU / 50) for rate in range(100, 300)], [])


@pytest.mark.parametrize("market", [CONGESTED, JUMP, BOUNDARY], ids=["congested", "jump", "boundary"])
def test_the_table_says_of_every_bucket_what_is_computed_for_it_and_never_less_of_a_higher(
    market: FeeMarket,
) -> None:
    table = ConfirmationTable(market, PATHS, [Corrections(inclusion=0.96)] * len(STANDINGS)).filled()
    before = tuple([0.0] * DEPTH)
    for bucket in range(0, BUCKETS, 2):
        told = table.estimate(rate_of(bucket)).by_block
        assert all(a <= b + 1e-9 for a, b in zip(before, told, strict=True))
        before = told
        if 280 < bucket < 440:  # 0.85 to 4 sat/vB
            alone = estimate_confirmation(
                market, PATHS, rate_of(bucket), 0, corrections=Corrections(inclusion=0.96)
            )
            assert told == pytest.approx(alone.by_block, abs=0.015)


def test_just_above_a_crowd_it_is_as_if_the_crowd_were_not_there() -> None:
    """At 1.014 sat/vB nothing of what waits at 1.00 is in front."""
    table = ConfirmationTable(JUMP, PATHS, PLAIN_LADDER)
    assert table.estimate(1.014) == estimate_confirmation(JUMP, PATHS, 1.014, 0)
    assert table.estimate(1.0).by_block[0] == 0
    assert table.estimate(1.014).by_block[0] > 0.9


def test_the_same_seed_gives_the_same_and_another_something_else() -> None:
    one, same, other = (estimate_confirmation(CONGESTED, seeded_paths(seed), 8.0, 561) for seed in (5, 5, 6))
    assert one == same
    assert one != other
    assert one.by_block == pytest.approx(other.by_block, abs=0.06)


def test_rates_far_outside_the_buckets_are_those_of_the_edge() -> None:
    table = ConfirmationTable(CONGESTED, PATHS, PLAIN_LADDER)
    assert table.estimate(0.0) == table.estimate(0.05)
    assert table.estimate(1e9) == table.estimate(1e4)


def test_recalibration_keeps_the_order_and_the_sum() -> None:
    estimate = estimate_confirmation(CONGESTED, PATHS, 8.0, 561, corrections=Corrections(0.9, 0.02, 0.01))
    mended = estimate.recalibrated(lambda k, p: p / 2 if k < 4 else p * 0.9, (1.5, 1.2))
    assert all(a <= b for a, b in pairwise(mended.by_block))
    total = mended.by_block[ENDS_HORIZON - 1] + mended.p_replaced + mended.p_dropped + mended.p_waiting
    assert total == pytest.approx(1)
    assert mended.eta_p50_s == pytest.approx((estimate.eta_p50_s or 0) * 1.5)


def test_what_is_published_are_six_horizons() -> None:
    estimate = ConfirmationEstimate(TIP, tuple(n / DEPTH for n in range(1, DEPTH + 1)), 0.1, 0.1, 1, 2)
    assert tuple(estimate.p_confirm) == HORIZONS
    assert estimate.likely_blocks == DEPTH / 2
    assert estimate.p_within(DEPTH + 5) == 1


def test_memory_and_time_are_bounded_whatever_waits() -> None:
    """No absolute times: a table costs less than 1,000 look-ups times the number of its rows."""
    tracemalloc.start()
    table = ConfirmationTable(CONGESTED, seeded_paths(3), PLAIN_LADDER).filled()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
    started = time.perf_counter()
    for rate in np.geomspace(0.05, 1e4, 500):
        table.estimate(float(rate))
    lookups_s = time.perf_counter() - started
    started = time.perf_counter()
    for _ in range(20):
        estimate_confirmation(CONGESTED, PATHS, 8.0, 561)
    assert lookups_s / 500 < (time.perf_counter() - started) / 20
