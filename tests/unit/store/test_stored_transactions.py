import json
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from hydrophone.domain.learned_labels import LearnedBy
from hydrophone.domain.units import Txid
from hydrophone.errors import StoreError, StoreMismatch, UnknownTransaction
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.raw_transactions import pack_transaction
from hydrophone.store.schema import initialise
from hydrophone.store.stored_transactions import read_learned, read_transaction
from hydrophone.wire.esplora import parse_esplora_transaction
from hydrophone.wire.public_v1 import ValuesV1
from tests.builders import to_bytes, txid_of, wpkh
from tests.explained import DEPOSIT

TX = parse_esplora_transaction(to_bytes(DEPOSIT))
OLD = txid_of("an earlier version")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.db"
    initialise(path)
    return path


def run(path: Path, sql: str, *values: object) -> None:
    with closing(duckdb.connect(str(path))) as connection:
        connection.execute(sql, list(values))


def insertion(**columns: Any) -> tuple[str, list[object]]:  # noqa: ANN401 -- columns of any type
    """Return what inserts all that the service stores about a whale, as far as it matters here."""
    row = {
        "prediction_id": "p1",
        "transaction_id": TX.txid,
        "detection_timestamp": datetime(2026, 11, 22, 8, 51, 2, 99_989),  # noqa: DTZ001 -- as the store keeps it
        "status": "pending",
        "flow_type": "inflow",
        "btc_value": 1049.99,
        "rbf_enabled": True,
        "confidence_score": 0.75,
        "moved_sat": 100,
        "inflow_sat": 60,
        "outflow_sat": 10,
        "internal_sat": 7,
        "interexchange_sat": 5,
        "label_set": "0123456789abcdef",
        "history": json.dumps([{"txid": OLD, "seen_at": "2026-11-22", "fee_rate_sat_vb": 1.0}]),
        "raw_transaction": pack_transaction(TX),
        **columns,
    }
    marks = ", ".join("?" * len(row))
    return f"INSERT INTO mempool_predictions ({', '.join(row)}) VALUES ({marks})", list(row.values())


def keep(path: Path, **columns: Any) -> None:  # noqa: ANN401 -- columns of any type
    sql, values = insertion(**columns)
    run(path, sql, *values)


@pytest.mark.parametrize("txid", [TX.txid, OLD])
def test_a_transaction_is_found_by_any_of_its_txids(path: Path, txid: Txid) -> None:
    keep(path)
    stored = read_transaction(path, txid)
    assert stored.transaction == TX
    assert (stored.said.transaction_id, stored.said.flow_type) == (TX.txid, "inflow")
    assert stored.said.values == ValuesV1(60, 10, 7, 5, 25)
    assert stored.said.detected_at == "2026-11-22T08:51:02.099989Z"
    assert (stored.said.label_set, stored.said.amendments) == ("0123456789abcdef", [])


def test_who_is_now_what_was_asked_for_comes_before_who_was(path: Path) -> None:
    keep(path, prediction_id="was", transaction_id=txid_of("later"), history=json.dumps([{"txid": TX.txid}]))
    keep(path, prediction_id="is", history=None)
    assert read_transaction(path, TX.txid).said.prediction_id == "is"


def test_amendments_are_told_in_order(path: Path) -> None:
    keep(path)
    insert = "INSERT INTO amendments VALUES ('p1', ?, ?, ?, ?)"
    before, after = '{"flow_type": "unknown"}', '{"flow_type": "inflow"}'
    run(path, insert, datetime(2026, 11, 23), "second", "{}", "{}")  # noqa: DTZ001
    run(path, insert, datetime(2026, 11, 22), "first", before, after)  # noqa: DTZ001
    run(path, insert.replace("p1", "p2"), datetime(2026, 11, 22), "of another", "{}", "{}")  # noqa: DTZ001
    first, second = read_transaction(path, TX.txid).said.amendments
    assert (first.reason, first.before, first.after) == ("first", json.loads(before), json.loads(after))
    assert (second.reason, second.amended_at) == ("second", "2026-11-23T00:00:00.000000Z")


def test_a_row_that_states_no_amounts_has_none(path: Path) -> None:
    keep(path, moved_sat=None, label_set=None, confidence_score=None)
    said = read_transaction(path, TX.txid).said
    assert (said.values, said.moved_sat, said.label_set, said.confidence) == (None, None, None, None)


def test_what_is_not_there_is_said_with_what_to_do(path: Path) -> None:
    with pytest.raises(UnknownTransaction, match=r"is not in the database.*name that file"):
        read_transaction(path, TX.txid)
    keep(path, raw_transaction=None)
    with pytest.raises(UnknownTransaction, match=r"without its inputs and outputs.*name that file"):
        read_transaction(path, TX.txid)


def test_bytes_that_are_no_transaction_are_said(path: Path) -> None:
    keep(path, raw_transaction=b"zstd?")
    with pytest.raises(StoreMismatch, match="raw_transaction of"):
        read_transaction(path, TX.txid)


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        read_transaction(tmp_path / "none.db", TX.txid)
    with pytest.raises(StoreError, match="there is no database"):
        read_learned(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


def test_the_quickstarts_own_file_keeps_no_transactions(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    run(path, "CREATE TABLE mempool_predictions (transaction_id TEXT)")
    with pytest.raises(StoreMismatch, match="db migrate"):
        read_transaction(path, TX.txid)
    assert read_learned(path) == ()


LEARN = "INSERT INTO learned_scripts VALUES (?, 'Kraken', 'deposit', ?, ?, 'list.csv', 0.9, ?)"


def test_what_was_learned_comes_back_oldest_first(path: Path) -> None:
    run(path, LEARN, wpkh(2), "co_spend", txid_of("b"), datetime(2026, 11, 23))  # noqa: DTZ001
    run(path, LEARN, wpkh(1), "sweep", txid_of("a"), datetime(2026, 11, 22))  # noqa: DTZ001
    first, second = read_learned(path)
    assert (first.script, first.learned_by, first.evidence) == (wpkh(1), LearnedBy.SWEEP, txid_of("a"))
    assert (second.script, second.entity.name, second.source) == (wpkh(2), "Kraken", "list.csv")
    assert first.learned_at < second.learned_at


def test_a_learned_script_that_we_would_not_write_is_said(path: Path) -> None:
    run(path, LEARN, wpkh(1), "hearsay", txid_of("a"), datetime(2026, 11, 22))  # noqa: DTZ001
    with pytest.raises(StoreMismatch, match="hearsay"):
        read_learned(path)


async def test_an_open_store_finds_it_beside_the_writer(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "x.db", address_of=lambda _: None)
    await store.open()
    try:
        writer = store._database._connection
        assert writer is not None
        writer.execute(*insertion())
        assert (await store.find_transaction(TX.txid)).transaction == TX
        with pytest.raises(UnknownTransaction):
            await store.find_transaction(txid_of("another"))
    finally:
        await store.close()
