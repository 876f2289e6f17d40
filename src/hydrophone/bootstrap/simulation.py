"""The simulator on its own: served on a port, or as fast as it goes for its truth alone."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hydrophone.bootstrap.files import saying_what_failed
from hydrophone.errors import ConfigError
from hydrophone.runtime.supervisor import Service, Supervisor
from hydrophone.simulator.server import SimulatorServer
from hydrophone.simulator.simulation import Simulation, SimulationSettings
from hydrophone.simulator.world.lives import End
from hydrophone.web.loopback import open_listeners

_HOST: Final = "localhost"


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """What `hydrophone simulate` was asked for.

    Attributes:
        settings: what is simulated.
        port: to serve it on; 0: not at all.
        speed: virtual seconds by real second.
        duration_s: virtual; None: for ever.
        truth: file for what really happened; None: nobody wants to know.
        labels: file for labels of the simulated organisations; None: none is written.
    """

    settings: SimulationSettings
    port: int
    speed: float = 1.0
    duration_s: float | None = None
    truth: Path | None = None
    labels: Path | None = None


@dataclass(frozen=True, slots=True)
class SimulationSummary:
    """What came to pass. Counts.

    Attributes:
        blocks: found.
        transactions: made, those that nobody saw before their block included.
        whales: of them above 100 BTC.
        ends: of them by how they ended.
    """

    blocks: int
    transactions: int
    whales: int
    ends: dict[str, int]


async def run_simulation(
    request: SimulationRequest, supervisor: Supervisor, on_ready: Callable[[str], None]
) -> SimulationSummary:
    """Serve a simulation until its duration is over or the supervisor is stopped.

    Args:
        request: what to simulate.
        supervisor: stops it.
        on_ready: told the URL.

    Raises:
        ConfigError: the port is taken, or a file cannot be written.
    """
    with _simulation(request) as simulation:
        server = SimulatorServer(
            simulation,
            listeners_on(_HOST),
            port=request.port,
            speed=request.speed,
            duration_s=request.duration_s,
        )
        await supervisor.run(
            [Service("simulator", server.run)],
            lambda: on_ready(f"ws://{_HOST}:{server.port}/api/v1/ws"),
        )
    return _summary(simulation)


def simulate_truth(request: SimulationRequest, on_progress: Callable[[float], bool]) -> SimulationSummary:
    """Simulate without a server, as fast as it goes.

    Args:
        request: what to simulate; it has a duration.
        on_progress: told how many virtual seconds passed; returns whether to go on.

    Raises:
        ConfigError: a file cannot be written.
    """
    assert request.duration_s is not None
    with _simulation(request) as simulation:
        end = request.settings.started_at + request.duration_s
        before = request.settings.started_at
        while simulation.next_at <= end:
            at = simulation.step().at
            if not on_progress(at - before):
                break
            before = at
    return _summary(simulation)


def listeners_on(host: str) -> Callable[[int], list[socket.socket]]:
    """Return what opens the simulator's sockets; a busy port is an error that names a free one."""

    def listen(port: int) -> list[socket.socket]:
        try:
            return open_listeners(host, port, section="simulator")
        except ConfigError as error:
            free = open_listeners(host, 0, section="simulator")
            number = free[0].getsockname()[1]
            for listener in free:
                listener.close()
            raise ConfigError(f"{error}; port {number} is free") from error

    return listen


@contextlib.contextmanager
def _simulation(request: SimulationRequest) -> Iterator[Simulation]:
    """Yield the simulation with its files; the truth is complete when it is left."""
    with contextlib.ExitStack() as files:
        write_truth = None if request.truth is None else files.enter_context(_writer(request.truth))
        simulation = Simulation(request.settings, write_truth)
        if request.labels is not None:
            with _writer(request.labels) as write:
                write(simulation.labels())
        try:
            yield simulation
        finally:
            simulation.close()


@contextlib.contextmanager
def _writer(path: Path) -> Iterator[Callable[[str], None]]:
    """Yield what writes to a file that is made anew.

    Raises:
        ConfigError: it cannot be made; the function raises it too, when the disk is full.
    """

    def write(text: str) -> None:
        with saying_what_failed(path):
            file.write(text)

    with saying_what_failed(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", encoding="utf-8")
    try:
        yield write
    finally:
        with saying_what_failed(path):
            file.close()


def _summary(simulation: Simulation) -> SimulationSummary:
    book, chain = simulation.world.book, simulation.world.node.chain
    return SimulationSummary(
        blocks=chain.height - simulation.world.first_height,
        transactions=sum(book.ends.values()),
        whales=book.whale_count,
        ends={end.value: book.ends[end] for end in End},
    )
