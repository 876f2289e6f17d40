import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.change import ChangeVote
from hydrophone.domain.flow_answer import FlowSubtype, FlowType
from hydrophone.domain.flow_calibration import Basis
from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.learned_labels import KnownLabels, LearnedBy, LearnedLabel
from hydrophone.domain.shapes import Shape
from hydrophone.domain.units import Txid, UnixMicros
from hydrophone.wire import explanation_text
from hydrophone.wire.explanation_text import _percent, explain_in_words
from hydrophone.wire.explanation_v1 import AmendmentV1
from tests.builders import START, Json, txid_of, wpkh
from tests.explained import (
    ALL,
    BATCH,
    BINANCE,
    BOOK,
    BTC,
    COINJOIN,
    DEPOSIT,
    KRAKEN,
    SMALL,
    SWEEP,
    UNSEEN,
    WITHDRAWAL,
    esplora,
)
from tests.unit.wire.test_explanation_v1 import explained, said_of


@pytest.mark.parametrize("document", ALL, ids=lambda document: document["txid"][:8])
def test_a_text_is_readable_in_any_terminal(document: Json) -> None:
    text = explain_in_words(explained(document))
    assert text.isascii()
    assert max(len(line) for line in text.splitlines()) <= 120
    assert len(text.splitlines()) < 70
    assert "None" not in text


def test_every_word_of_the_model_has_words_for_people() -> None:
    assert set(explanation_text._SURE) == set(FlowType)
    assert set(explanation_text._SUBTYPES) == {subtype.value for subtype in FlowSubtype}
    assert set(explanation_text._SHAPES) - {None} == {shape.value for shape in Shape}
    assert set(explanation_text._BASES) == set(Basis)
    assert set(explanation_text._VOTES) == {vote.value for vote in ChangeVote}


def test_the_answer_comes_first_then_why() -> None:
    lines = explain_in_words(explained(WITHDRAWAL)).splitlines()
    assert lines[0] == "150.8 BTC from Kraken to unknown wallet"
    assert lines[1].startswith("OUTFLOW: coins leave an exchange, ")
    assert lines[2].startswith(WITHDRAWAL["txid"])
    assert lines[3].startswith("A whale: its outputs sum to 999.9999 BTC")
    assert lines[5] == "Why"
    headings = [line.partition(" (")[0] for line in lines if line and not line.startswith(" ")][4:]
    assert headings == [
        "Why",
        "Inputs",
        "Outputs",
        "What moves",
        "Who sends",
        "Which output is change",
        "Labels",
    ]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (WITHDRAWAL, "   99.5%  Kraken hot; goes back to the sender"),
        (WITHDRAWAL, "output 1 pays a script of the sender: it is change"),
        (WITHDRAWAL, "of simulated answers that rest on the same, "),
        (SWEEP, "a sweep: what customers of Kraken paid in goes to its own wallets"),
        (SWEEP, "five or more scripts, each used once, are paid into one"),
        (COINJOIN, "a coinjoin as whirlpool makes them"),
        (BATCH, "an exchange that no label names: 50% (log-odds: -1.4 to begin with, a batch +2.5"),
        (BATCH, "and 18 more"),
        (UNSEEN, "inputs unknown: the source sent no prevouts."),
        (UNSEEN, "gives no direction: inputs unknown"),
        (SMALL, "no whale: its outputs sum to 1.9 btc, which is not more than 100 btc"),
        (SMALL, "antpool (pool), confidence 0.90: output 1; gives no direction: not an exchange"),
        (DEPOSIT, "binance: in "),
    ],
)
def test_what_matters_is_said(document: Json, expected: str) -> None:
    assert expected.casefold() in explain_in_words(explained(document)).casefold()


def test_coins_that_only_change_wallets_stay_with_the_sender() -> None:
    cold = Label(wpkh(9), Entity("Kraken", EntityKind.EXCHANGE), Role.COLD, "test", 0.9)
    transfer = esplora("transfer", ((KRAKEN, 500 * BTC),), ((wpkh(9), 300 * BTC), (KRAKEN, 199 * BTC)))
    text = explain_in_words(explained(transfer, LabelBook([*BOOK, cold])))
    assert "Kraken cold; stays with the sender" in text
    assert "Kraken hot; goes back to the sender" in text
    assert "output 0 pays another script of the sender, and nobody else is paid: no change" in text


def test_a_script_on_both_sides_is_told_once() -> None:
    text = explain_in_words(explained(WITHDRAWAL))
    assert text.count("confidence 0.90") == 1
    assert "input 0, output 1" in text


def test_labels_that_contradict_each_other_are_both_told() -> None:
    rival = Label(BINANCE, Entity("Rival", EntityKind.EXCHANGE), Role.HOT, "other", 0.9)
    text = explain_in_words(explained(DEPOSIT, LabelBook([*BOOK, rival])))
    assert "Binance deposit or Rival hot" in text
    assert "Disputed labels: Binance or Rival." in text


def test_a_learned_label_says_where_it_comes_from() -> None:
    label = LearnedLabel(
        script=wpkh(9),
        entity=Entity("Kraken", EntityKind.EXCHANGE),
        role=Role.DEPOSIT,
        source="list.csv",
        confidence=0.9,
        learned_by=LearnedBy.SWEEP,
        evidence=Txid(txid_of("sweep")),
        learned_at=UnixMicros(START),
    )
    text = explain_in_words(explained(DEPOSIT, KnownLabels(BOOK, [label])))
    assert f"by sweep from {txid_of('sweep')}" in text
    assert "it follows from list.csv" in text
    assert "Kraken deposit (learned)" in text


def test_many_labels_and_a_long_citation_are_cut_short() -> None:
    exchange = Entity("Somebody", EntityKind.EXCHANGE)
    book = LabelBook(
        Label(wpkh(100 + i), exchange, Role.HOT, "list", 0.9, citation="x" * 500) for i in range(30)
    )
    paid = tuple((wpkh(100 + i), (i + 1) * BTC) for i in range(30))
    text = explain_in_words(explained(esplora("many", ((wpkh(1), 500 * BTC),), paid), book))
    assert "and 20 more, all in the JSON" in text
    assert "x" * 100 not in text


def test_what_was_said_at_the_time_is_told_when_it_differs() -> None:
    now = explained(WITHDRAWAL)
    amendment = AmendmentV1(
        "2026-11-22T09:00:00.000000Z", "prevouts", {"flow_type": "unknown"}, {"flow_type": "inflow"}
    )
    said = said_of(now, flow_type="inflow", flow_reason="as it was", amendments=[amendment])
    text = explain_in_words(explained(WITHDRAWAL, said=said))
    assert "What was said at the time (2026-11-22 08:51:02 UTC)\n  inflow, 90% sure: as it was\n" in text
    assert "with label set 0123456789abcdef" in text
    assert "amended 2026-11-22 09:00:00: prevouts: unknown became inflow" in text


def test_what_was_said_at_the_time_is_the_same() -> None:
    text = explain_in_words(explained(WITHDRAWAL, said=said_of(explained(WITHDRAWAL))))
    assert text.endswith("UTC)\n  the same")


def test_another_answer_with_the_same_labels_and_for_another_version_says_so() -> None:
    said = said_of(
        explained(WITHDRAWAL), flow_type="inflow", label_set=BOOK.version, transaction_id="ef" * 32
    )
    text = explain_in_words(explained(WITHDRAWAL, said=said))
    assert "with the same published labels" in text
    assert f"about {'ef' * 32}" in text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0%"), (0.0004, "<0.1%"), (0.1234, "12.3%"), (0.9, "90%"), (0.9996, ">99.9%"), (1, "100%")],
)
def test_what_is_not_certain_does_not_look_certain(share: float, text: str) -> None:
    assert _percent(share) == text


@given(st.floats(0, 1))
def test_only_certainty_is_written_as_such(share: float) -> None:
    assert (_percent(share) == "100%") is (share == 1)
    assert (_percent(share) == "0%") is (share == 0)
