"""A store in memory that keeps the same promises as the real one, and the signals that tests store."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import assert_never

from hydrophone.domain.events import (
    AmendSignal,
    Ask,
    Effect,
    GapFound,
    KeepLearned,
    MarkDoubt,
    NoteSuccessor,
    RaiseSignal,
    RecordBlock,
    RecordContents,
    RecordGap,
    RecordMarket,
    RecordModel,
    RecordOutcome,
    ReopenPrediction,
)
from hydrophone.domain.feemarket import FeeMarket
from hydrophone.domain.flow import EntityFlow, FlowAssessment, FlowType, FlowValues
from hydrophone.domain.flow_values import Ledger
from hydrophone.domain.learned_labels import LearnedLabel
from hydrophone.domain.model_state import ModelState
from hydrophone.domain.outcome import OPEN, Outcome, Status
from hydrophone.domain.predictions import TrackedPrediction
from hydrophone.domain.record import GENESIS, next_entry
from hydrophone.domain.script import Network
from hydrophone.domain.settlement import KnownBlock
from hydrophone.domain.signal import Signal, Version, prediction_id_of
from hydrophone.domain.transaction import Input, OutPoint, Output, Transaction
from hydrophone.domain.units import MICROS_PER_S, FeeRate, Height, Sats, Txid, UnixMicros, WeightUnits
from hydrophone.domain.urgency import UrgencyBasis
from hydrophone.errors import StoreError
from hydrophone.pipeline.ports import Entry, Handover, Publication, SavedState, StoreStatus
from hydrophone.store.rows import describe_effect

T0 = UnixMicros(1_795_337_462_099_989)
"""2026-11-22T08:51:02.099989Z."""
DAY = 86_400 * MICROS_PER_S


NOTHING = Ledger(Sats(0), Sats(0), Sats(0))
RECEIVED = Ledger(Sats(0), Sats(9_876_543_121), Sats(0))


def later(seconds: float, start: UnixMicros = T0) -> UnixMicros:
    return UnixMicros(start + int(seconds * MICROS_PER_S))


def txid(number: int) -> Txid:
    return Txid(f"{number:064x}")


def transaction(number: int, payee: Output) -> Transaction:
    """Return what the signal of that number is about."""
    spent = Output(bytes.fromhex("0014") + b"\x05" * 20, Sats(12_445_680_311))
    return Transaction(
        txid(number),
        (Input(OutPoint(txid(0xF00D), 1), 0xFFFFFFFD, spent),),
        (payee, Output(bytes.fromhex("0014") + b"\x06" * 20, Sats(100_000_000))),
        WeightUnits(561),
        Sats(1_410),
    )


def whale(number: int = 1, *, detected_at: UnixMicros = T0) -> Signal:
    """Return a signal; another number is another transaction."""
    payee = Output(bytes.fromhex("0014") + number.to_bytes(20, "big"), Sats(12_345_678_901))
    return Signal(
        prediction_id=prediction_id_of(Network.REGTEST, txid(number)),
        txid=txid(number),
        history=(),
        transaction=transaction(number, payee),
        flow=FlowAssessment(
            flow_type=FlowType.INFLOW,
            subtype=None,
            probabilities={
                FlowType.INFLOW: 0.8,
                FlowType.OUTFLOW: 0.0,
                FlowType.INTERNAL: 0.05,
                FlowType.UNKNOWN: 0.15,
            },
            values=FlowValues(Sats(9_876_543_121), Sats(0), Sats(617_283_945), Sats(0), Sats(1_851_851_835)),
            moved_sat=Sats(11_728_394_956),
            change=(0.0, 0.9),
            entities=(EntityFlow("Exchange é", sent=NOTHING, received=RECEIVED),),
            exchange_scripts=(payee.script,),
            sender=None,
            receiver="Exchange é",
            reason=None,
        ),
        gross_sat=Sats(12_445_678_901),
        fee_sat=Sats(1_410),
        weight_wu=WeightUnits(561),
        fee_rate_sat_vb=FeeRate(1_410 * 4 / 561),
        effective_fee_rate_sat_vb=None,
        urgency_score=0.2 + 1 / 30,
        urgency_basis=UrgencyBasis.FALLBACK_CURVE,
        rbf_enabled=True,
        detected_at=detected_at,
        seen_at=detected_at,
        payees=(payee,),
        source="mempool.space",
        is_simulated=True,
        label_set="0123456789abcdef",
    )


def as_restored(signal: Signal) -> Signal:
    """Return a signal as it comes back: what it rested on is worked out anew when it is needed."""
    flow = replace(signal.flow, change=(), exchange_scripts=(), sender=None, receiver=None, evidence=None)
    return replace(signal, flow=flow)


def bumped(signal: Signal, number: int, *, seen_at: UnixMicros) -> Signal:
    """Return the version of a payment that replaces it with a higher fee."""
    return replace(
        signal,
        txid=txid(number),
        transaction=replace(signal.transaction, txid=txid(number)),
        history=(*signal.history, Version(signal.txid, signal.seen_at, signal.fee_rate_sat_vb)),
        fee_sat=Sats(2 * (signal.fee_sat or 0)),
        fee_rate_sat_vb=FeeRate(2 * (signal.fee_rate_sat_vb or 0.0)),
        urgency_score=0.5,
        seen_at=seen_at,
    )


def outcome_of(signal: Signal, status: Status, *, ended_at: UnixMicros, height: int = 970_000) -> Outcome:
    return Outcome(
        prediction_id=signal.prediction_id,
        txid=signal.txid,
        status=status,
        ended_at=ended_at,
        detected_at=signal.detected_at,
        confirmation_height=Height(height) if status is Status.CONFIRMED else None,
        replaced_by=txid(0xBEEF) if status is Status.REPLACED else None,
        final_fee_rate_sat_vb=signal.fee_rate_sat_vb,
    )


def reopening_of(signal: Signal, at: UnixMicros) -> ReopenPrediction:
    return ReopenPrediction(at, signal.prediction_id, signal.txid, signal.detected_at)


def doubt_about(signal: Signal, at: UnixMicros, *, in_doubt: bool) -> MarkDoubt:
    return MarkDoubt(at, signal.prediction_id, signal.txid, signal.detected_at, in_doubt)


def publication(seq: int, effect: Effect) -> Publication:
    return Publication(seq, effect, f'{{"seq":{seq},"text":"🐋"}}'.encode())


def tracked(signal: Signal, status: Status = Status.PENDING, height: int | None = None) -> TrackedPrediction:
    """Return what the core remembers of a signal."""
    return TrackedPrediction(
        prediction_id=signal.prediction_id,
        txid=signal.txid,
        history=signal.history,
        detected_at=signal.detected_at,
        seen_at=signal.seen_at,
        fee_rate_sat_vb=signal.fee_rate_sat_vb,
        payees=signal.payees,
        status=status,
        confirmation_height=None if height is None else Height(height),
    )


_Change = AmendSignal | RecordOutcome | ReopenPrediction | MarkDoubt


@dataclass
class _Stored:
    signal: Signal
    status: Status = Status.PENDING
    outcome: Outcome | None = None

    def apply(self, change: _Change) -> None:
        match change:
            case AmendSignal(signal=signal):
                self.signal = signal
            case RecordOutcome(outcome=outcome) if self.status in OPEN:
                self.status, self.outcome = outcome.status, outcome
                self.signal = replace(self.signal, txid=outcome.txid)
            case ReopenPrediction() if self.status not in OPEN:
                self.status, self.outcome = Status.PENDING, None
            case MarkDoubt(in_doubt=in_doubt) if self.status in OPEN:
                self.status = Status.IN_DOUBT if in_doubt else Status.PENDING
            case _:
                pass  # not allowed from where it stands


@dataclass
class FakeStore:
    """The `Store` port in memory, all or nothing like the real one.

    Attributes:
        publications: what was stored and is to be said, in order.
        handovers: what was said, by prediction id: when.
        gaps: recorded gaps.
        learned: what was learned, in order.
        markets: recorded markets.
        models: recorded states of the model.
        failures: errors that the next commits raise, before they store anything.
    """

    publications: list[Publication] = field(default_factory=list)
    handovers: dict[str, UnixMicros] = field(default_factory=dict)
    gaps: list[GapFound] = field(default_factory=list)
    learned: list[LearnedLabel] = field(default_factory=list)
    markets: list[FeeMarket] = field(default_factory=list)
    models: list[ModelState] = field(default_factory=list)
    blocks: list[KnownBlock] = field(default_factory=list)
    failures: deque[StoreError] = field(default_factory=deque)
    _predictions: dict[str, _Stored] = field(default_factory=dict)

    @property
    def _last_seq(self) -> int:
        return self.publications[-1].seq if self.publications else 0

    async def load_state(self) -> SavedState:
        times = [_time_of(publication.effect) for publication in self.publications]
        newest = max(times, default=T0)
        followed: list[TrackedPrediction] = []
        ended: list[Txid] = []
        closed: list[TrackedPrediction] = []
        for stored in sorted(
            self._predictions.values(), key=lambda s: (s.signal.detected_at, s.signal.prediction_id)
        ):
            height = stored.outcome.confirmation_height if stored.outcome else None
            is_recent = stored.outcome is not None and stored.outcome.ended_at >= newest - 2 * DAY
            if stored.status in OPEN or (stored.status is Status.CONFIRMED and is_recent):
                followed.append(tracked(stored.signal, stored.status, height))
            elif stored.signal.detected_at >= newest - 20 * DAY:
                versions = (version.txid for version in stored.signal.history)
                ended.extend(chain(versions, [stored.signal.txid]))
                if stored.status is not Status.CONFIRMED:
                    closed.append(tracked(stored.signal, stored.status))
        heard = max([*times, *(gap.at for gap in self.gaps)], default=None)
        return SavedState(
            self._last_seq,
            tuple(followed),
            tuple(ended),
            heard,
            self._signals(),
            tuple(self.learned),
            self.models[-1] if self.models else None,
            tuple(closed),
            tuple(self.blocks),
        )

    def _signals(self) -> tuple[Signal, ...]:
        """Return the signals that may still be corrected, as far as a restart needs them."""
        order = sorted(
            self._predictions.values(), key=lambda s: (s.signal.detected_at, s.signal.prediction_id)
        )
        return tuple(
            as_restored(stored.signal)
            for stored in order
            if (stored.status in OPEN or stored.status is Status.CONFIRMED)
            and stored.signal.txid == stored.signal.transaction.txid
        )

    async def commit(self, entries: Sequence[Entry]) -> None:
        if self.failures:
            raise self.failures.popleft()
        fresh = [e for e in entries if not (isinstance(e, Publication) and e.seq <= self._last_seq)]
        seqs = [entry.seq for entry in fresh if isinstance(entry, Publication)]
        if seqs != list(range(self._last_seq + 1, self._last_seq + 1 + len(seqs))):
            raise ValueError(f"expected record entries from {self._last_seq + 1} on, found {seqs}")
        for entry in fresh:
            if isinstance(entry, Handover):
                self.handovers[entry.prediction_id] = entry.published_at
                continue
            self._apply(entry.effect)
            if isinstance(entry, Publication):
                self.publications.append(entry)

    async def query_status(self) -> StoreStatus:
        predictions = self._predictions.values()
        flows = sorted(stored.signal.flow.flow_type.value for stored in predictions)
        outcome_count = sum(stored.outcome is not None for stored in predictions)
        return StoreStatus(
            prediction_count=len(predictions),
            pending_count=len(predictions) - outcome_count,
            outcome_count=outcome_count,
            gap_count=len(self.gaps),
            last_seq=self._last_seq,
            by_flow={flow: flows.count(flow) for flow in dict.fromkeys(flows)},
            record_head=self._record_head(),
        )

    def _record_head(self) -> str:
        if not self.publications:
            return ""
        head = GENESIS
        for publication in self.publications:
            kind, at, prediction_id = describe_effect(publication.effect)
            head = next_entry(
                head, publication.seq, at, kind, prediction_id, message=publication.message
            ).hash
        return head.hex()

    def _apply(self, effect: Effect) -> None:  # noqa: C901 -- one line for each effect
        match effect:
            case RaiseSignal(signal=signal):
                self._raise(signal)
            case AmendSignal(signal=signal):
                self._change(effect, signal.prediction_id, signal.detected_at)
            case RecordOutcome(outcome=outcome):
                self._change(effect, outcome.prediction_id, outcome.detected_at)
            case ReopenPrediction() | MarkDoubt():
                self._change(effect, effect.prediction_id, effect.detected_at)
            case RecordGap(gap=gap):
                if gap not in self.gaps:
                    self.gaps.append(gap)
            case KeepLearned() | RecordMarket() | RecordModel():
                self._learn(effect)
            case RecordBlock() | RecordContents():
                self._take_block(effect)
            case NoteSuccessor():
                pass
            case Ask():
                raise TypeError(f"expected an effect to store, found {effect}")
            case _:
                assert_never(effect)

    def _take_block(self, effect: RecordBlock | RecordContents) -> None:
        if isinstance(effect, RecordContents):
            self.blocks = [
                block._replace(is_read=True) if block.block_hash == effect.block_hash else block
                for block in self.blocks
            ]
            return
        kept = [block for block in self.blocks if block.height not in (effect.stale or ())]
        if all(block.height != effect.height for block in kept):
            known = KnownBlock(effect.height, effect.block_hash, effect.previous_hash, False, effect.is_ours)
            kept.append(known)
        self.blocks = sorted(kept)

    def _learn(self, effect: KeepLearned | RecordMarket | RecordModel) -> None:
        if isinstance(effect, KeepLearned):
            known = {label.script for label in self.learned}
            self.learned += [label for label in effect.labels if label.script not in known]
        elif isinstance(effect, RecordMarket):
            self.markets.append(effect.market)
        else:
            self.models.append(effect.state)

    def _change(self, change: _Change, prediction_id: str, detected_at: UnixMicros) -> None:
        stored = self._predictions.get(prediction_id)
        if stored is not None and stored.signal.detected_at == detected_at:
            stored.apply(change)

    def _raise(self, signal: Signal) -> None:
        stored = self._predictions.get(signal.prediction_id)
        if stored is None:
            self._predictions[signal.prediction_id] = _Stored(signal)
        elif signal.was_modified and stored.signal.detected_at == signal.detected_at:
            stored.signal = signal
            if stored.status in OPEN:
                stored.status = Status.PENDING


def _time_of(effect: Effect) -> UnixMicros:
    match effect:
        case RecordOutcome(outcome=outcome):
            return outcome.ended_at
        case RecordGap(gap=gap):
            return gap.at
        case Ask():
            raise TypeError(f"expected an effect to store, found {effect}")
        case _:
            return effect.at
