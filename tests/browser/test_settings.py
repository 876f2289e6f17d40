"""What a user chooses: units, the theme, the list on a phone; and the page by keyboard alone."""

import re

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.live_page import LivePage
from tests.browser.simulated import SimulatedSource

USD_PER_BTC = 65_000


async def test_amounts_in_btc_satoshis_and_money(open_page: OpenPage, source: SimulatedSource) -> None:
    watched = await open_page()
    live = LivePage(watched)
    await watched.ready()
    whale = source.whale("whale_deposit", btc=1_234)
    gross_sat = whale.truth["gross_sat"]
    row = await live.shows(whale.txid)
    gross = row.locator(".whale-amount small")
    moved = row.locator(".whale-amount strong")
    await expect(gross).to_have_text(re.compile(rf"^{gross_sat / 1e8:,.0f}"[:3]))
    await expect(moved).to_contain_text("BTC")
    await live.choose("Unit", "sat")
    await expect(gross).to_have_text(f"{gross_sat:,} sat gross")
    await live.choose("Unit", "USD")
    said = (await watched.rest("/api/v1/prices"))["prices"]
    assert said["USD"] == USD_PER_BTC
    millions = gross_sat / 1e8 * USD_PER_BTC / 1e6
    await expect(gross).to_have_text(re.compile(rf"^\$({millions:.1f}|{millions:.0f})M gross$"))
    await watched.page.reload()
    await watched.ready()
    await expect(gross).to_have_text(re.compile(r"^\$[\d.]+M gross$"))
    await live.choose("Unit", "BTC")
    await expect(gross).to_contain_text("BTC gross")


async def test_the_theme_stays_as_chosen(open_page: OpenPage) -> None:
    watched = await open_page(scheme="light")
    page = watched.page
    await watched.ready()
    root = page.locator("html")

    async def ground() -> str:
        return str(await root.evaluate("(node) => getComputedStyle(node).backgroundColor"))

    light = await ground()
    await page.get_by_role("button", name="Theme: system").click()
    await expect(root).to_have_attribute("data-theme", "dark")
    await expect(root).not_to_have_css("background-color", light)  # it waits: colours change softly
    dark = await ground()
    await page.reload()
    await expect(root).to_have_attribute("data-theme", "dark")
    await expect(root).to_have_css("background-color", dark)
    await page.get_by_role("button", name="Theme: dark").click()
    await page.emulate_media(color_scheme="dark")
    await expect(root).to_have_css("background-color", light)
    await page.get_by_role("button", name="Theme: light").click()
    await expect(root).to_have_css("background-color", dark)  # as the system has it


async def test_a_whale_by_keyboard_and_back_with_the_filters(
    open_page: OpenPage, source: SimulatedSource
) -> None:
    whale = source.whale("whale_deposit", btc=4_000)
    watched = await open_page("/?flow=inflow&moved=1000")
    page, live = watched.page, LivePage(watched)
    await watched.ready()
    row = await live.shows(whale.txid)

    await page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()

    link = row.locator(".whale-route")
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await link.evaluate("(node) => node === document.activeElement"):
            break
    await expect(link).to_be_focused()
    outline = await link.evaluate("(node) => getComputedStyle(node).outlineStyle")
    assert outline != "none", "who tabs to it does not see where he is"
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{watched.origin}/whales/{whale.txid}")
    await expect(page.get_by_role("heading", level=1)).to_be_visible()

    await page.go_back()
    await expect(page).to_have_url(re.compile(r"/\?flow=inflow&moved=1000#main$"))
    await live.shows(whale.txid)
    await page.go_forward()
    await page.get_by_role("link", name="Live", exact=True).last.click()
    await expect(page).to_have_url(re.compile(r"/\?flow=inflow&moved=1000$"))


async def test_a_phone_has_one_list_at_a_time(open_page: OpenPage, source: SimulatedSource) -> None:
    watched = await open_page(screen="phone")
    page, live = watched.page, LivePage(watched)
    await watched.ready()
    whale = source.whale()
    await live.shows(whale.txid)
    await expect(page.locator('[data-list="ended"]')).to_have_count(0)
    source.block()
    await expect(live.row(whale.txid)).to_have_count(0)
    await live.choose("List", "Confirmed Flows")
    await live.shows(whale.txid, "ended")
    await expect(page.locator('[data-list="pending"]')).to_have_count(0)
    await watched.assert_fits()
    await page.get_by_role("button", name="Filters").tap()
    await expect(page.get_by_role("combobox", name="Moved")).to_be_visible()
    await watched.assert_fits()
    await watched.assert_accessible()
    await watched.screenshot("filters-phone")
