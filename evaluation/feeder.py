"""A backend that announces transactions of our choosing at a rate of our choosing."""

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from hydrophone.runtime.frame import FrameKind
from tests.recorded import load_excerpt

WHALE_SAT = 15_000_000_000


def recorded_transactions() -> list[dict[str, Any]]:
    """Return every transaction that the recorded excerpt announces, as the backend spelled it."""
    transactions = []
    for frame in load_excerpt():
        if frame.kind is FrameKind.RECEIVED:
            transactions += json.loads(frame.payload).get("mempool-transactions", {}).get("added", [])
    return transactions


def new_txid(number: int) -> str:
    """Return an id that no other number has."""
    return hashlib.sha256(f"fed {number}".encode()).hexdigest()


def renewed(transaction: dict[str, Any], txid: str) -> dict[str, Any]:
    """Return a copy of a transaction that spends coins of its own: else it would replace the others."""
    coins = hashlib.sha256(txid.encode()).hexdigest()
    spent = [{**each, "txid": coins, "vout": place} for place, each in enumerate(transaction["vin"])]
    return {**transaction, "txid": txid, "vin": spent}


class Feeder:
    """Serves frames of whales and ordinary transactions to whoever subscribes.

    Args:
        frames_per_s: how many frames a second.
        whales: in each frame.
        ordinary: transactions below the threshold in each frame.
        limit: so many frames in all; None: until cancelled.
        first: number of the first whale, so that two feeders announce different ones.
    """

    def __init__(
        self,
        *,
        frames_per_s: float,
        whales: int = 1,
        ordinary: int = 0,
        limit: int | None = None,
        first: int = 0,
    ) -> None:
        self._interval_s = 1 / frames_per_s
        self._whales = whales
        self._ordinary = ordinary
        self._limit = limit
        self._next = first
        small = min(recorded_transactions(), key=lambda t: sum(o["value"] for o in t["vout"]))
        spent = [{**each, "txid": "{coins}", "vout": place} for place, each in enumerate(small["vin"])]
        template = {**small, "txid": "{txid}", "vin": spent}
        self._template = json.dumps(template, separators=(",", ":"))
        self._small_value = f'"value":{small["vout"][0]["value"]}'
        self.sent_ns: dict[str, int] = {}
        self.port = 0
        self.is_done = asyncio.Event()
        self.is_held = asyncio.Event()
        self.is_held.set()

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until cancelled."""
        async with serve(self._feed, "127.0.0.1", self.port, compression=None) as server:
            self.port = int(next(iter(server.sockets)).getsockname()[1])
            on_ready()
            await asyncio.Event().wait()

    async def _feed(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # the service may be killed while we feed it
            await self._announce(connection)

    async def _announce(self, connection: ServerConnection) -> None:
        async for message in connection:
            if b"track-mempool" in (message if isinstance(message, bytes) else message.encode()):
                break
        await self.is_held.wait()
        sequence, began = 0, time.monotonic()
        while self._limit is None or sequence < self._limit:
            sequence += 1
            txids = [new_txid(self._next + offset) for offset in range(self._whales + self._ordinary)]
            self._next += len(txids)
            frame = self.frame(sequence, txids)
            await asyncio.sleep(began + sequence * self._interval_s - time.monotonic())
            now_ns = time.time_ns()
            self.sent_ns.update(dict.fromkeys(txids[: self._whales], now_ns))
            await connection.send(frame)
        self.is_done.set()
        await connection.wait_closed()

    def frame(self, sequence: int, txids: list[str]) -> str:
        """Return a frame that announces these, the whales first."""
        added = []
        for index, txid in enumerate(txids):
            text = self._template.replace("{txid}", txid).replace("{coins}", txid[::-1])
            if index < self._whales:
                text = text.replace(self._small_value, f'"value":{WHALE_SAT + index}', 1)
            added.append(text)
        delta = f'"sequence":{sequence},"added":[{",".join(added)}],"removed":[],"mined":[],"replaced":[]'
        return f'{{"mempool-transactions":{{{delta}}}}}'
