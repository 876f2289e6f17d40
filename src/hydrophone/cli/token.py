"""token: who may ask a service that others than this machine reach."""

import argparse
import json
import sys
import time
from typing import Final

from hydrophone.bootstrap import token_file
from hydrophone.cli.flags import Commands, add_command, add_json
from hydrophone.config import LoadedSettings
from hydrophone.domain.access import Scope, Token
from hydrophone.domain.units import MICROS_PER_S, UnixMicros, format_instant, micros_from_seconds
from hydrophone.errors import ConfigError, ExitCode

_S_PER_DAY: Final = 86_400
_MAX_DAYS: Final = 36_500
_LONGEST_NAME: Final = 100


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    group = commands.add_parser("token", help="who may ask a service that others reach too")
    inner = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = add_command(
        inner, "create", "make a token; it is shown once, and only its digest is kept", _create
    )
    create.add_argument(
        "--scope",
        choices=[scope.value for scope in Scope],
        default=Scope.READ.value,
        help="what it is good for (read)",
    )
    create.add_argument("--name", default="", help="what you call it")
    create.add_argument("--days", type=float, help="it expires after so many days (never)")
    add_json(create)
    add_json(add_command(inner, "list", "the tokens there are, without their text", _list))
    revoke = add_command(inner, "revoke", "end a token now, also for a running service", _revoke)
    revoke.add_argument("id", help="of the token, as `hydrophone token list` shows it")


def _create(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    name = arguments.name.strip()
    if len(name) > _LONGEST_NAME or not (name.isprintable() or not name):
        raise ConfigError(f"expected a name of at most {_LONGEST_NAME} printable characters")
    now = _now()
    expires_at = None
    if arguments.days is not None:
        if not 0 < arguments.days <= _MAX_DAYS:
            raise ConfigError(f"expected days above 0 and at most {_MAX_DAYS}, found {arguments.days}")
        expires_at = UnixMicros(now + round(arguments.days * _S_PER_DAY * MICROS_PER_S))
    kept = token_file(loaded.settings)
    token, text = kept.create(name, Scope(arguments.scope), now=now, expires_at=expires_at)
    if arguments.json:
        print(json.dumps({**_described(token, now), "token": text}))
    else:
        print(text)
        print(
            f"{token.token_id}: scope {token.scope}, {_ends(token)}; this is the only time it is shown",
            file=sys.stderr,
        )
    return ExitCode.STOPPED


def _list(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    now = _now()
    tokens = token_file(loaded.settings).load()
    if arguments.json:
        print(json.dumps([_described(token, now) for token in tokens]))
        return ExitCode.STOPPED
    if not tokens:
        print("there are no tokens")
    for token in tokens:
        state = "over" if token.is_over(now) else "good"
        print(f"{token.token_id}  {token.scope:<5}  {state}  {_ends(token):<38}  {token.name}")
    return ExitCode.STOPPED


def _revoke(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    token = token_file(loaded.settings).revoke(arguments.id, now=_now())
    print(f"{token.token_id} is good for nothing any more")
    return ExitCode.STOPPED


def _described(token: Token, now: UnixMicros) -> dict[str, object]:
    return {
        "id": token.token_id,
        "name": token.name,
        "scope": token.scope,
        "created_at": format_instant(token.created_at),
        "expires_at": None if token.expires_at is None else format_instant(token.expires_at),
        "expired": token.is_over(now),
    }


def _ends(token: Token) -> str:
    return "never expires" if token.expires_at is None else f"until {format_instant(token.expires_at)}"


def _now() -> UnixMicros:
    return micros_from_seconds(time.time())
