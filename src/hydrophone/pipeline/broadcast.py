"""Store first, then publish: what turns effects into entries of the record and says them."""

import time
from collections.abc import Callable, Sequence
from typing import Final, assert_never

from hydrophone.domain.events import (
    AmendSignal,
    Ask,
    Effect,
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
from hydrophone.domain.signal import Signal
from hydrophone.domain.units import btc_from_sats
from hydrophone.errors import StoreError
from hydrophone.pipeline.ports import Broadcast, Clock, Encoder, Entry, Handover, Notation, Publication, Store
from hydrophone.pipeline.timings import Timings
from hydrophone.runtime.channel import Channel
from hydrophone.runtime.telemetry import get_logger

log = get_logger(__name__)

_SAID_AT_ONCE: Final = 16
"""Messages of a batch that go out in one write. # chosen: some 30 kB, half of what a slow client is held."""


class Composer:
    """Gives effects their index in the record and their public bytes.

    Args:
        encoder: spells the messages.
        last_seq: index of the newest entry so far.
    """

    def __init__(self, encoder: Encoder, last_seq: int = 0) -> None:
        self._encoder = encoder
        self.last_seq = last_seq

    def compose(self, effect: Effect) -> Publication | Notation:
        """Return what is to be stored, and said if it is a publication.

        Raises:
            ValueError: the effect is a question to a source.
        """
        match effect:
            case RaiseSignal() | AmendSignal() | RecordOutcome() | NoteSuccessor() | ReopenPrediction():
                self.last_seq += 1
                return Publication(self.last_seq, effect, self._encoder.encode(effect, self.last_seq))
            case (
                MarkDoubt()
                | RecordGap()
                | RecordBlock()
                | RecordContents()
                | KeepLearned()
                | RecordMarket()
                | RecordModel()
            ):
                return Notation(effect)
            case Ask():
                raise ValueError("a question to a source is not recorded")
            case _:
                assert_never(effect)


class Recorder:
    """Takes effects, commits them in batches, and only then publishes them.

    Args:
        effects: what detection wants.
        composer: gives them index and bytes.
        store: where they are kept.
        broadcast: who says them.
        clock: now, for `published_at`.
        timings: what is measured meanwhile.
        now: seconds of a clock that never jumps.
    """

    def __init__(
        self,
        *,
        effects: Channel[Effect],
        composer: Composer,
        store: Store,
        broadcast: Broadcast,
        clock: Clock,
        timings: Timings | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timings = timings or Timings()
        self._now = now
        self._effects = effects
        self._composer = composer
        self._store = store
        self._broadcast = broadcast
        self._clock = clock
        self._unsaved: list[Entry] = []
        self._handovers: list[Entry] = []
        self.signal_count = 0

    async def run(self, ready: Callable[[], None]) -> None:
        """Work until the effects are closed and drained.

        After a transient failure of the store it may be run again: what was not saved is tried anew.
        """
        ready()
        while True:
            if not self._unsaved:
                if self._handovers and len(self._effects) == 0:
                    await self._save_handovers()
                effects = await self._effects.take()
                if not effects:
                    break
                self._unsaved = [self._composer.compose(effect) for effect in effects]
            await self._commit([*self._handovers, *self._unsaved])
            saved, self._unsaved, self._handovers = self._unsaved, [], []
            publications = [entry for entry in saved if isinstance(entry, Publication)]
            for start in range(0, len(publications), _SAID_AT_ONCE):
                await self._publish(publications[start : start + _SAID_AT_ONCE])
        await self._save_handovers()

    def drain(self) -> None:
        """Store and publish what there is, then end."""
        self._effects.close()

    async def _commit(self, entries: Sequence[Entry]) -> None:
        began = self._now()
        try:
            await self._store.commit(entries)
        except StoreError:
            self.timings.failed_commits += 1
            raise
        self.timings.commits.note(self._now() - began)
        stored_at = self._clock()
        for entry in entries:
            if isinstance(entry, Publication) and isinstance(entry.effect, RaiseSignal):
                self.timings.note_stored(entry.effect, stored_at)

    async def _publish(self, publications: Sequence[Publication]) -> None:
        await self._broadcast.publish(*(publication.message for publication in publications))
        for publication in publications:
            self._note(publication.effect)

    def _note(self, effect: Effect) -> None:
        if isinstance(effect, RaiseSignal):
            self.signal_count += 1
            signal, published_at = effect.signal, self._clock()
            is_first = not signal.was_modified
            self._handovers.append(
                Handover(signal.prediction_id, signal.detected_at, published_at, is_first=is_first)
            )
            self.timings.note_published(effect, published_at)
            log_whale(signal)
        elif isinstance(effect, AmendSignal):
            flow = effect.signal.flow
            self.timings.amended += 1
            log.info("amended", txid=effect.signal.txid, flow=flow.flow_type, reason=effect.reason)
        elif isinstance(effect, RecordOutcome):
            outcome = effect.outcome
            self.timings.outcomes[outcome.status] += 1
            log.info("outcome", status=outcome.status, txid=outcome.txid, height=outcome.confirmation_height)
        elif isinstance(effect, ReopenPrediction):
            self.timings.reopened += 1

    async def _save_handovers(self) -> None:
        if self._handovers:
            await self._store.commit(self._handovers)
            self._handovers = []


def log_whale(signal: Signal) -> None:
    """Log the quickstart's line: people grep for it."""
    flow = signal.flow
    log.info(
        f"🐋 WHALE ALERT: {btc_from_sats(signal.gross_sat):.2f} BTC - TX: {signal.txid}",  # noqa: G004 -- its words
        kind="whale_alert",
        flow=flow.flow_type,
        moved_btc=round(btc_from_sats(flow.moved_sat), 2),
        fee_rate_sat_vb=None if signal.fee_rate_sat_vb is None else round(signal.fee_rate_sat_vb, 2),
        urgency=None if signal.urgency_score is None else round(signal.urgency_score, 2),
        replaces=signal.history[-1].txid if signal.history else None,
        sighting=signal.sighting,
        simulated=signal.is_simulated,
    )
