"""db: the database while no service runs."""

import argparse
import json

from hydrophone.cli.flags import Commands, add_command, add_json
from hydrophone.config import LoadedSettings
from hydrophone.errors import ExitCode
from hydrophone.store.duckdb_store import check_database, initialise, migrate


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    group = commands.add_parser("db", help="the database while no service runs")
    inner = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_command(inner, "init", "make the database, or bring one up to date", _init)
    add_command(inner, "migrate", "bring an existing database up to date", _migrate)
    add_json(add_command(inner, "check", "verify the record's hash chain and the tables", _check))


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
