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


def test_a_book_says_of_when_its_claims_are() -> None:
    days = [date(2026, 9, 23), None, date(2024, 1, 2), date(2025, 5, 5)]
    book = LabelBook([replace(LABEL, as_of=day) for day in days])
    assert (book.oldest, book.newest) == (date(2024, 1, 2), date(2026, 9, 23))
    assert (LabelBook().oldest, LabelBook([replace(LABEL, as_of=None)]).newest) == (None, None)


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


# Conflict rules (ADR 11).

ANTPOOL = Entity("AntPool", EntityKind.POOL)
OWN = Entity("Own wallet", EntityKind.PRIVATE)
DAY = date(2026, 11, 25)


def claimed(*entities: Entity, on: date | None = None) -> LabelBook:
    """Return a book in which sources of their own name these entities on one script."""
    return LabelBook(
        (replace(LABEL, entity=entity, source=str(number)) for number, entity in enumerate(entities)), on=on
    )


def test_two_spellings_of_one_exchange_are_no_dispute() -> None:
    book = claimed(Entity("Huobi", EntityKind.EXCHANGE), Entity("HTX", EntityKind.EXCHANGE))
    assert not book.is_disputed(SCRIPT)
    entity = book.entity_of(SCRIPT)
    assert entity is not None
    assert entity.key == "htx"


@pytest.mark.parametrize("kind", [EntityKind.SANCTIONED, EntityKind.SCAM])
def test_what_a_script_is_known_for_disputes_no_owner(kind: EntityKind) -> None:
    overlay = Entity("A list", kind)
    book = claimed(BINANCE, overlay)
    assert not book.is_disputed(SCRIPT)
    assert book.entity_of(SCRIPT) == BINANCE
    assert book.why_no_direction(SCRIPT) == ""
    assert {label.entity for label in book.lookup(SCRIPT)} == {BINANCE, overlay}
    alone = claimed(overlay, Entity("Another list", kind))
    assert not alone.is_disputed(SCRIPT)
    assert alone.entity_of(SCRIPT) is None
    assert alone.why_no_direction(SCRIPT) == "it is known for something, and no owner is named"


def test_a_pool_may_be_paid_into_its_account_at_an_exchange() -> None:
    bitstamp = Entity("Bitstamp", EntityKind.EXCHANGE)
    book = claimed(ANTPOOL, bitstamp)
    assert not book.is_disputed(SCRIPT)
    assert book.entity_of(SCRIPT) == bitstamp
    assert book.why_no_direction(SCRIPT) == ""


def test_two_pools_dispute_each_other_unless_somebody_holds_the_keys() -> None:
    poolin = Entity("Poolin", EntityKind.POOL)
    assert claimed(ANTPOOL).entity_of(SCRIPT) == ANTPOOL
    assert claimed(ANTPOOL, poolin).is_disputed(SCRIPT)
    assert claimed(ANTPOOL, poolin, BINANCE).entity_of(SCRIPT) == BINANCE


def test_the_operators_own_wallet_disputes_an_exchange() -> None:
    book = claimed(BINANCE, OWN)
    assert book.is_disputed(SCRIPT)
    assert book.why_no_direction(SCRIPT) == "the claims contradict each other"
    assert claimed(OWN).why_no_direction(SCRIPT) == "its owner is no exchange"
    assert LabelBook().why_no_direction(SCRIPT) == "nobody claims to know whose it is"


# Claims that begin and end.


@pytest.mark.parametrize(
    ("valid_from", "valid_to", "is_in_force"),
    [
        (None, None, True),
        (DAY, None, True),
        (date(2026, 11, 26), None, False),
        (None, DAY, False),
        (None, date(2026, 11, 26), True),
        (date(2026, 11, 1), date(2026, 11, 30), True),
    ],
)
def test_a_claim_holds_from_its_first_day_to_the_day_before_its_end(
    valid_from: date | None, valid_to: date | None, is_in_force: bool
) -> None:
    label = replace(LABEL, valid_from=valid_from, valid_to=valid_to)
    book = LabelBook([label], on=DAY)
    assert label.is_in_force(DAY) == is_in_force
    assert (book.lookup(SCRIPT) == (label,)) == is_in_force
    assert book.claims_on(SCRIPT) == tuple(book) == (label,)
    assert (book.why_no_direction(SCRIPT) == "") == is_in_force


def test_without_a_date_a_claim_with_an_end_is_over() -> None:
    label = replace(LABEL, valid_from=date(2099, 1, 1), valid_to=date(2100, 1, 1))
    book = LabelBook([label])
    assert book.lookup(SCRIPT) == ()
    assert book.claims_on(SCRIPT) == (label,)
    assert book.why_no_direction(SCRIPT) == "every claim is over, or has not begun"


def test_a_claim_that_is_over_disputes_nothing() -> None:
    book = LabelBook([LABEL, replace(LABEL, entity=KRAKEN, valid_to=DAY)], on=DAY)
    assert not book.is_disputed(SCRIPT)
    assert book.entity_of(SCRIPT) == BINANCE
    assert LabelBook(book, on=date(2026, 11, 24)).is_disputed(SCRIPT)


def test_the_version_tells_what_is_in_force_and_not_the_date() -> None:
    label = replace(LABEL, valid_to=DAY)
    before, after, later = (
        LabelBook([label], on=day) for day in (date(2026, 11, 24), DAY, date(2026, 12, 1))
    )
    assert before.version != after.version == later.version


@pytest.mark.parametrize("field", ["citation", "source_url", "licence"])
def test_the_version_and_the_id_of_a_claim_change_with_what_it_cites(field: str) -> None:
    changed = replace(LABEL, **{field: "x"})  # type: ignore[arg-type]
    assert LabelBook([changed]).version != LabelBook([LABEL]).version
    assert changed.claim_id != LABEL.claim_id


def test_the_id_of_a_claim_is_64_bits_and_the_same_everywhere() -> None:
    assert LABEL.claim_id == replace(LABEL).claim_id
    assert 0 <= LABEL.claim_id < 2**64
    assert replace(LABEL, valid_to=DAY).claim_id != LABEL.claim_id


@given(st.lists(labels, max_size=8))
def test_a_book_gives_back_the_claims_it_was_made_of(claims: list[Label]) -> None:
    book = LabelBook(claims)
    assert set(book) == set(claims)
    assert list(book.scripts()) == sorted({label.script for label in claims})
    assert [label for script in book.scripts() for label in book.claims_on(script)] == list(book)
    assert LabelBook(book).version == book.version
