"""record: what a source says, into a file; and whether what we said is still what we said."""

import argparse
import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from hydrophone.bootstrap import find_source, run_record
from hydrophone.cli.asking import fetch_from_service
from hydrophone.cli.flags import Commands, add_command, add_json
from hydrophone.cli.service import until_stopped
from hydrophone.config import LoadedSettings, Settings
from hydrophone.domain.record import ChainReport, NotedHead, RecordEntry, verify_chain
from hydrophone.domain.units import UnixMicros, micros_from_datetime
from hydrophone.errors import ConfigError, ExitCode
from hydrophone.runtime.supervisor import Supervisor
from hydrophone.store.schema import verify_record

_VERIFY: Final = "verify"
_PATH: Final = "/api/v1/record"
_TIMEOUT_S: Final = 30.0
"""# chosen: a page takes milliseconds, also when the database is busy with something else for seconds."""
_HASH_BYTES: Final = 32


def add_commands(commands: Commands) -> None:
    """Add the command of this module."""
    text = "write what a source says into FILE; or `verify`: check the record of all we said"
    parser = add_command(commands, "record", text, _record)
    parser.add_argument("file", metavar="FILE|verify", help="a file of the name verify is ./verify")
    noted = parser.add_argument_group("verify", "what you noted of the record, to hold against it")
    noted.add_argument("--head", metavar="HASH", help="hash of the newest entry then (record_head of status)")
    noted.add_argument("--seq", metavar="N", help="its index (record_seq)")
    add_json(parser)


def _record(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    settings = loaded.settings
    if arguments.file == _VERIFY:
        return _verify(arguments, settings)
    if arguments.head is not None or arguments.seq is not None or arguments.json:
        raise ConfigError("--head, --seq and --json belong to `hydrophone record verify`")

    async def work(supervisor: Supervisor) -> None:
        await run_record(settings, await find_source(settings), Path(arguments.file), supervisor)

    return until_stopped(settings, work)


def _verify(arguments: argparse.Namespace, settings: Settings) -> int:
    noted = NotedHead(_seq_of(arguments.seq), _hash_of(arguments.head))
    first = fetch_from_service(settings, f"{_PATH}?since=0", timeout_s=_TIMEOUT_S)
    if first is None:
        place = str(settings.store.path)
        report = verify_record(settings.store.path, noted)
    else:
        place, page = first[0].partition("?")[0], first[1]
        report = verify_chain(_pages(settings, page, place), noted)
    _note_verified(settings.store.path, report)
    if arguments.json:
        print(json.dumps(_in_json(report)))
    elif report.fault is not None:
        print(f"{place}: {report.fault.text}")
    else:
        dropped = report.entry_count - report.content_count
        kept = f", of {dropped} of them only the digest" if dropped else ""
        head = f"; the head is {report.head.hex()}" if report.entry_count else ""
        print(f"{place}: all {report.entry_count} entries are as they were published{kept}{head}")
    return ExitCode.STOPPED if report.fault is None else ExitCode.STORE


@dataclass(frozen=True, slots=True)
class Verified:
    """When the record was verified last, and what was found.

    Attributes:
        at_s: seconds since the epoch.
        entries: so many there were.
        whole: whether all were as published.
    """

    at_s: float
    entries: int
    whole: bool


def _note_verified(store: Path, report: ChainReport) -> None:
    """Note beside the database that its record was verified, if that is possible: the doctor asks for it."""
    noted = Verified(time.time(), report.entry_count, report.fault is None)
    with contextlib.suppress(OSError):
        _place_of_note(store).write_text(json.dumps(asdict(noted)), encoding="utf-8")


def last_verified(store: Path) -> Verified | None:
    """Return when the record of a database was verified last on this machine; None: that is not known."""
    try:
        noted = json.loads(_place_of_note(store).read_text(encoding="utf-8"))
        return Verified(float(noted["at_s"]), int(noted["entries"]), bool(noted["whole"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _place_of_note(store: Path) -> Path:
    return store.with_name(f"{store.name}.verified")


def _in_json(report: ChainReport) -> dict[str, object]:
    return {
        "whole": report.fault is None,
        "entries": report.entry_count,
        "with_content": report.content_count,
        "head": report.head.hex() if report.entry_count else "",
        "broken_at": None if report.fault is None else report.fault.seq,
        "reason": None if report.fault is None else report.fault.text,
    }


def _pages(settings: Settings, page: dict[str, Any], url: str) -> Iterator[RecordEntry]:
    """Yield the entries of a running service, page by page, up to where it was when we came.

    Raises:
        ConfigError: what answers is not the record, or nobody answers any more.
    """
    since = 0
    end = _entry_count(page, url)
    while True:
        entries = [_entry_of(entry, url) for entry in page["entries"]]
        yield from entries
        if not entries or entries[-1].seq >= end:
            return
        since = max(since + 1, entries[-1].seq)
        answer = fetch_from_service(settings, f"{_PATH}?since={since}", timeout_s=_TIMEOUT_S)
        if answer is None:
            raise ConfigError(f"{url} does not answer any more: run it again when the service runs")
        _, page = answer
        _entry_count(page, url)


def _entry_count(page: dict[str, Any], url: str) -> int:
    head = page.get("head")
    if not isinstance(page.get("entries"), list) or not isinstance(head, dict) or "seq" not in head:
        raise ConfigError(f"{url} is not the record of Hydrophone")
    return int(head["seq"])


def _entry_of(entry: dict[str, Any], url: str) -> RecordEntry:
    try:
        message = entry["message"]
        return RecordEntry(
            seq=int(entry["seq"]),
            recorded_at=_instant_of(entry["recorded_at"]),
            kind=str(entry["kind"]),
            prediction_id=entry["prediction_id"],
            digest=bytes.fromhex(entry["digest"]),
            hash=bytes.fromhex(entry["hash"]),
            message=None if message is None else message.encode(),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{url} is not the record of Hydrophone: {error!r}") from error


def _instant_of(text: str) -> UnixMicros:
    """Return an instant; of an entry that was changed it may be a number that no calendar has."""
    try:
        return micros_from_datetime(datetime.fromisoformat(text))
    except ValueError:
        return UnixMicros(int(text))


def _seq_of(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--seq: expected the index of an entry, 1, 2, 3..., found {text!r}")
    return int(text)


def _hash_of(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        noted = bytes.fromhex(text)
    except ValueError:
        noted = b""
    if len(noted) != _HASH_BYTES:
        raise ConfigError(f"--head: expected a hash of 64 hex digits, found {text!r}")
    return noted
