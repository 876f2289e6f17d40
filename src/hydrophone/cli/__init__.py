"""The command line: results on stdout, logs on stderr, errors as one line and an exit code."""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence

from hydrophone import __version__
from hydrophone.cli import (
    accuracy,
    configuration,
    database,
    doctor,
    estimate,
    explain,
    labels,
    record,
    replay,
    service,
    simulate,
    status,
    token,
)
from hydrophone.cli.flags import load
from hydrophone.errors import ExitCode, HydrophoneError
from hydrophone.runtime.telemetry import configure_logging, get_logger, redacted

_COMMANDS = (
    service,
    record,
    simulate,
    replay,
    status,
    doctor,
    explain,
    estimate,
    accuracy,
    labels,
    database,
    token,
    configuration,
)

log = get_logger(__name__)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="hydrophone", description="Hears Bitcoin whales before they surface."
    )
    parser.add_argument("--version", action="version", version=f"hydrophone {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in _COMMANDS:
        module.add_commands(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code."""
    try:
        try:
            return _run(argv)
        finally:
            print(end="", flush=True)  # now: at its exit the interpreter would complain itself
    except BrokenPipeError:  # the reader of our output has seen enough
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.STOPPED


def _run(argv: Sequence[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    is_for_machines = False
    try:
        loaded = load(arguments)
        configure_logging(loaded.settings.log.level, loaded.settings.log.format)
        is_for_machines = loaded.settings.log.format == "json"
        return int(arguments.command(arguments, loaded))
    except HydrophoneError as error:
        if is_for_machines:
            log.error("failed", error=str(error), exit_code=int(error.exit_code))  # noqa: TRY400 -- no bug
        else:
            print(f"hydrophone: {redacted(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.STOPPED
    except BrokenPipeError:
        raise
    except Exception:
        if not is_for_machines:
            raise
        log.exception("bug", hint="please report it", exit_code=int(ExitCode.BUG))
        return ExitCode.BUG
