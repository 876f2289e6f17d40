"""`hydrophone explain` as people run it: a process of its own, on files, on a database, beside a service."""

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from websockets.asyncio.server import ServerConnection

from hydrophone.store.schema import initialise
from tests.backends import Backend, await_subscriptions
from tests.builders import mempool_json
from tests.e2e.program import ROOT, Finished, addresses_of, hydrophone, started
from tests.explained import COINBASE, SWEEP, WITHDRAWAL
from tests.unit.store.test_stored_transactions import TX, keep

FREE_PORTS = ("--alerts-port", "0", "--api-port", "0")
NO_SERVICE = ("--api-port", "0")
LABELS = ("--labels", "labels.csv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the examples that the documents explain."""
    for example in (ROOT / "docs/examples").iterdir():
        shutil.copy(example, tmp_path)
    return tmp_path


def answer_of(finished: Finished) -> Any:  # noqa: ANN401 -- JSON
    assert (finished.code, finished.err) == (0, "")
    return json.loads(finished.out)


async def test_a_file_with_one_transaction(folder: Path) -> None:
    answer = answer_of(await hydrophone("explain", "withdrawal.json", *LABELS, "--json", cwd=folder))
    assert (answer["txid"], answer["flow_type"]) == (WITHDRAWAL["txid"], "outflow")
    assert [label["entity"] for label in answer["labels"]] == ["Example Exchange", "Example Exchange"]
    for name, total_sat in answer["values"].items():
        added_sat = sum(output["contributes"][name] for output in answer["outputs"])
        assert abs(added_sat - total_sat) <= len(answer["outputs"])


async def test_a_file_with_several_in_words(folder: Path) -> None:
    finished = await hydrophone("explain", "several.json", *LABELS, cwd=folder)
    assert (finished.code, finished.err) == (0, "")
    withdrawal, sweep, deposit = finished.out.split("-" * 100)
    assert withdrawal.startswith("150.8 BTC from Example Exchange to unknown wallet\nOUTFLOW: ")
    assert "A sweep: what customers of Example Exchange paid in" in sweep
    assert "No exchange label on either side." in deposit


async def test_what_the_document_shows_is_what_is_printed(folder: Path) -> None:
    """Figures apart: they follow the calibration."""
    finished = await hydrophone("explain", "withdrawal.json", *LABELS, cwd=folder)
    page = (ROOT / "docs/explain.md").read_text(encoding="utf-8")
    shown = page.partition("```text\n")[2].partition("```")[0]
    assert words_of(shown) == words_of(finished.out)


def words_of(text: str) -> list[str]:
    return [word for word in text.split() if not any(character.isdigit() for character in word)]


async def test_a_list_with_a_coinbase_is_explained_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps([COINBASE, SWEEP]))
    finished = await hydrophone("explain", "list.json", "--json", cwd=tmp_path)
    coinbase, sweep = json.loads(finished.out)
    assert finished.code == 2
    assert "coinbase" in coinbase["error"]["message"]
    assert sweep["txid"] == SWEEP["txid"]
    assert "transaction 0 of the list" in finished.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nothing.json",), 2, "No such file"),
        (("labels.csv",), 2, "expected a transaction in Esplora's JSON"),
        (("ab" * 32, *NO_SERVICE), 4, "there is no database"),
    ],
)
async def test_what_cannot_be_explained_is_one_line_and_a_code(
    arguments: tuple[str, ...], code: int, said: str, folder: Path
) -> None:
    finished = await hydrophone("explain", *arguments, cwd=folder)
    assert (finished.code, finished.out) == (code, "")
    [line] = finished.err.splitlines()
    assert said in line


async def test_a_txid_is_looked_up_in_the_database(tmp_path: Path) -> None:
    path = tmp_path / "data/mempool_predictions.db"
    initialise(path)
    keep(path)
    answer = answer_of(await hydrophone("explain", TX.txid, *NO_SERVICE, "--json", cwd=tmp_path))
    assert (answer["txid"], answer["said"]["flow_type"]) == (TX.txid, "inflow")
    text = (await hydrophone("explain", TX.txid, *NO_SERVICE, cwd=tmp_path)).out
    assert "What was said at the time" in text


async def test_a_database_in_use_with_nobody_to_ask_says_how_to_name_the_service(tmp_path: Path) -> None:
    with closing(duckdb.connect(str(tmp_path / "x.db"))):
        finished = await hydrophone("explain", "ab" * 32, *NO_SERVICE, "--store-path", "x.db", cwd=tmp_path)
    assert finished.code == 4
    assert "--api-port" in finished.err


async def say_withdrawal(connection: ServerConnection) -> None:
    await await_subscriptions(connection)
    await connection.send(mempool_json(1, added=[WITHDRAWAL]))
    await connection.wait_closed()


async def explained_by_a_service(txid: str, folder: Path) -> Finished:
    """Run a service until it has heard a whale, and ask it why."""
    async with (
        Backend(say_withdrawal) as backend,
        started("run", "--source", backend.url(), *FREE_PORTS, cwd=folder) as program,
    ):
        port = (await addresses_of(program)).api_port
        await program.until(lambda: program.whales == [WITHDRAWAL["txid"]])
        finished = await hydrophone("explain", txid, "--json", "--api-port", port, cwd=folder)
        await program.stop()
    return finished


async def test_a_running_service_says_what_it_does_not_know(tmp_path: Path) -> None:
    finished = await explained_by_a_service("ab" * 32, tmp_path)
    assert finished.code == 4
    assert "is not in the database" in finished.err


async def test_a_running_service_explains_a_whale_it_has_heard(tmp_path: Path) -> None:
    answer = answer_of(await explained_by_a_service(WITHDRAWAL["txid"], tmp_path))
    assert (answer["txid"], answer["said_differs"]) == (WITHDRAWAL["txid"], False)
