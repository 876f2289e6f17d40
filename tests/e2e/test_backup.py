"""`hydrophone db backup` and `db restore` beside the real program, while it runs and when it does not."""

import json
import shutil
from pathlib import Path

import duckdb

from hydrophone.domain.events import RaiseSignal
from hydrophone.store.duckdb_store import DuckDbStore, check_database
from tests.contract.fake_store import T0, publication, whale
from tests.e2e.program import addresses_of, hydrophone, started
from tests.older import undo_newest_migration

RUN = ("run", "--alerts-port", "0", "--api-port", "0")
NOBODY = ("--source", "ws://localhost:9/api/v1/ws")
STORE = Path("data/mempool_predictions.db")
SOCKET = Path(f"{STORE}.sock")


async def have_heard(folder: Path, *seqs: int) -> None:
    store = DuckDbStore(folder / STORE, address_of=bytes.hex)
    await store.open()
    await store.commit([publication(seq, RaiseSignal(T0, whale(seq))) for seq in seqs])
    await store.close()


async def test_a_running_service_copies_its_database_and_lets_nobody_replace_it(tmp_path: Path) -> None:
    await have_heard(tmp_path, 1, 2, 3)
    async with started(*RUN, *NOBODY, cwd=tmp_path) as program:
        await addresses_of(program)
        written = await hydrophone("db", "backup", "copies/one.db", "--json", cwd=tmp_path)
        assert written.code == 0, written.err
        said = json.loads(written.out)
        assert said["path"] == str(tmp_path / "copies/one.db")
        assert (said["findings"], said["record_seq"]) == ([], 3)
        assert (await program.logged("backed_up"))["path"] == said["path"]
        refused = await hydrophone("db", "restore", "copies/one.db", cwd=tmp_path)
        assert refused.code == 4
        assert "nothing was restored" in refused.err
        assert (await program.stop())[0] == 0


async def test_a_service_goes_on_from_a_copy_that_was_restored(tmp_path: Path) -> None:
    await have_heard(tmp_path, 1, 2, 3)
    written = await hydrophone("db", "backup", "copy.db", cwd=tmp_path)
    assert "sound, up to entry 3 of the record" in written.out
    shutil.rmtree(tmp_path / "data")
    restored = await hydrophone("db", "restore", "copy.db", cwd=tmp_path)
    assert "holds 3 predictions, up to entry 3 of the record" in restored.out
    async with started(*RUN, *NOBODY, cwd=tmp_path) as program:
        await addresses_of(program)
        assert (await program.stop())[0] == 0
    assert check_database(tmp_path / STORE) == []


async def test_a_service_that_was_killed_leaves_no_obstacle(tmp_path: Path) -> None:
    async with started(*RUN, *NOBODY, cwd=tmp_path) as program:
        await addresses_of(program)
        program.process.kill()
    assert (tmp_path / SOCKET).is_socket()
    written = await hydrophone("db", "backup", "copy.db", cwd=tmp_path)
    assert written.code == 0, written.err
    assert check_database(tmp_path / "copy.db") == []
    async with started(*RUN, *NOBODY, cwd=tmp_path) as program:
        await addresses_of(program)
        assert (await program.stop())[0] == 0
    assert not (tmp_path / SOCKET).exists()


async def test_a_database_of_an_older_version_is_copied_and_restored(tmp_path: Path) -> None:
    await have_heard(tmp_path, 1, 2, 3)
    with duckdb.connect(tmp_path / STORE) as connection:
        undo_newest_migration(connection)
    written = await hydrophone("db", "backup", "copy.db", cwd=tmp_path)
    assert written.code == 0, written.out
    assert "of an older version, checked when it is restored, up to entry 3" in written.out
    restored = await hydrophone("db", "restore", "copy.db", cwd=tmp_path)
    assert "holds 3 predictions" in restored.out
    assert check_database(tmp_path / STORE) == []
