from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hydrophone.domain.change import ChangeEstimate
from hydrophone.domain.flow_values import (
    EntityFlow,
    FlowValues,
    Ledger,
    expected_share,
    net_of_change,
    split_entities,
    split_values,
    sum_received,
)
from hydrophone.domain.transaction import Output
from hydrophone.domain.units import Sats
from tests.builders import wpkh
from tests.flows import BTC, CUSTOMER, amounts, pay, payments, shares

A_HOT, B_HOT = wpkh(0), wpkh(1)
NAMES = {key: key.upper() for key in "abc"}


def values_of(*parts_sat: int) -> FlowValues:
    """Inflow, outflow, internal, interexchange, unknown."""
    return FlowValues(*map(Sats, parts_sat))


def ledger(certain_sat: int = 0, likely_sat: int = 0, unknown_sat: int = 0) -> Ledger:
    return Ledger(Sats(certain_sat), Sats(likely_sat), Sats(unknown_sat))


def changed(*probabilities: float, returned: tuple[int, ...] = ()) -> ChangeEstimate:
    return ChangeEstimate(probabilities, 0.1, (), returned)


class TestWorkedCase:
    """Ten from A, five to B, five to somebody nobody knows; all claims certain. Sources: Coin Metrics."""

    outputs = (pay(B_HOT, 5 * BTC), pay(CUSTOMER, 5 * BTC))
    with_change = (*outputs, pay(A_HOT, 3 * BTC))

    def test_half_is_outflow_and_half_goes_from_exchange_to_exchange(self) -> None:
        values = split_values(net_of_change(self.outputs, [0.0, 0.0]), {"a": 1.0}, [{"b": 1.0}, {}])
        assert values == values_of(0, 5 * BTC, 0, 5 * BTC, 0)

    def test_ten_leave_a_and_five_reach_b(self) -> None:
        flows = split_entities(self.outputs, [0.0, 0.0], {"a": 1.0}, [{"b": 1.0}, {}], names=NAMES, stays=0.0)
        assert flows == (
            EntityFlow("A", sent=ledger(10 * BTC), received=ledger()),
            EntityFlow("B", sent=ledger(), received=ledger(5 * BTC)),
        )
        assert [(flow.out_sat, flow.in_sat, flow.net_sat) for flow in flows] == [
            (10 * BTC, 0, -10 * BTC),
            (0, 5 * BTC, 5 * BTC),
        ]

    def test_three_of_change_back_to_a_alter_none_of_it(self) -> None:
        receivers = [{"b": 1.0}, {}, {"a": 1.0}]
        change = [0.0, 0.0, 1.0]
        values = split_values(net_of_change(self.with_change, change), {"a": 1.0}, receivers)
        flows = split_entities(self.with_change, change, {"a": 1.0}, receivers, names=NAMES, stays=0.0)
        assert values == values_of(0, 5 * BTC, 0, 5 * BTC, 0)
        assert [(flow.name, flow.out_sat, flow.in_sat) for flow in flows] == [
            ("A", 10 * BTC, 0),
            ("B", 0, 5 * BTC),
        ]

    def test_what_a_keeps_is_neither_sent_nor_received(self) -> None:
        receivers = [{"b": 1.0}, {}, {"a": 1.0}]
        change = [0.0, 0.0, 0.0]
        values = split_values(net_of_change(self.with_change, change), {"a": 1.0}, receivers)
        flows = split_entities(self.with_change, change, {"a": 1.0}, receivers, names=NAMES, stays=0.0)
        assert values == values_of(0, 5 * BTC, 3 * BTC, 5 * BTC, 0)
        assert [(flow.out_sat, flow.in_sat) for flow in flows] == [(10 * BTC, 0), (0, 5 * BTC)]


class TestSureness:
    """Each part of a ledger is entered by its own probability, not by that of the whole."""

    @pytest.mark.parametrize(
        ("sends", "expected"),
        [
            (1.0, ledger(certain_sat=1_000)),
            (0.95, ledger(certain_sat=950)),
            (0.94, ledger(likely_sat=940)),
            (0.5, ledger(likely_sat=500)),
            (0.49, ledger(unknown_sat=490)),
        ],
    )
    def test_a_part_is_certain_likely_or_unknown(self, sends: float, expected: Ledger) -> None:
        [sent] = split_entities([pay(CUSTOMER, 1_000)], [0.0], {"a": sends}, [{}], names=NAMES, stays=0.0)
        [received] = split_entities([pay(A_HOT, 1_000)], [0.0], {}, [{"a": sends}], names=NAMES, stays=0.0)
        assert (sent.sent, sent.received) == (expected, ledger())
        assert (received.sent, received.received) == (ledger(), expected)

    def test_a_ledger_keeps_its_parts_apart(self) -> None:
        outputs = [pay(CUSTOMER, 1_000), pay(CUSTOMER, 1_000), pay(CUSTOMER, 1_000)]
        [flow] = split_entities(outputs, [0.0, 0.4, 0.9], {"a": 1.0}, [{}, {}, {}], names=NAMES, stays=0.0)
        assert flow.sent == ledger(1_000, 600, 100)
        assert flow.out_sat == flow.sent.total_sat == 1_700

    def test_doubt_about_change_and_about_the_receiver_count_as_well(self) -> None:
        [flow] = split_entities([pay(A_HOT, 1_000)], [0.5], {}, [{"a": 0.9}], names=NAMES, stays=0.0)
        assert flow.received == ledger(unknown_sat=450)


class TestOrderOfExchanges:
    def test_the_largest_amount_comes_first_in_or_out(self) -> None:
        outputs = [pay(A_HOT, 300), pay(B_HOT, 500), pay(CUSTOMER, 50)]
        flows = split_entities(
            outputs, [0.0] * 3, {"c": 0.4}, [{"a": 1.0}, {"b": 1.0}, {}], names=NAMES, stays=0.0
        )
        assert [flow.name for flow in flows] == ["B", "C", "A"]

    def test_of_equal_amounts_the_name_decides(self) -> None:
        outputs = [pay(B_HOT, 500), pay(A_HOT, 500)]
        flows = split_entities(outputs, [0.0] * 2, {}, [{"b": 1.0}, {"a": 1.0}], names=NAMES, stays=0.0)
        assert [flow.name for flow in flows] == ["A", "B"]


class TestSweep:
    def test_what_stays_inside_is_no_inflow(self) -> None:
        assert values_of(1_000, 1, 2, 3, 4).with_inside(0.9) == values_of(100, 1, 902, 3, 4)
        assert values_of(1_000, 1, 2, 3, 4).with_inside(0.0) == values_of(1_000, 1, 2, 3, 4)

    @given(st.tuples(*[st.integers(0, 10**15)] * 5), shares)
    def test_nothing_is_lost_by_it(self, parts_sat: tuple[int, ...], share: float) -> None:
        values = values_of(*parts_sat)
        inside = values.with_inside(share)
        assert inside.total_sat == values.total_sat
        assert 0 <= inside.inflow_sat <= values.inflow_sat

    def test_the_exchange_receives_only_the_rest(self) -> None:
        [flow] = split_entities([pay(A_HOT, 1_000)], [0.0], {}, [{"a": 1.0}], names=NAMES, stays=0.9)
        assert flow.in_sat == 100


def test_claims_on_one_output_are_together_worth_at_most_the_output() -> None:
    values = split_values([100.0], {}, [{"b": 0.8, "c": 0.7}])
    assert values == values_of(100, 0, 0, 0, 0)


def test_an_exchange_that_nobody_names_sends_without_a_name() -> None:
    values = split_values([1_000.0, 1_000.0], {}, [{"b": 1.0}, {}], unnamed=0.25)
    assert values == values_of(750, 250, 0, 250, 750)


def test_a_sum_of_shares_a_hair_above_one_makes_no_value_negative() -> None:
    values = split_values([1e14, 1e14], {"a": 1 + 2**-52}, [{"a": 1.0}, {}])
    assert values == values_of(0, 10**14, 10**14, 0, 0)


class TestExpectedShare:
    """The share of what is paid that goes to exchanges, whichever output is the change."""

    def test_of_a_payment_and_a_likely_change_it_is_the_expectation(self) -> None:
        outputs = [pay(B_HOT, 300), pay(CUSTOMER, 700)]
        share = expected_share(outputs, [1.0, 0.0], changed(0.1, 0.6))
        assert share == pytest.approx(0.6 * 1.0 + 0.1 * 0.0 + 0.3 * 0.3)

    def test_a_large_sure_change_does_not_outweigh_a_small_payment(self) -> None:
        outputs = [pay(B_HOT, BTC), pay(CUSTOMER, 10_000 * BTC)]
        change = changed(0.0, 0.99)
        assert expected_share(outputs, [1.0, 0.0], change) > 0.98
        net_sat = net_of_change(outputs, change.probabilities)
        assert net_sat[0] / sum(net_sat) < 0.01, "which the share of the expected values would say"

    def test_what_returns_to_the_sender_is_left_out(self) -> None:
        outputs = [pay(B_HOT, 100), pay(CUSTOMER, 300), pay(A_HOT, 10_000)]
        share = expected_share(outputs, [1.0, 0.0, 1.0], changed(0.0, 0.0, 0.995, returned=(2,)))
        assert share == pytest.approx(0.25)

    def test_where_all_returns_to_the_sender_all_of_it_counts(self) -> None:
        outputs = [pay(A_HOT, 100), pay(CUSTOMER, 300)]
        share = expected_share(outputs, [1.0, 0.0], changed(0.0, 0.0, returned=(0, 1)))
        assert share == pytest.approx(0.25)

    def test_a_payment_is_not_lost_beside_a_coin_as_large_as_all(self) -> None:
        outputs = [pay(B_HOT, 2_000_000_000_000_001), pay(B_HOT, 3)]
        share = expected_share(outputs, [0.75, 0.98], changed(0.99, 0.0))
        assert share == pytest.approx(0.99 * 0.98 + 0.01 * 0.75, abs=1e-12)

    def test_of_nothing_it_is_nothing(self) -> None:
        assert expected_share([], [], changed()) == 0.0
        assert expected_share([pay(B_HOT, 0)], [1.0], changed(0.0)) == 0.0

    @given(st.data(), st.lists(payments, max_size=8))
    def test_it_is_a_share(self, data: st.DataObject, outputs: list[Output]) -> None:
        claimed = [data.draw(shares) for _ in outputs]
        weights = [data.draw(shares) for _ in outputs]
        total = max(1.0, sum(weights))
        returned = tuple(index for index in range(len(outputs)) if data.draw(st.booleans()))
        change = changed(*[weight / total for weight in weights], returned=returned)
        share = expected_share(outputs, claimed, change)
        assert 0 <= share <= 1
        if claimed:
            assert share <= max(claimed) + 1e-9, "no output is claimed that much"

    @given(st.data(), st.lists(payments, min_size=1, max_size=8))
    def test_it_is_the_plain_share_when_nothing_is_change(
        self, data: st.DataObject, outputs: list[Output]
    ) -> None:
        total_sat = sum(output.value_sat for output in outputs)
        assume(total_sat > 0)
        claimed = [data.draw(shares) for _ in outputs]
        received = sum(output.value_sat * claim for output, claim in zip(outputs, claimed, strict=True))
        share = expected_share(outputs, claimed, changed(*[0.0] * len(outputs)))
        assert share == pytest.approx(received / total_sat, abs=1e-12)


# --- properties of the model

Split = tuple[list[Output], dict[str, float], list[dict[str, float]], list[float]]
"""Outputs, sender, receivers, change."""


@st.composite
def beliefs(draw: st.DrawFn) -> dict[str, float]:
    """Draw probabilities by entity that sum to at most one."""
    weights = draw(st.dictionaries(st.sampled_from("abc"), shares, max_size=3))
    total = max(1.0, sum(weights.values()))
    return {key: weight / total for key, weight in weights.items()}


@st.composite
def splits(draw: st.DrawFn) -> Split:
    outputs = draw(st.lists(payments, min_size=1, max_size=6))
    receivers = [draw(beliefs()) for _ in outputs]
    return outputs, draw(beliefs()), receivers, [draw(shares) for _ in outputs]


@given(splits(), shares)
def test_the_five_values_are_the_sums_of_the_model(split: Split, of_the_rest: float) -> None:
    outputs, sender, receivers, change = split
    unnamed = of_the_rest * max(0.0, 1 - sum(sender.values()))
    inflow = outflow = internal = interexchange = nobody = Fraction(0)
    sends = {key: Fraction(share) for key, share in sender.items()}
    any_sends = min(Fraction(1), sum(sends.values(), Fraction(unnamed)))
    for output, output_claims, c in zip(outputs, receivers, change, strict=True):
        net = output.value_sat * (1 - Fraction(c))
        gets = {key: Fraction(share) for key, share in output_claims.items()}
        any_gets = sum(gets.values(), Fraction(0))
        inside = sum((sends[key] * gets.get(key, 0) for key in sends), Fraction(0))
        inflow += net * any_gets * (1 - any_sends)
        outflow += net * any_sends * (1 - any_gets)
        internal += net * inside
        interexchange += net * (any_sends * any_gets - inside)
        nobody += net * (1 - any_sends) * (1 - any_gets)
    values = split_values(net_of_change(outputs, change), sender, receivers, unnamed=unnamed)
    found = (
        values.inflow_sat,
        values.outflow_sat,
        values.internal_sat,
        values.interexchange_sat,
        values.unknown_sat,
    )
    expected = (inflow, outflow, internal, interexchange, nobody)
    assert found == pytest.approx([float(value) for value in expected], rel=1e-12, abs=2)
    assert min(found) >= 0


@given(st.lists(st.tuples(amounts, shares), min_size=1, max_size=6), shares, shares)
def test_the_five_values_sum_exactly_to_the_rounded_value_net_of_change(
    parts: list[tuple[int, float]], send: float, get: float
) -> None:
    outputs = [pay(CUSTOMER, value_sat) for value_sat, _ in parts]
    change = [c for _, c in parts]
    values = split_values(net_of_change(outputs, change), {"a": send}, [{"b": get}] * len(parts))
    exact = sum((value_sat * (1 - Fraction(c)) for value_sat, c in parts), Fraction(0))
    assert abs(values.total_sat - exact) <= Fraction(1, 2) + exact / 2**50
    if not any(change):
        assert values.total_sat == exact


@given(splits(), shares)
def test_what_exchanges_send_and_receive_is_what_crosses_their_borders(split: Split, stays: float) -> None:
    outputs, sender, receivers, change = split
    net_sat = net_of_change(outputs, change)
    flows = split_entities(outputs, change, sender, receivers, names=NAMES, stays=0.0)
    values = split_values(net_sat, sender, receivers)
    sent, received = sum(flow.out_sat for flow in flows), sum(flow.in_sat for flow in flows)
    assert sent == pytest.approx(values.outflow_sat + values.interexchange_sat, rel=1e-9, abs=5)
    assert received == pytest.approx(values.inflow_sat + values.interexchange_sat, rel=1e-9, abs=5)
    swept = split_entities(outputs, change, sender, receivers, names=NAMES, stays=stays)
    assert sum(flow.in_sat for flow in swept) == pytest.approx((1 - stays) * received, rel=1e-9, abs=5)
    assert {flow.name: flow.sent for flow in swept} == {flow.name: flow.sent for flow in flows}


@given(splits())
def test_the_parts_of_a_ledger_sum_to_what_is_sent_and_received(split: Split) -> None:
    outputs, sender, receivers, change = split
    for flow in split_entities(outputs, change, sender, receivers, names=NAMES, stays=0.0):
        for book, total_sat in ((flow.sent, flow.out_sat), (flow.received, flow.in_sat)):
            assert min(book) >= 0
            assert sum(book) == total_sat
        key = flow.name.lower()
        exact = sum(
            output.value_sat * sender.get(key, 0.0) * (1 - gets.get(key, 0.0)) * (1 - c)
            for output, gets, c in zip(outputs, receivers, change, strict=True)
        )
        assert flow.out_sat == pytest.approx(exact, rel=1e-9, abs=1)
        assert flow.net_sat == flow.in_sat - flow.out_sat


@given(st.integers(0, 10**14), shares)
def test_inflow_is_the_mirror_image_of_outflow(value_sat: int, confidence: float) -> None:
    into = split_values([float(value_sat)], {}, [{"a": confidence}])
    out = split_values([float(value_sat)], {"a": confidence}, [{}])
    assert out == replace(into, inflow_sat=Sats(0), outflow_sat=into.inflow_sat)


@given(splits())
def test_what_exchanges_receive_is_the_sum_of_their_claims(split: Split) -> None:
    outputs, _, receivers, change = split
    received = sum_received(net_of_change(outputs, change), receivers)
    assert list(received) == sorted({key for claims in receivers for key in claims})
    for key, value in received.items():
        exact = sum(
            output.value_sat * (1 - c) * gets.get(key, 0.0)
            for output, c, gets in zip(outputs, change, receivers, strict=True)
        )
        assert value == pytest.approx(exact, rel=1e-9, abs=1e-6)
