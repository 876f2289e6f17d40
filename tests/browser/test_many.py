"""Ten thousand rows: the page has only those of them that are seen."""

import asyncio
from collections.abc import AsyncIterator

import duckdb
import pytest
import pytest_asyncio
from playwright.async_api import expect

from evaluation.rest_history import make_history
from tests.browser.conftest import OpenPage
from tests.browser.live_page import LivePage
from tests.browser.service import RunningService, running_service
from tests.browser.simulated import SimulatedSource

PREDICTIONS = 11_000
ROWS = 10_000
MOST_ROWS = 60
"""In both lists: what a screen has room for, and a few beyond each end of it."""
MOST_NODES = 5_000

# To the end, whenever older ones are there; until there are none.
_SCROLL = """
async ([scroller, most]) => {
    const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const isAtEnd = () => {
        const last = [...scroller.querySelectorAll("li")].at(-1);
        const isAll = scroller.innerText.includes("That is all of them.");
        return isAll && last.ariaPosInSet === last.ariaSetSize;
    };
    while (!isAtEnd()) {
        scroller.scrollTop = scroller.scrollHeight;
        await painted();
        const rows = document.querySelectorAll("[data-id]").length;
        if (rows > most) return `${rows} rows exist at once`;
    }
    return "";
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def service(
    own_source: SimulatedSource, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    """Yield a service with ninety days of whales."""
    folder = tmp_path_factory.mktemp("many")
    await asyncio.to_thread(make_history, folder / "predictions.db", PREDICTIONS)
    async with running_service(own_source, folder) as running:
        yield running


@pytest.mark.alone
async def test_only_those_in_sight_exist(
    open_page: OpenPage, source: SimulatedSource, service: RunningService
) -> None:
    watched = await open_page()
    page, live = watched.page, LivePage(watched)
    await watched.ready()
    scroller = page.locator('[data-list="ended"] .scroller')
    handle = await scroller.element_handle()
    assert await page.evaluate(_SCROLL, [handle, MOST_ROWS]) == ""
    last = scroller.locator("li").last
    count = int(await last.get_attribute("aria-setsize") or 0)
    assert count > ROWS
    assert await page.locator("*").count() < MOST_NODES
    oldest = (await last.locator("[data-id]").get_attribute("data-id")) or ""
    whale = source.whale()
    await live.shows(whale.txid)
    source.block()
    await expect(live.row(whale.txid)).to_have_count(0)
    # Who reads the oldest still has it before him, though the newest came in above.
    await expect(scroller.locator(f'[data-id="{oldest}"]')).to_be_in_viewport()
    await scroller.evaluate("(node) => { node.scrollTop = 0; }")
    await live.shows(whale.txid, "ended")
    await watched.close()
    await service.stop()
    with duckdb.connect(service.database, read_only=True) as connection:
        kept = connection.execute(
            "SELECT count(*) + count(DISTINCT confirmation_height) FROM mempool_predictions "
            "WHERE status = 'confirmed' AND transaction_id <> ?",
            [whale.txid],
        ).fetchone()
    assert kept == (count,)
