"""What is said of a whale: its signal, and its corrections as more becomes known."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from hydrophone.domain.events import AmendSignal, Effect, KeepLearned, Source
from hydrophone.domain.flow import FlowAssessment, classify_flow
from hydrophone.domain.forecast import Forecaster
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.learned_labels import KnownLabels, LearnedLabel
from hydrophone.domain.learning import Learner
from hydrophone.domain.payees import payees_of
from hydrophone.domain.prospects import Prospects
from hydrophone.domain.revision import SignalMemory
from hydrophone.domain.signal import Sighting, Signal, Version
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import FeeRate, UnixMicros
from hydrophone.domain.urgency import UrgencyBasis

_REVIEWED_AT_ONCE: Final = 20
"""# chosen: 3 ms; after a change of labels a day's signals are through within minutes."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What makes a signal, besides the transaction.

    Attributes:
        prediction_id: of the payment.
        history: earlier versions, oldest first.
        detected_at: when the payment was announced to us.
        seen_at: when this version was.
        known_since: since when it waited, as far as anybody says.
        source: who announced it.
        sighting: how we came to know of it.
        doubt: why its prevouts are unknown, if they are.
    """

    prediction_id: str
    history: tuple[Version, ...]
    detected_at: UnixMicros
    seen_at: UnixMicros
    known_since: UnixMicros
    source: Source
    sighting: Sighting = Sighting.ANNOUNCED
    doubt: str | None = None


class Signalling:
    """Makes signals, and keeps the newest to correct them.

    Args:
        book: labels to classify by.
        forecaster: says when transactions confirm.
    """

    def __init__(self, book: LabelBook, forecaster: Forecaster) -> None:
        self._book = book
        self._use(KnownLabels(book))
        self._memory = SignalMemory()
        self._prospects = Prospects(forecaster)

    def _use(self, labels: KnownLabels) -> None:
        self.labels = labels
        self._learner = Learner(labels)

    @property
    def has_revisions(self) -> bool:
        """Whether signals wait to be looked at again."""
        return self._memory.has_doubtful

    def restore(self, signals: Iterable[Signal], learned: Iterable[LearnedLabel]) -> None:
        """Remember what was said and learned before a restart; look at all of it again."""
        origins = self._book.origins()
        self._use(KnownLabels(self._book, [label for label in learned if label.origin in origins]))
        for signal in signals:
            self._memory.remember(signal)
        self._memory.doubt_all(f"read again with label set {self._book.version}")

    def remembered(self, prediction_id: str) -> Signal | None:
        """Return the newest signal of a prediction; None when it is not kept."""
        return self._memory.get(prediction_id)

    def rivals_of(self, transaction: Transaction) -> list[Signal]:
        """Return the signals of other transactions that spend a coin of this one."""
        return self._memory.rivals_of(transaction)

    def forget(self, prediction_id: str) -> None:
        """Correct it no more: it was replaced, or what is kept is a version that lost."""
        self._memory.forget(prediction_id)

    def make(
        self, transaction: Transaction, announced: Announcement, at: UnixMicros
    ) -> tuple[Signal, list[Effect]]:
        """Return the signal of a transaction, and what follows from what it teaches.

        Args:
            transaction: resolved as far as it could be.
            announced: what is known of it.
            at: when the signal is raised.
        """
        flow, learned = self._classify(transaction, at, announced.prediction_id)
        if announced.doubt is not None:
            flow = replace(flow, reason=f"{flow.reason}; {announced.doubt}")
        is_waiting = announced.sighting is not Sighting.MINED
        forecast = (
            self._prospects.forecast(
                transaction, announced.seen_at, announced.known_since, len(announced.history)
            )
            if is_waiting
            else None
        )
        signal = Signal(
            prediction_id=announced.prediction_id,
            txid=transaction.txid,
            history=announced.history,
            transaction=transaction,
            flow=flow,
            gross_sat=transaction.gross_sat,
            fee_sat=transaction.fee_sat,
            weight_wu=transaction.weight_wu,
            fee_rate_sat_vb=transaction.fee_rate,
            effective_fee_rate_sat_vb=transaction.effective_fee_rate,
            urgency_score=None if forecast is None else forecast.urgency.score,
            urgency_basis=UrgencyBasis.FALLBACK_CURVE if forecast is None else forecast.urgency.basis,
            rbf_enabled=transaction.signals_rbf,
            detected_at=announced.detected_at,
            seen_at=announced.seen_at,
            payees=payees_of(transaction, flow),
            source=announced.source.name,
            is_simulated=announced.source.is_simulated,
            label_set=self._book.version,
            forecast=forecast,
            sighting=announced.sighting,
        )
        self._memory.remember(signal)
        return signal, self._spread(learned, at, besides=signal.prediction_id)

    def amend(self, signal: Signal, resolved: Transaction, at: UnixMicros) -> list[Effect]:
        """Correct a signal whose prevouts became known after it was raised."""
        flow, learned = self._classify(resolved, at, signal.prediction_id)
        forecast = signal.forecast
        if forecast is None and signal.sighting is not Sighting.MINED:
            forecast = self._prospects.forecast(resolved, at, signal.detected_at, len(signal.history))
        amended = replace(
            signal,
            transaction=resolved,
            flow=flow,
            payees=payees_of(resolved, flow),
            fee_sat=resolved.fee_sat,
            fee_rate_sat_vb=resolved.fee_rate,
            urgency_score=None if forecast is None else forecast.urgency.score,
            urgency_basis=signal.urgency_basis if forecast is None else forecast.urgency.basis,
            forecast=forecast,
        )
        return [
            self._correct(amended, at, "what it spends became known after it was signalled"),
            *self._spread(learned, at, besides=signal.prediction_id),
        ]

    def rescue(self, signal: Signal, rate_sat_vb: FeeRate, at: UnixMicros) -> AmendSignal | None:
        """Correct a signal whose transaction a child pays for now; None: it does not gain by it."""
        amended = self._prospects.rescued(signal, rate_sat_vb, at)
        if amended is None:
            return None
        return self._correct(amended, at, f"a child pays for it: {rate_sat_vb:.2f} sat/vB together")

    def review(self, at: UnixMicros) -> list[Effect]:
        """Look again at signals that may read differently now, a few at a time."""
        return [
            effect
            for signal, reason in self._memory.take_doubtful(_REVIEWED_AT_ONCE)
            for effect in self._reassess(signal, at, reason)
        ]

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
        return [KeepLearned(at, learned), *self.review(at)]

    def _reassess(self, signal: Signal, at: UnixMicros, reason: str) -> list[Effect]:
        """Return the correction of a signal if what subscribers act on has changed."""
        flow = self._assess(signal.transaction)
        if flow.gist == signal.flow.gist:
            return []
        payees = payees_of(signal.transaction, flow)
        return [
            self._correct(replace(signal, flow=flow, payees=payees, label_set=self._book.version), at, reason)
        ]

    def _correct(self, signal: Signal, at: UnixMicros, reason: str) -> AmendSignal:
        self._memory.remember(signal)
        return AmendSignal(at, signal, reason)
