"""Writing what a source says into a file, and hearing it again."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Final

from hydrophone.bootstrap.files import saying_what_failed
from hydrophone.bootstrap.listening import Ears
from hydrophone.bootstrap.parts import (
    load_labels,
    make_decoder,
    make_encoder,
    make_tracker,
    report_rejected,
    today,
)
from hydrophone.config import Settings
from hydrophone.domain.events import Ask, RaiseSignal
from hydrophone.domain.units import UnixMicros, datetime_from_micros
from hydrophone.pipeline.broadcast import Composer, log_whale
from hydrophone.pipeline.detection import detect
from hydrophone.pipeline.ports import Publication
from hydrophone.runtime.frame import Frame
from hydrophone.runtime.supervisor import Service, Supervisor
from hydrophone.runtime.telemetry import get_logger
from hydrophone.sources.recording import RecordingLink
from hydrophone.wire.quarantine import Quarantine
from hydrophone.wire.recording import RecordedFrame, encode_recorded_frame

log = get_logger(__name__)

_RECORDED_CONN: Final = "live"


def replay(settings: Settings, link: RecordingLink, quarantine: Quarantine) -> Iterator[Publication]:
    """Yield what a recording makes us say: no clock, no network, the same bytes each time.

    Raises:
        SourceUnavailable: the recording cannot be read.
        SourceRejected: it holds no frame of the connection wanted.
    """
    frames = link.frames()
    first = next(frames, None)
    # By the date of the recording, not by today's: a label that has ended since was good then.
    book, files = load_labels(settings, None if first is None else _date_of(first))
    report_rejected(files)
    composer = Composer(make_encoder(settings))
    heard = frames if first is None else itertools.chain((first,), frames)
    effects = detect(heard, make_decoder(settings, quarantine), make_tracker(settings, book))
    for effect in effects:
        if isinstance(effect, Ask):
            continue  # the answer is in the recording, or it never came
        entry = composer.compose(effect)
        if isinstance(entry, Publication):
            yield entry


def _date_of(frame: Frame) -> date | None:
    try:
        return datetime_from_micros(UnixMicros(frame.at)).date()
    except OverflowError:  # no calendar has that day
        return None


async def run_record(settings: Settings, urls: Sequence[str], target: Path, supervisor: Supervisor) -> None:
    """Write what a source says into a file until the supervisor is stopped; nothing is stored or served.

    Detection runs, so that the REST answers a replay needs are asked for and recorded too.

    Raises:
        ConfigError: the file cannot be written.
        HydrophoneError: what ended it.
    """
    book, files = load_labels(settings, today())
    report_rejected(files)
    ears = Ears(settings, urls, book)
    with contextlib.closing(ears), _writable(target) as write:

        async def note(frame: Frame) -> None:
            write(encode_recorded_frame(RecordedFrame(_RECORDED_CONN, frame)))

        async def listen(ready: Callable[[], None]) -> None:
            ready()
            while effects := await ears.effects.take():
                for effect in effects:
                    if isinstance(effect, RaiseSignal):
                        log_whale(effect.signal)

        await supervisor.run(
            (Service("listener", listen, ears.effects.close), *ears.services(note)),
            lambda: log.info("recording", file=str(target), source=urls[0]),
        )


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Yield what writes to a new file, nothing held back.

    Raises:
        ConfigError: the file cannot be made; the function raises it too, when the disk is full.
    """

    def write(line: bytes) -> None:
        with saying_what_failed(path, "the recording "):
            file.write(line)

    with saying_what_failed(path, "the recording "):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb", buffering=0)  # a recording cannot be made again: never overwritten
    with file:
        yield write
