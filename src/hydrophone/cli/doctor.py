"""doctor: looks for trouble before it comes, and says what to do about it."""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

from hydrophone import __version__
from hydrophone.bootstrap import (
    DEFAULT_URLS,
    STALE_DAYS,
    check_access,
    load_labels,
    sync_states,
    today,
    token_file,
)
from hydrophone.cli.findings import (
    Finding,
    Level,
    bad,
    describe_age,
    findings_of_report,
    of_storage,
    ok,
    warn,
)
from hydrophone.cli.flags import Commands, add_command, add_json
from hydrophone.cli.record import last_verified
from hydrophone.cli.source_checks import examine_source
from hydrophone.cli.status import fetch_status
from hydrophone.config import RECORDING_SCHEME, LoadedSettings, Settings
from hydrophone.errors import ConfigError, ExitCode, HydrophoneError, StoreError
from hydrophone.runtime.telemetry import available_memory_bytes
from hydrophone.store.schema import DUCKDB_VERSION, DUCKDB_WANTED, read_status
from hydrophone.web.loopback import check_port_free, make_room

_LABEL_AGE_DAYS: Final = 90
"""# chosen: a third of Binance's own list changed within a year."""
_VERIFIED_DAYS: Final = 30
"""# chosen: a change is found while a copy from before it is still at hand."""
_EXPIRY_DAYS: Final = 7
_MB: Final = 2**20
_S_PER_DAY: Final = 86_400


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    add_json(add_command(commands, "doctor", "look for trouble before it comes", _doctor))


def _doctor(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    findings = examine(loaded.settings)
    if arguments.json:
        print(json.dumps([finding.as_json() for finding in findings]))
    else:
        for finding in findings:
            print(f"{finding.level:<4} {finding.what:<9} {finding}")
    is_bad = any(finding.level is Level.BAD for finding in findings)
    return ExitCode.CONFIGURATION if is_bad else ExitCode.STOPPED


def examine(settings: Settings) -> list[Finding]:
    """Return all findings; what has to wait for others is asked at once."""
    urls = settings.source.urls or DEFAULT_URLS
    with ThreadPoolExecutor(len(urls) + 1) as threads:
        asked = [threads.submit(_examine_url, settings, url) for url in urls]
        service = threads.submit(_examine_service, settings)
        local = [
            *_check_labels(settings),
            *_check_syncs(settings),
            *_check_access(settings),
            *_check_package(),
        ]
        report, of_service = service.result()
        findings = [finding for one in asked for finding in one.result()]
    findings += of_service
    if report is None:
        findings += [*_check_store(settings), *_check_ports(settings), *_check_machine(settings)]
    return [*findings, *local, *_check_verified(settings)]


def _examine_url(settings: Settings, url: str) -> list[Finding]:
    if url.startswith(RECORDING_SCHEME):
        is_there = os.access(url.removeprefix(RECORDING_SCHEME), os.R_OK)
        if is_there:
            return [ok("source", f"{url} is there")]
        return [bad("source", f"{url} is missing, or not readable", "name another with --source")]
    return asyncio.run(
        examine_source(url, settings.source.rest_url, is_mainnet=settings.network == "mainnet")
    )


def _examine_service(settings: Settings) -> tuple[Mapping[str, Any] | None, list[Finding]]:
    """Return what a running service reports, and what follows from it; None: none runs."""
    try:
        report = fetch_status(settings)
    except ConfigError as error:
        return None, [bad("service", str(error), "set api.port, or access.token_file")]
    if report is None:
        return None, []
    findings = [ok("service", "is running; its store and ports are its own")]
    version = report.get("version", __version__)
    if version != __version__:
        findings.append(
            warn("version", f"the service is {version}, this command {__version__}", "restart the service")
        )
    return report, [*findings, *findings_of_report(report)]


def _check_labels(settings: Settings) -> Iterator[Finding]:
    try:
        book, files = load_labels(settings, today())
    except ConfigError as error:
        yield bad("labels", str(error), "set labels.paths, or mend the file")
        return
    rejected = sum(len(file.rejected) for file in files)
    newest = max((label.as_of for label in book if label.as_of), default=None)
    age = _age_in_days(newest)
    text = f"{len(book)} claims, newest {newest or 'undated'}"
    if rejected:
        yield bad("labels", f"{text}; {rejected} bad rows", "see `hydrophone labels check FILE`")
    elif age is not None and age > _LABEL_AGE_DAYS:
        yield warn(
            "labels",
            f"{text}, {age} days old",
            "exchanges change a third of theirs in a year: get a newer list",
        )
    else:
        yield ok("labels", text)


def _check_syncs(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each list that is synced."""
    for state in sync_states(settings, today()):
        if state.info is None:
            continue
        name, age = state.known.name, state.age_days
        text = f"{name} was asked for {age} days ago" if age is not None else f"{name} was never asked for"
        if state.info.failure:
            text += f"; the last time it could not be had: {state.info.failure}"
        elif state.is_stale:
            text += f", more than {STALE_DAYS}"
        if state.is_stale:
            yield bad("sync", text, f"try `hydrophone labels sync {name}`")
        else:
            yield ok("sync", text)


def _age_in_days(day: date | None) -> int | None:
    return None if day is None else (datetime.now(UTC).date() - day).days


def _check_access(settings: Settings) -> Iterator[Finding]:
    path = settings.access.tokens
    try:
        tokens = token_file(settings).load()
        check_access(settings)
    except ConfigError as error:
        yield bad("tokens", str(error), "mend it before the service starts: it would not")
        return
    now = time.time() * 1e6
    good = [token for token in tokens if token.expires_at is None or token.expires_at > now]
    ending = [
        t for t in good if t.expires_at is not None and t.expires_at < now + _EXPIRY_DAYS * _S_PER_DAY * 1e6
    ]
    if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield warn("tokens", f"others may read {path}", f"chmod 600 {path}")
    elif ending:
        names = ", ".join(token.name or token.token_id for token in ending)
        yield warn(
            "tokens", f"{names} ends within {_EXPIRY_DAYS} days", "make another: `hydrophone token create`"
        )
    elif good:
        yield ok("tokens", f"{len(good)} good ones in {path}")
    else:
        yield ok("tokens", "none, and none is needed: only this machine reaches the ports")


def _check_package() -> Iterator[Finding]:
    if DUCKDB_VERSION.startswith(DUCKDB_WANTED):
        yield ok("duckdb", f"version {DUCKDB_VERSION}")
    else:
        yield bad(
            "duckdb",
            f"version {DUCKDB_VERSION}, tested is {DUCKDB_WANTED}x",
            "install what requirements.txt pins: an older one cannot read a newer one's file",
        )
    if resources.files("hydrophone.web").joinpath("static", "index.html").is_file():
        yield ok("dashboard", "is in the package")
    else:
        yield warn(
            "dashboard",
            "is not in the package: port 8000 shows no page",
            "install a released package, or run `make dashboard`",
        )


def _check_store(settings: Settings) -> Iterator[Finding]:
    path = settings.store.path
    try:
        yield from _look_at_store(path)
    except StoreError as error:
        yield bad("store", str(error), "see above, or set store.path")
    except OSError as error:
        yield bad("store", f"{path} cannot be looked at: {error.strerror}", "set store.path to another place")


def _look_at_store(path: Path) -> Iterator[Finding]:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.exists():
        stored = read_status(path)
        age_s = time.time() - max(path.stat().st_mtime, _mtime_of(path.with_name(f"{path.name}.wal")))
        text = f"{path}: {stored.prediction_count} predictions, written {describe_age(max(0.0, age_s))}"
        if not os.access(path, os.W_OK) or not os.access(folder, os.W_OK):
            yield bad(
                "store", f"{text}, but not writable", f"give {path} and its folder to the service's user"
            )
        else:
            yield ok("store", text)
    elif folder.is_dir() and os.access(folder, os.W_OK):
        yield ok("store", f"{path} will be made")
    else:
        yield bad("store", f"{path} cannot be made: {folder} is not writable", "set store.path, or its owner")
    size = path.stat().st_size if path.exists() else None
    yield from of_storage({"free_bytes": shutil.disk_usage(folder).free, "file_bytes": size})


def _mtime_of(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _check_ports(settings: Settings) -> Iterator[Finding]:
    for section, host, port in (
        ("alerts", settings.alerts.host, settings.alerts.port),
        ("api", settings.api.host, settings.api.port),
    ):
        try:
            check_port_free(host, port, section=section)
        except HydrophoneError as error:
            yield bad("port", str(error), f"or who has it: ss -ltnp sport = :{port}")
        else:
            yield ok("port", f"{section} {host}:{port} is free")


def _check_machine(settings: Settings) -> Iterator[Finding]:
    """Yield whether there is as much memory and as many files as a service may need."""
    available_mb = available_memory_bytes() / _MB
    text = f"{available_mb:.0f} MB available, a service takes up to {settings.memory.limit_mb}"
    if available_mb < settings.memory.limit_mb:
        yield warn("memory", text, "free some, or lower memory.shed_mb and memory.limit_mb")
    else:
        yield ok("memory", text)
    wanted = settings.alerts.max_clients
    room = make_room(wanted)
    if room < wanted:
        yield warn(
            "files",
            f"as many open files as there may be suffice for {room} clients, wanted are {wanted}",
            "raise the hard limit (LimitNOFILE=, ulimit -Hn), or lower alerts.max_clients",
        )
    else:
        yield ok("files", f"there may be enough open files for {wanted} clients")


def _check_verified(settings: Settings) -> Iterator[Finding]:
    verified = last_verified(settings.store.path)
    if verified is None:
        with contextlib.suppress(OSError):  # a path that cannot be is found elsewhere
            if settings.store.path.exists():
                yield ok("record", "was not verified here yet; `hydrophone record verify` does")
        return
    age_s = time.time() - verified.at_s
    text = f"was verified {describe_age(max(0.0, age_s))}, {verified.entries} entries"
    if not verified.whole:
        yield bad("record", f"{text}: it was found changed", "see `hydrophone record verify`, keep a copy")
    elif age_s > _VERIFIED_DAYS * _S_PER_DAY:
        yield warn("record", text, "do it again: `hydrophone record verify`")
    else:
        yield ok("record", text)


__all__: Sequence[str] = ("add_commands", "examine")
