"""A world, the backend that tells of it, and what goes wrong between them: all in virtual time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Final, NamedTuple

from hydrophone.domain.script import Network
from hydrophone.simulator.agenda import Agenda
from hydrophone.simulator.backend.backend import Backend, Style
from hydrophone.simulator.backend.updates import Update
from hydrophone.simulator.scenarios import WHALES_PER_TRANSACTION, Incident, IncidentKind, Scenario
from hydrophone.simulator.world.habits import Habits, with_habits
from hydrophone.simulator.world.label_claims import LabelQuality, write_labels
from hydrophone.simulator.world.world import World, WorldSettings

_HOUR_S: Final = 3_600


class Happening(NamedTuple):
    """What listeners notice at an instant.

    Attributes:
        at: seconds since the epoch, virtual.
        updates: what the backend says.
        is_listening: whether the backend's process runs; when it ends, its sockets are gone.
    """

    at: float
    updates: Sequence[Update]
    is_listening: bool


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """What is simulated.

    Attributes:
        scenario: how much happens and what goes wrong.
        seed: decides everything else.
        started_at: seconds since the epoch.
        style: of the backend.
        network: decides how scripts are spelled.
        habits: how everybody behaves, before the scenario's changes.
        habit_changes: figures of `Habits` that differ even from the scenario's.
        label_quality: of the label file.
        price_usd: of a bitcoin, as the backend tells it; None: it knows none.
    """

    scenario: Scenario
    seed: int
    started_at: float
    style: Style = Style.ESPLORA
    network: Network = Network.MAINNET
    habits: Habits = field(default_factory=Habits)
    habit_changes: Mapping[str, float] = field(default_factory=dict)
    label_quality: LabelQuality = field(default_factory=LabelQuality)
    price_usd: float | None = None


class Simulation:
    """Everything that can be simulated without a socket.

    Args:
        settings: what is simulated.
        write_truth: gets a line for each transaction whose end is settled; None: nobody wants to know.
    """

    def __init__(
        self, settings: SimulationSettings, write_truth: Callable[[str], object] | None = None
    ) -> None:
        self.settings = settings
        scenario = settings.scenario
        habits = with_habits(settings.habits, {**scenario.habits, **settings.habit_changes})
        habits = replace(habits, ordinary_mix={**habits.ordinary_mix, **scenario.ordinary_mix})
        self.world = World(_world_settings(settings), habits, write_truth)
        self.backend = Backend(
            self.world.node,
            style=settings.style,
            network=settings.network,
            started_at=settings.started_at,
            on_announced=self._announced,
        )
        self.is_listening = True
        self._is_spared = False
        if settings.price_usd is not None:
            self.backend.set_price(settings.price_usd, settings.started_at)
        self.backend.poll(settings.started_at)  # it has been up for a while when the first client comes
        self._agenda = Agenda()
        self._next_poll_at = settings.started_at + self.backend.poll_interval_s
        for incident in scenario.incidents:
            self._plan_incident(settings.started_at + incident.first_s, incident, cycle(incident.amounts))

    @property
    def next_at(self) -> float:
        """When something happens next that listeners may notice; seconds since the epoch, virtual."""
        return min(self._next_poll_at, self._agenda.next_at)

    def labels(self) -> str:
        """Return a label file about the simulated organisations."""
        settings = self.settings
        return write_labels(
            self.world.organisations,
            settings.label_quality,
            settings.network,
            seed=settings.seed,
            as_of=settings.started_at,
        )

    def step(self) -> Happening:
        """Go on to `next_at` and return what listeners notice there."""
        at = self.next_at
        self.world.advance(at)
        if self._agenda.next_at <= at:
            self._agenda.take()()
            return Happening(at, (), self.is_listening)
        updates = self.backend.poll(at) if self.is_listening else []
        self._next_poll_at = at + self.backend.poll_interval_s
        return Happening(at, updates, self.is_listening)

    def close(self) -> None:
        """Write the truth of all that is not settled."""
        self.world.close()

    def spare(self) -> None:
        """Let nothing go wrong from now on; what has begun ends when it was meant to."""
        self._is_spared = True

    def _announced(self, txids: Sequence[str], at: float) -> None:
        lives = self.world.book.lives
        for txid in txids:
            life = lives.get(txid)
            if life is not None and life.announced_at is None:
                life.announced_at = at

    # --- what goes wrong ----------------------------------------------------------------------------

    def _plan_incident(self, at: float, incident: Incident, amounts: Iterator[float]) -> None:
        self._agenda.plan(at, lambda: self._strike(incident, amounts))

    def _strike(self, incident: Incident, amounts: Iterator[float]) -> None:
        if self._is_spared:
            return
        now, amount = self.world.now, next(amounts)
        end: Callable[[], object] | None = None
        match incident.kind:
            case IncidentKind.DEMAND:
                self.world.set_demand(amount)
                end = lambda: self.world.set_demand(1.0)  # noqa: E731 -- one of four ends
            case IncidentKind.PRESSURE:
                self.world.set_pressure(amount)
                end = lambda: self.world.set_pressure(1.0)  # noqa: E731
            case IncidentKind.REORGANISATION:
                self.world.reorganise(int(amount))
            case IncidentKind.NODE_DOWN:
                self._set_node(is_up=False)
                end = lambda: self._set_node(is_up=True)  # noqa: E731
            case IncidentKind.RESTART:
                self.is_listening = False
                end = self._restarted
            case IncidentKind.INDEXING:
                self.backend.start_indexing(now, incident.length_s)
        if end is not None:
            self._agenda.plan(now + incident.length_s, end)
        self._plan_incident(now + incident.every_s, incident, amounts)

    def _set_node(self, *, is_up: bool) -> None:
        self.world.node.is_up = is_up
        self._next_poll_at = self.world.now

    def _restarted(self) -> None:
        self.backend.restart(self.world.now)
        self.is_listening = True
        self._next_poll_at = self.world.now


def _world_settings(settings: SimulationSettings) -> WorldSettings:
    scenario = settings.scenario
    whales_per_hour = scenario.whales_per_hour
    if whales_per_hour is None:
        whales_per_hour = scenario.rate_per_s * WHALES_PER_TRANSACTION * _HOUR_S
    return WorldSettings(
        seed=settings.seed,
        rate_per_s=scenario.rate_per_s,
        whales_per_hour=whales_per_hour,
        block_interval_s=scenario.block_interval_s,
        started_at=settings.started_at,
        prefill=scenario.prefill,
        max_usage_bytes=scenario.max_usage_bytes,
        expiry_s=scenario.expiry_s,
        first_whale_s=scenario.first_whale_s,
        first_block_s=scenario.first_block_s,
    )
