"""A service, what it hears, and a browser that looks at it.

The browser and all fixtures share one loop for the whole session: it starts once. So does one service with
its source, for all tests that neither end nor break it; the others are marked `alone`.
"""

import os
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.service import RunningService, running_service
from tests.browser.simulated import SimulatedSource, simulated_source
from tests.browser.watched_page import Scheme, Screen, WatchedPage, open_watched

CHROMIUM: Final = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
IMPATIENCE_S: Final = 2.0
"""How long a service of a test marked `impatient` waits for the mempool: ten polls."""
_TIMEOUT_S: Final = 60
"""Of a test: a browser and a service start in it, on a machine that may be busy."""
_LOOK_MS: Final = 10_000
"""How long is waited for what the page should show."""


_FIGURES: Final = pytest.StashKey[list[str]]()


class OpenPage(Protocol):
    """Opens a page of the service that a test uses."""

    def __call__(
        self,
        path: str = "/",
        *,
        screen: Screen = "wide",
        scheme: Scheme = "light",
        tolerated: str | None = None,
        **others: object,
    ) -> Awaitable[WatchedPage]: ...


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alone: the test has a service and a source of its own")
    config.addinivalue_line(
        "markers",
        "impatient: as alone, and predictions are called unavailable after seconds, not after five minutes",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.timeout(_TIMEOUT_S))


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser() -> AsyncIterator[Browser]:
    if not CHROMIUM.is_file():
        pytest.fail(
            f"expected a browser at {CHROMIUM}, found none; on Debian: apt-get install chromium; elsewhere "
            "set CHROMIUM to where it is"
        )
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox"] if os.geteuid() == 0 else [],  # it refuses to run as root with one
        )
        expect.set_options(timeout=_LOOK_MS)
        yield found
        await found.close()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def shared_source() -> AsyncIterator[SimulatedSource]:
    """Yield a backend that has found a block, so that the fee market is known."""
    async with simulated_source() as simulated:
        yield simulated


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def shared_service(
    shared_source: SimulatedSource, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    async with running_service(shared_source, tmp_path_factory.mktemp("shared")) as running:
        shared_source.block()
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def own_source() -> AsyncIterator[SimulatedSource]:
    async with simulated_source() as simulated:
        yield simulated


@pytest_asyncio.fixture(loop_scope="session")
async def own_service(
    request: pytest.FixtureRequest, own_source: SimulatedSource, tmp_path: Path
) -> AsyncIterator[RunningService]:
    is_impatient = request.node.get_closest_marker("impatient") is not None
    unheard_s = IMPATIENCE_S if is_impatient else None
    async with running_service(own_source, tmp_path, unheard_s=unheard_s) as running:
        yield running


def _is_alone(request: pytest.FixtureRequest) -> bool:
    return any(request.node.get_closest_marker(name) is not None for name in ("alone", "impatient"))


@pytest.fixture
def source(request: pytest.FixtureRequest) -> SimulatedSource:
    """Return a backend that does what the test says; whales of other tests may wait in it."""
    found = request.getfixturevalue("own_source" if _is_alone(request) else "shared_source")
    assert isinstance(found, SimulatedSource)
    return found


@pytest.fixture
def service(request: pytest.FixtureRequest) -> RunningService:
    """Return a service that hears it."""
    found = request.getfixturevalue("own_service" if _is_alone(request) else "shared_service")
    assert isinstance(found, RunningService)
    return found


@pytest.fixture
def measured(pytestconfig: pytest.Config) -> Callable[[str, Sequence[float]], None]:
    """Return what notes times in seconds; they are printed at the end."""

    def note(what: str, times_s: Sequence[float]) -> None:
        middle, most = statistics.median(times_s), max(times_s)
        line = f"{what}: median {middle * 1000:.0f} ms, most {most * 1000:.0f} ms (n = {len(times_s)})"
        pytestconfig.stash.setdefault(_FIGURES, []).append(line)

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_FIGURES, []):
        terminalreporter.write_line(line)


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser, service: RunningService) -> AsyncIterator[OpenPage]:
    """Yield what opens pages of the service; in the end none of them may have complained."""
    opened: list[WatchedPage] = []

    async def open_it(
        path: str = "/",
        *,
        screen: Screen = "wide",
        scheme: Scheme = "light",
        tolerated: str | None = None,
        **others: object,
    ) -> WatchedPage:
        watched = await open_watched(
            browser, service.origin, path, screen=screen, scheme=scheme, tolerated=tolerated, **others
        )
        watched.page.set_default_timeout(_LOOK_MS)
        opened.append(watched)
        return watched

    yield open_it
    for watched in opened:
        await watched.close()
