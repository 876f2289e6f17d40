"""The quickstart's broadcaster, by its names: in a program of one's own, and as a script."""

import asyncio
import json
import shutil
import sys
import venv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import serve

from scripts.whale_alert_broadcaster import broadcast_alert, clients, handle_client, start_server
from tests.backends import HOST, free_port, until
from tests.e2e.program import ROOT, clean_environment, finish

ALERT = {"transaction_id": "ab" * 32, "btc_value": 123.4, "flow_type": "inflow", "urgency_score": 0.9}


@asynccontextmanager
async def serving(port: int) -> AsyncIterator[None]:
    """Run the quickstart's server within the context, from when it can be reached."""
    task = asyncio.create_task(start_server(HOST, port))
    try:
        await until_reached(port)
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def until_reached(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except ConnectionRefusedError:
            await asyncio.sleep(0)
        else:
            writer.close()
            await writer.wait_closed()
            return


async def heard(client: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(30):
        message: dict[str, Any] = json.loads(await client.recv())
    return message


async def test_an_alert_reaches_every_client_in_the_quickstarts_form() -> None:
    port = await free_port()
    async with serving(port), connect(f"ws://{HOST}:{port}") as one, connect(f"ws://{HOST}:{port}") as other:
        await asyncio.gather(*(await one.ping(), await other.ping()))  # both are served by now
        await broadcast_alert(ALERT)
        for client in (one, other):
            message = await heard(client)
            assert message["type"] == "whale_alert"
            assert message["data"] == ALERT
            assert datetime.fromisoformat(message["timestamp"]).tzinfo is not None


async def test_a_server_of_ones_own_may_use_the_handler() -> None:
    async with serve(handle_client, HOST, 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://{HOST}:{port}") as client:
            await until(lambda: len(clients) == 1)
            await broadcast_alert(ALERT)
            assert (await heard(client))["data"] == ALERT
        await until(lambda: not clients)


async def test_an_alert_that_nobody_hears_is_no_error() -> None:
    await broadcast_alert(ALERT)


async def test_what_json_does_not_know_is_said_as_text() -> None:
    port = await free_port()
    async with serving(port), connect(f"ws://{HOST}:{port}") as client:
        await (await client.ping())
        await broadcast_alert({"at": datetime(2026, 11, 22, 8, 51), "path": Path("x")})  # noqa: DTZ001 -- as in the quickstart
        assert (await heard(client))["data"] == {"at": "2026-11-22 08:51:00", "path": "x"}


async def test_the_script_serves_and_a_second_one_leaves_it_at_that(tmp_path: Path) -> None:
    script = str(ROOT / "scripts/whale_alert_broadcaster.py")
    port = str(await free_port())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, script),
        cwd=tmp_path,
        env=clean_environment(HYDROPHONE_ALERTS__PORT=port),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        url = f"ws://localhost:{port}"
        assert (await process.stdout.readline()).decode() == f"Alert broadcaster started on {url}\n"
        second = await finish(script, cwd=tmp_path, HYDROPHONE_ALERTS__PORT=port)
        assert (second.code, second.err) == (0, "")
        assert second.out.startswith(f"{url} is already served")
    finally:
        process.send_signal(2)
        _, noise = await process.communicate()
    assert (process.returncode, noise) == (0, b"")


@pytest.mark.parametrize("name", ["mempool_whale_monitor", "whale_alert_broadcaster", "check_status"])
async def test_a_script_without_the_package_says_what_to_do(name: str, tmp_path: Path) -> None:
    """Also when it runs in the .venv of the clone: it does not start itself over and over."""
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    for script in (f"{name}.py", "_environment.py"):
        shutil.copy(ROOT / "scripts" / script, scripts)
    for python in (None, tmp_path / ".venv/bin/python"):
        if python is not None:
            venv.create(tmp_path / ".venv", symlinks=True)
        finished = await run_without_package(scripts / f"{name}.py", python)
        assert finished == (
            1,
            "Hydrophone is not installed here: run `make setup` first, or pip install it.\n",
        )


async def run_without_package(script: Path, python: Path | None) -> tuple[int | None, str]:
    """Run a script by an interpreter without our package; None: this one, its packages left out."""
    command = [sys.executable, "-S", str(script)] if python is None else [str(python), str(script)]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(30):
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, err.decode()
