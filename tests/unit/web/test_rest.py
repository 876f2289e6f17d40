import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from hydrophone.errors import ConfigError, QueryTooSlow, StoreError, UnknownTransaction
from hydrophone.web.http_server import Limits
from hydrophone.web.replies import CSV
from hydrophone.web.rest import Encoded, Question, RestServer, Route
from hydrophone.wire import rest_paths as paths
from hydrophone.wire.rest_v1 import PlainStatusV1
from tests.backends import running
from tests.unit.web.asking import ask, make_server, send


class Service:
    """Answers everything, or fails as it is told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked: Question | None = None
        self.hold: asyncio.Event | None = None

    async def answer(self, question: Question) -> object:
        self.asked = question
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        return PlainStatusV1("ok")

    async def page(self, question: Question) -> object:
        self.asked = question
        if question.wants_csv:
            return Encoded(b"a,b\r\n", CSV, next_cursor="12.ab")
        return Encoded(json.dumps({"data": []}).encode(), next_cursor="12.ab")

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(paths.STATUS, self.answer),
            Route(paths.HEALTH, self.answer),
            Route(paths.EXPLAIN, self.answer),
            Route(paths.PREDICTIONS, self.page),
        )


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def server(service: Service) -> AsyncIterator[RestServer]:
    server = make_server(service.routes())
    async with running(server.run):
        yield server


async def test_a_txid_is_taken_from_the_path(server: RestServer, service: Service) -> None:
    reply = await ask(server, "/api/v1/explain/" + "AB" * 32)
    assert (reply.status, reply.json) == (200, {"status": "ok"})
    assert service.asked is not None
    assert service.asked.place == "AB" * 32


@pytest.mark.parametrize("txid", ["", "ab", "zz" * 32, "ab" * 33, "ab" * 31 + "a%62", "..", "' OR 1=1 --"])
async def test_only_a_txid_is_looked_up(server: RestServer, service: Service, txid: str) -> None:
    reply = await ask(server, f"/api/v1/explain/{txid.replace(' ', '%20')}")
    assert (reply.status, reply.code) == (422, "malformed_txid")
    assert service.asked is None


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UnknownTransaction("it is not there"), 404, "unknown_transaction"),
        (ConfigError("expected days"), 422, "bad_query"),
        (StoreError("the database is busy"), 503, "unavailable"),
        (QueryTooSlow("it took long"), 503, "too_slow"),
    ],
)
async def test_what_cannot_be_answered_says_why(
    server: RestServer, service: Service, error: Exception, status: int, code: str
) -> None:
    service.error = error
    reply = await ask(server, "/api/v1/status")
    assert (reply.status, reply.code) == (status, code)
    assert reply.json["error"]["message"] == str(error)
    assert ("retry-after" in reply.headers) == (status == 503)


async def test_a_bug_is_answered_and_stops_nothing(
    server: RestServer, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.error = LookupError("a secret of ours")
    reply = await ask(server, "/api/v1/status")
    assert (reply.status, reply.code) == (500, "bug")
    assert "secret" not in reply.body
    service.error = None
    assert (await ask(server, "/api/v1/status")).status == 200
    assert server.server.counters.failed == 1


async def test_an_answer_that_takes_too_long_is_given_up(service: Service) -> None:
    service.hold = asyncio.Event()
    server = make_server(service.routes(), limits=Limits(answer_s=0.05))
    async with running(server.run):
        reply = await ask(server, "/api/v1/status")
        assert (reply.status, reply.code) == (503, "too_slow")
        assert server.server.counters.late == 1
        assert (await ask(server, "/openapi.json")).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "pretty=1",
        "limit=0",
        "limit=1001",
        "limit=ten",
        "limit=",
        "limit=5&limit=6",
        "status=gone",
        "min_btc=nan",
        "min_btc=-1",
        "min_urgency=1.5",
        "from=yesterday",
        "from=1700000000",
        "from=2026-01-01T00:00:00",
        "from=0001-01-01T00:00:00%2B14:00",
        "to=9999-12-31T23:59:59-14:00",
        "cursor=../../etc/passwd",
        "exchange=",
        "&".join(f"a{n}=1" for n in range(40)),
    ],
)
async def test_parameters_are_what_the_description_says(
    server: RestServer, service: Service, query: str
) -> None:
    reply = await ask(server, f"/api/v1/predictions?{query}")
    assert (reply.status, reply.code) == (422, "bad_query")
    assert service.asked is None


async def test_an_answer_is_told_what_was_asked(server: RestServer, service: Service) -> None:
    await ask(server, "/api/v1/predictions?exchange=A%20b%27&min_btc=1e3&from=2026-01-01T00:00:00Z&limit=7")
    assert service.asked is not None
    query = service.asked.query
    assert (query.exchange, query.min_btc, query.limit) == ("A b'", 1000.0, 7)
    assert query.from_.isoformat() == "2026-01-01T00:00:00+00:00"


async def test_the_next_page_is_in_the_link(server: RestServer) -> None:
    reply = await ask(server, "/api/v1/predictions?limit=2&cursor=99.&status=pending")
    assert reply.headers["link"] == ('</api/v1/predictions?limit=2&status=pending&cursor=12.ab>; rel="next"')


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ("", "*/*", "application/json"),
        ("", "text/csv", "text/csv; charset=utf-8"),
        ("?format=csv", "application/json", "text/csv; charset=utf-8"),
        ("?format=json", "text/csv", "application/json"),
    ],
)
async def test_csv_is_given_to_who_asks_for_it(
    server: RestServer, query: str, accept: str, kind: str
) -> None:
    reply = await ask(server, f"/api/v1/predictions{query}", f"Accept: {accept}")
    assert reply.headers["content-type"] == kind
    assert reply.headers["vary"] == "Accept"


async def test_what_differs_by_more_than_one_header_says_so(server: RestServer) -> None:
    both = await ask(server, "/api/v1/predictions", "Origin: http://localhost:5173")
    assert both.headers["vary"] == "Origin, Accept"
    assert "vary" not in (await ask(server, "/api/v1/status")).headers


async def test_what_is_still_the_same_is_not_sent_again(server: RestServer) -> None:
    first = await ask(server, "/api/v1/predictions")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, no-cache"
    for told in (tag, f'"x", W/{tag}', "*"):
        again = await ask(server, "/api/v1/predictions", f"If-None-Match: {told}")
        assert (again.status, again.body) == (304, "")
    assert (await ask(server, "/api/v1/predictions", 'If-None-Match: "x"')).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/index.html",
        "/../docs.js",
        "/docs.js/",
        "/api/v1/",
        "/%2e%2e/docs.js",
        "/docs/../../etc/passwd",
        "//localhost/",
        "/api/v1/status%00",
    ],
)
async def test_anything_else_is_404_with_a_hint(server: RestServer, path: str) -> None:
    reply = await ask(server, path)
    assert (reply.status, reply.code) == (404, "not_found")
    assert "/api/v1/status" in reply.json["error"]["hint"]


@pytest.mark.parametrize("path", ["/api/v1/status", "/", "/openapi.json"])
async def test_only_reading_is_allowed(server: RestServer, path: str) -> None:
    for method in ("DELETE", "POST", "PUT", "PATCH", "TRACE"):
        reply = await ask(server, path, method=method)
        assert (reply.status, reply.code) == (405, "method_not_allowed")
        assert reply.headers["allow"] == "GET, HEAD, OPTIONS"
    head = await ask(server, path, method="HEAD")
    assert (head.status, head.body) == (200, "")
    assert head.headers["content-length"] == str(len((await ask(server, path)).body.encode()))


@pytest.mark.parametrize("path", ["/", "/docs", "/openapi.json", "/api/v1/status", "/nowhere"])
async def test_every_answer_carries_the_security_headers(server: RestServer, path: str) -> None:
    headers = (await ask(server, path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        **dict.fromkeys(("script-src", "style-src", "font-src", "connect-src", "manifest-src"), "'self'"),
        "img-src": "'self' data:",
        **dict.fromkeys(("base-uri", "form-action", "frame-ancestors"), "'none'"),
    }
    assert headers["server"] == "hydrophone"


async def test_what_is_no_http_is_refused_in_the_same_form(server: RestServer) -> None:
    for raw, status in (
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", 400),
    ):
        reply = await send(server, raw)
        assert reply.status == status
        assert reply.json["error"].keys() == {"code", "message", "hint"}
        assert reply.headers["x-content-type-options"] == "nosniff"


async def test_a_port_in_use_is_a_configuration_error(server: RestServer, service: Service) -> None:
    with pytest.raises(ConfigError, match="HYDROPHONE_API__PORT"):
        await make_server(service.routes(), port=server.port).run(
            lambda: pytest.fail("must not become ready")
        )
