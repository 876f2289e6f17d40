"""Each trouble that the doctor is to find, made for real, and what it says to do."""

import json
import os
import resource
import shutil
import time
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from hydrophone.cli import doctor, main
from hydrophone.cli.findings import Finding, Level, findings_of_report
from hydrophone.cli.record import last_verified
from hydrophone.domain.access import Scope
from hydrophone.domain.units import MICROS_PER_S, UnixMicros
from hydrophone.store.schema import initialise
from hydrophone.store.token_file import TokenFile
from tests.backends import HOST, Backend, Script, blunt_server, free_port, saying
from tests.unit.cli.test_cli import LABELS, run_aside, status_server

Capture = pytest.CaptureFixture[str]
Findings = dict[str, dict[str, Any]]

TELLING = saying(b'{"mempool-blocks":[]}')
NO_TX = (404, b"Transaction not found")
NO_ROUTE = (404, b"<!DOCTYPE html><pre>Cannot GET /api/v1/tx</pre>")
TX_PATHS = [f"{prefix}/tx/{'00' * 32}" for prefix in ("/api/v1", "/api")]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start in an empty folder with nothing set, on a machine with memory to spare."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "available_memory_bytes", lambda: 4 * 2**30)
    (tmp_path / "here.jsonl").touch()
    for variable in os.environ:
        if variable.startswith("HYDROPHONE_") or variable.lower() in (
            "log_level",
            "log_format",
            "http_proxy",
        ):
            monkeypatch.delenv(variable)


def blocks(age_s: float = 60.0) -> tuple[int, bytes]:
    now = time.time()
    return 200, json.dumps([{"timestamp": now - age_s}, {"timestamp": now - age_s - 600}]).encode()


def sound(script: Script = TELLING) -> Backend:
    """Return a backend that is well."""
    backend = Backend(script)
    backend.answers.update({"/api/v1/blocks": [blocks()], TX_PATHS[0]: [NO_TX]})
    return backend


async def diagnose(capsys: Capture, *arguments: str) -> tuple[int, Findings]:
    """Return the exit code and the findings by what was looked at; the worst of each."""
    port = str(await free_port())
    ports = () if "--api-port" in arguments else ("--api-port", port)
    code = await run_aside(main, ["doctor", "--json", "--alerts-port", "0", *ports, *arguments])
    found: Findings = {}
    for finding in json.loads(capsys.readouterr().out):
        known = found.get(finding["what"])
        if known is None or list(Level).index(finding["level"]) > list(Level).index(known["level"]):
            found[finding["what"]] = finding
    return code, found


def troubles(found: Findings) -> dict[str, str]:
    return {what: finding["level"] for what, finding in found.items() if finding["level"] != "ok"}


async def test_it_finds_nothing_where_all_is_well(capsys: Capture) -> None:
    async with sound() as backend:
        code, found = await diagnose(capsys, "--source", backend.url())
        assert (code, troubles(found)) == (0, {})
        assert set(found) == {
            *("source", "rest", "clock", "store", "disk", "port", "memory", "files"),
            *("labels", "tokens", "duckdb", "dashboard"),
        }
        arguments = ["doctor", "--source", backend.url(), "--alerts-port", "0", "--api-port", "0"]
        assert await run_aside(main, arguments) == 0
    rows = capsys.readouterr().out.splitlines()
    assert all(row.startswith("ok ") for row in rows)


async def test_every_trouble_comes_with_what_to_do(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "bad.csv").write_text(f"{LABELS}Bad,nonsense,deposit\n", encoding="utf-8")
    (tmp_path / "not.db").write_text("this is no database", encoding="utf-8")
    async with blunt_server(b"busy") as busy:
        port = busy.rpartition(":")[2]
        arguments = ["--source", "recording:missing.jsonl", "--labels", "bad.csv", "--store-path", "not.db"]
        code, found = await diagnose(capsys, *arguments, "--alerts-host", HOST, "--alerts-port", port)
    assert code == 2
    bad = {what: finding for what, finding in found.items() if not finding["is_sound"]}
    assert set(bad) == {"source", "labels", "store", "port"}
    assert all(finding["advice"] for finding in bad.values())
    assert bad["source"]["text"] == "recording:missing.jsonl is missing, or not readable"
    assert "1 bad rows" in bad["labels"]["text"]
    assert "not.db" in bad["store"]["text"]
    assert f"port {port} of {HOST} is in use" in bad["port"]["text"]


# The source.


async def test_a_source_that_does_not_answer(capsys: Capture) -> None:
    port = await free_port()
    code, found = await diagnose(capsys, "--source", f"ws://bob:secret@{HOST}:{port}/api/v1/ws")
    assert (code, troubles(found)) == (2, {"source": "bad", "rest": "warn"})
    assert "does not answer (Connection refused)" in found["source"]["text"]
    assert "source.rest_url" in found["rest"]["advice"]
    assert "secret" not in json.dumps(found)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b'{"loadingIndicators":{"mempool":37}}', "has loaded 37% of its mempool"),
        (b'{"pong":true}', "told nothing of a mempool within 1 s"),
    ],
)
async def test_a_source_that_is_not_ready(said: bytes, text: str, capsys: Capture) -> None:
    async with sound(saying(said)) as backend:
        code, found = await diagnose(capsys, "--source", backend.url())
    assert (code, troubles(found)) == (0, {"source": "warn"})
    assert text in found["source"]["text"]


async def test_it_asks_a_source_for_what_it_has_loaded(capsys: Capture) -> None:
    wishes: list[str] = []

    async def note(connection: ServerConnection) -> None:
        async for wish in connection:
            wishes.append(str(wish))
            if "track-mempool" in str(wish):
                await connection.send('{"mempool-blocks":[]}')

    async with sound(note) as backend:
        await diagnose(capsys, "--source", backend.url())
    assert json.loads(wishes[0]) == {"action": "init"}


async def test_a_backend_on_esplora_without_its_proxy_cannot_settle_doubts(capsys: Capture) -> None:
    async with sound() as backend, sound() as esplora:
        backend.answers.update({path: [NO_ROUTE] for path in TX_PATHS})
        code, found = await diagnose(capsys, "--source", backend.url())
        assert (code, troubles(found)) == (0, {"rest": "warn"})
        assert "doubts are never settled" in found["rest"]["text"]
        assert "source.rest_url" in found["rest"]["advice"]
        urls = ["--source", backend.url(), "--source-rest-url", esplora.base_url]
        assert troubles((await diagnose(capsys, *urls))[1]) == {}


async def test_a_backend_whose_node_is_behind(capsys: Capture) -> None:
    async with sound() as backend:
        backend.answers["/api/v1/blocks"] = [blocks(age_s=5 * 3_600)]
        _, found = await diagnose(capsys, "--source", backend.url())
        assert troubles(found) == {"rest": "warn"}
        assert "came 5 h 0 min ago" in found["rest"]["text"]
        assert troubles((await diagnose(capsys, "--source", backend.url(), "--network", "signet"))[1]) == {}


async def test_a_clock_that_differs(capsys: Capture) -> None:
    date = formatdate(time.time() - 90, usegmt=True)
    answer = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]".encode()
    async with sound() as backend, blunt_server(answer) as late:
        urls = ["--source", backend.url(), "--source-rest-url", f"http://{late}"]
        code, found = await diagnose(capsys, *urls)
    assert (code, found["clock"]["level"]) == (2, "bad")
    assert "by +9" in found["clock"]["text"]
    assert "NTP" in found["clock"]["advice"]


# This machine.


RECORDING = ("--source", "recording:here.jsonl")


async def test_a_disk_without_room(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=900_000_000))
    code, found = await diagnose(capsys, *RECORDING)
    assert (code, troubles(found)) == (2, {"disk": "bad"})
    assert "900 MB free" in found["disk"]["text"]


async def test_a_database_that_cannot_be_written(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    initialise(tmp_path / "x.db")
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and real(path, mode))
    code, found = await diagnose(capsys, *RECORDING, "--store-path", "x.db")
    assert (code, troubles(found)) == (2, {"store": "bad"})
    assert "not writable" in found["store"]["text"]
    assert "service's user" in found["store"]["advice"]


async def test_a_path_that_cannot_be(capsys: Capture) -> None:
    code, found = await diagnose(capsys, *RECORDING, "--store-path", "x" * 300)
    assert code == 2
    assert "File name too long" in found["store"]["text"]


async def test_how_old_the_database_is(tmp_path: Path, capsys: Capture) -> None:
    initialise(tmp_path / "x.db")
    os.utime(tmp_path / "x.db", times=(0, time.time() - 7_500))
    _, found = await diagnose(capsys, *RECORDING, "--store-path", "x.db")
    assert "0 predictions, written 2 h 5 min ago" in found["store"]["text"]


async def test_too_few_open_files(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (512, 512))
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, _limits: None)
    code, found = await diagnose(capsys, *RECORDING)
    assert (code, troubles(found)) == (0, {"files": "warn"})
    assert "suffice for 256 clients, wanted are 10000" in found["files"]["text"]


async def test_too_little_memory(capsys: Capture) -> None:
    code, found = await diagnose(capsys, *RECORDING, "--memory-limit-mb", "1000000")
    assert (code, troubles(found)) == (0, {"memory": "warn"})


async def test_another_duckdb(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DUCKDB_VERSION", "1.4.2")
    code, found = await diagnose(capsys, *RECORDING)
    assert (code, troubles(found)) == (2, {"duckdb": "bad"})


async def test_a_package_without_a_page(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.resources.files", lambda _package: tmp_path)
    findings = list(doctor._check_package())
    assert [finding.level for finding in findings if finding.what == "dashboard"] == [Level.WARN]


async def test_tokens(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "tokens.json"
    place = ("--access-tokens", str(path))
    now = UnixMicros(int(time.time() * MICROS_PER_S))
    ends = UnixMicros(now + 3 * 86_400 * MICROS_PER_S)
    TokenFile(path).create("desk", Scope.READ, now=now, expires_at=ends)
    _, found = await diagnose(capsys, *RECORDING, *place)
    assert troubles(found) == {"tokens": "warn"}
    assert found["tokens"]["text"] == "desk ends within 7 days"
    path.chmod(0o644)
    _, found = await diagnose(capsys, *RECORDING, *place)
    assert found["tokens"]["advice"] == f"chmod 600 {path}"
    path.write_text("garbage", encoding="utf-8")
    code, found = await diagnose(capsys, *RECORDING, *place)
    assert (code, troubles(found)) == (2, {"tokens": "bad"})
    path.unlink()
    code, found = await diagnose(capsys, *RECORDING, *place, "--access-require-tokens", "on")
    assert (code, troubles(found)) == (2, {"tokens": "bad"})


async def test_labels_that_are_old(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_age_in_days", lambda _day: 91)
    code, found = await diagnose(capsys, *RECORDING)
    assert (code, troubles(found)) == (0, {"labels": "warn"})
    assert "91 days old" in found["labels"]["text"]


async def test_a_record_that_is_verified_now_and_then(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ("--store-path", "x.db")
    initialise(tmp_path / "x.db")
    _, found = await diagnose(capsys, *RECORDING, *store)
    assert "not verified here yet" in found["record"]["text"]
    api = ("--api-port", str(await free_port()))
    assert await run_aside(main, ["record", "verify", *store, *api]) == 0
    capsys.readouterr()
    noted = last_verified(tmp_path / "x.db")
    assert noted is not None
    assert (noted.entries, noted.whole) == (0, True)
    _, found = await diagnose(capsys, *RECORDING, *store)
    assert troubles(found) == {}
    note = tmp_path / "x.db.verified"
    note.write_text(json.dumps({"at_s": time.time() - 31 * 86_400, "entries": 9, "whole": True}))
    _, found = await diagnose(capsys, *RECORDING, *store)
    assert troubles(found) == {"record": "warn"}
    note.write_text(json.dumps({"at_s": time.time(), "entries": 9, "whole": False}))
    code, found = await diagnose(capsys, *RECORDING, *store)
    assert (code, troubles(found)) == (2, {"record": "bad"})
    note.write_text("garbage")
    assert last_verified(tmp_path / "x.db") is None


def test_a_setting_that_there_is_not(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "hydrophone.toml").write_text("[alerts]\nprt = 1\n", encoding="utf-8")
    assert main(["doctor"]) == 2
    assert "did you mean alerts.port?" in capsys.readouterr().err


async def test_something_else_at_our_port(capsys: Capture) -> None:
    async with blunt_server(b"SSH-2.0-OpenSSH_9.6\r\n") as other:
        port = other.rpartition(":")[2]
        code, found = await diagnose(capsys, *RECORDING, "--api-host", HOST, "--api-port", port)
    assert code == 2
    assert "is it Hydrophone that listens there?" in found["service"]["text"]


async def test_a_service_that_runs_is_asked_for_all_it_knows(capsys: Capture) -> None:
    async with status_server(version="0.0.1", **TROUBLED) as port:
        code, found = await diagnose(capsys, *RECORDING, "--api-port", str(port))
    assert code == 2
    assert found["service"]["is_sound"]
    assert not {"store", "port"} & found.keys()  # they are in use, by it
    assert troubles(found) == {"version": "warn", **TROUBLES}


# What a running service says of itself.

WELL: Mapping[str, Any] = {
    "source": {"mempool_available": True, "message": "Listening", "malformed": 3, "lookups_refused": 0},
    "memory": {"level": "normal", "rss_mb": 120.0, "shed_mb": 400.0, "peak_mb": 130.0, "times_short": 0},
    "queues": {
        "frames": {"waiting": 0, "high_water": 9, "capacity": 64, "full_for_s": None},
        "effects": {"waiting": 0, "high_water": 8, "capacity": 4096, "full_for_s": None},
    },
    "storage": {"file_bytes": 10**8, "free_bytes": 10**11},
    "process": {"open_files": 30, "file_limit": 1024},
    "accuracy": {"low": False, "within_p90": 0.91, "n": 200},
    "alerts": {"clients": 2, "dropped": 7},
}
TROUBLED: Mapping[str, Any] = {
    "source": {
        "mempool_available": False,
        "message": "Mempool Predictions Unavailable",
        "malformed": 11,
        "malformed_newest": ["expected a txid"],
        "lookups_refused": 5,
    },
    "memory": {
        "level": "holding",
        "rss_mb": 420.0,
        "shed_mb": 400.0,
        "peak_mb": 430.0,
        "times_short": 1,
        "short_for_s": 12.0,
    },
    "queues": {"effects": {"waiting": 4090, "high_water": 4096, "capacity": 4096, "full_for_s": 45.0}},
    "storage": {"file_bytes": 10**9, "free_bytes": 10**8, "trouble": "x.db: no room to write"},
    "process": {"open_files": 1000, "file_limit": 1024},
    "accuracy": {"low": True, "within_p90": 0.65, "n": 200},
    "alerts": {"clients": 0, "dropped": 0},
}
TROUBLES = {
    "mempool": "bad",
    "malformed": "warn",
    "lookups": "warn",
    "memory": "bad",
    "queue": "bad",
    "database": "bad",
    "disk": "bad",
    "files": "bad",
    "accuracy": "warn",
}


def by_name(findings: Sequence[Finding]) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings}


def test_a_service_that_is_well_says_so() -> None:
    found = by_name(findings_of_report(WELL))
    assert {finding.level for finding in found.values()} == {Level.OK}
    assert found["queues"].text == "none is full; the fullest ever was frames: 9 of 64"
    assert found["clients"].text == "2 connected, 7 messages dropped for slow ones"


def test_a_service_in_trouble_says_what_to_do() -> None:
    found = by_name(findings_of_report(TROUBLED))
    assert {what: str(f.level) for what, f in found.items() if f.level is not Level.OK} == TROUBLES
    assert all(finding.advice for finding in found.values() if finding.level is not Level.OK)
    assert found["accuracy"].text == "65% of 200 confirmations came within P90"
    assert "expected a txid" in found["malformed"].text


def test_a_disk_on_which_the_file_cannot_double_is_a_warning() -> None:
    [finding] = findings_of_report({"storage": {"file_bytes": 3 * 10**9, "free_bytes": 2 * 10**9}})
    assert finding.level is Level.WARN


def test_memory_that_was_short_once_is_a_warning() -> None:
    [finding] = findings_of_report({"memory": {**WELL["memory"], "times_short": 2}})
    assert (finding.level, "it was short 2 times" in finding.text) == (Level.WARN, True)


def test_of_an_older_service_less_is_known() -> None:
    assert findings_of_report({"memory_mb": 61.5, "predictions": {}}) == []


async def test_the_quickstarts_script_says_what_to_do_too(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hydrophone.cli.status import print_quickstart_status

    async with status_server(**TROUBLED) as port:
        monkeypatch.setenv("HYDROPHONE_API__PORT", str(port))
        assert await run_aside(print_quickstart_status) == 0
        said = capsys.readouterr().out.splitlines()
        assert await run_aside(main, ["status", "--api-port", str(port)]) == 0
        shown = capsys.readouterr().out.splitlines()
    assert said[4] == "❌ Mempool Predictions Unavailable"
    assert len(said[5:]) == len(TROUBLES) - 1
    assert "❌ queue: effects has been full for 45 s: see docs/operations.md, Queues" in said
    assert said[5:] == shown[1 : len(said) - 4]
