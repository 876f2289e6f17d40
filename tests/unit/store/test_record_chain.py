"""The chain in the file: chained anew by the migration, and every flipped byte found."""

import asyncio
import hashlib
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from hydrophone.domain.events import AmendSignal, Effect, RaiseSignal, RecordOutcome
from hydrophone.domain.outcome import Status
from hydrophone.domain.record import GENESIS, NotedHead, RecordEntry, verify_chain
from hydrophone.errors import StoreError, StoreMismatch
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.record_chain import read_entries, read_page
from hydrophone.store.schema import check_database, initialise, load_migrations, migrate, verify_record
from hydrophone.store.stored_record import StoredRecord
from tests.contract.fake_store import later, outcome_of, publication, whale

NOTHING_NOTED = NotedHead()
AT = datetime(2026, 11, 22, 8, 51, 2, 99_989, tzinfo=UTC).replace(tzinfo=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a record of six entries; what the second and the fifth said is not kept any more."""
    path = tmp_path_factory.mktemp("sound") / "store.db"

    async def fill() -> None:
        store = DuckDbStore(path, address_of=bytes.hex)
        await store.open()
        for seq in range(1, 7):
            signal = whale((seq + 1) // 2)
            outcome = RecordOutcome(outcome_of(signal, Status.DROPPED, ended_at=later(60)))
            effect = RaiseSignal(signal.seen_at, signal) if seq % 2 else outcome
            await store.commit([publication(seq, effect)])
        await store.write(lambda c: c.execute("UPDATE record SET message = NULL WHERE seq IN (2, 5)"))
        await store.close()

    asyncio.run(fill())
    assert verify_record(path, NOTHING_NOTED).fault is None
    return path


@pytest.fixture
def recorded(sound: Path, path: Path) -> Path:
    """Return a copy of it, to be damaged."""
    shutil.copy(sound, path)
    return path


def change(path: Path, sql: str, *values: object) -> None:
    with duckdb.connect(path) as connection:
        connection.execute(sql, list(values))


def entries_in(path: Path) -> list[RecordEntry]:
    with duckdb.connect(path, read_only=True) as connection:
        return list(read_entries(connection))


def broken_at(path: Path, noted: NotedHead = NOTHING_NOTED) -> int | None:
    fault = verify_record(path, noted).fault
    return None if fault is None else fault.seq


def former_database(path: Path, entry_count: int) -> list[bytes]:
    """Make a database as it was before migration 5; return the messages of its record."""
    messages = [f'{{"seq":{seq},"text":"🐋"}}'.encode() for seq in range(1, entry_count + 1)]
    previous = GENESIS
    with duckdb.connect(path) as connection:
        for migration in load_migrations():
            if migration.version < 5:
                connection.execute(migration.sql)
                connection.execute(
                    "INSERT INTO schema_version (version, name) VALUES (?, ?)",
                    [migration.version, migration.name],
                )
        for seq, message in enumerate(messages, start=1):
            previous = hashlib.sha256(previous + seq.to_bytes(8, "big") + message).digest()
            connection.execute(
                "INSERT INTO record VALUES (?, ?, 'signal', ?, ?, ?)",
                [seq, AT, "p" if seq % 2 else None, message.decode(), previous],
            )
    return messages


def test_what_alerts_said_before_it_was_kept_beside_them_is_read_from_the_record(path: Path) -> None:
    former_database(path, 0)
    for name in ("said", "amended", "no words", "never said"):
        change(
            path,
            "INSERT INTO mempool_predictions (prediction_id, transaction_id, flow_type, btc_value, "
            "rbf_enabled, detection_timestamp) VALUES (?, 't', 'inflow', 101, TRUE, '2026-11-22')",
            name,
        )
    for seq, (kind, name, message) in enumerate(
        [
            ("signal", "said", '{"data":{"text":"a first version"}}'),
            ("signal", "said", '{"data":{"text":"a second one"}}'),
            ("signal", "amended", '{"data":{"text":"not so"}}'),
            ("amendment", "amended", '{"data":{"reason":"labels","amendment":{"text":"but so"}}}'),
            ("outcome", "amended", '{"data":{"text":"no sentence of an alert"}}'),
            ("signal", "no words", "no JSON"),
        ],
        start=1,
    ):
        change(path, "INSERT INTO record VALUES (?, ?, ?, ?, ?, 'x')", *(seq, AT, kind, name, message))
    migrate(path)
    with duckdb.connect(path, read_only=True) as connection:
        found = dict(connection.execute("SELECT prediction_id, text FROM mempool_predictions").fetchall())
    assert found == {"said": "a second one", "amended": "but so", "no words": None, "never said": None}


@pytest.mark.parametrize("entry_count", [0, 3, 2_001])
def test_an_existing_record_is_chained_anew(path: Path, entry_count: int) -> None:
    messages = former_database(path, entry_count)
    migrate(path)
    assert check_database(path) == []
    assert [entry.message for entry in entries_in(path)] == messages
    report = verify_record(path, NOTHING_NOTED)
    assert (report.entry_count, report.content_count) == (entry_count, entry_count)
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.execute("FROM duckdb_tables() WHERE table_name = 'former_record'").fetchall() == []


def test_outcomes_of_before_are_marked_and_held_against_what_was_said(path: Path) -> None:
    former_database(path, 0)
    for name, simulated, status, minutes in (
        ("quick", True, "confirmed", 6),
        ("slow", False, "confirmed", 11),
        ("made late", False, "confirmed", 19),
        ("gone", False, "dropped", 1),
    ):
        made_at = '{"made_at":"2026-11-22T00:10:00Z"}' if name == "made late" else "{}"
        change(
            path,
            "INSERT INTO mempool_predictions (prediction_id, transaction_id, flow_type, btc_value, "
            "rbf_enabled, detection_timestamp, received_at, status, simulated, eta_p50_s, eta_p90_s, market) "
            "VALUES (?, 't', 'inflow', 101, TRUE, '2026-11-22', '2026-11-22', ?, ?, 300, 600, ?)",
            *(name, status, simulated, made_at),
        )
        change(
            path,
            "INSERT INTO prediction_outcomes (outcome_id, prediction_id, transaction_id, predicted_flow, "
            "actual_outcome, ended_at) "
            "VALUES (?, ?, 't', 'inflow', ?, TIMESTAMP '2026-11-22' + to_minutes(?))",
            *(name, name, status, minutes),
        )
    migrate(path)
    with duckdb.connect(path, read_only=True) as connection:
        found = connection.execute(
            "SELECT prediction_id, simulated, within_p50, within_p90 FROM prediction_outcomes ORDER BY ALL"
        ).fetchall()
    assert found == [
        ("gone", False, None, None),
        ("made late", False, False, True),
        ("quick", True, False, True),
        ("slow", False, False, False),
    ]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE record SET message = 'forged' WHERE seq = 3",
        "UPDATE record SET hash = unhex(sha256('x')) WHERE seq = 3",
        "DELETE FROM record WHERE seq = 3",
    ],
)
def test_a_migration_does_not_make_a_changed_record_whole(path: Path, damage: str) -> None:
    former_database(path, 5)
    change(path, damage)
    migrate(path)
    assert broken_at(path) == 3


@pytest.mark.parametrize(
    ("column", "change_sql"),
    [
        ("message", "message || ' '"),
        ("digest", "unhex(replace(hex(digest), left(hex(digest), 2), '{other}'))"),
        ("hash", "unhex(replace(hex(hash), right(hex(hash), 2), '{other}'))"),
        ("seq", "seq + 256"),
        ("seq", "-seq"),
        ("seq", "xor(seq, 1::BIGINT << 62)"),
        ("recorded_at", "recorded_at + INTERVAL 1 MICROSECOND"),
        ("recorded_at", "make_timestamp(xor(epoch_us(recorded_at), 1::BIGINT << 61))"),
        ("kind", "'gap'"),
        ("kind", "''"),
        ("prediction_id", "upper(prediction_id)"),
        ("prediction_id", "NULL"),
    ],
)
def test_a_change_of_any_column_of_any_entry_is_found(recorded: Path, column: str, change_sql: str) -> None:
    before = recorded.read_bytes()
    for seq in range(1, 7):
        other = "00" if seq % 2 else "01"
        change(recorded, f"UPDATE record SET {column} = {change_sql.format(other=other)} WHERE seq = ?", seq)
        if column == "message" and seq in (2, 5):
            assert broken_at(recorded) is None, "there was nothing to change"
        else:
            assert broken_at(recorded) == (1 if change_sql == "-seq" else seq)
        recorded.write_bytes(before)


def test_doubled_and_missing_entries_are_found(recorded: Path) -> None:
    change(recorded, "INSERT INTO record SELECT * FROM record WHERE seq = 4")
    assert broken_at(recorded) == 5
    change(recorded, "DELETE FROM record WHERE seq = 4")
    assert broken_at(recorded) == 4


def test_a_cut_off_end_is_found_by_what_was_noted(recorded: Path) -> None:
    head = entries_in(recorded)[-1]
    change(recorded, "DELETE FROM record WHERE seq > 4")
    assert broken_at(recorded) is None
    assert broken_at(recorded, NotedHead(6)) == 5
    assert broken_at(recorded, NotedHead(None, head.hash)) == 5


def test_a_flipped_byte_anywhere_in_the_file_is_found_or_touched_nothing(recorded: Path) -> None:
    """A database has a checksum for each block; what that does not notice was no part of the record."""
    raw, before = recorded.read_bytes(), entries_in(recorded)
    assert not Path(f"{recorded}.wal").exists()
    chance = random.Random(5)
    found = 0
    text = before[0].message
    assert text is not None
    places = [raw.index(text[:12]), raw.index(before[3].digest), raw.index(before[5].hash)]
    for place in [*places, *(chance.randrange(len(raw)) for _ in range(60))]:
        recorded.write_bytes(raw[:place] + bytes([raw[place] ^ 0x20]) + raw[place + 1 :])
        try:
            is_found = broken_at(recorded) is not None
        except StoreError:
            is_found = True
        if place in places:
            assert is_found
        assert is_found or entries_in(recorded) == before
        found += is_found
    assert found > len(places)


def test_a_page_has_what_follows_an_index_and_the_head(recorded: Path) -> None:
    entries = entries_in(recorded)
    with duckdb.connect(recorded, read_only=True) as connection:
        page = read_page(connection, 2, 3)
        assert page.entries == tuple(entries[2:5])
        assert (page.head_seq, page.head_hash) == (6, entries[5].hash)
        assert read_page(connection, 6, 3).entries == ()
    assert verify_chain(entries).content_count == 4


def test_a_page_of_an_empty_record_has_no_head(path: Path) -> None:
    initialise(path)
    with duckdb.connect(path, read_only=True) as connection:
        page = read_page(connection, 0, 3)
    assert (page.entries, page.head_seq, page.head_hash) == ((), 0, GENESIS)


def test_a_database_of_another_version_is_not_verified(path: Path) -> None:
    former_database(path, 1)
    with pytest.raises(StoreMismatch, match=r"schema version 4, .*`hydrophone db migrate`"):
        verify_record(path, NOTHING_NOTED)
    migrate(path)
    change(path, "INSERT INTO schema_version (version, name) VALUES (99, 'later')")
    with pytest.raises(StoreMismatch, match="upgrade Hydrophone"):
        verify_record(path, NOTHING_NOTED)


async def test_what_was_said_of_predictions_is_read_by_prediction_as_far_as_it_is_kept(path: Path) -> None:
    store = DuckDbStore(path, address_of=bytes.hex)
    await store.open()
    first, second, third = whale(1), whale(2), whale(3)
    effects: list[Effect] = [RaiseSignal(signal.seen_at, signal) for signal in (first, second, third)]
    effects.append(AmendSignal(later(30), first, "known now"))
    effects.append(RecordOutcome(outcome_of(second, Status.DROPPED, ended_at=later(60))))
    said = [publication(seq, effect) for seq, effect in enumerate(effects, start=1)]
    await store.commit(said)
    record = StoredRecord(store)
    of_first = [said[0].message, said[3].message]
    assert await record.read_open_alerts() == {
        first.prediction_id: of_first,
        third.prediction_id: [said[2].message],
    }
    assert await record.read_alerts([first.prediction_id, "unheard of"]) == {first.prediction_id: of_first}
    assert await record.read_alerts([second.prediction_id]) == {second.prediction_id: [said[1].message]}
    assert [entry.seq for entry in await record.read_entries(2, 2)] == [3, 4]
    await store.write(lambda c: c.execute("UPDATE record SET message = NULL WHERE seq = 1"))
    assert await record.read_alerts([first.prediction_id]) == {first.prediction_id: [said[3].message]}
    await store.close()
