"""db: the database while no service runs; copied at any time."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hydrophone.cli.asking import ask_control
from hydrophone.cli.flags import Commands, add_command, add_json
from hydrophone.config import LoadedSettings
from hydrophone.errors import ExitCode
from hydrophone.store.backup import Copy, copy_file
from hydrophone.store.duckdb_store import check_database, initialise, migrate
from hydrophone.store.restore import restore
from hydrophone.store.schema import is_older
from hydrophone.wire.control_v1 import BackUp, Failed

_MEGA: Final = 1_000_000


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    group = commands.add_parser("db", help="the database: make, check, copy, restore")
    inner = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_command(inner, "init", "make the database, or bring one up to date", _init)
    add_command(inner, "migrate", "bring an existing database up to date", _migrate)
    add_json(add_command(inner, "check", "verify the record's hash chain and the tables", _check))
    backup = add_command(inner, "backup", "write a copy, also while the service runs, and check it", _backup)
    backup.add_argument("file", type=Path, help="a file that is not there yet, as the service sees the disk")
    add_json(backup)
    restoring = add_command(inner, "restore", "put a copy in the place of the database", _restore)
    restoring.add_argument("file", type=Path, help="a file that `hydrophone db backup FILE` wrote")


def _init(_arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    path = loaded.settings.store.path
    print(f"{path} is at schema version {initialise(path)}")
    return ExitCode.STOPPED


def _migrate(_arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    path = loaded.settings.store.path
    print(f"{path} is at schema version {migrate(path)}")
    return ExitCode.STOPPED


def _check(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    findings = check_database(loaded.settings.store.path)
    if arguments.json:
        print(json.dumps(findings))
    else:
        print("\n".join(findings) if findings else f"{loaded.settings.store.path} is sound")
    return ExitCode.STORE if findings else ExitCode.STOPPED


def _backup(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    target = arguments.file.absolute()
    answer = ask_control(loaded.settings, BackUp(str(target)))
    if isinstance(answer, Failed):
        print(f"hydrophone: {answer.message}", file=sys.stderr)
        return answer.exit_code
    if answer is None:
        copy = copy_file(loaded.settings.store.path, target)
    else:
        copy = Copy(target, answer.size_bytes, answer.took_s, answer.record_seq, answer.record_head)
    has_older_schema = is_older(target)  # then there is nothing yet that we could check it by
    findings = [] if has_older_schema else check_database(target)  # here, where it costs the service nothing
    if arguments.json:
        described = {**copy._asdict(), "path": str(target), "findings": findings}
        print(json.dumps(described))
    elif findings:
        print(f"{target} was written, and is not sound:", *findings, sep="\n")
    else:
        print(
            f"{target}: {copy.size_bytes / _MEGA:.1f} MB in {copy.took_s:.1f} s, "
            f"{'of an older version, checked when it is restored' if has_older_schema else 'sound'}, "
            f"up to entry {copy.record_seq} of the record, head {copy.record_head or 'none'}"
        )
    return ExitCode.STORE if findings else ExitCode.STOPPED


def _restore(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    path = loaded.settings.store.path
    restored = restore(path, arguments.file.absolute(), datetime.now(UTC))
    print(
        f"{path} holds {restored.prediction_count} predictions, up to entry {restored.last_seq} of the record"
    )
    if restored.kept is not None:
        print(f"the database that was there is now {restored.kept}; remove it when you no longer want it")
    return ExitCode.STOPPED
