"""Copies of the database while its disk is full, or the service is killed in the middle of one."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hydrophone.store.duckdb_store import check_database, initialise, read_status

ROOT = Path(__file__).parents[2]

# Commits 40 whales, then copies the database with ever higher limits on the size of a file, and commits on.
COPIER = """
import asyncio, os, resource, sys
from pathlib import Path
from hydrophone.domain.events import RaiseSignal
from hydrophone.errors import StoreFull
from hydrophone.pipeline.ports import Publication
from hydrophone.store.duckdb_store import DuckDbStore
from tests.contract.fake_store import T0, whale

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def batch(seq):
    return [Publication(seq, RaiseSignal(T0, whale(seq)), os.urandom(30_000).hex().encode())]

async def main():
    folder = Path(sys.argv[1])
    store = DuckDbStore(folder / "store.db", address_of=bytes.hex)
    await store.open()
    for seq in range(1, 41):
        await store.commit(batch(seq))
    whole = await store.copier.copy_to(folder / "whole.db")
    refusals = 0
    for share in (0, 0.001, 0.01, 0.3, 0.6, 0.9, 0.97, 0.99, 0.999):
        limit(int(whole.size_bytes * share))
        try:
            await store.copier.copy_to(folder / "copies" / "copy.db")
        except StoreFull as error:
            assert "free some" in str(error) and "copy.db" in str(error), error
            refusals += 1
        limit(resource.RLIM_INFINITY)
        assert list((folder / "copies").iterdir()) == [], share
        seq += 1
        await store.commit(batch(seq))
    await store.copier.copy_to(folder / "copies" / "copy.db")
    print(refusals, seq)
    await store.close()

asyncio.run(main())
"""


def test_a_full_disk_is_said_leaves_nothing_and_the_service_goes_on(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", COPIER, tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    refusals, last_seq = map(int, finished.stdout.split())
    assert refusals == 9
    for name in ("store.db", "copies/copy.db"):
        assert check_database(tmp_path / name) == []
        assert read_status(tmp_path / name).last_seq == last_seq


# Begins copies for ever; says so before each.
KILLED = """
import asyncio, itertools, sys
from pathlib import Path
from hydrophone.store.duckdb_store import DuckDbStore

async def main():
    store = DuckDbStore(Path(sys.argv[1]) / "store.db", address_of=bytes.hex)
    await store.open()
    for number in itertools.count():
        print(number, flush=True)
        await store.copier.copy_to(Path(sys.argv[1]) / "copies" / f"{number}.db")

asyncio.run(main())
"""


@pytest.mark.parametrize("rounds", [2, 5])
def test_a_copy_has_its_name_only_when_it_is_whole(tmp_path: Path, rounds: int) -> None:
    initialise(tmp_path / "store.db")
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as copier:
        assert copier.stdout is not None
        for _ in range(rounds):
            copier.stdout.readline()
        copier.send_signal(signal.SIGKILL)  # in the middle of the newest
    copies = list((tmp_path / "copies").glob("*.db"))
    assert len(copies) >= rounds - 1
    assert [check_database(copy) for copy in copies] == [[]] * len(copies)
    assert check_database(tmp_path / "store.db") == []
