"""The service on the simulator: two programs, and a truth to compare with."""

import asyncio
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.backends import free_port
from tests.e2e.program import hydrophone, started

WHALE_SAT = 100 * 10**8


@pytest.mark.parametrize("backend", ["esplora", "none"])
async def test_every_whale_that_was_announced_is_signalled_and_nothing_else(
    backend: str, tmp_path: Path
) -> None:
    port = str(await free_port())
    what = ("--scenario", "demo", "--habit", "bump=0.4", "--habit", "bump_after_s=4", "--blocks-every", "10")
    how = (
        "--port",
        port,
        "--speed",
        "10",
        "--duration",
        "70",
        "--truth",
        "truth.jsonl",
        "--backend",
        backend,
    )
    async with started("simulate", *what, *how, cwd=tmp_path) as simulator:
        await simulator.until(lambda: any("SIMULATED" in line for line in simulator.noise))
        source = ("--source", f"ws://localhost:{port}/api/v1/ws")
        ports = ("--alerts-port", "0", "--api-port", "0")
        async with started("run", *source, *ports, cwd=tmp_path) as service:
            await service.logged("source_connected")
            assert await simulator.end() == 0
            await service.until(lambda: any(e["event"] == "source_unavailable" for e in service.log))
            page = urlsplit((await service.logged("ready"))["page"])
            estimate = await hydrophone("estimate", "5", "--api-port", str(page.port), "--json", cwd=tmp_path)
            code, _ = await service.stop()
    assert code == 0
    assert estimate.code == 0, estimate.err
    assert json.loads(estimate.out)["predicted_confirmation_block"] > 975_000
    lines = await asyncio.to_thread((tmp_path / "truth.jsonl").read_text)
    truth = [json.loads(line) for line in lines.splitlines()]
    whales = [line for line in truth if line["gross_sat"] > WHALE_SAT]
    heard = set(service.whales)
    announced = [line for line in whales if line["announced_at"] is not None]
    # What waited before we came is found too, as far as the backend lists it.
    live = {
        whale
        for whale, alert in zip(service.whales, service.alerts, strict=True)
        if alert["sighting"] == "announced"
    }
    first = min(line["announced_at"] for line in announced if line["txid"] in live)
    due = {line["txid"] for line in announced if line["announced_at"] >= first}
    assert len(due) > 5
    assert due <= heard
    assert heard <= {line["txid"] for line in whales}
    assert all(entry["simulated"] for entry in service.log if "WHALE ALERT" in entry["event"])
