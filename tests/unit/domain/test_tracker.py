"""The core: every order of events, and what it must never do."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hydrophone.domain.events import (
    AmendSignal,
    BlockConnected,
    BlockPlace,
    Event,
    GapFound,
    GapReason,
    KeepLearned,
    MarkDoubt,
    MarketChanged,
    NoAnswer,
    NoteSuccessor,
    Package,
    RaiseSignal,
    RecordContents,
    RecordGap,
    RecordMarket,
    RecordModel,
    RecordOutcome,
    ReopenPrediction,
    TimePassed,
    TransactionsLeft,
    TransactionTold,
)
from hydrophone.domain.feemarket import RateProfile
from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.learned_labels import LearnedLabel
from hydrophone.domain.outcome import Status
from hydrophone.domain.predictions import REORG_DEPTH
from hydrophone.domain.questions import AboutTransaction
from hydrophone.domain.script import Network
from hydrophone.domain.signal import Change, Signal, prediction_id_of
from hydrophone.domain.tracker import PREVOUT_PATIENCE_MICROS, Tracker
from hydrophone.domain.transaction import Input, OutPoint, Output, Transaction
from hydrophone.domain.units import FeeRate, Height, Sats, Txid, WeightUnits
from hydrophone.domain.urgency import UrgencyBasis, calculate_urgency_score
from tests.contract.fake_store import as_restored
from tests.histories import histories, market
from tests.whales import (
    BTC,
    SOURCE,
    T0,
    asked,
    block,
    later,
    only,
    output,
    play,
    replaced,
    script,
    seen,
    told,
    tracker,
    txid,
    whale,
)


def test_a_whale_is_signalled_when_it_is_announced() -> None:
    (effect,) = tracker().step(seen(whale("a")))
    assert isinstance(effect, RaiseSignal)
    signal = effect.signal
    assert effect.at == signal.detected_at == signal.seen_at == T0
    assert signal.prediction_id == prediction_id_of(Network.MAINNET, txid("a"))
    assert signal.gross_sat == 160 * BTC
    assert signal.fee_rate_sat_vb == 10.0
    assert signal.payees == (output("payee", 150),)
    assert not signal.was_modified


def test_a_whale_announced_again_is_not_signalled_again() -> None:
    core = tracker()
    play(core, seen(whale("a")))
    assert play(core, seen(whale("a"), 1), seen(whale("a"), 2)) == []


def test_a_coinbase_is_no_whale() -> None:
    coinbase = Transaction(txid("cb"), (Input(None, 0),), (output("miner", 200),), WeightUnits(400))
    assert tracker().step(seen(coinbase)) == []


def test_missing_prevouts_are_asked_for_and_waited_for() -> None:
    core = tracker()
    assert asked(core, seen(whale("a", has_prevouts=False))) == [AboutTransaction(txid("a"))]
    assert core.next_deadline == later(PREVOUT_PATIENCE_MICROS)
    prevout = whale("a").inputs[0].prevout
    assert prevout is not None
    (effect,) = play(core, told("a", prevout, at=300_000))
    assert isinstance(effect, RaiseSignal)
    assert effect.at == later(300_000)
    assert effect.signal.detected_at == T0
    assert effect.signal.flow.reason == "no exchange label on either side"
    assert core.next_deadline is None


def test_a_signal_without_prevouts_goes_out_at_its_deadline_and_says_why() -> None:
    core = tracker()
    play(core, seen(whale("a", has_prevouts=False)))
    assert play(core, TimePassed(later(PREVOUT_PATIENCE_MICROS - 1))) == []
    (effect,) = play(core, TimePassed(later(9_000_000)))
    assert isinstance(effect, RaiseSignal)
    assert effect.at == later(PREVOUT_PATIENCE_MICROS), "dated at the deadline, whenever the clock was read"
    assert effect.signal.flow.flow_type == "unknown"
    assert "inputs unknown" in (effect.signal.flow.reason or "")
    assert "did not come within a second" in (effect.signal.flow.reason or "")


def test_any_later_event_is_a_tick_too() -> None:
    core = tracker()
    play(core, seen(whale("a", has_prevouts=False)))
    effects = play(core, seen(whale("b"), 2_000_000))
    assert [raised.signal.txid for raised in only(effects, RaiseSignal)] == [txid("a"), txid("b")]


def test_prevouts_that_come_late_amend_the_signal() -> None:
    book = LabelBook([Label(script("payer"), Entity("Kraken", EntityKind.EXCHANGE), Role.HOT, "list", 0.97)])
    core = tracker(book)
    play(core, seen(whale("a", has_prevouts=False)), TimePassed(later(2_000_000)))
    prevout = whale("a").inputs[0].prevout
    assert prevout is not None
    (effect,) = play(core, told("a", prevout, at=3_000_000))
    assert isinstance(effect, AmendSignal)
    assert effect.signal.flow.flow_type == "outflow"
    assert effect.signal.flow.sender == "Kraken"
    assert play(core, told("a", prevout, at=4_000_000)) == [], "amended once"


def test_prevouts_that_do_not_fit_are_not_believed() -> None:
    core = tracker()
    play(core, seen(whale("a", has_prevouts=False)))
    (effect,) = play(core, told("a", output("payer", 1), at=1))
    assert isinstance(effect, RaiseSignal)
    assert "less than its outputs" in (effect.signal.flow.reason or "")


def test_a_source_that_cannot_tell_ends_the_waiting_at_once() -> None:
    core = tracker()
    play(core, seen(whale("a", has_prevouts=False)))
    (effect,) = play(core, NoAnswer(later(10), AboutTransaction(txid("a")), "the backend answered 500"))
    assert isinstance(effect, RaiseSignal)
    assert "the backend answered 500" in (effect.signal.flow.reason or "")


def test_a_mined_whale_is_confirmed_once() -> None:
    core = tracker()
    play(core, seen(whale("a")))
    (effect,) = play(core, block(800_000, "other", "a"))
    assert isinstance(effect, RecordOutcome)
    outcome = effect.outcome
    assert (outcome.status, outcome.confirmation_height) == (Status.CONFIRMED, 800_000)
    assert outcome.detected_at == T0
    assert play(core, block(800_000, "a")) == []


def test_a_fee_bump_continues_the_prediction() -> None:
    core = tracker()
    play(core, seen(whale("a", rate=10)))
    bumped = whale("b", rate=30)
    note, raised = play(core, replaced("a", "b", bumped), seen(bumped, 2_000_000))
    assert note == NoteSuccessor(
        later(2_000_000),
        prediction_id_of(Network.MAINNET, txid("a")),
        txid("a"),
        txid("b"),
        Change.FEE_BUMP,
    )
    assert isinstance(raised, RaiseSignal)
    signal = raised.signal
    assert signal.prediction_id == prediction_id_of(Network.MAINNET, txid("a"))
    assert signal.was_modified
    assert signal.detected_at == T0
    assert [(v.txid, v.fee_rate_sat_vb) for v in signal.history] == [(txid("a"), 10.0)]


def test_old_pairs_that_repeat_change_nothing() -> None:
    """mempool.space tells A->B, then B->C and again A->C."""
    core = tracker()
    b, c = whale("b", rate=20), whale("c", rate=30)
    play(core, seen(whale("a")), replaced("a", "b", b), seen(b))
    effects = play(core, replaced("b", "c", c), replaced("a", "c", c), seen(c))
    assert [type(effect) for effect in effects] == [NoteSuccessor, RaiseSignal]
    (raised,) = only(effects, RaiseSignal)
    assert [version.txid for version in raised.signal.history] == [txid("a"), txid("b")]


def test_a_double_spend_to_another_payee_ends_the_prediction_and_begins_another() -> None:
    core = tracker()
    play(core, seen(whale("a")))
    thief = whale("b", payee="thief")
    outcome, raised = play(core, replaced("a", "b", thief), seen(thief, 2_000_000))
    assert isinstance(outcome, RecordOutcome)
    assert (outcome.outcome.status, outcome.outcome.replaced_by) == (Status.REPLACED, txid("b"))
    assert isinstance(raised, RaiseSignal)
    assert raised.signal.prediction_id == prediction_id_of(Network.MAINNET, txid("b"))
    assert not raised.signal.was_modified


def test_a_successor_that_is_no_whale_ends_the_prediction() -> None:
    core = tracker()
    play(core, seen(whale("a")))
    (effect,) = play(core, replaced("a", "b", None))
    assert isinstance(effect, RecordOutcome)
    assert effect.outcome.status is Status.REPLACED
    assert play(core, TransactionsLeft(later(3_000_000), (txid("a"),))) == []


def test_what_was_replaced_and_is_mined_after_all_is_confirmed() -> None:
    core = tracker()
    play(core, seen(whale("a")), replaced("a", "b", None))
    back, confirmed = play(core, block(1, "a"))
    assert isinstance(back, ReopenPrediction)
    assert back.ended_as is Status.REPLACED
    assert isinstance(confirmed, RecordOutcome)
    assert confirmed.outcome.status is Status.CONFIRMED


def test_two_payments_merged_into_one_continue_one_and_end_the_other() -> None:
    core = tracker()
    play(core, seen(whale("a", payee="x")), seen(whale("b", payee="y")))
    merged = whale("m", payee="x", btc=300)
    effects = play(core, replaced("a", "m", merged), replaced("b", "m", merged), seen(merged))
    assert [type(effect) for effect in effects] == [NoteSuccessor, RaiseSignal, RecordOutcome]


def test_a_conflict_mined_in_a_block_confirms_the_successor() -> None:
    core = tracker()
    play(core, seen(whale("a")))
    effects = play(core, replaced("a", "b", whale("b", rate=40)), block(800_000, "b"))
    assert [type(effect) for effect in effects] == [NoteSuccessor, RaiseSignal, RecordOutcome]
    assert only(effects, RecordOutcome)[0].outcome.txid == txid("b")


def test_what_is_replaced_while_it_waits_is_signalled_first() -> None:
    core = tracker()
    play(core, seen(whale("a", has_prevouts=False)))
    effects = play(core, replaced("a", "b", whale("b"), at=10))
    assert [type(effect) for effect in effects] == [RaiseSignal, NoteSuccessor, RaiseSignal]
    assert "replaced before" in (only(effects, RaiseSignal)[0].signal.flow.reason or "")


def test_a_successor_without_prevouts_waits_and_keeps_its_history() -> None:
    core = tracker()
    play(core, seen(whale("a")))
    successor = whale("b", has_prevouts=False)
    left = TransactionsLeft(later(2_000_000), (txid("a"),))
    effects = play(core, replaced("a", "b", successor), left, TimePassed(later(9_000_000)))
    assert [type(effect) for effect in effects] == [NoteSuccessor, RaiseSignal]
    assert only(effects, RaiseSignal)[0].signal.was_modified


def test_what_leaves_without_a_reason_is_in_doubt_until_it_is_back_or_mined() -> None:
    core = tracker()
    play(core, seen(whale("a")), seen(whale("b")))
    doubts = only(play(core, TransactionsLeft(later(10), (txid("a"), txid("b")))), MarkDoubt)
    assert [(doubt.txid, doubt.in_doubt) for doubt in doubts] == [(txid("a"), True), (txid("b"), True)]
    (back,) = play(core, seen(whale("a"), 20))
    assert isinstance(back, MarkDoubt)
    assert not back.in_doubt
    (confirmed,) = play(core, block(1, "b"))
    assert isinstance(confirmed, RecordOutcome)


def test_a_block_beside_the_one_that_confirmed_reopens_the_prediction() -> None:
    core = tracker()
    play(core, seen(whale("a")), block(100, "a"))
    other = BlockConnected(later(6_000_000), Height(100), "another100", "block99", ())
    (reopened,) = play(core, other)
    assert isinstance(reopened, ReopenPrediction)
    (confirmed,) = play(
        core,
        BlockConnected(later(9_000_000), Height(101), "another101", "another100", (txid("a"),)),
    )
    assert isinstance(confirmed, RecordOutcome)
    assert confirmed.outcome.confirmation_height == 101


def test_a_block_with_another_parent_reopens_what_the_old_parent_confirmed() -> None:
    core = tracker()
    play(core, seen(whale("a")), seen(whale("b", payee="y")), block(99, "b"), block(100, "a"))
    fork = BlockConnected(later(6_000_000), Height(101), "another101", "another100", ())
    (reopened,) = play(core, fork)
    assert isinstance(reopened, ReopenPrediction)
    assert reopened.txid == txid("a"), "the block below is not contradicted"


def test_a_reorg_that_mines_it_again_at_the_same_height_confirms_it_anew() -> None:
    core = tracker()
    play(core, seen(whale("a")), block(100, "a"))
    other = BlockConnected(later(6_000_000), Height(100), "another100", "block99", (txid("a"),))
    assert [type(effect) for effect in play(core, other)] == [ReopenPrediction, RecordOutcome]


def test_a_source_that_announces_what_is_confirmed_says_nothing() -> None:
    """It may lag behind another, or have started anew: only blocks undo a confirmation."""
    core = tracker()
    play(core, seen(whale("a")), block(100, "a"))
    assert play(core, seen(whale("a"), 6_000_000), TransactionsLeft(later(7_000_000), (txid("a"),))) == []


def test_a_miner_that_prefers_an_earlier_version_confirms_the_payment() -> None:
    core = tracker()
    play(core, seen(whale("a")), replaced("a", "b", whale("b", rate=30)))
    (confirmed,) = play(core, block(100, "a"))
    assert isinstance(confirmed, RecordOutcome)
    assert confirmed.outcome.txid == txid("a")
    assert confirmed.outcome.final_fee_rate_sat_vb == 10.0
    assert confirmed.outcome.prediction_id == prediction_id_of(Network.MAINNET, txid("a"))
    assert play(core, TransactionsLeft(later(9_000_000), (txid("b"),)), block(101, "b")) == []


def test_the_old_version_mined_while_its_successor_waits_ends_the_waiting() -> None:
    core = tracker()
    play(core, seen(whale("a")), replaced("a", "b", whale("b", has_prevouts=False), at=10))
    (confirmed,) = play(core, block(100, "a", at=20))
    assert isinstance(confirmed, RecordOutcome)
    assert play(core, TimePassed(later(9_000_000)), seen(whale("b"), 9_000_001)) == []


def test_the_oldest_of_three_versions_mined_while_the_newest_waits_ends_the_waiting() -> None:
    core = tracker()
    play(core, seen(whale("a")), replaced("a", "b", whale("b"), at=10))
    play(core, replaced("b", "c", whale("c", has_prevouts=False), at=20))
    (confirmed,) = play(core, block(100, "a", at=30))
    assert isinstance(confirmed, RecordOutcome)
    assert play(core, TimePassed(later(9_000_000)), block(101, "c")) == []


def test_prevouts_that_come_after_the_block_still_amend() -> None:
    core = tracker()
    play(core, seen(whale("a", has_prevouts=False)), block(100, "a", at=10))
    prevout = whale("a").inputs[0].prevout
    assert prevout is not None
    (amended,) = play(core, told("a", prevout, at=20))
    assert isinstance(amended, AmendSignal)


def test_a_source_that_never_tells_prevouts_is_not_asked_for_ever() -> None:
    core = tracker()
    play(core, seen(whale("a", has_prevouts=False)), block(100, "a", at=10))
    place = BlockPlace(Height(100), "block100")
    answers = [
        TransactionTold(later(20 + n), SOURCE, whale("a", has_prevouts=False), place) for n in range(9)
    ]
    questions = asked(core, *answers, TimePassed(later(9_000_000)))
    assert questions.count(AboutTransaction(txid("a"))) <= 1


def test_a_confirmation_below_blocks_that_were_missed_is_still_undone() -> None:
    core = tracker()
    play(core, seen(whale("a")), block(100, "a"))
    tip = 100 + 4 * REORG_DEPTH
    play(core, block(tip))
    for height in range(tip - 1, 101, -1):
        assert play(core, block(height)) == []
    other = BlockConnected(later(6_000_000), Height(101), "block101", "another100", None)
    (undone,) = play(core, other)
    assert isinstance(undone, ReopenPrediction)


def test_giving_up_signals_what_waits_and_says_why() -> None:
    core = tracker()
    play(core, seen(whale("a", has_prevouts=False)))
    (raised,) = core.give_up(later(100), "the service stopped")
    assert isinstance(raised, RaiseSignal)
    assert raised.at == later(100)
    assert "the service stopped" in (raised.signal.flow.reason or "")


def test_a_transaction_mined_again_in_another_block_is_reopened_first() -> None:
    core = tracker()
    play(core, seen(whale("a")), block(100, "a"))
    assert [type(e) for e in play(core, block(101, "a"))] == [ReopenPrediction, RecordOutcome]


def test_settled_predictions_are_forgotten_but_not_signalled_again() -> None:
    core = tracker()
    play(core, seen(whale("a")), block(100, "a"))
    play(core, *(block(100 + n) for n in range(1, REORG_DEPTH)))
    assert [prediction.txid for prediction in core.tracked] == [txid("a")]
    play(core, block(100 + REORG_DEPTH))
    assert core.tracked == ()
    assert play(core, seen(whale("a"), 9_000_000)) == []


def test_gaps_are_recorded() -> None:
    gap = GapFound(T0, "mempool.space", GapReason.RECONNECTED, T0)
    assert play(tracker(), gap) == [RecordGap(gap)]


def test_a_restored_core_goes_on_where_it_was() -> None:
    before = tracker()
    play(before, seen(whale("a")), seen(whale("b", payee="y")), replaced("b", "c", None))
    after = tracker()
    after.restore(before.tracked, [txid("b")])
    assert play(after, seen(whale("a"), 9), seen(whale("b"), 9)) == []
    bumped = whale("d", rate=50)
    effects = play(after, replaced("a", "d", bumped))
    assert [type(effect) for effect in effects] == [NoteSuccessor, RaiseSignal]
    assert only(effects, RaiseSignal)[0].signal.detected_at == T0


# --- learning and correcting

HOT, DEPOSIT, SECOND = script("hot"), script("deposit"), script("second deposit")
BINANCE = Entity("Binance", EntityKind.EXCHANGE)
HOT_LABEL = Label(HOT, BINANCE, Role.HOT, "test", 0.95)


def heard(at: int) -> TransactionsLeft:
    """Something that is about none of ours."""
    return TransactionsLeft(later(at), ())


def spend(name: str, spent: Sequence[bytes], paid: Sequence[tuple[bytes, float]]) -> Transaction:
    """Return a transaction whose inputs are worth as much each, and pay 1,000 sat of fee."""
    outputs = tuple(Output(to, Sats(round(btc * BTC))) for to, btc in paid)
    each_sat = (sum(o.value_sat for o in outputs) + 1_000) // len(spent) + 1
    inputs = tuple(
        Input(OutPoint(txid(name), n), 0xFFFFFFFD, Output(from_, Sats(each_sat)))
        for n, from_ in enumerate(spent)
    )
    return Transaction(txid(name), inputs, outputs, WeightUnits(800), Sats(1_000))


def sweep(name: str = "sweep") -> Transaction:
    """Return a transaction that gathers what was paid to the deposit script, and more."""
    others = [script(f"deposit {n}") for n in range(4)]
    return spend(name, [DEPOSIT, *others], [(HOT, 500)])


DEPOSITED = spend("deposit", [script("customer")], [(DEPOSIT, 120)])


def test_a_sweep_tells_what_an_earlier_payment_was_and_it_is_said() -> None:
    core = tracker(LabelBook([HOT_LABEL]))
    [raised] = play(core, seen(DEPOSITED))
    assert isinstance(raised, RaiseSignal)
    assert raised.signal.flow.flow_type.value == "unknown"
    swept, learned, amended = play(core, block(100, "deposit"), seen(sweep(), at=9_000_000))[1:]
    assert isinstance(swept, RaiseSignal)
    assert (swept.signal.flow.flow_type.value, swept.signal.flow.subtype) == ("internal", "sweep")
    assert isinstance(learned, KeepLearned)
    assert {label.script for label in learned.labels} >= {DEPOSIT}
    assert isinstance(amended, AmendSignal)
    assert amended.signal.prediction_id == raised.signal.prediction_id
    assert amended.signal.flow.flow_type.value == "inflow"
    assert amended.signal.flow.receiver == "Binance"
    assert txid("sweep") in amended.reason


def test_a_payment_is_corrected_long_after_it_was_settled_and_once() -> None:
    core = tracker(LabelBook([HOT_LABEL]))
    play(core, seen(DEPOSITED), block(100, "deposit"), *map(block, range(101, 101 + REORG_DEPTH)))
    assert core.tracked == ()
    assert len(only(play(core, seen(sweep(), at=9_000_000)), AmendSignal)) == 1
    assert only(play(core, seen(sweep("again"), at=10_000_000)), AmendSignal) == []


def test_what_never_happened_is_not_corrected() -> None:
    core = tracker(LabelBook([HOT_LABEL]))
    other = spend("other", [script("customer")], [(script("somebody"), 120)])
    play(core, seen(DEPOSITED), replaced("deposit", "other", other))
    assert only(play(core, seen(sweep(), at=9_000_000)), AmendSignal) == []


def test_a_correction_that_changes_nothing_people_act_on_is_not_said() -> None:
    core = tracker(LabelBook([HOT_LABEL, Label(DEPOSIT, BINANCE, Role.DEPOSIT, "test", 0.9)]))
    play(core, seen(DEPOSITED))
    assert only(play(core, seen(sweep(), at=9_000_000)), AmendSignal) == []


def test_what_is_learned_holds_for_what_comes_after() -> None:
    core = tracker(LabelBook([HOT_LABEL]))
    play(core, seen(sweep()))
    later_deposit = spend("late", [script("customer")], [(DEPOSIT, 120)])
    [raised] = only(play(core, seen(later_deposit, at=9_000_000)), RaiseSignal)
    assert raised.signal.flow.flow_type.value == "inflow"


def test_a_fee_bump_of_a_sign_is_no_second_sign() -> None:
    """Two payments out of cold storage make the payee a wallet of the exchange; one, bumped, does not."""
    cold, payee = script("cold"), script("wallet")
    core = tracker(LabelBook([Label(cold, BINANCE, Role.COLD, "test", 0.95)]))
    first = spend("first", [cold], [(payee, 200)])
    bumped = spend("bumped", [cold], [(payee, 199)])
    effects = play(core, seen(first), replaced("first", "bumped", bumped))
    assert only(effects, KeepLearned) == []
    effects = play(core, seen(spend("second", [cold], [(payee, 300)]), at=9_000_000))
    [learned] = only(effects, KeepLearned)
    assert [label.script for label in learned.labels] == [payee]
    [raised] = only(effects, RaiseSignal)
    assert raised.signal.flow.flow_type.value == "internal"
    [amended] = only(effects, AmendSignal)
    assert amended.signal.txid == txid("bumped")


def test_a_restored_core_knows_what_it_learned_and_corrects_what_it_said() -> None:
    before = tracker(LabelBook([HOT_LABEL]))
    effects = play(before, seen(DEPOSITED), seen(sweep(), at=9_000_000))
    learned = only(effects, KeepLearned)[0].labels
    signals = [effect.signal for effect in only(effects, RaiseSignal)]
    after = tracker(LabelBook([HOT_LABEL]))
    after.restore(before.tracked, [], signals=signals, learned=learned)
    assert after.labels.lookup(DEPOSIT) == before.labels.lookup(DEPOSIT)
    another = spend("late", [script("customer")], [(DEPOSIT, 120)])
    [raised] = only(play(after, seen(another, at=10_000_000)), RaiseSignal)
    assert raised.signal.flow.flow_type.value == "inflow"


def test_other_labels_after_a_restart_correct_what_was_said_with_the_old_ones() -> None:
    before = tracker(LabelBook([HOT_LABEL]))
    [raised] = only(play(before, seen(DEPOSITED)), RaiseSignal)
    book = LabelBook([HOT_LABEL, Label(DEPOSIT, BINANCE, Role.DEPOSIT, "a newer list", 0.95)])
    after = tracker(book)
    after.restore(before.tracked, [], signals=[raised.signal])
    [amended] = play(after, heard(5))
    assert isinstance(amended, AmendSignal)
    assert (amended.signal.flow.flow_type.value, amended.signal.label_set) == ("inflow", book.version)
    assert book.version in amended.reason
    assert play(after, heard(6)) == []


def restarted(labels: Sequence[Label], *signals: Signal, learned: Sequence[LearnedLabel] = ()) -> Tracker:
    """Return a core that made the signals, before it was restarted with these labels."""
    before = tracker(LabelBook([HOT_LABEL]))
    for signal in signals:
        before.step(seen(signal.transaction))
    after = tracker(LabelBook(labels))
    after.restore(before.tracked, [], signals=signals, learned=learned)
    return after


def said_of(*transactions: Transaction) -> list[Signal]:
    effects = play(tracker(LabelBook([HOT_LABEL])), *map(seen, transactions))
    return [effect.signal for effect in only(effects, RaiseSignal)]


def test_other_labels_do_not_bring_back_a_version_that_was_replaced() -> None:
    deposits = [spend(f"deposit {n}", [script(f"c{n}")], [(DEPOSIT, 120 + n)]) for n in range(50)]
    newer_label = Label(DEPOSIT, BINANCE, Role.DEPOSIT, "a newer list", 0.95)
    core = restarted([HOT_LABEL, newer_label], *said_of(*deposits))
    bumped = spend("bumped", [script("c49")], [(DEPOSIT, 160)])
    effects = play(core, replaced("deposit 49", "bumped", bumped), *[heard(n) for n in range(9)])
    amended = [effect.signal.txid for effect in only(effects, AmendSignal)]
    assert sorted(amended) == sorted(deposit.txid for deposit in deposits[:49])
    [raised] = only(effects, RaiseSignal)
    assert (raised.signal.txid, raised.signal.was_modified) == (txid("bumped"), True)


def test_other_labels_do_not_correct_what_has_ended_meanwhile() -> None:
    newer_label = Label(DEPOSIT, BINANCE, Role.DEPOSIT, "a newer list", 0.95)
    fillers = [spend(f"filler {n}", [script(f"c{n}")], [(script(f"p{n}"), 120)]) for n in range(30)]
    core = restarted([HOT_LABEL, newer_label], *said_of(*fillers, DEPOSITED))
    effects = play(core, replaced("deposit", "other", None), *[heard(n) for n in range(9)])
    assert only(effects, AmendSignal) == []


def test_one_correction_is_said_once_whoever_asks_for_it() -> None:
    deposits = [spend(f"deposit {n}", [script(f"c{n}")], [(DEPOSIT, 120 + n)]) for n in range(30)]
    core = restarted([HOT_LABEL, Label(script("x"), BINANCE, Role.HOT, "t", 0.9)], *said_of(*deposits))
    effects = play(core, seen(sweep(), at=5), *[heard(n) for n in range(9, 19)])
    amended = Counter(effect.signal.txid for effect in only(effects, AmendSignal))
    assert amended == {deposit.txid: 1 for deposit in deposits}


def test_corrections_of_a_busy_script_are_spread_over_the_events_that_follow() -> None:
    deposits = [spend(f"deposit {n}", [script(f"c{n}")], [(DEPOSIT, 120 + n)]) for n in range(70)]
    core = tracker(LabelBook([HOT_LABEL]))
    play(core, *map(seen, deposits))
    assert len(only(core.step(seen(sweep(), at=5)), AmendSignal)) < 30
    count = 0
    while core.has_revisions:
        count += 1
        core.step(heard(10 + count))
    assert 1 <= count <= 4


def test_what_follows_from_a_claim_that_nobody_makes_any_more_is_not_believed() -> None:
    effects = play(tracker(LabelBook([HOT_LABEL])), seen(sweep()))
    [learned] = only(effects, KeepLearned)
    assert restarted([HOT_LABEL], learned=learned.labels).labels.lookup(DEPOSIT)
    assert restarted([], learned=learned.labels).labels.lookup(DEPOSIT) == ()
    of_somebody_else = Label(HOT, Entity("Kraken", EntityKind.EXCHANGE), Role.HOT, "test", 0.95)
    assert restarted([of_somebody_else], learned=learned.labels).labels.lookup(DEPOSIT) == ()


def test_a_restart_forgets_no_correction_that_was_still_to_be_made() -> None:
    deposits = [spend(f"deposit {n}", [script(f"c{n}")], [(DEPOSIT, 120 + n)]) for n in range(50)]
    core = tracker(LabelBook([HOT_LABEL]))
    effects = play(core, *map(seen, deposits), seen(sweep(), at=5))
    assert core.has_revisions
    [learned] = only(effects, KeepLearned)
    said = {effect.signal.prediction_id: effect.signal for effect in only(effects, RaiseSignal)}
    said |= {effect.signal.prediction_id: effect.signal for effect in only(effects, AmendSignal)}
    after = tracker(LabelBook([HOT_LABEL]))
    after.restore(core.tracked, [], signals=said.values(), learned=learned.labels)
    amended = only(play(after, *[heard(10 + n) for n in range(9)]), AmendSignal)
    once = Counter(effect.signal.txid for effect in [*only(effects, AmendSignal), *amended])
    assert once == {deposit.txid: 1 for deposit in deposits}


def test_a_transaction_is_not_judged_by_what_it_alone_teaches() -> None:
    weak = Label(HOT, BINANCE, Role.HOT, "test", 0.64)
    others = [script(f"deposit {n}") for n in range(6)]
    core = tracker(LabelBook([weak]))
    effects = play(core, seen(spend("s", others, [(HOT, 500)])))
    [raised] = only(effects, RaiseSignal)
    assert raised.signal.flow.values.outflow_sat == 0
    assert raised.signal.flow.flow_type.value == "unknown"
    after = tracker(LabelBook([weak]))
    after.restore(core.tracked, [], signals=[raised.signal], learned=only(effects, KeepLearned)[0].labels)
    assert play(after, heard(9)) == [], "nor when it is read again"


# Confirmation.


def informed() -> Tracker:
    """Return a core that has heard of a block and of the market."""
    core = tracker()
    mined = BlockConnected(
        T0, Height(100), "block100", "block99", (), found_at=T0, profile=RateProfile(4e6, (3.0,) * 7)
    )
    play(core, mined, market(1), market(1_000_001), TimePassed(later(2_000_000)))
    return core


def test_before_a_market_is_known_nothing_is_said_of_confirmation() -> None:
    (effect,) = only(play(tracker(), seen(whale("a"))), RaiseSignal)
    forecast = effect.signal.forecast
    assert forecast is not None
    assert forecast.estimate is None
    assert effect.signal.urgency_basis is UrgencyBasis.FALLBACK_CURVE
    assert effect.signal.urgency_score == calculate_urgency_score(10)
    assert effect.signal.confidence_score == effect.signal.flow.confidence


def test_a_signal_says_when_it_confirms() -> None:
    (effect,) = only(play(informed(), seen(whale("a"), 3_000_000)), RaiseSignal)
    signal = effect.signal
    assert signal.forecast is not None
    assert signal.forecast.estimate is not None
    assert signal.forecast.estimate.predicted_block == 101
    assert signal.urgency_basis is UrgencyBasis.FEE_MARKET
    assert signal.urgency_score == signal.forecast.urgency.score > 0.8
    assert 0 < signal.confidence_score < signal.flow.confidence


def test_a_lower_rate_confirms_later() -> None:
    core = informed()
    low, high = only(
        play(core, seen(whale("a", rate=1), 3_000_000), seen(whale("b", rate=10), 3_000_000)), RaiseSignal
    )
    assert low.signal.forecast is not None
    assert high.signal.forecast is not None
    assert low.signal.forecast.estimate is not None
    assert high.signal.forecast.estimate is not None
    assert low.signal.forecast.estimate.by_block < high.signal.forecast.estimate.by_block
    assert (low.signal.urgency_score or 0) < (high.signal.urgency_score or 0)


def test_a_fee_bump_raises_the_urgency_beyond_that_of_its_rate() -> None:
    core = informed()
    play(core, seen(whale("a", rate=2), 3_000_000))
    bumped = play(core, replaced("a", "b", whale("b", rate=3), 4_000_000))
    (first,) = only(bumped, RaiseSignal)
    (plain,) = only(play(informed(), seen(whale("b", rate=3), 4_000_000)), RaiseSignal)
    assert (first.signal.urgency_score or 0) > (plain.signal.urgency_score or 0)
    assert first.signal.forecast is not None
    assert "fee raised 1 time" in first.signal.forecast.urgency.reason


def test_a_child_that_pays_amends_the_signal() -> None:
    core = informed()
    (before,) = only(play(core, seen(whale("a", rate=1), 3_000_000)), RaiseSignal)
    effects = play(core, market(4_000_000, Package((txid("a"), txid("unknown")), FeeRate(8.0))))
    (amended,) = only(effects, AmendSignal)
    assert amended.reason == "a child pays for it: 8.00 sat/vB together"
    assert amended.signal.effective_fee_rate_sat_vb == 8.0
    assert amended.signal.fee_rate_sat_vb == 1.0
    assert (amended.signal.urgency_score or 0) > (before.signal.urgency_score or 0)
    assert amended.signal.forecast is not None
    assert amended.signal.forecast.made_at == later(4_000_000), "its minutes count from then"
    assert play(core, market(5_000_000, Package((txid("a"),), FeeRate(8.0)))) == [], "it pays no more"


def test_a_child_that_pays_after_a_restart_amends_the_signal() -> None:
    """Of a stored signal not everything is known that its flow rested on."""
    before = informed()
    (raised,) = only(play(before, seen(whale("a", rate=1), 3_000_000)), RaiseSignal)
    after = tracker()
    after.restore(before.tracked, [], signals=[as_restored(raised.signal)])
    effects = play(after, market(4_000_000, Package((txid("a"),), FeeRate(8.0))))
    (amended,) = only(effects, AmendSignal)
    assert amended.signal.payees == raised.signal.payees


def test_a_child_of_what_is_confirmed_changes_nothing() -> None:
    core = informed()
    play(core, seen(whale("a", rate=1), 3_000_000), block(101, "a"))
    assert play(core, market(6_000_000, Package((txid("a"),), FeeRate(8.0)))) == []


def test_what_is_learned_from_a_block_is_recorded_with_the_market_before_it() -> None:
    core = informed()
    play(core, seen(whale("a", rate=10), 3_000_000))
    effects = play(core, block(101, "a", at=600_000_000))
    (recorded,) = only(effects, RecordMarket)
    (learned,) = only(effects, RecordModel)
    assert recorded.market.tip == 100
    assert learned.state == core.forecaster.state
    assert learned.state.scored_blocks == 1
    assert only(play(core, block(101, "a", at=600_000_000)), RecordModel) == []


def test_what_is_mined_while_it_waits_for_prevouts_is_held_to_account_by_that_block() -> None:
    core = informed()
    play(core, seen(whale("a", has_prevouts=False), 3_000_000))
    effects = play(core, block(101, "a", at=3_500_000))
    assert only(effects, RaiseSignal)[0].signal.forecast is not None
    (learned,) = only(effects, RecordModel)
    assert learned.state.scored_blocks == 1
    assert learned.state.calibrations[1](0.5) > 0.5, "it came true"


def test_after_a_gap_the_market_is_unknown_until_it_is_told_again() -> None:
    core = informed()
    gap = GapFound(later(3_000_000), "source", GapReason.RECONNECTED, later(2_000_000))
    (blind,) = only(play(core, gap, seen(whale("a"), 3_000_000)), RaiseSignal)
    assert blind.signal.forecast is not None
    assert blind.signal.forecast.estimate is None
    play(core, market(4_000_000))
    (seeing,) = only(play(core, seen(whale("b"), 5_000_000)), RaiseSignal)
    assert seeing.signal.forecast is not None
    assert seeing.signal.forecast.estimate is not None


def test_a_fee_that_is_known_late_gives_the_forecast_late() -> None:
    core = informed()
    unknown = replace(whale("a", has_prevouts=False), fee_sat=None)
    first = play(core, seen(unknown, 3_000_000), TimePassed(later(9_000_000)))
    assert only(first, RaiseSignal)[0].signal.forecast is None
    prevout = whale("a").inputs[0].prevout
    assert prevout is not None
    (amended,) = only(play(core, told("a", prevout, at=9_500_000)), AmendSignal)
    assert amended.signal.forecast is not None
    assert amended.signal.forecast.made_at == later(9_500_000)
    assert amended.signal.urgency_basis is UrgencyBasis.FEE_MARKET


@settings(max_examples=200)
@given(histories())
def test_every_signal_gets_at_most_one_outcome_after_it_was_raised(events: list[Event]) -> None:
    core = tracker()
    is_open: dict[str, bool] = {}
    signalled: Counter[Txid] = Counter()
    for effect in play(core, *events):
        match effect:
            case RaiseSignal(_, signal):
                signalled[signal.txid] += 1
                assert is_open.get(signal.prediction_id) is (True if signal.was_modified else None)
                is_open[signal.prediction_id] = True
            case RecordOutcome(outcome):
                assert is_open[outcome.prediction_id]
                is_open[outcome.prediction_id] = False
            case ReopenPrediction(prediction_id=prediction_id):
                assert is_open[prediction_id] is False
                is_open[prediction_id] = True
            case AmendSignal(_, signal, _):
                assert signal.prediction_id in is_open
            case NoteSuccessor(prediction_id=prediction_id) | MarkDoubt(prediction_id=prediction_id):
                assert is_open[prediction_id]
            case RecordGap() | RecordContents() | KeepLearned() | RecordMarket() | RecordModel():
                pass
            case _:
                raise AssertionError(effect)
    assert all(count == 1 for count in signalled.values())


@given(histories())
def test_an_event_told_twice_is_harmless(events: list[Event]) -> None:
    """All effects are the same: mempool.space repeats itself, and so may a second source.

    Only what arrives is counted, not remembered: told twice, it is twice as much. Two gaps are two.
    """
    doubled = [
        twice
        for event in events
        for twice in ((event,) if isinstance(event, MarketChanged | GapFound) else (event, event))
    ]
    assert play(tracker(), *doubled) == play(tracker(), *events)


@given(histories(), st.data())
def test_a_restart_in_between_repeats_nothing(events: list[Event], data: st.DataObject) -> None:
    """Whatever was said before a restart is not said again after it."""
    cut = data.draw(st.integers(0, len(events)))
    before, after = tracker(), tracker()
    said = [effect.signal.txid for effect in only(play(before, *events[:cut]), RaiseSignal)]
    tracked = {prediction.txid for prediction in before.tracked}
    after.restore(before.tracked, [name for name in said if name not in tracked])
    later_on = [effect.signal.txid for effect in only(play(after, *events[cut:]), RaiseSignal)]
    assert not set(said) & set(later_on)


def test_what_a_whale_without_prevouts_pays_is_known_until_they_come() -> None:
    core = tracker()
    unresolved = replace(whale("a", has_prevouts=False), fee_sat=Sats(2_000), weight_wu=WeightUnits(400))
    play(core, seen(unresolved))
    assert core.rate_of_unresolved(txid("a")) == 20.0
    play(core, TimePassed(later(2_000_000)))
    assert core.rate_of_unresolved(txid("a")) == 20.0, "its signal may still be amended"
    prevout = whale("a").inputs[0].prevout
    assert prevout is not None
    play(core, told("a", prevout, at=3_000_000))
    assert core.rate_of_unresolved(txid("a")) is None
    play(core, seen(whale("b"), 4_000_000))
    assert core.rate_of_unresolved(txid("b")) is None
