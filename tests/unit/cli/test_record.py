"""`hydrophone record verify`: on the file, and asking a service that runs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import duckdb
import pytest

from hydrophone.cli import main
from hydrophone.domain.events import RaiseSignal
from hydrophone.domain.record import GENESIS, NotedHead
from hydrophone.pipeline.record import PAGE_LIMIT, RecordDesk
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.schema import initialise, verify_record
from hydrophone.web.rest import Question, Route
from hydrophone.wire import rest_paths as paths
from tests.backends import blunt_server, running
from tests.contract.fake_store import publication, whale
from tests.unit.web.asking import make_server

Capture = pytest.CaptureFixture[str]
ENTRIES = 2 * PAGE_LIMIT + 7


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A record of some pages; what its first three entries said is not kept any more."""
    path = tmp_path / "store.db"

    async def fill() -> None:
        store = DuckDbStore(path, address_of=bytes.hex)
        await store.open()
        await store.commit(
            [publication(n, RaiseSignal(whale(n).seen_at, whale(n))) for n in range(1, ENTRIES + 1)]
        )
        await store.write(lambda c: c.execute("UPDATE record SET message = NULL WHERE seq <= 3"))
        await store.close()

    asyncio.run(fill())
    return path


def verify(path: Path, *arguments: str, port: int = 0) -> int:
    return main(["record", "verify", "--store-path", str(path), "--api-port", str(port), *arguments])


def head_of(path: Path) -> str:
    return verify_record(path, NotedHead()).head.hex()


def change(path: Path, sql: str) -> None:
    with duckdb.connect(path) as connection:
        connection.execute(sql)


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[int]:
    """Serve the record of a file as a running service does; yield the port."""

    store = DuckDbStore(path, address_of=bytes.hex)
    await store.open()

    async def record(question: Question) -> object:
        query = {"since": str(question.query.since), "limit": str(question.query.limit)}
        return await RecordDesk(store.query_record).answer(query)

    server = make_server([Route(paths.RECORD, record)])
    async with running(server.run):
        yield server.port
    await store.close()


async def verify_served(path: Path, *arguments: str) -> int:
    async with served(path) as port:
        return await asyncio.to_thread(verify, path.with_name("nowhere.db"), *arguments, port=port)


def test_a_whole_record_is_said_to_be_whole(database: Path, capsys: Capture) -> None:
    assert verify(database) == 0
    assert capsys.readouterr().out == (
        f"{database}: all {ENTRIES} entries are as they were published, of 3 of them only the digest; "
        f"the head is {head_of(database)}\n"
    )


def test_for_programs_it_is_json(database: Path, capsys: Capture) -> None:
    assert verify(database, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "whole": True,
        "entries": ENTRIES,
        "with_content": ENTRIES - 3,
        "head": head_of(database),
        "broken_at": None,
        "reason": None,
    }


def test_an_empty_record_has_no_head_to_note(tmp_path: Path, capsys: Capture) -> None:
    initialise(tmp_path / "new.db")
    assert verify(tmp_path / "new.db") == 0
    assert capsys.readouterr().out.endswith("all 0 entries are as they were published\n")
    assert verify(tmp_path / "new.db", "--seq", "1") == 4


def test_a_broken_record_is_exit_4_and_says_where(database: Path, capsys: Capture) -> None:
    change(database, "UPDATE record SET message = replace(message, '5', '6') WHERE seq = 5")
    assert verify(database) == 4
    assert "record entry 5 is not what was published" in capsys.readouterr().out
    assert verify(database, "--json") == 4
    found = json.loads(capsys.readouterr().out)
    assert (found["whole"], found["entries"], found["broken_at"]) == (False, 4, 5)


def test_a_noted_head_shows_what_was_cut_off(database: Path, capsys: Capture) -> None:
    head = head_of(database)
    for noted in (("--head", head), ("--seq", str(ENTRIES)), ("--head", head.upper(), "--seq", str(ENTRIES))):
        assert verify(database, *noted) == 0
    assert verify(database, "--head", GENESIS.hex()) == 4
    change(database, f"DELETE FROM record WHERE seq > {ENTRIES - 2}")
    assert verify(database) == 0
    capsys.readouterr()
    assert verify(database, "--seq", str(ENTRIES)) == 4
    assert f"record entry {ENTRIES - 1} is missing: {ENTRIES} had been noted" in capsys.readouterr().out
    assert verify(database, "--head", head) == 4
    assert "has the noted hash: the record was cut off or made anew" in capsys.readouterr().out


async def test_a_running_service_is_asked_page_by_page(database: Path, capsys: Capture) -> None:
    head = head_of(database)
    assert await verify_served(database, "--head", head, "--seq", str(ENTRIES), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["entries"], found["with_content"], found["head"]) == (ENTRIES, ENTRIES - 3, head)


@pytest.mark.parametrize("seq", [1, PAGE_LIMIT, PAGE_LIMIT + 1, ENTRIES])
async def test_a_running_services_broken_record_is_found(database: Path, seq: int, capsys: Capture) -> None:
    change(database, f"DELETE FROM record WHERE seq = {seq}")
    noted = ("--seq", str(ENTRIES)) if seq == ENTRIES else ()
    assert await verify_served(database, *noted) == 4
    assert f"record entry {seq} is missing" in capsys.readouterr().out


async def test_a_time_that_no_calendar_has_is_found(database: Path, capsys: Capture) -> None:
    later = "make_timestamp(epoch_us(recorded_at) + (1::BIGINT << 61))"
    change(database, f"UPDATE record SET recorded_at = {later} WHERE seq = 5")
    assert await verify_served(database) == 4
    assert "record entry 5 is not what was published: its time" in capsys.readouterr().out


async def test_a_missing_page_is_found(database: Path, capsys: Capture) -> None:
    change(database, f"DELETE FROM record WHERE seq BETWEEN {PAGE_LIMIT + 1} AND {2 * PAGE_LIMIT}")
    assert await verify_served(database) == 4
    assert f"record entry {PAGE_LIMIT + 1} is missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    "body", [b"{}", b'{"entries":[],"head":{}}', b'{"entries":[{"seq":1}],"head":{"seq":1}}']
)
async def test_something_else_that_answers_is_not_taken_for_the_record(
    body: bytes, tmp_path: Path, capsys: Capture
) -> None:
    async with blunt_server(b"HTTP/1.1 200 OK\r\n\r\n" + body) as address:
        host, _, port = address.rpartition(":")
        code = await asyncio.to_thread(verify, tmp_path / "x.db", "--api-host", host, port=int(port))
    assert code == 2
    assert "is not the record of Hydrophone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("verify", "--seq", "0"), "--seq: expected the index of an entry"),
        (("verify", "--seq", "last"), "--seq: expected the index of an entry"),
        (("verify", "--head", "beef"), "--head: expected a hash of 64 hex digits"),
        (("verify", "--head", "x" * 64), "--head: expected a hash of 64 hex digits"),
        (("heard.jsonl", "--head", "00" * 32), "belong to `hydrophone record verify`"),
        (("./verify", "--seq", "1"), "belong to `hydrophone record verify`"),
        (("heard.jsonl", "--json"), "belong to `hydrophone record verify`"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...], words: str, capsys: Capture) -> None:
    assert main(["record", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_without_a_database_it_is_exit_4(tmp_path: Path, capsys: Capture) -> None:
    assert verify(tmp_path / "none.db") == 4
    assert "there is no database" in capsys.readouterr().err
