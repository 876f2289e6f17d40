"""Simulated worlds to score the flow model on: what a service hears, what was true, and what labels say.

A world is made in virtual time, without sockets, through the same frames and the same decoder as in the
service, and kept on disk: the second run of a check is quick. Its label books follow from its seed alone, so
that one world can be looked at with many books.
"""

import dataclasses
import hashlib
import json
import os
import pickle
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import hydrophone
from hydrophone.domain.events import Event, Replaced, TransactionSeen
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.script import Network
from hydrophone.domain.transaction import OutPoint, Output, Transaction
from hydrophone.domain.units import MICROS_PER_S, Sats, Txid, UnixMicros
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.simulator.backend.session import Session
from hydrophone.simulator.scenarios import SCENARIOS
from hydrophone.simulator.simulation import Simulation, SimulationSettings
from hydrophone.simulator.world.habits import Habits, mean_habits
from hydrophone.simulator.world.label_claims import LabelQuality, write_labels
from hydrophone.simulator.world.organisations import EXCHANGES
from hydrophone.store.label_files import load_label_file
from hydrophone.wire.mempool_space import MempoolSpaceDecoder
from hydrophone.wire.quarantine import Quarantine

FIT_SEEDS: Final = range(1, 21)
"""Whatever is fitted is fitted on these."""
TEST_SEEDS: Final = range(1_001, 1_007)
"""Whatever is reported is measured on these, and nothing was ever fitted on them."""
LONG_SEEDS: Final = range(2_001, 2_003)
"""As the test seeds, for worlds long enough to follow coins for three days."""

WHALE_SAT: Final = Sats(100 * 100_000_000)
START: Final = 1_800_000_000.0
EXCHANGE_NAMES: Final = frozenset(EXCHANGES)
SWEEPS: Final = frozenset({"sweep", "whale_sweep", "consolidation", "whale_consolidation"})
"""Kinds of transactions that gather coins of one owner."""
_ALL_SAT: Final = Sats(-1)
_SOURCE: Final = "simulation"
_ORDINARY_SHARE: Final = 8
"""One in so many of the other transactions is kept. chosen: thousands in each world."""
_SUBSCRIPTIONS: Final = ('{"action":"want","data":["blocks"]}', '{"track-mempool":true}')
_MADE_BY: Final = (
    "simulator", "wire/mempool_space.py", "runtime/frame.py", "domain/transaction.py", "domain/events.py",
    "domain/units.py", "domain/script.py",
)  # fmt: skip
"""Code on which a world depends, inside the package: when it changes, worlds are made anew."""


@dataclass(frozen=True, slots=True)
class WorldSpec:
    """Which world.

    Attributes:
        seed: decides all that happens.
        is_mean: whether habits break the rules of thumb.
        hours: virtual.
        rate_per_s: ordinary transactions. chosen: a sixth of a calm day, so that worlds are quick to make.
        whales_per_hour: chosen: ten times as many for each ordinary transaction as in the scenario.
        scenario: its name.
        changes: further habits that differ, by name.
    """

    seed: int
    is_mean: bool = False
    hours: float = 12.0
    rate_per_s: float = 0.5
    whales_per_hour: float = 60.0
    scenario: str = "calm"
    changes: tuple[tuple[str, float], ...] = ()

    @property
    def name(self) -> str:
        """What to call its habits in a table."""
        return "mean" if self.is_mean else "ordinary"


@dataclass(frozen=True, slots=True)
class Spender:
    """Who spent an output of a whale.

    Attributes:
        txid: of the spending transaction.
        at: when the backend told of it.
        inputs: what it spends.
        outputs: what it makes.
    """

    txid: Txid
    at: UnixMicros
    inputs: tuple[Output, ...]
    outputs: tuple[Output, ...]


@dataclass(slots=True)
class FlowWorld:
    """What happened in a world.

    Attributes:
        spec: which it is.
        events: what a service hears, in order; of transactions only whales.
        whales: every announced transaction above 100 BTC, with prevouts, in order.
        seen_at: when each was announced.
        truth: what is true of each whale and of the ordinary transactions below (`lives.truth_of`).
        spenders: of each output of a whale, in order; several when one replaced the other.
        ends: how each spender ended.
        ordinary: some of the other transactions, in order.
        transaction_count: announced, whales and others.
    """

    spec: WorldSpec
    events: list[Event] = field(default_factory=list)
    whales: dict[Txid, Transaction] = field(default_factory=dict)
    seen_at: dict[Txid, UnixMicros] = field(default_factory=dict)
    truth: dict[Txid, dict[str, Any]] = field(default_factory=dict)
    spenders: dict[OutPoint, list[Spender]] = field(default_factory=dict)
    ends: dict[Txid, str] = field(default_factory=dict)
    ordinary: dict[Txid, Transaction] = field(default_factory=dict)
    transaction_count: int = 0

    def hour_of(self, txid: Txid) -> tuple[int, int]:
        """Return what to count a whale's neighbours by: its world and its hour."""
        return self.spec.seed, int(self.seen_at[txid] / MICROS_PER_S // 3_600)

    def swept_deposits(self) -> dict[Txid, list[Txid]]:
        """Return by whale that is a sweep the earlier whales into exchanges that it gathers."""
        found: dict[Txid, list[Txid]] = {}
        for txid, whale in self.whales.items():
            if self.truth[txid]["kind"] in SWEEPS:
                parents = {i.outpoint.txid for i in whale.inputs if i.outpoint is not None}
                known = [p for p in parents if p in self.whales and self.truth[p]["flow_type"] == "inflow"]
                if known:
                    found[txid] = sorted(known)
        return found


def load_world(spec: WorldSpec) -> FlowWorld:
    """Return a world, made now or taken from the cache."""
    path = _cache_folder() / f"{_key(spec)}.pickle"
    if path.exists():
        loaded = pickle.loads(path.read_bytes())
        assert isinstance(loaded, FlowWorld)
        return loaded
    world = make_world(spec)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(pickle.dumps(world, protocol=pickle.HIGHEST_PROTOCOL))
    Path(file.name).replace(path)  # at once: another run may be reading
    return world


def make_world(spec: WorldSpec) -> FlowWorld:
    """Let a world happen and return what was heard of it and what was true."""
    world = FlowWorld(spec)
    simulation = Simulation(_settings_of(spec), lambda line: _take_truth(world, line))
    session = Session(simulation.backend)
    for message in _SUBSCRIPTIONS:
        session.receive(message, START)
    quarantine = Quarantine()
    decoder = MempoolSpaceDecoder(source=_SOURCE, threshold_sat=_ALL_SAT, quarantine=quarantine)
    opened = Frame(int(START * MICROS_PER_S), _SOURCE, FrameKind.OPENED, is_simulated=True)
    world.events.extend(decoder.decode(opened))
    end = START + spec.hours * 3_600
    while simulation.next_at <= end:
        happening = simulation.step()
        at = round(happening.at * MICROS_PER_S)
        for update in happening.updates:
            text = session.frame(update)
            if text is not None:
                frame = Frame(at, _SOURCE, FrameKind.RECEIVED, text.encode())
                for event in decoder.decode(frame):
                    _take_event(world, event)
    simulation.close()
    assert not quarantine.count, quarantine.specimens
    world.transaction_count = decoder.transaction_count
    return world


def label_book(spec: WorldSpec, quality: LabelQuality, *, label_seed: int = 0) -> LabelBook:
    """Return the labels a service would have had when the world began.

    Args:
        spec: which world.
        quality: how good they are.
        label_seed: of their gaps and faults; 0: those of `hydrophone simulate --labels-out`.
    """
    settings = _settings_of(spec)
    text = write_labels(
        _beginning_of(spec).world.organisations,
        quality,
        settings.network,
        seed=label_seed or spec.seed,
        as_of=settings.started_at,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.csv"
        path.write_text(text, encoding="utf-8")
        loaded = load_label_file(path, settings.network)
    assert not loaded.rejected, loaded.rejected[:3]
    return LabelBook(loaded.labels)


@lru_cache(maxsize=2)
def _beginning_of(spec: WorldSpec) -> Simulation:
    """Return a world before anything happened; nobody may let it go on."""
    return Simulation(_settings_of(spec))


def _settings_of(spec: WorldSpec) -> SimulationSettings:
    scenario = dataclasses.replace(
        SCENARIOS[spec.scenario], rate_per_s=spec.rate_per_s, whales_per_hour=spec.whales_per_hour
    )
    return SimulationSettings(
        scenario,
        seed=spec.seed,
        started_at=START,
        network=Network.MAINNET,
        habits=mean_habits() if spec.is_mean else Habits(),
        habit_changes=dict(spec.changes),
    )


def _take_event(world: FlowWorld, event: Event) -> None:
    """Keep an event as a service with the usual threshold would hear it, and who spends whose coins."""
    if isinstance(event, TransactionSeen):
        if _take_transaction(world, event.transaction, event.at):
            world.events.append(event)
    elif isinstance(event, Replaced):
        successor = event.successor
        if successor is not None and not _take_transaction(world, successor, event.at):
            event = dataclasses.replace(event, successor=None)
        world.events.append(event)
    else:
        world.events.append(event)


def _take_transaction(world: FlowWorld, transaction: Transaction, at: UnixMicros) -> bool:
    """Return whether it is a whale."""
    is_whale = transaction.gross_sat > WHALE_SAT
    txid = transaction.txid
    spender: Spender | None = None
    for tx_input in transaction.inputs:
        outpoint = tx_input.outpoint
        if outpoint is not None and outpoint.txid in world.whales:
            if spender is None:
                prevouts = tuple(i.prevout for i in transaction.inputs if i.prevout is not None)
                spender = Spender(txid, at, prevouts, transaction.outputs)
            known = world.spenders.setdefault(outpoint, [])
            if all(earlier.txid != txid for earlier in known):
                known.append(spender)
            world.ends.setdefault(txid, "pending")
    if is_whale:
        world.whales.setdefault(txid, transaction)
        world.seen_at.setdefault(txid, at)
    elif int(txid[:8], 16) % _ORDINARY_SHARE == 0:
        world.ordinary.setdefault(txid, transaction)
    return is_whale


def _take_truth(world: FlowWorld, line: str) -> None:
    truth = json.loads(line)
    txid = Txid(truth["txid"])
    if txid in world.ends:
        world.ends[txid] = truth["end"]
    if txid in world.whales or txid in world.ordinary:
        world.truth[txid] = truth


def _cache_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"hydrophone-flow-worlds-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _key(spec: WorldSpec) -> str:
    """Return a name that changes with everything the world follows from."""
    return hashlib.sha256(f"{_code_hash()} {spec}".encode()).hexdigest()[:32]


@lru_cache(maxsize=1)
def _code_hash() -> str:
    package = Path(hydrophone.__file__).parent
    paths = [Path(__file__)]
    for part in _MADE_BY:
        place = package / part
        paths += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    digest = hashlib.sha256(sys.version.encode())
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def describe(world: FlowWorld) -> str:
    """Return what a world has, in a few lines."""
    kinds = Counter(world.truth[txid]["kind"] for txid in world.whales)
    flows = Counter(world.truth[txid]["flow_type"] for txid in world.whales)
    sweeps = world.swept_deposits()
    deposits = {deposit for gathered in sweeps.values() for deposit in gathered}
    return (
        f"seed {world.spec.seed}, {world.spec.name} habits, {world.spec.hours:g} h: "
        f"{world.transaction_count} transactions, {len(world.whales)} whales {dict(flows.most_common())}\n"
        f"  kinds {dict(kinds.most_common())}\n"
        f"  whales that sweep earlier whale deposits: {len(sweeps)}, of {len(deposits)} deposits"
    )


def main() -> int:
    """Make the worlds of the fit and of the test, and say what they have."""
    # Of the module by its name: what a script pickles of itself, nobody else can read.
    from evaluation.flow_worlds import WorldSpec, load_world  # noqa: PLC0415

    for seed in (*FIT_SEEDS, *TEST_SEEDS):
        for is_mean in (False, True):
            print(describe(load_world(WorldSpec(seed, is_mean=is_mean))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
