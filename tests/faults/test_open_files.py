"""The real program while it has as many files open as it may: strangers wait, nobody else does."""

import asyncio
import contextlib
import json
import resource
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from websockets.asyncio.client import connect

from tests.backends import PATIENCE_S, Backend, until
from tests.builders import txid_of
from tests.e2e.program import Addresses, Program, addresses_of, started
from tests.faults.test_service_faults import DEBUG, FREE_PORTS, STORE, Telling, alerts_of, stored

LEFT = 40
"""Files that may be opened beyond those that are; more than are kept for ourselves."""
STRANGERS = 200
"""Connections that come and say nothing, to each port."""


@asynccontextmanager
async def strangers(*ports: int) -> AsyncIterator[None]:
    """Hold many connections that say nothing; who is cut off comes again."""
    loop = asyncio.get_running_loop()

    async def bother(port: int) -> None:
        while True:
            with contextlib.suppress(OSError), socket.socket() as peer:
                peer.setblocking(False)
                await loop.sock_connect(peer, ("127.0.0.1", port))
                if await loop.sock_recv(peer, 1) == b"":
                    await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(bother(port)) for port in ports for _ in range(STRANGERS)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def ports_of(places: Addresses) -> tuple[int, int]:
    alerts, api = urlsplit(places.alerts_url).port, urlsplit(places.api_url).port
    assert alerts is not None
    assert api is not None
    return alerts, api


async def answers(url: str) -> bool:
    def ask() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    return await asyncio.to_thread(ask)


async def until_answered(url: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await answers(url):
            pass


def lower_limit(program: Program) -> None:
    """Let the program open only a few more files."""
    pid = program.process.pid
    most = psutil.Process(pid).num_fds() + LEFT
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))


async def test_when_no_more_files_may_be_opened_strangers_wait_and_nobody_else_does(tmp_path: Path) -> None:
    telling = Telling()
    async with (
        Backend(telling) as backend,
        started("run", "--source", backend.url(), *FREE_PORTS, *DEBUG, cwd=tmp_path) as program,
        alerts_of(program) as alerts,
    ):
        places = await addresses_of(program)
        telling.whales("before")
        await alerts.until("whale_alert", "before")
        lower_limit(program)
        watched = psutil.Process(program.process.pid)
        began_s, began = sum(watched.cpu_times()[:2]), asyncio.get_running_loop().time()
        lines = len(program.log)
        async with strangers(*ports_of(places)):
            await program.logged("connections_not_accepted")
            for number in range(20):
                telling.whales(f"meanwhile {number}")
                await alerts.until("whale_alert", f"meanwhile {number}")
            opened = len(backend.opened)
            await backend.stop()
            await program.logged("source_unavailable")
            await backend.start()
            await until(lambda: len(backend.opened) > opened)
            telling.whales("after the source came back")
            await alerts.until("whale_alert", "after the source came back")
        took_s = asyncio.get_running_loop().time() - began
        share = (sum(watched.cpu_times()[:2]) - began_s) / took_s
        assert share < 0.7, "it waits, and does not try without a pause"
        assert len(program.log) - lines < 100
        await until_answered(f"{places.api_url}api/v1/status")
        async with connect(places.alerts_url) as late:
            telling.whales("after")
            await alerts.until("whale_alert", "after")
            while json.loads(await late.recv())["type"] != "whale_alert":
                pass
        assert (await program.stop())[0] == 0
    errors = [entry for entry in program.log if entry["level"] == "error"]
    assert [entry["event"] for entry in errors] == ["connections_not_accepted"]
    assert program.noise == []
    names = [f"meanwhile {number}" for number in range(20)]
    assert set(stored(tmp_path / STORE)) == {
        txid_of(name) for name in ("before", *names, "after the source came back", "after")
    }
