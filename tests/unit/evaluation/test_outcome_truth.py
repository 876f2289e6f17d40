"""The judge of outcomes: what it must not let pass, and what nobody could have known."""

from typing import Any

import pytest

from evaluation.outcome_truth import Claim, Evidence, Fault, Verdict, judge_claims

CONFIRMED = {"end": "confirmed", "block_height": 100, "end_at": 50.0}
REPLACED = {"end": "replaced", "replaced_by": "b", "end_at": 50.0}
DROPPED = {"end": "dropped", "end_at": 50.0, "reason": "expired"}


def true(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 -- any field of the truth
    line = {"kind": "payment", "gross_sat": 20_000_000_000, "end": "pending", "end_at": None}
    return {**line, "block_height": None, "replaced_by": None, "reason": None, **changes}


TRUTH = {
    "a": true(**REPLACED),
    "b": true(**CONFIRMED),
    "c": true(),
    "d": true(**DROPPED),
    "s": true(gross_sat=1),
}


def claim(*versions: str, status: str = "pending", height: int | None = None, by: str | None = None) -> Claim:
    outcomes = 0 if status in {"pending", "in_doubt"} else 1
    return Claim(f"p{versions[0]}", versions, status, height, by, outcomes)


@pytest.mark.parametrize(
    "said",
    [
        claim("a", "b", status="confirmed", height=100),
        claim("a", status="replaced", by="b"),
        claim("c"),
        claim("c", status="in_doubt"),
        claim("d", status="dropped"),
    ],
)
def test_what_is_true_is_let_pass(said: Claim) -> None:
    assert judge_claims([said], TRUTH).is_good


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (claim("b"), Fault.OPEN_THOUGH_ENDED),
        (claim("d", status="in_doubt"), Fault.OPEN_THOUGH_ENDED),
        (claim("b", status="confirmed", height=99), Fault.WRONG_HEIGHT),
        (claim("b", status="dropped"), Fault.WRONG_OUTCOME),
        (claim("c", status="confirmed", height=100), Fault.WRONG_OUTCOME),
        (claim("a", status="replaced", by="c"), Fault.WRONG_OUTCOME),
        (claim("a", status="dropped"), Fault.WRONG_OUTCOME),
        (claim("d", "c"), Fault.WRONG_VERSION),
        (claim("nobody"), Fault.FALSE),
        (claim("s"), Fault.FALSE),
        (claim("c")._replace(outcomes=1), Fault.TWICE),
        (claim("d", status="dropped")._replace(outcomes=2), Fault.TWICE),
    ],
)
def test_what_is_not_is_blamed(said: Claim, fault: Fault) -> None:
    verdict = judge_claims([said], TRUTH)
    assert [kind for kind, texts in verdict.faults.items() if texts] == [fault]


def test_a_transaction_in_two_predictions_and_a_prediction_that_is_there_twice_are_blamed() -> None:
    assert judge_claims([claim("c"), claim("b", "c")], TRUTH).faults[Fault.TWICE]
    assert judge_claims([claim("c"), claim("c")], TRUTH).faults[Fault.TWICE]


def test_what_the_backend_itself_had_forgotten_is_counted_and_not_blamed() -> None:
    verdict = judge_claims([claim("a", status="dropped")], TRUTH, Evidence(forgotten={"a"}))
    assert verdict.is_good
    assert verdict.unknowable == 1


def test_who_spends_the_coins_of_what_was_evicted_replaces_it() -> None:
    coin = frozenset({"coin"})
    evidence = Evidence(spent={"d": coin, "c": coin})
    assert judge_claims([claim("d", "c")], TRUTH, evidence).is_good
    assert judge_claims([claim("d", status="replaced", by="c")], TRUTH, evidence).is_good


def test_what_ended_just_now_may_still_be_open() -> None:
    assert judge_claims([claim("b")], TRUTH, Evidence(open_since=50.0)).is_good
    assert not judge_claims([claim("b")], TRUTH, Evidence(open_since=50.1)).is_good


def test_verdicts_add_up() -> None:
    total = Verdict()
    for said in (claim("b"), claim("c")):
        total.add(judge_claims([said], TRUTH))
    assert (total.predictions, total.ends["pending"]) == (2, 2)
    assert not total.is_good
