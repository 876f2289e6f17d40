"""A whole service whose source falls silent: it says so, goes on with blocks, and comes back by itself."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from hydrophone.bootstrap.engine import Addresses, run_service
from hydrophone.bootstrap.parts import make_supervisor
from hydrophone.bootstrap.simulation import listeners_on
from hydrophone.cli.asking import open_direct
from hydrophone.config import load_settings
from hydrophone.pipeline.degradation import Patience
from hydrophone.simulator.backend.backend import Style
from hydrophone.simulator.scenarios import Incident, IncidentKind
from hydrophone.simulator.server import SimulatorServer
from hydrophone.simulator.simulation import Simulation, SimulationSettings
from tests.unit.simulator.simulations import settings_of

Message = dict[str, Any]
PATIENCE = Patience(unheard_s=1.0, poll_s=0.2, look_s=0.05)
SPEED = 10.0
BACK_WITHIN_S = 5.0
"""Sources: requirement F9."""


class Source(SimulatorServer):
    """A simulator whose websocket can be gone while its REST answers."""

    is_deaf = False

    def hang_up(self) -> None:
        """Break off every websocket, and refuse new ones."""
        self.is_deaf = True
        for connection in list(self._sessions):
            connection.transport.abort()

    async def die(self) -> None:
        """End as a killed process does, and stay away."""
        self._open_listeners = lambda _port: []
        self._speed = 1e-9  # its world stands still
        await self._vanish()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if self.is_deaf and "Upgrade" in request.headers:
            return connection.respond(HTTPStatus.BAD_GATEWAY, "no websocket today")
        return super()._answer(connection, request)


def make_source(port: int = 0, *incidents: Incident) -> Source:
    """Return a small and lively world: a block each second or two, and many whales."""
    lively = settings_of(
        "demo",
        rate_per_s=2.0,
        prefill=50,
        block_interval_s=15.0,
        first_block_s=5.0,
        whales_per_hour=720.0,
        incidents=incidents,
    )
    settings = SimulationSettings(lively.scenario, 3, time.time(), Style.ESPLORA)
    return Source(Simulation(settings), listeners_on("localhost"), port=port, speed=SPEED)


@asynccontextmanager
async def serving(source: Source, *, begin: asyncio.Event | None = None) -> AsyncIterator[Source]:
    """Serve a source within the context, from its start or from when it is told to begin."""
    ready = asyncio.Event()

    async def serve() -> None:
        if begin is not None:
            await begin.wait()
        await source.run(ready.set)

    task = asyncio.create_task(serve())
    if begin is None:
        await ready.wait()
    try:
        yield source
    finally:
        task.cancel()
        await asyncio.wait({task})


class Client:
    """Hears the alert websocket, and asks the status port."""

    def __init__(self, connection: ClientConnection, addresses: Addresses) -> None:
        self._connection = connection
        self._addresses = addresses
        self.messages: list[Message] = []

    async def until(self, condition: Callable[[Message], bool]) -> Message:
        while True:
            message: Message = json.loads(await self._connection.recv())
            self.messages.append(message)
            if condition(message):
                return message

    async def until_status(self, status: str, *, blocks_followed: bool | None = None) -> Message:
        """Listen until that status of the connection is said; return what is said of it."""

        def is_it(message: Message) -> bool:
            data = message["data"]
            return message["type"] == "connection" and (data["status"], data["blocks_followed"]) == (
                status,
                blocks_followed,
            )

        data: Message = (await self.until(is_it))["data"]
        return data

    async def greeting_of_another(self) -> Message:
        async with connect(self._addresses.alerts_url) as connection:
            greeting: Message = json.loads(await connection.recv())
        return greeting

    async def ask(self, path: str) -> tuple[int, Message]:
        url = self._addresses.page_url.rstrip("/") + path

        def fetch() -> tuple[int, Message]:
            try:
                with open_direct(url) as response:
                    return response.status, json.load(response)
            except HTTPError as error:
                with error:
                    return error.code, json.load(error)

        return await asyncio.to_thread(fetch)


@asynccontextmanager
async def service(url: str, folder: Path) -> AsyncIterator[Client]:
    """Run a whole service that listens there, and a client that hears it."""
    flags = {
        "store.path": str(folder / "x.db"),
        "alerts.port": "0",
        "api.port": "0",
        "memory.shed_mb": "0",  # our process may hold more than a service does
        "memory.limit_mb": "1000000",
        "network": "regtest",  # where silence alone says nothing: a busy machine is no outage
    }
    settings = load_settings(environment={}, flags=flags).settings
    supervisor = make_supervisor(settings)
    ready: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run_service(settings, (url,), supervisor, ready.set_result, patience=PATIENCE))
    either: set[asyncio.Future[Any]] = {task, ready}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    try:
        addresses = ready.result()
        async with connect(addresses.alerts_url) as connection:
            yield Client(connection, addresses)
    finally:
        supervisor.stop()
        await task


def url_of(port: int) -> str:
    return f"ws://localhost:{port}/api/v1/ws"


def is_alert(message: Message) -> bool:
    return bool(message["type"] == "whale_alert")


def is_seen_when_mined(message: Message) -> bool:
    return is_alert(message) and bool(message["data"]["sighting"] == "mined")


async def test_while_only_the_websocket_is_gone_blocks_are_followed_and_their_whales_recorded(
    tmp_path: Path,
) -> None:
    async with serving(make_source()) as source, service(url_of(source.port), tmp_path) as client:
        await client.until_status("connected")
        await client.until(is_alert)
        source.hang_up()
        lost = await client.until_status("disconnected")
        assert lost["mempool_available"] is False
        degraded = await client.until_status("degraded")
        assert degraded["message"].startswith("Mempool Predictions Unavailable: the connection")
        assert degraded["since"] is not None
        followed = await client.until_status("degraded", blocks_followed=True)
        assert followed["since"] == degraded["since"]
        assert "confirmed blocks are still followed" in followed["message"]
        greeting = await client.greeting_of_another()
        assert (greeting["type"], greeting["data"]) == ("connection", followed)
        status, refusal = await client.ask("/readyz")
        assert (status, refusal["error"]["message"]) == (503, followed["message"])

        while True:  # until it is one of a block that was found meanwhile
            whale = await client.until(is_seen_when_mined)
            _, ledger = await client.ask("/api/v1/gaps?days=1")
            if ledger["open_gap"]["whales_unseen"]:
                break
        assert ledger["open_gap"]["ended_at"] is None
        txid = whale["data"]["transaction_id"]
        update = await client.until(
            lambda message: message["type"] == "status_update" and message["data"]["transaction_id"] == txid
        )
        assert update["data"]["new_status"] == "confirmed"
        _, report = await client.ask("/api/v1/status")
        assert report["source"]["status"] == "degraded"
        assert (report["source"]["mempool_available"], report["source"]["blocks_followed"]) == (False, True)

        began = time.monotonic()
        source.is_deaf = False
        resumed = await client.until_status("connected")
        assert time.monotonic() - began < BACK_WITHIN_S
        assert resumed["mempool_available"] is True
        assert "without it" in resumed["message"]
        await client.until(
            lambda message: message["type"] == "whale_alert" and message["data"]["sighting"] == "announced"
        )
        assert (await client.ask("/readyz"))[0] == 200
        _, ledger = await client.ask("/api/v1/gaps")
        assert ledger["open_gap"] is None
        gap = ledger["gaps"][0]
        assert gap["reason"] == "reconnected"
        assert gap["blocks"] >= 1
        assert gap["whales_mined"] >= gap["whales_unseen"] >= 1
        assert 0 < ledger["blind_s"] < ledger["period_s"]
        assert ledger["whales_mined"] >= gap["whales_mined"]
        assert ledger["simulated"] is True


async def test_when_nothing_answers_it_says_that_too_and_comes_back_by_itself(tmp_path: Path) -> None:
    back = asyncio.Event()
    with capture_logs() as logs:
        async with (
            serving(make_source()) as source,
            serving(make_source(source.port), begin=back),
            service(url_of(source.port), tmp_path) as client,
        ):
            await client.until_status("connected")
            await client.until(is_alert)
            await source.die()
            degraded = await client.until_status("degraded", blocks_followed=False)
            assert "none are followed" in degraded["message"]
            began = time.monotonic()
            back.set()
            await client.until_status("connected")
            assert time.monotonic() - began < BACK_WITHIN_S
            await client.until(is_alert)
    events = {entry["event"]: entry for entry in logs}
    assert events["mempool_predictions_unavailable"]["log_level"] == "warning"
    assert events["mempool_predictions_resumed"]["log_level"] == "info"
    assert events["mempool_predictions_resumed"]["unheard_s"] >= PATIENCE.unheard_s


async def test_a_backend_whose_node_is_down_is_not_heard_although_it_is_connected(tmp_path: Path) -> None:
    node_down = Incident(IncidentKind.NODE_DOWN, first_s=10.0, every_s=1e6, length_s=25.0)
    async with serving(make_source(0, node_down)) as source, service(url_of(source.port), tmp_path) as client:
        degraded = await client.until_status("degraded")
        assert "the backend has loaded 99% of its mempool" in degraded["message"]
        _, report = await client.ask("/api/v1/status")
        assert report["source"]["connected"] is True
        await client.until_status("connected")
        await client.until(is_alert)
        _, ledger = await client.ask("/api/v1/gaps")
    [gap] = [gap for gap in ledger["gaps"] if gap["reason"] == "silent"]
    assert gap["detail"] == "the backend has loaded 99% of its mempool"
    assert gap["duration_s"] >= PATIENCE.unheard_s
    assert ledger["blind_s"] >= gap["duration_s"] - 0.001  # it is rounded


async def test_a_service_without_a_source_starts_says_so_and_hears_the_first_that_comes(
    tmp_path: Path,
) -> None:
    [listener, *others] = listeners_on("localhost")(0)
    port = listener.getsockname()[1]
    for each in (listener, *others):
        each.close()
    begin = asyncio.Event()
    async with serving(make_source(port), begin=begin), service(url_of(port), tmp_path) as client:
        degraded = await client.until_status("degraded", blocks_followed=False)
        assert "no source answers" in degraded["message"]
        assert (await client.ask("/readyz"))[0] == 503
        _, ledger = await client.ask("/api/v1/gaps")
        assert (ledger["open_gap"]["reason"], ledger["blind_share"]) == ("degraded", 1.0)
        assert ledger["blind_spot_rate"] == {"n": 0, "insufficient_data": True}
        begin.set()
        await client.until_status("connected")


@pytest.mark.parametrize("days", ["0", "week", "-1"])
async def test_days_of_the_ledger_are_a_number(tmp_path: Path, days: str) -> None:
    async with serving(make_source()) as source, service(url_of(source.port), tmp_path) as client:
        status, refusal = await client.ask(f"/api/v1/gaps?days={days}")
    assert (status, refusal["error"]["code"]) == (422, "bad_query")
