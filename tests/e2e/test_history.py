"""A service that finds old history in its database."""

import time
from pathlib import Path

import duckdb

from hydrophone.domain.events import RaiseSignal, RecordOutcome
from hydrophone.domain.outcome import Status
from hydrophone.domain.record import NotedHead
from hydrophone.domain.units import MICROS_PER_S, UnixMicros
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.schema import check_database, verify_record
from tests.backends import Backend
from tests.contract.fake_store import DAY, outcome_of, publication, txid, whale
from tests.e2e.program import addresses_of, started

FREE_PORTS = ("--alerts-port", "0", "--api-port", "0")
STORE = Path("data/mempool_predictions.db")


async def fill(path: Path) -> None:
    """Store one whale that ended a hundred days ago, and one that did yesterday."""
    now = UnixMicros(int(time.time()) * MICROS_PER_S)
    store = DuckDbStore(path, address_of=bytes.hex)
    await store.open()
    for number, days in ((1, 100), (2, 1)):
        signal = whale(number, detected_at=UnixMicros(now - days * DAY))
        end = outcome_of(signal, Status.DROPPED, ended_at=UnixMicros(signal.detected_at + 1))
        seq = 2 * number - 1
        raised = RaiseSignal(signal.detected_at, signal)
        await store.commit([publication(seq, raised), publication(seq + 1, RecordOutcome(end))])
    await store.close()


async def test_what_is_older_than_the_setting_goes_and_the_record_still_verifies(tmp_path: Path) -> None:
    await fill(tmp_path / STORE)
    async with (
        Backend() as backend,
        started(
            *("run", "--source", backend.url(), "--network", "regtest", *FREE_PORTS),
            *("--store-retention-days", "30"),
            cwd=tmp_path,
        ) as program,
    ):
        await addresses_of(program)
        entry = await program.logged("history_removed")
        assert (entry["count"], entry["older_than_days"]) == (3, 30)
        await program.stop()
    report = verify_record(tmp_path / STORE, NotedHead(4))
    assert (report.fault, report.entry_count, report.content_count) == (None, 4, 2)
    assert check_database(tmp_path / STORE) == []
    with duckdb.connect(str(tmp_path / STORE), read_only=True) as connection:
        kept = connection.execute("SELECT transaction_id FROM mempool_predictions").fetchall()
        days = connection.execute("SELECT dropped FROM accuracy_daily").fetchall()
    assert kept == [(txid(2),)]
    assert days == [(1,), (1,)]
