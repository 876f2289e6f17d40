from dataclasses import replace
from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role

SCRIPT = bytes.fromhex("0014" + "11" * 20)
OTHER_SCRIPT = bytes.fromhex("0014" + "22" * 20)
BINANCE = Entity("Binance", EntityKind.EXCHANGE)
KRAKEN = Entity("Kraken", EntityKind.EXCHANGE)
LABEL = Label(SCRIPT, BINANCE, Role.COLD, "its own list", 0.97, date(2026, 9, 23))

labels = st.builds(
    Label,
    script=st.sampled_from([SCRIPT, OTHER_SCRIPT]),
    entity=st.builds(
        Entity, name=st.sampled_from(["Binance", "binance", "Kraken"]), kind=st.sampled_from(EntityKind)
    ),
    role=st.sampled_from(Role),
    source=st.sampled_from(["a", 'b", 1', "c\nd"]),
    confidence=st.sampled_from([0.85, 0.9, 1.0]),
    as_of=st.sampled_from([None, date(2026, 9, 23)]),
)


@pytest.mark.parametrize("spelling", ["Crypto.com", "crypto com", "CRYPTO.COM ", "Crypto-Com"])
def test_names_that_differ_in_case_spaces_and_punctuation_are_one_entity(spelling: str) -> None:
    assert Entity(spelling, EntityKind.EXCHANGE).key == "cryptocom"


def test_names_that_differ_in_a_letter_or_digit_are_two_entities() -> None:
    assert Entity("HTX", EntityKind.EXCHANGE).key != Entity("HTX2", EntityKind.EXCHANGE).key
    assert Entity("Bitbank", EntityKind.EXCHANGE).key != Entity("Bithumb", EntityKind.EXCHANGE).key


def test_an_empty_book_claims_nothing() -> None:
    book = LabelBook()
    assert len(book) == book.script_count == 0
    assert list(book) == []
    assert book.lookup(SCRIPT) == ()
    assert book.entity_of(SCRIPT) is None
    assert not book.is_disputed(SCRIPT)


def test_a_claim_is_found_by_its_script_alone() -> None:
    book = LabelBook([LABEL])
    assert book.lookup(SCRIPT) == (LABEL,)
    assert book.entity_of(SCRIPT) == BINANCE
    assert book.lookup(OTHER_SCRIPT) == ()


def test_claims_of_two_sources_on_one_entity_stand_side_by_side() -> None:
    second = replace(LABEL, source="an explorer", confidence=0.85, entity=replace(BINANCE, name="BINANCE"))
    book = LabelBook([LABEL, second])
    assert set(book.lookup(SCRIPT)) == {LABEL, second}
    assert (len(book), book.script_count) == (2, 1)
    assert not book.is_disputed(SCRIPT)


def test_claims_that_name_two_entities_dispute_the_script_and_name_nobody() -> None:
    undisputed = replace(LABEL, script=OTHER_SCRIPT)
    book = LabelBook([LABEL, replace(LABEL, entity=KRAKEN, confidence=0.01), undisputed])
    assert book.is_disputed(SCRIPT)
    assert book.entity_of(SCRIPT) is None
    assert not book.is_disputed(OTHER_SCRIPT)
    assert book.entity_of(OTHER_SCRIPT) == BINANCE


@pytest.mark.parametrize(("confidence", "kind"), [(0.98, EntityKind.CUSTODIAN), (0.96, EntityKind.EXCHANGE)])
def test_claims_that_differ_in_kind_follow_the_most_confident(confidence: float, kind: EntityKind) -> None:
    custodian = replace(LABEL, entity=replace(BINANCE, kind=EntityKind.CUSTODIAN), confidence=confidence)
    for claims in ([LABEL, custodian], [custodian, LABEL]):
        assert LabelBook(claims).entity_of(SCRIPT) == replace(BINANCE, kind=kind)


def test_a_claim_said_twice_counts_once() -> None:
    book = LabelBook([LABEL, replace(LABEL), replace(LABEL, confidence=0.97)])
    assert len(book) == 1
    assert book.version == LabelBook([LABEL]).version


@pytest.mark.parametrize(
    "changed",
    [
        replace(LABEL, script=OTHER_SCRIPT),
        replace(LABEL, entity=KRAKEN),
        replace(LABEL, entity=replace(BINANCE, name="BINANCE")),
        replace(LABEL, entity=replace(BINANCE, kind=EntityKind.CUSTODIAN)),
        replace(LABEL, role=Role.HOT),
        replace(LABEL, source="another list"),
        replace(LABEL, confidence=0.9700000001),
        replace(LABEL, as_of=date(2026, 9, 24)),
        replace(LABEL, as_of=None),
    ],
)
def test_the_version_changes_with_any_field(changed: Label) -> None:
    assert LabelBook([changed]).version != LabelBook([LABEL]).version


def test_the_version_changes_with_a_claim_more_or_less() -> None:
    second = replace(LABEL, script=OTHER_SCRIPT)
    assert len({LabelBook(claims).version for claims in ([], [LABEL], [second], [LABEL, second])}) == 4


def test_the_version_is_the_same_on_every_machine_and_release() -> None:
    assert LabelBook([LABEL]).version == "5823fcc04e12aa2a"


@given(st.lists(labels, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_claims_does_not_matter(claims: list[Label], random: Random) -> None:
    shuffled = random.sample(claims, len(claims))
    book, again = LabelBook(claims), LabelBook(shuffled)
    assert book.version == again.version
    assert list(book) == list(again)
    assert len(book) == len(set(claims))
    for script in (SCRIPT, OTHER_SCRIPT):
        assert book.lookup(script) == again.lookup(script)
        assert book.entity_of(script) == again.entity_of(script)


@given(st.lists(labels, max_size=4), st.lists(labels, max_size=4))
def test_two_books_share_a_version_exactly_when_they_share_all_claims(
    some: list[Label], others: list[Label]
) -> None:
    assert (LabelBook(some).version == LabelBook(others).version) == (set(some) == set(others))
