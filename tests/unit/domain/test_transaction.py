import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.transaction import MAX_BIP125_SEQUENCE, Input, OutPoint, Output, Transaction
from hydrophone.domain.units import Sats, WeightUnits
from tests.builders import txid_of, wpkh

FINAL = 0xFFFFFFFF


def output(value_sat: int) -> Output:
    return Output(wpkh(1), Sats(value_sat))


def spending(*sequences: int) -> tuple[Input, ...]:
    return tuple(Input(OutPoint(txid_of(n), n), sequence) for n, sequence in enumerate(sequences))


def transaction(
    inputs: tuple[Input, ...] = spending(FINAL), *values_sat: int, fee_sat: int | None = None
) -> Transaction:
    return Transaction(
        txid=txid_of("a transaction"),
        inputs=inputs,
        outputs=tuple(output(value_sat) for value_sat in values_sat),
        weight_wu=WeightUnits(600),
        fee_sat=None if fee_sat is None else Sats(fee_sat),
    )


def test_gross_is_the_sum_of_the_outputs() -> None:
    assert transaction(spending(FINAL), 1, 2, 3).gross_sat == 6
    assert transaction().gross_sat == 0


@pytest.mark.parametrize(
    ("sequences", "signals"),
    [
        ((FINAL,), False),
        ((MAX_BIP125_SEQUENCE + 1,), False),
        ((MAX_BIP125_SEQUENCE,), True),
        ((0,), True),
        ((FINAL, FINAL, MAX_BIP125_SEQUENCE), True),
    ],
)
def test_one_input_is_enough_to_signal_replaceability(sequences: tuple[int, ...], *, signals: bool) -> None:
    assert transaction(spending(*sequences)).signals_rbf is signals


def test_an_input_without_an_outpoint_makes_coins() -> None:
    assert transaction((Input(None, FINAL),)).is_coinbase
    assert not transaction(spending(FINAL)).is_coinbase


def test_the_fee_rate_is_unknown_with_the_fee() -> None:
    assert transaction().fee_rate is None
    assert transaction(fee_sat=300).fee_rate == 2.0
    assert transaction(fee_sat=0).fee_rate == 0.0


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=5), st.integers(0, 10**6))
def test_prevouts_go_to_their_inputs_and_leave_the_rest_as_it_was(
    values_sat: list[int], sent_sat: int
) -> None:
    values_sat[0] += sent_sat
    unresolved = transaction(spending(*range(len(values_sat))), sent_sat)
    resolved = unresolved.with_prevouts([output(value_sat) for value_sat in values_sat])
    assert not unresolved.has_all_prevouts
    assert resolved.has_all_prevouts
    assert [i.prevout for i in resolved.inputs] == [output(value_sat) for value_sat in values_sat]
    assert [(i.outpoint, i.sequence) for i in resolved.inputs] == [
        (i.outpoint, i.sequence) for i in unresolved.inputs
    ]
    assert (resolved.txid, resolved.outputs, resolved.weight_wu) == (
        unresolved.txid,
        unresolved.outputs,
        unresolved.weight_wu,
    )


def test_a_missing_fee_follows_from_the_prevouts() -> None:
    resolved = transaction(spending(FINAL, FINAL), 70).with_prevouts([output(50), output(30)])
    assert resolved.fee_sat == 10


def test_a_fee_that_was_told_is_kept() -> None:
    resolved = transaction(spending(FINAL), 70, fee_sat=9).with_prevouts([output(80)])
    assert resolved.fee_sat == 9


def test_some_prevouts_are_not_all() -> None:
    known = Input(OutPoint(txid_of("a"), 0), FINAL, output(1))
    assert not transaction((known, *spending(FINAL))).has_all_prevouts


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_prevouts_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"expected 2 prevouts of {txid_of('a transaction')}, found {count}"):
        transaction(spending(FINAL, FINAL)).with_prevouts([output(1)] * count)


def test_prevouts_worth_less_than_the_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match="worth 1 sat less than its outputs"):
        transaction(spending(FINAL), 70).with_prevouts([output(69)])


def test_prevouts_worth_exactly_the_outputs_pay_no_fee() -> None:
    assert transaction(spending(FINAL), 70).with_prevouts([output(70)]).fee_sat == 0
