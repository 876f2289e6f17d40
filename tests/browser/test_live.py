"""What becomes of whales, as the live view tells it."""

import re
import statistics
import time
from collections.abc import Callable, Sequence

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.live_page import LivePage
from tests.browser.simulated import SimulatedSource

SOON_S = 1.0
"""From what the node hears to what is seen: half of it at most may be the simulated backend's own delay."""
TIMES = 5
FADED_MS = 9_000

Measured = Callable[[str, Sequence[float]], None]


async def test_a_whale_surfaces_and_moves_under_its_block_within_a_second(
    open_page: OpenPage, source: SimulatedSource, measured: Measured
) -> None:
    watched = await open_page()
    live = LivePage(watched)
    await watched.ready()
    await live.note_rows()
    surfacing, confirming = [], []
    for _ in range(TIMES):
        announced = time.time()
        whale = source.whale("whale_deposit", btc=1_234)
        row = await live.shows(whale.txid)
        surfacing.append(await live.seen_at_s(whale.txid, "pending") - announced)
        await expect(row).to_have_attribute("data-status", "pending")
        await expect(row).to_have_attribute("data-flow", "inflow")

        mined = time.time()
        height = source.block()
        row = await live.shows(whale.txid, "ended")
        confirming.append(await live.seen_at_s(whale.txid, "ended") - mined)
        await expect(live.row(whale.txid, "pending")).to_have_count(0)
        await expect(row).to_have_attribute("data-status", "confirmed")
        assert await live.block_above(whale.txid) == f"Block {height:,}"
    measured("from a whale's announcement to its row", surfacing)
    measured("from a block to the row under it", confirming)
    assert statistics.median(surfacing) < SOON_S, surfacing
    assert statistics.median(confirming) < SOON_S, confirming


async def test_a_row_glides_to_its_block_and_leaves_no_copy(
    open_page: OpenPage, source: SimulatedSource
) -> None:
    watched = await open_page(reduced_motion="no-preference")
    live = LivePage(watched)
    await watched.ready()
    whale = source.whale()
    await live.shows(whale.txid)
    await watched.page.evaluate(
        """() => new MutationObserver((seen) => {
            for (const {addedNodes} of seen) for (const node of addedNodes)
                if (node.classList?.contains("is-flying")) document.body.dataset.flew = node.innerText;
        }).observe(document.body, {childList: true})"""
    )
    source.block()
    await live.shows(whale.txid, "ended")
    await expect(watched.page.locator("body")).to_have_attribute("data-flew", re.compile("BTC"))
    await expect(watched.page.locator(".is-flying")).to_have_count(0)
    await expect(live.row(whale.txid, "pending")).to_have_count(0)


async def test_a_higher_fee_keeps_the_row(open_page: OpenPage, source: SimulatedSource) -> None:
    watched = await open_page()
    live = LivePage(watched)
    await watched.ready()
    whale = source.whale("whale_deposit", btc=700, fee_rate_sat_vb=5)
    row = await live.shows(whale.txid)
    prediction = await row.get_attribute("data-id")
    newer = source.replace(whale, "fee_bump")
    row = await live.shows(newer.txid)
    await expect(row).to_have_attribute("data-id", prediction or "none")
    await expect(row).to_have_attribute("data-status", "pending")
    await expect(row.get_by_text("fee raised", exact=True)).to_be_visible()
    await expect(live.row(whale.txid)).to_have_count(0)
    source.block()
    row = await live.shows(newer.txid, "ended")
    await expect(row).to_have_attribute("data-id", prediction or "none")


async def test_a_payment_to_somebody_else_and_one_that_is_dropped_are_struck_out_and_fade(
    open_page: OpenPage, source: SimulatedSource
) -> None:
    watched = await open_page(reduced_motion="no-preference")
    live = LivePage(watched)
    await watched.ready()
    await watched.page.clock.install()
    replaced = source.whale("whale_otc", btc=500, fee_rate_sat_vb=5)
    dropped = source.whale("whale_otc", btc=600, fee_rate_sat_vb=5)
    rows = {"replaced": await live.shows(replaced.txid), "dropped": await live.shows(dropped.txid)}
    newer = source.replace(replaced, "other_payee")
    source.drop(dropped)
    for status, row in rows.items():
        await expect(row).to_have_attribute("data-status", status)
        await expect(row.locator(f".end-{status}")).to_have_text(status)
        await expect(row.locator(".whale-route")).to_have_css("text-decoration-line", "line-through")
        await expect(row).to_have_css("animation-name", "fade")
    await expect(rows["replaced"].locator(".whale-end")).to_contain_text("pays somebody else: a double spend")
    await live.shows(newer.txid)  # it is a whale of its own
    await watched.page.clock.fast_forward(FADED_MS)
    for row in rows.values():
        await expect(row).to_have_count(0)
    await live.show_ended("Replaced")
    await live.shows(replaced.txid, "ended")
    await expect(live.row(dropped.txid, "ended")).to_have_count(0)
    await live.show_ended("Dropped")
    await live.shows(dropped.txid, "ended")
    await expect(live.row(replaced.txid, "ended")).to_have_count(0)


async def test_a_reorganisation_brings_whales_back(open_page: OpenPage, source: SimulatedSource) -> None:
    watched = await open_page()
    live = LivePage(watched)
    await watched.ready()
    whales = [source.whale("whale_otc") for _ in range(3)]
    for whale in whales:
        await live.shows(whale.txid)
    source.block()
    for whale in whales:
        await live.shows(whale.txid, "ended")
    source.reorganise(1, is_empty=True)
    for whale in whales:
        row = await live.shows(whale.txid)
        await expect(row).to_have_attribute("data-status", "pending")
        await expect(row.get_by_text("reorg", exact=True)).to_be_visible()
        await expect(live.row(whale.txid, "ended")).to_have_count(0)
    height = source.block()
    for whale in whales:
        await live.shows(whale.txid, "ended")
        assert await live.block_above(whale.txid) == f"Block {height:,}"
