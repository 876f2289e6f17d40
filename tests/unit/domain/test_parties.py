from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.flow_parameters import DEFAULT
from hydrophone.domain.labels import EntityKind, Label, LabelBook, Role
from hydrophone.domain.learned_labels import KnownLabels
from hydrophone.domain.parties import (
    ExchangeClaims,
    LabelReading,
    Roles,
    Sign,
    estimate_receiver,
    estimate_sender,
    find_roles,
    read_labels,
    same_owner_of,
    structural_signs,
    unnamed_share,
)
from hydrophone.domain.shapes import Looks, Shape
from tests.builders import wpkh
from tests.flows import label, learned, shares

A_HOT, A_HOT_2, B_HOT, C_HOT = (wpkh(number) for number in range(4))


def claims(key: str, *labels: Label) -> ExchangeClaims:
    return ExchangeClaims(key, labels)


def looks(
    shape: Shape | None = None,
    *,
    has_spare_input: bool = False,
    has_round_total: bool = False,
    output_count: int = 2,
) -> Looks:
    return Looks(
        shape,
        is_gathering=False,
        has_spare_input=has_spare_input,
        has_round_total=has_round_total,
        candidates=tuple(range(output_count)),
    )


COINJOINS = [shape for shape in Shape if shape.is_coinjoin]


class TestReading:
    def test_claims_come_in_the_order_of_the_scripts(self) -> None:
        book = LabelBook([label(A_HOT, "Alpha"), label(B_HOT, "Beta")])
        found = read_labels(book, [B_HOT, C_HOT, A_HOT])
        assert list(found.claims) == [B_HOT, A_HOT]
        assert found.claims[A_HOT] == claims("alpha", label(A_HOT, "Alpha"))
        assert found.names == {"alpha": "Alpha", "beta": "Beta"}
        assert (found.disputes, found.others) == ((), frozenset())

    def test_an_exchange_is_written_as_its_surest_claim_writes_it(self) -> None:
        book = LabelBook([label(A_HOT, "CRYPTOCOM", 0.85), label(A_HOT_2, "Crypto.com", 0.97)])
        for scripts in ([A_HOT, A_HOT_2], [A_HOT_2, A_HOT]):
            assert read_labels(book, scripts).names == {"cryptocom": "Crypto.com"}

    def test_contradicting_claims_are_no_claims(self) -> None:
        book = LabelBook([label(A_HOT, "Kraken"), label(A_HOT, "Alpha"), label(B_HOT, "Beta")])
        found = read_labels(book, [A_HOT, B_HOT])
        assert list(found.claims) == [B_HOT]
        assert found.disputes == (("Alpha", "Kraken"),)
        assert found.others == frozenset()

    def test_who_is_no_exchange_gives_no_direction_but_is_somebody(self) -> None:
        book = LabelBook([label(A_HOT, "Pool", kind=EntityKind.POOL)])
        found = read_labels(book, [A_HOT, B_HOT])
        assert (found.claims, found.names) == ({}, {})
        assert found.others == {A_HOT}

    def test_a_claim_that_nobody_believes_is_none(self) -> None:
        found = read_labels(LabelBook([label(A_HOT, "Alpha", 0.0)]), [A_HOT])
        assert (found.claims, found.names, found.disputes) == ({}, {}, ())

    def test_what_was_learned_is_read_as_well(self) -> None:
        labels = KnownLabels(LabelBook([label(A_HOT, "Alpha")]), [learned(A_HOT_2)])
        found = read_labels(labels, [A_HOT, A_HOT_2])
        assert [claim.is_learned for claim in found.claims.values()] == [False, True]

    def test_one_published_claim_makes_it_published(self) -> None:
        assert not claims("alpha", learned(A_HOT), label(A_HOT, "Alpha")).is_learned
        assert claims("alpha", learned(A_HOT), learned(A_HOT, source="another")).is_learned


class TestRoles:
    def reading(self, **roles: Role) -> LabelReading:
        scripts = {"a": A_HOT, "a2": A_HOT_2, "b": B_HOT}
        return read_labels(
            LabelBook([label(scripts[name], name[0], role=role) for name, role in roles.items()]),
            scripts.values(),
        )

    def test_the_surest_claim_that_says_a_role_says_it(self) -> None:
        hot, cold = label(A_HOT, "Alpha", 0.7, role=Role.HOT), label(A_HOT, "Alpha", 0.8, role=Role.COLD)
        silent = label(A_HOT, "Alpha", 0.99)
        for order in permutations([hot, cold, silent]):
            assert claims("alpha", *order).role is Role.COLD
        assert claims("alpha", silent).role is Role.UNKNOWN

    def test_each_side_has_the_role_of_its_scripts(self) -> None:
        reading = self.reading(a=Role.COLD, b=Role.DEPOSIT)
        assert find_roles(reading, [A_HOT, C_HOT], [B_HOT, C_HOT]) == Roles(Role.COLD, Role.DEPOSIT)
        assert find_roles(reading, [C_HOT], [C_HOT]) == Roles(Role.UNKNOWN, Role.UNKNOWN)

    @pytest.mark.parametrize("other", [Role.HOT, Role.UNKNOWN])
    def test_scripts_that_differ_have_none(self, other: Role) -> None:
        reading = self.reading(a=Role.COLD, a2=other)
        assert find_roles(reading, [A_HOT, A_HOT_2], [B_HOT]).sender is Role.UNKNOWN
        assert find_roles(reading, [B_HOT], [A_HOT, A_HOT_2]).receiver is Role.UNKNOWN

    def test_what_returns_to_an_input_receives_nothing(self) -> None:
        reading = self.reading(a=Role.COLD, b=Role.HOT)
        assert find_roles(reading, [A_HOT], [A_HOT, B_HOT]) == Roles(Role.COLD, Role.HOT)


class TestSender:
    def test_a_claim_is_believed_as_far_as_all_inputs_have_one_owner(self) -> None:
        alpha = claims("alpha", label(A_HOT, "Alpha"))
        for same_owner in (1.0, 0.98, 0.5):
            found = estimate_sender([alpha], same_owner=same_owner)
            assert found.shares == pytest.approx({"alpha": 0.9 * same_owner})
            assert found.same_owner == same_owner
        assert estimate_sender([alpha], same_owner=1.0).known == "alpha"

    def test_where_everybody_brings_an_input_nobody_is_the_sender(self) -> None:
        found = estimate_sender([claims("alpha", label(A_HOT, "Alpha", 1.0))], same_owner=0.0)
        assert (found.shares, found.known) == ({"alpha": 0.0}, None)

    def test_a_coin_toss_knows_nobody(self) -> None:
        assert estimate_sender([claims("alpha", label(A_HOT, "Alpha", 0.5))], same_owner=1).known is None
        assert estimate_sender([claims("alpha", label(A_HOT, "Alpha", 0.51))], same_owner=1).known

    def test_twenty_inputs_with_the_claim_of_one_source_are_one_claim(self) -> None:
        many = [claims("alpha", label(wpkh(1000 + n), "Alpha", 0.3 + 0.01 * n)) for n in range(20)]
        found = estimate_sender(many, same_owner=0.98)
        assert found.shares == pytest.approx({"alpha": 0.49 * 0.98})
        assert found.known is None

    def test_two_sources_are_two_claims(self) -> None:
        both = claims("alpha", label(A_HOT, "Alpha", 0.5), label(A_HOT, "Alpha", 0.6, source="another"))
        assert estimate_sender([both], same_owner=1).shares == pytest.approx({"alpha": 0.8})
        discounted = 1 - (1 - 0.5 * 0.9) * (1 - 0.6 * 0.9)
        assert estimate_sender([both], same_owner=0.9).shares == pytest.approx({"alpha": discounted})

    def test_what_was_learned_corroborates_not_what_it_follows_from(self) -> None:
        alone = estimate_sender([claims("alpha", label(A_HOT, "Alpha"))], same_owner=0.98)
        both = [claims("alpha", label(A_HOT, "Alpha")), claims("alpha", learned(A_HOT_2, confidence=0.8))]
        assert estimate_sender(both, same_owner=0.98) == alone

    def test_two_likely_senders_contradict_each_other_and_are_halved(self) -> None:
        inputs = [claims("alpha", label(A_HOT, "Alpha")), claims("beta", label(B_HOT, "Beta", 0.8))]
        found = estimate_sender(inputs, same_owner=0.98)
        assert found.shares == pytest.approx({"alpha": 0.441, "beta": 0.392})
        assert found.conflict == ("alpha", "beta")
        assert found.known is None

    def test_of_three_likely_senders_the_halves_are_scaled_to_certainty(self) -> None:
        names = {"alpha": A_HOT, "beta": B_HOT, "gamma": C_HOT}
        inputs = [claims(key, label(script, key, 0.9)) for key, script in names.items()]
        found = estimate_sender(inputs, same_owner=1.0)
        assert found.shares == pytest.approx(dict.fromkeys(names, 1 / 3))
        assert found.conflict == tuple(names)

    def test_a_likely_and_an_unlikely_sender_share_what_is_certain(self) -> None:
        inputs = [claims("alpha", label(A_HOT, "Alpha")), claims("beta", label(B_HOT, "Beta", 0.5))]
        found = estimate_sender(inputs, same_owner=0.98)
        assert found.shares == pytest.approx({"alpha": 0.882 / 1.372, "beta": 0.49 / 1.372})
        assert found.conflict == ()
        assert found.known == "alpha"

    def test_without_claims_nobody_sends(self) -> None:
        found = estimate_sender([], same_owner=0.98, unnamed=0.3)
        assert (found.shares, found.conflict, found.known, found.unnamed) == ({}, (), None, 0.3)


@given(
    st.lists(st.tuples(st.sampled_from(["alpha", "beta", "gamma"]), st.sampled_from("123"), shares)), shares
)
def test_senders_share_at_most_certainty(parts: Sequence[tuple[str, str, float]], same_owner: float) -> None:
    inputs = [
        claims(key, label(wpkh(n), key, confidence, source=source))
        for n, (key, source, confidence) in enumerate(parts)
    ]
    found = estimate_sender(inputs, same_owner=same_owner)
    assert all(0 <= share <= 1 for share in found.shares.values())
    assert sum(found.shares.values()) <= 1 + 1e-9
    assert len(found.conflict) != 1
    assert found.known is None or not found.conflict


def test_a_receiver_is_believed_as_its_sources_are() -> None:
    both = claims("alpha", label(A_HOT, "Alpha", 0.5), label(A_HOT, "Alpha", 0.6, source="another"))
    assert estimate_receiver(both) == pytest.approx({"alpha": 0.8})


def test_the_order_of_sources_decides_not_even_the_last_bit() -> None:
    sources = [label(A_HOT, "Alpha", c, source=f"source {c}") for c in (0.1, 0.2, 0.85)]
    found = {estimate_receiver(claims("alpha", *order))["alpha"] for order in permutations(sources)}
    assert len(found) == 1


class TestSameOwner:
    def test_one_input_has_one_owner(self) -> None:
        assert same_owner_of(looks(), input_count=1) == 1.0

    def test_several_might_have_several(self) -> None:
        assert same_owner_of(looks(), input_count=2) == 0.98
        assert same_owner_of(looks(Shape.BATCH), input_count=200) == 0.98

    def test_an_input_that_was_not_needed_may_be_the_payees(self) -> None:
        assert same_owner_of(looks(has_spare_input=True), input_count=2) == 0.90

    @pytest.mark.parametrize("shape", COINJOINS)
    def test_in_a_coinjoin_everybody_brings_an_input(self, shape: Shape) -> None:
        assert same_owner_of(looks(shape, has_spare_input=True), input_count=2) == 0.0

    def test_the_figures_can_be_others(self) -> None:
        parameters = replace(DEFAULT, same_owner=0.7, same_owner_payjoin=0.6)
        assert same_owner_of(looks(), input_count=2, parameters=parameters) == 0.7
        assert same_owner_of(looks(has_spare_input=True), input_count=2, parameters=parameters) == 0.6


class TestLooksOfAnExchange:
    @pytest.mark.parametrize(
        ("seen", "signs"),
        [
            (looks(), ()),
            (looks(Shape.BATCH, output_count=24), (Sign("batch", 2.5),)),
            (looks(Shape.BATCH, output_count=25), (Sign("batch", 2.5), Sign("many_outputs", 0.7))),
            (looks(output_count=25), ()),
            (looks(Shape.CONSOLIDATION), (Sign("consolidation", 0.8),)),
            (looks(has_round_total=True), (Sign("round_total", -0.3),)),
            *[(looks(shape, output_count=90), (Sign("coinjoin", -3.0),)) for shape in COINJOINS],
        ],
    )
    def test_each_sign_speaks_where_it_is_seen(self, seen: Looks, signs: tuple[Sign, ...]) -> None:
        assert structural_signs(seen) == signs

    def test_signs_add_up(self) -> None:
        seen = looks(Shape.CONSOLIDATION, has_round_total=True)
        assert unnamed_share(structural_signs(seen)) == pytest.approx(1 / (1 + exp(1.4 - 0.8 + 0.3)))

    def test_looks_alone_make_an_exchange_no_more_likely_than_a_coin_toss(self) -> None:
        assert unnamed_share(structural_signs(looks(Shape.BATCH, output_count=100))) == 0.5

    def test_without_a_sign_in_favour_there_is_none(self) -> None:
        assert unnamed_share([]) == 0.0
        assert unnamed_share([Sign("round_total", -0.3), Sign("coinjoin", -3.0)]) == 0.0
        assert unnamed_share([Sign("none", 0.0)]) == 0.0

    @given(st.lists(st.builds(Sign, st.just("any"), st.floats(-20, 20)), max_size=6))
    def test_it_is_a_share_below_the_cap(self, signs: list[Sign]) -> None:
        share = unnamed_share(signs)
        assert 0 <= share <= DEFAULT.unnamed_cap < DEFAULT.theta
        assert (share > 0) == any(sign.weight > 0 for sign in signs)
