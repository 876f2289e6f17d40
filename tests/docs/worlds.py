"""The circumstances in which documents have something typed: a service that runs, or what may be wrong."""

import json
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

from hydrophone.bootstrap import sync_labels, today
from hydrophone.bootstrap.label_sets import find_list
from hydrophone.client import Client, WhaleAlertMessage
from hydrophone.config import load_settings
from hydrophone.store.schema import open_database
from tests.backends import free_port
from tests.docs.pages import ROOT, USUAL
from tests.e2e.program import addresses_of, hydrophone, started
from tests.list_servers import listing, publishing, response

GOOD_ADDRESS = "34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo"
BAD_ADDRESS = "34xp4vRoCGJym3xR7yCVPFHoCNxv4Twse1"
LABELS = "exchange_name,address,type\nBinance,{},cold\n"
TAG_PACK = """\
title: Ours
creator: us
tags:
  - {address: "34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo", label: Binance, currency: BTC, confidence: ownership}
"""
WORLD = ("--scenario", "demo", "--whales-per-hour", "7200", "--blocks-every", "10", "--seed", "7")
"""Two whales a second: what waits for one does not wait long."""


@dataclass(frozen=True, slots=True)
class World:
    """Where something is typed.

    Attributes:
        folder: the current one.
        ports: the real one by that of the documents.
        words: what placeholders such as TXID stand for.
        variables: of the environment.
    """

    folder: Path
    ports: Mapping[str, str]
    words: Mapping[str, str]
    variables: Mapping[str, str]


@asynccontextmanager
async def living(folder: Path) -> AsyncIterator[World]:
    """Run a simulated backend and a service on it, until it has forecast a whale."""
    _furnish(folder)
    simulator_port = str(await free_port())
    simulate = (
        "simulate",
        *WORLD,
        "--port",
        simulator_port,
        "--labels-out",
        "labels.csv",
        "--price",
        "60000",
    )
    async with started(*simulate, cwd=folder) as simulator:
        await simulator.until(lambda: any("SIMULATED" in line for line in simulator.noise))
        source = f"ws://localhost:{simulator_port}/api/v1/ws"
        run = ("run", "--source", source, "--labels", "labels.csv", "--alerts-port", "0", "--api-port", "0")
        async with started(*run, cwd=folder) as service:
            addresses = await addresses_of(service)
            alerts_port = addresses.alerts_url.rpartition(":")[2]
            made = await hydrophone("token", "create", "--name", "first", "--json", cwd=folder)
            async with Client(addresses.api_url) as client:
                txid = await _first_forecast(client)
                head = (await client.record(limit=1)).head
            yield World(
                folder,
                ports={
                    "8000": addresses.api_port,
                    "8765": alerts_port,
                    "8999": simulator_port,
                    "8766": str(await free_port()),
                },
                words={
                    "TXID": txid,
                    "ADDRESS": GOOD_ADDRESS,
                    "HASH": head.hash,
                    "ID": json.loads(made.out)["id"],
                },
                variables={
                    "HYDROPHONE_API__PORT": addresses.api_port,
                    "HYDROPHONE_ALERTS__PORT": alerts_port,
                    "HYDROPHONE_SIMULATOR__PORT": str(await free_port()),
                    "HYDROPHONE_SOURCE__URLS": source,
                    "CURL_HOME": str(folder),
                    "PATH": f"{folder / '.venv/bin'}:/usr/local/bin:/usr/bin:/bin",
                },
            )
            code, _ = await service.stop()
            assert code == 0
        await simulator.stop()


async def _first_forecast(client: Client) -> str:
    async for said in client.alerts():
        if isinstance(said, WhaleAlertMessage) and said.data.confirm_probability is not None:
            return said.data.transaction_id
    raise AssertionError("the alerts ended")


def _furnish(folder: Path) -> None:
    """Lay out what documents speak of: the clone's folders, files of one's own."""
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "scripts").symlink_to(ROOT / "scripts")
    shutil.copytree(ROOT / "docs/examples", folder / "docs/examples")
    (folder / "my.csv").write_text(LABELS.format(GOOD_ADDRESS), encoding="utf-8")
    (folder / "pack.yaml").write_text(TAG_PACK, encoding="utf-8")
    (folder / ".curlrc").write_text("fail\n", encoding="utf-8")  # a refusal is an exit code


async def _elsewhere(usual: World, folder: Path) -> World:
    """Return a folder with no service in it, beside the same backend."""
    _furnish(folder)
    api, alerts = str(await free_port()), str(await free_port())
    variables = {"HYDROPHONE_API__PORT": api, "HYDROPHONE_ALERTS__PORT": alerts}
    path = usual.variables["PATH"].replace(str(usual.folder), str(folder))
    return replace(
        usual,
        folder=folder,
        ports={**usual.ports, "8000": api, "8765": alerts},
        variables={**usual.variables, **variables, "CURL_HOME": str(folder), "PATH": path},
    )


@asynccontextmanager
async def _the_usual(usual: World, _folder: Path) -> AsyncIterator[World]:
    yield usual


@asynccontextmanager
async def _no_service(usual: World, folder: Path) -> AsyncIterator[World]:
    yield await _elsewhere(usual, folder)


@asynccontextmanager
async def _a_database(usual: World, folder: Path) -> AsyncIterator[World]:
    world = await _elsewhere(usual, folder)
    (folder / "backup").mkdir()
    open_database(folder / "data/mempool_predictions.db").close()
    yield replace(world, words={**world.words, "/backup/": f"{folder}/backup/"})


@asynccontextmanager
async def _no_backend(usual: World, folder: Path) -> AsyncIterator[World]:
    world = await _elsewhere(usual, folder)
    port = str(await free_port())
    source = {"HYDROPHONE_SOURCE__URLS": f"ws://localhost:{port}/api/v1/ws"}
    yield replace(world, ports={**world.ports, "8999": port}, variables={**world.variables, **source})


@asynccontextmanager
async def _somebody_on_8765(usual: World, folder: Path) -> AsyncIterator[World]:
    world = await _elsewhere(usual, folder)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        variables = {**world.variables, "HYDROPHONE_ALERTS__PORT": port}
        yield replace(world, ports={**world.ports, "8765": port}, variables=variables)


@asynccontextmanager
async def _no_database_of_ours(usual: World, folder: Path) -> AsyncIterator[World]:
    world = await _elsewhere(usual, folder)
    (folder / "data").mkdir()
    (folder / "data/mempool_predictions.db").write_text("no database\n" * 1_000, encoding="utf-8")
    yield world


@asynccontextmanager
async def _a_clock_that_is_off(usual: World, folder: Path) -> AsyncIterator[World]:
    world = await _elsewhere(usual, folder)
    an_hour_ago = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    async with publishing(lambda _: response(b"[]", Date=an_hour_ago)) as backend:
        rest = {"HYDROPHONE_SOURCE__REST_URL": backend.url.removesuffix("/list")}
        yield replace(world, variables={**world.variables, **rest})


@asynccontextmanager
async def _a_bad_row(usual: World, folder: Path) -> AsyncIterator[World]:
    world = await _elsewhere(usual, folder)
    (folder / "my.csv").write_text(
        LABELS.format(GOOD_ADDRESS) + f"Binance,{BAD_ADDRESS},cold\n", encoding="utf-8"
    )
    yield world


@asynccontextmanager
async def _an_old_list(usual: World, folder: Path) -> AsyncIterator[World]:
    world = await _elsewhere(usual, folder)
    settings = load_settings(environment={"HYDROPHONE_LABELS__FOLDER": str(folder / "data/labels")}).settings
    async with publishing(listing(json.dumps([GOOD_ADDRESS]).encode())) as publisher:
        then = today() - timedelta(days=20)
        await sync_labels(settings, find_list("ofac"), then, url=publisher.url)
        yield world


WORLDS: Mapping[str, Callable[[World, Path], AbstractAsyncContextManager[World]]] = {
    USUAL: _the_usual,
    "no service": _no_service,
    "no token": _no_service,
    "a database and no service": _a_database,
    "no backend": _no_backend,
    "somebody on 8765": _somebody_on_8765,
    "no database of ours": _no_database_of_ours,
    "a clock that is off": _a_clock_that_is_off,
    "a bad row in my.csv": _a_bad_row,
    "an old list": _an_old_list,
}
"""What may stand behind `given:`."""
