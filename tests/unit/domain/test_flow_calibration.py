import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hydrophone.domain.flow_calibration import RELIABILITY, Basis, Calibrated, Reliability, calibrate

OUTFLOWS = (Basis.PAYS_MANY, Basis.PAYS_FEW, Basis.LEAVES_COLD, Basis.LEAVES_DEPOSIT)
INFLOWS = tuple(basis for basis in Basis if basis.startswith("pays_") and basis not in OUTFLOWS)


@st.composite
def shares_of_four(draw: st.DrawFn) -> Calibrated:
    weights = draw(st.tuples(*[st.floats(0, 1)] * 4))
    total = sum(weights)
    assume(total > 0.01)
    return Calibrated(*[weight / total for weight in weights])


temperatures = st.floats(0.1, 3)
intos, outs = st.sampled_from(INFLOWS), st.sampled_from(OUTFLOWS)


@given(shares_of_four(), intos, outs, temperatures)
def test_probabilities_sum_to_one(said: Calibrated, into: Basis, out: Basis, temperature: float) -> None:
    found = calibrate(said, into=into, out=out, temperature=temperature)
    assert sum(found) == pytest.approx(1)
    assert all(0 <= probability <= 1 for probability in found)


@given(shares_of_four(), intos, outs)
def test_at_temperature_one_only_reliability_is_taken_off(said: Calibrated, into: Basis, out: Basis) -> None:
    found = calibrate(said, into=into, out=out, temperature=1)
    expected = (
        said.inflow * RELIABILITY[into].share,
        said.outflow * RELIABILITY[out].share,
        said.internal * RELIABILITY[Basis.BOTH_SIDES].share,
    )
    assert found[:3] == pytest.approx(expected)
    assert found.unknown == pytest.approx(1 - sum(expected))


@given(st.tuples(st.floats(0, 1), st.floats(0, 1)), intos, outs, temperatures, st.sampled_from([0, 1, 2]))
def test_the_more_labels_say_for_a_direction_the_likelier_it_is(
    pair: tuple[float, float], into: Basis, out: Basis, temperature: float, at: int
) -> None:
    def likely(share: float) -> float:
        said = [0.0, 0.0, 0.0, 1 - share]
        said[at] = share
        return calibrate(Calibrated(*said), into=into, out=out, temperature=temperature)[at]

    low, high = sorted(pair)
    assert likely(low) <= likely(high) + 1e-12
    if high - low > 0.01 and 0.3 < low < high < 0.7:
        assert likely(low) < likely(high)


@given(shares_of_four(), intos, outs)
def test_a_low_temperature_sharpens_and_a_high_one_blunts(said: Calibrated, into: Basis, out: Basis) -> None:
    assume(max(said[:3]) < 0.99 and said.unknown < min(0.4, max(said[:3]) - 0.05))
    best = max(range(3), key=said.__getitem__)
    cold, plain, hot = (
        calibrate(said, into=into, out=out, temperature=temperature)[best] for temperature in (0.3, 1, 3)
    )
    assert cold >= plain - 1e-12
    assert plain >= hot - 1e-12


@given(intos, outs)
def test_what_is_certain_is_as_likely_as_its_basis_was_right(into: Basis, out: Basis) -> None:
    inflow = calibrate(Calibrated(1, 0, 0, 0), into=into, out=out, temperature=0.3)
    assert inflow == pytest.approx((RELIABILITY[into].share, 0, 0, 1 - RELIABILITY[into].share))
    outflow = calibrate(Calibrated(0, 1, 0, 0), into=into, out=out, temperature=0.3)
    assert outflow == pytest.approx((0, RELIABILITY[out].share, 0, 1 - RELIABILITY[out].share))


def test_what_labels_do_not_know_stays_unknown() -> None:
    found = calibrate(Calibrated(0, 0, 0, 1), into=Basis.PAYS_DEPOSIT, out=Basis.PAYS_MANY, temperature=0.3)
    assert found == (0, 0, 0, 1)


@pytest.mark.parametrize("basis", list(Basis))
def test_how_often_each_basis_was_right_is_known(basis: Basis) -> None:
    right, n = RELIABILITY[basis]
    assert 0 <= right <= n
    assert n > 0
    assert 0 < RELIABILITY[basis].share < 1


def test_nothing_was_counted_that_is_no_basis() -> None:
    assert set(RELIABILITY) == set(Basis)


@pytest.mark.parametrize(("right", "n", "share"), [(0, 0, 0.5), (0, 8, 0.1), (8, 8, 0.9), (3, 4, 4 / 6)])
def test_few_answers_are_believed_less_than_many(right: int, n: int, share: float) -> None:
    assert Reliability(right, n).share == pytest.approx(share)
