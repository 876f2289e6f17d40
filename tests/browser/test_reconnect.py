"""The page while the service, its database or its source are gone, and after it."""

import re

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.live_page import LivePage, Where
from tests.browser.service import RunningService
from tests.browser.simulated import SimulatedSource, Whale
from tests.browser.watched_page import Screen, WatchedPage

GONE = r"ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|WebSocket connection"
"""What a browser says of a service that is gone."""
LARGE_PX = 16
"""What must not be overlooked is larger than the text."""


def sight(page: Page, title: str) -> tuple[Locator, Locator]:
    """Return a banner, and its title."""
    banner = page.get_by_test_id("sight").filter(has=page.get_by_text(re.compile(title)))
    return banner, banner.locator("strong")


async def agrees_with_rest(watched: WatchedPage, live: LivePage) -> None:
    """Assert that each list has the whales that REST has, each once."""
    lists: list[tuple[Where, str]] = [("pending", "pending"), ("ended", "confirmed")]
    for where, status in lists:
        said = await watched.rest(f"/api/v1/predictions?status={status}&limit=1000")
        expected = sorted(entry["prediction_id"] for entry in said["data"])
        shown = await live.ids(where)
        assert sorted(shown) == expected, f"{where}: {shown}"


@pytest.mark.alone
@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_after_a_restart_no_row_is_lost_or_doubled(
    open_page: OpenPage, source: SimulatedSource, service: RunningService, ending: str
) -> None:
    watched = await open_page()
    watched.tolerate(GONE)
    live = LivePage(watched)
    await watched.ready()
    before = [source.whale() for _ in range(3)]
    for whale in before:
        await live.shows(whale.txid)
    source.block()
    for whale in before:
        await live.shows(whale.txid, "ended")
    waits, comes = source.whale(), source.whale()
    await live.shows(waits.txid)
    await live.shows(comes.txid)

    await (service.stop() if ending == "stop" else service.kill())
    banner, title = sight(watched.page, "Disconnected")
    await expect(title).to_be_visible()
    await expect(watched.page.get_by_test_id("hearing")).to_have_text("disconnected")
    await live.shows(waits.txid)  # what was known stays
    height = source.block()
    meanwhile = [source.whale() for _ in range(3)]
    await service.start()

    await expect(banner).to_be_hidden()
    await watched.ready()
    for whale in meanwhile:
        await live.shows(whale.txid)
    for whale in (waits, comes):
        await live.shows(whale.txid, "ended")
        assert await live.block_above(whale.txid) == f"Block {height:,}"
    await agrees_with_rest(watched, live)
    after = source.whale()
    await live.shows(after.txid)
    await agrees_with_rest(watched, live)


@pytest.mark.alone
async def test_another_database_is_read_anew(
    open_page: OpenPage, source: SimulatedSource, service: RunningService
) -> None:
    watched = await open_page()
    watched.tolerate(GONE)
    live = LivePage(watched)
    await watched.ready()
    forgotten: list[Whale] = [source.whale() for _ in range(2)]
    for whale in forgotten:
        await live.shows(whale.txid)
    source.block()
    for whale in forgotten:
        await live.shows(whale.txid, "ended")
    await watched.page.evaluate(
        """() => new MutationObserver(() => {
            if (document.querySelector('[data-testid="resync"]')) document.body.dataset.read = "anew";
        }).observe(document.body, {subtree: true, childList: true})"""
    )
    await service.stop()
    for file in service.database.parent.glob(f"{service.database.name}*"):
        file.unlink()
    await service.start()
    await expect(watched.page.locator("body")).to_have_attribute("data-read", "anew")
    await expect(watched.page.get_by_test_id("resync")).to_have_count(0)
    for whale in forgotten:
        await expect(live.row(whale.txid, "ended")).to_have_count(0)
    await live.shows(source.whale().txid)
    await agrees_with_rest(watched, live)


@pytest.mark.impatient
@pytest.mark.parametrize("screen", ["wide", "phone"])
async def test_a_mempool_that_is_not_heard_is_said_large_until_it_is_again(
    open_page: OpenPage, source: SimulatedSource, screen: Screen
) -> None:
    watched = await open_page(screen=screen)
    page, live = watched.page, LivePage(watched)
    await watched.ready()
    known = source.whale()
    await live.shows(known.txid)
    if screen == "wide":
        source.hang_up()  # blocks are still followed
    else:
        source.vanish()
    banner, title = sight(page, "^Mempool Predictions Unavailable")
    await expect(title).to_be_in_viewport()
    await expect(title).to_contain_text("since")
    assert (
        float((await title.evaluate("(node) => getComputedStyle(node).fontSize")).removesuffix("px"))
        > LARGE_PX
    )
    box = await banner.bounding_box()
    viewport = page.viewport_size
    assert box is not None
    assert viewport is not None
    assert box["width"] > 0.9 * viewport["width"]
    await expect(page.get_by_test_id("hearing")).to_have_text("degraded")
    if screen == "wide":
        await expect(banner).to_contain_text("Confirmed blocks are still followed")
        height = source.block()
        await live.shows(known.txid, "ended")
        assert await live.block_above(known.txid) == f"Block {height:,}"
    await watched.assert_accessible()
    await watched.assert_fits()
    await watched.screenshot(f"unavailable-{screen}")
    if screen == "wide":
        source.listen_again()
    else:
        source.come_back()
    await expect(banner).to_be_hidden()
    await expect(sight(page, "heard again")[1]).to_be_visible()
    await watched.ready()
    await live.shows(source.whale().txid)
