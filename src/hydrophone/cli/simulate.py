"""simulate: a mempool.space backend over a simulated economy whose truth is known."""

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from tqdm import tqdm

from hydrophone.bootstrap import SimulationRequest, SimulationSummary, run_simulation, simulate_truth
from hydrophone.cli.flags import Commands, add_command, add_json, is_terminal
from hydrophone.cli.service import noting_signals, until_stopped
from hydrophone.config import LoadedSettings
from hydrophone.domain.script import Network
from hydrophone.errors import ConfigError, ExitCode
from hydrophone.runtime.supervisor import Supervisor
from hydrophone.simulator.backend.backend import Style
from hydrophone.simulator.scenarios import DEFAULT_SCENARIO, SCENARIOS, Scenario
from hydrophone.simulator.simulation import SimulationSettings
from hydrophone.simulator.world.habits import Habits, mean_habits, with_habits
from hydrophone.simulator.world.label_claims import LabelQuality

_EPOCH_S: Final = 1_798_761_600.0
"""When a simulation without a server begins: 2027-01-01T00:00:00Z, so that the same seed gives the same
bytes. chosen."""
_MAX_RATE_PER_S: Final = 20_000.0
"""chosen: ten floods; more than the machine can follow."""
_MAX_START: Final = 4_000_000_000.0
"""chosen: in 2096; ten years later the header of a block has no room for the time."""
_MAX_PORT: Final = 65_535
_DEFAULT_SEED: Final = 1


def add_commands(commands: Commands) -> None:
    """Add the command of this module."""
    text = "a mempool.space backend over a simulated economy whose truth is known"
    parser = add_command(commands, "simulate", text, _simulate)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = "\n".join(f"  {name:<22}{scenario.text}" for name, scenario in SCENARIOS.items())
    parser.epilog = f"scenarios:\n{names}"
    what = parser.add_argument_group("what happens")
    what.add_argument(
        "--scenario", choices=SCENARIOS, default=DEFAULT_SCENARIO, metavar="NAME", help="see below"
    )
    what.add_argument(
        "--seed", type=_whole(0), metavar="N", help="decides everything; default: a new one for each server"
    )
    what.add_argument("--rate", type=_number(0, _MAX_RATE_PER_S), metavar="TPS", help="transactions a second")
    what.add_argument("--blocks-every", type=_number(1), metavar="S", help="mean seconds between blocks")
    what.add_argument("--whales-per-hour", type=_number(0), metavar="N", help="large movements of bitcoin")
    what.add_argument("--mempool-mb", type=_number(1), metavar="MB", help="size at which it evicts")
    what.add_argument("--expiry-hours", type=_number(0.01), metavar="H", help="age at which it drops")
    what.add_argument("--mean", action="store_true", help="a world that breaks the usual rules of thumb")
    what.add_argument(
        "--habit", action="append", default=[], type=_habit, metavar="NAME=VALUE",
        help="a figure of simulator/world/habits.py; may be given more than once",
    )  # fmt: skip
    how = parser.add_argument_group("how it is told")
    how.add_argument("--port", type=_whole(0, _MAX_PORT), metavar="N", help="0: no server, virtual time")
    how.add_argument("--backend", choices=[s.value for s in Style], default=Style.ESPLORA.value,
                     help="with prevouts (esplora) or without")  # fmt: skip
    how.add_argument(
        "--speed", type=_number(0.01, 10_000), default=1.0, metavar="X", help="virtual by real time"
    )
    how.add_argument("--duration", type=_number(0.1), metavar="S", help="virtual seconds; default: for ever")
    how.add_argument("--price", type=_number(0), metavar="USD", help="of a bitcoin; default: none is known")
    how.add_argument(
        "--start", type=_number(0, _MAX_START), metavar="UNIX", help="when it begins; default: now"
    )
    files = parser.add_argument_group("files")
    files.add_argument("--truth", type=Path, metavar="FILE", help="what really happened, a JSON line each")
    files.add_argument(
        "--labels-out", type=Path, metavar="FILE", help="labels of the simulated organisations"
    )
    files.add_argument("--label-coverage", type=_number(0, 1), default=0.9, metavar="SHARE")
    files.add_argument("--label-deposits", type=_number(0, 1), default=0.3, metavar="SHARE")
    files.add_argument("--label-staleness", type=_number(0, 1), default=0.0, metavar="SHARE")
    files.add_argument("--label-errors", type=_number(0, 1), default=0.0, metavar="SHARE")
    add_json(parser)


def _simulate(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    settings = loaded.settings
    port = settings.simulator.port if arguments.port is None else arguments.port
    request = SimulationRequest(
        settings=_what(arguments, Network(settings.network), has_server=port != 0),
        port=port,
        speed=arguments.speed,
        duration_s=arguments.duration,
        truth=arguments.truth,
        labels=arguments.labels_out,
    )
    if port == 0:
        if request.duration_s is None:
            raise ConfigError("expected --duration with --port 0: without a server nobody could stop it")
        bar = tqdm(total=request.duration_s, unit="s", disable=not is_terminal(), leave=False)
        with bar, noting_signals() as is_asked_to_stop:

            def advance(passed_s: float) -> bool:
                bar.update(passed_s)
                return not is_asked_to_stop()

            summary = simulate_truth(request, advance)
        _report(summary, as_json=arguments.json)
        return ExitCode.STOPPED

    def greet(url: str) -> None:
        seed = request.settings.seed
        print(f"SIMULATED mempool at {url}, seed {seed} (Ctrl-C stops it)", file=sys.stderr, flush=True)

    async def work(supervisor: Supervisor) -> None:
        _report(await run_simulation(request, supervisor, greet), as_json=arguments.json)

    return until_stopped(settings, work)


def _what(arguments: argparse.Namespace, network: Network, *, has_server: bool) -> SimulationSettings:
    """Return what is simulated: the scenario, with what the flags change."""
    now = time.time() if has_server else _EPOCH_S
    try:
        changes = dict(arguments.habit)
        with_habits(Habits(), changes)
    except ValueError as error:
        raise ConfigError(f"--habit: {error}") from error
    return SimulationSettings(
        scenario=_scenario(arguments),
        seed=_seed(arguments.seed, now, has_server=has_server),
        started_at=now if arguments.start is None else arguments.start,
        style=Style(arguments.backend),
        price_usd=arguments.price,
        network=network,
        habits=mean_habits() if arguments.mean else Habits(),
        habit_changes=changes,
        label_quality=LabelQuality(
            coverage=arguments.label_coverage,
            deposits=arguments.label_deposits,
            staleness=arguments.label_staleness,
            errors=arguments.label_errors,
        ),
    )


def _scenario(arguments: argparse.Namespace) -> Scenario:
    given = {
        "rate_per_s": arguments.rate,
        "block_interval_s": arguments.blocks_every,
        "whales_per_hour": arguments.whales_per_hour,
        "max_usage_bytes": None if arguments.mempool_mb is None else int(arguments.mempool_mb * 1_000_000),
        "expiry_s": None if arguments.expiry_hours is None else arguments.expiry_hours * 3_600,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    return replace(SCENARIOS[arguments.scenario], **changes)


def _seed(given: int | None, now: float, *, has_server: bool) -> int:
    """Return the seed: a database may know the transactions of the server before."""
    if given is not None:
        return given
    return int(now) if has_server else _DEFAULT_SEED


def _report(summary: SimulationSummary, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(summary)))
        return
    ends = ", ".join(f"{count:,} {end}" for end, count in summary.ends.items())
    print(
        f"{summary.transactions:,} transactions ({ends}), {summary.whales:,} above 100 BTC, "
        f"{summary.blocks:,} blocks"
    )


class _number:  # noqa: N801 -- reads as what it is in the table of flags
    """Parses a number within bounds, for argparse."""

    def __init__(self, least: float, most: float = float("inf")) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> float:
        """Return the number; argparse tells what was wrong."""
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not self._least <= value <= self._most or value == float("inf"):
            bounds = (
                f"{self._least:g} or more"
                if self._most == float("inf")
                else f"{self._least:g} to {self._most:g}"
            )
            raise argparse.ArgumentTypeError(f"expected a number, {bounds}, found {text!r}")
        return value


class _whole(_number):  # noqa: N801
    """Parses a whole number within bounds, for argparse."""

    def __call__(self, text: str) -> int:
        """Return the number; argparse tells what was wrong."""
        value = super().__call__(text)
        if value != int(value):
            raise argparse.ArgumentTypeError(f"expected a whole number, found {text!r}")
        return int(value)


def _habit(text: str) -> tuple[str, float]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, found {text!r}")
    return name, _number(0)(value)
