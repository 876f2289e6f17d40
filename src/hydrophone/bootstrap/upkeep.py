"""What keeps the service going for months: signs of life, and copies of the database."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from hydrophone.bootstrap.listening import Ears
from hydrophone.config import Settings
from hydrophone.errors import ConfigError
from hydrophone.runtime.heartbeat import ChannelProbe, Heartbeat
from hydrophone.runtime.service_manager import ServiceManager
from hydrophone.runtime.supervisor import Service, Supervisor
from hydrophone.runtime.telemetry import get_logger
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.web.control import ControlServer
from hydrophone.wire.control_v1 import BackedUp, BackUp

log = get_logger(__name__)


def control_path(settings: Settings) -> Path:
    """Return where the control socket of a service is: beside its database."""
    return Path(f"{settings.store.path}.sock")


class Upkeep:
    """Services that look after the others.

    Args:
        settings: all of them.
        manager: who started us; perhaps nobody.
        supervisor: knows which services pause after a failure.
        store: open.
        ears: the front half.
        describe: what the service does, in a line.
    """

    def __init__(
        self,
        settings: Settings,
        manager: ServiceManager,
        supervisor: Supervisor,
        store: DuckDbStore,
        *,
        ears: Ears,
        describe: Callable[[], str],
    ) -> None:
        self._manager = manager
        self._supervisor = supervisor
        self._store = store
        self._describe = describe
        self._control = ControlServer(control_path(settings), self._back_up)
        waits = partial(bool, supervisor.troubles)  # of a full disk: what is behind waits too, and rightly
        self._heartbeat = Heartbeat(
            manager,
            (
                ("store", store.ping),
                ("recorder", ChannelProbe(ears.effects, waits)),
                ("detection", ChannelProbe(ears.frames, waits)),
            ),
            self.describe,
        )

    def describe(self) -> str:
        """Return in a line what the service does, what is wrong first."""
        troubles = [f"{name} tries again: {reason}" for name, reason in self._supervisor.troubles.items()]
        return "; ".join([*troubles, self._describe()])

    def services(self) -> tuple[Service, ...]:
        """Return what is to be started before all others."""
        control = Service("control", self._control.run)
        if not self._manager.is_listening:
            return (control,)
        return (Service("heartbeat", self._heartbeat.run), control)

    async def _back_up(self, request: BackUp) -> BackedUp:
        """Write a copy of the database where whoever owns our files wants it."""
        target = Path(request.path)
        if not target.is_absolute() or "\0" in request.path:
            raise ConfigError(f"expected an absolute path for the copy, found {request.path!r}")
        copy = await self._store.copier.copy_to(target)
        log.info("backed_up", path=request.path, size_bytes=copy.size_bytes, took_s=round(copy.took_s, 2))
        return BackedUp(request.path, copy.size_bytes, copy.took_s, copy.record_seq, copy.record_head)
