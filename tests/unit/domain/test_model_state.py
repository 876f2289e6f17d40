import json
import math
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrophone.domain.confirmation import DEPTH, HORIZONS, ConfirmationEstimate
from hydrophone.domain.feemarket import CAPACITY_WU, STANDINGS, FeeMarket
from hydrophone.domain.model_state import SCORED_BLOCKS, Calibration, Ends, Group, Learner, ModelState
from hydrophone.domain.units import MICROS_PER_S, Height, Txid, UnixMicros
from tests.builders import START, txid_of

ABOVE = Group(0, is_replacement=False)
BELOW = Group(STANDINGS[-1], is_replacement=False)
EMPTY = FeeMarket.from_rates([], [], tip=Height(100))
BLOCK_MICROS = 600 * MICROS_PER_S

probabilities = st.floats(min_value=0, max_value=1)


def estimate_at(tip: int, p: float = 0.5, p90_s: float | None = 1_000.0) -> ConfirmationEstimate:
    return ConfirmationEstimate(Height(tip), (p,) * DEPTH, 0.0, 0.0, 300.0, p90_s)


def claim(learner: Learner, name: object, tip: int, *, p: float = 0.5, group: Group = ABOVE) -> Txid:
    txid = txid_of(name)
    seen_at = UnixMicros(START + (tip - 100) * BLOCK_MICROS)
    learner.claim(txid, estimate_at(tip, p), made_at=seen_at, rate_sat_vb=5.0, weight_wu=561, group=group)
    return txid


def connect(learner: Learner, height: int, *mined: Txid, market: FeeMarket | None = EMPTY) -> None:
    learner.connect(Height(height), UnixMicros(START + (height - 100) * BLOCK_MICROS), mined, market)


def test_a_new_state_mends_nothing() -> None:
    state = ModelState()
    assert state.inclusion == 0.96
    assert not state.is_calibrated
    estimate = estimate_at(100)
    assert state.mend(estimate) is estimate
    corrections = state.corrections(ABOVE)
    assert (corrections.replaced, corrections.dropped) == pytest.approx((0.005, 0.0005))


def test_what_is_passed_over_lowers_the_inclusion_and_what_is_taken_raises_it() -> None:
    learner = Learner()
    connect(learner, 100)
    txid = claim(learner, "a", 100)
    connect(learner, 101)
    assert learner.state.inclusion == pytest.approx(48 / 51, abs=1e-3)
    connect(learner, 102, txid)
    assert learner.state.inclusion == pytest.approx(49 / 52, abs=1e-3)


@pytest.mark.parametrize("reason", ["young", "low", "unknown"])
def test_who_could_not_expect_to_be_mined_says_nothing_about_inclusion(reason: str) -> None:
    learner = Learner()
    connect(learner, 100)
    seen_at = UnixMicros(START + (BLOCK_MICROS - 60 * MICROS_PER_S if reason == "young" else 0))
    learner.claim(
        txid_of("a"), estimate_at(100), made_at=seen_at, rate_sat_vb=5.0, weight_wu=561, group=ABOVE
    )
    full = FeeMarket.from_rates([(50.0, CAPACITY_WU)], [], tip=Height(100))
    connect(learner, 101, market={"young": EMPTY, "low": full, "unknown": None}[reason])
    assert learner.state.inclusion == pytest.approx(0.96)


def test_other_ends_are_counted_by_group() -> None:
    learner = Learner()
    connect(learner, 100)
    low, high = claim(learner, "low", 100, group=BELOW), claim(learner, "high", 100)
    learner.gone(low, is_replaced=True)
    learner.gone(low, is_replaced=True)  # said twice
    connect(learner, 101, high)
    ends = learner.state.ends
    assert ends[BELOW] == pytest.approx((100, 0.5, 0.05, 101, 1.5, 0.05), abs=0.01)
    assert ends[ABOVE] == pytest.approx((100, 0.5, 0.05, 101, 0.5, 0.05), abs=0.01)


def test_going_at_once_and_going_after_a_block_are_counted_apart() -> None:
    learner = Learner()
    connect(learner, 100)
    txid = claim(learner, "a", 100)
    connect(learner, 101)
    learner.gone(txid, is_replaced=False)
    assert learner.state.ends[ABOVE] == pytest.approx((101, 0.5, 1.05, 101, 0.5, 0.05), abs=0.01)


def test_what_comes_back_did_not_go() -> None:
    learner = Learner()
    connect(learner, 100)
    txid = claim(learner, "a", 100)
    before = learner.state.ends[ABOVE]
    for _ in range(9):
        learner.gone(txid, is_replaced=False)
        learner.is_back(txid)
    assert learner.state.ends[ABOVE] == pytest.approx(before)
    connect(learner, 101)
    assert learner.state.ends[ABOVE] == pytest.approx((101, 0.5, 0.05, 101, 0.5, 0.05), abs=0.01)
    learner.gone(txid, is_replaced=True)
    connect(learner, 102)
    learner.is_back(txid)
    learner.is_back(txid)  # said twice
    assert learner.state.ends[ABOVE].replaced == pytest.approx(0.5)
    connect(learner, 103, txid)
    assert learner.state.ends[ABOVE].dropped == pytest.approx(0.05)


def test_of_too_many_that_wait_the_oldest_gives_way_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hydrophone.domain.model_state._MOST_FOLLOWED", 30)
    learner = Learner()
    connect(learner, 100)
    for height in range(101, 161):
        claim(learner, height, height - 1)
        connect(learner, height)
    assert len(learner._claims) == 30
    assert learner.let_go_count == 30
    assert learner.state.scored_blocks == 60, "each was scored on every horizon"
    ends = learner.state.ends[ABOVE]
    learner.gone(txid_of(101), is_replaced=True)
    assert learner.state.ends[ABOVE] == ends
    learner.gone(txid_of(160), is_replaced=True)
    assert learner.state.ends[ABOVE] != ends


def test_who_outlives_a_block_was_exposed_to_it() -> None:
    learner = Learner()
    connect(learner, 100)
    claim(learner, "a", 100)
    for height in range(101, 106):
        connect(learner, height)
    assert learner.state.ends[ABOVE].exposed == pytest.approx(105, abs=0.1)


def test_a_higher_rate_is_never_said_to_be_replaced_more() -> None:
    state = ModelState()
    next_below = Group(1, is_replacement=False)
    ends = {**state.ends, ABOVE: Ends(100, 30, 1, 100, 9, 0), next_below: Ends(300, 10, 5, 200, 30, 0)}
    ends |= {Group(s, is_replacement=False): Ends(1, 1, 0, 1, 1, 0) for s in STANDINGS[2:]}
    state = replace(state, ends=ends)
    above, below = state.corrections(ABOVE), state.corrections(next_below)
    assert above.replaced == below.replaced == pytest.approx(0.1)
    assert above.dropped <= below.dropped
    assert (above.replaced_at_once, below.replaced_at_once) == pytest.approx((0.09, 0.15))


@given(
    st.lists(
        st.tuples(st.floats(0, 50), st.floats(50, 500)), min_size=len(STANDINGS), max_size=len(STANDINGS)
    )
)
def test_who_stands_lower_is_never_said_to_stay_longer(counts: list[tuple[float, float]]) -> None:
    state = ModelState()
    ends = {
        Group(standing, is_replacement=False): Ends(waits, 0, dropped, waits, 0, dropped)
        for standing, (dropped, waits) in zip(STANDINGS, counts, strict=True)
    }
    corrections = replace(state, ends={**state.ends, **ends}).corrections_by_standing
    assert all(a.dropped <= b.dropped + 1e-12 for a, b in pairwise(corrections))
    assert all(a.dropped_at_once <= b.dropped_at_once + 1e-12 for a, b in pairwise(corrections))


def test_one_block_is_scored_once_for_each_horizon() -> None:
    learner = Learner()
    connect(learner, 100)
    txid = claim(learner, "a", 100, p=0.9)
    connect(learner, 101, txid)
    assert learner.state.scored_blocks == 1
    first = learner.state.calibrations
    assert first[1](0.9) > 0.9
    assert first[2] == Calibration()
    connect(learner, 102)
    assert learner.state.calibrations[2](0.9) > 0.9
    assert learner.state.calibrations[1] == first[1]


def test_a_reorganisation_is_not_learned_from_twice() -> None:
    learner = Learner()
    connect(learner, 100)
    txid = claim(learner, "a", 100)
    connect(learner, 101, txid)
    before = learner.state
    learner.is_back(txid)
    connect(learner, 101)
    assert learner.state is before


def test_after_blocks_that_were_not_told_nothing_is_held_to_account() -> None:
    learner = Learner()
    connect(learner, 100)
    claim(learner, "a", 100)
    connect(learner, 105)
    connect(learner, 106)
    assert learner.state.scored_blocks == 0
    assert learner.state.inclusion == pytest.approx(0.96)


def test_a_model_that_is_wrong_is_mended() -> None:
    """What is called .8 comes true in half of the cases, over blocks that share their luck."""
    rng, learner, last = Random(1), Learner(), 100 + 2 * SCORED_BLOCKS
    connect(learner, 100)
    for height in range(101, last):
        txids = [claim(learner, (height, n), height - 1, p=0.8) for n in range(8)]
        luck = rng.random()
        connect(learner, height, *(t for t in txids if (rng.random() + luck) / 2 < 0.5))
    state = learner.state
    assert state.is_calibrated
    assert state.calibrate(1, 0.8) == pytest.approx(0.5, abs=0.06)
    mended = state.mend(estimate_at(last, 0.8))
    assert mended.by_block[0] == pytest.approx(0.5, abs=0.06)
    assert all(a <= b for a, b in pairwise(mended.by_block))


def test_minutes_that_are_wrong_are_mended_each_quantile_for_itself() -> None:
    rng, learner = Random(1), Learner()
    connect(learner, 100)
    at = START
    for height in range(101, 101 + 2 * SCORED_BLOCKS):
        txid = txid_of(height)
        learner.claim(
            txid,
            estimate_at(height - 1, 0.9, p90_s=1_000.0),
            made_at=at,
            rate_sat_vb=5.0,
            weight_wu=561,
            group=ABOVE,
        )
        at = UnixMicros(at + round(rng.expovariate(1 / 600) * MICROS_PER_S))
        learner.connect(Height(height), at, [txid], EMPTY)
    p50, p90 = learner.state.eta_factors
    assert p50 == pytest.approx(1.39, abs=0.25)  # 600 ln 2 s, 300 were said
    assert p90 == pytest.approx(1.38, abs=0.25)  # 600 ln 10 s, 1,000 were said


def test_a_mended_median_is_never_after_nine_in_ten() -> None:
    state = replace(ModelState(), scored_blocks=SCORED_BLOCKS, eta_log_factors=(math.log(2), -math.log(2)))
    mended = state.mend(estimate_at(100, p90_s=400.0))
    assert (mended.eta_p50_s, mended.eta_p90_s) == pytest.approx((600, 600))


@settings(max_examples=50)
@given(
    st.lists(st.lists(st.tuples(probabilities, st.booleans()), min_size=1, max_size=5), max_size=30),
    probabilities,
    probabilities,
)
def test_a_calibration_never_turns_the_order_round(
    blocks: list[list[tuple[float, bool]]], one: float, other: float
) -> None:
    calibration = Calibration()
    for scored in blocks:
        calibration = calibration.learned(scored, 3.0)
    low, high = sorted((one, other))
    assert 0 <= calibration(low) <= calibration(high) <= 1


@given(st.floats(min_value=0.001, max_value=0.999))
def test_an_unlearned_calibration_changes_nothing(p: float) -> None:
    assert Calibration()(p) == pytest.approx(p)


def test_a_state_survives_being_written_down() -> None:
    learner = Learner()
    connect(learner, 100)
    for height in range(101, 120):
        connect(learner, height, claim(learner, height, height - 1))
    state = learner.state
    again = ModelState.from_json(json.loads(json.dumps(state.as_json())))
    assert again == state
    assert again.state_id == state.state_id != ModelState().state_id


WRITTEN = ModelState().as_json()
CURVE = [1.0, 1.0, 0.0, *[0.0] * 9]


def with_ends(*counts: object) -> dict[str, object]:
    return WRITTEN | {"ends": WRITTEN["ends"] | {"01": counts}}


def with_curve(*numbers: object) -> dict[str, object]:
    return WRITTEN | {"calibrations": WRITTEN["calibrations"] | {"3": numbers}}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"version": 0},
        [],
        WRITTEN | {"ends": {}},
        WRITTEN | {"taken": 0, "passed_over": 0},
        WRITTEN | {"taken": -1},
        WRITTEN | {"taken": math.nan},
        WRITTEN | {"counted_claims": 10**400},
        WRITTEN | {"scored_blocks": math.inf},
        WRITTEN | {"scored_blocks": -1},
        WRITTEN | {"eta_log_factors": [0, 1e6]},
        WRITTEN | {"eta_log_factors": [math.nan, 0]},
        WRITTEN | {"eta_log_factors": [0]},
        with_ends(*[0] * 6),
        with_ends(*["a"] * 6),
        with_ends(100, -1, 0, 100, 1, 1),
        with_ends(100, math.nan, 0, 100, 1, 1),
        with_ends(100, 90, 20, 100, 1, 1),
        with_ends(100, 1, 1, 100, 90, 20),
        with_curve(-1, *CURVE[1:]),
        with_curve(1, 1, math.nan, *CURVE[3:]),
        with_curve(1, 1, 0, -20.0, *CURVE[4:]),
        with_curve(1, 1, 0, 0, 20, 0, 20, 0, 0, 0, 0, 0),
        with_curve(*CURVE[:5]),
    ],
)
def test_what_is_no_state_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected|could not convert"):
        ModelState.from_json(document)


def test_horizons_between_two_are_mended_between_theirs() -> None:
    low, high = Calibration(d=1.0), Calibration(d=2.0)
    state = replace(ModelState(), calibrations={h: low if h <= 6 else high for h in HORIZONS})
    assert (
        low(0.3) == state.calibrate(6, 0.3) < state.calibrate(9, 0.3) < state.calibrate(12, 0.3) == high(0.3)
    )
    assert state.calibrate(DEPTH, 0.3) == high(0.3)
