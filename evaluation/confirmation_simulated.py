"""Confirmation estimates on simulated worlds, whose truth is known: scenarios, seeds, thousands of blocks.

The worlds are a tenth as wide as real ones: a tenth of the transactions, of the block space and of the
mempool, at the same pace of blocks. So 1,000 blocks of a calm week take minutes instead of hours. Where
demand exceeds what blocks can hold for ever, bids rise without end; so congested worlds are many and short
(72 blocks, twelve hours), and what is learned in one is kept for the next. What is forecast, learned and
scored is what a service would: the very `Forecaster`, told what the backend would tell of the mempool
(projected blocks as percentiles, arrivals, blocks), every two seconds.

In the last 36 blocks of a world nothing is forecast any more: of what was forecast shortly before its end,
only the quick would be seen to confirm.

    python -m evaluation.confirmation_simulated run [SCENARIO ...] [--seeds 1 2] [--blocks N] [--folder F]
    python -m evaluation.confirmation_simulated report [SCENARIO ...] [--folder F]
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final

import hydrophone.simulator.world.fees
import hydrophone.simulator.world.world
from evaluation.confirmation_report import report
from hydrophone.domain import model_state
from hydrophone.domain.confirmation import DEPTH
from hydrophone.domain.feemarket import CAPACITY_WU, RateProfile
from hydrophone.domain.forecast import Forecaster
from hydrophone.domain.model_state import ModelState
from hydrophone.domain.units import Height, Txid, micros_from_seconds
from hydrophone.simulator.backend.fees import fee_statistics
from hydrophone.simulator.node.chain import Block
from hydrophone.simulator.node.mempool import Entry
from hydrophone.simulator.node.node import Node
from hydrophone.simulator.node.transactions import Transaction
from hydrophone.simulator.scenarios import SCENARIOS, Incident, IncidentKind
from hydrophone.simulator.simulation import SimulationSettings, _world_settings
from hydrophone.simulator.world.habits import Habits, with_habits
from hydrophone.simulator.world.lives import End
from hydrophone.simulator.world.world import World

NAMES: Final = ("calm", "congested", "fee-spike", "consolidation-season")
NARROWNESS: Final = 10
POLL_S: Final = 2.0
FORECASTS_BY_BLOCK: Final = 6.0
"""Polls after which what arrived is forecast, on average in ten minutes."""
AT_ONCE: Final = 4
PROJECTED: Final = 8
START_S: Final = 1_790_000_000.0


@dataclass
class Record:
    """A forecast and what came of it.

    Attributes:
        tip: when it was made.
        made_at: seconds.
        rate: sat/vB.
        p_confirm: of each horizon.
        p_replaced: within 24 blocks.
        p_dropped: likewise.
        eta_p50_s: seconds.
        eta_p90_s: seconds.
        projected: in which block to come it would be, were nothing to change.
        is_calibrated: whether the probabilities were mended.
        blocks: within how many it was confirmed.
        end: confirmed, replaced, dropped; None: it still waits.
        end_blocks: how many blocks had come at its end.
        after_s: of its end.
        last_tip: of the world.
    """

    tip: int
    made_at: float
    rate: float
    p_confirm: list[float]
    p_replaced: float
    p_dropped: float
    eta_p50_s: float | None
    eta_p90_s: float | None
    projected: int
    is_calibrated: bool
    blocks: int | None = None
    end: str | None = None
    end_blocks: int | None = None
    after_s: float | None = None
    last_tip: int = 0


def narrow() -> None:
    """Make blocks a tenth as large, for the world and for the model."""
    room = CAPACITY_WU // NARROWNESS
    for module, name, size_wu in (
        (hydrophone.simulator.world.fees, "MAX_BLOCK_WEIGHT_WU", room),
        (hydrophone.simulator.world.world, "MAX_BLOCK_WEIGHT_WU", room),
        (hydrophone.simulator.world.world, "_ACCELERATED_WU", 40_000 // NARROWNESS),
    ):
        setattr(module, name, size_wu)


class Trial:
    """One world and its forecasts.

    Args:
        name: of the scenario.
        seed: of the world.
        state: what the service learned in the world before.
    """

    def __init__(self, name: str, seed: int, state: ModelState) -> None:
        scenario = SCENARIOS[name]
        self.incidents = scenario.incidents
        scenario = replace(
            scenario,
            rate_per_s=scenario.rate_per_s / NARROWNESS,
            prefill=scenario.prefill // NARROWNESS,
            max_usage_bytes=scenario.max_usage_bytes // NARROWNESS,
        )
        habits = with_habits(Habits(), dict(scenario.habits))
        habits = replace(habits, ordinary_mix={**habits.ordinary_mix, **scenario.ordinary_mix})
        settings = SimulationSettings(scenario, seed=seed, started_at=START_S)
        self.arrived: list[Transaction] = []
        self.world = World(_world_settings(settings), habits)
        self.forecaster = Forecaster(state, capacity_wu=CAPACITY_WU / NARROWNESS)
        self.rng = Random(seed)
        self.forecast_until = 0
        self.records: dict[str, Record] = {}
        self.done: list[Record] = []
        self.height = self.world.node.chain.height
        for block in self.world.node.chain.last(8):
            self._note_block(block, block.found_at)
        mine = self.world._mine  # noqa: SLF001 -- a service hears of the market two seconds before, too

        def look_and_mine() -> None:
            if self.height < self.forecast_until:
                self._look(self.world.now)
                self.forecaster.note_time(micros_from_seconds(self.world.now + POLL_S))
            mine()

        self.world._mine = look_and_mine  # type: ignore[method-assign]  # noqa: SLF001

    def run(self, blocks: int) -> None:
        """Let so many blocks be found."""
        node, arrived, submit = self.world.node, self.arrived, Node.submit

        def note(self_: Node, transaction: Transaction, now: float) -> list[Entry]:
            replaced = submit(self_, transaction, now)
            if self_ is node:
                arrived.append(transaction)
            return replaced

        Node.submit = note  # type: ignore[method-assign, assignment]
        try:
            last = self.world.node.chain.height + blocks
            self.forecast_until = last - DEPTH
            now, is_chosen, chance = START_S, False, FORECASTS_BY_BLOCK * POLL_S / 600
            strikes = [(START_S + i.first_s, i) for i in self.incidents]
            ends: list[tuple[float, Incident]] = []
            while self.world.node.chain.height < last:
                now += POLL_S
                strikes, ends = self._strike(now, strikes, ends)
                self.world.advance(now)
                at = micros_from_seconds(now)
                self.forecaster.note_time(at)
                fresh, self.arrived[:] = self.arrived[:], []
                if is_chosen:
                    self._forecast(fresh, now)
                self._notice_ends(now)
                self.forecaster.note_market(
                    [t.fee_rate_sat_vb for t in fresh], [t.weight_wu for t in fresh], None, at
                )
                self._connect(now)
                is_chosen = self.height < self.forecast_until and self.rng.random() < chance
                if is_chosen:
                    self._look(now)
        finally:
            Node.submit = submit  # type: ignore[method-assign]
        self.done += self.records.values()
        for record in self.done:
            record.last_tip = self.height

    def _strike(
        self, now: float, strikes: list[tuple[float, Incident]], ends: list[tuple[float, Incident]]
    ) -> tuple[list[tuple[float, Incident]], list[tuple[float, Incident]]]:
        """Begin and end what goes wrong, as the simulation does."""
        setters = {
            IncidentKind.DEMAND: self.world.set_demand,
            IncidentKind.PRESSURE: self.world.set_pressure,
        }
        for at, incident in ends:
            if at <= now:
                setters[incident.kind](1.0)
        for at, incident in strikes:
            if at <= now:
                setters[incident.kind](incident.amounts[0])
        begun = [(at + i.length_s, i) for at, i in strikes if at <= now]
        later = [(at + i.every_s if at <= now else at, i) for at, i in strikes]
        return later, [(at, i) for at, i in ends if at > now] + begun

    def _look(self, now: float) -> None:
        self.forecaster.note_market((), (), self._projected(), micros_from_seconds(now))

    def _projected(self) -> list[RateProfile]:
        """Return the blocks to come as the backend tells them."""
        room = CAPACITY_WU / NARROWNESS
        profiles: list[RateProfile] = []
        rates: list[float] = []
        weights: list[int] = []
        weight_wu = 0
        for chunk in self.world.node.mempool.chunks():
            if rates and weight_wu + chunk.weight_wu > room and len(profiles) < PROJECTED - 1:
                profiles.append(RateProfile(weight_wu, fee_statistics(rates, weights).range_sat_vb))
                rates, weights, weight_wu = [], [], 0
            rates += [chunk.rate_sat_vb] * len(chunk.entries)
            weights += [e.transaction.weight_wu for e in chunk.entries]
            weight_wu += chunk.weight_wu
        if rates:
            profiles.append(RateProfile(weight_wu, fee_statistics(rates, weights).range_sat_vb))
        return profiles

    def _forecast(self, fresh: Sequence[Transaction], now: float) -> None:
        entries = self.world.node.mempool.entries
        self.world.node.mempool.relinearize()
        present = [t for t in fresh if t.txid in entries]
        for transaction in self.rng.sample(present, min(AT_ONCE, len(present))):
            rate = entries[transaction.txid].chunk.rate_sat_vb
            forecast = self.forecaster.forecast(
                Txid(transaction.txid), rate, transaction.weight_wu, made_at=micros_from_seconds(now)
            )
            estimate, view = forecast.estimate, forecast.market
            if estimate is None or view is None:
                continue
            room = CAPACITY_WU / NARROWNESS
            self.records[transaction.txid] = Record(
                tip=estimate.tip,
                made_at=now,
                rate=rate,
                p_confirm=list(estimate.p_confirm.values()),
                p_replaced=estimate.p_replaced,
                p_dropped=estimate.p_dropped,
                eta_p50_s=estimate.eta_p50_s,
                eta_p90_s=estimate.eta_p90_s,
                projected=1 + int((view.ahead_wu + transaction.weight_wu) / room),
                is_calibrated=forecast.is_calibrated,
            )

    def _connect(self, now: float) -> bool:
        chain = self.world.node.chain
        fresh = chain.height - self.height
        if fresh <= 0:
            return False
        for block in chain.last(fresh):
            self._note_block(block, now)
            for transaction in block.transactions:
                self._finish(transaction.txid, End.CONFIRMED.value, now, block.height)
        self.height = chain.height
        return True

    def _note_block(self, block: Block, now: float) -> None:
        transactions = [t for t in block.transactions if not t.is_coinbase]
        profile = RateProfile(
            sum(t.weight_wu for t in transactions),
            fee_statistics(
                [t.fee_rate_sat_vb for t in transactions], [t.weight_wu for t in transactions]
            ).range_sat_vb,
        )
        self.forecaster.note_block(
            Height(block.height),
            block.block_hash,
            micros_from_seconds(now),
            profile=profile,
            mined=[Txid(t.txid) for t in block.transactions],
        )

    def _notice_ends(self, now: float) -> None:
        entries, lives = self.world.node.mempool.entries, self.world.book.lives
        for txid in [txid for txid in self.records if txid not in entries]:
            life = lives.get(txid)
            if life is None or life.end in (End.REPLACED, End.DROPPED):
                end = End.DROPPED if life is None else life.end
                self.forecaster.note_gone(Txid(txid), is_replaced=end is End.REPLACED)
                self._finish(txid, end.value, now, None)

    def _finish(self, txid: str, end: str, now: float, height: int | None) -> None:
        record = self.records.pop(txid, None)
        if record is None:
            return
        record.end, record.after_s = end, now - record.made_at
        record.blocks = None if height is None else height - record.tip
        record.end_blocks = (self.height if height is None else height) - record.tip
        self.done.append(record)


def run(names: Sequence[str], seeds: Sequence[int], blocks: int, folder: Path) -> None:
    """Simulate and write the records; what is learned with one seed is kept for the next."""
    narrow()
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for name in names:
            began = time.perf_counter()
            remembered = folder / f"{name}.state.json"
            state = ModelState()
            if remembered.exists():
                state = ModelState.from_json(json.loads(remembered.read_text(encoding="utf-8")))
            trial = Trial(name, seed, state)
            trial.run(blocks)
            remembered.write_text(json.dumps(trial.forecaster.state.as_json()), encoding="utf-8")
            lines = [json.dumps(asdict(record)) for record in sorted(trial.done, key=lambda r: r.made_at)]
            path = folder / f"{name}.{seed}.jsonl"
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            state = trial.forecaster.state
            p50, p90 = state.eta_factors
            print(
                f"{name}, seed {seed}: {blocks} blocks, {len(lines)} forecasts in "
                f"{time.perf_counter() - began:.0f} s; inclusion {state.inclusion:.3f}, "
                f"scored {state.scored_blocks}, minutes x {p50:.2f}, {p90:.2f}",
                flush=True,
            )


def load(folder: Path, name: str) -> list[list[dict[str, Any]]]:
    """Return the records of a scenario, a list for each seed."""
    return [
        [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        for path in sorted(folder.glob(f"{name}.*.jsonl"))
    ]


def main() -> int:
    """Run or report."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["run", "report"])
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument(
        "--blocks", type=int, default=436, help=f"of each world; the last {DEPTH} only follow"
    )
    parser.add_argument(
        "--warm-up", type=int, default=model_state.SCORED_BLOCKS, help="scored blocks before recalibration"
    )
    parser.add_argument("--all", action="store_true", help="report the warm-up too")
    parser.add_argument("--folder", type=Path, default=Path("data/confirmation"))
    arguments = parser.parse_args()
    names = arguments.names or NAMES
    model_state.SCORED_BLOCKS = arguments.warm_up  # type: ignore[misc]
    if arguments.what == "run":
        run(names, arguments.seeds, arguments.blocks, arguments.folder)
        return 0
    for name in names:
        runs = load(arguments.folder, name)
        if runs:
            report(name, runs, only_calibrated=not arguments.all)
    return 0


if __name__ == "__main__":
    sys.exit(main())
