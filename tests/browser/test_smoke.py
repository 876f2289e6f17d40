"""The page as a person sees it first: it loads, complains of nothing, and a whale surfaces."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.service import RunningService
from tests.browser.simulated import SimulatedSource, Whale
from tests.browser.watched_page import Scheme, Screen

GONE = r"ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|WebSocket connection|does not answer"
"""What a browser says of a service that is gone."""


async def hears(page: Page) -> None:
    """Wait until the page is told what the service hears."""
    await expect(page.get_by_text(re.compile("Listening to a SIMULATED mempool")).first).to_be_visible()


async def shows(page: Page, whale: Whale) -> None:
    """Wait until a whale is on the page."""
    await expect(page.get_by_text(re.compile(whale.txid[:8])).first).to_be_visible()


@pytest.mark.parametrize("screen", ["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_whale_surfaces(
    open_page: OpenPage, source: SimulatedSource, screen: Screen, scheme: Scheme
) -> None:
    watched = await open_page(screen=screen, scheme=scheme)
    await expect(watched.page).to_have_title(re.compile("Hydrophone"))
    await hears(watched.page)
    await shows(watched.page, source.whale("whale_deposit", btc=1_234))
    await expect(watched.page.get_by_text(re.compile("inflow")).first).to_be_visible()
    await watched.screenshot(f"whale-{screen}-{scheme}")


async def test_it_confirms(open_page: OpenPage, source: SimulatedSource) -> None:
    watched = await open_page()
    await hears(watched.page)
    await shows(watched.page, source.whale())
    height = source.block()
    await expect(watched.page.get_by_text(re.compile(f"confirmed in {height}")).first).to_be_visible()


@pytest.mark.impatient
async def test_a_mempool_that_is_not_heard_is_said_and_that_it_is_again(
    open_page: OpenPage, source: SimulatedSource
) -> None:
    watched = await open_page()
    await hears(watched.page)
    source.vanish()
    unavailable = watched.page.get_by_text(re.compile("Mempool Predictions Unavailable")).first
    await expect(unavailable).to_be_visible()
    source.come_back()
    await expect(unavailable).to_be_hidden()
    await shows(watched.page, source.whale())


async def test_a_service_that_comes_back_is_heard_again(
    open_page: OpenPage, source: SimulatedSource, service: RunningService
) -> None:
    watched = await open_page()
    watched.tolerate(GONE)
    await hears(watched.page)
    await service.stop()
    await expect(watched.page.get_by_text(re.compile("does not answer")).first).to_be_visible()
    await service.start()
    await hears(watched.page)
    await shows(watched.page, source.whale())
