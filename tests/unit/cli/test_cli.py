import asyncio
import gzip
import json
import logging
import os
import signal
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
import structlog

from hydrophone import __version__, bootstrap
from hydrophone.cli import main
from hydrophone.cli import status as status_command
from hydrophone.config import TABLE, Settings
from hydrophone.store.schema import load_migrations
from hydrophone.web.rest import Question, Route
from hydrophone.wire import rest_paths as paths
from tests.backends import HOST, Backend, blunt_server, free_port, running
from tests.recorded import EXCERPT
from tests.unit.web.asking import make_server

BINANCE = "12VuUfQHTGqWDvBzm8TBad1mZBm4hjGEzN"
NOBODY = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
LABELS = f"exchange_name,address,type\nSome Exchange,{NOBODY},deposit\n"

COMMANDS = (
    ("run",),
    ("demo",),
    ("simulate",),
    ("record",),
    ("replay",),
    ("status",),
    ("explain",),
    ("doctor",),
    ("estimate",),
    ("accuracy",),
    ("labels", "stats"),
    ("labels", "lookup"),
    ("labels", "check"),
    ("labels", "import"),
    ("labels", "sync"),
    ("labels", "export"),
    ("db", "init"),
    ("db", "migrate"),
    ("db", "check"),
    ("config", "show"),
    ("config", "check"),
)

FREE_PORTS = ("--alerts-port", "0", "--api-port", "0")
HERE = (*FREE_PORTS, "--memory-shed-mb", "0", "--memory-limit-mb", "1000000")
"""For a service in our process, which after some thousand tests holds more than a service should."""

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start in an empty folder with nothing set; leave logging and signals as they were."""
    monkeypatch.chdir(tmp_path)
    for variable in os.environ:
        if variable.startswith("HYDROPHONE_") or variable.lower() in ("log_level", "http_proxy"):
            monkeypatch.delenv(variable)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    on_interrupt, on_terminate = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGINT, on_interrupt)
    signal.signal(signal.SIGTERM, on_terminate)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def excerpt(tmp_path: Path) -> Path:
    """Return the excerpt as the recording it was."""
    path = tmp_path / "excerpt.jsonl"
    path.write_bytes(gzip.decompress(EXCERPT.read_bytes()))
    return path


def result_of(capsys: Capture, *arguments: str) -> Any:  # noqa: ANN401 -- JSON
    """Run a command that succeeds; return the JSON it prints."""
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refusal_of(capsys: Capture, *arguments: str) -> tuple[int, str]:
    """Run a command that fails; return its exit code and the one line it says."""
    code = main(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("hydrophone: ")
    return code, lines[0]


# All commands.


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_explains_itself_and_takes_every_setting(
    command: tuple[str, ...], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    page = capsys.readouterr().out
    assert all(row.text in page for row in TABLE.values())


def test_the_help_lists_all_commands(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    page = capsys.readouterr().out
    assert all(f"\n    {name} " in page for name, *_ in COMMANDS)


@pytest.mark.parametrize("arguments", [(), ("sing",), ("labels",), ("run", "--no-such-flag", "1")])
def test_what_is_no_command_is_exit_2(arguments: tuple[str, ...], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: hydrophone" in capsys.readouterr().err


def test_the_version_is_told(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"hydrophone {__version__}\n"


@pytest.mark.parametrize("command", ["run", "status", "doctor", "replay x", "db check", "config check"])
def test_a_wrong_setting_ends_every_command_with_2_and_one_line(command: str, capsys: Capture) -> None:
    code, line = refusal_of(capsys, *command.split(), "--alerts-host", "no host")
    assert code == 2
    assert "alerts.host (command line)" in line
    assert "'no host'" in line


# config


def test_config_show_says_each_value_and_who_set_it(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDROPHONE_WHALE__THRESHOLD_BTC", "250.5")
    Path("hydrophone.toml").write_text("[source]\nurls = ['ws://a', 'ws://b']\n", encoding="utf-8")
    shown = result_of(capsys, "config", "show", "--api-port", "81")
    assert list(shown) == list(TABLE)
    assert shown["whale.threshold_btc"] == {"value": "250.5", "origin": "HYDROPHONE_WHALE__THRESHOLD_BTC"}
    assert shown["source.urls"] == {"value": ["ws://a", "ws://b"], "origin": "hydrophone.toml"}
    assert shown["api.port"] == {"value": 81, "origin": "command line"}
    assert shown["alerts.port"] == {"value": 8765, "origin": "default"}

    assert main(["config", "show"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["whale.threshold_btc", "250.5", "HYDROPHONE_WHALE__THRESHOLD_BTC"] in rows
    assert len(rows) == len(TABLE)


def test_config_check_counts_what_is_set(capsys: Capture) -> None:
    assert main(["config", "check", "--api-port", "81"]) == 0
    assert capsys.readouterr().out == f"{len(TABLE)} settings are sound, 1 of them not the default\n"


def test_a_settings_file_can_be_named(capsys: Capture) -> None:
    Path("mine.toml").write_text("[api]\nport = 82\n", encoding="utf-8")
    shown = result_of(capsys, "config", "show", "--config", "mine.toml")
    assert shown["api.port"] == {"value": 82, "origin": "mine.toml"}
    assert refusal_of(capsys, "config", "check", "--config", "yours.toml")[0] == 2


# db


def test_db_init_makes_a_database_that_check_finds_sound(capsys: Capture) -> None:
    assert main(["db", "init"]) == 0
    newest = load_migrations()[-1].version
    assert capsys.readouterr().out == f"data/mempool_predictions.db is at schema version {newest}\n"
    assert main(["db", "migrate"]) == 0
    capsys.readouterr()
    assert main(["db", "check"]) == 0
    assert capsys.readouterr().out == "data/mempool_predictions.db is sound\n"
    assert result_of(capsys, "db", "check") == []


@pytest.mark.parametrize("command", ["check", "migrate"])
def test_db_commands_want_a_database_that_is_there(command: str, capsys: Capture) -> None:
    code, line = refusal_of(capsys, "db", command)
    assert code == 4
    assert "there is no database at data/mempool_predictions.db" in line


def test_db_check_finds_a_record_that_was_changed(excerpt: Path, capsys: Capture) -> None:
    assert main(["run", "--source", f"recording:{excerpt}", *HERE, "--store-path", "x.db"]) == 0
    with duckdb.connect("x.db") as connection:
        connection.execute("UPDATE record SET message = replace(message, 'unknown', 'inflow') WHERE seq = 3")
    capsys.readouterr()
    assert main(["db", "check", "--store-path", "x.db"]) == 4
    finding = "record entry 3 is not what was published: its message has another digest"
    assert capsys.readouterr().out == f"{finding}\n"
    assert main(["db", "check", "--store-path", "x.db", "--json"]) == 4
    assert json.loads(capsys.readouterr().out) == [finding]


# labels


def test_labels_stats_counts_claims_those_of_files_included(capsys: Capture) -> None:
    Path("mine.csv").write_text(
        f"{LABELS}Another Exchange,{NOBODY},hot_wallet\nBad,x,deposit\n", encoding="utf-8"
    )
    bundled = result_of(capsys, "labels", "stats")
    stats = result_of(capsys, "labels", "stats", "--labels", "mine.csv")
    assert bundled["claims"] > 200
    assert (bundled["disputed"], bundled["rejected"]) == (0, 0)
    assert stats["claims"] == bundled["claims"] + 2
    assert stats["scripts"] == bundled["scripts"] + 1
    assert (stats["disputed"], stats["rejected"]) == (1, 1)
    assert stats["label_set"] != bundled["label_set"]
    assert stats["by_entity"]["Some Exchange"] == 1

    assert main(["labels", "stats"]) == 0
    said = capsys.readouterr().out
    assert f"{bundled['claims']} claims on {bundled['scripts']} scripts of" in said
    assert f"{bundled['by_entity']['Binance']:>7}  Binance " in said


def test_labels_lookup_shows_each_claim_with_its_source_and_date(capsys: Capture) -> None:
    found = result_of(capsys, "labels", "lookup", BINANCE)
    [claim] = found["claims"]
    assert (claim["entity"], claim["kind"]) == ("Binance", "exchange")
    assert claim["as_of"] >= "2020"
    assert claim["citation"]
    assert 0 < claim["confidence"] < 1
    assert not found["disputed"]

    assert main(["labels", "lookup", BINANCE]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Binance (exchange, ")
    assert claim["as_of"] in said
    assert claim["citation"] in said


def test_labels_lookup_of_what_nobody_claims(capsys: Capture) -> None:
    assert result_of(capsys, "labels", "lookup", NOBODY)["claims"] == []
    assert main(["labels", "lookup", NOBODY]) == 0
    assert capsys.readouterr().out == "nobody claims to know whose it is\n"


def test_labels_lookup_of_contradicting_claims_says_so(capsys: Capture) -> None:
    Path("mine.csv").write_text(f"{LABELS}Another Exchange,{NOBODY},hot_wallet\n", encoding="utf-8")
    assert main(["labels", "lookup", NOBODY, "--labels", "mine.csv"]) == 0
    said = capsys.readouterr().out
    assert "Some Exchange" in said
    assert "Another Exchange" in said
    assert said.endswith("the claims contradict each other: it gives no direction\n")


def test_labels_lookup_wants_an_address_of_the_network(capsys: Capture) -> None:
    code, line = refusal_of(capsys, "labels", "lookup", NOBODY, "--network", "regtest")
    assert code == 2
    assert "not an address of regtest" in line


def test_labels_check_names_each_bad_row(capsys: Capture) -> None:
    Path("good.csv").write_text(LABELS, encoding="utf-8")
    Path("bad.csv").write_text(f"{LABELS}Bad,nonsense,deposit\n", encoding="utf-8")
    assert main(["labels", "check", "good.csv"]) == 0
    assert capsys.readouterr().out == "good.csv: 1 good rows, 0 bad\n"

    assert main(["labels", "check", "good.csv", "bad.csv"]) == 2
    captured = capsys.readouterr()
    assert captured.out == "good.csv: 1 good rows, 0 bad\nbad.csv: 1 good rows, 1 bad\n"
    assert captured.err.startswith("  line 3: ")
    assert "'Bad,nonsense,deposit'" in captured.err

    assert main(["labels", "check", "bad.csv", "--json"]) == 2
    [report] = json.loads(capsys.readouterr().out)
    assert (report["path"], report["loaded"], report["rejected"][0]["line"]) == ("bad.csv", 1, 3)


@pytest.mark.parametrize("command", ["labels check missing.csv", "labels stats --labels missing.csv"])
def test_a_missing_label_file_is_exit_2(command: str, capsys: Capture) -> None:
    code, line = refusal_of(capsys, *command.split())
    assert code == 2
    assert "label file missing.csv" in line


# replay: what it says is in tests/replay.


def test_replay_speaks_in_words_for_people(excerpt: Path, capsys: Capture) -> None:
    assert main(["replay", str(excerpt), "--network", "regtest"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == ""
    assert lines[0] == (
        "2026-11-22 08:49:56  unknown   112.27 BTC from unknown wallet to unknown wallet  "
        "(5c4d106a5800deb815c652ec1a1dbd3419980515fb4789dc0558454539710220)"
    )
    assert lines[5].startswith("2026-11-22 08:50:12  replaced  fc6f91f5")
    assert " by 84156c26" in lines[5]
    assert lines[-1].startswith("2026-11-22 08:51:34  confirmed  384ba5a6")
    assert lines[-1].endswith(" in block 211")


@pytest.mark.parametrize("name", ["missing.jsonl", "x" * 300, "."])
def test_a_recording_that_cannot_be_read_is_exit_3(name: str, capsys: Capture) -> None:
    code, line = refusal_of(capsys, "replay", name)
    assert code == 3
    assert f"cannot read the recording {name}: " in line


def test_a_recording_without_frames_is_exit_3(excerpt: Path, capsys: Capture) -> None:
    Path("empty.jsonl").touch()
    assert refusal_of(capsys, "replay", "empty.jsonl")[0] == 3
    code, line = refusal_of(capsys, "replay", str(excerpt), "--conn", "nobody")
    assert code == 3
    assert "holds no frame of connection 'nobody'" in line


# run, record: what happens before anything starts. What happens then is in tests/e2e.


@pytest.mark.parametrize("command", ["run", "record x.jsonl"])
def test_without_any_source_it_says_what_was_tried(
    command: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"ws://{HOST}:{asyncio.run(free_port())}/api/v1/ws"
    monkeypatch.setattr(bootstrap.parts, "DEFAULT_URLS", (url,))
    code, line = refusal_of(capsys, *command.split())
    assert code == 3
    assert f"found no source; tried {url} (" in line
    assert "--source ws://" in line
    assert "hydrophone demo" in line
    assert list(tmp_path.iterdir()) == []


async def test_the_usual_source_is_taken_when_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Backend() as backend:
        nobody = f"ws://{HOST}:{await free_port()}"
        monkeypatch.setattr(bootstrap.parts, "DEFAULT_URLS", (nobody, backend.url()))
        assert await bootstrap.find_source(Settings()) == (backend.url(),)


@pytest.mark.parametrize("command", ["run", "record x.jsonl"])
def test_a_recording_that_is_not_there_ends_it_at_once(command: str, capsys: Capture) -> None:
    code, line = refusal_of(capsys, *command.split(), "--source", "recording:missing.jsonl", *HERE)
    assert code == 3
    assert "cannot read the recording missing.jsonl" in line


@pytest.mark.parametrize("target", ["/dev/full", "/dev/null/x.jsonl", "."])
def test_a_recording_that_cannot_be_written_is_exit_2(target: str, excerpt: Path, capsys: Capture) -> None:
    code = main(["record", target, "--source", f"recording:{excerpt}", "--log-level", "ERROR"])
    assert code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"hydrophone: cannot write the recording {target}: " in line


def test_recording_a_recording_keeps_it(excerpt: Path, capsys: Capture) -> None:
    assert main(["record", "copy.jsonl", "--source", f"recording:{excerpt}", "--network", "regtest"]) == 0
    capsys.readouterr()
    said = []
    for name in ("copy.jsonl", str(excerpt)):
        assert main(["replay", name, "--network", "regtest", "--json"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != ""


# status and doctor


def test_status_without_a_service_reads_the_file(excerpt: Path, capsys: Capture) -> None:
    assert main(["run", "--source", f"recording:{excerpt}", *HERE]) == 0
    capsys.readouterr()
    report = result_of(capsys, "status", "--api-port", "0")
    assert len(bytes.fromhex(report.pop("record_head"))) == 32
    assert report == {
        "running": False,
        "store": "data/mempool_predictions.db",
        "prediction_count": 7,
        "pending_count": 0,
        "outcome_count": 7,
        "gap_count": 1,
        "last_seq": 18,
        "by_flow": {"unknown": 7},
    }
    assert main(["status", "--api-port", "0"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["running", "False"]
    assert ["unknown", "7"] in [line.split() for line in said]


def test_status_without_a_service_and_a_file_is_exit_4(capsys: Capture) -> None:
    assert refusal_of(capsys, "status", "--api-port", "0")[0] == 4


@asynccontextmanager
async def status_server(host: str = "localhost", **others: object) -> AsyncIterator[int]:
    async def report(_: Question) -> Mapping[str, object]:
        return {"memory_mb": 61.5, "predictions": {"total": 3, "pending": 2}, **others}

    server = make_server([Route(paths.STATUS, report)], host=host)
    async with running(server.run):
        yield server.port


async def run_aside(command: Callable[..., int], *arguments: object) -> int:
    """Run a command in a thread, so that the servers of the test can answer it."""
    return await asyncio.to_thread(command, *arguments)


async def test_status_asks_a_running_service(capsys: Capture) -> None:
    async with status_server() as port:
        assert await run_aside(main, ["status", "--api-port", str(port), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "running": True,
        "memory_mb": 61.5,
        "predictions": {"total": 3, "pending": 2},
    }


@pytest.mark.parametrize(
    ("is_heard", "rate", "lines"),
    [
        (
            True,
            {"n": 200, "value": 0.125},
            [
                "✅ Listening to the mempool",
                "Blind: 2 h 5 min of 720 h 0 min, 12.5% of whales mined unseen (n=200) (SIMULATED)",
            ],
        ),
        (
            False,
            {"n": 3, "insufficient_data": True},
            [
                "❌ Mempool Predictions Unavailable",
                "Blind: 2 h 5 min of 720 h 0 min, whales mined unseen: insufficient data (n=3) (SIMULATED)",
            ],
        ),
    ],
)
async def test_both_statuses_say_first_whether_the_mempool_is_heard_and_how_often_it_was_not(
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
    rate: Mapping[str, object],
    lines: Sequence[str],
    *,
    is_heard: bool,
) -> None:
    said = "Listening to the mempool" if is_heard else "Mempool Predictions Unavailable"
    source = {"mempool_available": is_heard, "message": said}
    blindness = {"blind_s": 7_500.0, "period_s": 2_592_000.0, "blind_spot_rate": rate}
    async with status_server(source=source, blindness=blindness, simulated=True) as port:
        assert await run_aside(main, ["status", "--api-port", str(port)]) == 0
        assert capsys.readouterr().out.splitlines()[:2] == lines
        monkeypatch.setenv("HYDROPHONE_API__PORT", str(port))
        assert await run_aside(status_command.print_quickstart_status) == 0
        assert capsys.readouterr().out.splitlines()[4:] == lines


async def test_status_asks_this_machine_whatever_proxy_is_set(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with status_server() as port, blunt_server(b"HTTP/1.1 502 Bad Gateway\r\n\r\n") as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy}")
        monkeypatch.setattr(urllib.request, "_opener", None)  # made once, with the proxies of that moment
        assert await run_aside(main, ["status", "--api-port", str(port)]) == 0
    assert "total" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\n\r\n\xff",
        b"HTTP/1.1 200 OK\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
    ],
)
async def test_status_says_when_something_else_listens_there(answer: bytes, capsys: Capture) -> None:
    async with blunt_server(answer) as address:
        port = address.rpartition(":")[2]
        code, line = await asyncio.to_thread(
            refusal_of, capsys, "status", "--api-host", HOST, "--api-port", port
        )
    assert code == 2
    assert f"http://{address}/api/v1/status" in line
    assert "Hydrophone" in line


async def test_an_ipv6_address_is_asked_too(capsys: Capture) -> None:
    port = await free_port()
    code, _ = await asyncio.to_thread(
        refusal_of, capsys, "status", "--api-host", "::1", "--api-port", str(port)
    )
    assert code == 4  # nobody answered, and there is no file


async def test_the_quickstarts_status_sees_a_broadcaster_that_runs_alone(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDROPHONE_API__PORT", str(await free_port()))
    assert main(["db", "init"]) == 0
    capsys.readouterr()
    async with Backend() as broadcaster:
        monkeypatch.setenv("HYDROPHONE_ALERTS__HOST", HOST)
        monkeypatch.setenv("HYDROPHONE_ALERTS__PORT", broadcaster.base_url.rpartition(":")[2])
        assert await run_aside(status_command.print_quickstart_status) == 0
        assert "✅ Alert broadcaster is running" in capsys.readouterr().out
    assert await run_aside(status_command.print_quickstart_status) == 0
    memory, *rest = capsys.readouterr().out.splitlines()
    assert memory.startswith("Memory usage: ")
    assert rest == [
        "Total predictions: 0",
        "Pending predictions: 0",
        "❌ Alert broadcaster is not running",
    ]


def test_the_quickstarts_status_without_service_and_database_says_so(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDROPHONE_API__PORT", "0")
    assert status_command.print_quickstart_status() == 4
    assert capsys.readouterr().err.startswith("check_status: there is no database at ")
