"""Who keeps a service company for an hour: clients that come and go, one that never reads, and an asker."""

import asyncio
import contextlib
import json
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import aiohttp
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from evaluation.latency_bench import join
from evaluation.rest_load import PATHS

CLIENTS = 12
STAY_S = (2.0, 90.0)
AWAY_S = (0.5, 10.0)
DEAF_S = 2_700.0
"""# chosen: what the kernel and the service keep for it holds half an hour of alerts."""
ASK_EVERY_S = 1.0
EXPECTED = frozenset({200, 404, 503})
"""503 is the answer while accuracy or netflow are computed for the first time."""
FILTERS: tuple[dict[str, object], ...] = (
    {},
    {"min_btc_value": 500},
    {"flow_types": ["inflow", "outflow"]},
    {"min_urgency": 0.5},
    {"min_confidence": 0.5},
)


@dataclass
class Company:
    """What they noticed.

    Attributes:
        heard: messages of each type, to all clients.
        txid: the newest of an alert, to ask about; before there is one, of nothing.
        visits: connections that came and went.
        refused: connections that did not come about.
        answers_ms: how long each answer of REST took.
        odd: answers that should not be, by what they were.
    """

    heard: Counter[str] = field(default_factory=Counter)
    txid: str = "ab" * 32
    visits: int = 0
    refused: int = 0
    answers_ms: list[float] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)

    async def keep(self, alerts_port: int, api_port: int) -> None:
        """Come, go, stall and ask, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self._come_and_go(alerts_port, Random(number)))
            group.create_task(self._stall(alerts_port))
            group.create_task(self._ask(api_port))

    async def _come_and_go(self, port: int, chance: Random) -> None:
        while True:
            await asyncio.sleep(chance.uniform(*AWAY_S))
            wanted = json.dumps({"type": "subscribe", "filters": chance.choice(FILTERS)})
            try:
                async with asyncio.timeout(chance.uniform(*STAY_S)):
                    await self._listen(port, wanted)
            except TimeoutError:
                self.visits += 1
            except (ConnectionClosed, InvalidHandshake, OSError):
                self.refused += 1

    async def _listen(self, port: int, wanted: str) -> None:
        async with connect(f"ws://127.0.0.1:{port}", compression=None, max_size=None) as alerts:
            await alerts.send(wanted, text=True)
            async for raw in alerts:
                message = json.loads(raw)
                self.heard[message["type"]] += 1
                if message["type"] == "whale_alert":
                    self.txid = message["data"]["transaction_id"]

    async def _stall(self, port: int) -> None:
        """Join and read nothing; come anew when the service must have put us out, which we cannot see."""
        while True:
            with contextlib.suppress(OSError), await asyncio.to_thread(_join_deaf, port):
                await asyncio.sleep(DEAF_S)
            await asyncio.sleep(1.0)

    async def _ask(self, port: int) -> None:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            while True:
                for path in PATHS.values():
                    await asyncio.sleep(ASK_EVERY_S)
                    await self._ask_one(session, path.format(txid=self.txid))

    async def _ask_one(self, session: aiohttp.ClientSession, path: str) -> None:
        began = time.perf_counter()
        try:
            async with session.get(path, timeout=aiohttp.ClientTimeout(30)) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.odd[f"{type(error).__name__} {path.partition('?')[0]}"] += 1
            return
        self.answers_ms.append((time.perf_counter() - began) * 1e3)
        if answer.status not in EXPECTED:
            self.odd[f"{answer.status} {path}"] += 1


def _join_deaf(port: int) -> socket.socket:
    return join(port, receive_buffer=4096)
