"""The harness sees what it is there to see."""

from playwright.async_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.service import RunningService


async def test_a_breach_of_the_policy_and_a_foreign_connection_are_noticed(
    open_page: OpenPage, service: RunningService
) -> None:
    watched = await open_page()
    page = watched.page
    await watched.ready()
    assert [url.removesuffix("/ws") for url in watched.sockets] == [watched.origin.replace("http", "ws", 1)]
    assert watched.complaints == []
    assert watched.foreign == []
    async with page.expect_console_message(lambda message: message.text.startswith("policy: script-src")):
        await page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "document.body.dataset.ran = 'yes'";
                document.body.append(script);
            }"""
        )
    await expect(page.locator("body")).not_to_have_attribute("data-ran", "yes")
    assert any("policy" in complaint for complaint in watched.complaints)
    async with page.expect_console_message(lambda message: message.text.startswith("policy: connect-src")):
        await page.evaluate(
            """(port) => { try { new WebSocket(`ws://localhost:${port}`); } catch { /* forbidden */ } }""",
            service.alerts_port,
        )
    watched.complaints.clear()
    watched.tolerate("WebSocket connection")  # of a page of nowhere with this machine: refused by the browser
    await page.goto("data:text/html,<title>elsewhere</title>")
    async with page.expect_websocket():
        await page.evaluate("(port) => { new WebSocket(`ws://localhost:${port}`); }", service.alerts_port)
    assert watched.foreign == [f"ws://localhost:{service.alerts_port}/"]
    watched.foreign.clear()
