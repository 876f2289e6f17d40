from dataclasses import astuple, replace
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hydrophone.domain.flow import (
    EntityFlow,
    FlowAssessment,
    FlowSubtype,
    FlowType,
    classify_flow,
)
from hydrophone.domain.flow_parameters import DEFAULT
from hydrophone.domain.flow_values import Ledger
from hydrophone.domain.labels import EntityKind, Label, LabelBook, Role
from hydrophone.domain.learned_labels import KnownLabels
from hydrophone.domain.transaction import Output, Transaction
from hydrophone.domain.units import Sats
from tests.builders import wpkh
from tests.flows import (
    A_COLD,
    A_DEPOSIT,
    A_HOT,
    A_HOT_2,
    A_PLAIN,
    B_HOT,
    BOOK,
    BTC,
    C_HOT,
    CUSTOMER,
    DATA,
    LABELS,
    STRANGER,
    amounts,
    btc,
    label,
    label_lists,
    learned,
    pay,
    shares,
    shares_of,
    taproot,
    transaction,
    transactions,
)

NOTHING = Ledger(Sats(0), Sats(0), Sats(0))


class TestWorkedCase:
    """A thousand from A: half to B, half to somebody nobody knows."""

    # Both inputs are needed for the larger payment: no payjoin.
    spent = (pay(A_HOT, 50_006_000_000), pay(A_HOT_2, 50_006_000_000))
    paid = (pay(B_HOT, 500 * BTC), pay(CUSTOMER, 50_010_000_000))

    def test_with_labels_of_the_default_confidence_no_half_is_sure_enough(self) -> None:
        flow = classify_flow(transaction(self.spent, self.paid), BOOK)
        assert btc(flow.values.outflow_sat) == pytest.approx(449, abs=1)
        assert btc(flow.values.interexchange_sat) == pytest.approx(384, abs=1)
        assert (flow.flow_type, flow.subtype) == (FlowType.UNKNOWN, FlowSubtype.MIXED)
        assert (flow.sender, flow.receiver) == ("Alpha", None)
        assert flow.reason is not None
        assert flow.reason.startswith("no direction reaches 60%: outflow has 4")

    def test_change_to_an_input_script_takes_the_doubt_about_change_away(self) -> None:
        spent = [pay(A_HOT, 800 * BTC), pay(A_HOT_2, 501 * BTC)]
        flow = classify_flow(transaction(spent, [*self.paid, pay(A_HOT, 300 * BTC)]), BOOK)
        assert btc(flow.values.outflow_sat) == pytest.approx(485, abs=1)
        assert btc(flow.values.interexchange_sat) == pytest.approx(397, abs=1)
        assert (flow.flow_type, flow.subtype) == (FlowType.UNKNOWN, FlowSubtype.MIXED)

    def test_the_ledger_says_what_the_answer_cannot(self) -> None:
        flow = classify_flow(transaction(self.spent, self.paid), BOOK)
        alpha, beta = flow.entities
        assert (alpha.name, beta.name) == ("Alpha", "Beta")
        assert btc(alpha.out_sat) == pytest.approx(449 + 384, abs=2)
        assert btc(beta.in_sat) == pytest.approx(435, abs=15)
        assert alpha.in_sat == beta.out_sat == 0
        assert alpha.sent.likely_sat == alpha.out_sat, "a claim of 90 % is likely, not certain"

    @pytest.mark.parametrize("change", [(), (pay(A_HOT, 300 * BTC),)])
    def test_with_certain_labels_ten_leave_a_and_five_reach_b(self, change: tuple[Output, ...]) -> None:
        certain = LabelBook([replace(claim, confidence=1.0) for claim in LABELS])
        parameters = replace(DEFAULT, same_owner=1.0, no_change_known_sender=1.0, returned=1.0)
        spent = [pay(A_HOT, 1_001 * BTC + sum(output.value_sat for output in change))]
        paid = [pay(B_HOT, 500 * BTC), pay(CUSTOMER, 500 * BTC), *change]
        flow = classify_flow(transaction(spent, paid), certain, parameters=parameters)
        assert (flow.values.outflow_sat, flow.values.interexchange_sat) == (500 * BTC, 500 * BTC)
        assert flow.values.total_sat == flow.moved_sat == 1_000 * BTC
        assert flow.entities == (
            EntityFlow("Alpha", Ledger(Sats(1_000 * BTC), Sats(0), Sats(0)), NOTHING),
            EntityFlow("Beta", NOTHING, Ledger(Sats(500 * BTC), Sats(0), Sats(0))),
        )
        assert (flow.flow_type, flow.subtype) == (FlowType.UNKNOWN, FlowSubtype.MIXED)


def test_a_withdrawal_with_change_back_to_the_exchange_is_an_outflow_of_the_payment() -> None:
    spent = [pay(A_HOT, 1000 * BTC)]
    flow = classify_flow(transaction(spent, [pay(CUSTOMER, 200 * BTC), pay(A_HOT, 800 * BTC)]), BOOK)
    assert flow.flow_type is FlowType.OUTFLOW
    assert (flow.sender, flow.receiver, flow.reason) == ("Alpha", None, None)
    assert 200 <= btc(flow.moved_sat) <= 200 + 0.005 * 800
    assert shares_of(flow)[FlowType.OUTFLOW] > 0.85
    assert flow.confidence == flow.probabilities[FlowType.OUTFLOW] >= DEFAULT.least_confidence


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
    assert (flow.flow_type, flow.subtype) == (FlowType.INTERNAL, FlowSubtype.HOT_TO_COLD)
    assert (flow.sender, flow.receiver) == ("Alpha", "Alpha")
    assert btc(flow.values.internal_sat) == pytest.approx(0.9 * 0.9 * 999, abs=0.01)
    assert btc(flow.moved_sat) == pytest.approx(999 * (1 - 0.81), abs=0.01)


def test_coins_from_one_exchange_to_another_are_interexchange_and_move_in_full() -> None:
    flow = classify_flow(transaction([pay(A_HOT, 1000 * BTC)], [pay(B_HOT, 999 * BTC)]), BOOK)
    assert (flow.flow_type, flow.subtype) == (FlowType.INTERNAL, FlowSubtype.INTEREXCHANGE)
    assert (flow.sender, flow.receiver) == ("Alpha", "Beta")
    assert flow.moved_sat == 999 * BTC
    assert shares_of(flow)[FlowType.INTERNAL] == pytest.approx(0.81)


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


def test_a_weak_label_names_its_exchange_but_decides_nothing() -> None:
    book = LabelBook([label(A_HOT, "Alpha", 0.4)])
    flow = classify_flow(transaction([pay(A_HOT, 1000 * BTC)], [pay(CUSTOMER, 1000 * BTC)]), book)
    assert (flow.flow_type, flow.subtype, flow.sender) == (FlowType.UNKNOWN, None, None)
    doubtful = Ledger(Sats(0), Sats(0), Sats(400 * BTC))
    assert flow.entities == (EntityFlow("Alpha", sent=doubtful, received=NOTHING),)
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


class TestSweep:
    """An exchange gathers what its customers paid in: their payments were the inflow."""

    def sweep(
        self, spent: list[bytes], paid: bytes = A_HOT, *, labels: list[Label] | None = None
    ) -> FlowAssessment:
        prevouts = [pay(script, 10 * BTC + number) for number, script in enumerate(spent)]
        outputs = [pay(paid, 10 * len(spent) * BTC)]
        return classify_flow(transaction(prevouts, outputs), LabelBook(labels or LABELS))

    def strangers(self, count: int) -> list[bytes]:
        return [taproot(100 + number) for number in range(count)]

    def is_sweep(self, flow: FlowAssessment) -> bool:
        return flow.subtype is FlowSubtype.SWEEP and flow.flow_type is FlowType.INTERNAL

    def test_five_scripts_into_a_wallet_are_one_and_most_of_it_stays_inside(self) -> None:
        flow = self.sweep(self.strangers(5))
        assert self.is_sweep(flow)
        assert flow.values.inflow_sat == pytest.approx(0.1 * 0.9 * 50 * BTC)
        assert flow.values.internal_sat == pytest.approx(0.9 * 0.9 * 50 * BTC)
        assert flow.moved_sat == flow.values.inflow_sat + flow.values.unknown_sat
        assert (flow.sender, flow.receiver) == ("Alpha", "Alpha")
        assert [entity.in_sat for entity in flow.entities] == [flow.values.inflow_sat]

    @pytest.mark.parametrize("count", [1, 2, 4])
    def test_fewer_are_an_inflow(self, count: int) -> None:
        flow = self.sweep(self.strangers(count))
        assert flow.subtype is not FlowSubtype.SWEEP
        assert shares_of(flow)[FlowType.INFLOW] == pytest.approx(0.9)
        assert btc(flow.values.inflow_sat) == pytest.approx(0.9 * 10 * count)
        assert (flow.flow_type, flow.sender) == (FlowType.INFLOW, None)

    def test_one_of_twenty_and_more_is_not_taken_for_an_unnamed_exchange(self) -> None:
        flow = self.sweep(self.strangers(20))
        assert self.is_sweep(flow)
        assert (flow.values.outflow_sat, flow.values.interexchange_sat) == (0, 0)
        assert btc(flow.moved_sat) == pytest.approx((1 - 0.9 * 0.9) * 200)
        assert sum(entity.in_sat for entity in flow.entities) == flow.values.inflow_sat

    @pytest.mark.parametrize("wallet", [A_HOT, A_COLD])
    def test_it_goes_to_a_wallet_labelled_hot_or_cold(self, wallet: bytes) -> None:
        assert self.is_sweep(self.sweep(self.strangers(5), wallet))

    def test_five_coins_paid_to_a_script_of_unknown_role_may_be_a_customers(self) -> None:
        flow = self.sweep(self.strangers(5), A_PLAIN)
        assert not self.is_sweep(flow)
        assert flow.flow_type is FlowType.INFLOW

    def test_out_of_deposit_scripts_the_role_of_the_wallet_does_not_matter(self) -> None:
        deposits = [label(script, "Alpha", role=Role.DEPOSIT) for script in self.strangers(2)]
        assert self.is_sweep(self.sweep(self.strangers(2), A_PLAIN, labels=[*LABELS, *deposits]))

    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_out_of_deposit_scripts_alone_any_number_is_one(self, count: int) -> None:
        deposits = [label(script, "Alpha", role=Role.DEPOSIT) for script in self.strangers(count)]
        assert self.is_sweep(self.sweep(self.strangers(count), labels=[*LABELS, *deposits]))

    def test_deposit_scripts_that_were_learned_count(self) -> None:
        [script] = self.strangers(1)
        known = KnownLabels(BOOK, [learned(script, "Alpha", role=Role.DEPOSIT)])
        flow = classify_flow(transaction([pay(script, 10 * BTC)], [pay(A_HOT, 10 * BTC)]), known)
        assert self.is_sweep(flow)
        unlearned = classify_flow(transaction([pay(script, 10 * BTC)], [pay(A_HOT, 10 * BTC)]), BOOK)
        assert not self.is_sweep(unlearned)

    def test_deposit_scripts_and_strangers_together_need_five(self) -> None:
        assert self.is_sweep(self.sweep([A_DEPOSIT, *self.strangers(4)]))
        assert self.sweep([A_DEPOSIT, *self.strangers(3)]).subtype is not FlowSubtype.SWEEP

    @pytest.mark.parametrize(
        ("spent", "paid"),
        [
            pytest.param([B_HOT], A_HOT, id="another exchange"),
            pytest.param([A_COLD], A_HOT, id="a wallet of its own"),
            pytest.param([wpkh(50)], A_HOT, id="a pool"),
            pytest.param([wpkh(51)], A_HOT, id="the deposit script of another exchange"),
            pytest.param([], A_DEPOSIT, id="into a deposit script"),
            pytest.param([], CUSTOMER, id="into a script nobody knows"),
            pytest.param([taproot(100)], A_HOT, id="a script twice"),
        ],
    )
    def test_with_or_into_what_is_none_it_is_none(self, spent: list[bytes], paid: bytes) -> None:
        labels = [
            *LABELS,
            label(wpkh(50), "Pool", kind=EntityKind.POOL),
            label(wpkh(51), "Beta", role=Role.DEPOSIT),
        ]
        flow = self.sweep([*self.strangers(6), *spent], paid, labels=labels)
        assert flow.subtype is not FlowSubtype.SWEEP

    def test_where_somebody_else_is_paid_it_is_none(self) -> None:
        spent = [pay(script, 10 * BTC) for script in self.strangers(6)]
        paid = [pay(A_HOT, 50 * BTC), pay(CUSTOMER, 10 * BTC)]
        assert classify_flow(transaction(spent, paid), BOOK).subtype is not FlowSubtype.SWEEP

    def test_deposits_may_be_gathered_into_several_wallets_but_of_one_exchange(self) -> None:
        spent = [pay(A_DEPOSIT, 100 * BTC)]
        several = transaction(spent, [pay(A_HOT, 50 * BTC), pay(A_COLD, 50 * BTC)])
        assert self.is_sweep(classify_flow(several, BOOK))
        apart = transaction(spent, [pay(A_HOT, 50 * BTC), pay(B_HOT, 50 * BTC)])
        assert classify_flow(apart, BOOK).subtype is not FlowSubtype.SWEEP

    def test_a_deposit_script_of_another_exchange_is_swept_by_nobody(self) -> None:
        flow = classify_flow(transaction([pay(A_DEPOSIT, BTC)], [pay(B_HOT, BTC)]), BOOK)
        assert (flow.flow_type, flow.subtype) == (FlowType.INTERNAL, FlowSubtype.INTEREXCHANGE)

    def test_the_share_that_stays_inside_is_a_parameter(self) -> None:
        spent = [pay(script, 10 * BTC) for script in self.strangers(5)]
        parameters = replace(DEFAULT, sweep_internal=0.5)
        flow = classify_flow(transaction(spent, [pay(A_HOT, 50 * BTC)]), BOOK, parameters=parameters)
        assert flow.values.inflow_sat == flow.values.internal_sat


# --- properties


@given(st.integers(1, 100_000 * BTC), shares)
def test_an_inflow_is_worth_what_its_mirror_image_is(value_sat: int, confidence: float) -> None:
    book = LabelBook([label(A_HOT, "Alpha", confidence)])
    into = classify_flow(transaction([pay(CUSTOMER, value_sat)], [pay(A_HOT, value_sat)]), book)
    out = classify_flow(transaction([pay(A_HOT, value_sat)], [pay(CUSTOMER, value_sat)]), book)
    # Half a satoshi may be rounded up on either side.
    assert out.values.outflow_sat == pytest.approx(into.values.inflow_sat, abs=1)
    assert out.values.unknown_sat == pytest.approx(into.values.unknown_sat, abs=1)
    assert out.values.total_sat == into.values.total_sat == value_sat
    assert out.values.inflow_sat == into.values.outflow_sat == 0
    assert shares_of(out)[FlowType.OUTFLOW] == pytest.approx(shares_of(into)[FlowType.INFLOW])
    assert [flow.out_sat for flow in out.entities] == pytest.approx(
        [flow.in_sat for flow in into.entities], abs=1
    )


@given(transactions, label_lists)
def test_the_five_values_sum_to_the_value_net_of_change(tx: Transaction, labels: list[Label]) -> None:
    flow = classify_flow(tx, LabelBook(labels))
    net_sat = sum(
        output.value_sat * (1 - change) for output, change in zip(tx.outputs, flow.change, strict=True)
    )
    assert flow.values.total_sat == pytest.approx(net_sat, rel=1e-12, abs=1)


@given(transactions, label_lists)
def test_what_exchanges_send_and_receive_is_what_crosses_their_borders(
    tx: Transaction, labels: list[Label]
) -> None:
    flow = classify_flow(tx, LabelBook(labels))
    assert flow.evidence is not None
    assume(not flow.evidence.sender.unnamed)
    sent = sum(entity.out_sat for entity in flow.entities)
    received = sum(entity.in_sat for entity in flow.entities)
    assert sent == pytest.approx(flow.values.outflow_sat + flow.values.interexchange_sat, rel=1e-9, abs=5)
    assert received == pytest.approx(flow.values.inflow_sat + flow.values.interexchange_sat, rel=1e-9, abs=5)


@given(transactions, label_lists)
def test_every_assessment_is_consistent(tx: Transaction, labels: list[Label]) -> None:
    flow = classify_flow(tx, LabelBook(labels))
    assert sum(flow.probabilities.values()) == pytest.approx(1)
    assert all(0 <= share <= 1 for share in flow.probabilities.values())
    assert flow.moved_sat == flow.values.total_sat - flow.values.internal_sat
    assert 0 <= flow.moved_sat <= flow.values.total_sat <= tx.gross_sat
    assert (flow.reason is not None) == (flow.flow_type is FlowType.UNKNOWN)
    if flow.flow_type is not FlowType.UNKNOWN:
        assert flow.confidence >= DEFAULT.least_confidence
        assert shares_of(flow)[flow.flow_type] >= DEFAULT.theta
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


@pytest.mark.parametrize("weakest", [0.05, 0.2, 0.6, 0.9])
@pytest.mark.parametrize("middle", [0.3, 0.55, 0.9, 0.97])
def test_shares_of_three_senders_that_sum_to_one_are_not_more_than_one(middle: float, weakest: float) -> None:
    """Divided by their sum they may sum to 1.0000000000000002."""
    labels = [label(A_HOT, "Alpha", 0.97), label(B_HOT, "Beta", middle), label(C_HOT, "Gamma", weakest)]
    spent = [pay(script, 100 * BTC) for script in (A_HOT, B_HOT, C_HOT)]
    paid = [pay(CUSTOMER, 200 * BTC), pay(STRANGER, 100 * BTC)]
    flow = classify_flow(transaction(spent, paid), LabelBook(labels))
    assert sum(flow.probabilities.values()) == pytest.approx(1)
    assert min(flow.probabilities.values()) >= 0
    assert min(astuple(flow.values)) >= 0


def test_exchanges_that_cannot_both_send_are_named() -> None:
    spent = [pay(A_HOT, 100 * BTC), pay(B_HOT, 100 * BTC)]
    flow = classify_flow(transaction(spent, [pay(CUSTOMER, 199 * BTC)]), BOOK)
    assert flow.conflict == ("Alpha", "Beta")
    assert flow.sender is None
    assert classify_flow(transaction(spent[:1], [pay(CUSTOMER, 99 * BTC)]), BOOK).conflict == ()


@pytest.mark.parametrize("paid", [[], [pay(CUSTOMER, 0)]], ids=["no output", "no value"])
def test_what_moves_nothing_has_no_direction(paid: list[Output]) -> None:
    flow = classify_flow(transaction([pay(A_HOT, 10 * BTC)], paid), BOOK)
    assert (flow.flow_type, flow.moved_sat) == (FlowType.UNKNOWN, 0)
    assert flow.probabilities[FlowType.UNKNOWN] == 1


def test_one_list_read_twice_is_one_claim() -> None:
    """The bundled set has facts of an exchange's own list; that list may be synced, too."""
    url = "https://example.com/reserves.json"
    bundled = replace(label(A_HOT, "Alpha", 0.97, source="bundle"), source_url=url)
    synced = replace(label(A_HOT, "Alpha", 0.97, source="sync"), source_url=url)
    other = replace(label(A_HOT, "Alpha", 0.97, source="somebody else"), source_url="https://example.org/")
    tx = transaction([pay(A_HOT, 10 * BTC)], [pay(CUSTOMER, 10 * BTC)])

    def outflow(*labels: Label) -> float:
        return shares_of(classify_flow(tx, LabelBook(labels)))[FlowType.OUTFLOW]

    assert outflow(bundled, synced) == outflow(bundled) == pytest.approx(0.97)
    assert outflow(bundled, synced, other) == pytest.approx(1 - 0.03**2)
