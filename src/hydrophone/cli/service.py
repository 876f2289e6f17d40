"""run, demo: what goes on until somebody stops it."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final

from hydrophone.bootstrap import Addresses, find_source, make_supervisor, run_demo, run_service
from hydrophone.cli.flags import Commands, add_command
from hydrophone.config import LoadedSettings, Settings
from hydrophone.errors import ExitCode
from hydrophone.runtime.supervisor import Supervisor
from hydrophone.simulator.scenarios import SCENARIOS

_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    add_command(commands, "run", "listen, detect, store and publish", _run)
    demo = add_command(commands, "demo", "the whole service on a simulated mempool", _demo)
    demo.add_argument(
        "--scenario", choices=SCENARIOS, default="demo", metavar="NAME", help="see hydrophone simulate --help"
    )
    demo.add_argument("--recording", type=Path, metavar="FILE", help="play this instead of a simulation")


def _run(_arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    settings = loaded.settings

    async def work(supervisor: Supervisor) -> None:
        await run_service(settings, await find_source(settings), supervisor)

    return until_stopped(settings, work)


def _demo(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    settings = loaded.settings

    async def work(supervisor: Supervisor) -> None:
        await run_demo(settings, arguments.recording, arguments.scenario, supervisor, _greet)

    return until_stopped(settings, work)


def _greet(addresses: Addresses) -> None:
    print(
        f"""
  Hydrophone is listening to a SIMULATED mempool: nothing below is real.

    page      {addresses.page_url}
    alerts    {addresses.alerts_url}   (websocket)
    source    {", ".join(addresses.source_urls)}

  The first whale comes within seconds. Ctrl-C stops it.
""",
        file=sys.stderr,
    )


def until_stopped(settings: Settings, work: Callable[[Supervisor], Coroutine[Any, Any, None]]) -> int:
    """Run until it ends or a signal asks for an orderly end; a second signal kills."""

    async def run() -> None:
        supervisor = make_supervisor(settings)
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(work(supervisor))

        def stop() -> None:
            for number in _STOP_SIGNALS:
                loop.remove_signal_handler(number)
                signal.signal(number, signal.SIG_DFL)
            supervisor.stop()

        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, stop)
        await task

    asyncio.run(run())
    return ExitCode.STOPPED


@contextlib.contextmanager
def noting_signals() -> Iterator[Callable[[], bool]]:
    """Yield what tells whether a signal asked for an orderly end; a second signal kills."""
    has_come = False

    def note(_number: int, _frame: object) -> None:
        nonlocal has_come
        has_come = True
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in _STOP_SIGNALS}
    try:
        yield lambda: has_come
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
