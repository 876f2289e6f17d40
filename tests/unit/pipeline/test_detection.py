from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from hydrophone.domain.events import (
    Ask,
    Effect,
    MarkDoubt,
    NoteSuccessor,
    RaiseSignal,
    RecordBlock,
    RecordGap,
    RecordOutcome,
)
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.questions import AboutTransaction, Question
from hydrophone.domain.script import Network
from hydrophone.domain.tracker import PREVOUT_PATIENCE_MICROS, Tracker
from hydrophone.domain.units import SATS_PER_BTC, Sats, Txid, UnixMicros
from hydrophone.errors import ServiceStopped
from hydrophone.pipeline.detection import Detection, detect
from hydrophone.runtime.channel import Channel
from hydrophone.runtime.frame import Frame
from hydrophone.wire.mempool_space import MempoolSpaceDecoder
from hydrophone.wire.quarantine import Quarantine
from tests.backends import running, settled, until
from tests.builders import (
    SOURCE,
    START,
    Json,
    answered,
    block_json,
    mempool_json,
    opened,
    received,
    to_bytes,
    transaction_json,
    txid_of,
)

DEADLINE = UnixMicros(START + PREVOUT_PATIENCE_MICROS)


def whale(name: str, *, fee_sat: int = 1_000, has_prevouts: bool = True) -> Json:
    return transaction_json(name, [150 * SATS_PER_BTC], fee_sat=fee_sat, has_prevouts=has_prevouts)


def announcing(*names: str, sequence: int = 1, at: int = START, has_prevouts: bool = True) -> Frame:
    """Return a frame that announces whales."""
    added = [whale(name, has_prevouts=has_prevouts) for name in names]
    return received(mempool_json(sequence, added=added), at)


LIFE = (
    opened(),
    announcing("a", "b", sequence=1, at=START + 1),
    received(mempool_json(2, replaced=[(txid_of("a"), whale("a2", fee_sat=5_000))]), START + 2),
    announcing("c", sequence=3, at=START + 3, has_prevouts=False),
    received(mempool_json(4, mined=[txid_of("a2"), txid_of("b")], block=block_json(7)), START + 4),
    answered(f"/api/v1/tx/{txid_of('c')}", 200, to_bytes(whale("c")), START + 5),
    announcing("d", sequence=9, at=START + 6),
)
"""Frames that make us say everything once: gaps, signals, a replacement, outcomes, a question answered."""


def make_decoder() -> MempoolSpaceDecoder:
    return MempoolSpaceDecoder(source=SOURCE, threshold_sat=Sats(100 * SATS_PER_BTC), quarantine=Quarantine())


def make_tracker() -> Tracker:
    return Tracker(network=Network.REGTEST, book=LabelBook(()))


def passed_on(frames: Iterable[Frame]) -> list[Effect]:
    """Return what a replay passes on."""
    effects = detect(frames, make_decoder(), make_tracker())
    return [effect for effect in effects if not isinstance(effect, Ask)]


class Clock:
    """Shows what the test says, and counts who looks."""

    def __init__(self, now: int = START) -> None:
        self.now = UnixMicros(now)
        self.looks = 0

    def __call__(self) -> UnixMicros:
        self.looks += 1
        return self.now


class Asker:
    """Remembers which transactions it was asked about."""

    def __init__(self) -> None:
        self.asked: list[Txid] = []

    def ask(self, question: Question) -> None:
        if isinstance(question, AboutTransaction):
            self.asked.append(question.txid)


@dataclass
class Rig:
    """A detection and everything around it."""

    effect_capacity: int = 1_000
    clock: Clock = field(default_factory=Clock)
    asker: Asker = field(default_factory=Asker)
    noted: list[Frame] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.frames: Channel[Frame] = Channel("frames", 64)
        self.effects: Channel[Effect] = Channel("effects", self.effect_capacity)
        self.detection = Detection(
            frames=self.frames,
            effects=self.effects,
            decoder=make_decoder(),
            tracker=make_tracker(),
            asker=self.asker,
            clock=self.clock,
            on_frame=self._note,
        )

    async def _note(self, frame: Frame) -> None:
        assert not any(getattr(effect, "at", 0) == frame.at for effect in self.seen)
        self.noted.append(frame)

    @property
    def seen(self) -> list[Effect]:
        """What waits in the channel of effects."""
        return list(self.effects._items)

    async def hear(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            await self.frames.put(frame)


def test_a_life_makes_every_kind_of_effect_worth_testing() -> None:
    kinds = {type(effect) for effect in passed_on(LIFE)}
    assert kinds == {RecordGap, RaiseSignal, NoteSuccessor, RecordOutcome, RecordBlock, MarkDoubt}


@pytest.mark.parametrize("at_once", [True, False])
async def test_effects_are_passed_on_in_the_order_of_a_replay(*, at_once: bool) -> None:
    rig = Rig()
    async with running(rig.detection.run) as task:
        for batch in [LIFE] if at_once else [[frame] for frame in LIFE]:
            await rig.hear(batch)
            await until(lambda: not len(rig.frames))
        rig.detection.drain()
        await task
    assert rig.seen == passed_on(LIFE)


async def test_each_frame_is_told_before_its_effects_are_passed_on() -> None:
    rig = Rig()
    async with running(rig.detection.run) as task:
        await rig.hear(LIFE)
        rig.detection.drain()
        await task
    assert rig.noted == list(LIFE)  # and Rig checks that their effects were not there yet


async def test_missing_prevouts_are_asked_for_and_the_answer_decides() -> None:
    rig = Rig()
    async with running(rig.detection.run):
        await rig.hear([announcing("a", has_prevouts=False)])
        await until(lambda: bool(rig.asker.asked))
        assert rig.asker.asked == [txid_of("a")]
        assert rig.seen == []

        await rig.hear([answered(f"/api/tx/{txid_of('a')}", 200, to_bytes(whale("a")), START + 70_000)])
        [raised] = await rig.effects.take()
    assert isinstance(raised, RaiseSignal)
    assert (raised.at, raised.signal.seen_at) == (START + 70_000, START)
    assert raised.signal.flow.moved_sat == 150 * SATS_PER_BTC
    assert raised.signal.flow.reason == "no exchange label on either side"


async def test_a_signal_whose_prevouts_do_not_come_is_raised_and_dated_at_its_deadline() -> None:
    rig = Rig(clock=Clock(DEADLINE + 123_456))  # noticed late, as on a busy machine
    async with running(rig.detection.run):
        await rig.hear([announcing("a", has_prevouts=False)])
        [raised] = await rig.effects.take()
    assert isinstance(raised, RaiseSignal)
    assert raised.at == DEADLINE
    assert (raised.signal.flow.reason or "").endswith("; they did not come within a second")


async def test_a_deadline_is_not_anticipated() -> None:
    rig = Rig(clock=Clock(DEADLINE - 1))  # a timer that fires early changes nothing
    async with running(rig.detection.run):
        await rig.hear([announcing("a", has_prevouts=False)])
        await until(lambda: rig.clock.looks > 20)
        assert rig.seen == []
        rig.clock.now = DEADLINE
        [raised] = await rig.effects.take()
    assert isinstance(raised, RaiseSignal)
    assert raised.at == DEADLINE


async def test_without_anything_waiting_the_clock_is_not_asked() -> None:
    rig = Rig()
    async with running(rig.detection.run):
        await rig.hear(LIFE[1:2])
        await settled(lambda: len(rig.effects))
    assert len(rig.seen) == 2
    assert rig.clock.looks == 0


async def test_draining_finishes_what_was_heard_and_takes_nothing_more() -> None:
    rig = Rig()
    await rig.hear(LIFE)
    rig.detection.drain()
    async with running(rig.detection.run) as task:
        await task
    with pytest.raises(ServiceStopped):
        await rig.frames.put(LIFE[0])
    assert rig.seen == passed_on(LIFE)


async def test_draining_raises_what_still_waits_for_prevouts_and_says_why() -> None:
    frames = [
        announcing("a", has_prevouts=False),
        announcing("b", sequence=2, at=START + 5, has_prevouts=False),
    ]
    rig = Rig()
    async with running(rig.detection.run) as task:
        await rig.hear(frames)
        await until(lambda: len(rig.asker.asked) == 2)
        assert rig.seen == []
        rig.detection.drain()
        await task
    raised = [effect for effect in rig.seen if isinstance(effect, RaiseSignal)]
    assert [effect.signal.txid for effect in raised] == [txid_of("a"), txid_of("b")]
    assert all("listening ended" in (effect.signal.flow.reason or "") for effect in raised)
    assert all(effect.at < DEADLINE for effect in raised), "not dated in the future"


async def test_when_the_effects_are_full_detection_waits_and_loses_nothing() -> None:
    rig = Rig(effect_capacity=1)
    taken: list[Effect] = []
    async with running(rig.detection.run) as task:
        await rig.hear(LIFE)
        rig.detection.drain()
        await settled(lambda: len(rig.noted))
        assert rig.noted == list(LIFE[:2])  # the second frame has more effects than there is room
        while not task.done():
            taken += await rig.effects.take()
            await settled(lambda: len(rig.effects))
    assert [*taken, *rig.seen] == passed_on(LIFE)
    assert rig.effects.high_water == 1
