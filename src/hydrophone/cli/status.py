"""status and doctor: how it goes, and what to do about what does not."""

import argparse
import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from hydrophone.bootstrap import DEFAULT_URLS, STALE_DAYS, load_labels, sync_states, today
from hydrophone.cli.asking import fetch_from_service, open_direct
from hydrophone.cli.flags import Commands, add_command, add_json
from hydrophone.config import RECORDING_SCHEME, LoadedSettings, Settings, host_in_url
from hydrophone.errors import ConfigError, ExitCode, HydrophoneError, StoreError
from hydrophone.pipeline.connection import describe_duration
from hydrophone.runtime.telemetry import rss_bytes
from hydrophone.sources.mempool_space import probe
from hydrophone.sources.mempool_space_rest import rest_base_of
from hydrophone.store.duckdb_store import read_status
from hydrophone.web.loopback import check_port_free

_TIMEOUT_S: Final = 2.0
_CLOCK_TOLERANCE_S: Final = 5.0
"""# chosen: HTTP dates have whole seconds, and an answer takes some."""
_LABEL_AGE_DAYS: Final = 90
"""# chosen: a third of Binance's own list changed within a year."""


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    add_json(add_command(commands, "status", "how the service goes, or what its database holds", _status))
    add_json(add_command(commands, "doctor", "look for trouble before it comes", _doctor))


def fetch_status(settings: Settings) -> dict[str, Any] | None:
    """Return what the running service reports; None when none answers.

    Raises:
        ConfigError: something else answers there.
    """
    url, report = fetch_from_service(settings, "/api/v1/status") or ("", None)
    if report is not None and "predictions" not in report:
        raise ConfigError(f"{url} is not Hydrophone's status")
    return report


def quickstart_lines(settings: Settings) -> list[str]:
    """Return the lines of the quickstart's status script: from the service, or from the file without one.

    A running service adds whether it hears the mempool, and for how long it did not.

    Raises:
        StoreError: there is neither.
        ConfigError: something else answers where the service should.
    """
    report = fetch_status(settings)
    if report is not None:
        counts: Mapping[str, Any] = report["predictions"]
        memory_mb, total, pending = report["memory_mb"], counts["total"], counts["pending"]
    else:
        stored = read_status(settings.store.path)
        memory_mb, total, pending = rss_bytes() / 2**20, stored.prediction_count, stored.pending_count
    host, port = host_in_url(settings.alerts.host), settings.alerts.port
    is_served = report is not None or asyncio.run(probe(f"ws://{host}:{port}", _TIMEOUT_S)) is None
    alerts = "✅ Alert broadcaster is running" if is_served else "❌ Alert broadcaster is not running"
    return [
        f"Memory usage: {memory_mb:.1f} MB",
        f"Total predictions: {total}",
        f"Pending predictions: {pending}",
        alerts,
        *_sight_lines(report or {}),
    ]


def _sight_lines(report: Mapping[str, Any]) -> list[str]:
    """Return whether the mempool is heard, and how often it was not, as far as a report says that."""
    lines = []
    source, blindness = report.get("source"), report.get("blindness")
    if source is not None:
        lines.append(f"{'✅' if source['mempool_available'] else '❌'} {source['message']}")
    if blindness is not None:
        mark = " (SIMULATED)" if report.get("simulated") else ""
        lines.append(f"Blind: {_blindness_in_words(blindness)}{mark}")
    return lines


def _blindness_in_words(blindness: Mapping[str, Any]) -> str:
    """Return how long sources were blind, and how many of the whales that were mined nobody had announced."""
    rate = blindness["blind_spot_rate"]
    if rate.get("insufficient_data"):
        unseen = f"whales mined unseen: insufficient data (n={rate['n']})"
    else:
        unseen = f"{rate['value']:.1%} of whales mined unseen (n={rate['n']})"
    time_blind = describe_duration(blindness["blind_s"])
    return f"{time_blind} of {describe_duration(blindness['period_s'])}, {unseen}"


def _status(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    report = fetch_status(loaded.settings)
    if report is None:
        stored = asdict(read_status(loaded.settings.store.path))
        report = {"running": False, "store": str(loaded.settings.store.path), **stored}
    else:
        report = {"running": True, **report}
    if arguments.json:
        print(json.dumps(report))
    else:
        for line in _sight_lines(report):
            print(line)
        _print_nested(report)
    return ExitCode.STOPPED


def _print_nested(report: Mapping[str, Any], indent: str = "") -> None:
    for key, value in report.items():
        if isinstance(value, dict):
            print(f"{indent}{key}")
            _print_nested(value, indent + "  ")
        else:
            print(f"{indent}{key:<{24 - len(indent)}} {value}")


@dataclass(frozen=True, slots=True)
class Finding:
    """What the doctor found.

    Attributes:
        what: was looked at.
        is_sound: whether it is as it should be.
        text: what was found, and what to do about it when it is not sound.
    """

    what: str
    is_sound: bool
    text: str


def _doctor(arguments: argparse.Namespace, loaded: LoadedSettings) -> int:
    settings = loaded.settings
    is_running = fetch_status(settings) is not None
    findings = [
        *_check_sources(settings),
        _check_clock(settings),
        _check_labels(settings),
        *_check_syncs(settings),
    ]
    findings += [] if is_running else [_check_store(settings), *_check_ports(settings)]
    if is_running:
        findings.append(Finding("service", is_sound=True, text="is running; its store and ports are its own"))
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            print(f"{'ok ' if finding.is_sound else 'BAD'}  {finding.what:<8} {finding.text}")
    return ExitCode.STOPPED if all(finding.is_sound for finding in findings) else ExitCode.CONFIGURATION


def _check_sources(settings: Settings) -> list[Finding]:
    findings = []
    for url in settings.source.urls or DEFAULT_URLS:
        if url.startswith(RECORDING_SCHEME):
            is_there = os.access(url.removeprefix(RECORDING_SCHEME), os.R_OK)
            advice = "is there" if is_there else "is missing, or not readable"
            findings.append(Finding("source", is_there, f"{url} {advice}"))
            continue
        problem = asyncio.run(probe(url, _TIMEOUT_S))
        advice = (
            "answers" if problem is None else f"does not answer ({problem}): is the backend running there?"
        )
        findings.append(Finding("source", problem is None, f"{url} {advice}"))
    return findings


def _check_clock(settings: Settings) -> Finding:
    base = settings.source.rest_url or rest_base_of((settings.source.urls or DEFAULT_URLS)[0])
    try:
        with _open(f"{base}/api/v1/blocks/tip/height") as response:
            stamp = response.headers["Date"]
    except urllib.error.HTTPError as error:
        stamp = error.headers["Date"]
    except (OSError, ValueError, HTTPException):
        stamp = None
    if stamp is None:
        return Finding(
            "clock", is_sound=True, text="nobody to compare it with (the backend's REST does not answer)"
        )
    offset_s = time.time() - parsedate_to_datetime(stamp).timestamp()
    if abs(offset_s) <= _CLOCK_TOLERANCE_S:
        return Finding("clock", is_sound=True, text="agrees with the backend's")
    return Finding(
        "clock", is_sound=False, text=f"differs from the backend's by {offset_s:+.0f} s: is NTP running?"
    )


def _open(url: str) -> Any:  # noqa: ANN401 -- what urllib returns
    """Open a URL, one on this machine without a proxy: the proxy has a clock, and a localhost, of its own."""
    is_here = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
    return (open_direct if is_here else urllib.request.urlopen)(url, timeout=_TIMEOUT_S)


def _check_labels(settings: Settings) -> Finding:
    try:
        book, files = load_labels(settings, today())
    except ConfigError as error:
        return Finding("labels", is_sound=False, text=str(error))
    rejected = sum(len(file.rejected) for file in files)
    newest = max((label.as_of for label in book if label.as_of), default=None)
    age = _age_in_days(newest)
    text = f"{len(book)} claims, newest {newest or 'undated'}"
    if rejected:
        return Finding(
            "labels", is_sound=False, text=f"{text}; {rejected} bad rows: see `hydrophone labels check FILE`"
        )
    if age is not None and age > _LABEL_AGE_DAYS:
        text += f", {age} days old: exchanges change a third of their list in a year, look for a newer one"
    return Finding("labels", is_sound=True, text=text)


def _check_syncs(settings: Settings) -> list[Finding]:
    """Return a finding for each list that is synced."""
    findings = []
    for state in sync_states(settings, today()):
        if state.info is None:
            continue
        name, age = state.known.name, state.age_days
        text = f"{name} was asked for {age} days ago" if age is not None else f"{name} was never asked for"
        if state.info.failure:
            text += f"; the last time it could not be had: {state.info.failure}"
        elif state.is_stale:
            text += f", more than {STALE_DAYS}"
        advice = f": try `hydrophone labels sync {name}`" if state.is_stale else ""
        findings.append(Finding("sync", not state.is_stale, text + advice))
    return findings


def _age_in_days(day: date | None) -> int | None:
    return None if day is None else (datetime.now(UTC).date() - day).days


def _check_store(settings: Settings) -> Finding:
    path = settings.store.path
    try:
        return _look_at_store(path)
    except StoreError as error:
        return Finding("store", is_sound=False, text=str(error))
    except OSError as error:
        return Finding("store", is_sound=False, text=f"{path} cannot be looked at: {error.strerror}")


def _look_at_store(path: Path) -> Finding:
    if path.exists():
        stored = read_status(path)
        is_writable = os.access(path, os.W_OK)
        text = f"{path}: {stored.prediction_count} predictions" + (
            "" if is_writable else ", but not writable"
        )
        return Finding("store", is_writable, text)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    is_writable = os.access(folder, os.W_OK) and folder.is_dir()
    text = f"{path} will be made" if is_writable else f"{path} cannot be made: {folder} is not writable"
    return Finding("store", is_writable, text)


def _check_ports(settings: Settings) -> list[Finding]:
    findings = []
    for section, host, port in (
        ("alerts", settings.alerts.host, settings.alerts.port),
        ("api", settings.api.host, settings.api.port),
    ):
        try:
            check_port_free(host, port, section=section)
        except HydrophoneError as error:
            findings.append(Finding("port", is_sound=False, text=str(error)))
        else:
            findings.append(Finding("port", is_sound=True, text=f"{section} {host}:{port} is free"))
    return findings


def print_quickstart_status() -> int:
    """Print what scripts/check_status.py prints; the exit code is 4 without a service and a database."""
    from hydrophone.config import load_settings  # noqa: PLC0415 -- the script's own way in

    try:
        for line in quickstart_lines(load_settings().settings):
            print(line)
    except HydrophoneError as error:
        print(f"check_status: {error}", file=sys.stderr)
        return error.exit_code
    return ExitCode.STOPPED
