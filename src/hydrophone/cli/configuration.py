"""config: what is set, and by whom."""

import argparse
import json
from collections.abc import Mapping

from hydrophone.bootstrap import check_access
from hydrophone.cli.flags import Commands, add_command, add_json
from hydrophone.config import TABLE, LoadedSettings, value_of
from hydrophone.errors import ExitCode


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    group = commands.add_parser("config", help="what is set, and by whom")
    inner = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_json(add_command(inner, "show", "every setting, its value and where it comes from", _show))
    add_command(inner, "check", "say whether the settings are sound", _check)


def _show(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    rows = {key: (spell(value_of(loaded.settings, key)), loaded.origins.get(key, "default")) for key in TABLE}
    if arguments.json:
        print(json.dumps({key: {"value": value, "origin": origin} for key, (value, origin) in rows.items()}))
    else:
        _print_table(rows)
    return ExitCode.STOPPED


def _print_table(rows: Mapping[str, tuple[object, str]]) -> None:
    width = max(len(key) for key in rows)
    for key, (value, origin) in rows.items():
        print(f"{key:<{width}}  {value!s:<40}  {origin}")


def _check(_arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    """Say so; loading them was most of the check."""
    check_access(loaded.settings)
    print(f"{len(TABLE)} settings are sound, {len(loaded.origins)} of them not the default")
    return ExitCode.STOPPED


def spell(value: object) -> object:
    """Return a value as it is written in the settings file."""
    if isinstance(value, tuple):
        return [spell(item) for item in value]
    return value if value is None or isinstance(value, int | str) else str(value)
