"""The whole service on a simulated mempool, or on a recorded one."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from hydrophone.bootstrap.engine import Addresses, run_service
from hydrophone.bootstrap.parts import recording_link
from hydrophone.bootstrap.simulation import listeners_on
from hydrophone.config import Settings
from hydrophone.domain.script import Network
from hydrophone.errors import ConfigError
from hydrophone.runtime.supervisor import Supervisor
from hydrophone.runtime.telemetry import get_logger
from hydrophone.simulator.playback import PlaybackServer
from hydrophone.simulator.scenarios import SCENARIOS
from hydrophone.simulator.server import SimulatorServer
from hydrophone.simulator.simulation import Simulation, SimulationSettings
from hydrophone.simulator.world.label_claims import LabelQuality
from hydrophone.web.loopback import check_port_free

_HOST: Final = "localhost"
_KNOWN: Final = LabelQuality(coverage=0.95, deposits=0.8)
"""chosen: a demonstration shows directions; real label files know fewer deposit addresses."""
_PRICE_USD: Final = 100_000.0
"""# chosen: so round that nobody takes it for a price of today."""

log = get_logger(__name__)


class _Backend(Protocol):
    """What the service is run on."""

    @property
    def port(self) -> int:
        """The port in use."""

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled or done."""


async def run_demo(
    settings: Settings,
    recording: Path | None,
    scenario: str,
    supervisor: Supervisor,
    on_ready: Callable[[Addresses], None],
) -> None:
    """Serve a simulation as a backend, and run the service on it.

    The database is thrown away at the end, unless the settings name one. Busy ports are replaced.

    Args:
        settings: all of them.
        recording: played at its real pace, over and over, instead of a simulation; None: a simulation.
        scenario: which; its labels are used beside those of the settings.
        supervisor: stops it.
        on_ready: told where it is reached.
    """
    port = _free_unless_busy("simulator", _HOST, settings.simulator.port)
    with tempfile.TemporaryDirectory(prefix="hydrophone-demo-") as folder:
        ours = _demo_settings(settings, Path(folder))
        backend: _Backend
        if recording is None:
            started_at = time.time()
            simulation = Simulation(
                SimulationSettings(
                    SCENARIOS[scenario],
                    seed=int(started_at),
                    started_at=started_at,
                    network=Network(settings.network),
                    label_quality=_KNOWN,
                    price_usd=_PRICE_USD,
                )
            )
            backend = SimulatorServer(simulation, listeners_on(_HOST), port=port)
            labels = Path(folder) / "labels.csv"
            labels.write_text(simulation.labels(), encoding="utf-8")
            paths = (*settings.labels.paths, labels)
            ours = replace(ours, labels=replace(settings.labels, paths=paths))
        else:
            backend = PlaybackServer(list(recording_link(recording).frames()), port=port)
        await _run_on(backend, ours, supervisor, on_ready)


async def _run_on(
    backend: _Backend, settings: Settings, supervisor: Supervisor, on_ready: Callable[[Addresses], None]
) -> None:
    """Run a backend and the service on it; whichever ends ends both."""
    ready = asyncio.Event()
    serving = asyncio.create_task(backend.run(ready.set), name="backend")
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        if serving.done():
            serving.result()
        serving.add_done_callback(lambda _: supervisor.stop())
        await run_service(settings, (f"ws://{_HOST}:{backend.port}/api/v1/ws",), supervisor, on_ready)
        if serving.done():
            serving.result()  # whatever ended the backend ended us
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def _demo_settings(settings: Settings, folder: Path) -> Settings:
    """Return the settings with free ports, a database that is thrown away, and no links to real pages."""
    alerts, api = settings.alerts, settings.api
    ours = replace(
        settings,
        alerts=replace(alerts, port=_free_unless_busy("alerts", alerts.host, alerts.port)),
        api=replace(api, port=_free_unless_busy("api", api.host, api.port)),
        explorer=replace(settings.explorer, url=None),
    )
    if settings.store.path == Settings().store.path:
        ours = replace(ours, store=replace(ours.store, path=folder / "demo.db"))
    return ours


def _free_unless_busy(section: str, host: str, port: int) -> int:
    """Return the port, or 0 (any free one) when it is taken, and say so."""
    try:
        check_port_free(host, port, section=section)
    except ConfigError:
        log.warning("port_busy", section=section, port=port, instead="a free one")
        return 0
    return port
