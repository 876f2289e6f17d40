"""explain: why a transaction did or did not make an alert, and what each part of the answer rests on."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

from hydrophone.bootstrap import explain_stored, make_explainer
from hydrophone.cli.asking import ask_service
from hydrophone.cli.flags import Commands, add_command, add_json, was_given
from hydrophone.config import LoadedSettings, Settings
from hydrophone.domain.units import Txid
from hydrophone.errors import ConfigError, ExitCode, MalformedMessage, StoreLocked, UnknownTransaction
from hydrophone.wire.explanation_text import explain_in_words
from hydrophone.wire.explanation_v1 import ExplanationV1, encode_explanation, parse_explanation
from hydrophone.wire.transaction_files import split_transactions

_TXID: Final = re.compile(r"[0-9a-fA-F]{64}")
_TIMEOUT_S: Final = 10.0
"""# chosen: the service answers within a second, unless its disk is busy."""
_MOST_COMPLAINTS: Final = 5
"""# chosen: enough to see what is wrong with a file."""
_RULE: Final = "\n\n" + "-" * 100 + "\n"
_HOW_TO_SAVE: Final = "save what an explorer answers at /api/tx/TXID"


def add_commands(commands: Commands) -> None:
    """Add the command of this module."""
    parser = add_command(
        commands, "explain", "why a transaction did or did not make an alert, to the satoshi", _explain
    )
    parser.add_argument(
        "what",
        metavar="TXID|FILE",
        help="a transaction we have heard, or a file with one in Esplora's JSON, or a list of them; "
        "- reads standard input",
    )
    add_json(parser)


def _explain(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    what: str = arguments.what
    if _TXID.fullmatch(what) and not Path(what).exists():
        explanation = _find(Txid(what.lower()), arguments, loaded.settings)
        print(encode_explanation(explanation).decode() if arguments.json else explain_in_words(explanation))
        return ExitCode.STOPPED
    return _explain_file(what, loaded.settings, is_json=arguments.json)


def _find(txid: Txid, arguments: argparse.Namespace, settings: Settings) -> ExplanationV1:
    """Return the explanation of a transaction that was heard: of the running service, or from the file."""
    answer = ask_service(settings, f"/api/v1/explain/{txid}", timeout_s=_TIMEOUT_S)
    if answer is None:
        try:
            return explain_stored(settings, txid)
        except StoreLocked as error:
            raise StoreLocked(
                f"{error}; no service answers on api.port {settings.api.port}: "
                "if it has another, name that with --api-port"
            ) from error
    if was_given(arguments, "labels.paths"):
        raise ConfigError(
            "a running service explains by its own labels, so --labels has no effect: stop it, "
            f"or {_HOW_TO_SAVE} and name that file"
        )
    url, status, body = answer
    if status is HTTPStatus.OK:
        try:
            return parse_explanation(body)
        except MalformedMessage as error:
            raise ConfigError(
                f"{url}: {error}: is it Hydrophone, of this version, that listens there?"
            ) from error
    message = _message_of(body)
    if message is None:
        raise ConfigError(f"{url} answered {status.value}: is it Hydrophone that listens there?")
    if status is HTTPStatus.NOT_FOUND:
        raise UnknownTransaction(message)
    raise ConfigError(f"{url} answered: {message}")


def _message_of(body: bytes) -> str | None:
    """Return what an error of ours says; None when it is none of ours."""
    try:
        error = json.loads(body)["error"]
        return f"{error['message']}: {error['hint']}" if error["hint"] else str(error["message"])
    except (ValueError, KeyError, TypeError):
        return None


def _explain_file(name: str, settings: Settings, *, is_json: bool) -> int:
    """Explain each transaction of a file; what cannot be is said, and the exit code is then 2."""
    documents, is_list = _read(name)
    explainer = make_explainer(settings)
    results: list[ExplanationV1 | MalformedMessage] = []
    for document in documents:
        try:
            results.append(explainer.explain_json(document))
        except MalformedMessage as error:
            results.append(error)
    problems = [result for result in results if isinstance(result, MalformedMessage)]
    if problems and not is_list:
        raise ConfigError(f"{name}: {problems[0]}: {_HOW_TO_SAVE}")
    if is_json:
        parts = ",".join(_to_json(result) for result in results)
        print(f"[{parts}]" if is_list else parts)
    else:
        texts = [explain_in_words(result) for result in results if isinstance(result, ExplanationV1)]
        print(_RULE.join(texts), end="\n" if texts else "")
    _complain(name, results)
    return ExitCode.CONFIGURATION if problems else ExitCode.STOPPED


def _complain(name: str, results: Sequence[ExplanationV1 | MalformedMessage]) -> None:
    problems = [
        (place, result) for place, result in enumerate(results) if isinstance(result, MalformedMessage)
    ]
    for place, problem in problems[:_MOST_COMPLAINTS]:
        print(f"hydrophone: {name}: transaction {place} of the list: {problem}", file=sys.stderr)
    if len(problems) > _MOST_COMPLAINTS:
        print(f"hydrophone: {name}: and {len(problems) - _MOST_COMPLAINTS} more", file=sys.stderr)
    if not results:
        print(f"hydrophone: {name}: an empty list, there is nothing to explain", file=sys.stderr)


def _read(name: str) -> tuple[list[bytes], bool]:
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name no file can have
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(
            f"expected a txid of 64 hex digits or a file that can be read, found {name[:200]!r}: {reason}"
        ) from error
    try:
        return split_transactions(raw)
    except MalformedMessage as error:
        raise ConfigError(f"{name}: {error}: {_HOW_TO_SAVE}") from error


def _to_json(result: ExplanationV1 | MalformedMessage) -> str:
    if isinstance(result, MalformedMessage):
        return json.dumps({"error": {"code": "malformed", "message": str(result), "hint": ""}})
    return encode_explanation(result).decode()
