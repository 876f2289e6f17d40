"""Flags made from the settings table, so that each setting has one."""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from hydrophone.config import TABLE, LoadedSettings, load_settings

_PREFIX: Final = "setting:"
_ALIASES: Final = {"--source": "source.urls", "--labels": "labels.paths"}
"""Short names; each may be given more than once."""

Commands = Any
"""What argparse returns for sub-commands; it has no public type."""


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add a flag for every setting."""
    group = parser.add_argument_group(
        "settings", "beat hydrophone.toml and the environment; see docs/config.md"
    )
    group.add_argument("--config", type=Path, metavar="FILE", help="settings file instead of hydrophone.toml")
    for flag, key in _ALIASES.items():
        group.add_argument(flag, action="append", dest=_PREFIX + key, metavar="VALUE", help=TABLE[key].text)
    for key, row in TABLE.items():
        if key not in _ALIASES.values():
            flag = "--" + key.replace(".", "-").replace("_", "-")
            group.add_argument(flag, dest=_PREFIX + key, metavar="VALUE", help=row.text.replace("%", "%%"))


def load(arguments: argparse.Namespace) -> LoadedSettings:
    """Return the settings of a parsed command line.

    Raises:
        ConfigError: a setting is wrong.
    """
    given = {
        name.removeprefix(_PREFIX): value
        for name, value in vars(arguments).items()
        if name.startswith(_PREFIX) and value is not None
    }
    return load_settings(file=getattr(arguments, "config", None), flags=given)


def was_given(arguments: argparse.Namespace, key: str) -> bool:
    """Return whether a setting was given as a flag."""
    return getattr(arguments, _PREFIX + key) is not None


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="for programs")


def add_command(commands: Commands, name: str, text: str, run: Any) -> argparse.ArgumentParser:  # noqa: ANN401 -- a command
    """Add a command with all settings.

    Args:
        commands: where to.
        name: of the command.
        text: what it does.
        run: called with the arguments and the loaded settings; returns the exit code.
    """
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=run)
    add_settings(parser)
    return parser


def is_terminal() -> bool:
    """Whether somebody is watching: progress bars are for people."""
    return sys.stderr.isatty()
