"""The real program, whose limit of memory is set so low that it is really short of it, and then is not."""

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.backends import PATIENCE_S, Backend, conversing
from tests.builders import to_bytes, transaction_json, txid_of
from tests.e2e.program import Program, addresses_of, started
from tests.faults.test_service_faults import FREE_PORTS, WHALE_SAT, Telling, alerts_of

ANSWER_BYTES = 24 * 1024 * 1024
"""Of an answer that comes and does not end: less than the most that is read; four of them are 100 MB."""
ROOM_MB = 60
"""Above what an idle program takes: more than that varies, less than four such answers."""
MARKET = [{"blockVSize": 997_000, "feeRange": [20, 21, 22, 25, 30, 40, 300]}] * 2
"""A congested one: nothing below 20 sat/vB is in the next block."""
LOW_SAT, HIGH_SAT = 1_000, 30_000
"""Fees of 7 and of 214 sat/vB."""
FAT = 8
"""Look-ups at once. Sources: `REST_CONCURRENCY`."""


class Lookups:
    """A REST backend whose answers come, and do not end before they may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_end = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with conversing(self._answer) as address:
            yield f"http://{address}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split()[1].decode()
                self.asked.append(path.rpartition("/")[2])
                body = self._body(self.asked[-1])
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                if not self.may_end.is_set():
                    writer.write(body[:-1])
                    await writer.drain()
                    await self.may_end.wait()
                    body = body[-1:]
                writer.write(body)
                await writer.drain()

    def _body(self, txid: str) -> bytes:
        fat = not self.may_end.is_set()
        names = [*(f"fat {n}" for n in range(FAT)), "low", "high"]
        name = next((name for name in names if txid_of(name) == txid), "")
        padding = " " * (ANSWER_BYTES if fat else 0)
        return to_bytes({**transaction_json(name, [WHALE_SAT]), "padding": padding})


async def ask(program: Program, what: str) -> dict[str, Any]:
    url = f"{(await addresses_of(program)).api_url}api/v1/{what}"

    def fetch() -> dict[str, Any]:
        with urllib.request.urlopen(url, timeout=5) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    return await asyncio.to_thread(fetch)


async def until_status(program: Program, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Ask for the status until something holds: it may be of a second ago."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition(status := await ask(program, "status")):
            pass
    return status


async def idle_mb(folder: Path) -> float:
    """Return the memory of a program that has told of one whale."""
    telling = Telling()
    async with (
        Backend(telling) as backend,
        started("run", "--source", backend.url(), *FREE_PORTS, cwd=folder) as program,
        alerts_of(program) as alerts,
    ):
        telling.whales("first")
        await alerts.until("whale_alert", "first")
        found = float((await ask(program, "status"))["memory"]["rss_mb"])
        await program.stop()
    return found


def unresolved(name: str, fee_sat: int) -> dict[str, Any]:
    return transaction_json(name, [WHALE_SAT], fee_sat=fee_sat, has_prevouts=False)


@pytest.mark.timeout(120)  # it has to be short of memory for seconds
async def test_a_program_that_is_short_of_memory_sheds_caches_and_no_prediction_and_recovers(
    tmp_path: Path,
) -> None:
    (tmp_path / "idle").mkdir()
    shed_mb = round(await idle_mb(tmp_path / "idle")) + ROOM_MB
    telling, lookups = Telling(), Lookups()
    async with (
        Backend(telling) as backend,
        lookups.serving() as rest_url,
        started(
            *("run", "--source", backend.url(), "--source-rest-url", rest_url, *FREE_PORTS),
            *("--memory-shed-mb", str(shed_mb), "--memory-recover-percent", "90"),
            cwd=tmp_path,
        ) as program,
        alerts_of(program) as alerts,
    ):
        telling.block(99)
        telling.whales("before")
        await alerts.until("whale_alert", "before")
        while (await ask(program, "fee-market"))["marginal_rate"] is None:
            telling.change(**{"mempool-blocks": MARKET})
        fat = [f"fat {n}" for n in range(FAT)]
        telling.change(added=[unresolved(name, HIGH_SAT) for name in fat[: FAT // 2]])
        shed = await program.logged("memory_shed")
        telling.change(
            added=[unresolved(name, HIGH_SAT) for name in fat[FAT // 2 :]]
        )  # not all give up at once
        assert shed["level"] == "warning"
        assert shed["rss_mb"] >= shed_mb == shed["shed_mb"]
        assert shed["shed"]["database"] == 1
        await program.logged("memory_lookups_held")
        telling.change(added=[unresolved("low", LOW_SAT), unresolved("high", HIGH_SAT)])
        for name in (*fat, "low", "high"):  # each in time, without its prevouts
            data = await alerts.until("whale_alert", name)
            assert "inputs unknown" in data["flow_reason"]
        status = await until_status(program, lambda status: status["source"]["lookups_held"] == 1)
        assert status["memory"]["level"] == "holding"
        assert status["memory"]["times_held"] == 1
        assert status["queues"]["lookups_held"]["waiting"] == 1
        assert "short of memory: look-ups" in status["source"]["message"]
        assert txid_of("low") not in lookups.asked
        lookups.may_end.set()
        recovered = await program.logged("memory_recovered")
        assert recovered["rss_mb"] < 0.9 * shed_mb
        await alerts.until("status_update", "low", new_status="amended")
        status = await until_status(program, lambda status: status["memory"]["level"] == "normal")
        assert status["memory"]["short_for_s"] is None
        assert status["queues"]["lookups_held"]["waiting"] == 0
        assert "short of memory" not in status["source"]["message"]
        telling.whales("after")
        await alerts.until("whale_alert", "after")
        assert (await program.stop())[0] == 0
    said = [m["data"]["message"] for m in alerts.heard if m["type"] == "connection"]
    assert any("short of memory: caches and slow clients are let go" in text for text in said)
    assert said[-1] == "Listening to the mempool"
    assert {w["data"]["transaction_id"] for w in alerts.heard if w["type"] == "whale_alert"} == set(
        map(txid_of, ["before", *fat, "low", "high", "after"])
    )
