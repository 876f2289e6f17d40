import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.feemarket import FeeMarket
from hydrophone.domain.units import Height
from hydrophone.domain.urgency import (
    UrgencyBasis,
    calculate_urgency_score,
    fallback_urgency,
    score_urgency,
)

fee_rates = st.floats(min_value=0, allow_nan=False, allow_infinity=False)


def test_scores_are_what_the_quickstart_promises() -> None:
    assert calculate_urgency_score(5) < 0.3
    assert 0.3 <= calculate_urgency_score(25) <= 0.7
    assert calculate_urgency_score(100) > 0.8
    assert calculate_urgency_score(1000) == 1.0


def test_paying_nothing_is_not_urgent_at_all() -> None:
    assert calculate_urgency_score(0) == 0.0


def test_rates_below_one_sat_per_vbyte_still_differ() -> None:
    assert 0 < calculate_urgency_score(0.1) < calculate_urgency_score(0.2) < calculate_urgency_score(1)


def test_the_cap_is_reached_at_500_and_not_before() -> None:
    assert calculate_urgency_score(500) == 1.0
    assert calculate_urgency_score(499) < 1.0


@given(fee_rates)
def test_every_score_is_in_the_unit_interval(fee_rate: float) -> None:
    assert 0 <= calculate_urgency_score(fee_rate) <= 1


@given(fee_rates, fee_rates)
def test_paying_more_is_never_less_urgent(one: float, other: float) -> None:
    assert calculate_urgency_score(min(one, other)) <= calculate_urgency_score(max(one, other))


@pytest.mark.parametrize("fee_rate", [-0.001, math.nan, math.inf, -math.inf])
def test_a_rate_that_is_none_is_refused_with_the_rate_in_the_message(fee_rate: float) -> None:
    with pytest.raises(ValueError, match=f"found {fee_rate}"):
        calculate_urgency_score(fee_rate)


# With a market.

waiting = st.lists(
    st.tuples(st.floats(min_value=0.05, max_value=1e4), st.floats(min_value=0, max_value=4e6)), max_size=15
)


@given(waiting, waiting, fee_rates, fee_rates)
def test_against_a_market_too_it_is_in_the_unit_interval_and_never_falls(
    pool: list[tuple[float, float]], mined: list[tuple[float, float]], one: float, other: float
) -> None:
    market = FeeMarket.from_rates(pool, pool, tip=Height(1), mined=mined)
    low, high = (calculate_urgency_score(rate, market) for rate in sorted((one, other)))
    assert 0 <= low <= high + 1e-9 <= 1 + 1e-9


def test_the_same_rate_is_urgent_in_a_quiet_market_and_not_in_a_hot_one() -> None:
    quiet = FeeMarket.from_rates([(1, 1e6)], [], tip=Height(1), mined=[(1, 3e6)])
    hot = FeeMarket.from_rates([(100, 8e6)], [], tip=Height(1), mined=[(100, 3e6)])
    assert calculate_urgency_score(10, quiet) > 0.9
    assert calculate_urgency_score(10, hot) == 0


def test_before_a_block_was_seen_the_curve_holds() -> None:
    market = FeeMarket.from_rates([(100, 8e6)], [], tip=Height(1))
    assert calculate_urgency_score(10, market) == calculate_urgency_score(10)


def test_bumps_raise_it_twice_at_most_and_are_said() -> None:
    market = FeeMarket.from_rates([(5, 1e6)], [], tip=Height(1), mined=[(2, 1e6), (8, 1e6)])
    plain, once, twice, often = (score_urgency(5, market, 0.4, bumps) for bumps in (0, 1, 2, 9))
    assert plain.score < once.score < twice.score == often.score < 1
    assert "fee raised 1 time" in once.reason
    assert "fee raised" not in plain.reason
    assert plain.basis is UrgencyBasis.FEE_MARKET
    assert plain.overpay == pytest.approx(1, abs=0.02)


def test_the_fallback_says_that_it_is_one() -> None:
    urgency = fallback_urgency(25, bumps=1)
    assert urgency.basis is UrgencyBasis.FALLBACK_CURVE
    assert urgency.score > calculate_urgency_score(25)
    assert "no fee market" in urgency.reason
