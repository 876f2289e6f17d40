"""The core: step(event) -> effects.

It follows each payment above the threshold from the first announcement to its outcome. It has no clock
and no I/O: what it cannot know it asks for by an effect, and the answer is an event like any other, so
every race is only an order of events. Repeated events are harmless.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

from hydrophone.domain.events import (
    Answered,
    Ask,
    BlockConnected,
    ContentsTold,
    Effect,
    Event,
    GapFound,
    GapReason,
    MarketChanged,
    NoAnswer,
    NoteSuccessor,
    RaiseSignal,
    RecordContents,
    RecordGap,
    RecordMarket,
    RecordModel,
    Replaced,
    ReplacementTold,
    Source,
    TimePassed,
    TransactionSeen,
    TransactionsLeft,
    TransactionTold,
    WhalesWaiting,
)
from hydrophone.domain.forecast import Forecaster
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.learned_labels import KnownLabels, LearnedLabel
from hydrophone.domain.outcome import Status
from hydrophone.domain.payees import change_of, continues, own_scripts
from hydrophone.domain.predictions import EXPIRY_MICROS, Predictions, TrackedPrediction
from hydrophone.domain.questions import AboutReplacement, AboutTransaction
from hydrophone.domain.script import Network
from hydrophone.domain.settlement import ChainReader, KnownBlock, Settlement, Sought
from hydrophone.domain.signal import Change, Sighting, Signal, Version, prediction_id_of
from hydrophone.domain.signalling import Announcement, Signalling
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import MICROS_PER_S, FeeRate, Height, Txid, UnixMicros

PREVOUT_PATIENCE_MICROS: Final = 1 * MICROS_PER_S
"""How long a signal waits for what its transaction spends.
# chosen: an alert is wanted within a second; an amendment may follow."""
_NO_PREVOUTS: Final = "the source's answer has no prevouts"
_NOBODY: Final = Source("")
_LATE_LIMIT: Final = 1_000
"""# chosen: more signals than this never wait for late prevouts at once."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A whale whose prevouts we asked for."""

    transaction: Transaction
    source: Source
    seen_at: UnixMicros
    predecessor: TrackedPrediction | None = None
    change: Change | None = None
    sighting: Sighting = Sighting.ANNOUNCED
    known_since: UnixMicros | None = None

    @property
    def deadline(self) -> UnixMicros:
        return UnixMicros(self.seen_at + PREVOUT_PATIENCE_MICROS)


class Tracker:
    """The state of everything we follow.

    Args:
        network: part of every prediction's id.
        book: labels to classify by.
        forecaster: says when transactions confirm; None: a new one.
    """

    def __init__(self, *, network: Network, book: LabelBook, forecaster: Forecaster | None = None) -> None:
        self._network = network
        self.forecaster = Forecaster() if forecaster is None else forecaster
        self._signalling = Signalling(book, self.forecaster)
        self._settlement = Settlement()
        self._questions = self._settlement.questions
        self._chain = ChainReader(self._questions)
        self._predictions = Predictions(self.forecaster, self._signalling, self._settlement)
        self._waiting: dict[Txid, _Waiting] = {}
        self._late: dict[Txid, Signal] = {}

    @property
    def labels(self) -> KnownLabels:
        """What is believed of whom, published or learned."""
        return self._signalling.labels

    @property
    def tracked(self) -> tuple[TrackedPrediction, ...]:
        """Open and recently confirmed predictions."""
        return self._predictions.tracked

    @property
    def question_count(self) -> int:
        """Questions without an answer yet."""
        return len(self._questions)

    @property
    def has_revisions(self) -> bool:
        """Whether signals wait to be looked at again: each event that was heard lets a few more be."""
        return self._signalling.has_revisions

    @property
    def next_deadline(self) -> UnixMicros | None:
        """When `TimePassed` is wanted, if nothing else happens until then."""
        return next((waiting.deadline for waiting in self._waiting.values()), None)

    def rate_of_unresolved(self, txid: Txid) -> FeeRate | None:
        """Return what a whale without prevouts pays, in sat/vB; None: it is none, or nobody said."""
        found = self._waiting.get(txid) or self._late.get(txid)
        return None if found is None else found.transaction.fee_rate

    @property
    def next_question_at(self) -> UnixMicros | None:
        """When `TimePassed` is wanted so that something is asked again; nothing is said by it."""
        return self._questions.next_at

    def restore(
        self,
        tracked: Iterable[TrackedPrediction],
        ended: Iterable[Txid],
        *,
        closed: Iterable[TrackedPrediction] = (),
        signals: Iterable[Signal] = (),
        learned: Iterable[LearnedLabel] = (),
        blocks: Sequence[KnownBlock] = (),
    ) -> None:
        """Remember what was followed before a restart.

        Args:
            tracked: open and recently confirmed predictions.
            ended: txids that must not be signalled again, oldest first.
            closed: replaced and dropped predictions that may come back, oldest first.
            signals: that may still be corrected, oldest first. They are looked at again: labels may be others
                now, and what was learned last may not have been told to all of them.
            learned: what was learned about scripts, oldest first; what follows from a claim that nobody makes
                any more is not believed any more.
            blocks: the newest that were heard of, from below.
        """
        self._signalling.restore(signals, learned)
        self._chain.restore(blocks)
        self._predictions.restore(tracked, ended, closed)
        if self._chain.newest is not None:
            self._predictions.forget_settled(self._chain.linked_to(self._chain.newest))

    def step(self, event: Event) -> list[Effect]:
        """Take a fact in, give wishes out."""
        self._chain.note_time(event.at)
        effects = self._expire(event.at)
        if not isinstance(event, TimePassed):  # when that is stepped is chance, and a replay has none
            effects += self.review(event.at)
        self.forecaster.note_time(event.at)
        effects += self._take_in(event)
        effects += self._chain.finish_reading(self._is_owed)
        effects += [Ask(question) for question in self._questions.due(event.at)]
        return effects

    def _take_in(self, event: Event) -> list[Effect]:  # noqa: C901, PLR0911, PLR0912 -- a line for each event
        match event:
            case TransactionSeen():
                return self._seen(event)
            case Replaced():
                return self._replaced(event)
            case BlockConnected():
                return self._connected(event)
            case MarketChanged():
                return self._market_changed(event)
            case TransactionsLeft():
                return self._left(event)
            case TransactionTold():
                return self._told(event)
            case ReplacementTold():
                return self._replacement_told(event)
            case ContentsTold():
                return self._contents_told(event)
            case WhalesWaiting():
                return self._whales_waiting(event)
            case NoAnswer():
                return self._not_answered(event)
            case GapFound():
                return self._gap_found(event)
            case Answered(_, question):
                self._questions.drop(question)
                return []
            case TimePassed():
                return []
            case _:
                assert_never(event)

    def review(self, at: UnixMicros) -> list[Effect]:
        """Correct a few of the signals that wait to be looked at again."""
        return self._amended(self._signalling.review(at))

    def give_up(self, at: UnixMicros, reason: str) -> list[Effect]:
        """Signal all that waits for prevouts: nothing more will be heard."""
        return [effect for txid in tuple(self._waiting) for effect in self._stop_waiting(txid, at, reason)]

    def _expire(self, now: UnixMicros) -> list[Effect]:
        """Signal what has waited long enough, dated at its deadline: a replay finds the same instant."""
        effects: list[Effect] = []
        while (deadline := self.next_deadline) is not None and deadline <= now:
            txid = next(iter(self._waiting))
            self.forecaster.note_time(deadline)
            effects += self._stop_waiting(txid, deadline, "they did not come within a second")
        return effects

    def _seen(self, event: TransactionSeen) -> list[Effect]:
        transaction = event.transaction
        prediction = self._predictions.get(transaction.txid)
        if prediction is not None:
            return self._predictions.announced_again(prediction, event.at)
        dropped = self._predictions.get_dropped(transaction.txid)
        if dropped is not None:
            return self._predictions.back(dropped, event.at)
        if transaction.is_coinbase or self._is_known(transaction.txid):
            return []
        self._settlement.take_sought(transaction.txid)
        return self._found(_Waiting(transaction, event.source, event.at))

    def _is_known(self, txid: Txid) -> bool:
        return txid in self._waiting or txid in self._predictions

    def _found(self, waiting: _Waiting) -> list[Effect]:
        """Signal a whale that is new. What spent its coins has been replaced by it, if nobody told us so."""
        effects: list[Effect] = []
        transaction, at = waiting.transaction, waiting.seen_at
        for rival in self._predictions.rivals_of(transaction):
            event = Replaced(at, waiting.source, rival.txid, transaction.txid, transaction)
            effects += self._replaced(event, waiting.sighting)
        return effects if self._is_known(transaction.txid) else [*effects, *self._announce(waiting)]

    def _announce(self, waiting: _Waiting) -> list[Effect]:
        transaction = waiting.transaction
        if transaction.has_all_prevouts:
            return self._raise(waiting, transaction, waiting.seen_at)
        self._waiting[transaction.txid] = waiting
        question = AboutTransaction(transaction.txid)
        self._questions.ask_now(question, waiting.seen_at)
        return [Ask(question)]

    def _raise(
        self, waiting: _Waiting, transaction: Transaction, at: UnixMicros, doubt: str | None = None
    ) -> list[Effect]:
        """Make the signal and follow it; if it continues a prediction, say that first.

        Args:
            waiting: when and by whom it was announced, and what it continues.
            transaction: resolved as far as it could be.
            at: when the signal is raised.
            doubt: why the prevouts are unknown, if they are.
        """
        before = waiting.predecessor
        effects: list[Effect] = []
        history: tuple[Version, ...] = ()
        detected_at = waiting.seen_at
        prediction_id = prediction_id_of(self._network, transaction.txid)
        if before is not None:
            prediction_id, detected_at = before.prediction_id, before.detected_at
            last = Version(before.txid, before.seen_at, before.fee_rate_sat_vb, waiting.change)
            history = (*before.history, last)
            self._late.pop(before.txid, None)
            effects.append(NoteSuccessor(at, prediction_id, before.txid, transaction.txid, waiting.change))
        announced = Announcement(
            prediction_id=prediction_id,
            history=history,
            detected_at=detected_at,
            seen_at=waiting.seen_at,
            known_since=detected_at if waiting.known_since is None else waiting.known_since,
            source=waiting.source,
            sighting=waiting.sighting,
            doubt=doubt,
        )
        signal, corrections = self._signalling.make(transaction, announced, at)
        self._predictions.follow(signal, before)
        return [*effects, RaiseSignal(at, signal), *self._amended(corrections)]

    def _stop_waiting(self, txid: Txid, at: UnixMicros, doubt: str) -> list[Effect]:
        """Signal what waits for prevouts without them; should they come yet, it is amended."""
        waiting = self._waiting.pop(txid, None)
        if waiting is None:
            return []
        effects = self._raise(waiting, waiting.transaction, at, doubt)
        self._late.update({e.signal.txid: e.signal for e in effects if isinstance(e, RaiseSignal)})
        if len(self._late) > _LATE_LIMIT:
            del self._late[next(iter(self._late))]
        return effects

    def _take_prevouts(self, event: TransactionTold) -> list[Effect]:
        """Take up what a signal waits for, or waited for in vain."""
        txid = event.transaction.txid
        waiting, signal = self._waiting.get(txid), self._late.get(txid)
        if waiting is not None:
            transaction = waiting.transaction
        elif signal is not None:
            transaction = signal.transaction
        else:
            return []
        if not event.transaction.has_all_prevouts:
            self._late.pop(txid, None)  # it was asked twice; a source without them is not asked for ever
            return self._stop_waiting(txid, event.at, _NO_PREVOUTS)
        prevouts = [i.prevout for i in event.transaction.inputs if i.prevout is not None]
        try:
            resolved = transaction.with_prevouts(prevouts)
        except ValueError as error:
            return self._stop_waiting(txid, event.at, str(error))
        if waiting is not None:
            del self._waiting[txid]
            return self._raise(waiting, resolved, event.at)
        del self._late[txid]
        if signal is None or self._predictions.get(txid) is None:
            return []
        return self._amended(self._signalling.amend(signal, resolved, event.at))

    def _amended(self, effects: list[Effect]) -> list[Effect]:
        return self._predictions.take_over(effects)

    def _market_changed(self, event: MarketChanged) -> list[Effect]:
        effects: list[Effect] = []
        for package in event.packages:
            for txid in package.ancestors:
                effects += self._rescued(txid, package.rate_sat_vb, event.at)
        self.forecaster.note_market(event.rates_sat_vb, event.weights_wu, event.projected, event.at)
        return effects

    def _rescued(self, txid: Txid, rate_sat_vb: FeeRate, at: UnixMicros) -> list[Effect]:
        prediction = self._predictions.get_open(txid)
        signal = None if prediction is None else self._signalling.remembered(prediction.prediction_id)
        if signal is None or signal.txid != txid:
            return []
        amendment = self._signalling.rescue(signal, rate_sat_vb, at)
        if amendment is None:
            return []
        if txid in self._late:
            self._late[txid] = amendment.signal
        return self._amended([amendment])

    # --- ends ----------------------------------------------------------------------------------------

    def _replaced(self, event: Replaced, sighting: Sighting = Sighting.ANNOUNCED) -> list[Effect]:
        effects = self._stop_waiting(event.txid, event.at, "it was replaced before they came")
        dropped = self._predictions.get_dropped(event.txid)
        if dropped is not None and event.by != event.txid:  # its answers were ahead of what it announces
            effects += self._predictions.back(dropped, event.at)
        prediction = self._predictions.get_open(event.txid)
        if prediction is None or event.by == event.txid or self._is_succeeded(event.txid):
            return effects  # it was no whale, is in a block, or an old pair repeats
        self.forecaster.note_gone(event.txid, is_replaced=True)
        successor, change = event.successor, None
        if successor is not None:
            signal = self._signalling.remembered(prediction.prediction_id)
            before = signal.transaction if signal is not None and signal.txid == event.txid else None
            own = own_scripts(successor, before, prediction.payees)
            change = change_of(prediction.payees, successor, own)
            is_next = event.is_whale and not self._is_known(event.by)
            if is_next and continues(prediction.payees, successor, own):
                waiting = _Waiting(successor, event.source, event.at, prediction, change, sighting)
                return effects + self._announce(waiting)
        self._late.pop(event.txid, None)
        end = self._predictions.finish(prediction, Status.REPLACED, event.at, by=event.by, change=change)
        return [*effects, end]

    def _is_succeeded(self, txid: Txid) -> bool:
        """Whether its successor is known and only waits for prevouts."""
        return any(w.predecessor is not None and w.predecessor.txid == txid for w in self._waiting.values())

    def _left(self, event: TransactionsLeft) -> list[Effect]:
        effects: list[Effect] = []
        for txid in event.txids:
            effects += self._stop_waiting(txid, event.at, "it left the mempool before they came")
            prediction = self._predictions.get(txid)
            if (
                prediction is not None
                and prediction.status is Status.PENDING
                and not self._is_succeeded(txid)
            ):
                effects += self._predictions.doubt(prediction, event.at)
                self.forecaster.note_gone(txid, is_replaced=False)
        return effects

    # --- blocks --------------------------------------------------------------------------------------

    def _connected(self, event: BlockConnected) -> list[Effect]:
        effects: list[Effect] = []
        self._chain.note_told(event)
        newest = self._chain.newest
        if not self._chain.is_known(event):
            stale, effects = self._chain.connect(event)
            if stale is not None:
                effects += self._predictions.undo(stale, event.at)
            if stale is not None or newest is None or event.height > newest:
                effects += self._learn(event)
        for txid in event.mined or ():
            effects += self._mined(txid, event.height, event.at)
        if newest is None or event.height >= newest:
            effects += self._tidy(event.height, event.at)
        return effects

    def _learn(self, event: BlockConnected) -> list[Effect]:
        effects: list[Effect] = []
        if self._waiting:  # what is signalled only now was forecast for this block
            for txid in event.mined or ():
                effects += self._stop_waiting(txid, event.at, "it was mined before they came")
        market = self.forecaster.market
        is_learned = self.forecaster.note_block(
            event.height,
            event.block_hash,
            event.at,
            found_at=event.found_at,
            profile=event.profile,
            mined=event.mined,
        )
        if is_learned and market is not None:
            effects.append(RecordMarket(event.at, market))
            effects.append(RecordModel(event.at, self.forecaster.state))
        return effects

    def _mined(self, txid: Txid, height: Height, at: UnixMicros) -> list[Effect]:
        effects = self._stop_waiting(txid, at, "it was mined before they came")
        effects += self._predictions.confirm(txid, height, at)
        confirmed = self._predictions.get(txid)
        if confirmed is None:
            return effects
        for successor, waiting in tuple(self._waiting.items()):  # what spends the same coins cannot come true
            before = waiting.predecessor
            if before is not None and before.prediction_id == confirmed.prediction_id:
                del self._waiting[successor]
                self._predictions.end(successor)
        if txid in self._late:
            self._questions.ask(AboutTransaction(txid), at)
        return effects

    def _tidy(self, tip: Height, at: UnixMicros) -> list[Effect]:
        """Let go of what no reorg will undo, and look after what is open for long."""
        self._predictions.forget_settled(self._chain.linked_to(tip))
        pending = [(p.txid, p.seen_at) for p in self.tracked if p.status is Status.PENDING]
        self._settlement.check(pending, at)
        return [
            self._predictions.drop(prediction, at)
            for prediction in self.tracked
            if prediction.status is Status.IN_DOUBT
            and not self._is_succeeded(prediction.txid)
            and at - prediction.seen_at > EXPIRY_MICROS
            and self._settlement.is_hopeless(prediction.txid, at)
        ]

    def _contents_told(self, event: ContentsTold) -> list[Effect]:
        height = self._chain.take_unread(event.block_hash)
        if height is None:
            return []
        unseen = [txid for txid in event.whales if not self._is_known(txid)]
        contents = RecordContents(event.at, height, event.block_hash, len(event.whales), len(unseen))
        self._chain.begin_reading(contents, event.whales)
        effects: list[Effect] = []
        for txid in event.txids:
            prediction = self._predictions.get(txid)
            if prediction is not None and (prediction.confirmation_height or 0) > height:
                continue  # a newer block has it: this one is of a branch that lost, as will be told
            if txid in self._waiting or self._predictions.is_of_interest(txid):
                effects += self._mined(txid, height, event.at)
        for txid in unseen:
            self._settlement.seek(txid, Sought(event.at, is_mined=True))
        return effects

    def _is_owed(self, txid: Txid) -> bool:
        """Whether a whale is still to be signalled."""
        return txid in self._waiting or self._settlement.is_sought(txid)

    # --- doubts --------------------------------------------------------------------------------------

    def _gap_found(self, event: GapFound) -> list[Effect]:
        effects: list[Effect] = [RecordGap(event)]
        if event.reason is GapReason.MALFORMED:  # of a frame only parts are missing then
            return effects
        self.forecaster.go_blind(event.started_at, event.at)
        for prediction in self.tracked:
            effects += self._predictions.doubt(prediction, event.at)
        self._chain.resume(event.at)
        return effects + self._settlement.resync(event.at)

    def _whales_waiting(self, event: WhalesWaiting) -> list[Effect]:
        effects: list[Effect] = []
        for whale in event.whales:
            prediction = self._predictions.get(whale.txid)
            if prediction is not None:
                effects += self._predictions.announced_again(prediction, event.at)
            elif not self._is_known(whale.txid):
                self._settlement.seek(whale.txid, Sought(event.at, whale.first_seen_at, whale.rate_sat_vb))
        return effects

    def _told(self, event: TransactionTold) -> list[Effect]:
        txid, place = event.transaction.txid, event.place
        self._questions.drop(AboutTransaction(txid))
        effects = self._take_prevouts(event)
        sighting = Sighting.LATE if place is None else Sighting.MINED
        sought = self._settlement.take_sought(txid)
        for predecessor in self._settlement.take_predecessors(txid):
            sought = sought or Sought(event.at)
            replacement = Replaced(
                event.at, event.source, predecessor, txid, event.transaction, is_whale=event.is_whale
            )
            effects += self._replaced(replacement, sighting)
        if sought is not None and event.is_whale and not self._is_known(txid):
            found = event.transaction
            if found.effective_fee_rate is None and sought.rate_sat_vb is not None:
                found = replace(found, effective_fee_rate=sought.rate_sat_vb)
            since = sought.first_seen_at
            effects += self._found(
                _Waiting(found, event.source, event.at, sighting=sighting, known_since=since)
            )
        effects += self._stop_waiting(txid, event.at, _NO_PREVOUTS)
        if place is None:
            return effects + self._told_unconfirmed(txid, event.at)
        if self._chain.contradicts(place):  # one of us is behind
            if self._predictions.get(txid) is not None:
                self._settlement.ask_later(txid, event.at)
            return effects
        self._chain.expect(place)
        return effects + self._mined(txid, place.height, event.at)

    def _told_unconfirmed(self, txid: Txid, at: UnixMicros) -> list[Effect]:
        dropped = self._predictions.get_dropped(txid)
        if dropped is not None:
            return self._predictions.back(dropped, at)
        prediction = self._predictions.get(txid)
        if prediction is None:
            return []
        if prediction.status is not Status.CONFIRMED:
            return self._predictions.announced_again(prediction, at)
        return self._predictions.back(prediction, at) if self._is_undone(txid, at) else []

    def _is_undone(self, txid: Txid, at: UnixMicros) -> bool:
        """Whether a source is believed that has a confirmed transaction in no block.

        Not one that is behind: after a failover it may not have heard of that block yet. Whatever undoes the
        block itself will be told by blocks.
        """
        since = self._settlement.doubted_since(txid)
        is_old = self._settlement.look_again(txid, at)
        return is_old and since is not None and self._chain.is_level_since(since)

    def _not_answered(self, event: NoAnswer) -> list[Effect]:
        question = event.question
        is_early = isinstance(question, AboutTransaction) and self._settlement.must_exist(
            question.txid, event.at
        )
        if event.is_unknown and not is_early:
            self._questions.drop(question)
        else:
            self._questions.fail(question, event.at)
        if is_early or not isinstance(question, AboutTransaction):
            return []
        effects = self._stop_waiting(question.txid, event.at, event.reason)
        return effects + self._unknown(question.txid, event.at) if event.is_unknown else effects

    def _unknown(self, txid: Txid, at: UnixMicros) -> list[Effect]:
        """Take note that a source knows no such transaction."""
        effects: list[Effect] = []
        self._settlement.take_sought(txid)
        for predecessor in self._settlement.take_predecessors(txid):
            effects += self._replaced(Replaced(at, _NOBODY, predecessor, txid, None, is_whale=False))
        prediction = self._predictions.get(txid)
        if prediction is None or self._is_succeeded(txid):
            return effects
        if prediction.status is Status.PENDING:
            return effects + self._predictions.doubt(prediction, at)
        if prediction.status is Status.CONFIRMED:
            if self._is_undone(txid, at):
                effects += self._predictions.back(prediction, at)
                pending = self._predictions.get(txid)
                assert pending is not None
                effects += self._predictions.doubt(pending, at)
        elif self._settlement.look_again(txid, at):
            self._questions.ask(AboutReplacement(txid), at)
        return effects

    def _replacement_told(self, event: ReplacementTold) -> list[Effect]:
        self._questions.drop(AboutReplacement(event.txid))
        prediction = self._predictions.get(event.txid)
        if prediction is None or prediction.status is not Status.IN_DOUBT or self._is_succeeded(event.txid):
            return []
        if event.by is not None and event.by != event.txid:
            self._settlement.seek_heir(event.by, event.txid, event.at)
            return []
        is_gone = self._settlement.is_decisive(event.txid, event.at)
        return [self._predictions.drop(prediction, event.at)] if is_gone else []
