"""The view of one whale."""

import re

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.live_page import LivePage
from tests.browser.simulated import SimulatedSource

NOT_FOUND = r"status of 404"
MOST_BANDS = 8


async def test_its_coins_are_drawn_and_listed_and_it_follows_what_becomes_of_it(
    open_page: OpenPage, source: SimulatedSource
) -> None:
    watched = await open_page()
    page, live = watched.page, LivePage(watched)
    await watched.ready()
    whale = source.whale("whale_deposit", btc=2_345, fee_rate_sat_vb=5)
    await (await live.shows(whale.txid)).locator(".whale-route").click()
    headline = page.locator(".headline")
    await expect(headline.get_by_text(whale.txid)).to_be_visible()
    standing = headline.locator(".whale-standing")
    await expect(standing).to_have_text("waits in the mempool")
    await expect(headline).to_have_attribute("data-status", "pending")

    said = await watched.rest(f"/api/v1/explain/{whale.txid}")
    inputs, outputs = said["inputs"], said["outputs"]
    bands = page.get_by_role("list", name="Outputs").get_by_role("listitem")
    payees = {output["script"] for output in outputs}
    assert len(payees) < MOST_BANDS, "the last band stands for several: take another whale"
    await expect(bands).to_have_count(len(payees) + 1)  # and the fee
    await expect(bands.last).to_contain_text(f"{said['fee_sat']:,} sat")
    known = {label["entity"] for label in said["labels"] if label["side"] == "output"}
    assert known
    for name in known:
        await expect(page.get_by_role("list", name="Outputs")).to_contain_text(name)
    await page.get_by_role("button", name="Show as table").click()
    rows = page.get_by_role("region", name="Inputs and outputs").locator("tbody tr")
    await expect(rows).to_have_count(len(inputs) + len(outputs) + 1)
    for place, output in enumerate(outputs):
        row = rows.nth(len(inputs) + place)
        await expect(row.locator(".address")).to_have_text(output["address"] or output["script"])
        btc = f"{output['value_sat'] / 1e8:,.8f}".rstrip("0").rstrip(".")
        await expect(row.locator(".coins-amount")).to_have_text(f"{btc} BTC")
    await watched.assert_fits()
    await page.get_by_role("button", name="Show as diagram").click()
    await expect(page.locator(".sankey")).to_be_visible()

    newer = source.replace(whale, "fee_bump")
    await expect(headline.get_by_text(newer.txid)).to_be_visible()
    await expect(
        page.get_by_text(f"{whale.txid[:8]}…{whale.txid[-6:]} is an earlier version")
    ).to_be_visible()
    await expect(headline.get_by_text("fee raised", exact=True)).to_be_visible()
    height = source.block()
    await expect(standing).to_have_text("confirmed")
    await expect(page.locator(".outcome")).to_contain_text(f"block {height:,}")
    await expect(page.locator(".timeline")).to_contain_text("confirmed", ignore_case=True)


async def test_one_that_pays_somebody_else_instead_leads_to_the_other(
    open_page: OpenPage, source: SimulatedSource
) -> None:
    watched = await open_page()
    page, live = watched.page, LivePage(watched)
    await watched.ready()
    whale = source.whale("whale_otc", btc=800, fee_rate_sat_vb=5)
    await (await live.shows(whale.txid)).locator(".whale-route").click()
    await expect(page.locator(".whale-standing")).to_have_text("waits in the mempool")
    newer = source.replace(whale, "other_payee")
    await expect(page.locator(".whale-standing")).to_have_text("replaced")
    await page.locator(".outcome").get_by_role("link").click()
    await expect(page).to_have_url(f"{watched.origin}/whales/{newer.txid}")
    await expect(page.locator(".headline")).to_contain_text(newer.txid)


async def test_an_unknown_txid_and_an_unknown_address(open_page: OpenPage) -> None:
    watched = await open_page(f"/whales/{'ab' * 32}", tolerated=NOT_FOUND)
    page = watched.page
    await expect(page.get_by_text("No whale of this name is known")).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_have_text("abababab…ababab")
    await watched.assert_accessible()
    await page.get_by_role("link", name="Live", exact=True).last.click()
    await watched.ready()
    await page.goto(f"{watched.origin}/whales/nonsense")
    await expect(page.get_by_text(re.compile("There is no such page|not_found"))).to_be_visible()
