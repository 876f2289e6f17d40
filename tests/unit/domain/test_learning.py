from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain import learning
from hydrophone.domain.flow import classify_flow
from hydrophone.domain.labels import EntityKind, Label, LabelBook, Role
from hydrophone.domain.learned_labels import KnownLabels, LearnedBy, LearnedLabel
from hydrophone.domain.learning import Learner
from hydrophone.domain.transaction import Output, Transaction
from hydrophone.domain.units import UnixMicros
from tests.builders import txid_of, wpkh
from tests.flows import BTC, label, learned, p2sh, pay, taproot, transaction

HOT, COLD, DEPOSIT, PLAIN, B_HOT, POOL, B_COLD = (wpkh(number) for number in range(7))
X, Y, Z = wpkh(100), wpkh(101), wpkh(102)
ELSEWHERE = taproot(1)
LABELS = [
    label(HOT, "Alpha", role=Role.HOT),
    label(COLD, "Alpha", role=Role.COLD),
    label(DEPOSIT, "Alpha", role=Role.DEPOSIT),
    label(PLAIN, "Alpha"),
    label(B_HOT, "Beta", role=Role.HOT),
    label(B_COLD, "Beta", role=Role.COLD),
    label(POOL, "Pool", kind=EntityKind.POOL),
]


class World:
    """What is known, and who learns from what is seen."""

    def __init__(self, labels: Sequence[Label] = LABELS) -> None:
        self.known = KnownLabels(LabelBook(labels))
        self.learner = Learner(self.known)
        self._count = 0

    def see(self, tx: Transaction) -> tuple[LearnedLabel, ...]:
        return self.learner.observe(tx, classify_flow(tx, self.known), UnixMicros(7))

    def pay(
        self, spent: Sequence[bytes], paid: Sequence[bytes], name: str | None = None
    ) -> list[tuple[bytes, Role, LearnedBy]]:
        """Have scripts pay scripts ten coins each, and return what is learned from it."""
        self._count += 1
        tx = payment(spent, paid, name or f"payment {self._count}")
        return [(found.script, found.role, found.learned_by) for found in self.see(tx)]


def payment(spent: Sequence[bytes], paid: Sequence[bytes], name: str) -> Transaction:
    """Return a payment for which every input is needed, with amounts that all differ."""
    outputs = [pay(script, 10 * BTC + 7 * n) for n, script in enumerate(paid)]
    total_sat = sum(output.value_sat for output in outputs)
    prevouts = [pay(script, total_sat // len(spent) + 1) for script in spent]
    return transaction(prevouts, outputs, name)


@pytest.fixture
def world() -> World:
    return World()


class TestSweep:
    scripts = tuple(taproot(200 + n) for n in range(5))

    def test_what_gathers_coins_into_a_wallet_spends_deposit_scripts(self, world: World) -> None:
        found = world.pay(self.scripts, [HOT])
        assert found == [(script, Role.DEPOSIT, LearnedBy.SWEEP) for script in self.scripts]
        assert all(world.known.lookup(script)[0].entity.key == "alpha" for script in self.scripts)

    def test_what_is_known_already_is_not_learned_again(self, world: World) -> None:
        world.pay(self.scripts, [HOT])
        assert world.pay((*self.scripts, X), [HOT]) == [(X, Role.DEPOSIT, LearnedBy.SWEEP)]
        assert world.pay((*self.scripts, X), [HOT]) == []

    @pytest.mark.parametrize(
        ("spent", "paid"),
        [
            pytest.param(scripts[:4], [HOT], id="four scripts"),
            pytest.param(scripts, [HOT, ELSEWHERE], id="somebody else is paid, too"),
            pytest.param(scripts, [DEPOSIT], id="into a deposit script"),
            pytest.param(scripts, [ELSEWHERE], id="into a script nobody knows"),
            pytest.param([*scripts, POOL], [HOT], id="with coins of a pool"),
            pytest.param([*scripts, B_HOT], [HOT], id="with coins of another exchange"),
        ],
    )
    def test_what_is_no_sweep_teaches_no_deposit_scripts(
        self, world: World, spent: Sequence[bytes], paid: Sequence[bytes]
    ) -> None:
        assert [found for found in world.pay(spent, paid) if found[2] is LearnedBy.SWEEP] == []

    def sweep_of_two(self, world: World, name: str) -> tuple[LearnedLabel, ...]:
        """Show a sweep of two deposit scripts that the learner has forgotten since it was judged."""
        tx = payment([X, Y], [HOT], name)
        then = KnownLabels(LabelBook(LABELS), [learned(s, role=Role.DEPOSIT) for s in (X, Y)])
        return world.learner.observe(tx, classify_flow(tx, then), UnixMicros(7))

    def test_of_two_scripts_it_takes_a_second_sweep(self, world: World) -> None:
        assert self.sweep_of_two(world, "first") == ()
        assert self.sweep_of_two(world, "first") == (), "a replay is no second sweep"
        assert [found.script for found in self.sweep_of_two(world, "second")] == [X, Y]

    def test_a_sweep_and_a_payment_to_a_wallet_do_not_suffice(self, world: World) -> None:
        assert self.sweep_of_two(world, "first") == ()
        assert world.pay([X], [HOT]) == []


class TestCoSpend:
    @pytest.mark.parametrize(
        ("script", "role"),
        [(HOT, Role.HOT), (COLD, Role.COLD), (DEPOSIT, Role.DEPOSIT), (PLAIN, Role.UNKNOWN)],
    )
    def test_who_spends_coins_with_an_exchange_is_the_exchange_in_the_same_role(
        self, world: World, script: bytes, role: Role
    ) -> None:
        found = world.pay([script, X], [ELSEWHERE])
        assert (X, role, LearnedBy.CO_SPEND) in found
        assert ELSEWHERE not in [script for script, _, _ in found]

    def test_a_weak_claim_makes_nobody_the_exchange(self) -> None:
        world = World([label(HOT, "Alpha", 0.5)])
        assert world.pay([HOT, X], [ELSEWHERE]) == []
        world = World([label(HOT, "Alpha", 0.6)])
        assert world.pay([HOT, X], [ELSEWHERE]) == [(X, Role.UNKNOWN, LearnedBy.CO_SPEND)]

    def test_two_exchanges_in_conflict_own_nothing_together(self, world: World) -> None:
        assert world.pay([HOT, B_HOT, X], [ELSEWHERE]) == []

    def test_who_has_a_label_keeps_it(self, world: World) -> None:
        assert world.pay([HOT, POOL], [ELSEWHERE]) == []
        disputed = World([*LABELS, label(X, "Beta"), label(X, "Gamma")])
        assert disputed.pay([HOT, X], [ELSEWHERE]) == []

    def test_an_input_that_was_not_needed_may_be_the_payees(self, world: World) -> None:
        spent = [pay(HOT, 12 * BTC), pay(X, 5 * BTC)]
        spare = transaction(spent, [pay(ELSEWHERE, 10 * BTC), pay(wpkh(8), 7 * BTC)])
        assert world.see(spare) == ()
        needed = transaction(spent, [pay(ELSEWHERE, 13 * BTC), pay(wpkh(8), 4 * BTC)], "needed")
        assert [found.script for found in world.see(needed)] == [X]

    def test_in_a_coinjoin_everybody_brings_an_input(self, world: World) -> None:
        spent = [pay(script, 10_000_000) for script in (HOT, X, Y, Z, wpkh(103))]
        whirlpool = [pay(taproot(300 + n), 5_000_000) for n in range(5)]
        assert world.see(transaction(spent, whirlpool)) == ()
        unequal = [*whirlpool[:4], pay(taproot(304), 5_000_001)]
        assert {found.script for found in world.see(transaction(spent, unequal, "no mix"))} == {
            X,
            Y,
            Z,
            wpkh(103),
        }

    def test_without_prevouts_nothing_is_learned(self, world: World) -> None:
        assert world.see(transaction([pay(HOT, 10 * BTC), None], [pay(ELSEWHERE, BTC)])) == ()


Sign = Callable[[World, str], list[tuple[bytes, Role, LearnedBy]]]


def sign(spent: bytes, paid: bytes) -> Sign:
    return lambda world, name: world.pay([spent], [paid], name)


SIGNS: dict[str, Sign] = {
    "paid from cold": sign(COLD, X),
    "paid from deposit": sign(DEPOSIT, X),
    "pays cold": sign(X, COLD),
    "pays hot": sign(X, HOT),
    "paid from hot": sign(HOT, X),
}
NOT_ENOUGH = {("pays hot", "pays hot"), ("paid from hot", "paid from hot")}
PAIRS = [(one, other) for one in SIGNS for other in SIGNS]


class TestOwnWallet:
    @pytest.mark.parametrize("name", SIGNS)
    def test_one_sign_is_not_enough(self, world: World, name: str) -> None:
        assert SIGNS[name](world, "first") == []

    @pytest.mark.parametrize(("one", "other"), [pair for pair in PAIRS if pair not in NOT_ENOUGH])
    def test_two_signs_of_different_transactions_are(self, world: World, one: str, other: str) -> None:
        SIGNS[one](world, "first")
        assert SIGNS[other](world, "second") == [(X, Role.UNKNOWN, LearnedBy.OWN_WALLET)]

    @pytest.mark.parametrize(("one", "other"), sorted(NOT_ENOUGH))
    def test_what_customers_do_is_no_sign_however_often(self, world: World, one: str, other: str) -> None:
        for number in range(5):
            assert SIGNS[one if number % 2 else other](world, f"number {number}") == []

    @pytest.mark.parametrize("name", SIGNS)
    def test_the_same_transaction_counts_once(self, world: World, name: str) -> None:
        for _ in range(3):
            assert SIGNS[name](world, "the same") == []

    def test_signs_of_two_exchanges_do_not_add_up(self, world: World) -> None:
        assert world.pay([COLD], [X]) == []
        assert world.pay([X], [B_HOT]) == []
        assert world.pay([X], [HOT]) == [(X, Role.UNKNOWN, LearnedBy.OWN_WALLET)]

    @pytest.mark.parametrize(("count", "is_sign"), [(3, True), (4, False)])
    def test_who_pays_more_than_three_at_once_pays_customers(
        self, world: World, count: int, *, is_sign: bool
    ) -> None:
        world.pay([COLD], [X, *(taproot(300 + n) for n in range(count - 1))])
        assert bool(world.pay([X], [HOT])) is is_sign

    def test_change_to_the_input_is_not_counted_among_the_paid(self, world: World) -> None:
        world.pay([COLD], [X, taproot(300), taproot(301), COLD])
        assert world.pay([X], [HOT])

    def test_who_pays_a_deposit_script_is_a_customer(self, world: World) -> None:
        world.pay([COLD], [X])
        assert world.pay([X], [DEPOSIT]) == []
        assert world.pay([X], [DEPOSIT, HOT]) == []

    def test_who_pays_two_exchanges_is_neither(self, world: World) -> None:
        for cold in (COLD, B_COLD):
            assert world.pay([cold], [X]) == []
        assert world.pay([X], [HOT, B_HOT]) == []

    def test_who_spends_with_an_exchange_of_little_credit_is_left_alone(self) -> None:
        world = World([*LABELS, label(Y, "Gamma", 0.1)])
        world.pay([COLD], [X])
        assert world.pay([X, Y], [HOT]) == []

    def test_who_mixes_coins_with_others_pays_nobody_we_could_tell(self, world: World) -> None:
        spent = [pay(X, 10 * BTC), pay(Y, 10 * BTC)]
        for number in range(3):
            paid = [pay(COLD, 7 * BTC), pay(taproot(300 + number), 7 * BTC), pay(taproot(200), 5 * BTC - 7)]
            assert world.see(transaction(spent, paid, number)) == ()

    def test_who_is_labelled_is_not_learned(self, world: World) -> None:
        world.pay([COLD], [POOL])
        assert world.pay([POOL], [HOT]) == []

    def test_beyond_a_limit_the_oldest_sign_is_forgotten(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(learning, "_TIES_LIMIT", 2)
        for script in (X, Y, Z):
            world.pay([COLD], [script])
        assert world.pay([X], [HOT]) == [], "this again drives out the next"
        assert world.pay([Z], [HOT]) == [(Z, Role.UNKNOWN, LearnedBy.OWN_WALLET)]

    def test_a_new_sign_keeps_the_old_ones_alive(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(learning, "_TIES_LIMIT", 2)
        for spent, paid in ((HOT, X), (HOT, Y), (HOT, X), (HOT, Z)):
            world.pay([spent], [paid])
        assert world.pay([X], [HOT]) == [(X, Role.UNKNOWN, LearnedBy.OWN_WALLET)]


class TestLearnedClaim:
    def test_it_says_all_there_is_to_know_about_it(self, world: World) -> None:
        tx = payment([HOT, X], [ELSEWHERE], "co-spend")
        [found] = world.see(tx)
        assert found == LearnedLabel(
            script=X,
            entity=LABELS[0].entity,
            role=Role.HOT,
            source="a list",
            confidence=0.9,
            citation=f"learned here: co_spend {txid_of('co-spend')}",
            learned_by=LearnedBy.CO_SPEND,
            evidence=txid_of("co-spend"),
            learned_at=UnixMicros(7),
        )
        assert world.known.lookup(X) == (found,)

    def test_its_source_is_that_of_the_surest_claim_it_follows_from(self) -> None:
        world = World([label(HOT, "Alpha", 0.8, source="weak"), label(HOT, "ALPHA", 0.95, source="strong")])
        [found] = world.see(payment([HOT, X], [ELSEWHERE], "co-spend"))
        assert (found.source, found.entity.name) == ("strong", "ALPHA")

    def test_it_follows_from_a_published_claim_where_there_is_one(self) -> None:
        world = World([label(HOT, "Alpha", 0.6, source="weak"), label(COLD, "Alpha", 0.97, source="strong")])
        [first] = world.see(payment([COLD, X], [ELSEWHERE], "first"))
        assert first.source == "strong"
        [second] = world.see(payment([HOT, X, Y], [ELSEWHERE], "second"))
        assert second.source == "weak"

    def test_chains_of_them_fade(self, world: World) -> None:
        chain = [HOT, X, Y, Z, *(wpkh(110 + n) for n in range(9))]
        confidences: list[float] = []
        for number, pair in enumerate(pairwise(chain)):
            found = world.see(payment(pair, [ELSEWHERE], f"link {number}"))
            confidences.extend(label.confidence for label in found)
        expected = [0.9**n for n in range(1, 1 + len(confidences))]
        assert confidences == pytest.approx(expected)
        assert 0.98 * confidences[-1] < 0.5, "what is no longer likely teaches nothing"
        assert len(confidences) == 7

    def test_beside_a_published_claim_it_does_not_fade(self, world: World) -> None:
        world.see(payment([HOT, X], [ELSEWHERE], "first"))
        [found] = world.see(payment([HOT, X, Y], [ELSEWHERE], "second"))
        assert found.confidence == 0.9

    def test_it_does_not_corroborate_its_origin(self, world: World) -> None:
        before = classify_flow(payment([HOT, X], [ELSEWHERE], "before"), world.known)
        world.see(payment([HOT, X], [ELSEWHERE], "co-spend"))
        after = classify_flow(payment([HOT, X], [ELSEWHERE], "before"), world.known)
        assert before.evidence is not None
        assert after.evidence is not None
        assert X in after.evidence.reading.claims
        assert after.evidence.sender == before.evidence.sender
        assert after.probabilities == before.probabilities

    def test_a_published_claim_is_never_overridden(self) -> None:
        world = World([*LABELS, label(X, "Beta", 0.1)])
        assert world.pay([HOT, X], [ELSEWHERE]) == []
        assert [claim.entity.name for claim in world.known.lookup(X)] == ["Beta"]


scripts = st.sampled_from([HOT, COLD, DEPOSIT, PLAIN, B_HOT, POOL, X, Y, Z, *map(taproot, range(6)), p2sh(1)])
coins = st.builds(pay, scripts, st.integers(1, 100 * BTC))
histories = st.lists(
    st.tuples(st.lists(coins, min_size=1, max_size=7), st.lists(coins, min_size=1, max_size=5)), max_size=12
)


@given(histories)
def test_whatever_is_seen_only_new_scripts_are_learned_and_each_once(
    history: list[tuple[list[Output], list[Output]]],
) -> None:
    world = World()
    seen: set[bytes] = set()
    for number, (spent, paid) in enumerate(history):
        tx = transaction(spent, paid, number)
        for found in world.see(tx):
            assert found.script not in seen
            assert not world.known.lookup(found.script) or world.known.lookup(found.script) == (found,)
            assert 0 < found.confidence <= 0.9
            assert found.source == "a list"
            assert found.evidence == tx.txid
            seen.add(found.script)
    assert seen == {found.script for found in world.known}
    assert seen.isdisjoint(claim.script for claim in LABELS)


@given(histories)
def test_a_replay_teaches_nothing_that_was_not_shown(
    history: list[tuple[list[Output], list[Output]]],
) -> None:
    """Nothing is learned from one transaction that is seen over and over."""
    for number, (spent, paid) in enumerate(history):
        world = World()
        tx = transaction(spent, paid, number)
        flow = classify_flow(tx, world.known)
        first = world.learner.observe(tx, flow, UnixMicros(7))
        again = [world.learner.observe(tx, flow, UnixMicros(8)) for _ in range(3)]
        assert again == [(), (), ()], first
