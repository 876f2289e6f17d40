"""The composition root: settings become objects, objects become services. Only this file knows them all."""

import asyncio
import contextlib
import gc
import importlib.resources
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final, Protocol

from hydrophone import __version__
from hydrophone.config import RECORDING_SCHEME, Settings, host_in_url
from hydrophone.domain.events import Effect, FetchPrevouts, RaiseSignal
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.script import Network, address_from_script
from hydrophone.domain.tracker import Tracker
from hydrophone.domain.units import MICROS_PER_S, Sats, Txid, UnixMicros, format_instant, sats_from_btc
from hydrophone.errors import ConfigError, SourceRejected, SourceUnavailable
from hydrophone.pipeline.broadcast import Composer, Recorder, log_whale
from hydrophone.pipeline.connection import ConnectionMonitor
from hydrophone.pipeline.detection import Detection, detect
from hydrophone.pipeline.ports import Clock, Publication, SavedState
from hydrophone.runtime.backoff import Backoff
from hydrophone.runtime.channel import Channel
from hydrophone.runtime.clock import SteadyClock
from hydrophone.runtime.frame import Frame
from hydrophone.runtime.supervisor import Service, Supervisor
from hydrophone.runtime.telemetry import get_logger, rss_bytes
from hydrophone.simulator.playback import PlaybackServer, load_excerpt
from hydrophone.sources.mempool_space import MempoolSpaceLink, RestPrevoutFetcher, probe
from hydrophone.sources.recording import RecordingLink
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.label_files import LabelFile, build_label_book
from hydrophone.web.live import AlertServer
from hydrophone.web.loopback import check_port_free
from hydrophone.web.status import StatusServer
from hydrophone.wire.mempool_space import MempoolSpaceDecoder
from hydrophone.wire.public_v1 import PublicEncoder, encode_connection
from hydrophone.wire.quarantine import Quarantine
from hydrophone.wire.recording import RecordedFrame, encode_recorded_frame

log = get_logger(__name__)

SOURCE_NAME: Final = "mempool.space"
DEFAULT_URLS: Final = ("ws://localhost:8999/api/v1/ws",)
"""Where a self-hosted backend listens."""
_FRAME_CAPACITY: Final = 64
"""Frames that wait for detection. # chosen: two minutes of them; a full one stops reading from the socket."""
_EFFECT_CAPACITY: Final = 4_096
"""Effects that wait for the store. # chosen: more than one frame ever makes, small in memory."""
_RECORDED_CONN: Final = "live"
_BACKOFF_FIRST_S: Final = 0.25
_BACKOFF_CAP_S: Final = 4.0
"""A source that returns is heard within 5 s. Sources: requirement F9."""


def steady_clock() -> Clock:
    """Return the clock of a running service."""
    clock = SteadyClock()
    return lambda: UnixMicros(clock())


def load_labels(settings: Settings) -> tuple[LabelBook, tuple[LabelFile, ...]]:
    """Return the labels of the settings, and what was read from each file.

    Raises:
        ConfigError: a file cannot be read as labels.
    """
    return build_label_book(Network(settings.network), settings.labels.paths)


def make_encoder(settings: Settings) -> PublicEncoder:
    """Return what spells public messages."""
    return PublicEncoder(Network(settings.network), settings.explorer.url)


def make_tracker(settings: Settings, book: LabelBook) -> Tracker:
    """Return an empty core."""
    return Tracker(network=Network(settings.network), book=book)


def make_decoder(settings: Settings, quarantine: Quarantine) -> MempoolSpaceDecoder:
    """Return a decoder of mempool.space's frames."""
    return MempoolSpaceDecoder(
        source=SOURCE_NAME, threshold_sat=threshold_sat(settings), quarantine=quarantine
    )


def threshold_sat(settings: Settings) -> Sats:
    """Return the value gate in satoshis."""
    return sats_from_btc(settings.whale.threshold_btc)


def make_store(settings: Settings) -> DuckDbStore:
    """Return the store, not yet open."""
    network = Network(settings.network)
    return DuckDbStore(
        settings.store.path,
        address_of=lambda script: address_from_script(script, network),
        memory_limit_mb=settings.store.memory_limit_mb,
    )


def replay(settings: Settings, link: RecordingLink, quarantine: Quarantine) -> Iterator[Publication]:
    """Yield what a recording makes us say: no clock, no network, the same bytes each time.

    Raises:
        SourceUnavailable: the recording cannot be read.
        SourceRejected: it holds no frame of the connection wanted.
    """
    book, files = load_labels(settings)
    report_rejected(files)
    composer = Composer(make_encoder(settings))
    effects = detect(link.frames(), make_decoder(settings, quarantine), make_tracker(settings, book))
    for effect in effects:
        if isinstance(effect, FetchPrevouts):
            continue  # the answer is in the recording, or it never came
        entry = composer.compose(effect)
        if isinstance(entry, Publication):
            yield entry


async def find_source(settings: Settings) -> tuple[str, ...]:
    """Return the URLs to listen to: those set, or the usual one if it answers.

    Raises:
        SourceUnavailable: nothing is set and nothing answers.
    """
    if settings.source.urls:
        return settings.source.urls
    tried = []
    for url in DEFAULT_URLS:
        problem = await probe(url)
        if problem is None:
            return (url,)
        tried.append(f"{url} ({problem})")
    raise SourceUnavailable(
        f"found no source; tried {', '.join(tried)}. Start mempool.space's backend there, name yours "
        "with --source ws://host:8999/api/v1/ws, or hear a simulation with `hydrophone demo`"
    )


class _Source(Protocol):
    """What delivers frames."""

    connected_url: str | None

    async def run(self, ready: Callable[[], None]) -> None: ...


class _RecordingSource:
    """A recording as the source of a running service: played at once, then the service ends."""

    def __init__(self, path: Path, frames: Channel[Frame]) -> None:
        self.connected_url: str | None = f"{RECORDING_SCHEME}{path}"
        self._link = _link(path)
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

    def fetch_prevouts(self, txid: Txid) -> None:
        """Ask nobody."""


@dataclass(frozen=True, slots=True)
class Listening:
    """The front half: a source, its time, and who asks it for prevouts."""

    source: _Source
    services: tuple[Service, ...]
    fetcher: RestPrevoutFetcher | _Nobody
    clock: Clock


def _listen(settings: Settings, urls: Sequence[str], frames: Channel[Frame], clock: Clock) -> Listening:
    if urls[0].startswith(RECORDING_SCHEME):
        recording = _RecordingSource(Path(urls[0].removeprefix(RECORDING_SCHEME)), frames)
        return Listening(recording, (Service("source", recording.run),), _Nobody(), recording.clock)
    link = MempoolSpaceLink(urls, name=SOURCE_NAME, frames=frames, clock=clock, backoff=_backoff())
    fetcher = RestPrevoutFetcher(
        base_url=settings.source.rest_url, link=link, name=SOURCE_NAME, frames=frames, clock=clock
    )
    return Listening(link, (Service("prevouts", fetcher.run), Service("source", link.run)), fetcher, clock)


def _backoff() -> Backoff:
    return Backoff(first_s=_BACKOFF_FIRST_S, cap_s=_BACKOFF_CAP_S, random=Random())  # noqa: S311 -- jitter, no secret


def make_supervisor(settings: Settings) -> Supervisor:
    """Return what starts, watches and stops services."""
    return Supervisor(drain_s=settings.service.drain_s, new_backoff=_backoff)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running service is reached."""

    alerts_url: str
    page_url: str
    source_urls: tuple[str, ...]


class Ears:
    """The front half, live and while recording alike: source, decoder, core.

    Args:
        settings: all of them.
        urls: where to listen.
        book: labels to classify by.
    """

    def __init__(self, settings: Settings, urls: Sequence[str], book: LabelBook) -> None:
        self.frames: Channel[Frame] = Channel("frames", _FRAME_CAPACITY)
        self.effects: Channel[Effect] = Channel("effects", _EFFECT_CAPACITY)
        self.quarantine = Quarantine()
        self.decoder = make_decoder(settings, self.quarantine)
        self.tracker = make_tracker(settings, book)
        self._listening = _listen(settings, urls, self.frames, steady_clock())

    @property
    def clock(self) -> Clock:
        """The time in which events happen: now, or that of a recording."""
        return self._listening.clock

    @property
    def connected_url(self) -> str | None:
        """What is being listened to."""
        return self._listening.source.connected_url

    def services(self, on_frame: Callable[[Frame], Awaitable[None]]) -> tuple[Service, ...]:
        """Return what is to be started after whoever takes the effects."""
        detection = Detection(
            frames=self.frames,
            effects=self.effects,
            decoder=self.decoder,
            tracker=self.tracker,
            fetcher=self._listening.fetcher,
            clock=self.clock,
            on_frame=on_frame,
        )
        return (Service("detection", detection.run, detection.drain), *self._listening.services)


class Engine:
    """A whole running service.

    Args:
        settings: all of them.
        ears: the front half.
        book: labels it classifies by.
        store: open.
        state: what the store remembers.
    """

    def __init__(
        self, settings: Settings, ears: Ears, book: LabelBook, store: DuckDbStore, state: SavedState
    ) -> None:
        self._settings = settings
        self._ears = ears
        self._book = book
        self._store = store
        self._clock = steady_clock()
        self._started_at = self._clock()
        ears.tracker.restore(state.tracked, state.ended)
        self._alerts = AlertServer(
            settings.alerts.host,
            settings.alerts.port,
            greeting=lambda: self._monitor.greeting(),  # noqa: PLW0108 -- the monitor comes after
            max_clients=settings.alerts.max_clients,
        )
        self._monitor = ConnectionMonitor(
            broadcast=self._alerts, encode=encode_connection, started_at=self._started_at
        )
        self._recorder = Recorder(
            effects=ears.effects,
            composer=Composer(make_encoder(settings), state.last_seq),
            store=store,
            broadcast=self._alerts,
            clock=ears.clock,
        )
        self._status = StatusServer(
            settings.api.host,
            settings.api.port,
            report=self.report,
            is_ready=lambda: self._monitor.is_connected,
        )

    def services(self) -> tuple[Service, ...]:
        """Return everything, back to front."""
        return (
            Service("alerts", self._alerts.run),
            Service("status", self._status.run),
            Service("recorder", self._recorder.run, self._recorder.drain),
            *self._ears.services(self._monitor.note),
        )

    def addresses(self) -> Addresses:
        """Return where it is reached, once it runs."""
        return Addresses(
            alerts_url=f"ws://{host_in_url(self._settings.alerts.host)}:{self._alerts.port}",
            page_url=f"http://{host_in_url(self._settings.api.host)}:{self._status.port}/",
            source_urls=() if self._ears.connected_url is None else (self._ears.connected_url,),
        )

    async def report(self) -> dict[str, object]:
        """Return its state for people and programs."""
        counts = await self._store.query_status()
        ears, monitor, alerts = self._ears, self._monitor, self._alerts
        return {
            "version": __version__,
            "uptime_s": (self._clock() - self._started_at) // MICROS_PER_S,
            "memory_mb": round(rss_bytes() / 2**20, 1),
            "network": self._settings.network,
            "simulated": monitor.is_simulated,
            "alerts_port": alerts.port,
            "source": {
                "name": SOURCE_NAME,
                "url": ears.connected_url,
                "connected": monitor.is_connected,
                "last_frame_at": None if monitor.heard_at is None else format_instant(monitor.heard_at),
                "frames": monitor.frame_count,
                "transactions": ears.decoder.transaction_count,
                "malformed": ears.quarantine.count,
                "malformed_newest": [specimen.reason for specimen in ears.quarantine.specimens][-3:],
            },
            "predictions": {
                "total": counts.prediction_count,
                "pending": counts.pending_count,
                "outcomes": counts.outcome_count,
                "by_flow": counts.by_flow,
                "signalled_since_start": self._recorder.signal_count,
            },
            "gaps": counts.gap_count,
            "record_seq": counts.last_seq,
            "alerts": {
                "clients": alerts.client_count,
                "messages": alerts.counters.messages,
                "dropped": alerts.counters.dropped,
                "kicked": alerts.counters.kicked,
            },
            "queues": {
                channel.name: {
                    "waiting": len(channel),
                    "high_water": channel.high_water,
                    "capacity": channel.capacity,
                }
                for channel in (ears.frames, ears.effects)
            },
            "labels": {
                "set": self._book.version,
                "claims": len(self._book),
                "scripts": self._book.script_count,
            },
            "store": str(self._settings.store.path),
        }


async def run_service(
    settings: Settings,
    urls: Sequence[str],
    supervisor: Supervisor,
    on_ready: Callable[[Addresses], None] = lambda _addresses: None,
) -> None:
    """Run everything until the supervisor is stopped.

    Raises:
        HydrophoneError: what ended it.
    """
    check_port_free(settings.alerts.host, settings.alerts.port, section="alerts")
    check_port_free(settings.api.host, settings.api.port, section="api")
    book, files = load_labels(settings)
    report_rejected(files)
    async with _opened(make_store(settings)) as store:
        engine = Engine(settings, Ears(settings, urls, book), book, store, await store.load_state())

        def announce() -> None:
            gc.collect()
            gc.freeze()  # what lives now lives to the end: the collector need not look at it again
            addresses = engine.addresses()
            log.info(
                "ready", alerts=addresses.alerts_url, page=addresses.page_url, store=str(settings.store.path)
            )
            on_ready(addresses)

        try:
            await supervisor.run(engine.services(), announce)
        finally:
            gc.unfreeze()  # else the interpreter ends with what DuckDB counts as leaks
    log.info("stopped")


async def run_record(settings: Settings, urls: Sequence[str], target: Path, supervisor: Supervisor) -> None:
    """Write what a source says into a file until the supervisor is stopped; nothing is stored or served.

    Detection runs, so that the REST answers a replay needs are asked for and recorded too.

    Raises:
        ConfigError: the file cannot be written.
        HydrophoneError: what ended it.
    """
    book, files = load_labels(settings)
    report_rejected(files)
    ears = Ears(settings, urls, book)
    with _writable(target) as write:

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


async def run_demo(
    settings: Settings,
    recording: Path | None,
    supervisor: Supervisor,
    on_ready: Callable[[Addresses], None],
) -> None:
    """Serve a recording as a backend, at its real pace and over and over, and run the service on it.

    The database is thrown away at the end, unless the settings name one. Busy ports are replaced.

    Args:
        settings: all of them.
        recording: a file; None: the excerpt that comes with the package.
        supervisor: stops it.
        on_ready: told where it is reached.
    """
    frames = load_excerpt() if recording is None else list(_link(recording).frames())
    backend = PlaybackServer(
        frames, port=_free_unless_busy("simulator", "localhost", settings.simulator.port)
    )
    ready = asyncio.Event()
    playing = asyncio.create_task(backend.run(ready.set), name="playback")
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({playing, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if playing.done():
            playing.result()
        with tempfile.TemporaryDirectory(prefix="hydrophone-demo-") as folder, _demo_labels() as labels:
            ours = replace(
                settings,
                network=Network.REGTEST.value,
                alerts=replace(
                    settings.alerts,
                    port=_free_unless_busy("alerts", settings.alerts.host, settings.alerts.port),
                ),
                api=replace(
                    settings.api, port=_free_unless_busy("api", settings.api.host, settings.api.port)
                ),
                explorer=replace(settings.explorer, url=None),
                labels=replace(settings.labels, paths=(*settings.labels.paths, labels)),
            )
            if settings.store.path == Settings().store.path:
                ours = replace(ours, store=replace(ours.store, path=Path(folder) / "demo.db"))
            url = f"ws://localhost:{backend.port}/api/v1/ws"
            await run_service(ours, (url,), supervisor, on_ready)
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


def report_rejected(files: Sequence[LabelFile]) -> None:
    """Log each row of a label file that was not loaded."""
    for file in files:
        for row in file.rejected:
            log.warning("label_rejected", file=str(file.path), line=row.line, reason=row.reason)


def _link(path: Path) -> RecordingLink:
    return RecordingLink(path, source=SOURCE_NAME)


def _free_unless_busy(section: str, host: str, port: int) -> int:
    """Return the port, or 0 (any free one) when it is taken, and say so."""
    try:
        check_port_free(host, port, section=section)
    except ConfigError:
        log.warning("port_busy", section=section, port=port, instead="a free one")
        return 0
    return port


@contextlib.contextmanager
def _demo_labels() -> Iterator[Path]:
    """Yield the path of invented labels for the excerpt, so that a demonstration shows directions."""
    source = importlib.resources.files("hydrophone.simulator").joinpath("excerpt_labels.csv")
    with importlib.resources.as_file(source) as path:
        yield path


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Yield what writes to a new file, nothing held back.

    Raises:
        ConfigError: the file cannot be made; the function raises it too, when the disk is full.
    """

    def write(line: bytes) -> None:
        with _translated(path):
            file.write(line)

    with _translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("wb", buffering=0)
    with file:
        yield write


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot write the recording {path}: {error.strerror}; make room, or name another file"
        ) from error


@contextlib.asynccontextmanager
async def _opened(store: DuckDbStore) -> AsyncIterator[DuckDbStore]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()
