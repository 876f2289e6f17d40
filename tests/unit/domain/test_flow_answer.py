from dataclasses import replace

import pytest
from hypothesis import given

from hydrophone.domain.flow import (
    FlowAssessment,
    FlowSubtype,
    FlowType,
    classify_flow,
)
from hydrophone.domain.flow_calibration import Basis
from hydrophone.domain.flow_parameters import DEFAULT
from hydrophone.domain.labels import EntityKind, Label, LabelBook, Role
from hydrophone.domain.learned_labels import KnownLabels
from hydrophone.domain.shapes import Shape
from hydrophone.domain.transaction import Output, Transaction
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
    CUSTOMER,
    LABELS,
    STRANGER,
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


class TestSubtypes:
    @pytest.mark.parametrize(
        ("spent", "paid", "subtype"),
        [
            (A_COLD, A_HOT, FlowSubtype.COLD_TO_HOT),
            (A_HOT, A_COLD, FlowSubtype.HOT_TO_COLD),
            (A_HOT, A_HOT_2, None),
            (A_PLAIN, A_COLD, None),
            (A_COLD, A_PLAIN, None),
            (A_HOT, B_HOT, FlowSubtype.INTEREXCHANGE),
            (A_COLD, B_HOT, FlowSubtype.INTEREXCHANGE),
        ],
    )
    def test_between_two_wallets(self, spent: bytes, paid: bytes, subtype: FlowSubtype | None) -> None:
        flow = classify_flow(transaction([pay(spent, 1000 * BTC)], [pay(paid, 999 * BTC)]), BOOK)
        assert (flow.flow_type, flow.subtype, flow.reason) == (FlowType.INTERNAL, subtype, None)

    def test_a_slight_doubt_about_the_sender_makes_no_interexchange(self) -> None:
        book = LabelBook([*LABELS, label(STRANGER, "Beta", 0.1)])
        spent = [pay(A_HOT, 500 * BTC), pay(STRANGER, 500 * BTC)]
        flow = classify_flow(transaction(spent, [pay(A_COLD, 999 * BTC)]), book)
        assert 0 < flow.values.interexchange_sat < flow.values.internal_sat
        assert (flow.flow_type, flow.subtype) == (FlowType.INTERNAL, None)

    def test_cold_to_hot_with_change_back_to_the_cold_wallet(self) -> None:
        spent = [pay(A_COLD, 1000 * BTC)]
        flow = classify_flow(transaction(spent, [pay(A_HOT, 200 * BTC), pay(A_COLD, 800 * BTC)]), BOOK)
        assert (flow.flow_type, flow.subtype) == (FlowType.INTERNAL, FlowSubtype.COLD_TO_HOT)
        assert btc(flow.values.total_sat) == pytest.approx(200 + 0.005 * 800)

    def batch(self, count: int) -> list[Output]:
        return [pay(taproot(100 + number), 100_001 + number**5 * 1_007) for number in range(count)]

    @pytest.mark.parametrize(("count", "subtype"), [(9, None), (10, FlowSubtype.BATCH_WITHDRAWAL)])
    def test_many_payments_of_a_wallet_are_a_batch(self, count: int, subtype: FlowSubtype | None) -> None:
        flow = classify_flow(transaction([pay(A_HOT, 1000 * BTC)], self.batch(count)), BOOK)
        assert (flow.flow_type, flow.subtype) == (FlowType.OUTFLOW, subtype)
        assert flow.sender == "Alpha"

    def test_many_payments_to_an_exchange_are_no_withdrawal(self) -> None:
        claims = [label(output.script, "Alpha", role=Role.DEPOSIT) for output in self.batch(12)]
        flow = classify_flow(
            transaction([pay(STRANGER, 1000 * BTC)], self.batch(12)),
            LabelBook([*claims, label(STRANGER, "Pool", kind=EntityKind.POOL)]),
        )
        assert (flow.flow_type, flow.subtype) == (FlowType.INFLOW, None)

    @pytest.mark.parametrize(("count", "subtype"), [(19, None), (20, FlowSubtype.CONSOLIDATION)])
    def test_many_coins_into_one_are_a_consolidation(self, count: int, subtype: FlowSubtype | None) -> None:
        spent = [pay(A_HOT, 10 * BTC)] * count
        flow = classify_flow(transaction(spent, [pay(A_HOT_2, 10 * count * BTC)]), BOOK)
        assert (flow.flow_type, flow.subtype) == (FlowType.INTERNAL, subtype)
        flow = classify_flow(transaction(spent, [pay(CUSTOMER, 10 * count * BTC)]), LabelBook())
        assert (flow.flow_type, flow.subtype) == (FlowType.UNKNOWN, subtype)

    def test_a_transfer_in_doubt_is_no_transfer(self) -> None:
        weak = LabelBook([replace(claim, confidence=0.55) for claim in LABELS])
        flow = classify_flow(transaction([pay(A_COLD, BTC)], [pay(A_HOT, BTC)]), weak)
        assert (flow.flow_type, flow.subtype) == (FlowType.UNKNOWN, None)


class TestCoinjoin:
    outputs = tuple(pay(taproot(100 + number), 5_000_000) for number in range(5))

    def mix(self, first: bytes = A_HOT, labels: LabelBook = BOOK) -> FlowAssessment:
        spent = [pay(first, 5_100_000), *(pay(wpkh(100 + number), 5_100_000) for number in range(4))]
        return classify_flow(transaction(spent, self.outputs), labels)

    def test_nobody_can_tell_who_sends(self) -> None:
        flow = self.mix()
        assert flow.evidence is not None
        assert flow.evidence.looks.shape is Shape.COINJOIN_WHIRLPOOL
        assert flow.evidence.sender.same_owner == 0
        assert flow.evidence.sender.shares == {"alpha": 0.0}
        assert (flow.flow_type, flow.subtype) == (FlowType.UNKNOWN, FlowSubtype.COINJOIN)
        assert flow.sender is flow.receiver is None
        assert flow.values.outflow_sat == flow.values.internal_sat == 0

    def test_the_reason_says_so_with_labels_and_without(self) -> None:
        for labels in (BOOK, LabelBook()):
            assert self.mix(CUSTOMER, labels).reason == "a coinjoin: who pays whom cannot be told"

    @pytest.mark.parametrize(("first", "is_mix"), [(STRANGER, True), (A_HOT, False)])
    def test_two_equal_payments_of_a_labelled_exchange_are_no_mix(
        self, first: bytes, *, is_mix: bool
    ) -> None:
        spent = [pay(first, 10 * BTC), pay(wpkh(100), 10 * BTC)]
        paid = [pay(taproot(100), 7 * BTC), pay(taproot(101), 7 * BTC), pay(taproot(102), 6 * BTC - 7)]
        flow = classify_flow(transaction(spent, paid), BOOK)
        assert (flow.subtype is FlowSubtype.COINJOIN) is is_mix
        assert (flow.flow_type is FlowType.OUTFLOW) is not is_mix


class TestUnnamedExchange:
    """What looks like an exchange may be one, but is never called one."""

    batch = tuple(pay(taproot(100 + number), 100_001 + number**5 * 1_007) for number in range(30))

    def test_half_of_a_batch_may_be_an_exchanges_and_nobody_is_named(self) -> None:
        flow = classify_flow(transaction([pay(STRANGER, 1000 * BTC)], self.batch), LabelBook())
        assert flow.evidence is not None
        assert [sign.name for sign in flow.evidence.signs] == ["batch", "many_outputs"]
        assert flow.evidence.sender.unnamed == 0.5
        assert flow.values.outflow_sat == pytest.approx(flow.values.total_sat / 2, abs=1)
        assert flow.flow_type is FlowType.UNKNOWN
        assert flow.reason == "no exchange label on either side"
        assert flow.entities == ()
        assert flow.sender is flow.receiver is None

    @pytest.mark.parametrize("kind", [EntityKind.POOL, EntityKind.EXCHANGE])
    def test_whose_inputs_are_somebodys_has_no_unnamed_share(self, kind: EntityKind) -> None:
        book = LabelBook([label(STRANGER, "Somebody", 0.3, kind=kind)])
        flow = classify_flow(transaction([pay(STRANGER, 1000 * BTC)], self.batch), book)
        assert flow.evidence is not None
        assert (flow.evidence.signs, flow.evidence.sender.unnamed) == ((), 0.0)

    def test_without_a_sign_in_favour_there_is_no_share(self) -> None:
        paid = [pay(CUSTOMER, 200 * BTC), pay(taproot(2), 12_345_678)]
        flow = classify_flow(transaction([pay(STRANGER, 1000 * BTC)], paid), LabelBook())
        assert flow.evidence is not None
        assert [sign.name for sign in flow.evidence.signs] == ["round_total"]
        assert flow.evidence.sender.unnamed == 0.0
        assert flow.values.outflow_sat == 0

    def test_even_a_batch_into_an_exchange_is_no_transfer_between_exchanges(self) -> None:
        claims = [label(output.script, "Alpha", 1.0, role=Role.DEPOSIT) for output in self.batch]
        flow = classify_flow(transaction([pay(STRANGER, 1000 * BTC)], self.batch), LabelBook(claims))
        assert shares_of(flow)[FlowType.INTERNAL] == pytest.approx(0.5)
        assert flow.flow_type is FlowType.UNKNOWN
        assert [entity.name for entity in flow.entities] == ["Alpha"]
        assert flow.sender is None


class TestDoubtsAboutRoles:
    """Customers neither pay into cold storage nor are paid out of it: labels are then seldom right."""

    @pytest.mark.parametrize(
        ("spent", "paid", "direction", "doubt"),
        [
            (A_COLD, CUSTOMER, FlowType.OUTFLOW, "cold storage pays no customers"),
            (A_DEPOSIT, CUSTOMER, FlowType.OUTFLOW, "an exchange gathers what was deposited"),
            (STRANGER, A_COLD, FlowType.INFLOW, "customers do not pay into cold storage"),
        ],
    )
    def test_the_direction_is_not_claimed_and_the_reason_says_why(
        self, spent: bytes, paid: bytes, direction: FlowType, doubt: str
    ) -> None:
        flow = classify_flow(transaction([pay(spent, 1000 * BTC)], [pay(paid, 999 * BTC)]), BOOK)
        assert shares_of(flow)[direction] == pytest.approx(0.9)
        assert flow.flow_type is FlowType.UNKNOWN
        assert flow.probabilities[direction] < 0.5
        assert flow.reason == (
            f"labels say {direction}, but {doubt}: these may be "
            + ("its own coins" if spent == A_DEPOSIT else "the exchange's own coins")
        )

    @pytest.mark.parametrize(
        ("spent", "paid", "direction"),
        [
            (A_HOT, CUSTOMER, FlowType.OUTFLOW),
            (A_PLAIN, CUSTOMER, FlowType.OUTFLOW),
            (STRANGER, A_HOT, FlowType.INFLOW),
            (STRANGER, A_PLAIN, FlowType.INFLOW),
            (STRANGER, A_DEPOSIT, FlowType.INFLOW),
        ],
    )
    def test_hot_wallets_and_those_of_unknown_role_are_answered(
        self, spent: bytes, paid: bytes, direction: FlowType
    ) -> None:
        flow = classify_flow(transaction([pay(spent, 1000 * BTC)], [pay(paid, 999 * BTC)]), BOOK)
        assert (flow.flow_type, flow.reason) == (direction, None)
        assert flow.confidence == flow.probabilities[direction] >= DEFAULT.least_confidence

    def test_several_coins_of_one_script_are_a_services(self) -> None:
        spent = [pay(STRANGER, 500 * BTC), pay(STRANGER, 500 * BTC)]
        flow = classify_flow(transaction(spent, [pay(A_HOT, 999 * BTC)]), BOOK)
        assert flow.flow_type is FlowType.UNKNOWN
        assert flow.reason is not None
        assert flow.reason.startswith("labels say inflow, but who keeps many coins on one script")

    def test_coins_of_several_scripts_are_not_although_some_share_one(self) -> None:
        spent = [pay(STRANGER, 500 * BTC), pay(STRANGER, 500 * BTC), pay(taproot(60), 500 * BTC)]
        flow = classify_flow(transaction(spent, [pay(A_HOT, 1_499 * BTC)]), BOOK)
        assert flow.flow_type is FlowType.INFLOW

    def test_what_only_we_say_is_not_said_aloud(self) -> None:
        known = KnownLabels(BOOK, [learned(taproot(50), "Alpha", 0.9)])
        flow = classify_flow(transaction([pay(STRANGER, 1000 * BTC)], [pay(taproot(50), 999 * BTC)]), known)
        assert flow.flow_type is FlowType.UNKNOWN
        assert flow.reason == "labels say inflow, but only what we learned ourselves says so"

    @pytest.mark.parametrize(
        ("spent", "paid", "into", "out"),
        [
            ([STRANGER], [A_HOT], Basis.PAYS_WALLET_ONE, Basis.PAYS_FEW),
            ([STRANGER, CUSTOMER], [A_HOT], Basis.PAYS_WALLET_SEVERAL, Basis.PAYS_FEW),
            ([STRANGER, STRANGER], [A_HOT], Basis.PAYS_WALLET_REUSED, Basis.PAYS_FEW),
            ([STRANGER], [A_DEPOSIT], Basis.PAYS_DEPOSIT, Basis.PAYS_FEW),
            ([STRANGER], [A_COLD], Basis.PAYS_COLD, Basis.PAYS_FEW),
            ([A_HOT], [CUSTOMER, taproot(2), taproot(3)], None, Basis.PAYS_FEW),
            ([A_HOT], [CUSTOMER, taproot(2), taproot(3), taproot(4)], None, Basis.PAYS_MANY),
            ([A_COLD], [CUSTOMER], None, Basis.LEAVES_COLD),
            ([A_DEPOSIT], [CUSTOMER], None, Basis.LEAVES_DEPOSIT),
            ([A_COLD, A_HOT], [CUSTOMER], None, Basis.PAYS_FEW),
        ],
    )
    def test_each_direction_rests_on_what_is_seen(
        self, spent: list[bytes], paid: list[bytes], into: Basis | None, out: Basis
    ) -> None:
        outputs = [pay(script, 10 * BTC + 7 * number) for number, script in enumerate(paid)]
        tx = transaction([pay(script, 50 * BTC) for script in spent], outputs)
        evidence = classify_flow(tx, BOOK).evidence
        assert evidence is not None
        assert evidence.basis[FlowType.OUTFLOW] is out
        assert evidence.basis[FlowType.INTERNAL] is Basis.BOTH_SIDES
        assert into is None or evidence.basis[FlowType.INFLOW] is into


class TestThresholds:
    tx = transaction([pay(A_HOT, 1000 * BTC)], [pay(CUSTOMER, 999 * BTC)])

    def test_theta_is_the_share_that_a_direction_needs(self) -> None:
        share = shares_of(classify_flow(self.tx, BOOK))[FlowType.OUTFLOW]
        at, above = (replace(DEFAULT, theta=theta) for theta in (share, share + 0.001))
        assert classify_flow(self.tx, BOOK, parameters=at).flow_type is FlowType.OUTFLOW
        flow = classify_flow(self.tx, BOOK, parameters=above)
        assert flow.flow_type is FlowType.UNKNOWN
        assert flow.reason == "no direction reaches 90%: outflow has 90%"

    def test_an_answer_has_to_be_likely_as_well(self) -> None:
        probability = classify_flow(self.tx, BOOK).probabilities[FlowType.OUTFLOW]
        at, above = (replace(DEFAULT, least_confidence=least) for least in (probability, probability + 0.001))
        assert classify_flow(self.tx, BOOK, parameters=at).flow_type is FlowType.OUTFLOW
        flow = classify_flow(self.tx, BOOK, parameters=above)
        assert flow.flow_type is FlowType.UNKNOWN
        assert flow.reason == "labels say outflow, but that would more likely be wrong than right"

    @pytest.mark.parametrize(("confidence", "is_mixed"), [(0.59, False), (0.61, True)])
    def test_a_second_direction_is_told_from_three_tenths(self, confidence: float, *, is_mixed: bool) -> None:
        certain = [label(A_HOT, "Alpha", 1.0), label(B_HOT, "Beta", confidence)]
        parameters = replace(DEFAULT, no_change_known_sender=1.0)
        paid = [pay(B_HOT, 500 * BTC), pay(CUSTOMER, 500 * BTC)]
        tx = transaction([pay(A_HOT, 1000 * BTC)], paid)
        flow = classify_flow(tx, LabelBook(certain), parameters=parameters)
        assert (flow.subtype is FlowSubtype.MIXED) is is_mixed


@given(transactions, label_lists, shares, shares)
def test_an_answer_has_the_share_and_the_probability_that_it_needs(
    tx: Transaction, labels: list[Label], theta: float, least: float
) -> None:
    parameters = replace(DEFAULT, theta=theta, least_confidence=least)
    flow = classify_flow(tx, LabelBook(labels), parameters=parameters)
    said = shares_of(flow)
    assert sum(said.values()) == pytest.approx(1)
    best = max(said, key=said.__getitem__)
    if flow.flow_type is not FlowType.UNKNOWN:
        assert flow.flow_type is best
        assert said[best] >= theta
        assert flow.probabilities[best] >= least
    elif best is not FlowType.UNKNOWN:
        assert said[best] < theta or flow.probabilities[best] < least
