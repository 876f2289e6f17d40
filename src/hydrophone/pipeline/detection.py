"""Frames in, effects out: what a live run and a replay share."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator

from hydrophone.domain.events import Ask, Effect, TimePassed
from hydrophone.domain.tracker import Tracker
from hydrophone.domain.units import UnixMicros, seconds_from_micros
from hydrophone.pipeline.ports import Asker, Clock, Decoder, SavedState
from hydrophone.runtime.channel import Channel
from hydrophone.runtime.frame import Frame


def detect(frames: Iterable[Frame], decoder: Decoder, tracker: Tracker) -> Iterator[Effect]:
    """Yield the effects of frames: no clock, no network, the same for the same frames.

    What still waits for prevouts at the end is given up one patience later; what is to be corrected, is.
    """
    at = UnixMicros(0)
    for frame in frames:
        at = UnixMicros(frame.at)
        yield from detect_frame(frame, decoder, tracker)
    while (deadline := tracker.next_deadline) is not None:
        at = deadline
        yield from tracker.step(TimePassed(at))
    while tracker.has_revisions:
        yield from tracker.review(at)


def detect_frame(frame: Frame, decoder: Decoder, tracker: Tracker) -> Iterator[Effect]:
    """Yield the effects of one frame."""
    for event in decoder.decode(frame):
        yield from tracker.step(event)


def take_up(state: SavedState, tracker: Tracker) -> None:
    """Go on where a run ended: before the first frame.

    Args:
        state: what it left behind.
        tracker: fresh.
    """
    tracker.restore(
        state.tracked,
        state.ended,
        closed=state.closed,
        signals=state.signals,
        learned=state.learned,
        blocks=state.blocks,
    )
    if state.model is not None:
        tracker.forecaster.restore(state.model)


class Detection:
    """Takes frames as they come and passes their effects on.

    Args:
        frames: what the sources heard.
        effects: where effects go; when it is full we wait, and so do the sources.
        decoder: of the source.
        tracker: the core.
        asker: asks the source what the core wants to know.
        clock: now; only used when nothing is heard.
        on_frame: told each frame before it is decoded: the state of the connection, a tee to a recording.
    """

    def __init__(
        self,
        *,
        frames: Channel[Frame],
        effects: Channel[Effect],
        decoder: Decoder,
        tracker: Tracker,
        asker: Asker,
        clock: Clock,
        on_frame: Callable[[Frame], Awaitable[None]],
    ) -> None:
        self._frames = frames
        self._effects = effects
        self._decoder = decoder
        self._tracker = tracker
        self._asker = asker
        self._clock = clock
        self._on_frame = on_frame

    async def run(self, ready: Callable[[], None]) -> None:
        """Work until the frames are closed and drained."""
        ready()
        while True:
            try:
                async with asyncio.timeout(self._patience_s()):
                    frames = await self._frames.take()
            except TimeoutError:
                if not self._frames.is_idle:  # what was heard before now comes before now
                    await asyncio.sleep(0)
                    continue
                await self._pass_on(self._tracker.step(TimePassed(self._clock())))
                continue
            if not frames:
                await self._pass_on(self._tracker.give_up(self._clock(), "listening ended before they came"))
                return
            for frame in frames:
                await self._on_frame(frame)
                await self._pass_on(detect_frame(frame, self._decoder, self._tracker))

    def drain(self) -> None:
        """Finish what was heard, then end."""
        self._frames.close()

    def _patience_s(self) -> float | None:
        """Return how long may be waited for a frame; None: for ever."""
        wanted = (self._tracker.next_deadline, self._tracker.next_question_at)
        soonest = min((at for at in wanted if at is not None), default=None)
        return None if soonest is None else max(0.0, seconds_from_micros(UnixMicros(soonest - self._clock())))

    async def _pass_on(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Ask):
                self._asker.ask(effect.question)
            else:
                await self._effects.put(effect)
