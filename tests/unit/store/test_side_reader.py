import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import duckdb
import pytest

from hydrophone.domain.units import Txid, UnixMicros
from hydrophone.errors import QueryTooSlow, StoreClosed, StoreFull, StoreMismatch
from hydrophone.pipeline.ports import GapPeriod
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.side_reader import Cursor

ENDLESS = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE (a.range + b.range) % 7 = 3"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DuckDbStore]:
    store = DuckDbStore(tmp_path / "x.db", address_of=lambda _: None, query_timeout_s=0.1)
    await store.open()
    yield store
    await store.close()


def count(cursor: Cursor) -> int:
    [(n,)] = cursor.execute("SELECT count(*) FROM record").fetchall()
    return int(n)


def run_for_ever(cursor: Cursor) -> object:
    return cursor.execute(ENDLESS).fetchall()


async def test_a_question_that_takes_long_is_broken_off_and_harms_no_other(store: DuckDbStore) -> None:
    for _ in range(3):
        with pytest.raises(QueryTooSlow, match=r"0\.1 s"):
            await store.query(run_for_ever)
    assert await store.query(count) == 0
    assert await store.read(count) == 0


async def test_what_waits_too_long_is_not_begun(store: DuckDbStore) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def hold(_: Cursor) -> None:
        begun.release()
        go_on.wait(10)

    holding = [asyncio.create_task(store.query(hold)) for _ in range(2)]
    await asyncio.to_thread(lambda: [begun.acquire(timeout=10) for _ in range(2)])
    late = asyncio.create_task(store.query(count))
    loop = asyncio.get_running_loop()
    too_late = asyncio.Event()
    loop.call_later(0.15, too_late.set)
    await too_late.wait()
    go_on.set()
    with pytest.raises(QueryTooSlow):
        await late
    await asyncio.gather(*holding)
    assert await store.query(count) == 0


async def test_an_interrupt_between_two_statements_is_repeated(store: DuckDbStore) -> None:
    """The first comes while nothing runs that it could break off."""
    never = threading.Event()

    def dawdle(cursor: Cursor) -> object:
        never.wait(0.3)  # longer than a question may take here
        return run_for_ever(cursor)

    with pytest.raises(QueryTooSlow):
        await asyncio.wait_for(store.query(dawdle), 10)
    assert await store.query(count) == 0


async def test_every_question_of_strangers_is_asked_beside_ours(store: DuckDbStore) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def hold(_: Cursor) -> None:
        begun.release()
        go_on.wait(10)

    holding = [asyncio.create_task(store.query(hold)) for _ in range(2)]
    await asyncio.to_thread(lambda: [begun.acquire(timeout=10) for _ in range(2)])
    period = GapPeriod(UnixMicros(0), UnixMicros(1), None)
    questions = [
        asyncio.create_task(question)
        for question in (
            store.query_record(0, 1),
            store.query_days(1.0),
            store.query_gaps(period),
            store.find_transaction(Txid("ab" * 32)),
        )
    ]
    assert await store.read(count) == 0, "ours waits for none of them"
    await asyncio.sleep(0)
    assert not any(question.done() for question in questions)
    go_on.set()
    await asyncio.gather(*holding, *questions, return_exceptions=True)


async def test_too_many_questions_are_refused_at_once(store: DuckDbStore) -> None:
    go_on = threading.Event()
    asked = [asyncio.create_task(store.query(lambda _: go_on.wait(10))) for _ in range(64)]
    await asyncio.sleep(0)
    with pytest.raises(QueryTooSlow, match="wait already"):
        await store.query(count)
    go_on.set()
    await asyncio.gather(*asked, return_exceptions=True)
    assert await store.query(count) == 0


async def test_who_gives_up_frees_the_thread(store: DuckDbStore) -> None:
    for _ in range(4):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await store.query(run_for_ever)
    assert await store.query(count) == 0


async def test_a_question_sees_one_state(store: DuckDbStore) -> None:
    def twice(cursor: Cursor) -> tuple[int, int]:
        first = count(cursor)
        writer = store._database._connection
        assert writer is not None
        with writer.cursor() as other:
            other.execute("INSERT INTO record VALUES (1, now(), 'x', NULL, 'm', '', '')")
        return first, count(cursor)

    assert await store.query(twice) == (0, 0)
    assert await store.query(count) == 1


async def test_a_fault_of_the_question_is_translated(store: DuckDbStore) -> None:
    with pytest.raises(StoreMismatch):
        await store.query(lambda cursor: cursor.execute("SELECT nothing FROM nowhere"))
    assert await store.query(count) == 0


async def test_it_goes_on_after_the_writer_had_to_open_anew(store: DuckDbStore) -> None:
    store._database._reopen()
    assert await store.query(count) == 0


async def test_closing_breaks_off_what_is_under_way(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "y.db", address_of=lambda _: None, query_timeout_s=60)
    await store.open()
    begun = threading.Event()

    def begin_and_run(cursor: Cursor) -> object:
        begun.set()
        return run_for_ever(cursor)

    asked = asyncio.create_task(store.query(begin_and_run))
    assert await asyncio.to_thread(begun.wait, 10)
    await store.close()
    with pytest.raises((QueryTooSlow, StoreClosed)):
        await asked
    with pytest.raises(StoreClosed):
        await store.query(count)
    duckdb.connect(tmp_path / "y.db").close()


async def limit_of(store: DuckDbStore) -> str:
    def ask(cursor: Cursor) -> str:
        [(limit,)] = cursor.execute("SELECT current_setting('memory_limit')").fetchall()
        return str(limit)

    return await store.query(ask)


async def test_duckdb_may_be_told_to_use_less_for_a_while(store: DuckDbStore) -> None:
    usual = await limit_of(store)
    assert await store.limit_memory(48)
    assert await limit_of(store) == "45.7 MiB"
    assert not await store.limit_memory(48), "it is said once"
    assert await store.limit_memory()
    assert await limit_of(store) == usual == "91.5 MiB"
    assert not await store.limit_memory(4096), "never more than was set"


async def test_a_database_that_was_opened_anew_has_its_usual_memory(store: DuckDbStore) -> None:
    await store.limit_memory(48)
    await store._run(store._writer, store._database._reopen)
    assert await limit_of(store) == "91.5 MiB"
    assert await store.limit_memory(48)


async def test_a_question_that_does_not_fit_may_not_fill_the_disk(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "x.db", address_of=lambda _: None, memory_limit_mb=32)
    await store.open()

    def ask_for_much(cursor: Cursor) -> object:
        cursor.execute("SET max_temp_directory_size = '1MB'")
        return cursor.execute(
            "SELECT md5(range::TEXT) h FROM range(3000000) ORDER BY h LIMIT 1 OFFSET 2000000"
        )

    def limit(cursor: Cursor) -> str:
        [(size,)] = cursor.execute("SELECT current_setting('max_temp_directory_size')").fetchall()
        return str(size)

    try:
        assert await store.query(limit) == "953.6 MiB"
        with pytest.raises(StoreFull):
            await store.query(ask_for_much)
        assert await store.query(count) == 0
    finally:
        await store.close()
