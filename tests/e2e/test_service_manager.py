"""What the real program tells the service manager that started it, over a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.e2e.program import started

NOBODY = "ws://localhost:9/api/v1/ws"
"""Port 9 discards what it is told, where anything listens there at all."""
RUN = ("run", "--source", NOBODY, "--alerts-port", "0", "--api-port", "0")
WATCHDOG_S = 0.3
STUCK = """
import sys, threading, time
from hydrophone.cli import main
from hydrophone.store.duckdb_store import DuckDbStore

async def record_labels(self, *_):  # what begins when everything runs
    print('{{"event": "blocked"}}', file=sys.stderr, flush=True)
    {how}

DuckDbStore.record_labels = record_labels
sys.exit(main(sys.argv[1:]))
"""


class Manager:
    """A service manager's end of the socket."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.address = str(folder / "notify")
        self._socket.bind(self.address)
        self._socket.setblocking(False)
        self.told: list[str] = []

    async def hear(self) -> str:
        text = (await asyncio.get_running_loop().sock_recv(self._socket, 4096)).decode()
        self.told.append(text)
        return text

    async def until(self, condition: Callable[[str], bool]) -> str:
        while not condition(text := await self.hear()):
            pass
        return text

    async def is_silent_for(self, seconds: float) -> bool:
        """Return whether no sign of life comes in that time; what was sent before is heard first."""
        self.drop()
        try:
            async with asyncio.timeout(seconds):
                await self.until(lambda text: text == "WATCHDOG=1")
        except TimeoutError:
            return True
        return False

    def drop(self) -> None:
        while True:
            try:
                self._socket.recv(4096)
            except BlockingIOError:
                return

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    manager.close()


def variables(manager: Manager) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(round(WATCHDOG_S * 1e6))}


async def test_it_is_ready_without_a_source_lives_and_says_when_it_stops(
    manager: Manager, tmp_path: Path
) -> None:
    async with started(*RUN, cwd=tmp_path, **variables(manager)) as program:
        assert await manager.hear() == "STATUS=opening the database"
        ready = await manager.hear()
        assert ready.startswith("READY=1\nSTATUS=")
        assert "0 whales since the start" in ready
        assert any(entry["event"] == "source_unavailable" for entry in program.log)
        for _ in range(3):
            await manager.until(lambda text: text == "WATCHDOG=1")
        code, _ = await program.stop()
        await manager.until(lambda text: text.startswith("STOPPING=1"))
        assert code == 0


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("await self._run(self._writer, threading.Event().wait)", id="the writer of the store"),
        pytest.param("time.sleep(3600)", id="the event loop"),
    ],
)
async def test_it_gives_no_sign_of_life_while_something_is_stuck(
    how: str, manager: Manager, tmp_path: Path
) -> None:
    by = ("-c", STUCK.format(how=how))
    async with started(*RUN, cwd=tmp_path, by=by, **variables(manager)) as program:
        await manager.until(lambda text: text.startswith("READY=1"))
        await program.logged("blocked")
        if "writer" in how:
            entry = await program.logged("part_stuck")
            assert entry["part"] == "store"
        assert await manager.is_silent_for(5 * WATCHDOG_S)
        program.process.kill()


async def test_it_runs_as_well_where_nobody_wants_to_know(tmp_path: Path) -> None:
    async with started(*RUN, cwd=tmp_path) as program:
        await program.logged("ready")
        assert (await program.stop())[0] == 0
