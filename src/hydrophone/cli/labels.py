"""labels: who is who, as far as anybody claims."""

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from tqdm import tqdm

from hydrophone.bootstrap import load_labels, today
from hydrophone.cli import label_sets
from hydrophone.cli.flags import Commands, add_command, add_json, is_terminal
from hydrophone.config import LoadedSettings
from hydrophone.domain.labels import EntityKind, Label, LabelBook, Role
from hydrophone.domain.script import Network, script_from_address
from hydrophone.errors import ConfigError, ExitCode
from hydrophone.store.label_files import LabelFile, load_label_file
from hydrophone.store.label_formats import FORMATS

_TEXT_LIMIT: Final = 80


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    group = commands.add_parser("labels", help="who is who, as far as anybody claims")
    inner = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_json(add_command(inner, "stats", "how many claims, of whom, how old", _stats))
    lookup = add_command(
        inner, "lookup", "every claim on an address, and whether it gives direction", _lookup
    )
    lookup.add_argument("address", metavar="ADDRESS")
    add_json(lookup)
    check = add_command(inner, "check", "read label files and name each bad row", _check)
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    check.add_argument("--format", choices=tuple(FORMATS), help="which form it has; else told by its content")
    add_json(check)
    label_sets.add_commands(inner)


@dataclass(slots=True)
class _EntityStats:
    """What is claimed of one entity."""

    names: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    kinds: set[EntityKind] = field(default_factory=set)
    claims: int = 0
    scripts: set[bytes] = field(default_factory=set)
    roles: dict[Role, int] = field(default_factory=lambda: defaultdict(int))
    oldest: date | None = None
    newest: date | None = None
    retired: int = 0
    disputed: int = 0

    def add(self, label: Label, book: LabelBook) -> None:
        self.names[label.entity.name] += 1
        self.kinds.add(label.entity.kind)
        self.claims += 1
        self.roles[label.role] += 1
        self.retired += not label.is_in_force(book.on)
        if label.script not in self.scripts:
            self.scripts.add(label.script)
            self.disputed += book.is_disputed(label.script)
        if label.as_of is not None:
            self.oldest = min(self.oldest or label.as_of, label.as_of)
            self.newest = max(self.newest or label.as_of, label.as_of)

    @property
    def name(self) -> str:
        return max(self.names, key=lambda name: (self.names[name], name))

    def describe(self) -> dict[str, object]:
        return {
            "kinds": sorted(self.kinds),
            "claims": self.claims,
            "scripts": len(self.scripts),
            "roles": {role.value: self.roles[role] for role in Role if role in self.roles},
            "oldest": _iso(self.oldest),
            "newest": _iso(self.newest),
            "retired": self.retired,
            "disputed": self.disputed,
        }


def _stats(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    book, files = load_labels(loaded.settings, today())
    entities: dict[str, _EntityStats] = defaultdict(_EntityStats)
    by_kind: dict[str, int] = defaultdict(int)
    by_role: dict[str, int] = defaultdict(int)
    by_source: dict[str, int] = defaultdict(int)
    for label in tqdm(book, total=len(book), unit="claims", disable=not is_terminal(), leave=False):
        entities[label.entity.key].add(label, book)
        by_kind[label.entity.kind] += 1
        by_role[label.role] += 1
        by_source[label.source] += 1
    ordered = sorted(entities.values(), key=lambda found: (-found.claims, found.name))
    stats = {
        "label_set": book.version,
        "on": _iso(book.on),
        "claims": len(book),
        "scripts": book.script_count,
        "retired": sum(found.retired for found in ordered),
        "disputed": sum(map(book.is_disputed, book.scripts())),
        "oldest": _iso(min((found.oldest for found in ordered if found.oldest), default=None)),
        "newest": _iso(max((found.newest for found in ordered if found.newest), default=None)),
        "by_kind": dict(sorted(by_kind.items())),
        "by_role": dict(sorted(by_role.items())),
        "by_source": dict(sorted(by_source.items())),
        "by_entity": {found.name: found.claims for found in ordered},
        "entities": {found.name: found.describe() for found in ordered},
        "rejected": sum(len(file.rejected) for file in files),
    }
    if arguments.json:
        print(json.dumps(stats))
        return ExitCode.STOPPED
    print(f"{stats['claims']} claims on {stats['scripts']} scripts of {len(ordered)} entities")
    print(
        f"set {book.version}, from {stats['oldest']} to {stats['newest']}, {stats['disputed']} disputed, "
        f"{stats['retired']} retired, {stats['rejected']} bad rows left out"
    )
    print(" claims  entity")
    for found in ordered:
        print(_in_words(found))
    return ExitCode.STOPPED


def _in_words(found: _EntityStats) -> str:
    roles = ", ".join(f"{count} {role}" for role, count in found.roles.items())
    dates = f"{_iso(found.oldest) or 'no date'} to {_iso(found.newest) or 'no date'}"
    odd = [f"{found.retired / found.claims:.0%} retired"] if found.retired else []
    odd += [f"{found.disputed} disputed"] if found.disputed else []
    scripts = f"{len(found.scripts)} scripts"
    return f"{found.claims:>7}  {found.name:<28}  {'; '.join([scripts, roles, dates, *odd])}"


def _lookup(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    try:
        script = script_from_address(arguments.address, Network(loaded.settings.network))
    except ValueError as error:
        raise ConfigError(f"not an address of {loaded.settings.network}: {error}") from error
    book, _ = load_labels(loaded.settings, today())
    claims = book.claims_on(script)
    why_not = book.why_no_direction(script)
    if arguments.json:
        found = {
            "address": arguments.address,
            "script": script.hex(),
            "disputed": book.is_disputed(script),
            "gives_direction": not why_not,
            "why_not": why_not,
            "claims": [_describe(label, book.on) for label in claims],
        }
        print(json.dumps(found))
    elif not claims:
        print(why_not)
    else:
        for label in claims:
            _print_claim(label, book.on)
        print(f"{why_not}: it gives no direction" if why_not else "it gives a flow its direction")
    return ExitCode.STOPPED


def _print_claim(label: Label, on: date | None) -> None:
    when = label.as_of.isoformat() if label.as_of else "no date"
    whose = f"{label.entity.name} ({label.entity.kind}, {label.role})"
    ended = "" if label.is_in_force(on) else "  RETIRED, counts for nothing"
    print(f"{whose}  confidence {label.confidence:.2f}, {when}{ended}")
    print(f"    source: {label.source}  {label.citation}".rstrip())
    if label.source_url or label.licence:
        print(f"    {label.source_url}  licence: {label.licence or 'not stated'}".replace("      ", "    "))
    if label.valid_from or label.valid_to:
        print(f"    holds from {_iso(label.valid_from) or 'ever'} until {_iso(label.valid_to) or 'now'}")


def _check(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    """Say what is wrong with label files; the exit code is 2 when something is."""
    network = Network(loaded.settings.network)
    with tqdm(unit="rows", disable=not is_terminal(), leave=False) as bar:
        files = [
            load_label_file(path, network, form=arguments.format, advance=bar.update)
            for path in arguments.files
        ]
    rejected = sum(len(file.rejected) for file in files)
    if arguments.json:
        print(json.dumps([_report(file) for file in files]))
    else:
        for file in files:
            skipped = f", {len(file.skipped)} skipped" if file.skipped else ""
            print(f"{file.path}: {len(file.labels)} good rows, {len(file.rejected)} bad{skipped}")
            for row in file.rejected:
                print(f"  line {row.line}: {row.reason}: {row.text[:_TEXT_LIMIT]!r}", file=sys.stderr)
            for reason, lines in label_sets.by_reason(file.skipped).items():
                print(f"  skipped {len(lines)}, such as line {lines[0]}: {reason}", file=sys.stderr)
    return ExitCode.CONFIGURATION if rejected else ExitCode.STOPPED


def _report(file: LabelFile) -> dict[str, object]:
    return {
        "path": str(file.path),
        "loaded": len(file.labels),
        "rejected": label_sets.rows(file.rejected),
        "skipped": label_sets.rows(file.skipped),
    }


def _describe(label: Label, on: date | None) -> dict[str, object]:
    return {
        "entity": label.entity.name,
        "kind": label.entity.kind,
        "role": label.role,
        "confidence": label.confidence,
        "as_of": _iso(label.as_of),
        "source": label.source,
        "citation": label.citation,
        "source_url": label.source_url,
        "licence": label.licence,
        "valid_from": _iso(label.valid_from),
        "valid_to": _iso(label.valid_to),
        "retired": not label.is_in_force(on),
    }


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
