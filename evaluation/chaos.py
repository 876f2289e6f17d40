"""The service against everything that goes wrong, for hours, in virtual time; then against the truth.

Each run draws its weather from its seed (`chaos_weather`): reorganisations, a backend that restarts or loses
its node, connections that break, hang or stall, frames that are malformed, lost or doubled, questions that
are answered late, wrongly or never, and a service that is killed at any moment. At the end it has some calm
minutes with a few blocks. Then nothing may be open that has ended, no outcome may be wrong, nothing may be
there twice, no whale may be missing, and what was said must stand in the record.

    python -m evaluation.chaos [SCENARIO ...] [--seeds 1 2 ...] [--hours 0.5] [--no-kills] [--verbose]
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import duckdb

from evaluation.chaos_link import VirtualLink
from evaluation.chaos_service import Diary, VirtualService, open_store
from evaluation.chaos_weather import MIXED, NAMES, NEVER_S, Weather, draw_weather
from evaluation.outcome_truth import WHALE_SAT, Evidence, Fault, Verdict, judge_claims, read_claims
from hydrophone.domain.units import UnixMicros
from hydrophone.runtime.frame import Frame
from hydrophone.simulator.agenda import Agenda
from hydrophone.simulator.simulation import Simulation, SimulationSettings
from hydrophone.simulator.world.lives import Life
from hydrophone.store.duckdb_store import check_database

START: Final = 1_800_000_000.0
SEEDS: Final = range(1, 5)
MIXED_SEEDS: Final = range(1, 17)
"""36 runs in all, both kinds of backend alike."""
CALM_S: Final = 1_500.0
"""Of the end, in which nothing more goes wrong."""
CALM_BLOCKS: Final = 3
SETTLING_S: Final = 900.0
"""Then the world stands still and only answers come. chosen: what fails is asked again within a minute."""
_SURVIVED_S: Final = 3.0
"""What was heard so long before a kill was committed. chosen: prevouts are waited for one second."""


class Chaos:
    """One run.

    Args:
        weather: what goes wrong.
        seed: decides when.
        path: of the database.
        hours: virtual, before the calm.
        calm_s: of the calm.
    """

    def __init__(
        self, weather: Weather, seed: int, path: Path, *, hours: float, calm_s: float = CALM_S
    ) -> None:
        self._calm_s = calm_s
        self._weather = weather
        self._rng = Random(seed)
        self._path = path
        self._calm_at = START + hours * 3_600
        self._truth: dict[str, dict[str, Any]] = {}
        self._simulation = Simulation(
            SimulationSettings(weather.scenario, seed, START, weather.style), self._take_truth
        )
        self._spent: dict[str, frozenset[object]] = {}
        self._watch_births()
        # A real node and its index forget no block.
        self._simulation.world.node.chain._kept_blocks = 5_000  # noqa: SLF001 -- no setting of the simulator
        self._agenda = Agenda()
        self._link = VirtualLink(self._simulation, weather, self._rng, self._agenda, self._deliver)
        self._runner = asyncio.Runner()
        self.diary = Diary()
        self._killed_at: list[float] = []
        self._forgotten: set[str] = set()
        self._first_height = self._simulation.world.node.chain.height
        self._is_saving = False
        self._store = open_store(path, self._runner)
        self._service: VirtualService | None = None
        self.frames = 0
        self._start_service()

    def run(self) -> Verdict:
        """Let it happen; return how it went."""
        weather, agenda = self._weather, self._agenda
        for every_s, strike in (
            (weather.cut_every_s, self._link.cut),
            (weather.stall_every_s, self._link.stall),
            (weather.spell_every_s, self._link.begin_spell),
            (weather.kill_every_s, self._kill),
        ):
            if every_s < NEVER_S:
                self._plan_strikes(every_s, strike)
        if weather.other_share:
            self._link.poll_other()
        agenda.plan(self._calm_at, self._calm_down)
        self._play(self._calm_at + self._calm_s)
        while self._tip < self._calm_tip + CALM_BLOCKS and self._weather.scenario.block_interval_s < 1_000:
            self._play(self._link.now + 60)
        self._settle()
        self._simulation.close()
        verdict = self._judge()
        self._runner.close()
        return verdict

    # --- time ---------------------------------------------------------------------------------------

    def _play(self, until: float) -> None:
        while (at := min(self._simulation.next_at, self._agenda.next_at, self._wake_at())) <= until:
            self._move_to(at)
            if self._agenda.next_at <= at:
                self._agenda.take()()
            elif self._wake_at() <= at:
                self._pass_time()
            else:
                self._step()

    def _settle(self) -> None:
        """Let the world stand still: what is true now is what must be known in the end."""
        backend, poll_at = self._simulation.backend, self._link.now
        end = poll_at + SETTLING_S
        while (at := min(poll_at, self._agenda.next_at, self._wake_at())) <= end:
            self._move_to(at)
            if self._agenda.next_at <= at:
                self._agenda.take()()
            elif self._wake_at() <= at:
                self._pass_time()
            else:
                self._link.tell(backend.poll(at))
                poll_at = at + backend.poll_interval_s
        if self._service is not None:
            self._service.save_and_say()
        self._runner.run(self._store.close())

    def _move_to(self, at: float) -> None:
        self._link.now = max(self._link.now, at)

    def _wake_at(self) -> float:
        """When the service wants to know that time has passed, in our seconds."""
        wanted = None if self._service is None else self._service.next_wake_at()
        if wanted is None:
            return float("inf")
        return max(self._link.now, wanted / 1e6 - self._link.offset_s)

    def _pass_time(self) -> None:
        if self._service is not None:
            wanted = self._service.next_wake_at()
            now = UnixMicros(round((self._link.now + self._link.offset_s) * 1e6))
            self._service.pass_time(now if wanted is None else max(now, wanted))
            self._plan_saving()

    def _step(self) -> None:
        happening = self._simulation.step()
        if not happening.is_listening:
            self._link.vanish()
        self._link.tell(happening.updates)

    def _plan_strikes(self, every_s: float, strike: Callable[[], object]) -> None:
        def act() -> None:
            if self._link.now < self._calm_at:
                strike()
                plan()

        def plan() -> None:
            self._agenda.plan(self._link.now + self._rng.expovariate(1 / every_s), act)

        plan()

    def _calm_down(self) -> None:
        self._simulation.spare()
        self._link.calm_down()
        self._calm_tip = self._tip
        if self._service is None:
            self._start_service()

    @property
    def _tip(self) -> int:
        return self._simulation.world.node.chain.height

    # --- the service --------------------------------------------------------------------------------

    def _start_service(self) -> None:
        if self._service is not None:
            return  # the calm came sooner than the restart that was planned
        self._service = VirtualService(
            self._store, self._runner, diary=self.diary, ask=self._link.ask, rng=self._rng
        )
        self._link.is_wanted = True
        self._link.connect()

    def _deliver(self, frame: Frame) -> None:
        if self._service is not None:
            self.frames += 1
            self._service.hear(frame)
            self._plan_saving()

    def _plan_saving(self) -> None:
        service = self._service
        if service is None or not service.has_unsaved or self._is_saving:
            return
        self._is_saving = True
        self._agenda.plan(self._link.now + self._rng.uniform(0, 0.3), lambda: self._save(service))

    def _save(self, service: VirtualService) -> None:
        self._is_saving = False
        if service is self._service:
            service.save_and_say()
            self._note_forgotten()

    def _note_forgotten(self) -> None:
        """Of what was just called dropped, note what the backend itself cannot tell the successor of."""
        known = self._link.knows_successor
        self._forgotten.update(txid for txid in self.diary.dropped if not known(txid))
        self.diary.dropped.clear()

    def _kill(self) -> None:
        service = self._service
        if service is None:
            return
        service.kill()
        self._note_forgotten()
        self._service, self._is_saving = None, False
        self._killed_at.append(self._link.now)
        self._link.forget()
        if self._rng.random() < self._weather.clock_share:
            self._link.offset_s = self._rng.choice((-3_600.0, 0.0, 3_600.0))
        down_s = min(self._rng.expovariate(1 / self._weather.down_s), self._weather.longest_cut_s)
        self._agenda.plan(self._link.now + down_s, self._start_service)

    def _watch_births(self) -> None:
        """Note which coins each transaction spends."""
        book = self._simulation.world.book
        begin = book.begin

        def begin_and_note(life: Life) -> None:
            begin(life)
            coins = frozenset(spend.coin.outpoint for spend in life.transaction.inputs)
            self._spent[life.transaction.txid] = coins

        book.begin = begin_and_note  # type: ignore[method-assign]

    # --- the judgement ------------------------------------------------------------------------------

    def _take_truth(self, line: str) -> None:
        true = json.loads(line)
        if true["gross_sat"] > WHALE_SAT or true["replaces"]:
            self._truth[true["txid"]] = true

    def _judge(self) -> Verdict:
        claims = read_claims(self._path)
        verdict = judge_claims(claims, self._truth, Evidence(self._forgotten, self._spent))
        verdict.undone, verdict.revived = self.diary.undone.total(), self.diary.revived.total()
        for claim in claims:
            times = sum(self._truth[txid]["reorged"] for txid in claim.versions if txid in self._truth)
            if self.diary.undone[claim.prediction_id] > times:
                undone = self.diary.undone[claim.prediction_id]
                verdict.blame(Fault.UNDONE, f"{claim.txid} {undone} times, its block {times} times")
        recorded = {txid for claim in claims for txid in claim.versions}
        for txid, true in self._truth.items():
            if true["gross_sat"] > WHALE_SAT and txid not in recorded:
                self._judge_missing(verdict, txid, true)
        for prediction_id in self.diary.ended_twice:
            verdict.blame(Fault.TWICE, f"prediction {prediction_id} ended twice")
        for problem in check_database(self._path):
            verdict.blame(Fault.UNSOUND, problem)
        with duckdb.connect(str(self._path), read_only=True) as connection:
            kept = {message for (message,) in connection.execute("SELECT message FROM record").fetchall()}
        for message in self.diary.said:
            if message.decode() not in kept:
                verdict.blame(Fault.LOST, message.decode()[:200])
        return verdict

    def _judge_missing(self, verdict: Verdict, txid: str, true: dict[str, Any]) -> None:
        """Blame what could have been recorded: it is in a block or waits, or somebody told us of it."""
        height, end = true["block_height"], true["end"]
        heard_at = self._link.heard.get(txid)
        is_there = end == "pending" or (end == "confirmed" and height > self._first_height)
        was_told = heard_at is not None and not any(
            heard_at <= killed_at < heard_at + _SURVIVED_S for killed_at in self._killed_at
        )
        if is_there or was_told:
            how = "told" if was_told else "not told"
            verdict.blame(Fault.MISSED, f"{txid} {true['kind']}: {end} in {height} ({true['reason']}), {how}")
        else:
            verdict.unheard += 1


@dataclass(frozen=True, slots=True)
class Done:
    """A run that is over."""

    name: str
    seed: int
    verdict: Verdict
    kills: int
    took_s: float


def run_one(name: str, seed: int, *, hours: float, calm_s: float = CALM_S, kills: bool = True) -> Done:
    """Run one seed of one scenario."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        weather = draw_weather(name, seed, kills=kills)
        chaos = Chaos(weather, seed, Path(folder) / "chaos.db", hours=hours, calm_s=calm_s)
        verdict = chaos.run()
    return Done(name, seed, verdict, chaos.diary.kills, time.monotonic() - began)


HEADER: Final = (
    f"{'scenario':<18} {'runs':>4} {'kills':>5} {'made':>5} {'conf.':>5} {'repl.':>5} {'drop.':>5} "
    f"{'open':>5} "
    f"{'undone':>6} {'revived':>7} {'unheard':>7} {'untold':>6} {'wrong':>5}"
)


def line_of(name: str, runs: Sequence[Done]) -> str:
    """Return a line of the table."""
    total = Verdict()
    for run in runs:
        total.add(run.verdict)
    ends = total.ends
    wrong = sum(map(len, total.faults.values()))
    return (
        f"{name:<18} {len(runs):>4} {sum(r.kills for r in runs):>5} {total.predictions:>5} "
        f"{ends['confirmed']:>5} {ends['replaced']:>5} {ends['dropped']:>5} "
        f"{ends['pending'] + ends['in_doubt']:>5} {total.undone:>6} {total.revived:>7} {total.unheard:>7} "
        f"{total.unknowable:>6} {wrong:>5}"
    )


def main() -> int:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], default=[])
    parser.add_argument("--seeds", nargs="+", type=int, default=None)
    parser.add_argument("--hours", type=float, default=0.5)
    parser.add_argument("--no-kills", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    names = arguments.names or NAMES
    done: list[Done] = []
    for name in names:
        for seed in arguments.seeds or (MIXED_SEEDS if name == MIXED else SEEDS):
            run = run_one(name, seed, hours=arguments.hours, kills=not arguments.no_kills)
            done.append(run)
            if arguments.verbose or not run.verdict.is_good:
                faults = {str(fault): len(texts) for fault, texts in run.verdict.faults.items() if texts}
                print(f"{name} {seed}: {run.verdict.predictions} in {run.took_s:.1f} s {faults}", flush=True)
                for texts in run.verdict.faults.values():
                    for text in texts[:3]:
                        print(f"    {text}")
    print(HEADER)
    for name in names:
        print(line_of(name, [run for run in done if run.name == name]))
    print(line_of("sum", done))
    print("unheard: whales that came and went untold; untold: replaced by what the backend had forgotten")
    return 0 if all(run.verdict.is_good for run in done) else 1


if __name__ == "__main__":
    sys.exit(main())
