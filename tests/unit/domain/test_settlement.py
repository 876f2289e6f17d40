"""What is done about what we are not sure of: gaps, doubts, blocks and whales nobody told us of."""

from dataclasses import replace

import pytest

from hydrophone.domain.events import (
    AmendSignal,
    Answered,
    BlockConnected,
    BlockPlace,
    ContentsTold,
    Effect,
    Event,
    GapFound,
    GapReason,
    MarkDoubt,
    NoAnswer,
    NoteSuccessor,
    RaiseSignal,
    RecordBlock,
    RecordContents,
    RecordOutcome,
    ReopenPrediction,
    ReplacementTold,
    TimePassed,
    TransactionsLeft,
    TransactionTold,
    WaitingWhale,
    WhalesWaiting,
)
from hydrophone.domain.outcome import Outcome, Status
from hydrophone.domain.predictions import EXPIRY_MICROS, REORG_DEPTH
from hydrophone.domain.questions import (
    AboutBlock,
    AboutContents,
    AboutProjected,
    AboutReplacement,
    AboutTip,
    AboutTransaction,
)
from hydrophone.domain.settlement import MOST_BLOCKS_BACK, PATIENCE_MICROS, KnownBlock
from hydrophone.domain.signal import Change, Sighting
from hydrophone.domain.tracker import Tracker
from hydrophone.domain.units import FeeRate, Height
from tests.whales import (
    SOURCE,
    T0,
    asked,
    block,
    later,
    only,
    play,
    replaced,
    seen,
    told,
    tracker,
    txid,
    unknown,
    whale,
)

LEFT_AT = 10_000_000
PATIENT = LEFT_AT + PATIENCE_MICROS
"""When a source is believed that has it not."""


def left(*names: str, at: int = LEFT_AT) -> TransactionsLeft:
    return TransactionsLeft(later(at), tuple(map(txid, names)))


def gap(at: int, reason: GapReason = GapReason.RECONNECTED) -> GapFound:
    return GapFound(later(at), "mempool.space", reason, later(at - 60_000_000))


def old_block(height: int, at: int, *, branch: str = "block", parent: str = "block") -> BlockConnected:
    """A block of which nobody says what is in it."""
    return BlockConnected(later(at), Height(height), f"{branch}{height}", f"{parent}{height - 1}", None)


def contents(
    height: int, at: int, *names: str, whales: tuple[str, ...] = (), branch: str = "block"
) -> ContentsTold:
    every = ("coinbase", *names, *whales)
    return ContentsTold(
        later(at), SOURCE, f"{branch}{height}", tuple(map(txid, every)), tuple(map(txid, whales))
    )


def nobody(name: str, at: int) -> ReplacementTold:
    return ReplacementTold(later(at), txid(name), None)


def outcome_of(effects: list[Effect]) -> Outcome:
    (recorded,) = only(effects, RecordOutcome)
    return recorded.outcome


def doubted(*names: str) -> Tracker:
    core = tracker()
    play(core, *(seen(whale(name, payee=name)) for name in names), left(*names))
    return core


# --- what left without a reason


def test_what_left_is_asked_about_at_once() -> None:
    core = tracker()
    play(core, seen(whale("a")))
    assert asked(core, left("a")) == [AboutTransaction(txid("a"))]


def test_what_left_and_is_still_there_is_pending_again() -> None:
    (back,) = play(doubted("a"), told("a", at=LEFT_AT + 1))
    assert isinstance(back, MarkDoubt)
    assert not back.in_doubt


def test_what_left_into_a_block_is_confirmed_there() -> None:
    end = outcome_of(play(doubted("a"), told("a", at=LEFT_AT + 1, height=800_000)))
    assert (end.status, end.confirmation_height) == (Status.CONFIRMED, 800_000)


def test_a_source_that_has_it_not_is_believed_only_after_a_while() -> None:
    core = doubted("a")
    assert play(core, unknown("a", LEFT_AT + 1), nobody("a", LEFT_AT + 2)) == []
    assert asked(core, TimePassed(later(PATIENT - 1))) == []
    assert asked(core, TimePassed(later(PATIENT))) == [AboutTransaction(txid("a"))]
    assert asked(core, unknown("a", PATIENT + 1)) == [AboutReplacement(txid("a"))]
    end = outcome_of(play(core, nobody("a", PATIENT + 2)))
    assert end.status is Status.DROPPED
    assert "has it no more" in (end.reason or "")
    assert core.question_count == 0


def test_what_waited_for_a_fortnight_has_expired() -> None:
    core = tracker()
    old = EXPIRY_MICROS + LEFT_AT
    play(core, seen(whale("a")), left("a", at=old), unknown("a", old + PATIENCE_MICROS))
    assert "expired" in (outcome_of(play(core, nobody("a", old + PATIENCE_MICROS + 1))).reason or "")


def test_a_source_that_does_not_answer_is_asked_again_ever_more_rarely() -> None:
    core = doubted("a")
    at, pauses = LEFT_AT, []
    for _ in range(9):
        assert play(core, NoAnswer(later(at), AboutTransaction(txid("a")), "500")) == []
        assert core.next_question_at is not None
        pauses.append((core.next_question_at - T0 - at) // 1_000_000)
        at = core.next_question_at - T0
        assert asked(core, TimePassed(later(at))) == [AboutTransaction(txid("a"))]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_question_that_was_lost_is_asked_again() -> None:
    core = doubted("a")
    assert asked(core, TimePassed(later(LEFT_AT + 59_999_999))) == []
    assert asked(core, TimePassed(later(LEFT_AT + 60_000_000))) == [AboutTransaction(txid("a"))]


def test_nobody_is_asked_very_much_at_once() -> None:
    core = tracker()
    names = [f"{number:03d}" for number in range(50)]
    play(core, *(seen(whale(name, payee=name)) for name in names))
    assert len(asked(core, left(*names))) == 32
    assert len(asked(core, told(names[0], at=LEFT_AT + 1, payee=names[0]))) == 1, (
        "one answered, one more asked"
    )


def test_what_was_dropped_and_is_announced_again_is_pending_again() -> None:
    core = doubted("a")
    play(core, unknown("a", PATIENT), nobody("a", PATIENT))
    (back,) = play(core, seen(whale("a"), PATIENT + 5))
    assert isinstance(back, ReopenPrediction)
    assert back.ended_as is Status.DROPPED
    assert outcome_of(play(core, block(1, "a", at=PATIENT + 9))).status is Status.CONFIRMED


def test_what_was_dropped_and_is_mined_after_all_is_confirmed() -> None:
    core = doubted("a")
    play(core, unknown("a", PATIENT), nobody("a", PATIENT))
    back, confirmed = play(core, block(1, "a", at=PATIENT + 9))
    assert isinstance(back, ReopenPrediction)
    assert isinstance(confirmed, RecordOutcome)


def test_what_nobody_could_tell_for_a_fortnight_is_dropped_with_a_block() -> None:
    core = doubted("a")
    core.step(NoAnswer(later(LEFT_AT + 1), AboutTransaction(txid("a")), "500"))
    assert only(play(core, block(1, at=EXPIRY_MICROS - 1)), RecordOutcome) == []
    assert outcome_of(play(core, block(2, at=EXPIRY_MICROS + 1))).status is Status.DROPPED


# --- what replaced it while we did not hear


def test_a_fee_bump_that_was_missed_continues_the_prediction() -> None:
    core = doubted("a")
    play(core, unknown("a", PATIENT))
    bumped = whale("b", payee="a", rate=30)
    assert asked(core, ReplacementTold(later(PATIENT), txid("a"), txid("b"))) == [AboutTransaction(txid("b"))]
    effects = play(core, TransactionTold(later(PATIENT + 1), SOURCE, bumped))
    (raised,) = only(effects, RaiseSignal)
    assert raised.signal.was_modified
    assert raised.signal.history[-1].change is Change.FEE_BUMP
    assert outcome_of(play(core, block(1, "b", at=PATIENT + 9))).status is Status.CONFIRMED


def test_a_fee_bump_that_was_missed_and_mined_is_confirmed() -> None:
    core = doubted("a")
    play(core, unknown("a", PATIENT), ReplacementTold(later(PATIENT), txid("a"), txid("b")))
    place = BlockPlace(Height(7), "block7")
    effects = play(core, TransactionTold(later(PATIENT + 1), SOURCE, whale("b", payee="a"), place))
    assert outcome_of(effects).confirmation_height == 7


@pytest.mark.parametrize(("payee", "change"), [("thief", Change.OTHER_PAYEE), ("payer", Change.CANCELLED)])
def test_a_double_spend_that_was_missed_ends_it_and_says_what_changed(payee: str, change: Change) -> None:
    core = doubted("a")
    play(core, unknown("a", PATIENT), ReplacementTold(later(PATIENT), txid("a"), txid("b")))
    answer = TransactionTold(later(PATIENT + 1), SOURCE, whale("b", payee=payee), is_whale=False)
    end = outcome_of(play(core, answer))
    assert (end.status, end.replaced_by, end.change) == (Status.REPLACED, txid("b"), change)


def test_a_successor_that_nobody_knows_ends_it_too() -> None:
    core = doubted("a")
    play(core, unknown("a", PATIENT), ReplacementTold(later(PATIENT), txid("a"), txid("b")))
    end = outcome_of(play(core, unknown("b", PATIENT + 1)))
    assert (end.status, end.replaced_by, end.change) == (Status.REPLACED, txid("b"), None)


def test_another_amount_to_the_same_payee_is_said() -> None:
    core = tracker()
    play(core, seen(whale("a", btc=150)))
    effects = play(core, replaced("a", "b", whale("b", btc=120)))
    assert only(effects, RaiseSignal)[0].signal.history[0].change is Change.OTHER_AMOUNT


def late_answer(
    name: str, at: int, *, payee: str, coin: str | None = None, rate: int = 10
) -> TransactionTold:
    """What is answered of a whale that waits for a block."""
    return TransactionTold(later(at), SOURCE, whale(name, payee=payee, coin=coin, rate=rate))


def test_a_fee_bump_found_waiting_after_a_gap_continues_the_prediction() -> None:
    """It is found long before the source is believed that has the older version no more."""
    core = tracker()
    play(core, seen(whale("a", payee="a", coin="c")), gap(LEFT_AT), waiting("b", LEFT_AT + 1))
    note, raised = play(core, late_answer("b", LEFT_AT + 2, payee="a", coin="c", rate=30))
    assert isinstance(note, NoteSuccessor)
    assert isinstance(raised, RaiseSignal)
    assert raised.signal.prediction_id == note.prediction_id
    assert (raised.signal.history[-1].txid, raised.signal.sighting) == (txid("a"), Sighting.LATE)
    assert play(core, unknown("a", PATIENT)) == []
    assert outcome_of(play(core, block(1, "b", at=PATIENT + 9))).txid == txid("b")


def test_a_fee_bump_announced_by_a_backend_that_starts_anew_continues_the_prediction() -> None:
    core = tracker()
    play(core, seen(whale("a", payee="a", coin="c")), gap(LEFT_AT))
    effects = play(core, seen(whale("b", payee="a", coin="c", rate=30), LEFT_AT + 2))
    assert [type(effect) for effect in effects] == [NoteSuccessor, RaiseSignal]


def test_a_double_spend_that_a_block_told_of_ends_what_it_made_impossible() -> None:
    """A new branch that spends a coin otherwise says nothing of what it makes impossible."""
    core = informed()
    play(core, seen(whale("a", payee="a", coin="c"), 5_500_000), block(101, at=6_000_000))
    play(core, contents(101, 7_000_000, whales=("w",)))
    told_w = TransactionTold(
        later(8_000_000), SOURCE, whale("w", payee="thief", coin="c"), BlockPlace(Height(101), "block101")
    )
    replaced_a, raised, confirmed, _ = play(core, told_w)
    assert isinstance(replaced_a, RecordOutcome)
    assert (replaced_a.outcome.status, replaced_a.outcome.replaced_by) == (Status.REPLACED, txid("w"))
    assert replaced_a.outcome.change is Change.OTHER_PAYEE
    assert isinstance(raised, RaiseSignal)
    assert isinstance(confirmed, RecordOutcome)


def test_two_payments_merged_while_we_did_not_hear_continue_one_and_end_the_other() -> None:
    core = tracker()
    first, second = whale("a", payee="a"), whale("b", payee="b")
    play(core, seen(first), seen(second), gap(LEFT_AT))
    merged = replace(whale("m", payee="a"), inputs=(*first.inputs, *second.inputs))
    effects = play(core, seen(merged, LEFT_AT + 1))
    assert [type(effect) for effect in effects] == [NoteSuccessor, RaiseSignal, RecordOutcome]


def test_two_payments_replaced_by_one_while_we_did_not_hear_both_end() -> None:
    core = doubted("a", "b")
    play(core, unknown("a", PATIENT), unknown("b", PATIENT))
    play(core, *(ReplacementTold(later(PATIENT), txid(name), txid("m")) for name in "ab"))
    answer = TransactionTold(later(PATIENT + 1), SOURCE, whale("m", payee="thief"), is_whale=False)
    ends = only(play(core, answer), RecordOutcome)
    assert [(end.outcome.txid, end.outcome.replaced_by) for end in ends] == [
        (txid("a"), txid("m")),
        (txid("b"), txid("m")),
    ]


def test_a_successor_is_asked_about_no_more_when_what_it_replaced_is_settled() -> None:
    core = doubted("a")
    play(core, unknown("a", PATIENT))
    for n in range(5):  # a source that names another one each time
        core.step(ReplacementTold(later(PATIENT + n), txid("a"), txid(f"heir {n}")))
    play(core, block(100, "a", at=PATIENT + 9))
    core.step(contents(100, PATIENT + 10))
    assert core.question_count == 0


def test_a_whale_that_double_spent_another_is_one_itself() -> None:
    core = doubted("a")
    play(core, unknown("a", PATIENT), ReplacementTold(later(PATIENT), txid("a"), txid("b")))
    end, raised = play(core, late_answer("b", PATIENT + 1, payee="thief"))
    assert isinstance(end, RecordOutcome)
    assert isinstance(raised, RaiseSignal)
    assert (raised.signal.was_modified, raised.signal.sighting) == (False, Sighting.LATE)


def test_of_a_fee_bump_that_was_missed_and_mined_nothing_is_foretold() -> None:
    core = doubted("a")
    play(core, unknown("a", PATIENT), ReplacementTold(later(PATIENT), txid("a"), txid("b")))
    place = BlockPlace(Height(7), "block7")
    answer = TransactionTold(later(PATIENT + 1), SOURCE, whale("b", payee="a"), place)
    (raised,) = only(play(core, answer), RaiseSignal)
    assert (raised.signal.sighting, raised.signal.forecast) == (Sighting.MINED, None)


def test_a_successor_that_is_heard_of_meanwhile_still_ends_what_it_replaced() -> None:
    """It is asked about for another's sake, and that nobody doubts it is no answer."""
    core = doubted("a", "b")
    play(core, told("b", at=LEFT_AT + 1, payee="b"), unknown("a", PATIENT))
    play(
        core, ReplacementTold(later(PATIENT), txid("a"), txid("b")), seen(whale("b", payee="b"), PATIENT + 1)
    )
    end = outcome_of(play(core, told("b", at=PATIENT + 2, payee="b")))
    assert (end.txid, end.replaced_by) == (txid("a"), txid("b"))


@pytest.mark.parametrize("is_restarted", [False, True])
def test_an_older_version_mined_after_the_newest_was_dropped_confirms_the_payment(
    *, is_restarted: bool
) -> None:
    core = tracker()
    play(core, seen(whale("a")), replaced("a", "b", whale("b", rate=30)), left("b"))
    newest = core.tracked[0]
    play(core, unknown("b", PATIENT), nobody("b", PATIENT + 1))
    if is_restarted:
        core = tracker()
        dropped = replace(newest, status=Status.DROPPED)
        core.restore((), [txid("a"), txid("b")], closed=[dropped])
    back, confirmed = play(core, block(100, "a", at=PATIENT + 9))
    assert isinstance(back, ReopenPrediction)
    assert isinstance(confirmed, RecordOutcome)
    assert (confirmed.outcome.txid, confirmed.outcome.prediction_id) == (txid("a"), newest.prediction_id)


def test_prevouts_of_what_an_index_knows_only_later_still_amend() -> None:
    core = tracker()
    play(core, seen(whale("a", has_prevouts=False), 0), unknown("a", 500_000))
    prevout = whale("a").inputs[0].prevout
    assert prevout is not None
    amended, back = play(core, told("a", prevout, at=500_000 + PATIENCE_MICROS))
    assert isinstance(amended, AmendSignal)
    assert isinstance(back, MarkDoubt)


# --- gaps


def test_after_a_gap_everything_open_is_in_doubt_and_asked_about() -> None:
    core = tracker()
    play(core, seen(whale("a")), seen(whale("b", payee="b")), block(100, "b"))
    effects = core.step(gap(90_000_000))
    assert [effect.txid for effect in only(effects, MarkDoubt)] == [txid("a")], "a confirmed one is not said"
    questions = asked(tracker(), gap(1))
    assert questions == [*(AboutProjected(i) for i in (*range(8), -1)), AboutTip()]


def test_what_was_asked_before_a_gap_is_asked_at_once_after_it() -> None:
    core = doubted("a")
    for at in range(LEFT_AT, LEFT_AT + 5):
        core.step(NoAnswer(later(at), AboutTransaction(txid("a")), "connection refused"))
        core.step(TimePassed(later(at)))
    assert AboutTransaction(txid("a")) in asked(core, gap(LEFT_AT + 10))


def test_malformed_parts_of_a_frame_doubt_nothing() -> None:
    core = tracker()
    play(core, seen(whale("a")))
    assert asked(core, gap(9, GapReason.MALFORMED)) == []


def test_a_confirmation_that_a_source_as_high_as_we_denies_is_undone() -> None:
    core = tracker()
    play(core, seen(whale("a")), block(100, "a"), gap(90_000_000), old_block(100, 90_000_000))
    assert play(core, told("a", at=90_000_001)) == [], "the index may lag behind"
    (back,) = play(core, told("a", at=90_000_000 + PATIENCE_MICROS))
    assert isinstance(back, ReopenPrediction)
    assert back.ended_as is Status.CONFIRMED


def test_a_source_that_is_behind_undoes_no_confirmation() -> None:
    """After a failover: it tells its blocks, has heard of no newer one, and has the whale still waiting."""
    core = tracker()
    play(core, seen(whale("a")), block(99), block(100, "a"), gap(90_000_000), old_block(99, 90_000_000))
    patient = 90_000_000 + PATIENCE_MICROS
    assert play(core, told("a", at=patient), unknown("a", patient + 1)) == []
    assert play(core, block(100, "a", at=patient + 9_000_000)) == []
    assert core.tracked[0].status is Status.CONFIRMED


def test_what_is_undone_and_unknown_is_in_doubt_at_once() -> None:
    core = tracker()
    play(core, seen(whale("a")), block(100, "a"), gap(90_000_000), old_block(100, 90_000_000))
    patient = 90_000_000 + PATIENCE_MICROS
    back, doubt = play(core, unknown("a", patient))
    assert isinstance(back, ReopenPrediction)
    assert isinstance(doubt, MarkDoubt)
    play(core, unknown("a", patient + PATIENCE_MICROS))
    assert outcome_of(play(core, nobody("a", patient + PATIENCE_MICROS + 1))).status is Status.DROPPED


def test_a_confirmation_that_moved_to_another_block_is_told_anew() -> None:
    core = tracker()
    play(core, seen(whale("a")), block(100, "a"), gap(90_000_000), old_block(100, 90_000_001, branch="other"))
    place = BlockPlace(Height(101), "other101")
    effects = play(core, TransactionTold(later(90_000_002), SOURCE, whale("a"), place))
    assert outcome_of(effects).confirmation_height == 101


def test_a_place_that_contradicts_the_blocks_we_know_is_asked_again() -> None:
    core = doubted("a")
    play(core, block(100, at=LEFT_AT))
    place = BlockPlace(Height(100), "another block")
    assert play(core, TransactionTold(later(LEFT_AT + 1), SOURCE, whale("a", payee="a"), place)) == []
    assert asked(core, TimePassed(later(LEFT_AT + 1 + PATIENCE_MICROS))) == [AboutTransaction(txid("a"))]


def test_a_double_spend_by_a_new_branch_is_found_though_nobody_says_so() -> None:
    core = tracker()
    play(core, seen(whale("a")), block(100))
    questions = asked(core, old_block(100, 9_000_000, branch="other"))
    assert AboutTransaction(txid("a")) in questions


# --- blocks


def informed() -> Tracker:
    """A core that knows blocks up to 100, and has read them."""
    core = tracker()
    play(core, block(100), contents(100, 5_000_000))
    return core


def test_a_block_is_read_when_it_comes() -> None:
    core = informed()
    assert asked(core, block(101, at=6_000_000)) == [AboutContents("block101")]


def test_blocks_that_were_there_before_us_are_not_read() -> None:
    core = tracker()
    assert asked(core, *(old_block(height, 1) for height in range(90, 98))) == []
    assert asked(core, block(98, at=2)) == [AboutContents("block98")]


def told_about(height: int, at: int) -> list[Event]:
    return [old_block(height, at), Answered(later(at), AboutBlock(f"block{height}"))]


def test_blocks_missed_in_between_are_asked_for_from_child_to_parent_and_read() -> None:
    core = informed()
    assert asked(core, block(103, at=6_000_000)) == [AboutContents("block103"), AboutBlock("block102")]
    assert asked(core, *told_about(102, 6_000_001)) == [AboutContents("block102"), AboutBlock("block101")]
    assert asked(core, *told_about(101, 6_000_002)) == [AboutContents("block101")]
    assert asked(core, block(104, at=7_000_000)) == [AboutContents("block104")]


def test_after_a_very_long_outage_only_the_last_day_is_read() -> None:
    core = informed()
    wanted = asked(core, block(1_000, at=6_000_000), contents(1_000, 6_000_001))
    height = 999
    while AboutBlock(f"block{height}") in wanted:
        wanted = asked(core, *told_about(height, 9_000_000), contents(height, 9_000_000))
        height -= 1
    assert height == 1_000 - MOST_BLOCKS_BACK
    assert core.question_count == 0


def test_a_chain_far_below_all_we_know_is_followed_from_there() -> None:
    """What a simulation left in the store, or a source that told nonsense once, must not make us deaf."""
    core = informed()
    play(core, seen(whale("a")), block(2**31 - 1, at=5_500_000))
    assert AboutContents("block101") in asked(core, block(101, at=6_000_000))
    effects = play(core, contents(101, 7_000_000, "a", whales=("w",)))
    assert outcome_of(effects).confirmation_height == 101
    assert asked(core, block(102, at=8_000_000)) == [AboutContents("block102")]


def test_the_contents_of_a_block_confirm_what_nobody_said() -> None:
    core = informed()
    play(core, seen(whale("a"), 6_000_000), old_block(101, 7_000_000))
    effects = play(core, contents(101, 8_000_000, "a"))
    assert outcome_of(effects).confirmation_height == 101


def test_a_whale_nobody_announced_is_signalled_with_its_block() -> None:
    core = informed()
    core.step(block(101, at=6_000_000))
    assert play(core, contents(101, 7_000_000, whales=("w",))) == [], "it is read once its whales are known"
    effects = play(core, told("w", at=8_000_000, height=101))
    assert [type(effect) for effect in effects] == [RaiseSignal, RecordOutcome, RecordContents]
    assert effects[-1] == RecordContents(later(7_000_000), Height(101), "block101", 1, 1)
    signal = only(effects, RaiseSignal)[0].signal
    assert signal.sighting is Sighting.MINED
    assert signal.forecast is None, "there was nothing to predict"
    assert play(core, told("w", at=9_000_000, height=101)) == []


def test_a_whale_in_a_block_is_asked_for_again_while_an_index_does_not_know_it() -> None:
    core = informed()
    play(core, block(101, at=6_000_000), contents(101, 7_000_000, whales=("w",)))
    assert play(core, unknown("w", 7_100_000)) == []
    assert asked(core, TimePassed(later(9_000_000))) == [AboutTransaction(txid("w"))]
    effects = play(core, told("w", at=9_100_000, height=101))
    assert [type(effect) for effect in effects] == [RaiseSignal, RecordOutcome, RecordContents]


def test_a_whale_in_a_block_that_nobody_knows_for_an_hour_is_given_up() -> None:
    core = informed()
    play(core, block(101, at=6_000_000), contents(101, 7_000_000, whales=("w",)))
    (read,) = play(core, unknown("w", 7_000_000 + 3_600_000_000))
    assert isinstance(read, RecordContents)
    assert asked(core, TimePassed(later(9_000_000_000))) == []


def test_a_block_that_is_stale_before_its_whales_are_known_is_not_recorded_as_read() -> None:
    core = informed()
    play(core, block(101, at=6_000_000), contents(101, 7_000_000, whales=("w",)))
    play(core, old_block(101, 8_000_000, branch="other"))
    effects = play(core, told("w", at=9_000_000))
    assert [type(effect) for effect in effects] == [RaiseSignal]


def test_a_whale_that_was_announced_is_not_unseen() -> None:
    core = informed()
    play(core, seen(whale("a"), 5_500_000), block(101, "a", at=6_000_000))
    (read,) = only(core.step(contents(101, 7_000_000, whales=("a",))), RecordContents)
    assert (read.whales, read.unseen) == (1, 0)


def test_a_block_that_cannot_be_read_is_asked_for_again_but_not_when_it_is_stale() -> None:
    core = informed()
    play(core, block(101, at=6_000_000))
    core.step(NoAnswer(later(6_000_001), AboutContents("block101"), "500"))
    assert asked(core, TimePassed(later(8_000_000))) == [AboutContents("block101")]
    core.step(NoAnswer(later(8_000_001), AboutContents("block101"), "500"))
    assert asked(core, old_block(101, 9_000_000, branch="other")) == [AboutContents("other101")]
    assert AboutContents("block101") not in asked(core, TimePassed(later(60_000_000)))


def test_what_a_source_never_answers_does_not_grow_without_end() -> None:
    core = informed()
    for height in range(101, 101 + 3 * MOST_BLOCKS_BACK):
        core.step(block(height, at=6_000_000 + height))
    assert core.question_count == MOST_BLOCKS_BACK


def test_a_missing_block_that_nobody_has_is_not_asked_for_when_its_branch_lost() -> None:
    core = informed()
    assert AboutBlock("stale101") in asked(core, old_block(102, 6_000_000, branch="stale", parent="stale"))
    core.step(NoAnswer(later(6_000_001), AboutBlock("stale101"), "500"))
    play(core, block(101, at=7_000_000), block(102, at=8_000_000))
    assert AboutBlock("stale101") not in asked(core, TimePassed(later(900_000_000)))


# --- whales that came while we were blind


def waiting(name: str, at: int) -> WhalesWaiting:
    return WhalesWaiting(later(at), (WaitingWhale(txid(name), later(at - 9_000_000), FeeRate(12.5)),))


def test_a_whale_found_waiting_is_signalled_late() -> None:
    core = tracker()
    assert asked(core, waiting("w", 10_000_000)) == [AboutTransaction(txid("w"))]
    (raised,) = play(core, told("w", at=10_500_000))
    assert isinstance(raised, RaiseSignal)
    assert raised.signal.sighting is Sighting.LATE
    assert raised.signal.detected_at == later(10_500_000), "we say when we knew, not when we could have"
    assert raised.signal.effective_fee_rate_sat_vb == 12.5


def test_a_whale_found_waiting_that_nobody_can_tell_is_given_up_after_an_hour() -> None:
    core = informed()
    core.step(waiting("w", 10_000_000))
    core.step(NoAnswer(later(10_000_001), AboutTransaction(txid("w")), "500"))
    play(core, block(101, at=3_600_000_000), contents(101, 3_600_000_001))
    assert core.question_count == 1
    play(core, block(102, at=3_610_000_000), contents(102, 3_610_000_001))
    assert core.question_count == 0


def test_a_whale_found_waiting_that_we_knew_is_no_news() -> None:
    core = tracker()
    play(core, seen(whale("a")))
    assert asked(core, waiting("a", 10_000_000)) == []


def test_a_whale_found_waiting_ends_the_doubt_about_it() -> None:
    (back,) = play(doubted("a"), waiting("a", LEFT_AT + 1))
    assert isinstance(back, MarkDoubt)
    assert not back.in_doubt


def test_a_whale_found_waiting_of_which_prevouts_are_not_told_waits_for_nothing() -> None:
    core = tracker()
    play(core, waiting("w", 10_000_000))
    answer = TransactionTold(later(10_500_000), SOURCE, whale("w", has_prevouts=False))
    (raised,) = play(core, answer)
    assert isinstance(raised, RaiseSignal)
    assert "the source's answer has no prevouts" in (raised.signal.flow.reason or "")


def test_a_whale_that_is_announced_while_it_is_sought_is_signalled_once() -> None:
    core = tracker()
    play(core, waiting("w", 10_000_000))
    assert len(play(core, seen(whale("w"), 10_100_000), told("w", at=10_500_000))) == 1


def test_what_turns_out_to_be_no_whale_is_not_signalled() -> None:
    core = tracker()
    play(core, waiting("w", 10_000_000))
    assert play(core, TransactionTold(later(1), SOURCE, whale("w"), is_whale=False)) == []


# --- what is quiet for long


def test_what_is_pending_for_long_is_asked_about_with_a_block() -> None:
    core = informed()
    names = [f"{number:02d}" for number in range(12)]
    play(core, *(seen(whale(name, payee=name), 6_000_000) for name in names))
    assert asked(core, block(101, at=7_000_000)) == [AboutContents("block101")]
    questions = asked(core, block(102, at=4_000_000_000))
    assert len([q for q in questions if isinstance(q, AboutTransaction)]) == 10
    for name in names:
        core.step(told(name, at=4_000_000_001, payee=name))
    rest = [q for q in asked(core, block(103, at=4_000_000_002)) if isinstance(q, AboutTransaction)]
    assert rest == [AboutTransaction(txid(name)) for name in names[10:]]


# --- answers that are ahead of the blocks, or behind them


def test_what_was_called_dropped_and_is_then_told_to_be_replaced_was_replaced() -> None:
    core = doubted("a")
    play(core, unknown("a", PATIENT), nobody("a", PATIENT))
    assert core.tracked == ()
    effects = play(core, replaced("a", "b", None, at=PATIENT + 1))
    assert [type(effect) for effect in effects] == [ReopenPrediction, RecordOutcome]
    assert (outcome_of(effects).status, outcome_of(effects).replaced_by) == (Status.REPLACED, txid("b"))


def test_what_is_succeeded_meanwhile_is_not_dropped_by_an_answer_from_before() -> None:
    core = doubted("a")
    play(
        core,
        unknown("a", PATIENT),
        replaced("a", "b", whale("b", payee="a", has_prevouts=False), at=PATIENT + 1),
    )
    assert only(play(core, nobody("a", PATIENT + 2)), RecordOutcome) == []
    prevout = whale("b").inputs[0].prevout
    assert prevout is not None
    answer = told("b", prevout, at=PATIENT + 3, payee="a")
    (raised,) = only(play(core, answer), RaiseSignal)
    assert [version.txid for version in raised.signal.history] == [txid("a")]


def test_what_a_newer_block_has_is_not_confirmed_by_an_older_one_that_is_read_late() -> None:
    core = informed()
    play(core, seen(whale("a"), 5_500_000), block(101, "a", at=6_000_000), block(102, at=7_000_000))
    reorg = BlockConnected(later(8_000_000), Height(103), "other103", "other102", (txid("a"),))
    play(core, reorg)
    assert only(play(core, contents(101, 9_000_000, "a")), RecordOutcome) == []
    (confirmed,) = core.tracked
    assert confirmed.confirmation_height == 103


def test_what_an_answer_says_is_in_a_block_stays_confirmed_when_that_block_comes_with_a_reorg() -> None:
    core = informed()
    play(core, seen(whale("a"), 5_500_000), told("a", at=6_000_000, height=101))
    reorg = BlockConnected(later(7_000_000), Height(101), "block101", "another100", (txid("a"),))
    assert play(core, reorg) == []


def test_what_an_answer_says_is_in_a_block_is_undone_when_another_block_comes() -> None:
    core = informed()
    play(core, seen(whale("a"), 5_500_000), told("a", at=6_000_000, height=101))
    (undone,) = play(core, old_block(101, 7_000_000, branch="other"))
    assert isinstance(undone, ReopenPrediction)


# --- restarts


def test_a_restart_reads_the_blocks_that_came_meanwhile() -> None:
    core = tracker()
    blocks = [KnownBlock(Height(h), f"block{h}", f"block{h - 1}", is_read=h != 99) for h in range(95, 101)]
    core.restore((), (), blocks=blocks)
    questions = asked(core, gap(1, GapReason.STARTED))
    assert AboutContents("block99") in questions, "it was not told before"
    assert asked(core, *(old_block(h, 2) for h in range(94, 103))) == [
        AboutContents("block101"),
        AboutContents("block102"),
    ]


def test_what_was_there_before_we_first_began_is_recorded_as_such_and_never_read() -> None:
    core = tracker()
    events = [*(old_block(height, 0) for height in range(95, 100)), block(100)]
    recorded = [effect for event in events for effect in only(core.step(event), RecordBlock)]
    assert [(effect.height, effect.is_ours) for effect in recorded[-2:]] == [(99, False), (100, True)]
    blocks = [
        KnownBlock(e.height, e.block_hash, e.previous_hash, is_read=False, is_ours=e.is_ours)
        for e in recorded
    ]
    after = tracker()
    after.restore((), (), blocks=blocks)
    questions = asked(after, gap(1, GapReason.STARTED))
    assert [q for q in questions if isinstance(q, AboutContents)] == [AboutContents("block100")]


def test_a_restart_before_the_first_block_reads_all_that_came_meanwhile() -> None:
    after = tracker()
    after.restore((), (), blocks=[KnownBlock(Height(99), "block99", "block98", is_read=False, is_ours=False)])
    play(after, gap(1, GapReason.STARTED))
    assert asked(after, old_block(100, 2), old_block(101, 3)) == [
        AboutContents("block100"),
        AboutContents("block101"),
    ]


def test_a_restart_reads_every_block_that_was_recorded_and_not_read() -> None:
    core = tracker()
    blocks = [KnownBlock(Height(h), f"block{h}", f"block{h - 1}", is_read=h == 99) for h in range(97, 101)]
    core.restore((), (), blocks=blocks)
    questions = asked(core, gap(1, GapReason.STARTED))
    unread = [AboutContents(f"block{height}") for height in (97, 98, 100)]
    assert [q for q in questions if isinstance(q, AboutContents)] == unread


def test_a_restart_goes_on_asking_for_blocks_that_were_missing_in_between() -> None:
    core = tracker()
    blocks = [KnownBlock(Height(h), f"block{h}", f"block{h - 1}", is_read=True) for h in (95, 96, 99)]
    core.restore((), (), blocks=blocks)
    assert AboutBlock("block98") in asked(core, old_block(100, 2))


def test_a_restart_finds_the_reorg_that_came_meanwhile() -> None:
    before = tracker()
    play(before, seen(whale("a")), block(100, "a"))
    after = tracker()
    after.restore(before.tracked, (), blocks=[KnownBlock(Height(100), "block100", "block99", is_read=True)])
    (back,) = play(after, old_block(100, 9_000_000, branch="other"))
    assert isinstance(back, ReopenPrediction)


def test_a_restart_remembers_what_may_come_back() -> None:
    before = doubted("a")
    prediction = before.tracked[0]
    play(before, unknown("a", PATIENT), nobody("a", PATIENT))
    after = tracker()
    dropped = type(prediction)(
        **{name: getattr(prediction, name) for name in prediction.__slots__} | {"status": Status.DROPPED}
    )
    after.restore((), [txid("a")], closed=[dropped])
    (back,) = play(after, seen(whale("a"), PATIENT + 1))
    assert isinstance(back, ReopenPrediction)


def test_every_block_is_recorded_once() -> None:
    core = tracker()
    events = (block(100), old_block(100, 6_000_000), block(101, at=7_000_000))
    recorded = [effect for event in events for effect in only(core.step(event), RecordBlock)]
    assert [effect.height for effect in recorded] == [100, 101]


def test_a_restart_asks_nothing_about_what_no_reorg_will_undo() -> None:
    before = tracker()
    play(before, seen(whale("a", payee="a")), seen(whale("b", payee="b")), block(100, "a"), block(105, "b"))
    after = tracker()
    known = [KnownBlock(Height(106), "block106", "block105", is_read=True)]
    after.restore(before.tracked, (), blocks=known)
    questions = asked(after, gap(1, GapReason.STARTED))
    assert [q.txid for q in questions if isinstance(q, AboutTransaction)] == [txid("b")]
    assert play(after, seen(whale("a", payee="a"), 2)) == [], "and it is not signalled again"


def test_a_hole_too_old_to_be_filled_does_not_keep_a_restart_from_letting_go() -> None:
    before = tracker()
    play(before, seen(whale("a", payee="a")), block(900, "a"))
    after = tracker()
    heights = (700, *range(750, 910))
    blocks = [KnownBlock(Height(h), f"block{h}", f"block{h - 1}", is_read=True) for h in heights]
    after.restore(before.tracked, (), blocks=blocks)
    assert after.tracked == ()


def test_confirmed_predictions_are_let_go_of_while_only_blocks_are_told() -> None:
    core = tracker()
    play(core, seen(whale("a")), block(100, "a"))
    play(core, *(old_block(100 + n, 6_000_000) for n in range(1, REORG_DEPTH + 1)))
    assert core.tracked == ()


def test_an_answer_that_is_older_than_the_block_undoes_nothing() -> None:
    core = doubted("a")
    play(core, block(100, "a", at=LEFT_AT + 1))
    assert play(core, told("a", at=LEFT_AT + 2), told("a", at=PATIENT), unknown("a", PATIENT + 1)) == []


def test_a_parent_that_is_told_after_its_child_undoes_only_what_was_at_its_own_place() -> None:
    core = tracker()
    play(core, seen(whale("old", payee="x")), seen(whale("new", payee="y")), block(99), block(100, "old"))
    new_tip = BlockConnected(later(7_000_000), Height(102), "b102", "b101", (txid("new"),))
    assert outcome_of(play(core, new_tip)).txid == txid("new")
    assert play(core, old_block(101, 7_000_001, branch="b", parent="b")) != []
    effects = play(core, old_block(100, 7_000_002, branch="b"))
    assert effects == [], "undone with its child already"
    assert {p.txid: p.status for p in core.tracked} == {
        txid("old"): Status.PENDING,
        txid("new"): Status.CONFIRMED,
    }
