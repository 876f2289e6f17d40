from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import exp, isclose
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.change import ChangeEstimate, ChangeVote, FiredVote, estimate_change
from hydrophone.domain.flow_parameters import DEFAULT
from hydrophone.domain.shapes import recognise
from hydrophone.domain.transaction import Output
from tests.builders import wpkh
from tests.flows import ANCHOR, BTC, DATA, pay, taproot


def estimate(
    prevouts: Sequence[Output],
    outputs: Sequence[Output],
    *,
    sender: str | None = None,
    receivers: Mapping[int, Mapping[str, float]] | None = None,
) -> ChangeEstimate:
    claims = receivers or {}
    looks = recognise(prevouts, outputs, is_exchange=sender is not None)
    return estimate_change(
        prevouts, outputs, looks, sender=sender, receivers=[claims.get(i, {}) for i in range(len(outputs))]
    )


# One taproot input and odd amounts below it to other types: no vote can fire.
SPENT = [pay(taproot(1), 1_000_000_007)]
NO_VOTES = [pay(wpkh(2), 300_000_001), pay(wpkh(3), 600_000_003)]


def test_a_single_output_is_a_payment() -> None:
    found = estimate(SPENT, [pay(taproot(2), 999_999_999)])
    assert found == ChangeEstimate((0.0,), 1.0, (), ())


def test_without_votes_two_outputs_share_the_prior_evenly() -> None:
    found = estimate(SPENT, NO_VOTES)
    assert found.votes == ()
    assert found.probabilities == pytest.approx((0.45, 0.45))


def test_without_votes_three_outputs_share_a_smaller_prior() -> None:
    found = estimate(SPENT, [*NO_VOTES, pay(wpkh(4), 1_000_001)])
    assert found.probabilities == pytest.approx((0.85 / 3,) * 3)


def test_a_known_sender_rarely_has_change_to_unknown_scripts() -> None:
    assert estimate(SPENT, NO_VOTES, sender="a").probabilities == pytest.approx((0.075, 0.075))


@pytest.mark.parametrize(
    ("payment_sat", "weight"),
    [
        (310_000_000, 5.36),
        (311_000_000, 3.75),
        (311_100_000, 3.99),
        (311_110_000, 4.30),
        (311_111_000, 4.22),
        (311_111_100, 3.68),
    ],
)
def test_the_output_beside_a_round_payment_is_change(payment_sat: int, weight: float) -> None:
    found = estimate(SPENT, [pay(wpkh(2), payment_sat), pay(wpkh(3), 600_000_003)])
    assert found.votes == (FiredVote(ChangeVote.ROUND_PAYMENT, 1, weight),)
    raised = 0.45 * exp(0.7 * weight)
    assert found.probabilities == pytest.approx((0.45 / (0.55 + raised), raised / (0.55 + raised)))


def test_a_payment_divisible_by_ten_alone_is_not_round() -> None:
    assert estimate(SPENT, [pay(wpkh(2), 311_111_110), pay(wpkh(3), 600_000_003)]).votes == ()


def test_two_equally_round_amounts_say_nothing() -> None:
    assert estimate(SPENT, [pay(wpkh(2), 3 * BTC), pay(wpkh(3), 6 * BTC)]).votes == ()


def test_the_rounder_of_two_round_amounts_is_the_payment() -> None:
    found = estimate(SPENT, [pay(wpkh(2), 3 * BTC), pay(wpkh(3), 600_100_000)])
    assert found.votes == (FiredVote(ChangeVote.ROUND_PAYMENT, 1, 5.36),)


def test_among_many_round_payments_the_odd_one_is_change() -> None:
    outputs = [pay(wpkh(2), BTC), pay(wpkh(3), 123_456_789), pay(wpkh(4), 2 * BTC)]
    assert [fired.output_index for fired in estimate(SPENT, outputs).votes] == [1]


def test_two_odd_amounts_among_round_ones_say_nothing() -> None:
    outputs = [pay(wpkh(2), BTC), pay(wpkh(3), 123_456_789), pay(wpkh(4), 123_456_787)]
    assert estimate(SPENT, outputs).votes == ()


def test_the_only_output_below_every_input_is_change() -> None:
    prevouts = [pay(taproot(1), 500_000_001), pay(wpkh(9), 450_000_001)]
    found = estimate(prevouts, [pay(wpkh(2), 449_999_999), pay(wpkh(3), 500_000_000)])
    assert FiredVote(ChangeVote.OPTIMAL_CHANGE, 0, 2.45) in found.votes


def test_two_outputs_below_every_input_say_nothing() -> None:
    prevouts = [pay(taproot(1), 500_000_001), pay(wpkh(9), 450_000_001)]
    assert estimate(prevouts, [pay(wpkh(2), 449_999_999), pay(wpkh(3), 449_999_997)]).votes == ()


def test_an_output_as_large_as_the_smallest_input_is_not_below_it() -> None:
    prevouts = [pay(taproot(1), 500_000_001), pay(wpkh(9), 450_000_001)]
    assert estimate(prevouts, [pay(wpkh(2), 450_000_001), pay(wpkh(3), 450_000_003)]).votes == ()


def test_an_exchange_is_not_expected_to_pick_coins_for_one_payment() -> None:
    prevouts = [pay(taproot(1), 500_000_001), pay(wpkh(9), 450_000_001)]
    outputs = [pay(wpkh(2), 449_999_999), pay(wpkh(3), 500_000_001)]
    assert estimate(prevouts, outputs, sender="a").votes == ()
    assert estimate(prevouts, outputs).votes != ()


def test_the_only_output_of_the_inputs_type_is_change_even_of_an_exchange() -> None:
    outputs = [pay(wpkh(2), 300_000_001), pay(taproot(3), 600_000_003)]
    for sender in (None, "a"):
        found = estimate(SPENT, outputs, sender=sender)
        assert found.votes == (FiredVote(ChangeVote.SCRIPT_TYPE, 1, 2.05),)


@pytest.mark.parametrize(
    ("spent", "paid"),
    [
        pytest.param([taproot(1), wpkh(1)], [wpkh(2), taproot(3)], id="inputs of two types"),
        pytest.param([taproot(1)], [taproot(2), taproot(3)], id="both outputs of the type"),
        pytest.param([b"\x51"], [b"\x52", taproot(3)], id="types nobody knows"),
    ],
)
def test_types_that_do_not_single_out_an_output_say_nothing(spent: list[bytes], paid: list[bytes]) -> None:
    prevouts = [pay(script, 1_000_000_007) for script in spent]
    outputs = [pay(script, 300_000_001 + 2 * index) for index, script in enumerate(paid)]
    assert estimate(prevouts, outputs).votes == ()


def test_votes_for_one_output_add_up_at_a_discount() -> None:
    prevouts = [pay(taproot(1), 500_000_001), pay(taproot(9), 450_000_001)]
    found = estimate(prevouts, [pay(wpkh(2), 5 * BTC), pay(taproot(3), 400_000_001)])
    assert [(fired.vote, fired.output_index) for fired in found.votes] == [
        (ChangeVote.ROUND_PAYMENT, 1),
        (ChangeVote.OPTIMAL_CHANGE, 1),
        (ChangeVote.SCRIPT_TYPE, 1),
    ]
    raised = exp(0.7 * (5.36 + 2.45 + 2.05))
    assert found.probabilities[1] == pytest.approx(0.45 * raised / (0.1 + 0.45 + 0.45 * raised))


def test_an_output_that_belongs_to_another_exchange_is_hardly_change() -> None:
    found = estimate(SPENT, NO_VOTES, receivers={0: {"b": 0.9}})
    assert found.probabilities == pytest.approx((0.045 / 0.595, 0.45 / 0.595))


def test_coins_back_to_an_input_script_are_change_and_leave_little_elsewhere() -> None:
    found = estimate(SPENT, [pay(wpkh(2), 300_000_001), pay(taproot(1), 600_000_003)])
    raised = exp(0.7 * 2.05)  # the type speaks for the returned output, too
    assert found.returned == (1,)
    assert found.probabilities == pytest.approx((0.45 / (0.55 + 0.45 * raised) * 0.005, 0.995))


def test_coins_back_to_two_input_scripts_are_both_change() -> None:
    prevouts = [pay(taproot(1), BTC), pay(wpkh(1), BTC)]
    outputs = [pay(taproot(1), 50_000_001), pay(wpkh(1), 50_000_003), pay(wpkh(2), 30_000_001)]
    found = estimate(prevouts, outputs)
    assert found.returned == (0, 1)
    assert found.probabilities[:2] == (0.995, 0.995)
    assert 0 < found.probabilities[2] < 0.005


def test_a_lone_output_back_to_its_input_is_change() -> None:
    assert estimate(SPENT, [pay(taproot(1), 999_999_999)]).probabilities == (0.995,)


def test_coins_to_another_script_of_the_known_sender_are_change() -> None:
    found = estimate(SPENT, NO_VOTES, sender="a", receivers={0: {"a": 0.9}})
    assert found.returned == (0,)
    assert found.probabilities[0] == 0.995
    assert found.probabilities[1] < 0.005


@pytest.mark.parametrize(
    ("sender", "claim"),
    [
        pytest.param(None, {"a": 0.9}, id="sender unknown"),
        pytest.param("a", {"b": 0.9}, id="another exchange"),
        pytest.param("a", {"a": 0.5}, id="claim no better than a coin toss"),
    ],
)
def test_a_label_settles_nothing_unless_it_names_the_known_sender(
    sender: str | None, claim: dict[str, float]
) -> None:
    assert estimate(SPENT, NO_VOTES, sender=sender, receivers={0: claim}).returned == ()


def test_a_weak_claim_of_the_sender_itself_speaks_against_change_no_more_than_none() -> None:
    found = estimate(SPENT, NO_VOTES, sender="a", receivers={0: {"a": 0.5}})
    assert found.probabilities == estimate(SPENT, NO_VOTES, sender="a").probabilities


@pytest.mark.parametrize(
    "other", [pay(DATA, 0), pay(DATA, 1000), pay(ANCHOR, 240), pay(wpkh(7), 0)], ids=lambda o: o.script.hex()
)
def test_what_nobody_owns_is_never_change_and_not_counted(other: Output) -> None:
    found = estimate(SPENT, [NO_VOTES[0], other, NO_VOTES[1]])
    assert found.probabilities == pytest.approx((0.45, 0.0, 0.45))
    assert estimate(SPENT, [NO_VOTES[0], other]).probabilities == (0.0, 0.0)


def test_an_anchor_that_follows_an_anchor_returns_nothing_to_anybody() -> None:
    prevouts = [*SPENT, pay(ANCHOR, 240)]
    assert estimate(prevouts, [*NO_VOTES, pay(ANCHOR, 240)]).returned == ()


scripts = st.sampled_from([*map(wpkh, range(3)), *map(taproot, range(3)), DATA, ANCHOR, b""])
values = st.sampled_from([0, 546, 100_000, 30_000_001, BTC, 5 * BTC, 123_456_789])
some_outputs = st.lists(st.builds(pay, scripts, values), min_size=1, max_size=6)
claims = st.dictionaries(st.sampled_from("ab"), st.floats(0, 1), max_size=1)


@given(some_outputs, some_outputs, st.sampled_from([None, "a"]), st.data())
def test_probabilities_leave_room_for_no_change_unless_coins_visibly_return(
    prevouts: list[Output], outputs: list[Output], sender: str | None, data: st.DataObject
) -> None:
    receivers = {index: data.draw(claims) for index in range(len(outputs))}
    found = estimate(prevouts, outputs, sender=sender, receivers=receivers)
    assert all(0 <= probability <= 1 for probability in found.probabilities)
    if not found.returned:
        assert sum(found.probabilities) < 1


@given(some_outputs, some_outputs, st.randoms(use_true_random=False))
def test_the_order_of_outputs_only_orders_the_answer(
    prevouts: list[Output], outputs: list[Output], random: Random
) -> None:
    order = list(range(len(outputs)))
    random.shuffle(order)
    straight = estimate(prevouts, outputs).probabilities
    shuffled = estimate(prevouts[::-1], [outputs[i] for i in order]).probabilities
    assert all(isclose(straight[i], shuffled[at]) for at, i in enumerate(order))


def test_coins_that_only_go_to_other_scripts_of_the_sender_are_a_transfer_and_no_change() -> None:
    found = estimate(
        [pay(wpkh(1), 1_000)],
        [pay(wpkh(2), 900), pay(wpkh(1), 90)],
        sender="alpha",
        receivers={0: {"alpha": 0.9}, 1: {"alpha": 0.9}},
    )
    assert found.probabilities == (0.0, 0.995), "back to the input's script is change all the same"
    assert found.returned == (0, 1)


def test_once_somebody_else_is_paid_what_the_sender_gets_is_change() -> None:
    found = estimate(
        [pay(wpkh(1), 1_000)],
        [pay(wpkh(2), 900), pay(wpkh(3), 90)],
        sender="alpha",
        receivers={0: {"alpha": 0.9}},
    )
    assert found.returned == (0,)
    assert found.probabilities[0] == 0.995


@pytest.mark.parametrize(("input_count", "prior"), [(19, 0.10), (20, 0.60)])
def test_who_consolidates_coins_is_not_expected_to_have_change(input_count: int, prior: float) -> None:
    prevouts = [pay(taproot(n), 100_000_007) for n in range(input_count)]
    found = estimate(prevouts, [pay(wpkh(2), 300_000_001), pay(wpkh(3), 600_000_003)])
    assert found.no_change == prior
    assert found.probabilities == pytest.approx(((1 - prior) / 2,) * 2)


def test_the_figures_can_be_others() -> None:
    looks = recognise(SPENT, NO_VOTES, is_exchange=False)
    parameters = replace(DEFAULT, no_change_two_outputs=0.5)
    found = estimate_change(SPENT, NO_VOTES, looks, sender=None, receivers=[{}, {}], parameters=parameters)
    assert found.probabilities == pytest.approx((0.25, 0.25))
