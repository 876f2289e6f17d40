import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.urgency import calculate_urgency_score

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
