"""The front half: a source, whoever asks it, the decoder and the core."""

from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from hydrophone.bootstrap.parts import (
    SOURCE_NAME,
    make_decoder,
    make_tracker,
    new_backoff,
    recording_link,
    steady_clock,
)
from hydrophone.config import RECORDING_SCHEME, Settings
from hydrophone.domain.events import Effect
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.questions import AboutTransaction, Question
from hydrophone.domain.units import UnixMicros
from hydrophone.errors import SourceRejected, SourceUnavailable
from hydrophone.pipeline.detection import Detection
from hydrophone.pipeline.holding import HoldingAsker
from hydrophone.pipeline.ports import Clock
from hydrophone.runtime.channel import Channel
from hydrophone.runtime.frame import Frame
from hydrophone.runtime.supervisor import Service
from hydrophone.runtime.telemetry import redacted
from hydrophone.sources.mempool_space import MempoolSpaceLink
from hydrophone.sources.mempool_space_rest import RestAsker
from hydrophone.wire.quarantine import Quarantine

_FRAME_CAPACITY: Final = 64
"""Frames that wait for detection. # chosen: two minutes of them; a full one stops reading from the socket."""
_FRAME_BYTES: Final = 128 * 1024 * 1024
"""Of frames that wait for detection. # chosen: two of the largest; beside the memory bar of 500 MB."""
_EFFECT_CAPACITY: Final = 4_096
"""Effects that wait for the store. # chosen: more than one frame ever makes, small in memory."""


class _Source(Protocol):
    """What delivers frames."""

    connected_url: str | None

    async def run(self, ready: Callable[[], None]) -> None: ...


class _RecordingSource:
    """A recording as the source of a running service: played at once, then the service ends."""

    def __init__(self, path: Path, frames: Channel[Frame]) -> None:
        self.connected_url: str | None = f"{RECORDING_SCHEME}{path}"
        self._link = recording_link(path)
        self._frames = frames
        self._now = UnixMicros(0)

    def clock(self) -> UnixMicros:
        """Return when the newest frame was heard: only frames make it later, as in a replay."""
        return self._now

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        try:
            for frame in self._link.frames():
                await self._frames.put(frame)
                self._now = UnixMicros(frame.at)
        except SourceUnavailable as error:
            raise SourceRejected(str(error)) from error  # a file is not there sooner for waiting


class _Nobody:
    """Answers no question: a recording holds the answers itself."""

    refused_count = asked_count = under_way_count = 0

    def ask(self, question: Question) -> None:
        """Ask nobody."""

    async def fetch(self, path: str) -> tuple[int, bytes]:
        """Return that nobody was asked."""
        return 0, path.encode()


@dataclass(frozen=True, slots=True)
class Listening:
    """The front half: a source, its time, and who asks it."""

    source: _Source
    services: tuple[Service, ...]
    asker: RestAsker | _Nobody
    clock: Clock


def _listen(settings: Settings, urls: Sequence[str], frames: Channel[Frame], clock: Clock) -> Listening:
    if urls[0].startswith(RECORDING_SCHEME):
        recording = _RecordingSource(Path(urls[0].removeprefix(RECORDING_SCHEME)), frames)
        return Listening(recording, (Service("source", recording.run),), _Nobody(), recording.clock)
    link = MempoolSpaceLink(urls, name=SOURCE_NAME, frames=frames, clock=clock, backoff=new_backoff())
    asker = RestAsker(
        base_url=settings.source.rest_url, link=link, name=SOURCE_NAME, frames=frames, clock=clock
    )
    return Listening(link, (Service("asker", asker.run), Service("source", link.run)), asker, clock)


class Ears:
    """The front half, live and while recording alike: source, decoder, core.

    Args:
        settings: all of them.
        urls: where to listen.
        book: labels to classify by.
    """

    def __init__(self, settings: Settings, urls: Sequence[str], book: LabelBook) -> None:
        self.frames: Channel[Frame] = Channel(
            "frames", _FRAME_CAPACITY, max_weight=_FRAME_BYTES, weigh=lambda frame: len(frame.payload)
        )
        self.effects: Channel[Effect] = Channel("effects", _EFFECT_CAPACITY)
        self.quarantine = Quarantine()
        self.decoder = make_decoder(settings, self.quarantine)
        self._side_thread = ThreadPoolExecutor(1, thread_name_prefix="forecast")
        self.tracker = make_tracker(
            settings, book, run=lambda work: self._side_thread.submit(lambda: work().filled()).result
        )
        self._listening = _listen(settings, urls, self.frames, steady_clock())
        self.asker = HoldingAsker(self._listening.asker, self._can_wait)

    def close(self) -> None:
        """End the thread beside the loop, once nothing is heard any more."""
        self._side_thread.shutdown()

    @property
    def asked_count(self) -> int:
        """Questions that were asked since the start."""
        return self._listening.asker.asked_count

    @property
    def refused_count(self) -> int:
        """Questions that were not asked because too many were under way."""
        return self._listening.asker.refused_count + self.asker.refused_count

    @property
    def under_way_count(self) -> int:
        """Questions that were asked and not answered yet."""
        return self._listening.asker.under_way_count

    def _can_wait(self, question: Question) -> bool:
        """Return whether a question is about a whale that pays too little for the next block."""
        market = self.tracker.forecaster.market
        if (
            market is None
            or market.marginal_rate_sat_vb is None
            or not isinstance(question, AboutTransaction)
        ):
            return False
        rate_sat_vb = self.tracker.rate_of_unresolved(question.txid)
        return rate_sat_vb is not None and rate_sat_vb < market.marginal_rate_sat_vb

    async def fetch(self, path: str) -> tuple[int, bytes]:
        """Ask the source's REST for what is no event: status (0: no answer) and body."""
        return await self._listening.asker.fetch(path)

    @property
    def clock(self) -> Clock:
        """The time in which events happen: now, or that of a recording."""
        return self._listening.clock

    @property
    def connected_url(self) -> str | None:
        """What is being listened to, for people: without a password."""
        url = self._listening.source.connected_url
        return None if url is None else redacted(url)

    def services(self, on_frame: Callable[[Frame], Awaitable[None]]) -> tuple[Service, ...]:
        """Return what is to be started after whoever takes the effects."""
        detection = Detection(
            frames=self.frames,
            effects=self.effects,
            decoder=self.decoder,
            tracker=self.tracker,
            asker=self.asker,
            clock=self.clock,
            on_frame=on_frame,
        )
        return (Service("detection", detection.run, detection.drain), *self._listening.services)
