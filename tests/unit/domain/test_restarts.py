"""A restart at any moment, and what becomes of all that is open in the end."""

import asyncio
from collections import Counter
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from hydrophone.domain.events import (
    Answered,
    Ask,
    BlockConnected,
    Effect,
    Event,
    GapFound,
    GapReason,
    NoAnswer,
    RaiseSignal,
    RecordOutcome,
    ReopenPrediction,
    ReplacementTold,
    TimePassed,
)
from hydrophone.domain.outcome import OPEN, Status
from hydrophone.domain.predictions import REORG_DEPTH
from hydrophone.domain.questions import (
    AboutBlock,
    AboutContents,
    AboutReplacement,
    AboutTip,
    AboutTransaction,
)
from hydrophone.domain.tracker import Tracker
from hydrophone.domain.units import Height, Txid, UnixMicros
from hydrophone.pipeline.broadcast import Composer
from hydrophone.pipeline.ports import Publication
from tests.contract.fake_store import FakeStore
from tests.histories import histories
from tests.whales import T0, tracker

_HOUR_MICROS = 3_600_000_000


class _Mute:
    """Spells nothing: nobody listens."""

    def encode(self, effect: Effect, seq: int) -> bytes:
        return b""


class Life:
    """A core that may be restarted, with what it stored and what it said.

    What is said must make sense to whoever hears it all: nothing is signalled twice, each prediction ends at
    most once after it began or was reopened, and only what has ended is reopened.
    """

    def __init__(self) -> None:
        self.core = tracker()
        self.store = FakeStore()
        self.composer = Composer(_Mute())
        self.at = T0
        self.signalled: Counter[Txid] = Counter()
        self.is_open: dict[str, bool] = {}

    def step(self, event: Event) -> list[Effect]:
        self.at = UnixMicros(max(self.at, event.at))
        effects = self.core.step(event)
        self.take_in(effects)
        return effects

    def take_in(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Ask():
                    continue
                case RaiseSignal(_, signal):
                    self.signalled[signal.txid] += 1
                    assert self.signalled[signal.txid] == 1
                    assert self.is_open.get(signal.prediction_id) is (True if signal.was_modified else None)
                    self.is_open[signal.prediction_id] = True
                case RecordOutcome(outcome):
                    assert self.is_open[outcome.prediction_id]
                    self.is_open[outcome.prediction_id] = False
                case ReopenPrediction(prediction_id=prediction_id):
                    assert self.is_open[prediction_id] is False
                    self.is_open[prediction_id] = True
                case _:
                    pass
            self._keep(effect)

    def _keep(self, effect: Effect) -> None:
        entry = self.composer.compose(effect)
        self.store._apply(effect)
        if isinstance(entry, Publication):
            self.store.publications.append(entry)

    def stop(self) -> None:
        """End in good order: what waits is signalled."""
        self.take_in(self.core.give_up(self.at, "listening ended before they came"))

    def restart(self) -> None:
        state = asyncio.run(self.store.load_state())
        self.core = tracker()
        self.core.restore(
            state.tracked,
            state.ended,
            closed=state.closed,
            signals=state.signals,
            learned=state.learned,
            blocks=state.blocks,
        )
        self.step(GapFound(self.at, "mempool.space", GapReason.STARTED, self.at))


def standing(core: Tracker) -> dict[str, tuple[Txid, Status, Height | None]]:
    return {p.prediction_id: (p.txid, p.status, p.confirmation_height) for p in core.tracked}


def answer_of(ask: Ask, at: UnixMicros) -> Event | None:
    """Return what a source says that knows nothing any more; None: it is not asked by REST."""
    match ask.question:
        case AboutTransaction() | AboutBlock() | AboutContents():
            return NoAnswer(at, ask.question, "no such thing", is_unknown=True)
        case AboutReplacement(txid):
            return ReplacementTold(at, txid, None)
        case AboutTip():
            return Answered(at, ask.question)
        case _:
            return None


def forget_all(life: Life, effects: list[Effect]) -> None:
    """Answer all that is asked, and ask on by the clock, until nothing more is wanted."""
    asks = [effect for effect in effects if isinstance(effect, Ask)]
    for _ in range(2_000):
        while asks:
            event = answer_of(asks.pop(), life.at)
            if event is not None:
                asks += [effect for effect in life.step(event) if isinstance(effect, Ask)]
        wanted = [at for at in (life.core.next_deadline, life.core.next_question_at) if at is not None]
        if not wanted:
            return
        event = TimePassed(UnixMicros(max(min(wanted), life.at)))
        asks += [effect for effect in life.step(event) if isinstance(effect, Ask)]
    raise AssertionError("it never comes to rest")


@settings(max_examples=200, deadline=None)
@given(histories(), st.data())
def test_restarts_at_any_moment_change_nothing_of_what_may_be_said(
    events: list[Event], data: st.DataObject
) -> None:
    life = Life()
    for event in events:
        life.step(event)
        if data.draw(st.sampled_from([False, False, False, True])):
            if data.draw(st.booleans()):
                life.stop()
            life.restart()


@settings(max_examples=200, deadline=None)
@given(histories())
def test_a_restart_finds_every_prediction_where_it_stood(events: list[Event]) -> None:
    life = Life()
    for event in events:
        life.step(event)
    life.stop()
    before = standing(life.core)
    state = asyncio.run(life.store.load_state())
    assert {p.prediction_id: (p.txid, p.status, p.confirmation_height) for p in state.tracked}.items() >= (
        before.items()
    )
    life.restart()
    after = {key: place for key, place in standing(life.core).items() if place[1] is not Status.IN_DOUBT}
    confirmed = {key: place for key, place in before.items() if place[1] is Status.CONFIRMED}
    assert after.items() <= confirmed.items()
    tip = max((event.height for event in events if isinstance(event, BlockConnected)), default=0)
    let_go = [confirmed[key][2] or 0 for key in confirmed.keys() - after.keys()]
    assert all(height <= tip - REORG_DEPTH for height in let_go)


@settings(max_examples=200, deadline=None)
@given(histories(), st.booleans())
def test_whatever_happened_a_source_that_has_forgotten_it_all_ends_it_all(
    events: list[Event], is_restarted: bool
) -> None:
    """Nothing stays open for ever: in doubt without a question, or pending without a look now and then."""
    life = Life()
    effects = [effect for event in events for effect in life.step(event)]
    if is_restarted:
        life.stop()
        life.restart()
        effects = life.step(GapFound(life.at, "mempool.space", GapReason.RECONNECTED, life.at))
    forget_all(life, effects)
    for n in range(6):
        at = UnixMicros(life.at + 2 * _HOUR_MICROS)
        height = 1_000 + n
        forget_all(
            life, life.step(BlockConnected(at, Height(height), f"last{height}", f"last{height - 1}", ()))
        )
    assert [p for p in life.core.tracked if p.status in OPEN] == []
