import asyncio
import io
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from hydrophone.cli import main
from hydrophone.errors import StoreError, UnknownTransaction
from hydrophone.store.schema import initialise
from hydrophone.web.rest import Encoded, Question, Route
from hydrophone.wire import rest_paths as paths
from tests.backends import HOST, blunt_server, running
from tests.builders import txid_of, wpkh
from tests.explained import COINBASE, DEPOSIT, KRAKEN_ADDRESS, SWEEP, WITHDRAWAL
from tests.unit.store.test_stored_transactions import LEARN, TX, keep, run
from tests.unit.web.asking import make_server

LABELS = f"exchange_name,address,type\nKraken,{KRAKEN_ADDRESS},hot\n"
NO_SERVICE = ("--api-port", "0")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start in an empty folder with nothing set but labels."""
    monkeypatch.chdir(tmp_path)
    for variable in os.environ:
        if variable.startswith("HYDROPHONE_") or variable.lower() in ("log_level", "http_proxy"):
            monkeypatch.delenv(variable)
    Path("labels.csv").write_text(LABELS)


def save(document: object, name: str = "tx.json") -> str:
    Path(name).write_text(json.dumps(document))
    return name


def explained(capsys: Capture, *arguments: str) -> Any:  # noqa: ANN401 -- JSON
    assert main(["explain", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refusal_of(capsys: Capture, *arguments: str) -> tuple[int, str]:
    code = main(["explain", *arguments])
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    return code, line


def test_a_file_is_explained_by_the_labels_that_were_named(capsys: Capture) -> None:
    name = save(WITHDRAWAL)
    assert explained(capsys, name)["flow_type"] == "unknown"
    answer = explained(capsys, name, "--labels", "labels.csv")
    assert (answer["flow_type"], answer["labels"][0]["source"]) == ("outflow", "labels.csv")


def test_the_text_is_for_people(capsys: Capture) -> None:
    assert main(["explain", save(WITHDRAWAL), "--labels", "labels.csv"]) == 0
    assert capsys.readouterr().out.startswith("150.8 BTC from Kraken to unknown wallet\nOUTFLOW")


def test_a_list_is_answered_by_a_list_and_one_by_one(capsys: Capture) -> None:
    assert [e["txid"] for e in explained(capsys, save([DEPOSIT, SWEEP]))] == [DEPOSIT["txid"], SWEEP["txid"]]
    assert explained(capsys, save(DEPOSIT))["txid"] == DEPOSIT["txid"]


def test_standard_input_is_a_file_too(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    given = io.TextIOWrapper(io.BytesIO(json.dumps(DEPOSIT).encode()))
    monkeypatch.setattr("sys.stdin", given)
    assert explained(capsys, "-")["txid"] == DEPOSIT["txid"]


def test_the_threshold_decides_what_is_a_whale(capsys: Capture) -> None:
    name = save(DEPOSIT)
    assert explained(capsys, name)["whale"]["is_whale"]
    assert not explained(capsys, name, "--whale-threshold-btc", "2000")["whale"]["is_whale"]


def test_what_is_bad_in_a_list_keeps_its_place_and_is_said(capsys: Capture) -> None:
    name = save([COINBASE, DEPOSIT, {"txid": "ab"}, *[7] * 9])
    assert main(["explain", name, "--json"]) == 2
    captured = capsys.readouterr()
    answers = json.loads(captured.out)
    assert ["txid" in answer for answer in answers] == [False, True, *[False] * 10]
    assert "coinbase" in answers[0]["error"]["message"]
    first, *_, last = captured.err.splitlines()
    assert "transaction 0 of the list" in first
    assert last.endswith("and 6 more")
    assert main(["explain", name]) == 2
    assert DEPOSIT["txid"] in capsys.readouterr().out


def test_an_empty_list_is_said(capsys: Capture) -> None:
    assert main(["explain", save([]), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "[]\n"
    assert "empty list" in captured.err


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "found nothing"),
        (b"txid,value\n", "found 'txid,value'"),
        (b"[{]", "expected a list of transactions"),
        (b"{}", "missing required field `txid`"),
        (b'{"txid":"ab","vin":[],"vout":[],"weight":4}', "64 hex digits"),
        (json.dumps(COINBASE).encode(), "is a coinbase"),
        (json.dumps(DEPOSIT | {"vin": []}).encode(), "expected inputs and outputs"),
        (json.dumps(DEPOSIT | {"vout": []}).encode(), "expected inputs and outputs"),
    ],
)
def test_a_file_that_is_no_transaction_is_exit_2(content: bytes, reason: str, capsys: Capture) -> None:
    Path("tx.json").write_bytes(content)
    code, line = refusal_of(capsys, "tx.json")
    assert code == 2
    assert line.startswith("hydrophone: tx.json: ")
    assert reason in line
    assert line.endswith("save what an explorer answers at /api/tx/TXID")


@pytest.mark.parametrize("name", ["missing.json", ".", "ab" * 31, "nul\0"])
def test_what_is_neither_a_txid_nor_a_file_is_exit_2(name: str, capsys: Capture) -> None:
    code, line = refusal_of(capsys, name)
    assert code == 2
    assert "expected a txid of 64 hex digits or a file that can be read" in line


def test_a_bad_label_file_is_exit_2(capsys: Capture) -> None:
    assert refusal_of(capsys, save(DEPOSIT), "--labels", "none.csv")[0] == 2


# Without a service: the database.


@pytest.fixture
def database() -> Path:
    path = Path("data/mempool_predictions.db")
    initialise(path)
    return path


def test_a_txid_is_looked_up_and_explained_by_what_was_learned(database: Path, capsys: Capture) -> None:
    keep(database)
    at = "2026-11-22"
    run(database, LEARN, wpkh(0xB1), "sweep", txid_of("a"), at)
    answer = explained(capsys, TX.txid.upper(), *NO_SERVICE)
    assert answer["txid"] == TX.txid
    [label] = answer["labels"]
    assert (label["entity"], label["learned"]["how"]) == ("Kraken", "sweep")
    assert answer["said"]["flow_type"] == "inflow"
    assert answer["said_differs"] is True


def test_the_text_tells_what_was_said_at_the_time(database: Path, capsys: Capture) -> None:
    keep(database)
    assert main(["explain", TX.txid, *NO_SERVICE]) == 0
    assert "What was said at the time (2026-11-22 08:51:02 UTC)\n  inflow" in capsys.readouterr().out


def test_an_unknown_txid_is_exit_4(database: Path, capsys: Capture) -> None:
    assert database.exists()
    code, line = refusal_of(capsys, "ab" * 32, *NO_SERVICE)
    assert code == 4
    assert "is not in the database" in line


def test_a_missing_database_is_exit_4(capsys: Capture) -> None:
    code, line = refusal_of(capsys, "ab" * 32, *NO_SERVICE)
    assert code == 4
    assert "there is no database" in line


# With a service: it is asked.


@asynccontextmanager
async def service(answer: bytes | Exception) -> AsyncIterator[str]:
    async def explain(question: Question) -> Encoded:
        assert question.place == TX.txid
        if isinstance(answer, Exception):
            raise answer
        return Encoded(answer)

    server = make_server([Route(paths.EXPLAIN, explain)])
    async with running(server.run):
        yield str(server.port)


async def test_a_running_service_is_asked(capsys: Capture) -> None:
    assert main(["explain", save(WITHDRAWAL), "--json"]) == 0
    told = capsys.readouterr().out
    async with service(told.encode()) as port:
        answer = await asyncio.to_thread(explained, capsys, TX.txid, "--api-port", port)
        assert answer == json.loads(told)
        assert await asyncio.to_thread(main, ["explain", TX.txid, "--api-port", port]) == 0
    assert "UNKNOWN: no direction is claimed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        (UnknownTransaction("it is not here"), 4, "hydrophone: it is not here"),
        (StoreError("no disk"), 2, "no disk: try again later"),
        (b"{}", 2, "is it Hydrophone, of this version"),
    ],
)
async def test_what_a_service_refuses_is_passed_on(
    answer: bytes | Exception, code: int, reason: str, capsys: Capture
) -> None:
    async with service(answer) as port:
        found = await asyncio.to_thread(refusal_of, capsys, TX.txid, "--api-port", port)
    assert found[0] == code
    assert reason in found[1]


async def test_labels_beside_a_running_service_are_refused_rather_than_ignored(capsys: Capture) -> None:
    async with service(b"{}") as port:
        given = ("--api-port", port, "--labels", "labels.csv")
        code, line = await asyncio.to_thread(refusal_of, capsys, TX.txid, *given)
    assert code == 2
    assert "--labels has no effect" in line


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 404 Not Found\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n<html>", b"SSH-2.0-OpenSSH_9.6\r\n"],
)
async def test_something_else_that_listens_there_is_said(answer: bytes, capsys: Capture) -> None:
    async with blunt_server(answer) as address:
        where = ("--api-host", HOST, "--api-port", address.rpartition(":")[2])
        code, line = await asyncio.to_thread(refusal_of, capsys, TX.txid, *where)
    assert code == 2
    assert f"http://{address}/api/v1/explain/" in line
    assert "is it Hydrophone" in line
