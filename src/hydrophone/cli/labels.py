"""labels: who is who, as far as anybody claims."""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from hydrophone.bootstrap import load_labels
from hydrophone.cli.flags import Commands, add_command, add_json
from hydrophone.config import LoadedSettings
from hydrophone.domain.labels import Label
from hydrophone.domain.script import Network, script_from_address
from hydrophone.errors import ConfigError, ExitCode
from hydrophone.store.label_files import load_label_file

_TEXT_LIMIT: Final = 80


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    group = commands.add_parser("labels", help="who is who, as far as anybody claims")
    inner = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_json(add_command(inner, "stats", "how many claims, of whom, how old", _stats))
    lookup = add_command(inner, "lookup", "the claims on an address", _lookup)
    lookup.add_argument("address", metavar="ADDRESS")
    add_json(lookup)
    check = add_command(inner, "check", "read label files and name each bad row", _check)
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    add_json(check)


def _stats(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    book, files = load_labels(loaded.settings)
    claims = list(book)
    entities = Counter(label.entity.name for label in claims)
    dated = [label.as_of for label in claims if label.as_of is not None]
    stats = {
        "label_set": book.version,
        "claims": len(book),
        "scripts": book.script_count,
        "disputed": sum(book.is_disputed(script) for script in {label.script for label in claims}),
        "oldest": min(dated).isoformat() if dated else None,
        "newest": max(dated).isoformat() if dated else None,
        "by_kind": dict(sorted(Counter(label.entity.kind.value for label in claims).items())),
        "by_role": dict(sorted(Counter(label.role.value for label in claims).items())),
        "by_entity": dict(entities.most_common()),
        "rejected": sum(len(file.rejected) for file in files),
    }
    if arguments.json:
        print(json.dumps(stats))
        return ExitCode.STOPPED
    print(f"{stats['claims']} claims on {stats['scripts']} scripts of {len(entities)} entities")
    print(f"set {book.version}, from {stats['oldest']} to {stats['newest']}, {stats['disputed']} disputed")
    for name, count in entities.most_common():
        print(f"{count:>6}  {name}")
    return ExitCode.STOPPED


def _lookup(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    try:
        script = script_from_address(arguments.address, Network(loaded.settings.network))
    except ValueError as error:
        raise ConfigError(f"not an address of {loaded.settings.network}: {error}") from error
    book, _ = load_labels(loaded.settings)
    claims = book.lookup(script)
    if arguments.json:
        found = {
            "address": arguments.address,
            "script": script.hex(),
            "disputed": book.is_disputed(script),
            "claims": [_describe(label) for label in claims],
        }
        print(json.dumps(found))
    elif not claims:
        print("nobody claims to know whose it is")
    else:
        for label in claims:
            when = label.as_of.isoformat() if label.as_of else "no date"
            whose = f"{label.entity.name} ({label.entity.kind}, {label.role})"
            print(f"{whose}  confidence {label.confidence:.2f}, {when}")
            print(f"    source: {label.source}  {label.citation}".rstrip())
        if book.is_disputed(script):
            print("the claims contradict each other: it gives no direction")
    return ExitCode.STOPPED


def _check(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    """Say what is wrong with label files; the exit code is 2 when something is."""
    files = [load_label_file(path, Network(loaded.settings.network)) for path in arguments.files]
    rejected = sum(len(file.rejected) for file in files)
    if arguments.json:
        report = [
            {
                "path": str(file.path),
                "loaded": len(file.labels),
                "rejected": [{"line": row.line, "reason": row.reason} for row in file.rejected],
            }
            for file in files
        ]
        print(json.dumps(report))
    else:
        for file in files:
            print(f"{file.path}: {len(file.labels)} good rows, {len(file.rejected)} bad")
            for row in file.rejected:
                print(f"  line {row.line}: {row.reason}: {row.text[:_TEXT_LIMIT]!r}", file=sys.stderr)
    return ExitCode.CONFIGURATION if rejected else ExitCode.STOPPED


def _describe(label: Label) -> dict[str, object]:
    return {
        "entity": label.entity.name,
        "kind": label.entity.kind,
        "role": label.role,
        "confidence": label.confidence,
        "as_of": label.as_of.isoformat() if label.as_of else None,
        "source": label.source,
        "citation": label.citation,
    }
