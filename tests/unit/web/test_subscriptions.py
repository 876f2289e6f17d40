"""Subscribing and resuming on real sockets; the rules themselves are tested with the session."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from hydrophone.domain.units import UnixMicros
from hydrophone.errors import StoreClosed
from hydrophone.web import journal, live
from hydrophone.web.live import AlertServer, OpenToThisMachine
from hydrophone.wire.socket_v1 import FiltersV1
from tests.backends import running
from tests.said import MemoryRecord, alert, facts, notice, seqs_in, update

make_server = partial(
    AlertServer, "127.0.0.1", port=0, greeting=lambda: None, clock=lambda: UnixMicros(0), now=lambda: 0.0
)


@asynccontextmanager
async def joined(server: AlertServer) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{server.port}/") as client:
        yield client


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # of things that have no event
            await asyncio.sleep(0)


async def ask(client: ClientConnection, **said: Any) -> dict[str, Any]:  # noqa: ANN401
    """Say something, and return the answer to it: what comes before that has a seq."""
    await client.send(json.dumps(said))
    while True:
        answer: dict[str, Any] = json.loads(await client.recv())
        if "seq" not in answer:
            return answer


async def receive(client: ClientConnection, count: int) -> list[int]:
    return seqs_in([await client.recv() for _ in range(count)])


def alerts(first: int, last: int) -> list[bytes]:
    return [alert(seq, facts(f"p{seq}", btc=100.0 * seq)) for seq in range(first, last + 1)]


async def test_a_filter_lets_through_what_meets_it_and_what_follows_of_it() -> None:
    server = make_server()
    async with running(server.run), joined(server) as choosy, joined(server) as greedy:
        answer = await ask(choosy, type="subscribe", id=1, filters={"min_btc_value": 250})
        assert answer["type"] == "subscribed"
        await ask(greedy, type="ping")
        await server.publish(*alerts(1, 3))
        await server.publish(update(4, "p1"), update(5, "p3"))
        await server.publish(notice())
        assert await receive(greedy, 6) == [1, 2, 3, 4, 5]
        assert await receive(choosy, 3) == [3, 5]


async def test_clients_that_ask_for_the_same_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    server = make_server()
    async with (
        running(server.run),
        joined(server) as first,
        joined(server) as second,
        joined(server) as third,
    ):
        await ask(first, type="subscribe", filters={"exchanges": ["HTX"]})
        await ask(second, type="subscribe", filters={"exchanges": ["Huobi"], "min_btc_value": 0})
        await ask(third, type="subscribe")
        assert sorted(len(clients) for clients in server._room.groups.values()) == [1, 2]
        decided = []
        monkeypatch.setattr(live, "is_for", lambda filters, _: decided.append(filters))
        await server.publish(alert(1))
        assert len(decided) == 2


async def test_groups_are_forgotten_with_their_last_client() -> None:
    server = make_server()
    async with running(server.run):
        async with joined(server) as client:
            await ask(client, type="subscribe", filters={"min_btc_value": 250})
            await ask(client, type="subscribe", filters={"min_btc_value": 500})
            assert len(server._room.groups) == 1
        await until(lambda: server.client_count == 0)
        assert server._room.groups == {}


async def test_whoever_unsubscribed_hears_only_whether_the_mempool_is_heard() -> None:
    server = make_server()
    async with running(server.run), joined(server) as client:
        assert (await ask(client, type="unsubscribe", id="x"))["data"] == {"id": "x"}
        await server.publish(alert(1), notice("still here"))
        assert json.loads(await client.recv())["data"]["message"] == "still here"


@pytest.mark.parametrize("tail", [4, 100])
async def test_a_client_resumes_from_memory_and_from_the_record(tail: int) -> None:
    record = MemoryRecord(alerts(1, 300))
    server = make_server(record=record, last_seq=250, tail=tail)
    async with running(server.run), joined(server) as client:
        reads = record.reads
        await server.publish(*alerts(251, 260))
        answer = await ask(client, type="subscribe", since=200)
        assert (answer["type"], answer["data"]["seq"]) == ("subscribed", 260)
        assert await receive(client, 60) == list(range(201, 261))
        assert (record.reads > reads) == (tail == 4)
        await server.publish(*alerts(261, 262))
        assert await receive(client, 2) == [261, 262]


async def test_a_tail_that_is_let_go_while_clients_resume_costs_nobody_an_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal, "_TAIL_SHORT", 8)
    record = MemoryRecord(alerts(1, 1_500))
    server = make_server(record=record, last_seq=1_200, tail=1_000)
    async with running(server.run), joined(server) as early, joined(server) as late:
        assert server.kept["entries"] == 1_000
        await ask(early, type="subscribe", since=250)
        reads = record.reads
        assert server.shrink() >= 992
        assert server.kept["entries"] == 8
        await ask(late, type="subscribe", since=600)
        await server.publish(*alerts(1_201, 1_210))
        assert await receive(early, 960) == list(range(251, 1_211))
        assert await receive(late, 610) == list(range(601, 1_211))
        assert record.reads > reads, "what was let go was read from the record"
        server.grow()
        await server.publish(*alerts(1_211, 1_260))
        assert await receive(late, 50) == list(range(1_211, 1_261))
        assert server.kept["entries"] == 58


async def test_what_is_published_while_a_client_catches_up_comes_after_that() -> None:
    messages = alerts(1, 2_000)
    record = MemoryRecord(messages)
    server = make_server(record=record, last_seq=1_000, tail=16)
    async with running(server.run), joined(server) as client:
        await ask(client, type="subscribe", since=0)

        async def publish() -> None:
            for message in messages[1_000:]:
                await server.publish(message)

        publishing = asyncio.create_task(publish())
        assert await receive(client, 2_000) == list(range(1, 2_001))
        await publishing


async def test_a_client_that_catches_up_slowly_loses_nothing_and_holds_little() -> None:
    messages = alerts(1, 3_000)
    server = make_server(record=MemoryRecord(messages), last_seq=3_000, tail=16, backlog=4)
    async with running(server.run), joined(server) as client:
        await until(lambda: server.client_count == 1)
        [ours] = server._room.clients
        client.transport.pause_reading()
        await client.send(json.dumps({"type": "subscribe", "since": 0}))
        await until(lambda: ours.paused)
        assert ours.transport.get_write_buffer_size() < 2 * 65_536 + 10_000
        await server.publish(alert(3_001, facts("p3001")))
        assert not ours.backlog
        client.transport.resume_reading()
        assert await receive(client, 3_002) == list(range(1, 3_002))
        assert server.counters.dropped == 0


async def test_a_new_subscription_takes_the_place_of_one_that_catches_up() -> None:
    server = make_server(record=MemoryRecord(alerts(1, 500)), last_seq=500, tail=16)
    async with running(server.run), joined(server) as client:
        await client.send(json.dumps({"type": "subscribe", "id": 1, "since": 0}))
        await client.send(json.dumps({"type": "subscribe", "id": 2, "since": 490}))
        while (said := json.loads(await client.recv())).get("data", {}).get("id") != 2:
            assert said.get("seq", 0) <= 500
        assert await receive(client, 10) == list(range(491, 501))


async def test_a_record_that_cannot_be_read_now_asks_for_a_resync() -> None:
    record = MemoryRecord(alerts(1, 50))
    server = make_server(record=record, last_seq=50, tail=4)
    async with running(server.run), joined(server) as client:
        record.error = StoreClosed("closed")
        assert (await ask(client, type="subscribe", since=1))["type"] == "subscribed"
        resync = json.loads(await client.recv())
        assert resync["data"] == {"id": None, "reason": "unavailable", "since": 1, "seq": 50}
        await server.publish(alert(51, facts("q")))
        assert await receive(client, 1) == [51]


async def test_a_bug_in_the_reading_of_the_record_ends_the_service() -> None:
    record = MemoryRecord(alerts(1, 50))
    server = make_server(record=record, last_seq=50, tail=4)
    with pytest.raises(LookupError, match="a bug"):  # noqa: PT012 -- it is raised again at the end of the context
        async with running(server.run) as task, joined(server) as client:
            record.error = LookupError("a bug")
            await client.send('{"type":"subscribe","since":1}')
            await task


async def test_a_client_that_leaves_while_it_catches_up_is_forgotten() -> None:
    server = make_server(record=MemoryRecord(alerts(1, 3_000)), last_seq=3_000, tail=16)
    async with running(server.run):
        async with joined(server) as client:
            await client.send('{"type":"subscribe","since":0}')
            await client.recv()
            client.transport.abort()
        await until(lambda: server.client_count == 0)
        await server.publish(alert(3_001))
        assert len(asyncio.all_tasks()) <= 3


@pytest.mark.parametrize("tail", [2, 4])
async def test_after_a_restart_a_filter_still_knows_what_has_ended(tail: int) -> None:
    """The last entries are in memory, their alerts are not."""
    small, large = facts("small", btc=1.0), facts("large", btc=1e6)
    messages = [alert(1, small), alert(2, large), *alerts(3, 40), update(41, "small"), update(42, "large")]
    server = make_server(record=MemoryRecord(messages), last_seq=42, tail=tail)
    async with running(server.run), joined(server) as client:
        await ask(client, type="subscribe", filters={"min_btc_value": 1e5}, since=40)
        assert await receive(client, 1) == [42]
        await server.publish(update(43, "small", "reorged"), update(44, "large", "reorged"))
        assert await receive(client, 1) == [44]


# --- tokens


class GoodTokens(OpenToThisMachine):
    """Lets in who shows the good token."""

    def refuse_token(self, token: str | None, _headers: Headers, peer: str) -> str | None:
        assert peer == "127.0.0.1"
        return None if token == "good" else "expected a good token"


async def test_where_tokens_are_needed_a_header_opens() -> None:
    server = make_server(admission=GoodTokens(), greeting=notice)
    async with running(server.run):
        headers = {"Authorization": "Bearer good"}
        async with connect(f"ws://127.0.0.1:{server.port}/", additional_headers=headers) as client:
            assert json.loads(await client.recv())["type"] == "connection"
            await server.publish(alert(1))
            assert await receive(client, 1) == [1]


@pytest.mark.parametrize("header", ["Bearer bad", "Basic good", "good", "Bearer"])
async def test_a_bad_header_is_refused_with_401_and_not_repeated(header: str) -> None:
    server = make_server(admission=GoodTokens())
    async with running(server.run):
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://127.0.0.1:{server.port}/", additional_headers={"Authorization": header})
    assert refused.value.response.status_code == 401
    assert refused.value.response.headers["WWW-Authenticate"] == "Bearer"
    assert header.rsplit(maxsplit=1)[-1] not in (refused.value.response.body or b"").decode().split()


async def test_without_a_header_the_first_message_opens_and_nothing_is_said_before() -> None:
    server = make_server(admission=GoodTokens(), greeting=notice)
    async with running(server.run), joined(server) as client:
        await server.publish(alert(1))
        assert server.client_count == 0
        assert (await ask(client, type="authenticate", token="good"))["type"] == "authenticated"
        assert json.loads(await client.recv())["type"] == "connection"
        await server.publish(alert(2))
        assert await receive(client, 1) == [2]


@pytest.mark.parametrize(
    "first", ['{"type":"authenticate","token":"bad"}', '{"type":"ping"}', "no json", '{"type":"subscribe"}']
)
async def test_any_other_first_message_is_answered_and_closed_with_1008(first: str) -> None:
    server = make_server(admission=GoodTokens())
    async with running(server.run), joined(server) as client:
        await client.send(first)
        assert json.loads(await client.recv())["data"]["code"] == "unauthorized"
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert server.client_count == 0


async def test_who_says_nothing_where_a_token_is_needed_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_INTRODUCTION_S", 0.0)
    server = make_server(admission=GoodTokens())
    async with running(server.run), joined(server) as client:
        assert json.loads(await client.recv())["data"]["code"] == "unauthorized"


async def test_where_no_token_is_needed_one_does_no_harm() -> None:
    server = make_server()
    async with running(server.run):
        headers = {"Authorization": "Bearer anything"}
        async with connect(f"ws://127.0.0.1:{server.port}/", additional_headers=headers) as client:
            assert (await ask(client, type="authenticate", token="anything"))["type"] == "authenticated"


# --- the same on another port


class OtherServer(asyncio.Protocol):
    """An HTTP server of another make, which hands over who asks for alerts."""

    def __init__(self, alerts: AlertServer) -> None:
        self._alerts = alerts
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if not self._alerts.is_asked(data) or not self._alerts.adopt(self._transport, data):
            self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


@asynccontextmanager
async def other_server(alerts: AlertServer) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: OtherServer(alerts), "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_client_of_another_server_is_adopted_and_served_as_all_are() -> None:
    server = make_server(record=MemoryRecord(alerts(1, 5)), last_seq=5, admission=GoodTokens())
    async with other_server(server) as url:
        with pytest.raises(InvalidStatus):
            await connect(f"{url}/ws")  # nothing runs yet
        async with running(server.run):
            async with connect(
                f"{url}/ws?x=1", additional_headers={"Authorization": "Bearer good"}
            ) as client:
                await ask(client, type="subscribe", since=2)
                await server.publish(*alerts(6, 7))
                assert await receive(client, 5) == [3, 4, 5, 6, 7]
                assert server.client_count == 1
            await until(lambda: server.client_count == 0)
            for path, origin, code in (("/wss", None, 404), ("/ws", "http://evil.example", 403)):
                with pytest.raises(InvalidStatus) as refused:
                    await connect(url + path, origin=None if origin is None else Origin(origin))
                assert refused.value.response.status_code == code
            client = await connect(f"{url}/ws", additional_headers={"Authorization": "Bearer good"})
            await until(lambda: server.client_count == 1)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001


async def test_many_filters_that_let_nothing_through_do_not_hold_others_up() -> None:
    server = make_server()
    server._room.groups.update({FiltersV1(min_btc_value=1e6 + n): set() for n in range(1_000)})
    publishing = asyncio.create_task(server.publish(alert(1)))
    turns = 0
    while not publishing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 4
