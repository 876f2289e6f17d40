"""Settings become objects: one function for each part."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from random import Random
from typing import Final

from hydrophone.config import Settings
from hydrophone.domain.forecast import Forecaster, Run, at_once
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.script import Network, address_from_script
from hydrophone.domain.tracker import Tracker
from hydrophone.domain.units import Sats, UnixMicros, datetime_from_micros, sats_from_btc
from hydrophone.errors import SourceUnavailable
from hydrophone.pipeline.ports import Clock
from hydrophone.runtime.backoff import Backoff
from hydrophone.runtime.clock import SteadyClock
from hydrophone.runtime.supervisor import Supervisor
from hydrophone.runtime.telemetry import get_logger
from hydrophone.sources.mempool_space import probe
from hydrophone.sources.recording import RecordingLink
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.label_files import FileReport, build_label_book
from hydrophone.store.label_sets import LabelSets
from hydrophone.wire.mempool_space import MempoolSpaceDecoder
from hydrophone.wire.public_v1 import PublicEncoder
from hydrophone.wire.quarantine import Quarantine

log = get_logger(__name__)

SOURCE_NAME: Final = "mempool.space"
DEFAULT_URLS: Final = ("ws://localhost:8999/api/v1/ws",)
"""Where a self-hosted backend listens."""

_REJECTED_LOGGED: Final = 20
"""# chosen: enough to see what is wrong; `hydrophone labels check FILE` names the others."""

_BACKOFF_FIRST_S: Final = 0.25
_BACKOFF_CAP_S: Final = 4.0
"""A source that returns is heard within 5 s. Sources: requirement F9."""


def steady_clock() -> Clock:
    """Return the clock of a running service."""
    clock = SteadyClock()
    return lambda: UnixMicros(clock())


def today() -> date:
    """Return the date, in UTC: the one by which a running service says which labels are over."""
    return datetime_from_micros(steady_clock()()).date()


def label_sets(settings: Settings) -> LabelSets:
    """Return the kept label sets."""
    return LabelSets(settings.labels.folder, Network(settings.network))


def load_labels(settings: Settings, on: date | None) -> tuple[LabelBook, tuple[FileReport, ...]]:
    """Return the labels of the package, of the kept sets and of the files, and what each file said.

    Args:
        settings: all of them.
        on: the date by which a label has begun or is over; None: see `LabelBook`.

    Raises:
        ConfigError: a file cannot be read as labels.
    """
    sets = label_sets(settings).load_all()
    return build_label_book(Network(settings.network), settings.labels.paths, sets=sets, on=on)


def make_encoder(settings: Settings) -> PublicEncoder:
    """Return what spells public messages."""
    return PublicEncoder(Network(settings.network), settings.explorer.url)


def make_tracker(settings: Settings, book: LabelBook, *, run: Run = at_once) -> Tracker:
    """Return an empty core.

    Args:
        settings: all of them.
        book: labels it classifies by.
        run: where it computes what takes long.
    """
    return Tracker(network=Network(settings.network), book=book, forecaster=Forecaster(run=run))


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


def report_rejected(files: Sequence[FileReport]) -> None:
    """Log the rows of label files that were not loaded: the first of each, and how many more there are."""
    for file in files:
        for row in file.rejected[:_REJECTED_LOGGED]:
            log.warning("label_rejected", file=str(file.path), line=row.line, reason=row.reason)
        if len(file.rejected) > _REJECTED_LOGGED:
            log.warning("labels_rejected", file=str(file.path), more=len(file.rejected) - _REJECTED_LOGGED)


def recording_link(path: Path) -> RecordingLink:
    """Return the frames of a recording."""
    return RecordingLink(path, source=SOURCE_NAME)


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


def new_backoff() -> Backoff:
    """Return the pauses between attempts."""
    return Backoff(first_s=_BACKOFF_FIRST_S, cap_s=_BACKOFF_CAP_S, random=Random())  # noqa: S311 -- jitter, no secret


def make_supervisor(settings: Settings) -> Supervisor:
    """Return what starts, watches and stops services."""
    return Supervisor(drain_s=settings.service.drain_s, new_backoff=new_backoff)
