"""The whole service: from the source to the subscribers."""

import asyncio
import contextlib
import gc
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from hydrophone import __version__
from hydrophone.bootstrap.access import check_access, make_access, make_doors
from hydrophone.bootstrap.api import Api, Sources
from hydrophone.bootstrap.explaining import LiveExplainer
from hydrophone.bootstrap.listening import Ears
from hydrophone.bootstrap.metrics import figures_of
from hydrophone.bootstrap.parts import (
    SOURCE_NAME,
    load_labels,
    make_encoder,
    make_store,
    report_rejected,
    steady_clock,
    today,
)
from hydrophone.bootstrap.upkeep import Upkeep
from hydrophone.bootstrap.vitals import Vitals
from hydrophone.config import Settings, host_in_url
from hydrophone.domain.events import GapFound, GapReason, RecordGap
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.script import Network
from hydrophone.domain.units import MICROS_PER_S, UnixMicros, datetime_from_micros, format_instant
from hydrophone.errors import StoreError
from hydrophone.pipeline.accuracy_watch import AccuracyWatch
from hydrophone.pipeline.broadcast import Composer, Recorder
from hydrophone.pipeline.connection import ConnectionMonitor, Signs
from hydrophone.pipeline.degradation import Degradation, Patience
from hydrophone.pipeline.detection import take_up
from hydrophone.pipeline.gaps import GapDesk
from hydrophone.pipeline.ports import SavedState, StoreStatus
from hydrophone.pipeline.prices import PriceBoard
from hydrophone.pipeline.record import RecordDesk
from hydrophone.pipeline.retention import Retention
from hydrophone.pipeline.timings import Timings
from hydrophone.runtime.frame import Frame
from hydrophone.runtime.loop_errors import LoopErrors
from hydrophone.runtime.service_manager import ServiceManager
from hydrophone.runtime.supervisor import Service, Supervisor
from hydrophone.runtime.telemetry import get_logger
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.history import StoredHistory
from hydrophone.store.hours import StoredHours
from hydrophone.store.stored_record import StoredRecord
from hydrophone.web.gate import Gate
from hydrophone.web.live import AlertServer
from hydrophone.web.loopback import check_port_free
from hydrophone.web.rest import RestServer
from hydrophone.web.socket_gate import SocketGate
from hydrophone.web.static_files import load_pages
from hydrophone.wire.prices import PRICES_PATH, parse_prices_answer, parse_prices_frame
from hydrophone.wire.public_v1 import encode_connection
from hydrophone.wire.stream_signs import parse_loaded_share, tells_blocks, tells_mempool

log = get_logger(__name__)

_SWITCH_S: Final = 0.001
"""After so long a thread that spells answers gives way to the event loop, and so to alerts. # chosen: the
interpreter's 5 ms are half of what an alert may take; one costs nothing that can be measured."""
COUNT_S: Final = 2.0
"""The database may take so long to count what it holds. # chosen: some hundred times what it takes; a status
that waits for a disk that hangs is of no use, and REST gives up after 10 s."""
_HOURS_EVERY_S: Final = 60.0
"""# chosen: a busy minute's whales fall into a few hours, which are counted in some milliseconds."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running service is reached."""

    alerts_url: str
    page_url: str
    source_urls: tuple[str, ...]


class Engine:
    """A whole running service.

    Args:
        settings: all of them.
        ears: the front half.
        book: labels it classifies by.
        store: open.
        state: what the store remembers.
        patience: with a source that is not heard.
    """

    def __init__(
        self,
        settings: Settings,
        ears: Ears,
        book: LabelBook,
        store: DuckDbStore,
        *,
        state: SavedState,
        patience: Patience,
    ) -> None:
        self._settings = settings
        self._ears = ears
        self._book = book
        self._store = store
        self._clock = steady_clock()
        self._started_at = self._clock()
        take_up(state, ears.tracker)
        ears.decoder.resume(state.heard_at)
        self._access = make_access(settings, self._clock)
        gate = Gate(self._access, make_doors(settings))
        self._alerts = AlertServer(
            settings.alerts.host,
            settings.alerts.port,
            greeting=lambda: self._monitor.greeting(),  # noqa: PLW0108 -- the monitor comes after
            admission=SocketGate(gate, self._access),
            record=StoredRecord(store),
            last_seq=state.last_seq,
            max_clients=settings.alerts.max_clients,
        )
        self._monitor = ConnectionMonitor(
            broadcast=self._alerts,
            encode=encode_connection,
            signs=Signs(tells_mempool, parse_loaded_share, tells_blocks),
            started_at=self._started_at,
            heard_before=state.heard_at,
            is_never_quiet=Network(settings.network) is Network.MAINNET,
            patience_s=patience.unheard_s,
            on_silence=self._record_silence,
        )
        self._degradation = Degradation(
            monitor=self._monitor,
            asker=ears.asker,
            clock=ears.clock,
            patience=patience,
        )
        self._gaps = GapDesk(store.query_gaps, monitor=self._monitor, source=SOURCE_NAME, clock=self._clock)
        self._recorder = Recorder(
            effects=ears.effects,
            composer=Composer(make_encoder(settings), state.last_seq),
            store=store,
            broadcast=self._alerts,
            clock=ears.clock,
            timings=Timings([SOURCE_NAME]),
        )
        self._prices = PriceBoard(
            source=SOURCE_NAME,
            parse_frame=parse_prices_frame,
            parse_answer=parse_prices_answer,
            fetch=partial(ears.fetch, PRICES_PATH),
            clock=self._clock,
        )
        self._retention = Retention(
            StoredHistory(store, self._clock), keep_days=settings.store.retention_days, clock=self._clock
        )
        self._watch = AccuracyWatch(
            store.query_window,
            threshold_percent=settings.accuracy.threshold_percent,
            window_h=settings.accuracy.window_h,
            cooldown_h=settings.accuracy.cooldown_h,
            is_simulated=lambda: self._monitor.is_simulated,
            clock=self._clock,
        )
        self._is_up = asyncio.Event()
        self._counted: tuple[StoreStatus, dict[str, object]] | None = None
        self._hours = StoredHours(store)
        self._api = Api(
            store,
            self._hours,
            self._access,
            Sources(
                report=self.report,
                fee_market=self.fee_market,
                gaps=self._gaps.answer,
                record=RecordDesk(store.query_record).answer,
                explain=LiveExplainer(settings, book, ears.tracker.labels, store).explain,
                why_not_ready=lambda: None if self._monitor.is_heard else self._monitor.text,
                metrics=lambda report: figures_of(report, self._rest, self._recorder.timings),
                book=book,
                learned_count=lambda: ears.tracker.labels.learned_count,
                prices=self._prices.answer,
                explorer_url=settings.explorer.url,
            ),
            clock=self._clock,
        )
        self._rest = RestServer(
            settings.api.host,
            settings.api.port,
            routes=self._api.routes(),
            gate=gate,
            version=__version__,
            is_open=self._access.is_open,
            pages=load_pages(),
            alerts=self._alerts,
        )
        self._vitals = Vitals(
            settings,
            ears=ears,
            store=store,
            alerts=self._alerts,
            api=self._api,
            http=self._rest.server,
            monitor=self._monitor,
            clock=self._clock,
        )

    def services(self) -> tuple[Service, ...]:
        """Return everything, back to front."""
        return (
            *self._vitals.services(),
            Service("alerts", self._alerts.run),
            Service("rest", self._serve_rest),
            Service("recorder", self._recorder.run, self._recorder.drain),
            Service("labels", self._record_labels),
            Service("history", self._keep_history),
            Service("hours", self._count_hours),
            Service("accuracy", self._watch.run),
            Service("degradation", self._degradation.run),
            Service("prices", self._prices.run),
            *self._ears.services(self._note_frame),
        )

    def note_up(self) -> None:
        """Begin what may wait until everything runs."""
        self._is_up.set()

    async def _record_labels(self, ready: Callable[[], None]) -> None:
        """Record which labels are used; not before everything runs, since a large set takes seconds."""
        ready()
        await self._is_up.wait()
        await self._store.record_labels(self._book, self._started_at)
        log.debug("labels_recorded", label_set=self._book.version, claims=len(self._book))

    async def _keep_history(self, ready: Callable[[], None]) -> None:
        """Keep the days and remove what is old; not before everything runs, since it may be much."""
        ready()
        await self._is_up.wait()
        await self._retention.run()

    async def _serve_rest(self, ready: Callable[[], None]) -> None:
        try:
            await self._rest.run(ready)
        finally:
            await self._api.close()

    async def _count_hours(self, ready: Callable[[], None]) -> None:
        """Count the history by the hour; not before everything runs, since it may be much."""
        ready()
        await self._is_up.wait()
        await self._hours.count_all()
        while True:  # so that who asks after a busy day does not wait for the counting of it
            await asyncio.sleep(_HOURS_EVERY_S)
            await self._hours.refresh()

    async def _note_frame(self, frame: Frame) -> None:
        self._prices.note(frame)
        await self._monitor.note(frame)

    async def _record_silence(self, begun_at: UnixMicros, ended_at: UnixMicros, reason: str) -> None:
        """Record a gap that no frame tells of: the connection stayed open."""
        gap = GapFound(ended_at, SOURCE_NAME, GapReason.SILENT, begun_at, reason)
        await self._ears.effects.put(RecordGap(gap))

    def describe(self) -> str:
        """Return in a line what it does, for whoever manages services."""
        return f"{self._monitor.text}; {self._recorder.signal_count} whales since the start"

    def addresses(self) -> Addresses:
        """Return where it is reached, once it runs."""
        return Addresses(
            alerts_url=f"ws://{host_in_url(self._settings.alerts.host)}:{self._alerts.port}",
            page_url=f"http://{host_in_url(self._settings.api.host)}:{self._rest.port}/",
            source_urls=() if self._ears.connected_url is None else (self._ears.connected_url,),
        )

    async def fee_market(self) -> dict[str, object]:
        """Return the fee market as it is now, and what was learned about it."""
        forecaster = self._ears.tracker.forecaster
        market, state = forecaster.market, forecaster.state
        return {
            "at": None if market is None else format_instant(market.at),
            "market": None if market is None else market.as_json(),
            "marginal_rate": None if market is None else market.marginal_rate_sat_vb,
            "model_state": state.state_id,
            "calibrated": state.is_calibrated,
            "model": state.as_json(),
            "let_go": forecaster.let_go_count,
            "simulated": self._monitor.is_simulated,
        }

    def _retention_report(self) -> dict[str, object]:
        done_at = self._retention.done_at
        return {
            "keep_days": self._settings.store.retention_days,
            "removed_since_start": self._retention.removed_count,
            "done_at": None if done_at is None else format_instant(done_at),
        }

    async def _count(self) -> tuple[StoreStatus, dict[str, object]]:
        """Return what the database holds.

        Raises:
            StoreError: it cannot be read, or does not answer.
        """
        try:
            async with asyncio.timeout(COUNT_S):
                return await self._store.query_status(), await self._gaps.summary()
        except TimeoutError as error:
            raise StoreError(
                f"{self._store.path} has not answered for {COUNT_S:g} s: is its disk slow, or gone?"
            ) from error

    async def report(self) -> dict[str, object]:
        """Return its state for people and programs.

        While the database cannot be read, what it held last, and why: that is when somebody looks.

        Raises:
            StoreError: it could not be read yet.
        """
        trouble = None
        try:
            self._counted = await self._count()
        except StoreError as error:
            if self._counted is None:
                raise
            trouble = str(error)
        counts, blindness = self._counted
        ears, monitor, alerts = self._ears, self._monitor, self._alerts
        unheard_since = monitor.unheard_since
        memory = self._vitals.memory()
        return {
            "version": __version__,
            "uptime_s": (self._clock() - self._started_at) // MICROS_PER_S,
            "memory_mb": memory["rss_mb"],
            "memory": memory,
            "process": self._vitals.process(),
            "network": self._settings.network,
            "simulated": monitor.is_simulated,
            "alerts_port": alerts.port,
            "whale_threshold_btc": float(self._settings.whale.threshold_btc),
            "explorer_url": self._settings.explorer.url,
            "source": {
                "name": SOURCE_NAME,
                "url": ears.connected_url,
                "connected": monitor.is_connected,
                "status": str(monitor.status),
                "mempool_available": monitor.is_heard,
                "unheard_since": None if unheard_since is None else format_instant(unheard_since),
                "blocks_followed": monitor.blocks_followed,
                "message": monitor.text,
                "last_frame_at": None if monitor.heard_at is None else format_instant(monitor.heard_at),
                "frames": monitor.frame_count,
                "transactions": ears.decoder.transaction_count,
                "questions_open": ears.tracker.question_count,
                "lookups": ears.asked_count,
                "lookups_refused": ears.refused_count,
                "lookups_held": ears.asker.held_count,
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
            "accuracy": self._watch.report(),
            "retention": self._retention_report(),
            "gaps": counts.gap_count,
            "blindness": blindness,
            "record_seq": counts.last_seq,
            "record_head": counts.record_head,
            "alerts": {
                "clients": alerts.client_count,
                "messages": alerts.counters.messages,
                "dropped": alerts.counters.dropped,
                "kicked": alerts.counters.kicked,
                "shed": alerts.counters.shed,
                "refused": alerts.refused_count,
            },
            "queues": self._vitals.queues(),
            "latency": {"received_to_published_ms": self._recorder.timings.newest_published_ms()},
            "labels": {
                "set": self._book.version,
                "claims": len(self._book),
                "scripts": self._book.script_count,
                "learned": ears.tracker.labels.learned_count,
            },
            "label_age": _label_age(self._book, self._clock()),
            "store": str(self._settings.store.path),
            "storage": {**self._vitals.storage(), "trouble": trouble},
        }


def _label_age(book: LabelBook, now: UnixMicros) -> dict[str, object]:
    """Return of when the labels are that are used."""
    oldest, newest = book.oldest, book.newest
    return {
        "oldest": None if oldest is None else oldest.isoformat(),
        "newest": None if newest is None else newest.isoformat(),
        "newest_age_days": None if newest is None else (datetime_from_micros(now).date() - newest).days,
    }


async def run_service(
    settings: Settings,
    urls: Sequence[str],
    supervisor: Supervisor,
    on_ready: Callable[[Addresses], None] = lambda _addresses: None,
    *,
    patience: Patience = Patience(),  # noqa: B008 -- it cannot change
) -> None:
    """Run everything until the supervisor is stopped.

    Args:
        settings: all of them.
        urls: where to listen.
        supervisor: starts, watches and stops everything.
        on_ready: told where the service is reached, once it is.
        patience: with a source that is not heard.

    Raises:
        HydrophoneError: what ended it.
    """
    check_access(settings)
    check_port_free(settings.alerts.host, settings.alerts.port, section="alerts")
    check_port_free(settings.api.host, settings.api.port, section="api")
    book, files = load_labels(settings, today())
    report_rejected(files)
    with contextlib.closing(Ears(settings, urls, book)) as ears:
        await _serve(settings, ears, book, supervisor, on_ready=on_ready, patience=patience)


async def _serve(
    settings: Settings,
    ears: Ears,
    book: LabelBook,
    supervisor: Supervisor,
    *,
    on_ready: Callable[[Addresses], None],
    patience: Patience,
) -> None:
    manager = ServiceManager.from_environment()
    manager.say("opening the database")
    async with _opened(make_store(settings)) as store:
        engine = Engine(settings, ears, book, store, state=await store.load_state(), patience=patience)
        upkeep = Upkeep(settings, manager, supervisor, store, ears=ears, describe=engine.describe)

        def announce() -> None:
            gc.collect()
            gc.freeze()  # what lives now lives to the end: the collector need not look at it again
            addresses = engine.addresses()
            log.info(
                "ready", alerts=addresses.alerts_url, page=addresses.page_url, store=str(settings.store.path)
            )
            on_ready(addresses)
            manager.ready(upkeep.describe())
            engine.note_up()

        asyncio.get_running_loop().set_exception_handler(LoopErrors())
        switch_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        try:
            services = (*upkeep.services(), *engine.services())
            await supervisor.run(services, announce, manager.stopping)
        finally:
            sys.setswitchinterval(switch_s)
            gc.unfreeze()  # else the interpreter ends with what DuckDB counts as leaks
    log.info("stopped")


@contextlib.asynccontextmanager
async def _opened(store: DuckDbStore) -> AsyncIterator[DuckDbStore]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()
