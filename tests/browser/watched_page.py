"""A page in a real browser, and all that it complains of and asks for."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    WebSocket,
    expect,
)

from tests.e2e.program import ROOT

AXE: Final = ROOT / "dashboard/node_modules/axe-core/axe.min.js"
SCREENSHOTS: Final = "SCREENSHOTS"
"""Environment variable: the folder that `WatchedPage.screenshot` writes into; without it, it does nothing."""
_GRAVE: Final = frozenset({"serious", "critical"})

_WATCHES: Final = """
document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`policy: ${event.violatedDirective} forbids ${event.blockedURI}`));
"""

# Also the innermost elements that reach beyond the screen, of which one is to blame.
_WIDTHS: Final = """
() => {
    const {scrollWidth, clientWidth} = document.documentElement;
    const isWide = (node) => node.getBoundingClientRect().right > clientWidth + 1;
    const wide = scrollWidth <= clientWidth ? [] : [...document.body.querySelectorAll("*")].filter(isWide);
    const inner = wide.filter((node) => ![...node.children].some(isWide));
    return [scrollWidth, clientWidth, inner.slice(0, 10).map((node) => node.cloneNode().outerHTML)];
}
"""

Screen = Literal["wide", "phone"]
Scheme = Literal["light", "dark"]
SCREENS: Final[dict[Screen, dict[str, Any]]] = {
    "wide": {"viewport": {"width": 1440, "height": 900}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}


class WatchedPage:
    """A page, watched from its first request on.

    Args:
        context: of the browser, for this page alone.
        page: its only page.
        origin: that it may ask.

    Attributes:
        page: to be steered.
        origin: of the service.
        complaints: errors and warnings of its console, and errors nobody caught, but those tolerated.
        foreign: URLs that it asked for elsewhere.
        asked: URLs that it asked for, in order.
        sockets: URLs of its websockets.
    """

    def __init__(self, context: BrowserContext, page: Page, origin: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        self.asked: list[str] = []
        self.sockets: list[str] = []
        self._context = context
        self.origin = origin
        self._tolerated: list[re.Pattern[str]] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self._complain(f"uncaught: {error}"))
        page.on("request", self._note_request)
        page.on("websocket", self._note_socket)

    async def open(self, path: str = "/") -> None:
        """Go to a path of the service."""
        await self.page.goto(self.origin + path)

    async def ready(self) -> None:
        """Wait until it shows what the service knows, and hears what comes."""
        await expect(self.page.get_by_test_id("ready")).to_be_attached()
        await expect(self.page.get_by_test_id("hearing")).to_have_text("listening")

    async def rest(self, path: str, *, token: str | None = None) -> Any:  # noqa: ANN401  # JSON
        """Return what REST says, asked beside the page."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        answer = await self._context.request.get(self.origin + path, headers=headers)
        assert answer.ok, f"{path}: {answer.status} {await answer.text()}"
        return await answer.json()

    def tolerate(self, pattern: str) -> None:
        """Let complaints that match pass from now on: what a browser says while the service is gone."""
        self._tolerated.append(re.compile(pattern))

    async def assert_accessible(self, *, without: Sequence[str] = ()) -> None:
        """Assert that axe finds nothing serious or critical on the page as it is now.

        Args:
            without: names of rules that do not count; say why where you use it.
        """
        assert AXE.is_file(), f"expected axe-core at {AXE}, found nothing; `make dashboard` installs it"
        await self.page.evaluate(AXE.read_text(encoding="utf-8"))  # so it is not the page that loads it
        found = await self.page.evaluate(
            "async (off) => (await axe.run(document, {resultTypes: ['violations'], rules: off})).violations",
            {name: {"enabled": False} for name in without},
        )
        grave = [
            f"{rule['impact']} {rule['id']} ({rule['help']}): {[node['target'] for node in rule['nodes']]}"
            for rule in found
            if rule["impact"] in _GRAVE
        ]
        assert grave == [], grave

    async def assert_fits(self) -> None:
        """Assert that nothing makes the page wider than the screen."""
        width, most, wide = await self.page.evaluate(_WIDTHS)
        assert width <= most, f"{self.page.url} is {width} pixels wide, the screen {most}: {wide}"

    async def screenshot(self, name: str, *, is_whole: bool = False) -> None:
        """Draw what is seen, if somebody wants to look at it.

        Args:
            name: of the file, without its ending.
            is_whole: the whole page, not only the part on the screen.
        """
        folder = os.environ.get(SCREENSHOTS)
        if folder:
            await self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=is_whole)

    async def close(self) -> None:
        """Close it, and assert that it complained of nothing and asked nobody else."""
        await self._context.close()
        assert self.complaints == [], self.complaints
        assert self.foreign == [], self.foreign

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._complain(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _complain(self, text: str) -> None:
        if not any(pattern.search(text) for pattern in self._tolerated):
            self.complaints.append(text)

    def _note_request(self, request: Request) -> None:
        self.asked.append(request.url)
        scheme, host, *_ = urlsplit(request.url)
        if scheme not in {"data", "blob"} and f"{scheme}://{host}" != self.origin:
            self.foreign.append(request.url)

    def _note_socket(self, socket: WebSocket) -> None:
        self.sockets.append(socket.url)
        scheme, host, *_ = urlsplit(socket.url)
        if f"{scheme.replace('ws', 'http', 1)}://{host}" != self.origin:
            self.foreign.append(socket.url)


async def open_watched(
    browser: Browser,
    origin: str,
    path: str,
    *,
    screen: Screen,
    scheme: Scheme,
    tolerated: str | None = None,
    **others: object,
) -> WatchedPage:
    """Open a page of its own, with storage of its own.

    Args:
        browser: that shows it.
        origin: of the service.
        path: of the page.
        screen: how large, and whether it is touched.
        scheme: what the system prefers.
        tolerated: complaints that pass from the first on.
        others: of the context, as Playwright names them.
    """
    options: dict[str, Any] = {
        "color_scheme": scheme,
        "locale": "en-GB",
        "timezone_id": "UTC",
        "reduced_motion": "reduce",
        **SCREENS[screen],
        **others,
    }
    context = await browser.new_context(**options)
    await context.add_init_script(_WATCHES)
    watched = WatchedPage(context, await context.new_page(), origin)
    if tolerated is not None:
        watched.tolerate(tolerated)
    await watched.open(path)
    return watched
