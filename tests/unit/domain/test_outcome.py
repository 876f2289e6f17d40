import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.outcome import Outcome, Status, accuracy_score, came_by
from hydrophone.domain.units import Height, UnixMicros
from tests.contract.fake_store import txid

BLOCK = Height(970_000)
P = st.floats(0, 1)


def outcome(status: Status, height: int | None = None) -> Outcome:
    return Outcome(
        "p", txid(1), status, UnixMicros(2), UnixMicros(1), None if height is None else Height(height)
    )


ENDS = st.one_of(
    st.integers(969_990, 970_010).map(lambda height: outcome(Status.CONFIRMED, height)),
    st.sampled_from([outcome(Status.REPLACED), outcome(Status.DROPPED)]),
)


@pytest.mark.parametrize(
    ("end", "came"),
    [
        (outcome(Status.CONFIRMED, BLOCK), True),
        (outcome(Status.CONFIRMED, BLOCK - 5), True),
        (outcome(Status.CONFIRMED, BLOCK + 1), False),
        (outcome(Status.CONFIRMED), False),
        (outcome(Status.REPLACED), False),
        (outcome(Status.DROPPED), False),
    ],
)
def test_a_prediction_came_true_if_confirmed_by_its_block(end: Outcome, came: bool) -> None:
    assert came_by(end, BLOCK) is came
    assert accuracy_score(end, BLOCK, 0.75) == (1 - 0.25**2 if came else 1 - 0.75**2)


@given(ENDS, P)
def test_a_score_is_in_the_unit_interval_and_certainty_pays_only_when_right(end: Outcome, p: float) -> None:
    score = accuracy_score(end, BLOCK, p)
    assert score is not None
    assert 0 <= score <= 1
    assert accuracy_score(end, BLOCK, float(came_by(end, BLOCK))) == 1


@given(P, P)
def test_who_says_what_they_believe_scores_best_on_average(believed: float, said: float) -> None:
    def expected(p: float) -> float:
        right = accuracy_score(outcome(Status.CONFIRMED, BLOCK), BLOCK, p)
        wrong = accuracy_score(outcome(Status.DROPPED), BLOCK, p)
        assert right is not None
        assert wrong is not None
        return believed * right + (1 - believed) * wrong

    assert expected(said) <= expected(believed) + 1e-12


@given(ENDS)
def test_where_no_block_was_predicted_nothing_is_scored(end: Outcome) -> None:
    assert accuracy_score(end, None, 0.75) is None
    assert accuracy_score(end, BLOCK, None) is None
