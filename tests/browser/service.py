"""The real service as a child process, which can be stopped and started again where it was."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from tests.browser.simulated import SimulatedSource
from tests.e2e.program import Program, addresses_of, started

HOST: Final = "localhost"

# The program, which calls predictions unavailable after other than five minutes. It looks at the clock more
# often, too, and asks for blocks more often.
_IMPATIENT: Final = """
import sys
from hydrophone.bootstrap.engine import run_service
from hydrophone.pipeline.degradation import Patience
run_service.__kwdefaults__["patience"] = Patience(unheard_s=float(sys.argv[1]), poll_s=0.5, look_s=0.05)
from hydrophone.cli import main
sys.exit(main(sys.argv[2:]))
"""


class RunningService:
    """A service that hears a simulated source.

    Args:
        source: what it hears.
        folder: its database, its labels.
        unheard_s: without the mempool, until it calls predictions unavailable; None: five minutes.
        options: more of them for `hydrophone run`.
    """

    def __init__(
        self, source: SimulatedSource, folder: Path, unheard_s: float | None, options: Sequence[str] = ()
    ) -> None:
        self._source = source
        self._folder = folder
        self._by = ("-m", "hydrophone") if unheard_s is None else ("-c", _IMPATIENT, str(unheard_s))
        self._options = options
        self._ports = ("0", "0")
        self._running = AsyncExitStack()
        self.program: Program | None = None

    @property
    def origin(self) -> str:
        """Of the page: scheme, host and port."""
        return f"http://{HOST}:{self._ports[1]}"

    @property
    def alerts_port(self) -> str:
        """Where it serves alerts alone."""
        return self._ports[0]

    @property
    def database(self) -> Path:
        return self._folder / "predictions.db"

    async def start(self) -> None:
        """Start it, at the ports it had before, and wait until it hears the source."""
        alerts_port, api_port = self._ports
        self.program = await self._running.enter_async_context(
            started(
                *("run", "--source", self._source.url, "--labels", str(self._folder / "labels.csv")),
                *("--store-path", str(self.database)),
                *("--alerts-port", alerts_port, "--api-port", api_port),
                *self._options,
                by=self._by,
                cwd=self._folder,
            )
        )
        addresses = await addresses_of(self.program)
        self._ports = (addresses.alerts_url.rpartition(":")[2], addresses.api_port)
        if self._source.simulation.is_listening:
            await self.program.logged("source_connected")

    async def stop(self) -> None:
        """Stop it in good order."""
        if self.program is None:
            return
        code, _ = await self.program.stop()
        await self._running.aclose()
        assert code == 0, self.program.noise
        self.program = None

    async def restart(self) -> None:
        """Stop it and start it again, on the same ports and database."""
        await self.stop()
        await self.start()

    async def kill(self) -> None:
        """End it without a word."""
        if self.program is not None:
            if self.program.process.returncode is None:
                self.program.process.kill()
            await self._running.aclose()
            self.program = None


@asynccontextmanager
async def running_service(
    source: SimulatedSource, folder: Path, *, unheard_s: float | None = None, options: Sequence[str] = ()
) -> AsyncIterator[RunningService]:
    """Run a service within the context; its labels are those of the simulated organisations."""
    (folder / "labels.csv").write_text(source.simulation.labels())
    service = RunningService(source, folder, unheard_s, options)
    try:
        await service.start()
        yield service
        await service.stop()
    finally:
        await service.kill()
