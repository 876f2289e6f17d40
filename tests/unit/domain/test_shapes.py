"""Each rule of a shape is shown on both sides of each of its limits."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.shapes import Looks, Shape, recognise
from hydrophone.domain.transaction import Output
from tests.builders import wpkh
from tests.flows import ANCHOR, BTC, DATA, p2sh, pay, payments, taproot


def coins(count: int, *, scripts: int | None = None, value_sat: int = BTC + 1) -> list[Output]:
    """Return prevouts of so many scripts; one script each unless told otherwise."""
    return [pay(wpkh(1000 + n % (scripts or count)), value_sat) for n in range(count)]


def paid(values_sat: Sequence[int]) -> list[Output]:
    """Return an output to a script of its own for each value."""
    return [pay(wpkh(5000 + n), value_sat) for n, value_sat in enumerate(values_sat)]


def odd(count: int, start_sat: int = 3 * BTC) -> list[int]:
    """Return values that all differ, and from every denomination."""
    return [start_sat + 7 * n + 1 for n in range(count)]


def looks(prevouts: Sequence[Output], outputs: Sequence[Output], *, is_exchange: bool = False) -> Looks:
    return recognise(prevouts, outputs, is_exchange=is_exchange)


def shape(
    prevouts: Sequence[Output], outputs: Sequence[Output], *, is_exchange: bool = False
) -> Shape | None:
    return looks(prevouts, outputs, is_exchange=is_exchange).shape


class TestWabiSabi:
    @pytest.mark.parametrize(("input_count", "is_one"), [(49, False), (50, True), (400, True)])
    def test_it_takes_fifty_inputs(self, input_count: int, *, is_one: bool) -> None:
        outputs = paid([20_000] * 20 + [50_000] * 20 + odd(10))
        assert (shape(coins(input_count), outputs) is Shape.COINJOIN_WABISABI) is is_one

    @pytest.mark.parametrize(("least_sat", "is_one"), [(4_999, False), (5_000, True)])
    def test_no_output_is_below_the_least_that_the_coordinator_takes(
        self, least_sat: int, *, is_one: bool
    ) -> None:
        outputs = paid([20_000] * 20 + [50_000] * 20 + [least_sat])
        assert (shape(coins(60), outputs) is Shape.COINJOIN_WABISABI) is is_one

    @pytest.mark.parametrize(("odd_count", "is_one"), [(11, True), (12, False)])
    def test_all_but_one_more_than_half_of_the_outputs_share_their_value(
        self, odd_count: int, *, is_one: bool
    ) -> None:
        outputs = paid([20_000] * 5 + [50_000] * 5 + odd(odd_count))
        assert (shape(coins(60), outputs) is Shape.COINJOIN_WABISABI) is is_one

    @pytest.mark.parametrize(("input_count", "is_one"), [(60, True), (61, False)])
    def test_a_tenth_as_many_outputs_as_inputs_share_their_value(
        self, input_count: int, *, is_one: bool
    ) -> None:
        outputs = paid([20_000] * 3 + [50_000] * 3)
        assert (shape(coins(input_count), outputs) is Shape.COINJOIN_WABISABI) is is_one

    def test_values_that_occur_once_are_not_shared(self) -> None:
        assert shape(coins(60), paid(odd(30))) is None

    def test_it_is_one_even_with_a_labelled_exchange_among_the_inputs(self) -> None:
        outputs = paid([20_000] * 20 + [50_000] * 20)
        assert shape(coins(60), outputs, is_exchange=True) is Shape.COINJOIN_WABISABI


class TestWasabi1:
    @pytest.mark.parametrize(
        ("value_sat", "is_one"),
        [(9_499_999, False), (9_500_000, True), (10_000_000, True), (10_500_000, True), (10_500_001, False)],
    )
    def test_the_equal_outputs_are_a_tenth_of_a_coin_within_five_percent(
        self, value_sat: int, *, is_one: bool
    ) -> None:
        outputs = paid([value_sat] * 6 + odd(3))
        assert (shape(coins(12), outputs) is Shape.COINJOIN_WASABI_1) is is_one

    @pytest.mark.parametrize(("odd_count", "is_one"), [(7, True), (8, False)])
    def test_at_most_one_more_has_change_than_gets_an_equal_output(
        self, odd_count: int, *, is_one: bool
    ) -> None:
        outputs = paid([10_000_000] * 6 + odd(odd_count))
        assert (shape(coins(12), outputs) is Shape.COINJOIN_WASABI_1) is is_one

    @pytest.mark.parametrize(("owners", "is_one"), [(5, False), (6, True), (42, True), (43, False)])
    def test_who_gets_an_equal_output_brings_one_script_to_seven(self, owners: int, *, is_one: bool) -> None:
        outputs = paid([10_000_000] * 6 + odd(3))
        assert (shape(coins(owners), outputs) is Shape.COINJOIN_WASABI_1) is is_one

    def test_inputs_of_one_script_are_one_owner(self) -> None:
        outputs = paid([10_000_000] * 6 + odd(3))
        assert shape(coins(12, scripts=5), outputs) is None

    @pytest.mark.parametrize(("equal", "is_one"), [(1, False), (2, True)])
    def test_one_output_is_equal_to_nothing(self, equal: int, *, is_one: bool) -> None:
        outputs = paid([10_000_000] * equal + odd(1))
        assert (shape(coins(2), outputs) is Shape.COINJOIN_WASABI_1) is is_one

    def test_a_batch_of_a_labelled_exchange_is_none(self) -> None:
        outputs = paid([10_000_000] * 6 + odd(3))
        assert shape(coins(12), outputs, is_exchange=True) is None


class TestWhirlpool:
    @pytest.mark.parametrize("value_sat", [100_000, 1_000_000, 5_000_000, 50_000_000])
    def test_five_pay_five_the_amount_of_a_pool(self, value_sat: int) -> None:
        assert shape(coins(5), paid([value_sat] * 5)) is Shape.COINJOIN_WHIRLPOOL
        assert shape(coins(5), paid([value_sat] * 5), is_exchange=True) is Shape.COINJOIN_WHIRLPOOL

    @pytest.mark.parametrize("value_sat", [99_999, 100_001, 10_000_000, 500_000_000])
    def test_other_amounts_have_no_pool(self, value_sat: int) -> None:
        assert shape(coins(5), paid([value_sat] * 5)) is not Shape.COINJOIN_WHIRLPOOL

    @pytest.mark.parametrize(
        ("prevouts", "outputs"),
        [
            pytest.param(coins(4), paid([5_000_000] * 5), id="four inputs"),
            pytest.param(coins(6), paid([5_000_000] * 5), id="six inputs"),
            pytest.param(coins(5), paid([5_000_000] * 4), id="four outputs"),
            pytest.param(coins(6), paid([5_000_000] * 6), id="six of each"),
            pytest.param(coins(5), paid([5_000_000] * 4 + [5_000_001]), id="one differs"),
            pytest.param(coins(5), paid([5_000_000] * 5 + odd(1)), id="change"),
            pytest.param(coins(5, scripts=4), paid([5_000_000] * 5), id="one brings two inputs"),
        ],
    )
    def test_any_other_number_is_none(self, prevouts: list[Output], outputs: list[Output]) -> None:
        assert shape(prevouts, outputs) is not Shape.COINJOIN_WHIRLPOOL


class TestJoinMarket:
    @pytest.mark.parametrize(
        ("equal", "change", "is_one"),
        [
            (2, 0, False),
            (2, 1, True),
            (2, 2, True),
            (2, 3, False),
            (3, 1, False),
            (3, 2, True),
            (3, 3, True),
            (3, 4, False),
            (1, 1, False),
        ],
    )
    def test_each_but_one_at_most_has_change_beside_the_equal_amount(
        self, equal: int, change: int, *, is_one: bool
    ) -> None:
        outputs = paid([77_000_000] * equal + odd(change))
        assert (shape(coins(4), outputs) is Shape.COINJOIN_JOINMARKET) is is_one

    def test_equal_payments_with_one_change_are_none(self) -> None:
        assert shape(coins(8), paid([77_000_000] * 5 + odd(1))) is None

    @pytest.mark.parametrize(("owners", "is_one"), [(2, False), (3, True), (30, True)])
    def test_who_gets_the_equal_amount_brings_a_script(self, owners: int, *, is_one: bool) -> None:
        outputs = paid([77_000_000] * 3 + odd(3))
        assert (shape(coins(owners), outputs) is Shape.COINJOIN_JOINMARKET) is is_one

    def test_inputs_of_one_script_are_one_owner(self) -> None:
        assert shape(coins(9, scripts=2), paid([77_000_000] * 3 + odd(3))) is None

    def test_two_equal_payments_of_a_labelled_exchange_are_none(self) -> None:
        outputs = paid([77_000_000] * 2 + odd(1))
        assert shape(coins(4), outputs, is_exchange=True) is None

    def test_nobody_mixes_into_a_script_that_is_paid_twice(self) -> None:
        first, *others = paid([77_000_000] * 3 + odd(3))
        assert shape(coins(6), [first, *others]) is Shape.COINJOIN_JOINMARKET
        twice = [first, *others[:-1], pay(first.script, others[-1].value_sat)]
        assert shape(coins(6), twice) is None

    def test_data_beside_it_is_not_counted(self) -> None:
        outputs = [*paid([77_000_000] * 2 + odd(2)), pay(DATA, 0), pay(ANCHOR, 240), pay(wpkh(8), 0)]
        assert shape(coins(4), outputs) is Shape.COINJOIN_JOINMARKET


class TestBatch:
    """Two of three: many script types, many scripts, amounts far apart."""

    @pytest.mark.parametrize(("output_count", "is_one"), [(9, False), (10, True)])
    def test_it_pays_ten_or_more(self, output_count: int, *, is_one: bool) -> None:
        outputs = paid([*odd(output_count - 1), 1_000])
        assert (shape(coins(1), outputs) is Shape.BATCH) is is_one

    @pytest.mark.parametrize(("scripts", "is_one"), [(10, True), (11, False)])
    def test_it_comes_out_of_few_scripts(self, scripts: int, *, is_one: bool) -> None:
        outputs = paid([*odd(11), 1_000])
        assert (shape(coins(scripts), outputs) is Shape.BATCH) is is_one
        assert (shape(coins(3 * scripts, scripts=scripts), outputs) is Shape.BATCH) is is_one

    @pytest.mark.parametrize(("largest_sat", "is_one"), [(100_000, False), (100_001, True)])
    def test_amounts_a_hundredfold_apart_are_a_sign(self, largest_sat: int, *, is_one: bool) -> None:
        outputs = paid([1_000, largest_sat, *(2_000 + n for n in range(10))])
        assert (shape(coins(1), outputs) is Shape.BATCH) is is_one

    @pytest.mark.parametrize(("scripts", "is_one"), [(8, True), (7, False)])
    def test_four_scripts_to_five_payments_are_a_sign(self, scripts: int, *, is_one: bool) -> None:
        values = [1_000, 200_000, *(2_000 + n for n in range(8))]
        outputs = [pay(wpkh(5000 + n % scripts), value) for n, value in enumerate(values)]
        assert (shape(coins(1), outputs) is Shape.BATCH) is is_one

    @pytest.mark.parametrize(("kinds", "is_one"), [((wpkh, taproot), False), ((wpkh, taproot, p2sh), True)])
    def test_three_script_types_are_a_sign(self, kinds: tuple[object, ...], *, is_one: bool) -> None:
        makers = [maker for maker in (wpkh, taproot, p2sh) if maker in kinds]
        outputs = [pay(makers[n % len(makers)](5000 + n), 2_000 + n) for n in range(12)]
        assert (shape(coins(1), outputs) is Shape.BATCH) is is_one

    def test_two_signs_suffice_without_many_scripts(self) -> None:
        makers = (wpkh, taproot, p2sh)
        outputs = [pay(makers[n % 3](0), 1_000 if n else 200_000) for n in range(12)]
        assert shape(coins(1), outputs) is Shape.BATCH

    def test_one_sign_does_not(self) -> None:
        assert shape(coins(1), paid(odd(40))) is None

    def test_data_is_no_payment(self) -> None:
        assert shape(coins(1), [*paid([*odd(8), 1_000]), pay(DATA, 0), pay(DATA, 1)]) is None


class TestConsolidation:
    @pytest.mark.parametrize(("input_count", "is_one"), [(19, False), (20, True)])
    def test_it_spends_twenty_coins_or_more(self, input_count: int, *, is_one: bool) -> None:
        assert (shape(coins(input_count), paid(odd(1))) is Shape.CONSOLIDATION) is is_one

    @pytest.mark.parametrize(("output_count", "is_one"), [(1, True), (2, True), (3, False)])
    def test_it_makes_one_coin_or_two(self, output_count: int, *, is_one: bool) -> None:
        assert (shape(coins(30), paid(odd(output_count))) is Shape.CONSOLIDATION) is is_one

    def test_all_its_coins_are_of_one_type(self) -> None:
        assert shape([*coins(30), pay(taproot(1), BTC)], paid(odd(1))) is None

    def test_coins_of_one_script_are_as_good(self) -> None:
        assert shape(coins(30, scripts=1), paid(odd(1))) is Shape.CONSOLIDATION

    def test_what_pays_nobody_is_none(self) -> None:
        assert shape(coins(30), [pay(DATA, 0)]) is None


class TestGathering:
    @pytest.mark.parametrize(("input_count", "is_one"), [(4, False), (5, True)])
    def test_it_spends_five_coins_or_more(self, input_count: int, *, is_one: bool) -> None:
        assert looks(coins(input_count), paid(odd(1))).is_gathering is is_one

    def test_every_script_is_used_once(self) -> None:
        assert not looks(coins(6, scripts=5), paid(odd(1))).is_gathering

    def test_all_goes_to_one_script(self) -> None:
        assert not looks(coins(6), paid(odd(2))).is_gathering
        assert looks(coins(6), [pay(wpkh(1), BTC), pay(wpkh(1), BTC)]).is_gathering

    def test_data_beside_it_changes_nothing(self) -> None:
        assert looks(coins(6), [*paid(odd(1)), pay(DATA, 0)]).is_gathering
        assert not looks(coins(6), [pay(DATA, 0)]).is_gathering


class TestSpareInput:
    @pytest.mark.parametrize(("payment_sat", "is_spare"), [(499, True), (500, False), (501, False)])
    def test_an_input_is_spare_when_the_others_are_worth_more_than_the_larger_output(
        self, payment_sat: int, *, is_spare: bool
    ) -> None:
        prevouts = [pay(wpkh(1), 300), pay(wpkh(2), 200), pay(wpkh(3), 100)]
        assert looks(prevouts, paid([payment_sat, 50])).has_spare_input is is_spare
        assert looks(prevouts, paid([50, payment_sat])).has_spare_input is is_spare

    def test_it_takes_two_inputs_and_two_outputs(self) -> None:
        assert not looks([pay(wpkh(1), 300)], paid([1, 2])).has_spare_input
        prevouts = [pay(wpkh(1), 300), pay(wpkh(2), 200)]
        assert looks(prevouts, paid([1, 2])).has_spare_input
        assert not looks(prevouts, paid([1])).has_spare_input
        assert not looks(prevouts, paid([1, 2, 3])).has_spare_input


class TestRoundTotal:
    @pytest.mark.parametrize(
        ("values_sat", "is_round"),
        [
            ([10_000_000, 3_333_333], True),
            ([10_000_001, 3_333_333], False),
            ([9_000_000, 3_333_333], False),
            ([6_000_001, 3_999_999, 123], True),
            ([6_000_001, 3_999_999, 4_000_000], False),
            ([10_000_000], False),
            ([], False),
        ],
    )
    def test_all_but_the_smallest_make_tenths_of_a_coin(
        self, values_sat: list[int], *, is_round: bool
    ) -> None:
        assert looks(coins(1), paid(values_sat)).has_round_total is is_round


def test_change_can_only_be_what_somebody_can_spend() -> None:
    outputs = [pay(wpkh(1), 1), pay(DATA, 5), pay(taproot(1), 0), pay(ANCHOR, 240), pay(taproot(2), 2)]
    assert looks(coins(1), outputs).candidates == (0, 4)
    assert looks(coins(1), [pay(ANCHOR + b"\x00", 240)]).candidates == (0,)


def test_many_coins_spent_to_pay_an_exchange_are_no_consolidation() -> None:
    many, two = coins(25), paid(odd(2))
    assert recognise(many, two, is_exchange=False).shape is Shape.CONSOLIDATION
    assert recognise(many, two, is_exchange=False, pays_exchange=True).shape is None


def test_a_plain_payment_has_no_shape() -> None:
    found = looks(coins(1), paid(odd(2)))
    assert (found.shape, found.is_gathering, found.has_spare_input) == (None, False, False)


@pytest.mark.parametrize("each", list(Shape))
def test_only_coinjoins_are_coinjoins(each: Shape) -> None:
    assert each.is_coinjoin is each.startswith("coinjoin_")


some = st.lists(payments, min_size=1, max_size=30)


@given(some, st.lists(payments, max_size=30), st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_inputs_and_outputs_decides_nothing(
    prevouts: list[Output], outputs: list[Output], is_exchange: bool, random: Random
) -> None:
    straight = recognise(prevouts, outputs, is_exchange=is_exchange)
    order = random.sample(range(len(outputs)), len(outputs))
    mixed = recognise(
        random.sample(prevouts, len(prevouts)), [outputs[at] for at in order], is_exchange=is_exchange
    )
    assert mixed[:4] == straight[:4]
    assert sorted(order[at] for at in mixed.candidates) == list(straight.candidates)


@given(some, st.lists(payments, max_size=30))
def test_an_exchange_among_the_inputs_only_takes_coinjoins_away(
    prevouts: list[Output], outputs: list[Output]
) -> None:
    without = shape(prevouts, outputs)
    found = shape(prevouts, outputs, is_exchange=True)
    assert found is without or (without is not None and without.is_coinjoin)
