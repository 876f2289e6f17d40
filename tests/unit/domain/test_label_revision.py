from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.label_revision import revise
from hydrophone.domain.labels import Entity, EntityKind, Label, Role

BINANCE = Entity("Binance", EntityKind.EXCHANGE)
KRAKEN = Entity("Kraken", EntityKind.EXCHANGE)
TODAY = date(2026, 11, 25)
TOMORROW = TODAY + timedelta(days=1)
LABEL = Label(b"\x00\x14" + b"\x11" * 20, BINANCE, Role.COLD, "a list", 0.97, date(2026, 9, 23))
OTHER = replace(LABEL, script=b"\x00\x14" + b"\x22" * 20)

labels = st.builds(
    Label,
    script=st.sampled_from([LABEL.script, OTHER.script]),
    entity=st.sampled_from([BINANCE, KRAKEN]),
    role=st.sampled_from(Role),
    source=st.sampled_from(["a list", "another"]),
    confidence=st.sampled_from([0.9, 0.97]),
)


def test_what_vanishes_is_retired_and_what_comes_is_new() -> None:
    revision = revise([LABEL], [OTHER], on=TODAY)
    assert set(revision.labels) == {replace(LABEL, valid_to=TODAY), OTHER}
    assert (revision.new, revision.retired, revision.live) == (1, 1, 1)


def test_what_is_retired_stays_so_from_its_first_day() -> None:
    once = revise([LABEL], [OTHER], on=TODAY).labels
    again = revise(once, [OTHER], on=TOMORROW)
    assert set(again.labels) == set(once)
    assert (again.retired, again.unchanged) == (0, 1)


def test_what_comes_back_is_retired_no_more() -> None:
    retired = revise([LABEL], [], on=TODAY).labels
    revision = revise(retired, [LABEL], on=TOMORROW)
    assert revision.labels == (LABEL,)
    assert (revision.returned, revision.new, revision.changed) == (1, 0, 0)


def test_what_is_said_differently_is_changed_and_a_date_alone_is_not() -> None:
    role = revise([LABEL], [replace(LABEL, role=Role.HOT)], on=TODAY)
    assert role.labels == (replace(LABEL, role=Role.HOT),)
    assert (role.changed, role.retired, role.new) == (1, 0, 0)
    dated = revise([LABEL], [replace(LABEL, as_of=TODAY)], on=TODAY)
    assert dated.labels == (replace(LABEL, as_of=TODAY),)
    assert (dated.unchanged, dated.changed) == (1, 0)


def test_another_entity_on_the_same_script_is_another_claim() -> None:
    revision = revise([LABEL], [replace(LABEL, entity=KRAKEN)], on=TODAY)
    assert (revision.new, revision.retired) == (1, 1)


def test_another_spelling_of_the_entity_is_the_same_claim() -> None:
    revision = revise([LABEL], [replace(LABEL, entity=replace(BINANCE, name="Binance.com"))], on=TODAY)
    assert (revision.changed, revision.new, revision.retired) == (1, 0, 0)


def test_a_claim_whose_end_its_source_states_keeps_it() -> None:
    ended = replace(LABEL, valid_to=date(2025, 1, 1))
    assert revise([], [ended], on=TODAY).labels == (ended,)
    assert revise([ended], [], on=TODAY).labels == (ended,)


def test_a_claim_that_had_not_begun_ends_after_it_begins() -> None:
    [retired] = revise([replace(LABEL, valid_from=TOMORROW)], [], on=TODAY).labels
    assert retired.valid_to == TOMORROW + timedelta(days=1)


@given(st.lists(labels), st.lists(labels))
def test_nothing_is_lost_and_exactly_what_is_said_now_is_alive(before: list[Label], now: list[Label]) -> None:
    kept = revise([], before, on=TODAY).labels
    revision = revise(kept, now, on=TOMORROW)
    alive = {label for label in revision.labels if label.valid_to is None}
    assert alive == set(now)
    named = {(label.script, label.entity, label.source) for label in (*before, *now)}
    assert {(label.script, label.entity, label.source) for label in revision.labels} == named
    assert all(label.valid_to in (None, TOMORROW) for label in revision.labels)


@given(st.lists(labels))
def test_saying_the_same_again_changes_nothing(said: list[Label]) -> None:
    once = revise([], said, on=TODAY)
    again = revise(once.labels, list(reversed(said)), on=TOMORROW)
    assert set(again.labels) == set(once.labels)
    assert (again.new, again.changed, again.returned, again.retired) == (0, 0, 0, 0)
    assert again.unchanged == once.new
