import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.events import (
    AmendSignal,
    Ask,
    Effect,
    GapFound,
    GapReason,
    NoteSuccessor,
    RaiseSignal,
    RecordGap,
    RecordOutcome,
)
from hydrophone.domain.outcome import Status
from hydrophone.domain.questions import AboutTransaction
from hydrophone.domain.signal import Sighting
from hydrophone.errors import ServiceStopped, StoreError, StoreFull
from hydrophone.pipeline.broadcast import Composer, Recorder
from hydrophone.pipeline.ports import Entry, Handover, Notation, Publication
from hydrophone.runtime.channel import Channel
from tests.backends import running, settled, until
from tests.contract.fake_store import (
    T0,
    FakeStore,
    bumped,
    doubt_about,
    later,
    outcome_of,
    reopening_of,
    txid,
    whale,
)

GAP = RecordGap(GapFound(T0, "mempool.space", GapReason.STARTED, T0))


def raising(number: int) -> RaiseSignal:
    return RaiseSignal(T0, whale(number))


def saying(effect: Effect, seq: int) -> bytes:
    """Return what the encoder of these tests spells."""
    return f"{seq} {type(effect).__name__}".encode()


def all_said(*effects: Effect) -> list[bytes]:
    return [saying(effect, seq) for seq, effect in enumerate(effects, 1)]


class Encoder:
    def encode(self, effect: Effect, seq: int) -> bytes:
        return saying(effect, seq)


@dataclass
class GatedStore(FakeStore):
    """A store whose commits wait while its gate is closed, and that remembers each attempt.

    Attributes:
        gate: closed while cleared.
        plan: whether the next commit finds the disk full, and the one after that...
        stores_before_it_fails: the disk is full at just the wrong moment: after the entries were stored.
        attempts: what each commit was given.
    """

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    plan: Iterator[bool] = field(default_factory=lambda: iter(()))
    stores_before_it_fails: bool = False
    attempts: list[list[Entry]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    async def commit(self, entries: Sequence[Entry]) -> None:
        self.attempts.append(list(entries))
        await self.gate.wait()
        fails = next(self.plan, False)
        if not fails or self.stores_before_it_fails:
            await super().commit(entries)
        if fails:
            raise StoreFull("no room")


class Audience:
    """Hears what is published, and notes whether it was stored by then."""

    def __init__(self, store: FakeStore) -> None:
        self.heard: list[bytes] = []
        self._store = store

    async def publish(self, *messages: bytes) -> None:
        assert set(messages) <= {publication.message for publication in self._store.publications}
        assert len(messages) <= 16, "not more than a client may well get at once"
        self.heard += messages


class Rig:
    """A recorder and everything around it."""

    def __init__(self, *, capacity: int = 100) -> None:
        self.store = GatedStore()
        self.effects: Channel[Effect] = Channel("effects", capacity)
        self.audience = Audience(self.store)
        self.now = T0
        self.recorder = Recorder(
            effects=self.effects,
            composer=Composer(Encoder()),
            store=self.store,
            broadcast=self.audience,
            clock=lambda: self.now,
        )

    async def want(self, *effects: Effect) -> None:
        for effect in effects:
            await self.effects.put(effect)

    async def run_through(self) -> None:
        """Record what is wanted until there is nothing left."""
        self.recorder.drain()
        await self.recorder.run(lambda: None)


# Composer.


def test_publications_are_numbered_without_holes_from_where_the_record_ends() -> None:
    composer = Composer(Encoder(), last_seq=41)
    signal = whale(1)
    effects: list[Effect] = [
        raising(1),
        doubt_about(signal, T0, in_doubt=True),
        AmendSignal(T0, signal, "why"),
        GAP,
        NoteSuccessor(T0, signal.prediction_id, txid(1), txid(2)),
        RecordOutcome(outcome_of(signal, Status.CONFIRMED, ended_at=T0)),
        reopening_of(signal, T0),
    ]
    entries = [composer.compose(effect) for effect in effects]
    publications = [entry for entry in entries if isinstance(entry, Publication)]
    assert [publication.seq for publication in publications] == [42, 43, 44, 45, 46]
    assert [publication.message for publication in publications] == [
        saying(publication.effect, publication.seq) for publication in publications
    ]
    assert [entry.effect for entry in entries if isinstance(entry, Notation)] == [effects[1], effects[3]]
    assert composer.last_seq == 46


def test_a_question_to_a_source_is_not_recorded() -> None:
    composer = Composer(Encoder(), last_seq=3)
    with pytest.raises(ValueError, match="not recorded"):
        composer.compose(Ask(AboutTransaction(txid(1))))
    assert composer.last_seq == 3


# Store first, then publish.


async def test_nothing_is_published_before_its_commit_returns() -> None:
    rig = Rig()
    rig.store.gate.clear()
    async with running(rig.recorder.run):
        await rig.want(raising(1), raising(2))
        await until(lambda: len(rig.store.attempts) == 1)
        await settled(lambda: len(rig.audience.heard))
        assert rig.audience.heard == []

        rig.store.gate.set()
        await until(lambda: len(rig.audience.heard) == 2)
    assert rig.audience.heard == all_said(raising(1), raising(2))
    assert rig.recorder.signal_count == 2


async def test_what_waits_during_a_commit_goes_into_the_next_one_together() -> None:
    rig = Rig()
    rig.store.gate.clear()
    rest = [raising(number) for number in range(2, 8)]
    async with running(rig.recorder.run):
        await rig.want(raising(1))
        await until(lambda: len(rig.store.attempts) == 1)
        await rig.want(*rest)
        rig.store.gate.set()
        await until(lambda: len(rig.audience.heard) == 7)
    [first, second, *_] = rig.store.attempts
    assert [entry.seq for entry in first if isinstance(entry, Publication)] == [1]
    assert [entry.seq for entry in second if isinstance(entry, Publication)] == [2, 3, 4, 5, 6, 7]


async def test_doubts_and_gaps_are_stored_and_not_said() -> None:
    rig = Rig()
    await rig.want(GAP, raising(1), doubt_about(whale(1), T0, in_doubt=True))
    await rig.run_through()
    assert rig.audience.heard == all_said(raising(1))
    assert rig.store.gaps == [GAP.gap]
    assert [tracked.status for tracked in (await rig.store.load_state()).tracked] == [Status.IN_DOUBT]


async def test_draining_stores_and_publishes_what_there_is_and_ends() -> None:
    rig = Rig()
    async with running(rig.recorder.run) as task:
        await rig.want(raising(1), raising(2))
        rig.recorder.drain()
        await task
    assert rig.audience.heard == all_said(raising(1), raising(2))
    with pytest.raises(ServiceStopped):
        await rig.effects.put(raising(3))


# When a signal was handed over.


async def test_when_a_signal_was_published_is_stored_once_nothing_else_waits() -> None:
    rig = Rig()
    rig.now = later(0.004)
    async with running(rig.recorder.run):
        await rig.want(raising(1))
        await until(lambda: bool(rig.store.handovers))
    assert rig.store.handovers == {whale(1).prediction_id: later(0.004)}


async def test_when_a_signal_was_published_travels_with_the_next_commit() -> None:
    rig = Rig()
    rig.store.gate.clear()
    async with running(rig.recorder.run):
        await rig.want(raising(1))
        await until(lambda: len(rig.store.attempts) == 1)
        await rig.want(raising(2))
        rig.store.gate.set()
        await until(lambda: len(rig.store.handovers) == 2)
    [_, second, third] = rig.store.attempts
    assert second[0] == Handover(whale(1).prediction_id, T0, T0, is_first=True)
    assert third == [Handover(whale(2).prediction_id, T0, T0, is_first=True)]


async def test_only_new_signals_are_handed_over() -> None:
    rig = Rig()
    await rig.want(
        raising(1),
        AmendSignal(T0, whale(1), "why"),
        RecordOutcome(outcome_of(whale(1), Status.CONFIRMED, ended_at=T0)),
    )
    await rig.run_through()
    assert len(rig.audience.heard) == 3
    assert list(rig.store.handovers) == [whale(1).prediction_id]
    assert rig.recorder.signal_count == 1


# A store that fails.


async def test_after_a_full_disk_it_may_be_run_again_and_nothing_is_lost_or_said_twice() -> None:
    rig = Rig()
    rig.store.plan = iter([True])
    await rig.want(raising(1), GAP, raising(2))
    with pytest.raises(StoreFull):
        await rig.recorder.run(lambda: None)
    assert rig.audience.heard == []

    await rig.want(raising(3))
    await rig.run_through()
    assert rig.audience.heard == all_said(raising(1), raising(2), raising(3))
    assert [publication.seq for publication in rig.store.publications] == [1, 2, 3]
    assert len(rig.store.handovers) == 3
    assert rig.store.gaps == [GAP.gap]


@given(
    count=st.integers(1, 20),
    capacity=st.integers(1, 5),
    plan=st.lists(st.booleans(), max_size=20),
    stores_before_it_fails=st.booleans(),
)
def test_whatever_commits_fail_every_message_is_stored_and_said_once_and_in_order(
    count: int, capacity: int, plan: list[bool], *, stores_before_it_fails: bool
) -> None:
    wanted = [raising(number) for number in range(1, count + 1)]

    async def scenario() -> None:
        rig = Rig(capacity=capacity)
        rig.store.plan, rig.store.stores_before_it_fails = iter(plan), stores_before_it_fails
        feeding = asyncio.create_task(rig.want(*wanted))
        feeding.add_done_callback(lambda _: rig.recorder.drain())
        has_ended = False
        while not has_ended:
            with contextlib.suppress(StoreFull):
                await rig.recorder.run(lambda: None)
                has_ended = True
        assert feeding.done()
        assert rig.audience.heard == all_said(*wanted)
        assert len(rig.store.handovers) == count
        assert [publication.message for publication in rig.store.publications] == rig.audience.heard
        assert [publication.seq for publication in rig.store.publications] == list(range(1, count + 1))

    asyncio.run(scenario())


async def test_a_store_that_cannot_be_written_ends_it_and_nothing_is_said() -> None:
    rig = Rig()
    rig.store.failures.append(StoreError("read-only"))
    await rig.want(raising(1))
    with pytest.raises(StoreError, match="read-only"):
        await rig.run_through()
    assert rig.audience.heard == []


# How long it took.


async def test_only_what_was_announced_counts_from_its_frame_to_the_subscribers() -> None:
    rig = Rig()
    rig.now = later(0.25)
    seen_late = [
        replace(whale(n), sighting=kind) for n, kind in enumerate((Sighting.LATE, Sighting.MINED), 100)
    ]
    bumps = [bumped(whale(n), 200 + n, seen_at=later(0.125)) for n in range(25)]
    await rig.want(*(raising(n) for n in range(25)), *(RaiseSignal(T0, s) for s in (*bumps, *seen_late)))
    await rig.run_through()
    newest = rig.recorder.timings.newest_published_ms()
    assert newest == {whale(1).source: {"n": 50, "p50": 125.0, "p99": 250.0}}


# The log.


async def test_each_alert_logs_the_quickstarts_line_and_each_outcome_one() -> None:
    rig = Rig()
    await rig.want(raising(1), RecordOutcome(outcome_of(whale(1), Status.CONFIRMED, ended_at=T0, height=7)))
    with structlog.testing.capture_logs() as logged:
        await rig.run_through()
    alert, outcome = logged
    assert alert["event"] == f"🐋 WHALE ALERT: 124.46 BTC - TX: {txid(1)}"
    assert (alert["flow"], alert["moved_btc"], alert["simulated"]) == ("inflow", 117.28, True)
    assert outcome == {
        "event": "outcome",
        "log_level": "info",
        "status": "confirmed",
        "txid": txid(1),
        "height": 7,
    }


# What is measured.


async def test_commits_outcomes_and_what_came_back_are_counted() -> None:
    rig = Rig()
    rig.store.plan = iter([True])
    end = RecordOutcome(outcome_of(whale(1), Status.CONFIRMED, ended_at=later(1)))
    await rig.want(raising(1), end, reopening_of(whale(1), later(2)), raising(2))
    with pytest.raises(StoreFull):
        await rig.recorder.run(lambda: None)
    await rig.run_through()
    timings = rig.recorder.timings
    assert timings.failed_commits == 1
    assert timings.commits.count >= 1
    assert timings.outcomes == {"confirmed": 1}
    assert timings.reopened == 1
    [published] = timings.published.values()
    assert published.count == 2
