"""The whole service on a recorded mempool."""

import asyncio
import contextlib
import importlib.resources
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from hydrophone.bootstrap.engine import Addresses, run_service
from hydrophone.bootstrap.parts import recording_link
from hydrophone.config import Settings
from hydrophone.domain.script import Network
from hydrophone.errors import ConfigError
from hydrophone.runtime.supervisor import Supervisor
from hydrophone.runtime.telemetry import get_logger
from hydrophone.simulator.playback import PlaybackServer, load_excerpt
from hydrophone.web.loopback import check_port_free

log = get_logger(__name__)


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
        recording: a file; None: the excerpt that comes with the package, and the labels made for it.
        supervisor: stops it.
        on_ready: told where it is reached.
    """
    frames = load_excerpt() if recording is None else list(recording_link(recording).frames())
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
        playing.add_done_callback(lambda _: supervisor.stop())
        with tempfile.TemporaryDirectory(prefix="hydrophone-demo-") as folder, _excerpt_labels() as labels:
            ours = replace(
                settings,
                alerts=replace(
                    settings.alerts,
                    port=_free_unless_busy("alerts", settings.alerts.host, settings.alerts.port),
                ),
                api=replace(
                    settings.api, port=_free_unless_busy("api", settings.api.host, settings.api.port)
                ),
                explorer=replace(settings.explorer, url=None),
            )
            if recording is None:
                paths = (*settings.labels.paths, labels)
                ours = replace(
                    ours, network=Network.REGTEST.value, labels=replace(settings.labels, paths=paths)
                )
            if settings.store.path == Settings().store.path:
                ours = replace(ours, store=replace(ours.store, path=Path(folder) / "demo.db"))
            url = f"ws://localhost:{backend.port}/api/v1/ws"
            await run_service(ours, (url,), supervisor, on_ready)
        if playing.done():
            playing.result()  # whatever ended the backend ended us
    finally:
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


def _free_unless_busy(section: str, host: str, port: int) -> int:
    """Return the port, or 0 (any free one) when it is taken, and say so."""
    try:
        check_port_free(host, port, section=section)
    except ConfigError:
        log.warning("port_busy", section=section, port=port, instead="a free one")
        return 0
    return port


@contextlib.contextmanager
def _excerpt_labels() -> Iterator[Path]:
    """Yield the path of invented labels for the excerpt, so that a demonstration shows directions."""
    source = importlib.resources.files("hydrophone.simulator").joinpath("excerpt_labels.csv")
    with importlib.resources.as_file(source) as path:
        yield path
