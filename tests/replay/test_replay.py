"""A recording through the code that runs live: the same bytes each time, and what they should be."""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import structlog

from hydrophone.bootstrap.listening import Ears
from hydrophone.cli import main
from hydrophone.config import Settings
from hydrophone.domain.labels import LabelBook
from tests.e2e.program import finish
from tests.replay.expected import (
    EXCERPT_FLOWS,
    EXCERPT_MESSAGES,
    LABELS,
    NONE_MESSAGES,
    Summary,
    summary_of,
    unpack_excerpt,
    unpack_none,
)

REGTEST = ("--network", "regtest")
Json = dict[str, Any]
Line = Json


@pytest.fixture(autouse=True)
def _as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Start in an empty folder with nothing set; leave logging as it was."""
    monkeypatch.chdir(tmp_path)
    for variable in os.environ:
        if variable.startswith("HYDROPHONE_") or variable in ("LOG_LEVEL", "LOG_FORMAT"):
            monkeypatch.delenv(variable)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def excerpt(tmp_path: Path) -> Path:
    return unpack_excerpt(tmp_path)


@pytest.fixture
def none(tmp_path: Path) -> Path:
    return unpack_none(tmp_path)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay printed."""

    raw: bytes
    err: str

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw.splitlines()]

    @property
    def alerts(self) -> dict[str, dict[str, Any]]:
        """Data of each alert by the beginning of its txid."""
        data = [message["data"] for message in self.messages if message["type"] == "whale_alert"]
        return {alert["transaction_id"][:8]: alert for alert in data}

    @property
    def summary(self) -> list[Summary]:
        return [summary_of(message) for message in self.messages]


Replay = Callable[..., Replayed]


@pytest.fixture
def replay(capsysbinary: pytest.CaptureFixture[bytes]) -> Replay:
    """Return what replays a recording."""

    def run(path: Path, *arguments: str) -> Replayed:
        capsysbinary.readouterr()
        assert main(["replay", str(path), *REGTEST, *arguments, "--json"]) == 0
        captured = capsysbinary.readouterr()
        return Replayed(captured.out, captured.err.decode())

    return run


# What is said.


def test_the_excerpt_makes_us_say_exactly_this(replay: Replay, excerpt: Path) -> None:
    replayed = replay(excerpt)
    assert replayed.err == ""
    assert replayed.summary == EXCERPT_MESSAGES
    assert [message["seq"] for message in replayed.messages] == list(range(1, len(EXCERPT_MESSAGES) + 1))
    assert {alert["flow_reason"] for alert in replayed.alerts.values()} == {
        "no exchange label on either side"
    }


def test_every_transaction_above_the_threshold_that_was_announced_is_said(
    replay: Replay, excerpt: Path
) -> None:
    """An oracle of its own: it reads the recording with nothing of ours."""
    whales = {
        transaction["txid"][:8]
        for transaction in announced_in(excerpt)
        if sum(output["value"] for output in transaction["vout"]) > 100 * 10**8
    }
    assert set(replay(excerpt).alerts) == whales


def test_a_backend_without_prevouts_leaves_every_flow_unknown_and_we_say_why(
    replay: Replay, none: Path
) -> None:
    replayed = replay(none)
    assert replayed.summary == NONE_MESSAGES
    for alert in replayed.alerts.values():
        assert alert["flow_type"] == "unknown"
        assert alert["flow_reason"] == (
            "inputs unknown: the source sent no prevouts; they did not come within a second"
        )


def test_a_fee_bump_continues_its_prediction(replay: Replay, excerpt: Path) -> None:
    alerts = replay(excerpt).alerts
    first, *later = (alerts[txid] for txid in ("fc6f91f5", "84156c26", "dc42e41a"))
    assert [alert["prediction_id"] for alert in later] == [first["prediction_id"]] * 2
    assert (first["was_modified"], *(alert["was_modified"] for alert in later)) == (False, True, True)
    assert [version["transaction_id"][:8] for version in later[1]["history"]] == ["fc6f91f5", "84156c26"]
    assert first["fee_rate"] < later[0]["fee_rate"] < later[1]["fee_rate"]
    assert {alert["detection_timestamp"] for alert in later} == {first["detection_timestamp"]}


# The same each time.


@pytest.mark.parametrize("unpack", [unpack_excerpt, unpack_none])
async def test_a_replay_gives_the_same_bytes_again_and_in_another_process(
    unpack: Callable[[Path], Path], replay: Replay, tmp_path: Path
) -> None:
    path = unpack(tmp_path)
    first = replay(path, "--labels", LABELS)
    assert first.raw == replay(path, "--labels", LABELS).raw
    arguments = ("replay", str(path), *REGTEST, "--labels", LABELS, "--json")
    other = await finish("-m", "hydrophone", *arguments, cwd=tmp_path, PYTHONHASHSEED="7", TZ="Asia/Tokyo")
    assert (other.code, other.err) == (0, "")
    assert other.out.encode() == first.raw


# Settings are honoured.


def test_labels_give_the_flows_and_name_the_exchanges(replay: Replay, excerpt: Path) -> None:
    replayed = replay(excerpt, "--labels", LABELS)
    assert replayed.summary == EXCERPT_MESSAGES
    assert {txid: alert["flow_type"] for txid, alert in replayed.alerts.items()} == EXCERPT_FLOWS
    deposit = replayed.alerts["4fd6e487"]
    assert deposit["text"] == "300 BTC from unknown wallet to Example Exchange A"
    assert [entity["name"] for entity in deposit["entities"]] == ["Example Exchange A"]
    assert deposit["flow_reason"] is None
    assert deposit["exchange_addresses"]


def test_a_bad_row_of_a_label_file_is_said_and_the_rest_is_used(
    replay: Replay, excerpt: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(Path(LABELS).read_text(encoding="utf-8") + "Bad,nonsense,deposit\n", encoding="utf-8")
    replayed = replay(excerpt, "--labels", str(bad))
    assert {txid: alert["flow_type"] for txid, alert in replayed.alerts.items()} == EXCERPT_FLOWS
    assert "label_rejected" in replayed.err
    assert "line=8" in replayed.err


@pytest.mark.parametrize(
    ("threshold_btc", "whales"),
    [
        ("200", ["2da29f62", "3efc748d", "4fd6e487"]),
        ("251.37003104", ["2da29f62", "4fd6e487"]),
        ("251.37003105", ["4fd6e487"]),  # exactly as much is not more
        ("300", []),
    ],
)
def test_the_threshold_is_the_one_that_is_set(
    threshold_btc: str, whales: list[str], replay: Replay, excerpt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYDROPHONE_WHALE__THRESHOLD_BTC", threshold_btc)
    assert list(replay(excerpt).alerts) == whales


def test_the_explorer_and_the_network_are_those_that_are_set(replay: Replay, excerpt: Path) -> None:
    alert = replay(excerpt, "--explorer-url", "http://localhost/tx/").alerts["5c4d106a"]
    assert alert["explorer_url"] == f"http://localhost/tx/{alert['transaction_id']}"
    [first, *_] = replay(excerpt, "--labels", LABELS).alerts["4fd6e487"]["exchange_addresses"]
    assert first.startswith("bcrt1")


# Recordings of all kinds.


def lines_of(path: Path) -> list[Line]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def write_lines(path: Path, lines: Sequence[Line | bytes]) -> Path:
    encoded = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(encoded) + b"\n")
    return path


def transactions_of(frame: Json) -> list[Json]:
    """Return the transactions that a frame announces, replacements included."""
    delta = frame.get("mempool-transactions") or {}
    return [*delta.get("added", []), *(pair["by"] for pair in delta.get("replaced", []))]


def announced_in(path: Path) -> list[Json]:
    frames = [json.loads(line["raw"]) for line in lines_of(path) if line["dir"] == "in"]
    return [transaction for frame in frames for transaction in transactions_of(frame)]


def without_prevouts(line: Line) -> tuple[Line, list[Json]]:
    """Return a line as a backend without an address index would say it, and the transactions it announces."""
    if line["dir"] != "in":
        return line, []
    frame, whole = json.loads(line["raw"]), json.loads(line["raw"])
    for transaction in transactions_of(frame):
        for spent in transaction["vin"]:
            spent["prevout"] = None
    return line | {"raw": json.dumps(frame)}, transactions_of(whole)


def answer(prefix: str, transaction: Json, t: float, *, as_text: bool) -> Line:
    """Return a REST answer as a line; its body may be JSON or the text that it was."""
    body = json.dumps(transaction) if as_text else transaction
    return {"t": t, "path": f"{prefix}/tx/{transaction['txid']}", "status": 200, "body": body}


def with_answers(
    path: Path, prefix: str = "/api", *, delay_s: float = 0.05, as_text: bool = False
) -> list[Line]:
    """Return a recording as heard from a backend without prevouts that was asked for them."""
    lines: list[Line] = []
    for line in lines_of(path):
        stripped, transactions = without_prevouts(line)
        lines.append(stripped)
        lines += [answer(prefix, tx, line["t"] + delay_s, as_text=as_text) for tx in transactions]
    return lines


@pytest.mark.parametrize(("prefix", "as_text"), [("/api", False), ("/api/v1", True)])
def test_rest_answers_among_the_lines_give_the_flows(
    prefix: str, replay: Replay, excerpt: Path, tmp_path: Path, *, as_text: bool
) -> None:
    lines = with_answers(excerpt, prefix, as_text=as_text)
    answered = replay(write_lines(tmp_path / "answered", lines), "--labels", LABELS)
    assert b"inputs unknown" not in answered.raw
    assert answered.summary == EXCERPT_MESSAGES
    assert answered.alerts == replay(excerpt, "--labels", LABELS).alerts

    unanswered = replay(
        write_lines(tmp_path / "unanswered", [line for line in lines if "path" not in line]),
        "--labels",
        LABELS,
    )
    assert {alert["flow_type"] for alert in unanswered.alerts.values()} == {"unknown"}


def test_an_answer_that_comes_too_late_amends_the_signal(
    replay: Replay, excerpt: Path, tmp_path: Path
) -> None:
    lines = with_answers(excerpt, delay_s=1.5)
    replayed = replay(write_lines(tmp_path / "late", lines), "--labels", LABELS)
    amendments = {
        message["data"]["transaction_id"][:8]: message["data"]["amendment"]
        for message in replayed.messages
        if message["data"].get("new_status") == "amended"
    }
    assert replayed.alerts["4fd6e487"]["flow_type"] == "unknown"
    assert amendments["4fd6e487"]["flow_type"] == "inflow"
    assert {txid: data["flow_type"] for txid, data in amendments.items()} == EXCERPT_FLOWS


@pytest.mark.parametrize("delay_s", [None, 0.05, 1.5])
def test_a_service_on_a_recording_stores_the_very_bytes_of_a_replay(
    delay_s: float | None, replay: Replay, excerpt: Path, tmp_path: Path
) -> None:
    """With prevouts, with answers in time, and with answers that come too late."""
    lines = lines_of(excerpt) if delay_s is None else with_answers(excerpt, delay_s=delay_s)
    path = write_lines(tmp_path / "recording", lines)
    ports = ("--alerts-port", "0", "--api-port", "0")
    assert main(["run", "--source", f"recording:{path}", *REGTEST, *ports, "--labels", LABELS]) == 0
    with closing(duckdb.connect("data/mempool_predictions.db", read_only=True)) as connection:
        rows = connection.execute("SELECT message FROM record ORDER BY seq").fetchall()
    replayed = replay(path, "--labels", LABELS)
    assert [text.encode() for (text,) in rows] == replayed.raw.splitlines()
    assert len(rows) >= len(EXCERPT_MESSAGES)


async def test_the_time_of_a_recording_is_that_of_its_frames(excerpt: Path) -> None:
    """Else a busy machine would give up waiting for an answer that is among the lines."""
    ears = Ears(Settings(), (f"recording:{excerpt}",), LabelBook(()))
    assert ears.clock() == 0
    *_, source = ears.services(lambda _: asyncio.sleep(0))
    await source.run(lambda: None)
    assert ears.clock() == round(lines_of(excerpt)[-1]["t"] * 1e6)


def test_malformed_lines_are_skipped_with_a_warning(replay: Replay, excerpt: Path, tmp_path: Path) -> None:
    lines = excerpt.read_bytes().splitlines()
    rubbish = [b"not JSON", b'{"t":"soon"}', b"\xff\xfe", b'{"t":1,"dir":"sideways"}', lines[7][:1000], b"[]"]
    for place, line in enumerate(rubbish):
        lines.insert(3 * place, line)
    replayed = replay(write_lines(tmp_path / "dirty", lines))
    assert replayed.raw == replay(excerpt).raw
    warnings = replayed.err.splitlines()
    assert [warning.split(" skipped: ")[0] for warning in warnings] == [
        f"line {3 * place + 1}" for place in range(len(rubbish))
    ]


def test_malformed_frames_are_counted_and_the_rest_is_said(
    replay: Replay, excerpt: Path, tmp_path: Path
) -> None:
    lines: list[Line] = lines_of(excerpt)
    lines.insert(9, {"t": lines[9]["t"], "conn": "all", "dir": "in", "raw": "not JSON"})
    replayed = replay(write_lines(tmp_path / "dirty", lines))
    assert replayed.raw == replay(excerpt).raw
    assert replayed.err.startswith("1 malformed parts left out; the last: expected a JSON object")


def test_gaps_are_no_error(replay: Replay, excerpt: Path, tmp_path: Path) -> None:
    """Frames are missing, and the connection was lost and made anew."""
    lines = lines_of(excerpt)
    lost = {"t": lines[12]["t"], "conn": "all", "dir": "close"}
    torn = [*lines[:12], lost, *lines[:5], *lines[14:]]
    replayed = replay(write_lines(tmp_path / "torn", torn))
    assert replayed.err == ""
    missing = set(EXCERPT_MESSAGES) - set(replayed.summary)
    assert missing
    assert set(replayed.summary) < set(EXCERPT_MESSAGES)


def test_one_connection_is_replayed_the_first_that_tracked_the_mempool(
    replay: Replay, excerpt: Path, none: Path, tmp_path: Path
) -> None:
    both = [
        *({**line, "conn": "deaf"} for line in lines_of(none) if line.get("dir") != "out"),
        *lines_of(excerpt),
        *({**line, "conn": "second"} for line in lines_of(none)),
    ]
    path = write_lines(tmp_path / "both", both)
    assert replay(path).raw == replay(excerpt).raw
    assert replay(path, "--conn", "second").summary == NONE_MESSAGES
    assert replay(path, "--conn", "deaf").summary == NONE_MESSAGES


def test_a_recording_without_connections_is_fine(replay: Replay, excerpt: Path, tmp_path: Path) -> None:
    bare = [{key: value for key, value in line.items() if key != "conn"} for line in lines_of(excerpt)]
    assert replay(write_lines(tmp_path / "bare", bare)).raw == replay(excerpt).raw
