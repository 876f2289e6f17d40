"""The real program while the disk is full, its file cannot be written, the clock jumps, or REST fails."""

import asyncio
import json
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection

from hydrophone.domain.units import SATS_PER_BTC
from hydrophone.store.duckdb_store import check_database, initialise
from tests.backends import PATIENCE_S, Answer, Backend, await_subscriptions, until
from tests.builders import block_json, mempool_json, transaction_json, txid_of
from tests.e2e.program import Program, addresses_of, finish, started

WHALE_SAT = 150 * SATS_PER_BTC
FREE_PORTS = ("--alerts-port", "0", "--api-port", "0")
DEBUG = ("--log-level", "debug")
STORE = Path("data/mempool_predictions.db")


class Telling:
    """A script for a backend that says what a test wants, one connection at a time."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._sequence = 0

    async def __call__(self, connection: ServerConnection) -> None:
        await await_subscriptions(connection)
        talking = asyncio.create_task(self._talk(connection))
        await connection.wait_closed()
        talking.cancel()

    async def _talk(self, connection: ServerConnection) -> None:
        while True:
            await connection.send(await self._queue.get(), text=True)

    def change(self, **parts: Any) -> None:  # noqa: ANN401 -- any part of a frame
        """Say that the mempool changed."""
        self._sequence += 1
        self._queue.put_nowait(mempool_json(self._sequence, **parts))

    def whales(self, *names: str) -> None:
        self.change(added=[transaction_json(name, [WHALE_SAT]) for name in names])

    def block(self, height: int, *names: str) -> None:
        self.change(block=block_json(height), mined=[txid_of("coinbase"), *map(txid_of, names)])


class Alerts:
    """What a client of the service hears."""

    def __init__(self, messages: AsyncIterator[str | bytes]) -> None:
        self._messages = messages
        self.heard: list[dict[str, Any]] = []

    async def until(self, kind: str, name: str, **expected: object) -> dict[str, Any]:
        """Listen until something of a kind is said of a transaction; return its data."""
        async with asyncio.timeout(PATIENCE_S):
            async for raw in self._messages:
                message = json.loads(raw)
                self.heard.append(message)
                data: dict[str, Any] = message["data"]
                is_it = message["type"] == kind and data.get("transaction_id") == txid_of(name)
                if is_it and expected.items() <= data.items():
                    return data
        raise AssertionError(f"the service ended before it said {kind} of {name}")


@asynccontextmanager
async def alerts_of(program: Program) -> AsyncIterator[Alerts]:
    async with connect((await addresses_of(program)).alerts_url) as connection:
        yield Alerts(aiter(connection))


def stored(path: Path) -> dict[str, str]:
    """Return the status of each prediction by txid."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute("SELECT transaction_id, status FROM mempool_predictions").fetchall()
    return dict(rows)


async def test_a_disk_that_fills_up_is_said_and_nothing_is_lost_when_there_is_room_again(
    tmp_path: Path,
) -> None:
    telling = Telling()
    async with (
        Backend(telling) as backend,
        started("run", "--source", backend.url(), *FREE_PORTS, *DEBUG, cwd=tmp_path) as program,
        alerts_of(program) as alerts,
    ):
        await program.logged("labels_recorded")
        telling.whales("before")
        await alerts.until("whale_alert", "before")
        log = tmp_path / f"{STORE}.wal"
        full = log.stat().st_size + 64
        resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
        names = [f"while full {number}" for number in range(30)]
        telling.whales(*names)
        retried = await program.logged("service_retried")
        assert "free some" in retried["error"]
        assert not any(txid_of(names[-1]) in json.dumps(message) for message in alerts.heard)
        infinity = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, infinity)
        await alerts.until("whale_alert", names[-1])
        telling.block(100, "before", *names)
        await alerts.until("status_update", names[-1], new_status="confirmed")
        assert (await program.stop())[0] == 0
    assert stored(tmp_path / STORE) == dict.fromkeys(map(txid_of, ["before", *names]), "confirmed")
    assert check_database(tmp_path / STORE) == []


# Gives up root's right to write what is write-protected, then becomes the program.
HUMBLE = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "hydrophone", *sys.argv[1:]])
"""


async def test_a_file_that_cannot_be_written_is_said_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "kept.db"
    initialise(path)
    path.chmod(0o444)
    before = path.read_bytes()
    source = ("--source", "ws://127.0.0.1:9/")
    ended = await finish("-c", HUMBLE, "run", *source, "--store-path", str(path), *FREE_PORTS, cwd=tmp_path)
    assert ended.code == 4, ended.err
    assert str(path) in ended.err
    assert path.read_bytes() == before


# Lets a test move the clock of the program by a signal: an hour forward, or back.
JUMPY = """
import signal, sys, time
offset_ns, real = [0], time.time_ns
time.time_ns = lambda: real() + offset_ns[0]
def jump(number, _frame):
    offset_ns[0] += 3_600_000_000_000 * (1 if number == signal.SIGUSR1 else -1)
signal.signal(signal.SIGUSR1, jump)
signal.signal(signal.SIGUSR2, jump)
from hydrophone.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("jump", [signal.SIGUSR1, signal.SIGUSR2], ids=["an hour forward", "an hour back"])
async def test_a_clock_that_jumps_changes_no_order_and_no_outcome(
    tmp_path: Path, jump: signal.Signals
) -> None:
    telling = Telling()
    async with (
        Backend(telling) as backend,
        started("run", "--source", backend.url(), *FREE_PORTS, by=("-c", JUMPY), cwd=tmp_path) as program,
        alerts_of(program) as alerts,
    ):
        telling.whales("before")
        before = await alerts.until("whale_alert", "before")
        program.process.send_signal(jump)
        telling.whales("after")
        after = await alerts.until("whale_alert", "after")
        telling.block(100, "before", "after")
        await alerts.until("status_update", "before", new_status="confirmed")
        await alerts.until("status_update", "after", new_status="confirmed")
        assert (await program.stop())[0] == 0
    assert before["detection_timestamp"] < after["detection_timestamp"]
    with duckdb.connect(str(tmp_path / STORE), read_only=True) as connection:
        rows = connection.execute("SELECT actual_outcome, time_to_confirmation FROM prediction_outcomes")
        assert all(outcome == "confirmed" and wait_s >= 0 for outcome, wait_s in rows.fetchall())
    assert check_database(tmp_path / STORE) == []


NO_SUCH: Answer = (404, b'{"error":"No such mempool or blockchain transaction"}')


@pytest.mark.parametrize(
    "failure",
    [
        (500, b"busy"),
        (503, b"<html>busy</html>"),
        (200, b"{"),
        (200, b'{"txid":"' + b"ab" * 32 + b'"}'),
        None,
    ],
    ids=["500", "503", "cut", "another", "never"],
)
async def test_questions_that_are_answered_badly_are_asked_again_until_they_are_answered_well(
    tmp_path: Path, failure: Answer | None
) -> None:
    telling = Telling()
    backend = Backend(telling)
    paths = [f"{prefix}/tx/{txid_of('gone')}" for prefix in ("/api/v1", "/api")]
    backend.answers.update({path: [failure or NO_SUCH] for path in paths})
    async with (
        backend,
        started("run", "--source", backend.url(), *FREE_PORTS, cwd=tmp_path) as program,
        alerts_of(program) as alerts,
    ):
        telling.whales("gone", "stays")
        await alerts.until("whale_alert", "stays")
        if failure is None:
            backend.is_answering.clear()
        telling.change(removed=[txid_of("gone")])
        await until(lambda: backend.asked.count(paths[0]) > 1 or (failure is None and backend.waiting > 0))
        telling.block(100, "stays")
        await alerts.until("status_update", "stays", new_status="confirmed")
        said = [m["data"] for m in alerts.heard if m["type"] == "status_update"]
        assert {data["transaction_id"] for data in said} == {txid_of("stays")}
        backend.answers.update({path: [NO_SUCH] for path in paths})
        backend.answers[f"/api/v1/tx/{txid_of('gone')}/rbf"] = [
            (200, b'{"replacements":null,"replaces":null}')
        ]
        backend.is_answering.set()
        await alerts.until("status_update", "gone", new_status="dropped")
        assert (await program.stop())[0] == 0
    assert stored(tmp_path / STORE) == {txid_of("gone"): "dropped", txid_of("stays"): "confirmed"}
