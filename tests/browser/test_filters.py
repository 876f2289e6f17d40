"""Filters: what is hidden, where they are kept, what they ask REST for."""

import re
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.live_page import LivePage
from tests.browser.simulated import SimulatedSource, Whale
from tests.browser.watched_page import WatchedPage


def asked_for_ended(watched: WatchedPage) -> list[dict[str, str]]:
    """Return the questions for a page of whales that ended, without its size and place."""
    questions = []
    for url in watched.asked:
        path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
        status = query.get("status", [""])[0]
        if path == "/api/v1/predictions" and status not in {"pending", "in_doubt"}:
            questions.append(
                {name: values[0] for name, values in query.items() if name not in {"limit", "to"}}
            )
    return questions


async def only(live: LivePage, shown: list[Whale], hidden: list[Whale]) -> None:
    """Wait until of some whales these wait in the list, and those are not in it."""
    for whale in hidden:
        await expect(live.row(whale.txid)).to_have_count(0)
    for whale in shown:
        await expect(live.row(whale.txid)).to_have_count(1)


async def test_by_flow_exchange_size_and_urgency(open_page: OpenPage, source: SimulatedSource) -> None:
    deposit = source.whale("whale_deposit", btc=1_500, fee_rate_sat_vb=300)
    exchange = next(iter(deposit.truth["entities"]))
    other, withdrawal = exchange, deposit
    while other == exchange:  # who pays out is chance
        withdrawal = source.whale("whale_withdrawal", btc=150, fee_rate_sat_vb=2)
        other = next(iter(withdrawal.truth["entities"]))
    unknown = source.whale("whale_otc", btc=300, fee_rate_sat_vb=40)
    every = [deposit, withdrawal, unknown]
    watched = await open_page()
    page, live = watched.page, LivePage(watched)
    await watched.ready()
    await only(live, every, [])

    flows = page.get_by_role("group", name="Flow", exact=True)
    for name in ("outflow", "internal", "unknown"):
        await flows.get_by_role("checkbox", name=name).uncheck()
    await expect(page).to_have_url(re.compile(r"/\?flow=inflow$"))
    await only(live, [deposit], [withdrawal, unknown])
    assert asked_for_ended(watched)[-1] == {"status": "confirmed", "flow_type": "inflow"}
    await page.get_by_role("button", name="Clear").click()
    await expect(page).to_have_url(re.compile(r"/$"))
    await only(live, every, [])
    assert asked_for_ended(watched)[-1] == {"status": "confirmed"}

    await page.get_by_role("combobox", name="Exchange").select_option(other)
    await only(live, [withdrawal], [deposit, unknown])
    assert parse_qs(urlsplit(page.url).query) == {"exchange": [other]}
    assert asked_for_ended(watched)[-1] == {"status": "confirmed", "exchange": other}
    await page.get_by_role("button", name="Clear").click()

    await page.get_by_role("combobox", name="Moved").select_option("1000")
    await only(live, [deposit], [withdrawal, unknown])
    assert asked_for_ended(watched)[-1] == {"status": "confirmed", "min_moved_btc": "1000"}
    await page.get_by_role("combobox", name="Moved").select_option("0")
    await only(live, every, [])

    told = {
        entry["transaction_id"]: entry["urgency_score"]
        for entry in (await watched.rest("/api/v1/predictions?status=pending&limit=1000"))["data"]
    }
    scores = {whale.txid: told[whale.txid] for whale in every}
    urgent = [whale for whale in every if (scores[whale.txid] or 0) >= 0.75]
    calm = [whale for whale in every if whale not in urgent]
    assert urgent, scores
    assert calm, scores
    await page.get_by_role("combobox", name="Urgency").select_option("0.75")
    await only(live, urgent, calm)
    await expect(page).to_have_url(re.compile(r"/\?urgency=0.75$"))


async def test_they_survive_a_reload_and_hold_for_what_comes(
    open_page: OpenPage, source: SimulatedSource
) -> None:
    watched = await open_page("/?flow=inflow&moved=500&order=largest")
    page, live = watched.page, LivePage(watched)
    await watched.ready()
    small = source.whale("whale_deposit", btc=200)
    large = source.whale("whale_deposit", btc=2_000)
    larger = source.whale("whale_deposit", btc=3_000)
    nobody = source.whale("whale_otc", btc=2_000)
    for _ in range(2):
        await only(live, [large, larger], [small, nobody])
        shown = await live.ids("pending")
        first, second = (
            await live.row(larger.txid).get_attribute("data-id"),
            await live.row(large.txid).get_attribute("data-id"),
        )
        assert shown.index(first or "") < shown.index(second or "")
        await expect(page.get_by_role("checkbox", name="outflow")).not_to_be_checked()
        await expect(page.get_by_role("combobox", name="Moved")).to_have_value("500")
        await expect(page.get_by_role("radio", name="Largest")).to_be_checked()
        await page.reload()
        await watched.ready()
    source.block()
    for whale in (large, larger):
        await live.shows(whale.txid, "ended")
    for whale in (small, nobody):
        await expect(live.row(whale.txid, "ended")).to_have_count(0)
    await page.get_by_role("button", name="Clear").click()
    for whale in (large, larger, small, nobody):
        await live.shows(whale.txid, "ended")


async def test_what_hides_everything_says_so(open_page: OpenPage, source: SimulatedSource) -> None:
    whale = source.whale()
    watched = await open_page("/?exchange=Nobody+of+this+name")
    await watched.ready()
    await expect(watched.page.get_by_text("None of the whales that wait passes your filters")).to_be_visible()
    await watched.page.get_by_role("button", name="Clear").click()
    await LivePage(watched).shows(whale.txid)
