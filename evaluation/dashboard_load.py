"""What the dashboard costs a browser: first paint, size, long tasks and memory at twenty whales a second.

A real service on a simulated mempool with a block every half minute, looked at by headless Chromium. The
history is scrolled down first until the page holds as much as it ever does; then it is
looked at for minutes, and scrolled up and down meanwhile. The browser shares the machine with the service.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, CDPSession, Page, async_playwright

from evaluation.rest_history import make_history
from evaluation.rest_load import wait_until_counted
from evaluation.service_process import ServiceProcess
from evaluation.simulator_process import SimulatorProcess

CHROMIUM: Final = "/usr/bin/chromium"
HISTORY: Final = 30_000
ROWS: Final = 12_000
LONG_MS: Final = 100.0
SAMPLE_S: Final = 15.0
WORLD: Final = (
    *("--scenario", "demo", "--seed", "3", "--rate", "22", "--whales-per-hour", "54000"),
    *("--blocks-every", "30", "--price", "64000"),
)
_PAINT: Final = """() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null"""
_SIZE: Final = """() => ["navigation", "resource"].flatMap((kind) => performance.getEntriesByType(kind))
  .filter(({ name }) => !name.includes("/api/"))
  .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)"""
_WATCH: Final = """() => {
  window.longTasks = [];
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.longTasks.push(duration);
  }).observe({ type: "longtask" });
}"""
_SCROLL: Final = """(top) => {
  const list = document.querySelector('[data-list="ended"] .scroller');
  list.scrollTop = top < 0 ? list.scrollHeight : top;
  return list.scrollHeight;
}"""
_ROWS: Final = """() => Number(
  document.querySelector('[data-list="ended"] li')?.getAttribute("aria-setsize") ?? 0)"""


async def measure_paint(browser: Browser, url: str, loads: int) -> tuple[list[float], int]:
    """Return the first contentful paint of each load by a new visitor in ms, and what was sent in bytes."""
    paints: list[float] = []
    size = 0
    for _ in range(loads):
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        page = await context.new_page()
        await page.goto(url)
        await page.wait_for_selector("[data-testid=ready]", state="attached")
        paints.append(float(await page.evaluate(_PAINT)))
        size = int(await page.evaluate(_SIZE))
        await context.close()
    return paints, size


async def load_history(page: Page, rows: int) -> int:
    """Scroll down until so many rows are known; return how many are."""
    known = 0
    for _ in range(rows // 20):
        await page.evaluate(_SCROLL, -1)
        await page.wait_for_timeout(50)
        known = int(await page.evaluate(_ROWS))
        if known >= rows:
            break
    return known


async def heap_mb(session: CDPSession) -> tuple[float, float]:
    """Return the size of the heap after a collection, in MB, and the number of DOM nodes."""
    await session.send("HeapProfiler.collectGarbage")
    metrics = {
        each["name"]: each["value"] for each in (await session.send("Performance.getMetrics"))["metrics"]
    }
    return metrics["JSHeapUsedSize"] / 1e6, metrics["Nodes"]


async def look(page: Page, seconds: float, *, is_scrolling: bool) -> list[tuple[float, float]]:
    """Look on for some time; return heap (MB) and nodes at the samples."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    samples = [await heap_mb(session)]
    end = time.monotonic() + seconds
    sample_at = time.monotonic() + SAMPLE_S
    step = 0
    while time.monotonic() < end:
        if is_scrolling:
            step += 1
            await page.evaluate(_SCROLL, abs((step * 900) % 200_000 - 100_000))
        await page.wait_for_timeout(200)
        if time.monotonic() >= sample_at:
            sample_at += SAMPLE_S
            samples.append(await heap_mb(session))
    return samples


def slope_per_minute(samples: Sequence[float]) -> float:
    """Return the median slope between any two samples (Theil-Sen), in units a minute."""
    slopes = [
        (later - sooner) / ((there - here) * SAMPLE_S / 60)
        for here, sooner in enumerate(samples)
        for there, later in enumerate(samples)
        if there > here
    ]
    return statistics.median(slopes)


async def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", type=int, default=10)
    parser.add_argument("--busy-s", type=float, default=60.0)
    parser.add_argument("--memory-s", type=float, default=600.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        store = Path(name) / "load.db"
        await asyncio.to_thread(make_history, store, HISTORY)
        simulator = await SimulatorProcess.start(*WORLD)
        service = await ServiceProcess.start(simulator.url, store)
        try:
            await asyncio.to_thread(wait_until_counted, service.api_port)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
                await report(browser, f"http://localhost:{service.api_port}/", options)
                await browser.close()
        finally:
            await service.stop()
            await simulator.stop()
    return 0


async def report(browser: Browser, url: str, options: argparse.Namespace) -> None:
    """Measure and print."""
    paints, size = await measure_paint(browser, url, options.loads)
    print(
        f"first contentful paint: median {statistics.median(paints):.0f} ms, worst {max(paints):.0f}"
        f" (n = {len(paints)}, bar 1,000)"
    )
    print(f"sent to a new visitor: {size / 1e3:.0f} kB (bar 250)")
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    troubles: list[Any] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None)
    await page.goto(url)
    await page.wait_for_selector("[data-testid=ready]", state="attached")
    print(f"rows of history loaded: {await load_history(page, ROWS):,}")
    await page.evaluate(_WATCH)
    seen = await predicted(page)
    began = time.monotonic()
    await look(page, options.busy_s, is_scrolling=True)
    rate = (await predicted(page) - seen) / (time.monotonic() - began)
    tasks = [float(each) for each in await page.evaluate("() => window.longTasks")]
    print(
        f"{options.busy_s:.0f} s at {rate:.1f} whales/s, scrolling: {sum(t > LONG_MS for t in tasks)} tasks"
        f" over {LONG_MS:.0f} ms (bar 0), {len(tasks)} over 50 ms, longest {max(tasks, default=0):.0f} ms"
    )
    await page.evaluate(_SCROLL, 0)
    samples = await look(page, options.memory_s, is_scrolling=False)
    heaps, nodes = [heap for heap, _ in samples], [count for _, count in samples]
    print(
        f"heap over {options.memory_s:.0f} s: {heaps[0]:.1f} to {heaps[-1]:.1f} MB, at most {max(heaps):.1f},"
        f" slope {slope_per_minute(heaps):+.3f} MB/min; nodes {nodes[0]:,.0f} to {nodes[-1]:,.0f},"
        f" at most {max(nodes):,.0f} (n = {len(samples)})"
    )
    tasks = [float(each) for each in await page.evaluate("() => window.longTasks")]
    long = sum(task > LONG_MS for task in tasks)
    print(f"tasks over {LONG_MS:.0f} ms in all of it: {long} of {len(tasks)} over 50 ms")
    print(f"errors and warnings of the page: {troubles or 'none'}")


async def predicted(page: Page) -> int:
    """Return how many predictions the service has made."""
    told = await page.evaluate("async () => (await (await fetch('/api/v1/status')).json()).predictions.total")
    return int(told)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
