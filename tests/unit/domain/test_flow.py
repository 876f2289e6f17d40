from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.flow import (
    EntityFlow,
    ExchangeClaims,
    FlowSubtype,
    FlowType,
    FlowValues,
    classify_flow,
    estimate_receiver,
    estimate_sender,
    net_of_change,
    split_entities,
    split_values,
    sum_received,
)
from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.transaction import Input, OutPoint, Output, Transaction
from hydrophone.domain.units import Sats, Txid, WeightUnits

BTC = 100_000_000
DATA = bytes.fromhex("6a0548656c6c6f")


def wpkh(number: int) -> bytes:
    return bytes.fromhex("0014") + number.to_bytes(20, "big")


def taproot(number: int) -> bytes:
    return bytes.fromhex("5120") + number.to_bytes(32, "big")


A_HOT, A_HOT_2, A_COLD, B_HOT, C_HOT = (wpkh(number) for number in range(5))
CUSTOMER, STRANGER = taproot(1), wpkh(99)


def label(
    script: bytes,
    name: str,
    confidence: float = 0.9,
    *,
    source: str = "a list",
    kind: EntityKind = EntityKind.EXCHANGE,
) -> Label:
    return Label(script, Entity(name, kind), Role.UNKNOWN, source, confidence)


LABELS = [
    label(A_HOT, "Alpha"),
    label(A_HOT_2, "Alpha"),
    label(A_COLD, "Alpha"),
    label(B_HOT, "Beta"),
    label(C_HOT, "Gamma"),
]
BOOK = LabelBook(LABELS)


def pay(script: bytes, value_sat: int) -> Output:
    return Output(script, Sats(value_sat))


def transaction(spent: Sequence[Output | None], paid: Sequence[Output]) -> Transaction:
    inputs = (Input(OutPoint(Txid("cd" * 32), index), 0xFFFFFFFD, out) for index, out in enumerate(spent))
    return Transaction(Txid("ab" * 32), tuple(inputs), tuple(paid), WeightUnits(600), Sats(1000))


def btc(value_sat: int) -> float:
    return value_sat / BTC


class TestWorkedCase:
    """Ten from A: five to B, five to somebody nobody knows."""

    outputs = (pay(B_HOT, 5 * BTC), pay(CUSTOMER, 5 * BTC))
    with_change = (*outputs, pay(A_HOT, 3 * BTC))

    def test_with_certain_labels_and_no_change_it_is_half_outflow(self) -> None:
        values = split_values(net_of_change(self.outputs, [0.0, 0.0]), {"a": 1.0}, [{"b": 1.0}, {}])
        assert values == FlowValues(Sats(0), Sats(5 * BTC), Sats(0), Sats(5 * BTC), Sats(0))

    def test_ten_leave_a_and_five_reach_b(self) -> None:
        net_sat = net_of_change(self.outputs, [0.0, 0.0])
        received_sat = sum_received(net_sat, [{"b": 1.0}, {}])
        flows = split_entities(sum(net_sat), {"a": 1.0}, received_sat, {"a": "A", "b": "B"})
        assert flows == (
            EntityFlow("A", out_sat=Sats(10 * BTC), in_sat=Sats(0)),
            EntityFlow("B", out_sat=Sats(0), in_sat=Sats(5 * BTC)),
        )

    def test_three_of_change_back_to_a_alter_none_of_it(self) -> None:
        receivers = [{"b": 1.0}, {}, {"a": 1.0}]
        net_sat = net_of_change(self.with_change, [0.0, 0.0, 0.995])
        values = split_values(net_sat, {"a": 1.0}, receivers)
        received_sat = sum_received(net_sat, receivers)
        flows = split_entities(sum(net_sat), {"a": 1.0}, received_sat, {"a": "A", "b": "B"})
        assert (values.outflow_sat, values.interexchange_sat) == (5 * BTC, 5 * BTC)
        assert values.internal_sat == 0.005 * 3 * BTC
        assert [(flow.name, flow.out_sat, flow.in_sat) for flow in flows] == [
            ("A", 10 * BTC, 0),
            ("B", 0, 5 * BTC),
        ]

    def test_with_labels_of_the_default_confidence_no_half_is_sure_enough(self) -> None:
        spent = [pay(A_HOT, 500 * BTC), pay(A_HOT_2, 501 * BTC)]
        flow = classify_flow(transaction(spent, [pay(B_HOT, 500 * BTC), pay(CUSTOMER, 500 * BTC)]), BOOK)
        assert btc(flow.values.outflow_sat) == pytest.approx(449, abs=1)
        assert btc(flow.values.interexchange_sat) == pytest.approx(384, abs=1)
        assert (flow.flow_type, flow.subtype) == (FlowType.UNKNOWN, FlowSubtype.MIXED)
        assert flow.sender == "Alpha"
        assert flow.receiver is None
        assert flow.reason == "no direction reaches 60%: outflow has 47%"

    def test_change_to_an_input_script_takes_the_doubt_about_change_away(self) -> None:
        spent = [pay(A_HOT, 800 * BTC), pay(A_HOT_2, 501 * BTC)]
        paid = [pay(B_HOT, 500 * BTC), pay(CUSTOMER, 500 * BTC), pay(A_HOT, 300 * BTC)]
        flow = classify_flow(transaction(spent, paid), BOOK)
        assert btc(flow.values.outflow_sat) == pytest.approx(485, abs=1)
        assert btc(flow.values.interexchange_sat) == pytest.approx(397, abs=1)
        assert (flow.flow_type, flow.subtype) == (FlowType.UNKNOWN, FlowSubtype.MIXED)


def test_a_withdrawal_with_change_back_to_the_exchange_is_an_outflow_of_the_payment() -> None:
    spent = [pay(A_HOT, 1000 * BTC)]
    flow = classify_flow(transaction(spent, [pay(CUSTOMER, 200 * BTC), pay(A_HOT, 800 * BTC)]), BOOK)
    assert flow.flow_type is FlowType.OUTFLOW
    assert (flow.sender, flow.receiver, flow.reason) == ("Alpha", None, None)
    assert 200 <= btc(flow.moved_sat) <= 200 + 0.005 * 800
    assert flow.confidence == flow.probabilities[FlowType.OUTFLOW] > 0.85


def test_change_to_another_script_of_the_exchange_is_not_mistaken_for_internal() -> None:
    spent = [pay(A_HOT, 1000 * BTC)]
    flow = classify_flow(transaction(spent, [pay(CUSTOMER, 200 * BTC), pay(A_COLD, 800 * BTC)]), BOOK)
    assert flow.flow_type is FlowType.OUTFLOW
    assert btc(flow.moved_sat) < 205


def test_a_deposit_with_change_is_an_inflow_of_the_payment() -> None:
    spent = [pay(CUSTOMER, 700 * BTC)]
    flow = classify_flow(transaction(spent, [pay(B_HOT, 500 * BTC), pay(taproot(2), 19_999_123_456)]), BOOK)
    assert flow.flow_type is FlowType.INFLOW
    assert (flow.sender, flow.receiver) == (None, "Beta")
    assert [(entity.name, entity.out_sat) for entity in flow.entities] == [("Beta", 0)]
    assert flow.entities[0].net_sat == pytest.approx(450 * BTC, rel=0.01)
    assert 495 < btc(flow.moved_sat) < 510


def test_coins_from_hot_to_cold_of_one_exchange_are_internal_as_far_as_the_labels_go() -> None:
    flow = classify_flow(transaction([pay(A_HOT, 1000 * BTC)], [pay(A_COLD, 999 * BTC)]), BOOK)
    assert (flow.flow_type, flow.subtype) == (FlowType.INTERNAL, None)
    assert (flow.sender, flow.receiver) == ("Alpha", "Alpha")
    assert btc(flow.values.internal_sat) == pytest.approx(0.9 * 0.9 * 999, abs=0.01)
    assert btc(flow.moved_sat) == pytest.approx(999 * (1 - 0.81), abs=0.01)


def test_coins_from_one_exchange_to_another_are_interexchange_and_move_in_full() -> None:
    flow = classify_flow(transaction([pay(A_HOT, 1000 * BTC)], [pay(B_HOT, 999 * BTC)]), BOOK)
    assert (flow.flow_type, flow.subtype) == (FlowType.INTERNAL, FlowSubtype.INTEREXCHANGE)
    assert (flow.sender, flow.receiver) == ("Alpha", "Beta")
    assert flow.moved_sat == 999 * BTC
    assert flow.probabilities[FlowType.INTERNAL] == pytest.approx(0.81)


def test_without_labels_the_flow_is_unknown_and_nobody_is_named() -> None:
    spent = [pay(STRANGER, 1000 * BTC)]
    flow = classify_flow(transaction(spent, [pay(CUSTOMER, 200 * BTC), pay(STRANGER, 799 * BTC)]), BOOK)
    assert flow.flow_type is FlowType.UNKNOWN
    assert flow.reason == "no exchange label on either side"
    assert flow.entities == ()
    assert flow.exchange_scripts == ()
    assert flow.sender is flow.receiver is flow.subtype is None
    assert flow.probabilities[FlowType.UNKNOWN] == 1.0
    assert btc(flow.moved_sat) == pytest.approx(200, abs=0.005 * 799)


def test_labels_of_other_kinds_than_exchanges_give_no_direction() -> None:
    book = LabelBook(
        [label(A_HOT, "Pool", kind=EntityKind.POOL), label(CUSTOMER, "Fund", kind=EntityKind.ETF)]
    )
    flow = classify_flow(transaction([pay(A_HOT, 1000 * BTC)], [pay(CUSTOMER, 999 * BTC)]), book)
    assert (flow.flow_type, flow.reason) == (FlowType.UNKNOWN, "no exchange label on either side")
    assert flow.entities == ()
    assert flow.exchange_scripts == ()


def test_contradicting_labels_give_no_direction_and_the_reason_says_so() -> None:
    book = LabelBook([*LABELS, label(A_HOT, "Kraken", source="another list")])
    flow = classify_flow(transaction([pay(A_HOT, 1000 * BTC)], [pay(CUSTOMER, 999 * BTC)]), book)
    assert flow.flow_type is FlowType.UNKNOWN
    assert flow.reason == "disputed labels: Alpha or Kraken"
    assert flow.entities == ()
    assert flow.exchange_scripts == ()
    assert flow.sender is None


def test_a_label_of_another_kind_can_contradict_an_exchanges() -> None:
    book = LabelBook([*LABELS, label(A_HOT, "Vault", source="another list", kind=EntityKind.CUSTODIAN)])
    flow = classify_flow(transaction([pay(A_HOT, 1000 * BTC)], [pay(CUSTOMER, 999 * BTC)]), book)
    assert flow.reason == "disputed labels: Alpha or Vault"


def test_a_dispute_on_one_side_leaves_the_other_its_say() -> None:
    book = LabelBook([*LABELS, label(A_HOT, "Kraken", source="another list")])
    flow = classify_flow(transaction([pay(A_HOT, 1000 * BTC)], [pay(B_HOT, 999 * BTC)]), book)
    assert (flow.flow_type, flow.receiver, flow.sender) == (FlowType.INFLOW, "Beta", None)


@pytest.mark.parametrize(
    ("spent", "reason"),
    [
        ([None], "inputs unknown: the source sent no prevouts"),
        ([None, None], "inputs unknown: the source sent no prevouts"),
        ([pay(A_HOT, 1000 * BTC), None], "inputs unknown: the source sent 1 of 2 prevouts"),
        ([], "inputs unknown: the source sent no prevouts"),
    ],
)
def test_without_every_prevout_no_direction_is_claimed_and_all_counts_as_moved(
    spent: list[Output | None], reason: str
) -> None:
    paid = [pay(B_HOT, 600 * BTC), pay(CUSTOMER, 123_456_789), pay(A_HOT, 200 * BTC)]
    flow = classify_flow(transaction(spent, paid), BOOK)
    assert (flow.flow_type, flow.subtype, flow.reason) == (FlowType.UNKNOWN, None, reason)
    assert flow.moved_sat == flow.values.unknown_sat == flow.values.total_sat == 80_123_456_789
    assert flow.change == (0.0, 0.0, 0.0)
    assert flow.entities == ()
    assert flow.sender is flow.receiver is None
    assert set(flow.exchange_scripts) == {A_HOT, B_HOT}


def test_theta_is_the_share_that_a_direction_needs() -> None:
    tx = transaction([pay(A_HOT, 1000 * BTC)], [pay(CUSTOMER, 999 * BTC)])
    share = classify_flow(tx, BOOK).probabilities[FlowType.OUTFLOW]
    assert classify_flow(tx, BOOK, theta=share).flow_type is FlowType.OUTFLOW
    assert classify_flow(tx, BOOK, theta=share + 0.001).flow_type is FlowType.UNKNOWN


def test_a_weak_label_names_its_exchange_but_decides_nothing() -> None:
    book = LabelBook([label(A_HOT, "Alpha", 0.4)])
    flow = classify_flow(transaction([pay(A_HOT, 1000 * BTC)], [pay(CUSTOMER, 1000 * BTC)]), book)
    assert (flow.flow_type, flow.subtype, flow.sender) == (FlowType.UNKNOWN, None, None)
    assert flow.entities == (EntityFlow("Alpha", out_sat=Sats(400 * BTC), in_sat=Sats(0)),)
    assert flow.reason == "no direction reaches 60%: outflow has 40%"


def test_the_reason_says_that_the_inputs_name_two_exchanges() -> None:
    spent = [pay(A_HOT, 500 * BTC), pay(B_HOT, 500 * BTC)]
    flow = classify_flow(transaction(spent, [pay(C_HOT, 500 * BTC), pay(CUSTOMER, 500 * BTC)]), BOOK)
    assert flow.sender is None
    assert flow.reason is not None
    assert flow.reason.endswith("; the inputs are labelled Alpha and Beta")


def test_labelled_scripts_are_listed_once_inputs_first() -> None:
    spent = [pay(B_HOT, 500 * BTC), pay(STRANGER, 1), pay(B_HOT, 500 * BTC)]
    paid = [pay(A_HOT, 500 * BTC), pay(B_HOT, 100 * BTC), pay(C_HOT, 100 * BTC), pay(A_HOT, 9)]
    assert classify_flow(transaction(spent, paid), BOOK).exchange_scripts == (B_HOT, A_HOT, C_HOT)


def test_an_exchange_is_written_as_its_surest_claim_writes_it() -> None:
    book = LabelBook([label(A_HOT, "CRYPTOCOM", 0.85), label(A_HOT_2, "Crypto.com", 0.97)])
    spent = [pay(A_HOT, 500 * BTC), pay(A_HOT_2, 500 * BTC)]
    flow = classify_flow(transaction(spent, [pay(CUSTOMER, 999 * BTC)]), book)
    assert flow.sender == "Crypto.com"
    assert [entity.name for entity in flow.entities] == ["Crypto.com"]


def test_the_exchange_that_receives_most_of_several_comes_first_and_is_the_receiver() -> None:
    paid = [pay(A_HOT, 100 * BTC), pay(B_HOT, 600 * BTC), pay(C_HOT, 200 * BTC)]
    flow = classify_flow(transaction([pay(STRANGER, 901 * BTC)], paid), BOOK)
    assert flow.receiver == "Beta"
    assert [entity.name for entity in flow.entities] == ["Beta", "Gamma", "Alpha"]


def claims(key: str, *labels: Label) -> ExchangeClaims:
    return ExchangeClaims(key, labels)


class TestSender:
    def test_a_single_input_has_a_single_owner(self) -> None:
        found = estimate_sender([claims("alpha", label(A_HOT, "Alpha"))], input_count=1)
        assert found.shares == pytest.approx({"alpha": 0.9})
        assert found.known == "alpha"

    def test_several_inputs_might_have_several_owners(self) -> None:
        found = estimate_sender([claims("alpha", label(A_HOT, "Alpha"))], input_count=2)
        assert found.shares == pytest.approx({"alpha": 0.9 * 0.98})

    def test_twenty_inputs_with_the_claim_of_one_source_are_one_claim(self) -> None:
        many = [claims("alpha", label(wpkh(1000 + n), "Alpha", 0.3 + 0.01 * n)) for n in range(20)]
        found = estimate_sender(many, input_count=20)
        assert found.shares == pytest.approx({"alpha": 0.49 * 0.98})
        assert found.known is None

    def test_two_sources_are_two_claims(self) -> None:
        both = claims("alpha", label(A_HOT, "Alpha", 0.5), label(A_HOT, "Alpha", 0.6, source="another"))
        assert estimate_sender([both], input_count=1).shares == pytest.approx({"alpha": 0.8})

    def test_two_likely_senders_contradict_each_other_and_are_halved(self) -> None:
        inputs = [claims("alpha", label(A_HOT, "Alpha")), claims("beta", label(B_HOT, "Beta", 0.8))]
        found = estimate_sender(inputs, input_count=2)
        assert found.shares == pytest.approx({"alpha": 0.441, "beta": 0.392})
        assert found.conflict == ("alpha", "beta")
        assert found.known is None

    def test_a_likely_and_an_unlikely_sender_share_what_is_certain(self) -> None:
        inputs = [claims("alpha", label(A_HOT, "Alpha")), claims("beta", label(B_HOT, "Beta", 0.5))]
        found = estimate_sender(inputs, input_count=2)
        assert found.shares == pytest.approx({"alpha": 0.882 / 1.372, "beta": 0.49 / 1.372})
        assert found.conflict == ()
        assert found.known == "alpha"

    def test_without_claims_nobody_sends(self) -> None:
        found = estimate_sender([], input_count=3)
        assert (found.shares, found.conflict, found.known) == ({}, (), None)


def test_a_receiver_is_believed_as_its_sources_are() -> None:
    both = claims("alpha", label(A_HOT, "Alpha", 0.5), label(A_HOT, "Alpha", 0.6, source="another"))
    assert estimate_receiver(both) == pytest.approx({"alpha": 0.8})
    assert estimate_receiver(None) == {}


def test_the_order_of_sources_decides_not_even_the_last_bit() -> None:
    sources = [label(A_HOT, "Alpha", c, source=f"source {c}") for c in (0.1, 0.2, 0.85)]
    found = {estimate_receiver(claims("alpha", *order))["alpha"] for order in permutations(sources)}
    assert len(found) == 1


# --- properties --------------------------------------------------------------------------------------------

PLACES = [*map(wpkh, range(6)), *map(taproot, range(4))]
amounts = st.one_of(st.integers(0, 100_000 * BTC), st.sampled_from([0, 1, 546, BTC, 10 * BTC, 123_456_789]))
payments = st.builds(pay, st.sampled_from([*PLACES, DATA]), amounts)
transactions = st.builds(
    transaction, st.lists(payments, min_size=1, max_size=5), st.lists(payments, min_size=1, max_size=6)
)
label_lists = st.lists(
    st.builds(
        label,
        st.sampled_from(PLACES),
        st.sampled_from(["Alpha", "alpha", "Beta", "Gamma"]),
        st.floats(0, 1),
        source=st.sampled_from(["one", "two", "three"]),
        kind=st.sampled_from([EntityKind.EXCHANGE, EntityKind.EXCHANGE, EntityKind.POOL]),
    ),
    max_size=12,
)
shares = st.floats(0, 1)


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


@given(splits())
def test_the_five_values_are_the_sums_of_the_model(
    split: Split,
) -> None:
    outputs, sender, receivers, change = split
    inflow = outflow = internal = interexchange = unknown = Fraction(0)
    sends = {key: Fraction(share) for key, share in sender.items()}
    any_sends = min(Fraction(1), sum(sends.values(), Fraction(0)))
    for output, output_claims, c in zip(outputs, receivers, change, strict=True):
        net = output.value_sat * (1 - Fraction(c))
        gets = {key: Fraction(share) for key, share in output_claims.items()}
        any_gets = sum(gets.values(), Fraction(0))
        inflow += net * any_gets * (1 - any_sends)
        outflow += net * any_sends * (1 - any_gets)
        internal += net * sum(sends[key] * gets.get(key, 0) for key in sends)
        interexchange += net * sum(sends[key] * (any_gets - gets.get(key, 0)) for key in sends)
        unknown += net * (1 - any_sends) * (1 - any_gets)
    values = split_values(net_of_change(outputs, change), sender, receivers)
    found = (
        values.inflow_sat,
        values.outflow_sat,
        values.internal_sat,
        values.interexchange_sat,
        values.unknown_sat,
    )
    expected = (inflow, outflow, internal, interexchange, unknown)
    assert found == pytest.approx([float(value) for value in expected], rel=1e-12, abs=2)
    assert min(found) >= 0


@given(splits())
def test_what_exchanges_send_and_receive_is_what_crosses_their_borders(
    split: Split,
) -> None:
    outputs, sender, receivers, change = split
    net_sat = net_of_change(outputs, change)
    values = split_values(net_sat, sender, receivers)
    received_sat = sum_received(net_sat, receivers)
    flows = split_entities(sum(net_sat), sender, received_sat, {key: key for key in "abc"})
    sent, received = sum(flow.out_sat for flow in flows), sum(flow.in_sat for flow in flows)
    assert sent == pytest.approx(values.outflow_sat + values.interexchange_sat, rel=1e-9, abs=5)
    assert received == pytest.approx(values.inflow_sat + values.interexchange_sat, rel=1e-9, abs=5)


def test_claims_on_one_output_are_together_worth_at_most_the_output() -> None:
    values = split_values([100.0], {}, [{"b": 0.8, "c": 0.7}])
    assert values == FlowValues(Sats(100), Sats(0), Sats(0), Sats(0), Sats(0))


def test_a_sum_of_shares_a_hair_above_one_makes_no_value_negative() -> None:
    values = split_values([1e14, 1e14], {"a": 1 + 2**-52}, [{"a": 1.0}, {}])
    assert values == FlowValues(Sats(0), Sats(10**14), Sats(10**14), Sats(0), Sats(0))


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


@given(transactions, label_lists)
def test_every_assessment_is_consistent(tx: Transaction, labels: list[Label]) -> None:
    flow = classify_flow(tx, LabelBook(labels))
    assert sum(flow.probabilities.values()) == pytest.approx(1)
    assert all(0 <= share <= 1 for share in flow.probabilities.values())
    assert flow.moved_sat == flow.values.total_sat - flow.values.internal_sat
    assert 0 <= flow.moved_sat <= flow.values.total_sat <= tx.gross_sat
    assert (flow.reason is not None) == (flow.flow_type is FlowType.UNKNOWN)
    assert flow.flow_type is FlowType.UNKNOWN or flow.confidence >= 0.6
    assert {entity.name for entity in flow.entities} >= {flow.sender, flow.receiver} - {None}


@given(transactions, label_lists, st.randoms(use_true_random=False))
def test_the_order_of_inputs_outputs_and_labels_decides_nothing(
    tx: Transaction, labels: list[Label], random: Random
) -> None:
    order = list(range(len(tx.outputs)))
    random.shuffle(order)
    shuffled = replace(
        tx,
        inputs=tuple(random.sample(tx.inputs, len(tx.inputs))),
        outputs=tuple(tx.outputs[index] for index in order),
    )
    straight = classify_flow(tx, LabelBook(labels))
    mixed = classify_flow(shuffled, LabelBook(random.sample(labels, len(labels))))
    assert mixed == replace(
        straight,
        change=tuple(straight.change[index] for index in order),
        exchange_scripts=mixed.exchange_scripts,
    )
    assert set(mixed.exchange_scripts) == set(straight.exchange_scripts)


@given(transactions, label_lists, st.data())
def test_coins_back_to_an_input_script_hardly_count_as_moved(
    tx: Transaction, labels: list[Label], data: st.DataObject
) -> None:
    script = data.draw(st.sampled_from([i.prevout.script for i in tx.inputs if i.prevout is not None]))
    returned = pay(script, data.draw(amounts))
    flow = classify_flow(replace(tx, outputs=(*tx.outputs, returned)), LabelBook(labels))
    hardly = returned.value_sat if script == DATA else 0.005 * returned.value_sat  # data goes nowhere
    assert flow.moved_sat <= tx.gross_sat + hardly + 1


@given(transactions, label_lists)
def test_labels_that_nobody_believes_are_no_labels(tx: Transaction, labels: list[Label]) -> None:
    disbelieved = LabelBook(replace(label, confidence=0.0) for label in labels)
    assert classify_flow(tx, disbelieved) == classify_flow(tx, LabelBook())
    doubted = LabelBook(replace(label, confidence=label.confidence / 100) for label in labels)
    flow = classify_flow(tx, doubted)
    assert flow.flow_type is FlowType.UNKNOWN
    assert flow.sender is flow.receiver is None


def test_of_less_than_a_satoshi_nobody_receives_more_than_half() -> None:
    tx = transaction([pay(A_HOT, 0)], [pay(A_HOT, 1)])
    flow = classify_flow(tx, LabelBook([label(A_HOT, "Alpha", 0.01)]))
    assert flow.sender is flow.receiver is None


@given(transactions)
def test_without_labels_nothing_is_ever_named(tx: Transaction) -> None:
    flow = classify_flow(tx, LabelBook())
    assert flow.flow_type is FlowType.UNKNOWN
    assert flow.entities == ()
    assert flow.exchange_scripts == ()
    assert flow.sender is flow.receiver is None
