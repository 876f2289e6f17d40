import pytest

from hydrophone.domain import learned_labels
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.learned_labels import KnownLabels, LearnedBy
from tests.builders import wpkh
from tests.flows import label, learned

PUBLISHED = label(wpkh(1), "Alpha")
DISPUTED = [label(wpkh(2), "Alpha"), label(wpkh(2), "Beta")]
BOOK = LabelBook([PUBLISHED, *DISPUTED])


def test_what_was_learned_is_found_beside_the_book() -> None:
    known = KnownLabels(BOOK)
    assert known.lookup(wpkh(3)) == ()
    known.add(learned(wpkh(3)))
    assert known.lookup(wpkh(3)) == (learned(wpkh(3)),)
    assert known.lookup(wpkh(1)) == (PUBLISHED,)
    assert list(known) == [learned(wpkh(3))]


def test_where_the_book_says_anything_it_alone_is_heard() -> None:
    known = KnownLabels(BOOK, [learned(wpkh(1), "Beta", 1.0), learned(wpkh(2), "Alpha", 1.0)])
    assert known.lookup(wpkh(1)) == (PUBLISHED,)
    assert not known.is_disputed(wpkh(1))
    assert known.lookup(wpkh(2)) == tuple(BOOK.lookup(wpkh(2)))
    assert known.is_disputed(wpkh(2))


def test_what_was_learned_is_never_disputed_for_the_first_claim_stays() -> None:
    known = KnownLabels(BOOK, [learned(wpkh(3), "Alpha"), learned(wpkh(3), "Beta")])
    assert known.lookup(wpkh(3)) == (learned(wpkh(3), "Alpha"),)
    assert not known.is_disputed(wpkh(3))


def test_the_version_is_that_of_the_book() -> None:
    assert KnownLabels(BOOK, [learned(wpkh(3))]).version == BOOK.version


def test_beyond_the_limit_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned_labels, "LEARNED_LIMIT", 3)
    known = KnownLabels(BOOK, [learned(wpkh(number)) for number in (10, 11, 12)])
    assert [claim.script for claim in known] == [wpkh(10), wpkh(11), wpkh(12)]
    known.add(learned(wpkh(10)))
    assert [claim.script for claim in known] == [wpkh(10), wpkh(11), wpkh(12)]
    known.add(learned(wpkh(13)))
    assert [claim.script for claim in known] == [wpkh(11), wpkh(12), wpkh(13)]
    assert known.lookup(wpkh(10)) == ()


def test_of_too_many_at_once_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned_labels, "LEARNED_LIMIT", 2)
    known = KnownLabels(BOOK, [learned(wpkh(number)) for number in range(10, 20)])
    assert [claim.script for claim in known] == [wpkh(18), wpkh(19)]


@pytest.mark.parametrize("by", list(LearnedBy))
def test_a_claim_of_our_own_is_a_label_that_says_how_it_came_about(by: LearnedBy) -> None:
    claim = learned(wpkh(3), by=by)
    assert (claim.source, claim.learned_by) == ("a list", by)
    assert claim != learned(wpkh(3), by=by, source="another")
