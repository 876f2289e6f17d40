"""What the use cases need from the world, stated exactly."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from hydrophone.domain.events import Effect, Event
from hydrophone.domain.learned_labels import LearnedLabel
from hydrophone.domain.model_state import ModelState
from hydrophone.domain.predictions import TrackedPrediction
from hydrophone.domain.questions import Question
from hydrophone.domain.record import RecordEntry
from hydrophone.domain.settlement import KnownBlock
from hydrophone.domain.signal import Signal
from hydrophone.domain.units import Txid, UnixMicros
from hydrophone.runtime.frame import Frame


@dataclass(frozen=True, slots=True)
class Publication:
    """An effect that is stored and then said to everybody.

    Attributes:
        seq: its index in the record, 1, 2, 3...: grows by one for each, across restarts.
        effect: what it is about.
        message: the exact bytes of the public message.
    """

    seq: int
    effect: Effect
    message: bytes


@dataclass(frozen=True, slots=True)
class Notation:
    """An effect that is stored and not said (a gap, a doubt, a market, what was learned)."""

    effect: Effect


@dataclass(frozen=True, slots=True)
class Handover:
    """A signal was handed to broadcast: what `published_at` records.

    Attributes:
        prediction_id: of which prediction.
        detected_at: when that was made.
        published_at: when it was handed over.
        is_first: whether it was the first version of the payment; its lead time counts from then.
    """

    prediction_id: str
    detected_at: UnixMicros
    published_at: UnixMicros
    is_first: bool = False


Entry = Publication | Notation | Handover
"""One thing to store."""


@dataclass(frozen=True, slots=True)
class SavedState:
    """What a restart needs to go on as if nothing had happened.

    Attributes:
        last_seq: index of the newest record entry; 0 when there is none.
        tracked: open and recently confirmed predictions.
        ended: txids (all versions) of other recent predictions, oldest first: not to be signalled again.
        heard_at: when the newest thing that was stored was heard; None when nothing was.
        signals: the newest that may still be corrected, oldest first.
        learned: what was learned about scripts, oldest first.
        model: what was learned about confirmation; None when nothing was, or by another version.
        closed: replaced and dropped predictions that may come back, oldest first.
        blocks: the newest that were heard of, from below.
    """

    last_seq: int = 0
    tracked: tuple[TrackedPrediction, ...] = ()
    ended: tuple[Txid, ...] = ()
    heard_at: UnixMicros | None = None
    signals: tuple[Signal, ...] = ()
    learned: tuple[LearnedLabel, ...] = ()
    model: ModelState | None = None
    closed: tuple[TrackedPrediction, ...] = ()
    blocks: tuple[KnownBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredForecast:
    """A forecast as it was stored, and the end of its prediction; times in seconds since the epoch."""

    tip: int
    made_at_s: float
    p_confirm: tuple[float, ...]
    p_replaced: float
    p_dropped: float
    eta_p50_s: float | None
    eta_p90_s: float | None
    ahead_wu: float
    weight_wu: int
    status: str
    confirmation_height: int | None
    ended_at_s: float | None


@dataclass(frozen=True, slots=True)
class StoredForecasts:
    """Forecasts in order of time.

    Attributes:
        forecasts: any.
        blocks: when each block came (seconds) and the height before it.
        simulated_count: of the forecasts, on a simulated mempool.
        left_off: older forecasts that were not looked at.
    """

    forecasts: tuple[StoredForecast, ...]
    blocks: tuple[tuple[float, int], ...]
    simulated_count: int = 0
    left_off: int = 0


class BlockCounts(NamedTuple):
    """Blocks that were told, and the whales in those whose contents were.

    Attributes:
        blocks: told.
        read: of those, whose contents were told too; only they say something of whales.
        whales: in them.
        unseen: of the whales, not announced to us before they were mined.
    """

    blocks: int
    read: int
    whales: int
    unseen: int


@dataclass(frozen=True, slots=True)
class StoredGap:
    """A period in which a source may have told us less than everything, and the blocks told in it."""

    source: str
    reason: str
    started_at: UnixMicros
    ended_at: UnixMicros
    detail: str
    blocks: BlockCounts


class GapPeriod(NamedTuple):
    """Of which gaps are asked for, and since when there is one that has not ended; None: there is none."""

    begun_at: UnixMicros
    ended_at: UnixMicros
    open_from: UnixMicros | None


@dataclass(frozen=True, slots=True)
class StoredGaps:
    """Gaps of a period.

    Attributes:
        begun_at: of the period, or when anything was known first if that is later.
        gaps: the newest of those that have ended, newest first.
        gap_count: of all of them.
        blind_s: covered by any gap, the open one too; what several cover counts once.
        blocks: told in the period, in gaps or not.
        blocks_of_open_gap: told since the gap began that is open; None: none is.
    """

    begun_at: UnixMicros
    gaps: tuple[StoredGap, ...]
    gap_count: int
    blind_s: float
    blocks: BlockCounts
    blocks_of_open_gap: BlockCounts | None


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """Counts for people, and the head of the record's hash chain: who keeps it can tell a later change."""

    prediction_count: int
    pending_count: int
    outcome_count: int
    gap_count: int
    last_seq: int
    by_flow: dict[str, int] = field(default_factory=dict)
    record_head: str = ""


class Store(Protocol):
    """Where everything is kept. One writer; a committed entry survives kill -9."""

    async def load_state(self) -> SavedState:
        """Return what a restart needs."""
        ...

    async def commit(self, entries: Sequence[Entry]) -> None:
        """Store the entries, in order, in one transaction; return when they are safe.

        A publication whose `seq` is already stored is skipped, so that a retry is harmless.

        Raises:
            StoreFull: transient; try the same entries again (publications that were stored are skipped).
            StoreError: the database cannot be written.
        """
        ...

    async def query_status(self) -> StoreStatus:
        """Return counts, read beside the writer."""
        ...


class Broadcast(Protocol):
    """Who says messages to the subscribers."""

    async def publish(self, *messages: bytes) -> None:
        """Hand messages to every subscriber, in order; never waits for a slow one."""
        ...


class RecordReader(Protocol):
    """Reads what was said, for subscribers that were away."""

    async def read_entries(self, since: int, limit: int) -> Sequence[RecordEntry]:
        """Return entries in order after an index, at most so many.

        Raises:
            StoreError: they cannot be read now.
        """
        ...

    async def read_alerts(self, prediction_ids: Collection[str]) -> Mapping[str, Sequence[bytes]]:
        """Return alerts and amendments of predictions, in order, as far as their contents are kept.

        Raises:
            StoreError: they cannot be read now.
        """
        ...

    async def read_open_alerts(self) -> Mapping[str, Sequence[bytes]]:
        """Return alerts and amendments of all predictions that have no outcome.

        Raises:
            StoreError: they cannot be read now.
        """
        ...


class Decoder(Protocol):
    """Turns frames of one link into events."""

    def decode(self, frame: Frame) -> Sequence[Event]:
        """Return what the frame says; malformed parts are counted, quarantined and left out."""
        ...


class Asker(Protocol):
    """Asks a source; the answer comes back as a frame."""

    def ask(self, question: Question) -> None:
        """Ask in the background; never waits. Beyond a limit nothing is asked, and the core asks again."""
        ...


class Encoder(Protocol):
    """Turns effects into public messages."""

    def encode(self, effect: Effect, seq: int) -> bytes:
        """Return the message that says the effect."""
        ...


Clock = Callable[[], UnixMicros]
"""Now."""
