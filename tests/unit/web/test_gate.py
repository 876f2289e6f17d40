import pytest

from hydrophone.domain.access import Scope, Token, digest_of_token
from hydrophone.web.gate import Doors
from hydrophone.web.rest import Question, Route
from hydrophone.wire import rest_paths as paths
from hydrophone.wire.rest_v1 import PlainStatusV1
from tests.backends import running
from tests.unit.web.asking import NOW, Reply, ask, make_access, make_server

READ = Token("r1", "desk", Scope.READ, digest_of_token("reader"), NOW)
DOORS = Doors(hosts=("localhost", "Whales.example"), origins=("https://friend.example",))


async def answer(_: Question) -> object:
    return PlainStatusV1("ok")


ROUTES = (Route(paths.STATUS, answer), Route(paths.TOKENS, answer), Route(paths.HEALTH, answer))


async def asked(
    *headers: str, path: str = "/api/v1/status", method: str = "GET", host: str = "Host: localhost",
    is_open: bool = True, doors: Doors = DOORS,
) -> Reply:  # fmt: skip
    server = make_server(ROUTES, access=make_access([READ], is_open=is_open), doors=doors)
    async with running(server.run):
        return await ask(server, path, *headers, method=method, host=host)


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
        ("Host: localhost@evil.example", 403),
        ("Host: ", 403),
    ],
)
async def test_a_foreign_name_pointed_at_this_machine_is_refused(host: str, status: int) -> None:
    for path in ("/", "/api/v1/status", "/healthz"):
        assert (await asked(path=path, host=host)).status == status


async def test_two_hosts_are_none_and_none_is_not_enough() -> None:
    assert (await asked("Host: evil.example")).status in (400, 403)
    assert (await asked(host="X: no host at all")).status in (400, 403)


async def test_where_a_token_is_needed_any_name_will_do() -> None:
    reply = await asked("Authorization: Bearer reader", host="Host: 203.0.113.5:8000", is_open=False)
    assert reply.status == 200


@pytest.mark.parametrize(
    ("origin", "is_friend"),
    [
        ("http://localhost:5173", True),
        ("http://127.0.0.1:3000", True),
        ("https://friend.example", True),
        ("https://evil.example", False),
        ("https://friend.example.evil.example", False),
        ("http://localhost.evil.example", False),
        ("null", False),
    ],
)
async def test_only_pages_that_may_ask_are_answered(origin: str, is_friend: bool) -> None:
    reply = await asked(f"Origin: {origin}")
    assert reply.status == (200 if is_friend else 403)
    assert reply.headers.get("access-control-allow-origin") == (origin if is_friend else None)
    assert reply.headers["vary"] == "Origin"
    if not is_friend:
        assert reply.code == "forbidden_origin"


async def test_a_page_of_our_own_name_may_ask_where_a_token_is_needed() -> None:
    token, host = "Authorization: Bearer reader", "Host: whales.example"
    own = await asked("Origin: https://whales.example", token, host=host, is_open=False)
    assert own.status == 200
    other = await asked("Origin: https://whales.example:444", token, host=host, is_open=False)
    assert other.status == 403
    rebound = await asked("Origin: http://whales.example", host=host, is_open=True)
    assert rebound.status == 403


async def test_a_browser_may_ask_before_it_asks() -> None:
    reply = await asked("Origin: http://localhost:5173", method="OPTIONS")
    assert (reply.status, reply.body) == (204, "")
    assert reply.headers["access-control-allow-methods"] == "GET, HEAD"
    assert "Authorization" in reply.headers["access-control-allow-headers"]
    foreign = await asked("Origin: https://evil.example", method="OPTIONS")
    assert foreign.status == 403
    assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "X-Real-IP: 192.0.2.1"]
)
async def test_a_proxy_does_not_make_an_open_service_public(header: str) -> None:
    assert (await asked(header)).code == "forwarded"
    behind = Doors(hosts=("localhost",), is_behind_proxy=True)
    assert (await asked(header, doors=behind)).status == 200
    assert (await asked(header, is_open=False)).code == "token_required"


@pytest.mark.parametrize(
    ("authorization", "path", "status", "code"),
    [
        (None, "/api/v1/status", 401, "token_required"),
        ("Bearer nobody", "/api/v1/status", 401, "unknown_token"),
        ("Bearer reader", "/api/v1/tokens", 403, "wrong_scope"),
        ("Bearer reader", "/api/v1/status", 200, ""),
        (None, "/healthz", 200, ""),
        (None, "/", 200, ""),
        (None, "/openapi.json", 200, ""),
        (None, "/nowhere", 404, "not_found"),
    ],
)
async def test_where_a_token_is_needed_it_is_asked_for(
    authorization: str | None, path: str, status: int, code: str
) -> None:
    headers = () if authorization is None else (f"Authorization: {authorization}",)
    reply = await asked(*headers, path=path, is_open=False)
    assert reply.status == status
    if code:
        assert reply.code == code
    assert ("www-authenticate" in reply.headers) == (status == 401)


async def test_a_token_in_the_query_is_no_token() -> None:
    assert (await asked(path="/api/v1/status?token=reader", is_open=False)).status == 401


async def test_two_tokens_are_none() -> None:
    reply = await asked("Authorization: Bearer reader", "Authorization: Bearer other", is_open=False)
    assert reply.status == 400


async def test_each_client_of_a_proxy_has_its_own_rate() -> None:
    server = make_server(
        ROUTES,
        access=make_access(per_minute=60, is_open=True),
        doors=Doors(hosts=("localhost",), is_behind_proxy=True),
    )

    async def status_for(client: str) -> int:
        return (await ask(server, "/api/v1/status", f"X-Forwarded-For: 203.0.113.9, {client}")).status

    async with running(server.run):
        assert [await status_for("192.0.2.1") for _ in range(12)] == [200] * 10 + [429] * 2
        assert await status_for("192.0.2.2") == 200
        refused = await ask(server, "/api/v1/status", "X-Forwarded-For: 192.0.2.1")
        assert (refused.code, refused.headers["retry-after"]) == ("too_many_requests", "1")
