"""The live view: its two lists, and when what stood in them first."""

from typing import Final, Literal

from playwright.async_api import Locator, expect

from tests.browser.watched_page import WatchedPage

Where = Literal["pending", "ended"]

# Whale rows come and go, and one stays while its link changes: by fee it is another transaction.
_NOTE_ROWS: Final = """
() => {
    window.firstSeen = {};
    const note = () => {
        for (const link of document.querySelectorAll('[data-list] [data-id] a[href^="/whales/"]')) {
            const where = link.closest("[data-list]").dataset.list;
            window.firstSeen[`${where} ${link.pathname.slice("/whales/".length)}`] ??= Date.now();
        }
    };
    new MutationObserver(note).observe(document.body, {subtree: true, childList: true, attributes: true});
    note();
}
"""
# Through a list from its top to its end, as far as it goes: a row that is out of sight does not exist.
_READ_ALL: Final = """
async (scroller) => {
    const painted = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const found = new Map();
    let most = 0;
    scroller.scrollTop = 0;
    for (;;) {
        await painted();
        const rows = [...scroller.querySelectorAll("[data-id]")];
        for (const row of rows) found.set(row.closest("[aria-posinset]").ariaPosInSet, row.dataset.id);
        most = Math.max(most, rows.length);
        if (scroller.scrollTop + scroller.clientHeight >= scroller.scrollHeight - 1) break;
        scroller.scrollTop += scroller.clientHeight;
    }
    scroller.scrollTop = 0;
    return [[...found.values()], most];
}
"""
_BLOCK_ABOVE: Final = """
(row) => {
    const lines = [...row.closest("ul").children];
    const above = lines.slice(0, lines.indexOf(row.closest("li"))).reverse();
    const titles = above.map((line) => line.querySelector(".block-line span")?.textContent);
    return titles.find((text) => text) ?? null;
}
"""


class LivePage:
    """What a test reads from the live view.

    Args:
        watched: the page.
    """

    def __init__(self, watched: WatchedPage) -> None:
        self.page = watched.page

    def row(self, txid: str, where: Where = "pending") -> Locator:
        """Return the rows, none or one, of a whale in one of the lists."""
        return self.page.locator(f'[data-list="{where}"] [data-id]:has(a[href="/whales/{txid}"])')

    async def shows(self, txid: str, where: Where = "pending") -> Locator:
        """Wait for a whale in one of the lists, once; return its row."""
        row = self.row(txid, where)
        await expect(row).to_have_count(1)
        await expect(row).to_be_visible()
        return row

    async def choose(self, group: str, which: str) -> None:
        """Choose one of few, such as `Unit` and `sat`."""
        await self.page.get_by_role("group", name=group).get_by_role("radio", name=which, exact=True).check()

    async def show_ended(self, which: str) -> None:
        """Choose which ends the second list shows: Confirmed, Replaced, Dropped or All."""
        await self.choose("Which end", which)

    async def block_above(self, txid: str) -> str | None:
        """Return the title of the block that a confirmed whale stands under."""
        title = await self.row(txid, "ended").evaluate(_BLOCK_ABOVE)
        return title if title is None else str(title)

    async def ids(self, where: Where) -> list[str]:
        """Return the predictions of a list, all of it, in its order."""
        scroller = self.page.locator(f'[data-list="{where}"] .scroller')
        if await scroller.count() == 0:
            return []
        found, _ = await scroller.evaluate(_READ_ALL)
        return list(found)

    async def note_rows(self) -> None:
        """Note from now on when a whale stands in a list first."""
        await self.page.evaluate(_NOTE_ROWS)

    async def seen_at_s(self, txid: str, where: Where) -> float:
        """Return when a whale stood in a list first, in seconds of Unix time."""
        at_ms = await self.page.evaluate("(key) => window.firstSeen[key]", f"{where} {txid}")
        assert at_ms is not None, f"{txid} has not been seen in {where}"
        return float(at_ms) / 1000
