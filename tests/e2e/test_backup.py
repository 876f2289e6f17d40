"""`hydrophone db backup` and `db restore` beside the real program, while it runs and when it does not."""

import json
import shutil
from pathlib import Path

from hydrophone.store.duckdb_store import check_database
from tests.e2e.program import ROOT, addresses_of, hydrophone, started

RECORDING = ROOT / "tests/recordings/mempool-esplora.jsonl.gz"
RUN = ("run", "--alerts-port", "0", "--api-port", "0")
NOBODY = ("--source", "ws://localhost:9/api/v1/ws")
STORE = Path("data/mempool_predictions.db")
SOCKET = Path(f"{STORE}.sock")


async def heard_a_recording(folder: Path) -> None:
    finished = await hydrophone(*RUN, "--source", f"recording:{RECORDING}", cwd=folder)
    assert finished.code == 0, finished.err


async def test_a_running_service_copies_its_database_and_a_restart_goes_on_from_the_copy(
    tmp_path: Path,
) -> None:
    await heard_a_recording(tmp_path)
    async with started(*RUN, *NOBODY, cwd=tmp_path) as program:
        await addresses_of(program)
        written = await hydrophone("db", "backup", "copies/one.db", "--json", cwd=tmp_path)
        assert written.code == 0, written.err
        said = json.loads(written.out)
        assert said["path"] == str(tmp_path / "copies/one.db")
        assert said["findings"] == []
        assert said["record_seq"] > 0
        assert (await program.logged("backed_up"))["path"] == said["path"]

        again = await hydrophone("db", "backup", "copies/one.db", cwd=tmp_path)
        assert (again.code, "exists already" in again.err) == (4, True)
        refused = await hydrophone("db", "restore", "copies/one.db", cwd=tmp_path)
        assert refused.code == 4
        assert "nothing was restored" in refused.err
        assert program.process.returncode is None
        await program.stop()

    shutil.rmtree(tmp_path / "data")
    restored = await hydrophone("db", "restore", "copies/one.db", cwd=tmp_path)
    assert restored.code == 0, restored.err
    assert f"up to entry {said['record_seq']}" in restored.out
    verified = await hydrophone("record", "verify", "--head", said["record_head"], cwd=tmp_path)
    assert verified.code == 0, verified.out
    async with started(*RUN, *NOBODY, cwd=tmp_path) as program:
        await addresses_of(program)
        await program.stop()
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
        assert (await hydrophone("db", "backup", "other.db", cwd=tmp_path)).code == 0
        assert (await program.stop())[0] == 0
    assert not (tmp_path / SOCKET).exists()
