"""What a service watches of itself: memory, queues, open files, the disk."""

import contextlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any, Final

from hydrophone.bootstrap.api import Api
from hydrophone.bootstrap.listening import Ears
from hydrophone.config import MemorySettings, Settings
from hydrophone.errors import StoreError
from hydrophone.pipeline.connection import ConnectionMonitor
from hydrophone.pipeline.ports import Clock
from hydrophone.runtime.channel import Channel
from hydrophone.runtime.memory_guard import (
    MB,
    Level,
    MemoryGuard,
    MemoryLimits,
    Relief,
    relief,
)
from hydrophone.runtime.queue_watch import Fill, QueueWatch
from hydrophone.runtime.supervisor import Service
from hydrophone.runtime.telemetry import process_figures
from hydrophone.sources.mempool_space_rest import REST_BACKLOG
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.side_reader import MOST_WAITING
from hydrophone.web.http_server import HttpServer
from hydrophone.web.live import AlertServer

_STORE_SHORT_MB: Final = 48
"""What DuckDB may use while memory is short. # chosen: at 200,000 predictions commits and every query of REST
still fit; measured down to 32."""
_REMARKS: Final[Mapping[Level, str | None]] = {
    Level.NORMAL: None,
    Level.SHEDDING: "short of memory: caches and slow clients are let go, no prediction is",
    Level.HOLDING: "short of memory: look-ups for low-fee whales wait, no prediction does",
}


class Vitals:
    """Watches a service from inside.

    Args:
        settings: all of them.
        ears: the front half.
        store: open.
        alerts: the alert websocket.
        api: who answers REST.
        http: carries REST.
        monitor: tells clients.
        clock: now.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        ears: Ears,
        store: DuckDbStore,
        alerts: AlertServer,
        api: Api,
        http: HttpServer,
        monitor: ConnectionMonitor,
        clock: Clock,
    ) -> None:
        self._ears = ears
        self._store = store
        self._alerts = alerts
        self._monitor = monitor
        self._clock = clock
        self._guard = MemoryGuard(
            limits_of(settings.memory),
            (
                relief("answers", api.shrink, api.grow),
                relief("replay", alerts.shrink, alerts.grow),
                relief("specimens", ears.quarantine.clear, lambda: None),
                relief("slow_clients", alerts.shed_slow, alerts.spare_slow),
                relief("slow_requests", http.shed_slow, http.spare_slow),
                Relief("database", self._shrink_store, self._grow_store),
                relief("lookups", ears.asker.hold, ears.asker.release, Level.HOLDING),
            ),
            on_level=self._say,
        )
        self._watch = QueueWatch(_queues(ears, store, alerts, http))

    def services(self) -> tuple[Service, ...]:
        """Return what watches; it works until it is cancelled, so it is started first and stopped last."""
        return (Service("memory", self._guard.run), Service("queues", self._watch.run))

    def memory(self) -> dict[str, Any]:
        """Return how short of memory we are, and what is kept only to be quick."""
        kept = {f"replay_{name}": count for name, count in self._alerts.kept.items()}
        return {**self._guard.report(), "kept": kept}

    def queues(self) -> dict[str, dict[str, Any]]:
        """Return how full every bounded queue is."""
        return self._watch.report()

    def process(self) -> dict[str, Any]:
        """Return open files and threads."""
        return process_figures()._asdict()

    def storage(self) -> dict[str, Any]:
        """Return the size of the database's files and the room beside them, in bytes; None: not known now."""
        path = self._store.path
        return {
            "file_bytes": _or_none(lambda: path.stat().st_size),
            "wal_bytes": _or_none(lambda: path.with_name(f"{path.name}.wal").stat().st_size) or 0,
            "free_bytes": _or_none(lambda: shutil.disk_usage(path.parent).free),
        }

    async def _shrink_store(self) -> int:
        try:
            return int(await self._store.limit_memory(_STORE_SHORT_MB))
        except StoreError:
            return 0  # a large question is under way; the next look tries again

    async def _grow_store(self) -> None:
        with contextlib.suppress(StoreError):  # it is being opened anew, and then with all it may use
            await self._store.limit_memory()

    async def _say(self, level: Level) -> None:
        await self._monitor.remark(_REMARKS[level], self._clock())


def limits_of(settings: MemorySettings) -> MemoryLimits:
    """Return the limits in bytes."""
    shed_bytes = settings.shed_mb * MB
    return MemoryLimits(
        shed_bytes=shed_bytes,
        recover_bytes=shed_bytes * settings.recover_percent // 100,
        limit_bytes=settings.limit_mb * MB,
    )


def _queues(
    ears: Ears, store: DuckDbStore, alerts: AlertServer, http: HttpServer
) -> dict[str, Callable[[], Fill]]:
    def channel(queue: Channel[Any]) -> Callable[[], Fill]:
        return lambda: Fill(len(queue), queue.capacity, queue.high_water)

    return {
        ears.frames.name: channel(ears.frames),
        "frame_bytes": lambda: Fill(ears.frames.weight, ears.frames.max_weight),
        ears.effects.name: channel(ears.effects),
        "lookups": lambda: Fill(ears.under_way_count, REST_BACKLOG),
        "lookups_held": lambda: Fill(ears.asker.waiting_count, ears.asker.capacity),
        "database_questions": lambda: Fill(store.questions_waiting, MOST_WAITING),
        "http_connections": lambda: Fill(http.connection_count, http.capacity),
        "alert_clients": lambda: Fill(alerts.client_count, alerts.capacity),
        "client_backlog": lambda: Fill(alerts.longest_backlog, alerts.backlog_capacity),
    }


def _or_none(read: Callable[[], int]) -> int | None:
    try:
        return read()
    except OSError:
        return None
