"""labels import, sync and export: sets of labels that come and go."""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tqdm import tqdm

from hydrophone.bootstrap import (
    STALE_DAYS,
    KnownList,
    SetReport,
    SyncState,
    export_labels,
    find_list,
    import_labels,
    load_labels,
    sync_labels,
    sync_states,
    today,
)
from hydrophone.cli.flags import Commands, add_command, add_json, is_terminal
from hydrophone.config import LoadedSettings, Settings
from hydrophone.domain.script import Network
from hydrophone.errors import ConfigError, ExitCode
from hydrophone.store.label_formats import FORMATS, WRITERS, RejectedRow

_TEXT_LIMIT: Final = 80
_REJECTED_SHOWN: Final = 20
"""# chosen: a screenful; `hydrophone labels check FILE` names them all."""


def add_commands(commands: Commands) -> None:
    """Add the commands of this module, beside the others of `labels`."""
    importer = add_command(commands, "import", "keep the labels of a file as a set", _import)
    importer.add_argument("file", type=Path, metavar="FILE")
    importer.add_argument("--name", help="of the set; again the same name: the set is brought to the file")
    importer.add_argument(
        "--format", choices=tuple(FORMATS), help="which form it has; else told by its content"
    )
    _add_confidence(importer)
    add_json(importer)
    sync = add_command(commands, "sync", "fetch a published list; without a name: say which there are", _sync)
    sync.add_argument("name", nargs="?", metavar="NAME")
    sync.add_argument("--url", help="where to ask instead; remembered for the next time")
    sync.add_argument("--yes", action="store_true", help="do not ask before a list is first fetched")
    sync.add_argument("--allow-shrink", action="store_true", help="take a list that lost much of what it had")
    _add_confidence(sync)
    add_json(sync)
    export = add_command(commands, "export", "write all claims into a file", _export)
    export.add_argument("--format", choices=tuple(WRITERS), required=True)
    export.add_argument("--out", type=Path, metavar="FILE", required=True)


def rows(found: Iterable[RejectedRow]) -> list[dict[str, object]]:
    """Return rows that were not loaded, for programs."""
    return [{"line": row.line, "reason": row.reason} for row in found]


def by_reason(found: Iterable[RejectedRow]) -> dict[str, list[int]]:
    """Return the lines of rows by why they were not loaded."""
    lines: dict[str, list[int]] = {}
    for row in found:
        lines.setdefault(row.reason, []).append(row.line)
    return lines


def _add_confidence(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--confidence",
        type=_share,
        metavar="C",
        help="from 0 to 1, of every claim in it, whatever it says itself",
    )


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, found {text}")
    return value


def _import(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    with tqdm(unit="rows", disable=not is_terminal(), leave=False) as bar:
        report = import_labels(
            loaded.settings,
            arguments.file,
            today(),
            name=arguments.name,
            form=arguments.format,
            confidence=arguments.confidence,
            advance=bar.update,
        )
    _tell(report, is_json=arguments.json)
    return ExitCode.STOPPED


def _sync(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    if arguments.name is None:
        return _list_syncs(loaded.settings, is_json=arguments.json)
    known = find_list(arguments.name)
    states = {state.known.name: state for state in sync_states(loaded.settings, today())}
    state = states.get(known.name)
    if state is None or state.info is None:
        _agree(known, arguments.url or known.url, is_agreed=arguments.yes)
    with tqdm(unit="B", unit_scale=True, disable=not is_terminal(), leave=False) as bar:
        report = asyncio.run(
            sync_labels(
                loaded.settings,
                known,
                today(),
                url=arguments.url,
                confidence=arguments.confidence,
                may_shrink=arguments.allow_shrink,
                on_read=bar.update,
            )
        )
    _tell(report, is_json=arguments.json)
    return ExitCode.STOPPED


def _agree(known: KnownList, url: str, *, is_agreed: bool) -> None:
    """Say what is about to be fetched and ask, the first time.

    Raises:
        ConfigError: nobody agreed.
    """
    print(
        f"{known.name}: {known.text}\n  from     {url}\n  licence  {known.licence}\n  size     {known.size}\n"
        "  The whole list is fetched; no address is ever asked for.",
        file=sys.stderr,
    )
    if is_agreed:
        return
    if not (sys.stdin.isatty() and is_terminal()):
        raise ConfigError(f"{known.name} was never fetched: agree to its licence and size with --yes")
    print("Fetch it, now and whenever this command is given? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
        raise ConfigError(f"{known.name} is not fetched: nobody agreed")


def _list_syncs(settings: Settings, *, is_json: bool) -> int:
    states = sync_states(settings, today())
    if is_json:
        print(json.dumps([_describe(state) for state in states]))
        return ExitCode.STOPPED
    for state in states:
        print(f"{state.known.name:<40}  {_standing(state)}")
        print(f"    {state.known.text}; {state.known.licence}; {state.known.size}")
        print(f"    {state.info.origin if state.info else state.known.url}")
    print(f"any other pack of GraphSense: graphsense-PACK; a list is stale after {STALE_DAYS} days")
    return ExitCode.STOPPED


def _standing(state: SyncState) -> str:
    if state.info is None:
        return "not synced"
    if state.info.failure:
        return f"FAILED the last time: {state.info.failure}"
    age = f"asked for on {state.info.checked_on}, {state.age_days} days ago"
    return f"STALE, {age}" if state.is_stale else age


def _describe(state: SyncState) -> dict[str, object]:
    info = state.info
    return {
        "name": state.known.name,
        "text": state.known.text,
        "url": info.origin if info else state.known.url,
        "licence": state.known.licence,
        "size": state.known.size,
        "synced": info is not None,
        "imported_on": info.imported_on if info else None,
        "checked_on": info.checked_on if info else None,
        "age_days": state.age_days,
        "stale": state.is_stale,
        "failure": info.failure if info else "",
    }


def _export(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    book, _ = load_labels(loaded.settings, today())
    with tqdm(total=len(book), unit="claims", disable=not is_terminal(), leave=False) as bar:
        network = Network(loaded.settings.network)
        count = export_labels(book, network, arguments.format, arguments.out, advance=bar.update)
    print(f"{arguments.out}: {count} claims of set {book.version}")
    return ExitCode.STOPPED


def _tell(report: SetReport, *, is_json: bool) -> None:
    revision = report.revision
    if is_json:
        counts = (
            {}
            if revision is None
            else {
                "loaded": revision.live,
                "new": revision.new,
                "changed": revision.changed,
                "returned": revision.returned,
                "unchanged": revision.unchanged,
                "retired": revision.retired,
            }
        )
        told = {"name": report.name, "not_modified": revision is None, **counts}
        told |= {"newly_disputed": report.newly_disputed}
        told |= {"rejected": rows(report.rejected), "skipped": rows(report.skipped)}
        print(json.dumps(told))
        return
    if revision is None:
        print(f"{report.name}: unchanged at its source; nothing to do")
        return
    print(
        f"{report.name}: {revision.live} labels: {revision.new} new, {revision.changed} changed, "
        f"{revision.returned} returned, {revision.unchanged} unchanged; {revision.retired} retired; "
        f"{len(report.rejected)} bad rows, {len(report.skipped)} skipped"
    )
    for row in report.rejected[:_REJECTED_SHOWN]:
        print(f"  line {row.line}: {row.reason}: {row.text[:_TEXT_LIMIT]!r}", file=sys.stderr)
    if len(report.rejected) > _REJECTED_SHOWN:
        print(f"  and {len(report.rejected) - _REJECTED_SHOWN} more bad rows", file=sys.stderr)
    for reason, lines in by_reason(report.skipped).items():
        print(f"  skipped {len(lines)}, such as line {lines[0]}: {reason}", file=sys.stderr)
    if report.newly_disputed:
        print(
            f"{report.newly_disputed} scripts have two owners now, and give no direction any more: "
            "see `hydrophone labels lookup ADDRESS`",
            file=sys.stderr,
        )
    print("a running service uses them after its next start")
