"""Each view: it fits, who uses it by other senses can, and it shows what REST says."""

import re
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.live_page import LivePage
from tests.browser.simulated import SimulatedSource
from tests.browser.watched_page import Scheme, Screen, WatchedPage

LEAST = 50
"""Fewer than these are "insufficient data"."""
MINUS = "\u2212"


def figure(page: Page, name: str) -> Locator:
    """Return a figure's value, by what it is called."""
    return (
        page.locator(".figure").filter(has=page.locator("dt", has_text=re.compile(f"^{name}$"))).locator("dd")
    )


def fact(page: Page, name: str) -> Locator:
    return (
        page.locator(".fact").filter(has=page.locator("dt", has_text=re.compile(f"^{name}$"))).locator("dd")
    )


async def go(watched: WatchedPage, name: str, title: str) -> None:
    """Go to a view as a user does, and wait until it has read what it shows."""
    page = watched.page
    await page.get_by_role("navigation", name="Views").get_by_role("link", name=name).click()
    await expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
    await expect(page.get_by_text(re.compile(r"^Reading .*"))).to_have_count(0)


@pytest.mark.parametrize("screen", ["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_each_fits_and_is_accessible(
    open_page: OpenPage, source: SimulatedSource, screen: Screen, scheme: Scheme
) -> None:
    confirmed = source.whale("whale_withdrawal", btc=900)
    watched = await open_page(screen=screen, scheme=scheme)
    page, live = watched.page, LivePage(watched)
    await watched.ready()
    await live.shows(confirmed.txid)
    source.block()
    await expect(live.row(confirmed.txid)).to_have_count(0)
    whale = source.whale("whale_deposit", btc=1_234, fee_rate_sat_vb=5)
    source.whale("interexchange", btc=400)
    source.whale("whale_otc", btc=250)
    await live.shows(whale.txid)
    whale = source.replace(whale, "fee_bump")
    await live.shows(whale.txid)
    await _looks_well(watched, f"live-{screen}-{scheme}")

    await live.row(whale.txid).locator(".whale-route").click()
    await expect(page.get_by_role("heading", name="Where the coins go")).to_be_visible()
    await expect(page.locator(".sankey")).to_be_visible()
    await _looks_well(watched, f"whale-{screen}-{scheme}")
    for name, title in (
        ("Flows", "Flows"),
        ("Fees", "Fee market"),
        ("Record", "Track record"),
        ("System", "System"),
    ):
        await go(watched, name, title)
        await _looks_well(watched, f"{name.lower()}-{screen}-{scheme}")


async def _looks_well(watched: WatchedPage, name: str) -> None:
    await watched.assert_fits()
    await watched.assert_accessible()
    await watched.screenshot(name, is_whole=True)


async def test_flows_are_those_of_rest(open_page: OpenPage, source: SimulatedSource) -> None:
    watched = await open_page()
    page, live = watched.page, LivePage(watched)
    await watched.ready()
    for kind in ("whale_deposit", "whale_withdrawal"):
        await live.shows(source.whale(kind).txid)
    await live.choose("Unit", "sat")
    await go(watched, "Flows", "Flows")
    rows = (await watched.rest("/api/v1/netflow?interval=hour&limit=1000"))["data"]
    by_exchange: dict[str, int] = {}
    for row in rows:
        by_exchange[row["exchange"]] = by_exchange.get(row["exchange"], 0) + row["net_sat"]
    table = page.locator(".flow-table")
    await expect(table.locator("tbody tr")).to_have_count(len(by_exchange))
    for exchange, net_sat in by_exchange.items():
        row = table.locator("tbody tr").filter(has=page.get_by_role("button", name=exchange, exact=True))
        await expect(row.locator(".flow-net")).to_have_text(_net(net_sat))
    await expect(table.locator("tfoot .flow-net")).to_have_text(_net(sum(by_exchange.values())))
    await expect(figure(page, "Net into exchanges")).to_contain_text(_net(sum(by_exchange.values())))

    chosen = next(iter(by_exchange))
    await table.get_by_role("button", name=chosen, exact=True).click()
    await expect(page).to_have_url(re.compile(r"/flows\?exchange="))
    await expect(figure(page, f"Net into {re.escape(chosen)}")).to_contain_text(_net(by_exchange[chosen]))


def _net(sat: int) -> str:
    return f"{'+' if sat > 0 else MINUS if sat < 0 else ''}{abs(sat):,} sat"


async def test_fees_are_those_of_rest(open_page: OpenPage, source: SimulatedSource) -> None:
    watched = await open_page("/fees")
    page = watched.page
    height = source.block()
    await expect(figure(page, "Newest block")).to_contain_text(f"{height:,}")
    said: dict[str, Any] = await watched.rest("/api/v1/fee-market")
    assert said["market"]["tip"] == height
    await expect(figure(page, "Learned from")).to_contain_text(f"{said['model']['scored_blocks']:,} blocks")
    rate = page.get_by_role("spinbutton", name="Fee rate")
    await rate.fill("10000")
    await rate.press("Enter")
    await expect(figure(page, "As things stand")).to_contain_text("the next block")
    await expect(page.get_by_text("hydrophone estimate 10000")).to_be_visible()


async def test_the_record_says_what_it_does_not_know(open_page: OpenPage, source: SimulatedSource) -> None:
    watched = await open_page()
    page = watched.page
    await watched.ready()
    await LivePage(watched).shows(source.whale().txid)
    async with (
        page.expect_response(re.compile("/api/v1/accuracy")) as judged,
        page.expect_response(re.compile("/api/v1/record")) as chained,
    ):
        await page.goto(f"{watched.origin}/record?days=1")
    said = await (await judged.value).json()
    head = (await (await chained.value).json())["head"]
    n = said["coverage"]["p90"]["n"]
    assert n < LEAST, "there is enough: this test shows nothing"
    await expect(figure(page, "Within P90")).to_have_text(f"insufficient data (n = {n}, from {LEAST} on)")
    assert head["seq"] > 0
    await expect(fact(page, "Newest entry")).to_have_text(f"{head['seq']:,}")
    await expect(fact(page, "Its hash")).to_contain_text(head["hash"])
    await expect(page.locator(".proof-good")).to_be_visible()  # this browser has reckoned it
    await expect(page.locator(".command code").first).to_contain_text(head["hash"])


async def test_the_system_is_as_rest_says(open_page: OpenPage, source: SimulatedSource) -> None:
    watched = await open_page("/system")
    page, live = watched.page, LivePage(watched)
    said = await watched.rest("/api/v1/status")
    await expect(page.get_by_text(f"Hydrophone {said['version']}, {said['network']}")).to_be_visible()
    await expect(page.get_by_test_id("findings")).to_contain_text("All is well")
    await expect(fact(page, "Port")).to_have_text(str(said["alerts_port"]))
    await expect(fact(page, "Database").locator("code")).to_have_text(said["store"])
    coverage = await watched.rest("/api/v1/labels/coverage")
    await expect(figure(page, "Claims")).to_contain_text(f"{coverage['claims']:,}")
    counted = fact(page, "Predictions, record")
    total = said["predictions"]["total"]
    await expect(counted).to_contain_text(f"{total:,}, ")
    whale = source.whale()
    await expect(counted).to_contain_text(f"{total + 1:,}, ")  # it looks again by itself
    await page.get_by_role("link", name="Live", exact=True).click()
    await live.shows(whale.txid)
