"""Each event that is logged is described, with its level, and nothing is described that is not logged."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from hydrophone.domain.accuracy import Turn

ROOT = Path(__file__).parents[2]
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
CHOSEN = {"tell", "say"}
"""Names of a level that is chosen before."""
COMPUTED = {"turn.value": {turn.value for turn in Turn}}
"""Events that are no literals where they are logged."""
WHALE = "🐋 WHALE ALERT: ... BTC - TX: ..."


def logged() -> Iterator[tuple[str, str]]:
    """Yield event and level of every line of code that logs; the level is empty where it is chosen before."""
    for path in sorted((ROOT / "src/hydrophone").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            match node.func:
                case ast.Attribute(value=ast.Name(id="log"), attr=level) if level in LEVELS:
                    pass
                case ast.Name(id=name) if name in CHOSEN and "runtime.telemetry" in ast.unparse(tree):
                    level = ""
                case _:
                    continue
            for event in events_of(node.args[0]):
                yield event, "error" if level == "exception" else level


def events_of(argument: ast.expr) -> set[str]:
    match argument:
        case ast.Constant(value=str(event)):
            return {event}
        case ast.IfExp(body=body, orelse=orelse):
            return events_of(body) | events_of(orelse)
        case ast.JoinedStr():
            return {re.sub(r"\{[^}]*\}", "...", ast.unparse(argument)[2:-1])}
        case _:
            return COMPUTED[ast.unparse(argument)]


def described() -> dict[str, set[str]]:
    """Return the levels of each event on the page."""
    levels = {}
    for line in (ROOT / "docs/logs.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 6 and "`" in cells[1]:
            names, said = re.findall(r"`([^`]+)`", cells[1]), cells[2].split(", ")
            each = len(names) == len(said) > 1
            for place, name in enumerate(names):
                levels[name] = {said[place]} if each else set(said)
    return levels


def test_every_event_is_described_and_every_description_is_of_one() -> None:
    assert {event for event, _ in logged()} == set(described())
    assert len(described()) >= 40


def test_each_is_described_with_its_level() -> None:
    page = described()
    levels = defaultdict(set)
    for event, level in logged():
        levels[event].add(level)
    assert {event: found for event, found in levels.items() if not found - {""} <= page[event]} == {}


def test_what_people_grep_for_is_among_them() -> None:
    assert WHALE in described()


def test_names_are_words_for_programs() -> None:
    assert [event for event in described() if not re.fullmatch(r"[a-z][a-z0-9_]*", event)] == [WHALE]
