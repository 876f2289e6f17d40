"""The quickstart's urgency scorer, by its name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.whale_urgency_scorer import calculate_urgency_score

fee_rates = st.floats(0, 10_000)


def test_cheap_senders_are_in_no_hurry() -> None:
    assert calculate_urgency_score(1) < 0.1
    assert calculate_urgency_score(5) < 0.3


def test_medium_fees_score_in_the_middle() -> None:
    assert 0.3 <= calculate_urgency_score(25) <= 0.7


def test_who_pays_much_is_in_a_hurry() -> None:
    assert calculate_urgency_score(100) > 0.8


def test_the_score_ends_at_one() -> None:
    assert calculate_urgency_score(1_000) == 1.0
    assert calculate_urgency_score(1_000_000) == 1.0


@given(fee_rates, fee_rates)
def test_a_higher_rate_never_scores_lower(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= calculate_urgency_score(low) <= calculate_urgency_score(high) <= 1


@pytest.mark.parametrize("fee_rate", [-1, float("nan"), float("inf")])
def test_what_is_no_fee_rate_is_refused(fee_rate: float) -> None:
    with pytest.raises(ValueError, match="expected a fee rate"):
        calculate_urgency_score(fee_rate)
