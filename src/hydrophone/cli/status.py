"""status: how it goes, and what to do about what does not."""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from hydrophone.cli.asking import fetch_from_service
from hydrophone.cli.findings import Level, findings_of_report
from hydrophone.cli.flags import Commands, add_command, add_json
from hydrophone.config import LoadedSettings, Settings, host_in_url
from hydrophone.errors import ConfigError, ExitCode, HydrophoneError
from hydrophone.pipeline.connection import describe_duration
from hydrophone.runtime.telemetry import rss_bytes
from hydrophone.sources.mempool_space import probe
from hydrophone.store.duckdb_store import read_status

_TIMEOUT_S: Final = 2.0


def add_commands(commands: Commands) -> None:
    """Add the commands of this module."""
    add_json(add_command(commands, "status", "how the service goes, or what its database holds", _status))


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
        *_trouble_lines(report or {}),
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


def _trouble_lines(report: Mapping[str, Any]) -> list[str]:
    """Return what is not as it should be, and what to do about it, beside whether the mempool is heard."""
    findings = findings_of_report(report)
    marks = {Level.WARN: "⚠️ ", Level.BAD: "❌"}
    return [
        f"{marks[finding.level]} {finding.what}: {finding}"
        for finding in findings
        if finding.level is not Level.OK and finding.what != "mempool"
    ]


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
        for line in (*_sight_lines(report), *_trouble_lines(report)):
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
