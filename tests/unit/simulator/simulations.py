"""Small simulations for tests, and what a client hears of them."""

import json
from dataclasses import replace
from typing import Any

from hydrophone.simulator.backend.backend import Style
from hydrophone.simulator.backend.session import Session
from hydrophone.simulator.scenarios import SCENARIOS
from hydrophone.simulator.simulation import Simulation, SimulationSettings

START = 1_800_000_000.0
SUBSCRIPTIONS = (
    '{"action":"want","data":["blocks","mempool-blocks","stats"]}',
    '{"track-mempool":true}',
)

Json = dict[str, Any]


def settings_of(
    name: str = "demo",
    *,
    seed: int = 3,
    style: Style = Style.ESPLORA,
    **changes: Any,  # noqa: ANN401 -- any field
) -> SimulationSettings:
    """Return the settings of a scenario."""
    return SimulationSettings(replace(SCENARIOS[name], **changes), seed, START, style)


class Listener:
    """A client that subscribed to all, without a socket."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.texts: list[str] = []
        self.frames: list[Json] = []
        self.happenings = 0
        self._session = Session(simulation.backend)
        for message in SUBSCRIPTIONS:
            self._hear(*self._session.receive(message, START).texts)

    def listen(self, duration_s: float) -> list[Json]:
        """Let the simulation go on and return the frames of that time."""
        heard_before = len(self.frames)
        end = self.simulation.world.now + duration_s
        while self.simulation.next_at <= end:
            happening = self.simulation.step()
            self.happenings += 1
            for update in happening.updates:
                text = self._session.frame(update)
                if text is not None:
                    self._hear(text)
        return self.frames[heard_before:]

    def _hear(self, *texts: str) -> None:
        self.texts += texts
        self.frames += map(json.loads, texts)


def deltas(frames: list[Json]) -> list[Json]:
    """Return the deltas of the mempool."""
    return [f["mempool-transactions"] for f in frames if "mempool-transactions" in f]


def announced(frames: list[Json]) -> list[str]:
    """Return the txids that were announced."""
    return [t["txid"] for delta in deltas(frames) for t in delta["added"]]
