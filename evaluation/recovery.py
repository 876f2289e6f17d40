"""How soon the service is back after its source is, and how soon a block is heard of by a client.

python -m evaluation.recovery [--outages 32] [--blocks 300]
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from evaluation.service_process import ServiceProcess
from evaluation.simulator_process import Gate, SimulatorProcess
from hydrophone.wire.mempool_space import SUBSCRIPTIONS

BACK_BAR_S = 5.0
BLOCK_BAR_S = 1.0
LANES = 4
"""Services that have their outages at the same time."""
HANG_S = 26.0
"""Longer than a peer that answers no ping is believed in (20 s)."""
SPEED = 20.0
BLOCKS_EVERY_S = 10.0
WHALES_PER_HOUR = 1_500.0


class Connection:
    """Whether a service says that it hears its source.

    Attributes:
        changed: set at each change.
        connected_at: when it last said so, by the monotonic clock; None: it says that it does not.
    """

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.connected_at: float | None = None

    async def follow(self, port: int) -> None:
        """Listen to a service until it ends."""
        try:
            async with connect(f"ws://127.0.0.1:{port}", compression=None, max_size=None) as alerts:
                async for raw in alerts:
                    message = json.loads(raw)
                    if message["type"] == "connection":
                        is_connected = message["data"]["status"] == "connected"
                        self.connected_at = time.monotonic() if is_connected else None
                        self.changed.set()
        except ConnectionClosed:
            return

    async def until(self, *, is_connected: bool) -> None:
        """Wait until it says so."""
        while (self.connected_at is not None) != is_connected:
            self.changed.clear()
            await self.changed.wait()


async def suffer(
    simulator: SimulatorProcess, folder: Path, lane: int, count: int
) -> list[tuple[str, float, float]]:
    """Return of some outages how each was, how long it lasted, and after how long the service was back."""
    chance = Random(lane)
    gate = Gate(simulator.port)
    await gate.open()
    service = await ServiceProcess.start(gate.url, folder / f"lane{lane}.db")
    connection = Connection()
    following = asyncio.create_task(connection.follow(service.alerts_port))
    found: list[tuple[str, float, float]] = []
    await connection.until(is_connected=True)
    for number in range(count):
        await asyncio.sleep(chance.uniform(0.2, 2.0))
        kind = "hung" if number == count - 1 else "cut"
        length_s = HANG_S + chance.uniform(0, 5) if kind == "hung" else chance.uniform(0.5, 16.0)
        if kind == "hung":
            gate.freeze()
        else:
            await gate.shut()
        await asyncio.sleep(length_s)
        await connection.until(is_connected=False)
        returned_at = time.monotonic()
        await gate.open()
        await connection.until(is_connected=True)
        assert connection.connected_at is not None
        found.append((kind, length_s, connection.connected_at - returned_at))
    await service.stop()
    await following
    await gate.shut()
    return found


async def measure_outages(folder: Path, count: int) -> bool:
    """Print how soon the service was back; return whether that is soon enough."""
    simulator = await SimulatorProcess.start("--scenario", "demo", "--seed", "1")
    each = -(-count // LANES)
    lanes = await asyncio.gather(*[suffer(simulator, folder, lane, each) for lane in range(LANES)])
    await simulator.stop()
    found = [outage for lane in lanes for outage in lane]
    for kind in ("cut", "hung"):
        backs = sorted(back_s for k, _, back_s in found if k == kind)
        lengths = [length_s for k, length_s, _ in found if k == kind]
        print(
            f"{len(backs)} outages ({kind}, {min(lengths):.1f} to {max(lengths):.1f} s): back after the "
            f"source median {statistics.median(backs):.2f} s, worst {backs[-1]:.2f} s (bar {BACK_BAR_S:g} s)"
        )
    return max(back_s for _, _, back_s in found) < BACK_BAR_S


class BlockClock:
    """When the backend told of each block, and when a client of the service heard of what is in it."""

    def __init__(self) -> None:
        self.told_at: dict[int, float] = {}
        self.heard_at: dict[int, float] = {}

    async def hear_backend(self, url: str) -> None:
        """Note each block as any client of the backend hears it."""
        async with connect(url, compression=None, max_size=None) as backend:
            for subscription in SUBSCRIPTIONS:
                await backend.send(subscription, text=True)
            async for raw in backend:
                now, block = time.monotonic(), json.loads(raw).get("block")
                if block is not None:
                    self.told_at.setdefault(block["height"], now)

    async def hear_service(self, port: int) -> None:
        """Note the first status update of each block."""
        async with connect(f"ws://127.0.0.1:{port}", compression=None, max_size=None) as alerts:
            async for raw in alerts:
                message = json.loads(raw)
                if message["type"] == "status_update" and message["data"]["new_status"] == "confirmed":
                    self.heard_at.setdefault(message["data"]["confirmation_block"], time.monotonic())

    def delays_s(self) -> list[float]:
        """Return how long it took for each block, sorted; one loop reads both sockets, so 0 is possible."""
        return sorted(
            max(0.0, at - self.told_at[height])
            for height, at in self.heard_at.items()
            if height in self.told_at
        )


async def measure_blocks(folder: Path, count: int) -> bool:
    """Print how soon a block's outcomes are said; return whether that is soon enough."""
    simulator = await SimulatorProcess.start(
        *("--seed", "2", "--rate", "3", "--blocks-every", str(BLOCKS_EVERY_S), "--speed", str(SPEED)),
        *("--whales-per-hour", str(WHALES_PER_HOUR)),
    )
    service = await ServiceProcess.start(simulator.url, folder / "blocks.db")
    clock = BlockClock()
    tasks = [
        asyncio.create_task(clock.hear_backend(simulator.url)),
        asyncio.create_task(clock.hear_service(service.alerts_port)),
    ]
    while len(clock.delays_s()) < count and not any(task.done() for task in tasks):
        await asyncio.sleep(0.5)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    code = await service.stop()
    await simulator.stop()
    delays = clock.delays_s()
    print(
        f"{len(delays)} blocks with whales, one each {BLOCKS_EVERY_S / SPEED:g} s: from the backend's frame "
        f"to the client's first status update median {1e3 * quantile(delays, 0.5):.0f} ms, "
        f"p99 {1e3 * quantile(delays, 0.99):.0f} ms, worst {1e3 * delays[-1]:.0f} ms (bar {BLOCK_BAR_S:g} s)"
    )
    return len(delays) >= count and code == 0 and quantile(delays, 0.99) < BLOCK_BAR_S


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which a share lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def main() -> int:
    """Measure both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--outages", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        results = [
            await measure_blocks(Path(scratch), arguments.blocks) if arguments.blocks else True,
            await measure_outages(Path(scratch), arguments.outages) if arguments.outages else True,
        ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
