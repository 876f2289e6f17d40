"""The quickstart's page, served as it says, hears whales."""

import asyncio
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.browser.service import RunningService
from tests.browser.simulated import SimulatedSource
from tests.browser.watched_page import open_watched
from tests.e2e.program import ROOT

PAGE = "test_dashboard.html"
ALERTS = "ws://localhost:8765"


@asynccontextmanager
async def http_server(folder: Path) -> AsyncIterator[int]:
    """Serve a folder by `python3 -m http.server` within the context; yield the port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "http.server", "0", "--bind", "localhost"),
        cwd=folder,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        assert process.stdout is not None
        said = (await process.stdout.readline()).decode()
        found = re.search(r"port (\d+)", said)
        assert found is not None, said
        yield int(found[1])
    finally:
        process.kill()
        await process.wait()


async def test_it_hears_a_whale(
    browser: Browser, source: SimulatedSource, service: RunningService, tmp_path: Path
) -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    assert text.count(ALERTS) == 1
    alerts = f"ws://localhost:{service.alerts_port}"
    (tmp_path / PAGE).write_text(text.replace(ALERTS, alerts), encoding="utf-8")
    async with http_server(tmp_path) as port:
        watched = await open_watched(
            browser,
            f"http://localhost:{port}",
            f"/{PAGE}",
            screen="wide",
            scheme="light",
            tolerated="favicon.ico",  # the folder has none
        )
        page = watched.page
        await expect(page.get_by_text("✅ Connected")).to_be_visible()
        whale = source.whale("whale_deposit", btc=1_234)
        btc = f"{whale.truth['gross_sat'] / 1e8:.8f}".rstrip("0").rstrip(".")
        await expect(page.get_by_text(f"🐋 SIMULATED {btc} BTC - inflow")).to_be_visible()
        assert [url.rstrip("/") for url in watched.sockets] == [alerts]
        watched.foreign.clear()  # it is not the service that serves it
        await watched.close()
