import math
from typing import Any

import pytest

from evaluation.flow_answers import Row, answer, is_allowed
from evaluation.flow_direction import summarise
from evaluation.flow_truths import delayed_direction, hide
from evaluation.flow_worlds import START, FlowWorld, Spender, WorldSpec, label_book, make_world
from hydrophone.domain.events import TransactionSeen
from hydrophone.domain.flow import classify_flow
from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.transaction import Input, OutPoint, Output, Transaction
from hydrophone.domain.units import Sats, Txid, UnixMicros, WeightUnits
from hydrophone.simulator.world.label_claims import LabelQuality

BTC = 100_000_000
ALDER = Entity("Alder", EntityKind.EXCHANGE)
CEDAR = Entity("Cedar Point", EntityKind.EXCHANGE)
A, A2, B, X, Y, Z = (b"\x00\x14" + bytes([number] * 20) for number in range(6))
LABELS = [Label(script, entity, Role.HOT, "test", 0.93) for script, entity in ((A, ALDER), (B, CEDAR))]
BOOK = LabelBook(LABELS)
NOON = UnixMicros(round(START * 1e6))


def whale(spent: bytes, *paid: tuple[bytes, int], name: str = "aa") -> Transaction:
    outputs = tuple(Output(script, Sats(btc * BTC)) for script, btc in paid)
    prevout = Output(spent, Sats(sum(output.value_sat for output in outputs) + 1_000))
    tx_input = Input(OutPoint(Txid("cc" * 32), 0), 0xFFFFFFFD, prevout)
    return Transaction(Txid(name * 32), (tx_input,), outputs, WeightUnits(561), Sats(1_000))


def truth(flow_type: str, *paid: tuple[int, str], kind: str = "payment") -> dict[str, Any]:
    return {
        "flow_type": flow_type,
        "kind": kind,
        "receivers": [{"vout": vout, "entity": entity} for vout, entity in paid],
    }


@pytest.mark.parametrize(
    ("transaction", "true", "expected"),
    [
        (whale(X, (A, 200), (X, 1)), truth("inflow", (0, "Alder")), True),
        (whale(X, (A2, 200), (X, 1)), truth("inflow", (0, "Alder")), False),
        (whale(X, (B, 200), (A2, 1)), truth("inflow", (1, "Alder")), False),  # the label is on somebody else
        (whale(A, (X, 200)), truth("outflow"), True),
        (whale(A2, (X, 200)), truth("outflow"), False),
        (whale(A, (B, 200)), truth("internal", (0, "Cedar Point")), True),
        (whale(A2, (B, 200)), truth("internal", (0, "Cedar Point")), False),
        (whale(A, (A2, 200)), truth("internal", (0, "Alder"), kind="hot_to_cold"), False),
        (whale(A2, (A, 200)), truth("internal", (0, "Alder"), kind="hot_to_cold"), False),
        (whale(A2, (A, 200)), truth("internal", (0, "Alder"), kind="sweep"), True),
        (whale(A, (B, 200)), truth("unknown"), False),
    ],
)
def test_labels_allow_what_the_direction_needs(
    transaction: Transaction, true: dict[str, Any], expected: object
) -> None:
    assert is_allowed(transaction, true, BOOK) == expected


def row(truth: str, answer: str, *, is_allowed: bool = True, confidence: float = 0.9) -> Row:
    return Row(
        Txid("aa" * 32),
        (1, 1),
        (1, 1, 1),
        "payment",
        truth,
        answer,
        confidence,
        "",
        "",
        1,
        1,
        1,
        is_allowed,
    )


def test_figures_are_those_of_the_definitions() -> None:
    rows = [
        *[row("inflow", "inflow")] * 6,
        *[row("outflow", "inflow")] * 2,
        *[row("outflow", "unknown")] * 2,
        *[row("internal", "unknown", is_allowed=False)] * 10,
        *[row("unknown", "outflow", is_allowed=False)] * 1,
        *[row("unknown", "unknown", is_allowed=False)] * 9,
    ]
    s = summarise(rows)
    assert (s.whales, s.directed, s.allowed, s.answered) == (30, 20, 10, 9)
    assert s.accuracy == pytest.approx(6 / 9)
    assert s.accuracy_allowed == pytest.approx(6 / 8)
    assert s.coverage == pytest.approx(8 / 20)
    assert s.coverage_allowed == pytest.approx(8 / 10)
    assert s.false_positive_rate == pytest.approx(1 / 10)
    assert s.calibration_error == pytest.approx(0.9 - 6 / 9)


def test_without_answers_accuracy_is_undefined() -> None:
    assert math.isnan(summarise([row("inflow", "unknown")]).accuracy)


def test_another_threshold_changes_the_answer_alone() -> None:
    sure = row("inflow", "inflow", confidence=0.7)
    assert sure.at(0.7) == sure
    assert sure.at(0.71) == sure._replace(answer="unknown")


def test_hiding_takes_its_share_of_each_exchange_and_nothing_else() -> None:
    pool = Entity("Larch Pool", EntityKind.POOL)
    labels = [
        Label(bytes([number, kind]), entity, Role.HOT, "test", 0.9)
        for kind, entity in enumerate((ALDER, CEDAR, pool))
        for number in range(20)
    ]
    kept = [label.entity for label in hide(LabelBook(labels))]
    assert [kept.count(entity) for entity in (ALDER, CEDAR, pool)] == [14, 14, 20]


def followed(spent_by: Spender | None, end: str = "confirmed") -> str | None:
    """Return the delayed direction of a whale that pays an unlabelled script."""
    paid = whale(X, (A2, 200))
    world = FlowWorld(WorldSpec(1), whales={paid.txid: paid}, seen_at={paid.txid: NOON})
    if spent_by is not None:
        world.spenders[OutPoint(paid.txid, 0)] = [spent_by]
        world.ends[spent_by.txid] = end
    return delayed_direction(world, paid.txid, classify_flow(paid, BOOK), BOOK)


def spender(spent: tuple[bytes, ...], paid: tuple[bytes, ...], after_s: int = 3_600) -> Spender:
    inputs, outputs = (tuple(Output(script, Sats(BTC)) for script in side) for side in (spent, paid))
    return Spender(Txid("bb" * 32), UnixMicros(NOON + after_s * 1_000_000), inputs, outputs)


def test_what_is_spent_with_a_labelled_coin_was_the_exchanges() -> None:
    assert followed(spender((A2, A), (Y,))) == "inflow"


def test_what_is_swept_to_a_labelled_wallet_was_the_exchanges() -> None:
    assert followed(spender((A2, Y, Z), (A,))) == "inflow"
    assert followed(spender((A2,), (A,))) is None  # a customer's next deposit looks like this
    assert followed(spender((A2, Y, Z), (A, Y))) is None


def test_what_is_not_spent_in_time_stays_unverifiable() -> None:
    assert followed(None) is None
    assert followed(spender((A2, A), (Y,), after_s=73 * 3_600)) is None
    assert followed(spender((A2, A), (Y,)), end="replaced") is None


def test_a_world_is_heard_in_order_and_all_its_whales_have_a_truth() -> None:
    spec = WorldSpec(5, hours=0.5, whales_per_hour=200)
    world = make_world(spec)
    assert len(world.whales) > 50
    assert world.whales.keys() | world.ordinary.keys() == world.truth.keys()
    assert [event.at for event in world.events] == sorted(event.at for event in world.events)
    seen = {event.transaction.txid for event in world.events if isinstance(event, TransactionSeen)}
    assert seen <= world.whales.keys()
    assert all(whale.has_all_prevouts for whale in world.whales.values())
    again = make_world(spec)
    assert (again.events, again.truth, again.spenders) == (world.events, world.truth, world.spenders)

    published = answer(world, label_book(spec, LabelQuality(coverage=1.0, deposits=1.0)))
    assert not published.unsignalled
    assert (
        {row.txid for row in published.first} == {row.txid for row in published.final} == world.whales.keys()
    )


def test_labels_are_those_of_the_worlds_beginning() -> None:
    spec = WorldSpec(5)
    full = label_book(spec, LabelQuality(coverage=1.0, deposits=1.0))
    some = label_book(spec, LabelQuality(coverage=0.4, deposits=0.1))
    assert set(some) < set(full)
    assert label_book(spec, LabelQuality(coverage=0.4, deposits=0.1)).version == some.version
    assert label_book(spec, LabelQuality(coverage=0.4, deposits=0.1), label_seed=9).version != some.version
