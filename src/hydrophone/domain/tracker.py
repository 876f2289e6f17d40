"""The core: step(event) -> effects.

It follows each payment above the threshold from the first announcement to its outcome. It has no clock
and no I/O: what it cannot know it asks for by an effect, and the answer is an event like any other, so
every race is only an order of events. Repeated events are harmless.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, assert_never

from hydrophone.domain.chain import RecentChain
from hydrophone.domain.events import (
    AmendSignal,
    BlockConnected,
    Effect,
    Event,
    FetchPrevouts,
    GapFound,
    GapReason,
    KeepLearned,
    MarkDoubt,
    MarketChanged,
    NoteSuccessor,
    PrevoutsResolved,
    PrevoutsUnavailable,
    RaiseSignal,
    RecordGap,
    RecordMarket,
    RecordModel,
    RecordOutcome,
    ReopenPrediction,
    Replaced,
    Source,
    TimePassed,
    TransactionSeen,
    TransactionsLeft,
)
from hydrophone.domain.flow import FlowAssessment, classify_flow
from hydrophone.domain.forecast import Forecaster
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.learned_labels import KnownLabels, LearnedLabel
from hydrophone.domain.learning import Learner
from hydrophone.domain.outcome import ALLOWED, OPEN, Outcome, Status
from hydrophone.domain.payees import continues, payees_of
from hydrophone.domain.prospects import Prospects
from hydrophone.domain.revision import SignalMemory
from hydrophone.domain.script import Network
from hydrophone.domain.signal import Signal, Version, prediction_id_of
from hydrophone.domain.transaction import Output, Transaction
from hydrophone.domain.units import MICROS_PER_S, FeeRate, Height, Txid, UnixMicros
from hydrophone.domain.urgency import UrgencyBasis

PREVOUT_PATIENCE_MICROS: Final = 1 * MICROS_PER_S
"""How long a signal waits for what its transaction spends.
# chosen: an alert is wanted within a second; an amendment may follow."""
REORG_DEPTH: Final = 6
"""Confirmed predictions are followed for so many blocks, in case a reorg undoes them.
# chosen: the deepest reorg of the last decade had four blocks (July 2015, BIP 66)."""
_ENDED_LIMIT: Final = 50_000
"""# chosen: three weeks of whales at 2,200 a day; a mempool forgets after two (Core, -mempoolexpiry)."""
_LATE_LIMIT: Final = 1_000
"""# chosen: more signals than this never wait for late prevouts at once."""
_REVIEWED_AT_ONCE: Final = 20
"""# chosen: 3 ms; after a change of labels a day's signals are through within minutes."""


@dataclass(frozen=True, slots=True)
class TrackedPrediction:
    """What the core remembers of a prediction it follows; restored from the store after a restart.

    Attributes:
        prediction_id: its id.
        txid: the current transaction of the payment.
        history: earlier versions, oldest first.
        detected_at: when the first version was announced.
        seen_at: when the current version was announced.
        fee_rate_sat_vb: of the current version.
        payees: outputs that are probably not change.
        status: pending, in_doubt or confirmed.
        confirmation_height: of its block when confirmed.
    """

    prediction_id: str
    txid: Txid
    history: tuple[Version, ...]
    detected_at: UnixMicros
    seen_at: UnixMicros
    fee_rate_sat_vb: FeeRate | None
    payees: tuple[Output, ...]
    status: Status
    confirmation_height: Height | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A whale whose prevouts we asked for."""

    transaction: Transaction
    source: Source
    seen_at: UnixMicros
    predecessor: TrackedPrediction | None

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
        self._book = book
        self._use(KnownLabels(book))
        self._memory = SignalMemory()
        self.forecaster = Forecaster() if forecaster is None else forecaster
        self._prospects = Prospects(self.forecaster)
        self._tracked: dict[Txid, TrackedPrediction] = {}
        self._waiting: dict[Txid, _Waiting] = {}
        self._late: dict[Txid, Signal] = {}
        self._ended: dict[Txid, None] = {}
        self._successors: dict[Txid, Txid] = {}
        self._chain = RecentChain()

    def _use(self, labels: KnownLabels) -> None:
        self.labels = labels
        self._learner = Learner(labels)

    @property
    def tracked(self) -> tuple[TrackedPrediction, ...]:
        """Open and recently confirmed predictions."""
        return tuple(self._tracked.values())

    @property
    def has_revisions(self) -> bool:
        """Whether signals wait to be looked at again: each event lets a few more be."""
        return self._memory.has_doubtful

    @property
    def next_deadline(self) -> UnixMicros | None:
        """When `TimePassed` is wanted, if nothing else happens until then."""
        return next((waiting.deadline for waiting in self._waiting.values()), None)

    def restore(
        self,
        tracked: Iterable[TrackedPrediction],
        ended: Iterable[Txid],
        *,
        signals: Iterable[Signal] = (),
        learned: Iterable[LearnedLabel] = (),
    ) -> None:
        """Remember what was followed before a restart.

        Args:
            tracked: open and recently confirmed predictions.
            ended: txids that must not be signalled again, oldest first.
            signals: that may still be corrected, oldest first. They are looked at again: labels may be others
                now, and what was learned last may not have been told to all of them.
            learned: what was learned about scripts, oldest first; what follows from a claim that nobody makes
                any more is not believed any more.
        """
        origins = self._book.origins()
        self._use(KnownLabels(self._book, [label for label in learned if label.origin in origins]))
        for signal in signals:
            self._memory.remember(signal)
        self._memory.doubt_all(f"read again with label set {self._book.version}")
        for prediction in tracked:
            self._tracked[prediction.txid] = prediction
            self._supersede(prediction.history, prediction.txid)
        for txid in ended:
            self._end(txid)

    def step(self, event: Event) -> list[Effect]:
        """Take a fact in, give wishes out."""
        effects = self._expire(event.at) + self._review(event.at)
        self.forecaster.note_time(event.at)
        match event:
            case TransactionSeen():
                effects += self._seen(event)
            case Replaced():
                effects += self._replaced(event)
            case BlockConnected():
                effects += self._connected(event)
            case MarketChanged():
                effects += self._market_changed(event)
            case TransactionsLeft():
                effects += self._left(event)
            case PrevoutsResolved():
                effects += self._resolved(event)
            case PrevoutsUnavailable(at, txid, reason):
                effects += self._stop_waiting(txid, at, reason)
                self._late.pop(txid, None)
            case GapFound():
                effects += self._gap_found(event)
            case TimePassed():
                pass
            case _:
                assert_never(event)
        return effects

    def give_up(self, at: UnixMicros, reason: str) -> list[Effect]:
        """Signal all that waits for prevouts: nothing more will be heard."""
        return [effect for txid in tuple(self._waiting) for effect in self._stop_waiting(txid, at, reason)]

    def _gap_found(self, event: GapFound) -> list[Effect]:
        if event.reason is not GapReason.MALFORMED:  # of a frame only parts are missing then
            self.forecaster.go_blind(event.started_at, event.at)
        return [RecordGap(event)]

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
        prediction = self._tracked.get(transaction.txid)
        if prediction is not None:
            return self._announced_again(prediction, event.at)
        if transaction.txid in self._ended or transaction.txid in self._waiting or transaction.is_coinbase:
            return []
        return self._announce(_Waiting(transaction, event.source, event.at, None))

    def _announce(self, waiting: _Waiting) -> list[Effect]:
        transaction = waiting.transaction
        if transaction.has_all_prevouts:
            return self._raise(waiting, transaction, waiting.seen_at)
        self._waiting[transaction.txid] = waiting
        return [FetchPrevouts(transaction.txid)]

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
            history = (*before.history, Version(before.txid, before.seen_at, before.fee_rate_sat_vb))
            self._stop_following(before.txid)
            self._supersede(history, transaction.txid)
            effects.append(NoteSuccessor(at, prediction_id, before.txid, transaction.txid))
        flow, learned = self._classify(transaction, at, prediction_id)
        if doubt is not None:
            flow = replace(flow, reason=f"{flow.reason}; {doubt}")
        fee_rate = transaction.fee_rate
        forecast = self._prospects.forecast(transaction, waiting.seen_at, detected_at, len(history))
        signal = Signal(
            prediction_id=prediction_id,
            txid=transaction.txid,
            history=history,
            transaction=transaction,
            flow=flow,
            gross_sat=transaction.gross_sat,
            fee_sat=transaction.fee_sat,
            weight_wu=transaction.weight_wu,
            fee_rate_sat_vb=fee_rate,
            effective_fee_rate_sat_vb=transaction.effective_fee_rate,
            urgency_score=None if forecast is None else forecast.urgency.score,
            urgency_basis=UrgencyBasis.FALLBACK_CURVE if forecast is None else forecast.urgency.basis,
            rbf_enabled=transaction.signals_rbf,
            detected_at=detected_at,
            seen_at=waiting.seen_at,
            payees=payees_of(transaction, flow),
            source=waiting.source.name,
            is_simulated=waiting.source.is_simulated,
            label_set=self._book.version,
            forecast=forecast,
        )
        self._tracked[signal.txid] = TrackedPrediction(
            prediction_id=prediction_id,
            txid=signal.txid,
            history=history,
            detected_at=detected_at,
            seen_at=signal.seen_at,
            fee_rate_sat_vb=fee_rate,
            payees=signal.payees,
            status=Status.PENDING,
        )
        self._memory.remember(signal)
        return [*effects, RaiseSignal(at, signal), *self._spread(learned, at, besides=signal.prediction_id)]

    def _classify(
        self, transaction: Transaction, at: UnixMicros, payment: str
    ) -> tuple[FlowAssessment, tuple[LearnedLabel, ...]]:
        """Return what is said of a transaction, and what it teaches."""
        flow = self._assess(transaction)
        learned = self._learner.observe(transaction, flow, at, payment=payment)
        return (self._assess(transaction) if learned else flow), learned

    def _assess(self, transaction: Transaction) -> FlowAssessment:
        return classify_flow(transaction, self.labels.besides(transaction.txid))

    def _spread(self, learned: tuple[LearnedLabel, ...], at: UnixMicros, *, besides: str) -> list[Effect]:
        """Keep what was learned, and look again at the signals it touches."""
        if not learned:
            return []
        reason = f"{learned[0].citation} showed whose a script is"
        self._memory.doubt([label.script for label in learned], reason, besides=besides)
        return [KeepLearned(at, learned), *self._review(at)]

    def _review(self, at: UnixMicros) -> list[Effect]:
        """Look again at signals that may read differently now, a few at a time."""
        return [
            effect
            for signal, reason in self._memory.take_doubtful(_REVIEWED_AT_ONCE)
            for effect in self._reassess(signal, at, reason)
        ]

    def _reassess(self, signal: Signal, at: UnixMicros, reason: str) -> list[Effect]:
        """Return the correction of a signal if what subscribers act on has changed."""
        flow = self._assess(signal.transaction)
        if flow.gist == signal.flow.gist:
            return []
        return [self._correct(replace(signal, flow=flow, label_set=self._book.version), at, reason)]

    def _correct(self, signal: Signal, at: UnixMicros, reason: str) -> AmendSignal:
        signal = replace(signal, payees=payees_of(signal.transaction, signal.flow))
        prediction = self._tracked.get(signal.txid)
        if prediction is not None:
            self._tracked[signal.txid] = replace(
                prediction, fee_rate_sat_vb=signal.fee_rate_sat_vb, payees=signal.payees
            )
        self._memory.remember(signal)
        return AmendSignal(at, signal, reason)

    def _market_changed(self, event: MarketChanged) -> list[Effect]:
        effects: list[Effect] = []
        for package in event.packages:
            for txid in package.ancestors:
                effects += self._rescued(txid, package.rate_sat_vb, event.at)
        self.forecaster.note_market(event.rates_sat_vb, event.weights_wu, event.projected, event.at)
        return effects

    def _rescued(self, txid: Txid, rate_sat_vb: FeeRate, at: UnixMicros) -> list[Effect]:
        prediction = self._tracked.get(txid)
        if prediction is None or prediction.status not in OPEN:
            return []
        signal = self._memory.get(prediction.prediction_id)
        amended = None if signal is None else self._prospects.rescued(signal, rate_sat_vb, at)
        if amended is None or amended.txid != txid:
            return []
        if txid in self._late:
            self._late[txid] = amended
        return [self._correct(amended, at, f"a child pays for it: {rate_sat_vb:.2f} sat/vB together")]

    def _announced_again(self, prediction: TrackedPrediction, at: UnixMicros) -> list[Effect]:
        """Take note that a source has again what it had let go of.

        That it still announces a confirmed transaction says nothing: it may lag behind, or have started anew.
        Only blocks undo a confirmation.
        """
        if prediction.status is not Status.IN_DOUBT:
            return []
        self._move(prediction, Status.PENDING)
        self.forecaster.note_back(prediction.txid)
        return [_doubt(prediction, at, in_doubt=False)]

    def _reopen(self, prediction: TrackedPrediction, at: UnixMicros) -> ReopenPrediction:
        self._move(prediction, Status.PENDING)
        self.forecaster.note_back(prediction.txid)
        return ReopenPrediction(at, prediction.prediction_id, prediction.txid, prediction.detected_at)

    def _move(self, prediction: TrackedPrediction, status: Status, height: Height | None = None) -> None:
        assert status in ALLOWED[prediction.status], (prediction.status, status)
        self._tracked[prediction.txid] = replace(prediction, status=status, confirmation_height=height)

    def _replaced(self, event: Replaced) -> list[Effect]:
        effects = self._stop_waiting(event.txid, event.at, "it was replaced before they came")
        prediction = self._tracked.get(event.txid)
        if prediction is None or prediction.status not in OPEN or self._is_succeeded(event.txid):
            return effects  # it was no whale, is in a block, or an old pair repeats
        self.forecaster.note_gone(event.txid, is_replaced=True)
        is_free = (
            event.by not in self._tracked and event.by not in self._waiting and event.by not in self._ended
        )
        if event.successor is not None and is_free and continues(prediction.payees, event.successor):
            return effects + self._announce(_Waiting(event.successor, event.source, event.at, prediction))
        if event.by != event.txid:
            self._stop_following(event.txid)
            self._memory.forget(prediction.prediction_id)
            effects.append(
                RecordOutcome(_outcome(prediction, Status.REPLACED, event.at, replaced_by=event.by))
            )
        return effects

    def _connected(self, event: BlockConnected) -> list[Effect]:
        effects: list[Effect] = []
        stale = self._chain.connect(event.height, event.block_hash, event.previous_hash)
        if stale is not None:
            effects += [
                self._reopen(prediction, event.at)
                for prediction in self.tracked
                if prediction.confirmation_height is not None and prediction.confirmation_height >= stale
            ]
        if self._waiting:  # what is signalled only now was forecast for this block
            for txid in event.mined:
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
        for txid in event.mined:
            effects += self._mined(txid, event)
        self._forget_settled(event.height)
        return effects

    def _mined(self, txid: Txid, event: BlockConnected) -> list[Effect]:
        effects = self._stop_waiting(txid, event.at, "it was mined before they came")
        prediction = self._tracked.get(txid) or self._bring_back(txid)
        if prediction is None or prediction.confirmation_height == event.height:
            return effects
        if prediction.status is Status.CONFIRMED:  # mined again, elsewhere: its first block is stale
            effects.append(self._reopen(prediction, event.at))
            prediction = self._tracked[txid]
        self._move(prediction, Status.CONFIRMED, event.height)
        for successor, waiting in tuple(self._waiting.items()):  # what spends the same coins cannot come true
            before = waiting.predecessor
            if before is not None and before.prediction_id == prediction.prediction_id:
                del self._waiting[successor]
                self._end(successor)
        outcome = _outcome(prediction, Status.CONFIRMED, event.at, confirmation_height=event.height)
        return [*effects, RecordOutcome(outcome)]

    def _bring_back(self, txid: Txid) -> TrackedPrediction | None:
        """Return the open prediction whose earlier version a miner preferred, now under that txid."""
        current = self._tracked.get(self._successors.get(txid, txid))
        if current is None or current.status not in OPEN:
            return None
        version = next(version for version in current.history if version.txid == txid)
        self._stop_following(current.txid)
        self._memory.forget(current.prediction_id)  # what it holds is the version that lost
        self._tracked[txid] = replace(
            current, txid=txid, seen_at=version.seen_at, fee_rate_sat_vb=version.fee_rate_sat_vb
        )
        return self._tracked[txid]

    def _forget_settled(self, tip: Height) -> None:
        settled = [
            prediction.txid
            for prediction in self._tracked.values()
            if prediction.confirmation_height is not None
            and prediction.confirmation_height <= tip - REORG_DEPTH
        ]
        for txid in settled:
            self._stop_following(txid)

    def _left(self, event: TransactionsLeft) -> list[Effect]:
        effects: list[Effect] = []
        for txid in event.txids:
            effects += self._stop_waiting(txid, event.at, "it left the mempool before they came")
            prediction = self._tracked.get(txid)
            if (
                prediction is not None
                and prediction.status is Status.PENDING
                and not self._is_succeeded(txid)
            ):
                self._move(prediction, Status.IN_DOUBT)
                self.forecaster.note_gone(txid, is_replaced=False)
                effects.append(_doubt(prediction, event.at, in_doubt=True))
        return effects

    def _resolved(self, event: PrevoutsResolved) -> list[Effect]:
        waiting, signal = self._waiting.get(event.txid), self._late.pop(event.txid, None)
        if waiting is not None:
            transaction = waiting.transaction
        elif signal is not None:
            transaction = signal.transaction
        else:
            return []
        try:
            resolved = transaction.with_prevouts(event.prevouts)
        except ValueError as error:
            return self._stop_waiting(event.txid, event.at, str(error))
        if waiting is not None:
            del self._waiting[event.txid]
            return self._raise(waiting, resolved, event.at)
        assert signal is not None
        return self._amend(signal, resolved, event.at)

    def _amend(self, signal: Signal, resolved: Transaction, at: UnixMicros) -> list[Effect]:
        if signal.txid not in self._tracked:
            return []
        flow, learned = self._classify(resolved, at, signal.prediction_id)
        fee_rate, forecast = resolved.fee_rate, signal.forecast
        if forecast is None:
            forecast = self._prospects.forecast(resolved, at, signal.detected_at, len(signal.history))
        amended = replace(
            signal,
            transaction=resolved,
            flow=flow,
            fee_sat=resolved.fee_sat,
            fee_rate_sat_vb=fee_rate,
            urgency_score=None if forecast is None else forecast.urgency.score,
            urgency_basis=signal.urgency_basis if forecast is None else forecast.urgency.basis,
            forecast=forecast,
        )
        return [
            self._correct(amended, at, "what it spends became known after it was signalled"),
            *self._spread(learned, at, besides=signal.prediction_id),
        ]

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

    def _is_succeeded(self, txid: Txid) -> bool:
        """Whether its successor is known and only waits for prevouts."""
        return any(w.predecessor is not None and w.predecessor.txid == txid for w in self._waiting.values())

    def _stop_following(self, txid: Txid) -> None:
        del self._tracked[txid]
        self._late.pop(txid, None)
        self._end(txid)

    def _supersede(self, history: Iterable[Version], current: Txid) -> None:
        for version in history:
            self._end(version.txid)
            self._successors[version.txid] = current

    def _end(self, txid: Txid) -> None:
        self._ended[txid] = None
        if len(self._ended) > _ENDED_LIMIT:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            self._successors.pop(oldest, None)


def _outcome(
    prediction: TrackedPrediction,
    status: Status,
    at: UnixMicros,
    *,
    confirmation_height: Height | None = None,
    replaced_by: Txid | None = None,
) -> Outcome:
    return Outcome(
        prediction_id=prediction.prediction_id,
        txid=prediction.txid,
        status=status,
        ended_at=at,
        detected_at=prediction.detected_at,
        confirmation_height=confirmation_height,
        replaced_by=replaced_by,
        final_fee_rate_sat_vb=prediction.fee_rate_sat_vb,
    )


def _doubt(prediction: TrackedPrediction, at: UnixMicros, *, in_doubt: bool) -> MarkDoubt:
    return MarkDoubt(at, prediction.prediction_id, prediction.txid, prediction.detected_at, in_doubt)
