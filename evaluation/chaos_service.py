"""The service in virtual time: the very decoder, core, encoder and store, without sockets or a clock.

What is heard becomes effects at once; effects are committed a little later, as many at a time as there are,
and only then said. So it can be killed between hearing and committing, within a frame, and between committing
and saying. After a kill it begins as `hydrophone run` does: with what the file says.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from hydrophone.domain.events import (
    AmendSignal,
    Ask,
    Effect,
    RaiseSignal,
    RecordOutcome,
    ReopenPrediction,
    TimePassed,
)
from hydrophone.domain.forecast import Forecaster
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.outcome import Status
from hydrophone.domain.questions import Question
from hydrophone.domain.script import Network
from hydrophone.domain.tracker import Tracker
from hydrophone.domain.transaction import Output
from hydrophone.domain.units import Sats, UnixMicros
from hydrophone.pipeline.broadcast import Composer
from hydrophone.pipeline.detection import detect_frame, take_up
from hydrophone.pipeline.ports import Publication
from hydrophone.runtime.frame import Frame
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.wire.mempool_space import MempoolSpaceDecoder
from hydrophone.wire.public_v1 import PublicEncoder
from hydrophone.wire.quarantine import Quarantine

SOURCE = "mempool.space"
NETWORK = Network.MAINNET
THRESHOLD = Sats(100 * 100_000_000)


class Diary:
    """What one run said and asked, across all its lives.

    Attributes:
        said: messages that subscribers were handed, in order.
        payees: by txid, every set of outputs that a signal about it took for payees.
        dropped_at: txids that were called dropped, in order, since somebody looked last.
        ended_twice: predictions with two outcomes and no reopening between them.
        undone: predictions whose confirmation was undone, each as often as it was.
        revived: predictions that were called dropped or replaced, and were not.
        kills: how often it was killed.
    """

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.payees: dict[str, list[tuple[Output, ...]]] = {}
        self.ended_twice: list[str] = []
        self.dropped: list[str] = []
        self.undone: Counter[str] = Counter()
        self.revived: Counter[str] = Counter()
        self.kills = 0
        self._ended: dict[str, Status] = {}

    def note(self, effect: Effect) -> None:
        """Take note of an effect that is safe now."""
        match effect:
            case RaiseSignal(signal=signal) | AmendSignal(signal=signal):
                self.payees.setdefault(signal.txid, []).append(signal.payees)
            case RecordOutcome(outcome=outcome):
                if outcome.prediction_id in self._ended:
                    self.ended_twice.append(outcome.prediction_id)
                self._ended[outcome.prediction_id] = outcome.status
                if outcome.status is Status.DROPPED:
                    self.dropped.append(outcome.txid)
            case ReopenPrediction():
                was = self._ended.pop(effect.prediction_id, None)
                counts = self.undone if was is Status.CONFIRMED else self.revived
                counts[effect.prediction_id] += 1
            case _:
                pass


class VirtualService:
    """One run of the service, from a start to a kill.

    Args:
        store: open.
        runner: of the store's loop.
        diary: gets what is said.
        ask: told each question.
        rng: decides what a kill leaves behind.
        book: labels; None: none.
        threshold: above which a transaction is a whale.
        network: of the source.
    """

    def __init__(
        self,
        store: DuckDbStore,
        runner: asyncio.Runner,
        *,
        diary: Diary,
        ask: Callable[[Question], None],
        rng: Random,
        book: LabelBook | None = None,
        threshold: Sats = THRESHOLD,
        network: Network = NETWORK,
    ) -> None:
        self._store = store
        self._runner = runner
        self._diary = diary
        self._ask = ask
        self._rng = rng
        self._unsaved: list[Effect] = []
        self.quarantine = Quarantine()
        self.decoder = MempoolSpaceDecoder(source=SOURCE, threshold_sat=threshold, quarantine=self.quarantine)
        self.tracker = Tracker(network=network, book=book or LabelBook([]), forecaster=Forecaster())
        state = runner.run(store.load_state())
        take_up(state, self.tracker)
        self.decoder.resume(state.heard_at)
        self._composer = Composer(PublicEncoder(network, None), state.last_seq)

    def hear(self, frame: Frame) -> None:
        """Take a frame in."""
        self._take(list(detect_frame(frame, self.decoder, self.tracker)))

    def pass_time(self, at: UnixMicros) -> None:
        """Nothing was heard, but it is later now."""
        self._take(self.tracker.step(TimePassed(at)))

    def next_wake_at(self) -> UnixMicros | None:
        """When it wants to know that time has passed."""
        wanted = (self.tracker.next_deadline, self.tracker.next_question_at)
        return min((at for at in wanted if at is not None), default=None)

    def _take(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Ask):
                self._ask(effect.question)
            else:
                self._unsaved.append(effect)

    @property
    def has_unsaved(self) -> bool:
        """Whether something waits to be committed."""
        return bool(self._unsaved)

    def save(self, count: int | None = None) -> list[bytes]:
        """Commit the oldest effects; return what is to be said now."""
        batch, self._unsaved = self._unsaved[:count], self._unsaved[count:] if count is not None else []
        if not batch:
            return []
        entries = [self._composer.compose(effect) for effect in batch]
        self._runner.run(self._store.commit(entries))
        for effect in batch:
            self._diary.note(effect)
        return [entry.message for entry in entries if isinstance(entry, Publication)]

    def save_and_say(self) -> None:
        """Do both, as a service that is not killed does."""
        self._diary.said += self.save()

    def kill(self) -> None:
        """End at the worst moment: with some effects lost, and some committed and never said."""
        if self._rng.random() < 0.5:
            self.save(self._rng.randint(0, len(self._unsaved)))
        self._diary.kills += 1


def open_store(path: Path, runner: asyncio.Runner) -> DuckDbStore:
    """Return the store of a run, open."""
    store = DuckDbStore(path, address_of=bytes.hex)
    runner.run(store.open())
    return store
