"""A service that wants a token asks for it, and keeps it no longer than it was told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, expect

from tests.browser.conftest import OpenPage
from tests.browser.live_page import LivePage
from tests.browser.service import RunningService, running_service
from tests.browser.simulated import SimulatedSource
from tests.e2e.program import hydrophone

DENIED = r"status of 401"
"""What a browser says of each answer that asks for a token."""


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def closed(
    shared_source: SimulatedSource, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[RunningService, str]]:
    """Yield a service that lets nobody in without a token, and a token."""
    folder: Path = tmp_path_factory.mktemp("closed")
    tokens = ("--access-tokens", str(folder / "tokens.json"))
    made = await hydrophone("token", "create", *tokens, cwd=folder)
    assert made.code == 0, made.err
    options = (*tokens, "--access-require-tokens", "true")
    async with running_service(shared_source, folder, options=options) as running:
        yield running, made.out.strip()


@pytest.fixture
def service(closed: tuple[RunningService, str]) -> RunningService:
    return closed[0]


@pytest.fixture
def token(closed: tuple[RunningService, str]) -> str:
    return closed[1]


async def _kept(context: BrowserContext, token: str) -> tuple[bool, bool]:
    """Return whether a token is kept for the tab, and whether for the device."""
    stored = await context.pages[0].evaluate(
        "(token) => [sessionStorage, localStorage].map((kept) => JSON.stringify({...kept}).includes(token))",
        token,
    )
    return stored[0], stored[1]


async def test_a_wrong_token_says_so_and_a_right_one_lets_the_tab_in(
    open_page: OpenPage, source: SimulatedSource, token: str
) -> None:
    watched = await open_page(tolerated=DENIED)
    page, live = watched.page, LivePage(watched)
    dialog = page.get_by_role("dialog", name="A token is needed")
    await expect(dialog).to_be_visible()
    await expect(page.get_by_test_id("hearing")).to_have_text("token needed")
    await expect(dialog.get_by_role("alert")).to_have_count(0)  # nothing was wrong yet
    await watched.assert_accessible()
    await watched.screenshot("token")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_visible()

    await dialog.get_by_label("Token").fill("hydrophone_this_is_not_one")
    await dialog.get_by_role("button", name="Listen").click()
    await expect(dialog.get_by_role("alert")).to_be_visible()
    await expect(dialog.get_by_role("alert")).to_contain_text("token")
    assert not await page.get_by_test_id("ready").count()

    await dialog.get_by_label("Token").fill(token)
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await watched.ready()
    whale = source.whale()
    await live.shows(whale.txid)  # the websocket told it
    await page.goto(f"{watched.origin}/whales/{whale.txid}")  # and REST lets the same tab in
    await expect(page.get_by_text(whale.txid).first).to_be_visible()
    await expect(dialog).to_be_hidden()
    assert await _kept(page.context, token) == (True, False)
    assert not any(token in url for url in [*watched.asked, *watched.sockets])
    assert token not in page.url

    other = await page.context.new_page()  # a tab of its own
    await other.goto(watched.origin)
    await expect(other.get_by_role("dialog", name="A token is needed")).to_be_visible()
    await other.close()


async def test_it_is_kept_on_the_device_if_asked_for(open_page: OpenPage, token: str) -> None:
    watched = await open_page(tolerated=DENIED)
    page = watched.page
    dialog = page.get_by_role("dialog", name="A token is needed")
    await dialog.get_by_label("Token").fill(token)
    await dialog.get_by_label("Keep it on this device").check()
    await dialog.get_by_role("button", name="Listen").click()
    await watched.ready()
    assert await _kept(page.context, token) == (False, True)
    other = await page.context.new_page()
    await other.goto(watched.origin)
    await expect(other.get_by_test_id("hearing")).to_have_text("listening")
    await expect(other.get_by_role("dialog")).to_be_hidden()
    await other.close()
