"""What keeps the service going for months, beside what it is for: signs of life."""

from collections.abc import Callable
from functools import partial

from hydrophone.bootstrap.listening import Ears
from hydrophone.runtime.heartbeat import ChannelProbe, Heartbeat
from hydrophone.runtime.service_manager import ServiceManager
from hydrophone.runtime.supervisor import Service, Supervisor
from hydrophone.store.duckdb_store import DuckDbStore


class Upkeep:
    """Services that look after the others.

    Args:
        manager: who started us; perhaps nobody.
        supervisor: knows which services pause after a failure.
        store: open.
        ears: the front half.
        describe: what the service does, in a line.
    """

    def __init__(
        self,
        manager: ServiceManager,
        supervisor: Supervisor,
        store: DuckDbStore,
        ears: Ears,
        describe: Callable[[], str],
    ) -> None:
        self._manager = manager
        self._supervisor = supervisor
        self._describe = describe
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
        if not self._manager.is_listening:
            return ()
        return (Service("heartbeat", self._heartbeat.run),)
