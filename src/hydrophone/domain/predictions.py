"""The predictions we follow, and how each may begin, end and come back."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from hydrophone.domain.events import (
    AmendSignal,
    Effect,
    MarkDoubt,
    RecordOutcome,
    ReopenPrediction,
)
from hydrophone.domain.forecast import Forecaster
from hydrophone.domain.outcome import ALLOWED, OPEN, Outcome, Status
from hydrophone.domain.settlement import Settlement
from hydrophone.domain.signal import Change, Signal, Version
from hydrophone.domain.signalling import Signalling
from hydrophone.domain.transaction import Output, Transaction
from hydrophone.domain.units import MICROS_PER_S, FeeRate, Height, Txid, UnixMicros

REORG_DEPTH: Final = 6
"""Confirmed predictions are followed for so many blocks, in case a reorg undoes them.
# chosen: the deepest reorg of the last decade had four blocks (July 2015, BIP 66)."""
CLOSED_LIMIT: Final = 5_000
"""Replaced and dropped predictions that may come back. # chosen: more than a fortnight of them, 5 MB."""
EXPIRY_MICROS: Final = 14 * 86_400 * MICROS_PER_S
"""Sources: Bitcoin Core, DEFAULT_MEMPOOL_EXPIRY_HOURS = 336."""
_ENDED_LIMIT: Final = 50_000
"""# chosen: three weeks of whales at 2,200 a day; a mempool forgets after two (Core, -mempoolexpiry)."""


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
        status: where it stands.
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


class Predictions:
    """Everything that is followed, or ended lately.

    Args:
        forecaster: told what is gone and what is back.
        signalling: corrects signals, but not those of predictions that ended.
        settlement: asks about those in doubt.
    """

    def __init__(self, forecaster: Forecaster, signalling: Signalling, settlement: Settlement) -> None:
        self._forecaster = forecaster
        self._signalling = signalling
        self._settlement = settlement
        self._tracked: dict[Txid, TrackedPrediction] = {}
        self._closed: dict[Txid, TrackedPrediction] = {}
        self._ended: dict[Txid, None] = {}
        self._successors: dict[Txid, Txid] = {}

    def restore(
        self,
        tracked: Iterable[TrackedPrediction],
        ended: Iterable[Txid],
        closed: Iterable[TrackedPrediction],
    ) -> None:
        """Remember what was followed before a restart, oldest first each."""
        for prediction in tracked:
            self._tracked[prediction.txid] = prediction
            self._supersede(prediction.history, prediction.txid)
        for txid in ended:
            self.end(txid)
        for prediction in closed:
            self._close(prediction)
            self._supersede(prediction.history, prediction.txid)

    def __contains__(self, txid: object) -> bool:
        """Whether a transaction was signalled, or must not be any more."""
        return txid in self._tracked or txid in self._ended

    def is_of_interest(self, txid: Txid) -> bool:
        """Whether a block with it would tell us something."""
        return txid in self._tracked or txid in self._closed or txid in self._successors

    @property
    def tracked(self) -> tuple[TrackedPrediction, ...]:
        """Open and recently confirmed predictions."""
        return tuple(self._tracked.values())

    def get(self, txid: Txid) -> TrackedPrediction | None:
        """Return the open or recently confirmed prediction that follows a transaction."""
        return self._tracked.get(txid)

    def get_open(self, txid: Txid) -> TrackedPrediction | None:
        """Return the open prediction that follows a transaction."""
        prediction = self._tracked.get(txid)
        return prediction if prediction is not None and prediction.status in OPEN else None

    def rivals_of(self, transaction: Transaction) -> list[TrackedPrediction]:
        """Return the open predictions that cannot come true beside a transaction: it spends their coins."""
        signals = self._signalling.rivals_of(transaction)
        found = [(signal, self.get_open(signal.txid)) for signal in signals]
        return [open_ for signal, open_ in found if open_ and open_.prediction_id == signal.prediction_id]

    def get_dropped(self, txid: Txid) -> TrackedPrediction | None:
        """Return the prediction that ended as dropped lately."""
        closed = self._closed.get(txid)
        return closed if closed is not None and closed.status is Status.DROPPED else None

    def follow(self, signal: Signal, before: TrackedPrediction | None) -> None:
        """Follow a signal from now on, instead of the version before it."""
        if before is not None:
            self._stop_following(before.txid)
            self._supersede(signal.history, signal.txid)
        self._tracked[signal.txid] = TrackedPrediction(
            prediction_id=signal.prediction_id,
            txid=signal.txid,
            history=signal.history,
            detected_at=signal.detected_at,
            seen_at=signal.seen_at,
            fee_rate_sat_vb=signal.fee_rate_sat_vb,
            payees=signal.payees,
            status=Status.PENDING,
        )

    def take_over(self, effects: list[Effect]) -> list[Effect]:
        """Take note of what corrections say of predictions that are followed; return them."""
        for effect in effects:
            if isinstance(effect, AmendSignal):
                signal = effect.signal
                prediction = self._tracked.get(signal.txid)
                if prediction is not None:
                    self._tracked[signal.txid] = replace(
                        prediction, fee_rate_sat_vb=signal.fee_rate_sat_vb, payees=signal.payees
                    )
        return effects

    # --- transitions ---------------------------------------------------------------------------------

    def _move(self, prediction: TrackedPrediction, status: Status, height: Height | None = None) -> None:
        assert status in ALLOWED[prediction.status], (prediction.status, status)
        self._tracked[prediction.txid] = replace(prediction, status=status, confirmation_height=height)

    def doubt(self, prediction: TrackedPrediction, at: UnixMicros) -> list[Effect]:
        """Ask what became of a prediction; an open one is said to be in doubt."""
        self._settlement.doubt(prediction.txid, at)
        if prediction.status is not Status.PENDING:
            return []
        self._move(prediction, Status.IN_DOUBT)
        return [_mark(prediction, at, in_doubt=True)]

    def announced_again(self, prediction: TrackedPrediction, at: UnixMicros) -> list[Effect]:
        """Take note that a source has again what it had let go of.

        That it still announces a confirmed transaction says nothing: it may lag behind, or have started anew.
        Only blocks undo a confirmation.
        """
        if prediction.status is Status.CONFIRMED:
            return []
        self._settlement.settle(prediction.txid)
        if prediction.status is not Status.IN_DOUBT:
            return []
        self._move(prediction, Status.PENDING)
        self._forecaster.note_back(prediction.txid)
        return [_mark(prediction, at, in_doubt=False)]

    def back(self, prediction: TrackedPrediction, at: UnixMicros) -> list[Effect]:
        """Follow again what had ended: a reorg undid its block, or it is there after all."""
        self._closed.pop(prediction.txid, None)
        self._move(prediction, Status.PENDING)
        self._forecaster.note_back(prediction.txid)
        ended_as = prediction.status
        return [
            ReopenPrediction(
                at, prediction.prediction_id, prediction.txid, prediction.detected_at, ended_as=ended_as
            )
        ]

    def undo(self, stale: range, at: UnixMicros) -> list[Effect]:
        """Reopen what was confirmed in blocks that are gone, and ask what became of all that is open.

        A source is silent about what the new branch spends otherwise.

        Args:
            stale: heights of those blocks.
            at: when we knew.
        """
        reopened: list[Effect] = []
        for prediction in self.tracked:
            if prediction.confirmation_height is not None and prediction.confirmation_height in stale:
                reopened += self.back(prediction, at)
        for prediction in self._tracked.values():
            if prediction.status in OPEN:
                self._settlement.doubt(prediction.txid, at)
        return reopened

    def finish(
        self,
        prediction: TrackedPrediction,
        status: Status,
        at: UnixMicros,
        *,
        by: Txid | None = None,
        change: Change | None = None,
        reason: str | None = None,
    ) -> RecordOutcome:
        """End an open prediction that is in no block; it may come back.

        Args:
            prediction: which.
            status: replaced or dropped.
            at: when we heard.
            by: what replaced it.
            change: what that changed.
            reason: how we know, for people.
        """
        assert status in ALLOWED[prediction.status], (prediction.status, status)
        self._stop_following(prediction.txid)
        self._signalling.forget(prediction.prediction_id)
        self._close(replace(prediction, status=status))
        outcome = _outcome(prediction, status, at)
        return RecordOutcome(replace(outcome, replaced_by=by, change=change, reason=reason))

    def drop(self, prediction: TrackedPrediction, at: UnixMicros) -> RecordOutcome:
        """End a prediction whose transaction the source has no more."""
        is_old = at - prediction.seen_at >= EXPIRY_MICROS
        reason = "it expired" if is_old else "it was evicted, or is in conflict with another"
        return self.finish(
            prediction, Status.DROPPED, at, reason=f"the source has it no more: probably {reason}"
        )

    def confirm(self, txid: Txid, height: Height, at: UnixMicros) -> list[Effect]:
        """Take note that a block has a transaction; nothing follows where it is none of ours."""
        effects: list[Effect] = []
        closed = self._closed.get(txid) or self._closed.get(self._successors.get(txid, txid))
        if closed is not None:
            effects += self.back(closed, at)
        prediction = self._tracked.get(txid) or self._bring_back(txid)
        if prediction is None:
            return effects
        self._settlement.settle(txid)
        if prediction.confirmation_height == height:
            return effects
        if prediction.status is Status.CONFIRMED:  # mined again, elsewhere: its first block is stale
            effects += self.back(prediction, at)
            prediction = self._tracked[txid]
        self._move(prediction, Status.CONFIRMED, height)
        outcome = replace(_outcome(prediction, Status.CONFIRMED, at), confirmation_height=height)
        return [*effects, RecordOutcome(outcome)]

    def _bring_back(self, txid: Txid) -> TrackedPrediction | None:
        """Return the open prediction whose earlier version a miner preferred, now under that txid."""
        current = self._tracked.get(self._successors.get(txid, txid))
        if current is None or current.status not in OPEN:
            return None
        version = next(version for version in current.history if version.txid == txid)
        self._stop_following(current.txid)
        self._signalling.forget(current.prediction_id)  # what it holds is the version that lost
        self._tracked[txid] = replace(
            current, txid=txid, seen_at=version.seen_at, fee_rate_sat_vb=version.fee_rate_sat_vb
        )
        return self._tracked[txid]

    # --- memory --------------------------------------------------------------------------------------

    def forget_settled(self, tip: Height) -> None:
        """Let go of what no reorg will undo."""
        for prediction in self.tracked:
            height = prediction.confirmation_height
            if height is not None and height <= tip - REORG_DEPTH:
                self._stop_following(prediction.txid)

    def end(self, txid: Txid) -> None:
        """Let a transaction be signalled no more."""
        self._ended[txid] = None
        if len(self._ended) > _ENDED_LIMIT:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            self._successors.pop(oldest, None)

    def _stop_following(self, txid: Txid) -> None:
        del self._tracked[txid]
        self._settlement.forget(txid)
        self.end(txid)

    def _supersede(self, history: Iterable[Version], current: Txid) -> None:
        for version in history:
            self.end(version.txid)
            self._successors[version.txid] = current

    def _close(self, prediction: TrackedPrediction) -> None:
        self._closed.pop(prediction.txid, None)
        self._closed[prediction.txid] = prediction
        if len(self._closed) > CLOSED_LIMIT:
            del self._closed[next(iter(self._closed))]


def _outcome(prediction: TrackedPrediction, status: Status, at: UnixMicros) -> Outcome:
    return Outcome(
        prediction_id=prediction.prediction_id,
        txid=prediction.txid,
        status=status,
        ended_at=at,
        detected_at=prediction.detected_at,
        final_fee_rate_sat_vb=prediction.fee_rate_sat_vb,
    )


def _mark(prediction: TrackedPrediction, at: UnixMicros, *, in_doubt: bool) -> MarkDoubt:
    return MarkDoubt(at, prediction.prediction_id, prediction.txid, prediction.detected_at, in_doubt)
