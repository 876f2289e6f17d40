"""The store against kill -9, a full disk, another process, and files that are damaged or out of reach."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from hydrophone.domain.events import RaiseSignal
from hydrophone.errors import StoreError, StoreLocked, StoreMismatch
from hydrophone.store.duckdb_store import DuckDbStore, check_database, initialise, read_status
from tests.contract.fake_store import T0, publication, whale

ROOT = Path(__file__).parents[2]

# Commits batches of different sizes for ever and says the last seq of each when it is safe.
WRITER = """
import asyncio, itertools, sys
from pathlib import Path
from hydrophone.domain.events import RaiseSignal
from hydrophone.pipeline.ports import Handover
from hydrophone.store.duckdb_store import DuckDbStore
from tests.contract.fake_store import T0, later, publication, whale

async def main():
    store = DuckDbStore(Path(sys.argv[1]), address_of=bytes.hex)
    await store.open()
    seq = (await store.load_state()).last_seq
    for size in itertools.cycle((1, 40, 7, 1)):
        signals = [whale(seq + n, detected_at=later(seq + n)) for n in range(1, size + 1)]
        await store.commit([publication(seq + n, RaiseSignal(T0, s)) for n, s in enumerate(signals, start=1)])
        seq += size
        print(seq, flush=True)
        await store.commit([Handover(s.prediction_id, s.detected_at, later(seq)) for s in signals])

asyncio.run(main())
"""

# Fills the file up to a limit on its size, then lifts the limit and tries again what failed.
FILLER = """
import asyncio, os, resource, signal, sys
from pathlib import Path
from hydrophone.domain.events import RaiseSignal
from hydrophone.errors import StoreFull
from hydrophone.pipeline.ports import Publication
from hydrophone.store.duckdb_store import DuckDbStore
from tests.contract.fake_store import T0, whale

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def batch(seq, size):
    return [Publication(seq, RaiseSignal(T0, whale(seq)), os.urandom(size // 2).hex().encode())]

async def main():
    size, ceiling = int(sys.argv[2]), int(sys.argv[3])
    store = DuckDbStore(Path(sys.argv[1]), address_of=bytes.hex)
    await store.open()
    limit(ceiling)
    seq = 1
    try:
        while True:
            entries = batch(seq, size)
            await store.commit(entries)
            seq += 1
    except StoreFull as error:
        assert error.transient and "free some" in str(error), error
        cause = type(error.__cause__).__name__
    status = await store.query_status()
    limit(resource.RLIM_INFINITY)
    for _ in range(2):
        await store.commit(entries)
    await store.commit(batch(seq + 1, size))
    print(cause, seq, status.last_seq, seq + 1, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def opened(path: Path) -> DuckDbStore:
    store = DuckDbStore(path, address_of=bytes.hex)
    await store.open()
    return store


def test_nothing_acknowledged_is_lost_to_kill_9(path: Path) -> None:
    acknowledged = 0
    for acknowledgements in (3, 10, 17):
        with python(WRITER, path) as writer:
            assert writer.stdout is not None
            for _ in range(acknowledgements):
                acknowledged = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)  # in the middle of whatever it is writing now
            acknowledged = max([acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n"))])
        status = read_status(path)
        assert status.last_seq >= acknowledged
        assert status.prediction_count == status.last_seq
        assert check_database(path) == []


@pytest.mark.parametrize(
    ("size", "ceiling", "cause"),
    [
        pytest.param(20_000, 2_000_000, "TransactionException", id="while writing the log"),
        pytest.param(60_000, 25_000_000, "FatalException", id="while moving the log into the file"),
    ],
)
def test_a_full_disk_is_said_and_survived(path: Path, size: int, ceiling: int, cause: str) -> None:
    with python(FILLER, path, size, ceiling) as filler:
        output, errors = filler.communicate()
    assert filler.returncode == -signal.SIGKILL, errors
    found_cause, failed_seq, seen_seq, last_seq = output.split()
    assert found_cause == cause
    assert int(failed_seq) - int(seen_seq) in (0, 1)  # DuckDB may have stored what it failed to tidy up after
    assert read_status(path).last_seq == int(last_seq)
    assert read_status(path).prediction_count == int(last_seq)
    assert check_database(path) == []


HOLDER = """
import sys
from pathlib import Path
from hydrophone.store.schema import open_database
connection = open_database(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def held_by_another_process(path: Path) -> Iterator[int]:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        yield holder.pid
        assert holder.stdin is not None
        holder.stdin.close()


async def test_another_process_with_the_file_open_is_named(path: Path) -> None:
    with held_by_another_process(path) as pid:
        with pytest.raises(StoreLocked, match=rf"in use by process {pid} .*hydrophone status"):
            await opened(path)
        with pytest.raises(StoreLocked, match=rf"process {pid}"):
            read_status(path)
    store = await opened(path)  # it is free again
    await store.close()


async def test_a_refused_store_stays_closed_and_can_be_opened_later(path: Path) -> None:
    store = DuckDbStore(path, address_of=bytes.hex)
    with held_by_another_process(path), pytest.raises(StoreLocked):
        await store.open()
    await store.open()
    await store.commit([publication(1, RaiseSignal(T0, whale()))])
    await store.close()


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot be made .*store\.path"):
        await opened(tmp_path / "file" / "store.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    with pytest.raises(StoreError, match=r"right to write .*store\.path"):
        await opened(folder / "store.db")


_HEADERS_END = 3 * 4096
"""Sources: DuckDB, storage format: a main header and two database headers, then the blocks."""


@pytest.fixture
def damaged(path: Path) -> bytearray:
    """Return the bytes of a sound database with some rows, to be damaged."""
    initialise(path)
    with duckdb.connect(path) as connection:
        connection.execute(
            "INSERT INTO source_gaps SELECT 's', 'r', now(), now(), i::TEXT FROM range(9999) r(i)"
        )
    return bytearray(path.read_bytes())


@pytest.mark.parametrize("offset", [0, 8, 12, _HEADERS_END])
@pytest.mark.parametrize("open_file", [initialise, read_status, check_database])
def test_a_damaged_file_is_refused(
    path: Path, damaged: bytearray, offset: int, open_file: Callable[[Path], object]
) -> None:
    damaged[offset : offset + 8] = b"\xee" * 8
    path.write_bytes(damaged)
    with pytest.raises(StoreMismatch, match="move it away"):
        open_file(path)


def test_a_truncated_file_is_refused(path: Path, damaged: bytearray) -> None:
    path.write_bytes(damaged[: _HEADERS_END + 1000])
    with pytest.raises(StoreMismatch, match="move it away"):
        initialise(path)


def test_a_damaged_log_is_refused_and_kept(path: Path) -> None:
    with python(WRITER, path) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        writer.kill()
    log = path.with_name("store.db.wal")
    content = bytearray(log.read_bytes())
    content[100:140] = b"\xee" * 40
    log.write_bytes(content)
    with pytest.raises(StoreMismatch, match="move it away"):
        initialise(path)
    assert log.read_bytes() == content


async def test_a_newer_schema_is_refused_and_the_file_let_go(path: Path) -> None:
    initialise(path)
    with duckdb.connect(path) as connection:
        connection.execute("INSERT INTO schema_version (version, name) VALUES (99, 'from the future')")
    with pytest.raises(StoreMismatch, match="upgrade Hydrophone"):
        await opened(path)
    with duckdb.connect(path) as connection:
        connection.execute("DELETE FROM schema_version WHERE version = 99")
    store = await opened(path)
    await store.close()
