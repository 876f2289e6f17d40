"""The client against the real alert server, and against an HTTP server that answers as ours do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from aiohttp import web
from websockets.datastructures import Headers

from hydrophone.client import (
    Client,
    ConnectionMessage,
    Filters,
    NetflowQuery,
    PredictionsQuery,
    RequestRefused,
    ResyncRequiredMessage,
    ServiceUnreachable,
    StatisticsQuery,
    StatusUpdateMessage,
    WhaleAlertMessage,
)
from hydrophone.client.following import Heard
from hydrophone.errors import ConfigError, MalformedMessage
from hydrophone.web.live import AlertServer, OpenToThisMachine
from tests.said import MemoryRecord, alert, facts, notice, update


@asynccontextmanager
async def running(server: AlertServer) -> AsyncIterator[AlertServer]:
    ready = asyncio.Event()
    task = asyncio.create_task(server.run(ready.set))
    await ready.wait()
    try:
        yield server
    finally:
        task.cancel()
        await asyncio.wait({task})


async def no_pause(_seconds: float) -> None:
    await asyncio.sleep(0)


def client_of(server: AlertServer, **options: Any) -> Client:  # noqa: ANN401
    given: dict[str, Any] = {"sleep": no_pause, "random": Random(1), **options}
    return Client(alerts_url=f"ws://127.0.0.1:{server.port}/", **given)


def alerts(first: int, last: int) -> list[bytes]:
    return [alert(seq, facts(f"p{seq}", btc=100.0 * seq)) for seq in range(first, last + 1)]


async def take(heard: AsyncIterator[Heard], count: int) -> list[int]:
    """The indices of the next entries."""
    seqs: list[int] = []
    while len(seqs) < count:
        message = await anext(heard)
        if isinstance(message, WhaleAlertMessage | StatusUpdateMessage):
            seqs.append(message.seq)
    return seqs


async def test_alerts_come_typed_and_by_the_filter() -> None:
    server = AlertServer("127.0.0.1", 0, greeting=notice)
    async with (
        running(server),
        aclosing(client_of(server).alerts(Filters(min_btc_value=250), since=0)) as heard,
    ):
        assert isinstance(await anext(heard), ConnectionMessage)
        await server.publish(*alerts(1, 3), update(4, "p1"), update(5, "p3"))
        whale = await anext(heard)
        assert isinstance(whale, WhaleAlertMessage)
        assert (whale.seq, whale.data.btc_value, whale.data.prediction_id) == (3, 300.0, "p3")
        end = await anext(heard)
        assert isinstance(end, StatusUpdateMessage)
        assert (end.seq, end.data.new_status) == (5, "confirmed")


async def test_a_lost_connection_is_opened_again_and_nothing_is_missed_or_doubled() -> None:
    record = MemoryRecord(alerts(1, 60))
    retries: list[float] = []
    server = AlertServer("127.0.0.1", 0, greeting=notice, record=record, last_seq=10, tail=4)
    async with running(server):
        client = client_of(server, on_retry=lambda _, pause_s: retries.append(pause_s))
        async with aclosing(client.alerts(since=5)) as heard:
            assert await take(heard, 5) == [6, 7, 8, 9, 10]
            for start in range(11, 61, 10):
                for ours in tuple(server._room.clients):
                    ours.transport.abort()
                await server.publish(*alerts(start, start + 9))
                assert await take(heard, 10) == list(range(start, start + 10))
    assert len(retries) == 5


async def test_it_follows_a_service_over_its_restart() -> None:
    record = MemoryRecord(alerts(1, 9))
    first = AlertServer("127.0.0.1", 0, greeting=notice, record=record, last_seq=3)
    async with running(first):
        heard = client_of(first).alerts(since=1)
        assert await take(heard, 2) == [2, 3]
    again = AlertServer("127.0.0.1", first.port, greeting=notice, record=record, last_seq=7)
    async with running(again), aclosing(heard):
        assert await take(heard, 4) == [4, 5, 6, 7]


async def test_a_client_that_read_too_slowly_asks_for_what_it_lost() -> None:
    messages = alerts(1, 4_000)
    record = MemoryRecord(messages)
    server = AlertServer("127.0.0.1", 0, greeting=notice, record=record, backlog=4, tail=16)
    async with running(server), aclosing(client_of(server).alerts(since=0)) as heard:
        await anext(heard)
        for message in messages:  # far more than the sockets take, and the client takes nothing
            await server.publish(message)
        assert server.counters.dropped > 0
        assert await take(heard, 4_000) == list(range(1, 4_001))


async def test_what_cannot_be_had_again_is_said() -> None:
    server = AlertServer("127.0.0.1", 0, greeting=notice, last_seq=100)
    async with running(server), aclosing(client_of(server).alerts(since=5)) as heard:
        assert isinstance(await anext(heard), ConnectionMessage)
        resync = await anext(heard)
        assert isinstance(resync, ResyncRequiredMessage)
        assert (resync.data.since, resync.data.seq) == (5, 100)


async def test_a_quiet_connection_is_asked_how_far_everything_is_known() -> None:
    heard_by_server = 0

    def now() -> float:
        nonlocal heard_by_server
        heard_by_server += 1
        return float(heard_by_server)

    server = AlertServer("127.0.0.1", 0, greeting=notice, now=now, sweep_interval_s=3600.0, tail=2)
    async with running(server):
        client = client_of(server, quiet_s=0.01)
        async with aclosing(client.alerts(Filters(min_btc_value=10**6))) as heard:
            await anext(heard)
            waiting = asyncio.ensure_future(anext(heard))
            await until(lambda: heard_by_server > 0)
            await server.publish(*alerts(1, 9))
            for _ in range(2):  # the second ping shows that the first was answered
                before = heard_by_server
                await until(lambda count=before: heard_by_server > count)  # type: ignore[misc]
            for ours in tuple(server._room.clients):
                ours.transport.abort()
            assert isinstance(await waiting, ConnectionMessage)
            waiting = asyncio.ensure_future(anext(heard))
            await until(lambda: server.client_count == 1)
            await server.publish(alert(10, facts("whale", btc=2e6)))
            whale = await waiting
            assert isinstance(whale, WhaleAlertMessage), "from the first index on, two entries do not reach"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # of things that have no event
            await asyncio.sleep(0)


async def test_a_token_is_shown_and_a_bad_one_is_final() -> None:
    class GoodTokens(OpenToThisMachine):
        def refuse_token(self, token: str | None, _headers: Headers, _peer: str) -> str | None:
            return None if token == "good" else "expected a good token"

    server = AlertServer("127.0.0.1", 0, greeting=notice, admission=GoodTokens())
    async with running(server):
        async with aclosing(client_of(server, token="good").alerts()) as heard:
            assert isinstance(await anext(heard), ConnectionMessage)
        with pytest.raises(RequestRefused, match="401: expected a good token"):
            await anext(client_of(server, token="bad").alerts())
        with pytest.raises(RequestRefused, match="as the first message"):
            await anext(client_of(server).alerts())


async def test_a_service_that_is_not_there_is_tried_again() -> None:
    pauses: list[float] = []

    class EnoughError(Exception):
        pass

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 8:
            raise EnoughError

    server = AlertServer("127.0.0.1", 0, greeting=notice)
    async with running(server):
        pass
    with pytest.raises(EnoughError):
        await anext(client_of(server, sleep=sleep).alerts())
    assert pauses[0] <= 0.25
    assert 5.0 <= max(pauses) <= 10.0


# --- REST


@asynccontextmanager
async def answering(
    status: int,
    body: str,
    seen: list[web.Request],
    answer: Callable[[web.Request], Awaitable[web.Response]] | None = None,
) -> AsyncIterator[str]:
    async def answer_always(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(status=status, text=body)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer or answer_always)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_every_call_asks_its_path() -> None:
    since = datetime(2026, 11, 26, tzinfo=UTC)
    seen: list[web.Request] = []
    async with answering(200, "[]", seen) as url, Client(f"{url}/", token="t") as client:
        for call in (
            client.status(),
            client.predictions(PredictionsQuery(min_btc=500.0, flow_type="inflow", from_=since, limit=10)),
            client.prediction("ab/c"),
            client.explain("ab"),
            client.netflow(NetflowQuery(interval="hour")),
            client.statistics(StatisticsQuery(period="weekly")),
            client.accuracy(days=7),
            client.fee_market(),
            client.prices(),
            client.gaps(),
            client.record(since=5, limit=10),
            client.labels_coverage(),
        ):
            with pytest.raises(MalformedMessage, match=r"openapi\.json"):
                await call
    assert [request.raw_path for request in seen] == [
        "/api/v1/status",
        "/api/v1/predictions?flow_type=inflow&min_btc=500.0&from=2026-11-26T00:00:00%2B00:00&limit=10",
        "/api/v1/predictions/ab%2Fc",
        "/api/v1/explain/ab",
        "/api/v1/netflow?interval=hour&limit=100",
        "/api/v1/statistics?period=weekly&limit=100",
        "/api/v1/accuracy?days=7",
        "/api/v1/fee-market",
        "/api/v1/prices",
        "/api/v1/gaps?days=90.0",
        "/api/v1/record?since=5&limit=10",
        "/api/v1/labels/coverage",
    ]
    assert {request.headers["Authorization"] for request in seen} == {"Bearer t"}


RECORD = '{"entries":[],"head":{"seq":3,"hash":"ab"}}'


async def test_an_answer_is_typed_and_what_a_later_version_added_is_passed_over() -> None:
    for body in (
        RECORD,
        RECORD.replace('"seq"', '"new":{"x":1},"seq"').replace('"entries"', '"more":[],"entries"'),
    ):
        async with answering(200, body, []) as url, Client(url) as client:
            page = await client.record()
            assert (page.entries, page.head.seq, page.head.hash) == ([], 3, "ab")


async def test_pages_are_asked_for_one_after_the_other() -> None:
    async def answer(request: web.Request) -> web.Response:
        cursor = request.query.get("cursor")
        assert request.query["status"] == "pending"
        return web.json_response({"data": [], "next_cursor": {None: "1.ab", "1.ab": "2.ab"}.get(cursor)})

    seen: list[web.Request] = []
    async with answering(200, "", seen, answer) as url, Client(url) as client:
        assert [p async for p in client.every_prediction(PredictionsQuery(status="pending"))] == []


REFUSAL = '{"error":{"code":"bad_query","message":"expected days","hint":"see docs"}}'


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (422, REFUSAL, RequestRefused, "answered 422: expected days; see docs"),
        (404, "[]", RequestRefused, "answered 404: Not Found"),
        (302, "{}", RequestRefused, "answered 302"),
        (299, "{}", RequestRefused, "answered 299"),
        (200, "[]", MalformedMessage, "as /openapi.json says"),
        (200, "<html>", MalformedMessage, "expected JSON"),
        (503, REFUSAL, ServiceUnreachable, "answered 503"),
        (429, REFUSAL, ServiceUnreachable, "answered 429"),
    ],
)
async def test_what_is_no_answer_is_an_error_that_says_why(
    status: int, body: str, error: type[Exception], text: str
) -> None:
    async with answering(status, body, []) as url, Client(url) as client:
        with pytest.raises(error, match=text) as caught:
            await client.status()
    if body is REFUSAL and isinstance(caught.value, RequestRefused):
        assert caught.value.code == "bad_query"


async def test_where_nobody_answers_it_is_said() -> None:
    async with answering(200, "{}", []) as url:
        pass
    async with Client(url) as client:
        with pytest.raises(ServiceUnreachable, match="does the service run"):
            await client.status()


async def test_what_is_no_url_and_what_is_not_entered_is_said() -> None:
    with pytest.raises(ConfigError, match="expected a URL such as"):
        Client("localhost:8000")
    with pytest.raises(ConfigError, match="async with"):
        await Client().status()


@pytest.mark.parametrize(
    ("url", "alerts_url"),
    [
        ("http://localhost:8000", "ws://localhost:8000/ws"),
        ("https://whales.example/hydrophone/", "wss://whales.example/hydrophone/ws"),
    ],
)
def test_alerts_are_at_ws_of_the_same_url(url: str, alerts_url: str) -> None:
    assert Client(url)._alerts_url == alerts_url
