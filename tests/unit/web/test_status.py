import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

import pytest

from hydrophone.domain.units import Txid
from hydrophone.errors import ConfigError, StoreError, UnknownTransaction
from hydrophone.web.status import StatusServer


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.body)


class Service:
    """What the status port asks: counts, and readiness."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.error: Exception | None = None
        self.query: Mapping[str, str] = {}

    async def report(self, query: Mapping[str, str]) -> Mapping[str, object]:
        self.query = query
        if self.error is not None:
            raise self.error
        return {"alerts_port": 8765, "simulated": True}

    def why_not_ready(self) -> str | None:
        return self.trouble

    async def explain(self, txid: Txid) -> bytes:
        if self.error is not None:
            raise self.error
        return json.dumps({"txid": txid}).encode()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def server(service: Service) -> AsyncIterator[StatusServer]:
    server = make_server(service)
    async with running(server):
        yield server


def make_server(service: Service, *, host: str = "localhost", port: int = 0) -> StatusServer:
    return StatusServer(
        host,
        port,
        answers={"/api/v1/status": service.report},
        why_not_ready=service.why_not_ready,
        explain=service.explain,
        allowed_hosts=["Whales.example"],
    )


@asynccontextmanager
async def running(server: StatusServer) -> AsyncIterator[asyncio.Task[None]]:
    ready = asyncio.Event()
    task = asyncio.create_task(server.run(ready.set))
    await ready.wait()
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def ask(
    server: StatusServer, path: str, *, method: str = "GET", host: str = "Host: localhost"
) -> Reply:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{method} {path} HTTP/1.1\r\n{host}\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Reply(int(first.split()[1]), headers, body)


async def test_an_explanation_is_passed_on_as_it_is(server: StatusServer) -> None:
    reply = await ask(server, "/api/v1/explain/" + "AB" * 32)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json == {"txid": "ab" * 32}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnknownTransaction("not here"), 404, "unknown_transaction"),
        (StoreError("no disk"), 503, "unavailable"),
    ],
)
async def test_why_there_is_no_explanation_is_said(
    server: StatusServer, service: Service, error: Exception, status: int, code: str
) -> None:
    service.error = error
    reply = await ask(server, "/api/v1/explain/" + "ab" * 32)
    assert reply.status == status
    assert (reply.json["error"]["code"], reply.json["error"]["message"]) == (code, str(error))


@pytest.mark.parametrize("txid", ["", "ab", "zz" * 32, "ab" * 33, "ab" * 32 + "/"])
async def test_only_a_txid_is_looked_up(server: StatusServer, txid: str) -> None:
    reply = await ask(server, f"/api/v1/explain/{txid}")
    assert (reply.status, reply.json["error"]["code"]) == (422, "malformed_txid")


async def test_status_is_the_report_as_json(server: StatusServer) -> None:
    reply = await ask(server, "/api/v1/status?pretty=1")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == {"alerts_port": 8765, "simulated": True}


async def test_a_report_that_cannot_be_made_is_503_and_says_why(
    server: StatusServer, service: Service
) -> None:
    service.error = StoreError("the database is busy")
    reply = await ask(server, "/api/v1/status")
    assert reply.status == 503
    assert reply.json["error"]["message"] == "the database is busy"


async def test_a_query_that_is_not_understood_is_422(server: StatusServer, service: Service) -> None:
    service.error = ConfigError("expected a number of days")
    reply = await ask(server, "/api/v1/status?days=x")
    assert reply.status == 422
    assert reply.json["error"]["message"] == "expected a number of days"


async def test_an_answer_is_told_what_was_asked(server: StatusServer, service: Service) -> None:
    await ask(server, "/api/v1/status?days=7&name=a%20b")
    assert service.query == {"days": "7", "name": "a b"}


async def test_healthy_means_that_it_answers_and_ready_that_it_hears(
    server: StatusServer, service: Service
) -> None:
    assert (await ask(server, "/healthz")).status == 200
    assert (await ask(server, "/readyz")).status == 200
    service.trouble = "Mempool Predictions Unavailable"
    assert (await ask(server, "/healthz")).status == 200
    reply = await ask(server, "/readyz")
    assert reply.status == 503
    assert reply.json["error"]["message"] == "Mempool Predictions Unavailable"


@pytest.mark.parametrize("path", ["/nowhere", "/page.html", "/../page.js", "/page.js/", "/api/v1/", "*"])
async def test_anything_else_is_404_with_a_hint(server: StatusServer, path: str) -> None:
    reply = await ask(server, path)
    assert reply.status == 404
    assert reply.json["error"].keys() == {"code", "message", "hint"}
    assert "/api/v1/status" in reply.json["error"]["hint"]


async def test_only_reading_is_allowed(server: StatusServer) -> None:
    reply = await ask(server, "/api/v1/status", method="DELETE")
    assert reply.status == 405
    assert reply.headers["allow"] == "GET, HEAD"
    head = await ask(server, "/healthz", method="HEAD")
    assert head.status == 200
    assert head.body == ""
    assert head.headers["content-length"] == str(len((await ask(server, "/healthz")).body))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("Host: localhost", 200),
        ("Host: LOCALHOST:1234", 200),
        ("Host: 127.0.0.1:8000", 200),
        ("Host: [::1]:8000", 200),
        ("Host: whales.example", 200),
        ("Host: evil.example", 403),
        ("Host: localhost.evil.example", 403),
        ("Host: localhost\r\nHost: evil.example", 403),
        ("Host: localhost@evil.example", 403),
        ("X: no host at all", 403),
    ],
)
async def test_a_foreign_name_pointed_at_this_machine_is_refused(
    server: StatusServer, host: str, status: int
) -> None:
    for path in ("/", "/api/v1/status", "/healthz"):
        assert (await ask(server, path, host=host)).status == status


async def test_the_address_it_is_bound_to_is_ours(service: Service) -> None:
    server = make_server(service, host="0.0.0.0")
    async with running(server):
        assert (await ask(server, "/healthz", host="Host: 0.0.0.0")).status == 200


@pytest.mark.parametrize("path", ["/", "/page.js", "/page.css", "/api/v1/status", "/nowhere", "/healthz"])
async def test_every_answer_carries_the_security_headers(server: StatusServer, path: str) -> None:
    headers = (await ask(server, path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "connect-src 'self' ws://localhost:*;" in policy
    assert "server" not in headers


@pytest.mark.parametrize(
    ("host", "source"),
    [("127.0.0.1:8000", "ws://127.0.0.1:*;"), ("[::1]:8000", "ws://localhost:*;")],
)
async def test_the_page_may_listen_on_the_name_it_was_fetched_from(
    server: StatusServer, host: str, source: str
) -> None:
    policy = (await ask(server, "/", host=f"Host: {host}")).headers["content-security-policy"]
    assert source in policy


async def test_the_page_and_what_it_names_are_served(server: StatusServer) -> None:
    page = await ask(server, "/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for path in re.findall(r'(?:src|href)="(/[^"]*)"', page.body):
        assert (await ask(server, path)).status == 200
    assert (await ask(server, "/page.js")).headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("name", ["page.html", "page.js", "page.css"])
def test_the_page_asks_no_third_party_and_never_parses_text_as_markup(name: str) -> None:
    source = resources.files("hydrophone.web").joinpath(name).read_text()
    assert not re.search(r"""["'(]\s*(https?:)?//\w""", source)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|\bon\w+=\"|style=", source
    )


async def test_a_websocket_is_not_opened_here(server: StatusServer) -> None:
    upgrade = (
        "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    )
    assert (await ask(server, "/ws", host=upgrade)).status == 404


async def test_a_port_in_use_is_a_configuration_error(server: StatusServer, service: Service) -> None:
    with pytest.raises(ConfigError, match="HYDROPHONE_API__PORT"):
        await make_server(service, port=server.port).run(lambda: pytest.fail("must not become ready"))


async def test_a_bug_in_the_report_ends_the_service(service: Service) -> None:
    service.error = LookupError("a bug")
    server = make_server(service)
    async with running(server) as task:
        assert (await ask(server, "/api/v1/status")).status == 500
        with pytest.raises(LookupError, match="a bug"):
            await task
