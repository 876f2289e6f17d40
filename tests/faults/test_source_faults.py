"""What a backend and the way to it can do wrong: the link hears again, and says what it may have missed."""

import asyncio
import gc
from collections.abc import Awaitable

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection

from hydrophone.domain.units import Txid
from hydrophone.runtime.frame import FrameKind
from hydrophone.sources import mempool_space, mempool_space_rest
from tests.backends import (
    HOST,
    Backend,
    Fetching,
    Script,
    await_subscriptions,
    blunt_server,
    fetching,
    free_port,
    listening,
    saying,
    settled,
    stay_silent,
    until,
)

TXID = Txid("ab" * 32)
UNDER_V1 = f"/api/v1/tx/{TXID}"


async def hello_then_close(connection: ServerConnection) -> None:
    await await_subscriptions(connection)
    await connection.send("hello")


async def hello_then_cut(connection: ServerConnection) -> None:
    """Break off without a close frame, as a backend that restarts does."""
    await await_subscriptions(connection)
    await connection.send("hello")
    connection.transport.abort()


async def freeze(connection: ServerConnection) -> None:
    """Read nothing any more: neither pings nor the close frame are answered."""
    await await_subscriptions(connection)
    connection.transport.pause_reading()
    await connection.wait_closed()


# The websocket.


@pytest.mark.parametrize("script", [hello_then_close, hello_then_cut])
async def test_a_connection_that_ends_is_opened_anew_and_subscribed_again(script: Script) -> None:
    async with Backend(script) as backend, listening(backend.url()) as ears:
        for _ in range(3):
            kinds = [frame.kind for frame in await ears.heard.take(5)]
            assert kinds == [
                FrameKind.OPENED,
                FrameKind.SENT,
                FrameKind.SENT,
                FrameKind.RECEIVED,
                FrameKind.CLOSED,
            ]
            await ears.pauses.skip()


async def test_the_frame_that_closes_says_why() -> None:
    async with Backend(hello_then_cut) as backend, listening(backend.url()) as ears:
        assert b"no close frame" in (await ears.heard.until(FrameKind.CLOSED)).payload


async def test_a_backend_that_comes_back_is_heard_again() -> None:
    async with Backend(saying("hello")) as backend, listening(backend.url()) as ears:
        await ears.heard.until(FrameKind.RECEIVED)
        await backend.stop()
        await ears.heard.until(FrameKind.CLOSED)
        for _ in range(3):  # nobody there
            await ears.pauses.skip()
        await ears.pauses.begun()
        assert len(ears.channel) == 0
        await backend.start()
        ears.pauses.end()
        frames = await ears.heard.take(4)
        assert [frame.kind for frame in frames[:3]] == [FrameKind.OPENED, FrameKind.SENT, FrameKind.SENT]
        assert frames[3].payload == b"hello"


async def test_pauses_grow_to_a_cap_never_in_step_and_begin_anew_after_a_success() -> None:
    async with Backend(hello_then_close) as backend:
        backend.refusal = 503
        async with listening(backend.url()) as ears:
            pauses = [await ears.pauses.skip() for _ in range(9)]
            for pause, ceiling in zip(pauses, [0.25, 0.5, 1, 2, 4, 4, 4, 4, 4], strict=True):
                assert ceiling / 2 <= pause <= ceiling
            assert len(set(pauses)) == 9
            await ears.pauses.begun()
            backend.refusal = None
            ears.pauses.end()
            await ears.heard.until(FrameKind.CLOSED)
            assert await ears.pauses.skip() <= 0.25


async def test_a_handshake_alone_is_no_success() -> None:
    async def close_at_once(connection: ServerConnection) -> None:
        await connection.close()

    async with Backend(close_at_once) as backend, listening(backend.url()) as ears:
        pauses = [await ears.pauses.skip() for _ in range(5)]
    assert pauses[4] >= 2


@pytest.mark.parametrize("status", [404, 503])
async def test_a_refused_handshake_is_tried_again(status: int) -> None:
    async with Backend(saying("hello")) as backend:
        backend.refusal = status
        async with listening(backend.url()) as ears:
            await ears.pauses.skip()
            await ears.pauses.begun()
            backend.refusal = None
            ears.pauses.end()
            assert (await ears.heard.next()).kind is FrameKind.OPENED
    assert len(backend.opened) == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x16\x03\x01 this is not HTTP\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://localhost/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n",
    ],
    ids=["nothing", "no HTTP", "no key", "redirect to a page", "a page", "endless"],
)
async def test_an_answer_that_is_no_handshake_is_tried_again(answer: bytes) -> None:
    async with blunt_server(answer) as address, listening(f"ws://{address}/") as ears:
        for _ in range(2):
            await ears.pauses.skip()
        assert len(ears.channel) == 0
        assert not ears.task.done()


async def test_a_server_that_never_answers_the_handshake_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mempool_space, "_OPEN_TIMEOUT_S", 0.05)
    async with blunt_server(None) as address, listening(f"ws://{address}/") as ears:
        await ears.pauses.begun()
        assert ears.link.connected_url is None


async def test_a_url_that_is_none_does_not_keep_the_next_from_being_heard() -> None:
    async with Backend(saying("hello")) as backend, listening("ws://", backend.url()) as ears:
        await ears.pauses.skip()
        assert (await ears.heard.until(FrameKind.RECEIVED)).payload == b"hello"


async def test_a_peer_that_stops_answering_pings_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mempool_space, "_PING_INTERVAL_S", 0.05)
    monkeypatch.setattr(mempool_space, "_CLOSE_TIMEOUT_S", 0.05)
    async with Backend(freeze) as backend, listening(backend.url()) as ears:
        closed = await ears.heard.until(FrameKind.CLOSED)
        assert closed.payload == b"no answer to a ping within 0.05 s"
        backend.script = saying("I am back")
        await ears.pauses.skip()
        assert (await ears.heard.until(FrameKind.RECEIVED)).payload == b"I am back"


async def test_a_silent_peer_that_answers_pings_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    pings = 0
    ping = ClientConnection.ping

    async def count_and_ping(connection: ClientConnection) -> Awaitable[float]:
        nonlocal pings
        pings += 1
        return await ping(connection)

    async def say_hello_after_three_pings(connection: ServerConnection) -> None:
        await until(lambda: pings == 3)
        await connection.send("hello")

    monkeypatch.setattr(mempool_space, "_PING_INTERVAL_S", 0.2)  # a busy machine needs so long for a pong
    monkeypatch.setattr(ClientConnection, "ping", count_and_ping)
    async with Backend(say_hello_after_three_pings) as backend, listening(backend.url()) as ears:
        kinds = [frame.kind for frame in await ears.heard.take(4)]
    assert kinds == [FrameKind.OPENED, FrameKind.SENT, FrameKind.SENT, FrameKind.RECEIVED]


async def test_a_frame_above_the_limit_ends_the_connection_not_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mempool_space, "MAX_FRAME_BYTES", 1_000)
    async with Backend(saying("x" * 1_001)) as backend, listening(backend.url()) as ears:
        assert b"1009" in (await ears.heard.until(FrameKind.CLOSED)).payload
        backend.script = saying("x" * 1_000)
        await ears.pauses.skip()
        assert len((await ears.heard.until(FrameKind.RECEIVED)).payload) == 1_000


async def test_a_full_channel_makes_the_peer_wait_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mempool_space, "_PING_INTERVAL_S", 0.05)
    now = asyncio.get_running_loop().time
    sent = 0
    messages, filling = 256, b"x" * (256 * 1024)  # 64 MiB: more than the buffers between hold

    async def pour(connection: ServerConnection) -> None:
        nonlocal sent
        for sent in range(1, messages + 1):
            await connection.send(b"%d %b" % (sent, filling))
        await connection.wait_closed()

    async with Backend(pour) as backend, listening(backend.url(), capacity=3) as ears:
        await until(lambda: sent > 0)
        assert await settled(lambda: sent) < messages
        later = now() + 0.2
        await until(lambda: now() > later)  # twice as long as a peer may be silent: but it is not
        monkeypatch.undo()
        heard = [
            int((await ears.heard.until(FrameKind.RECEIVED)).payload.partition(b" ")[0])
            for _ in range(messages)
        ]
    assert heard == list(range(1, messages + 1))
    assert ears.channel.high_water == 3


async def test_cancelling_says_goodbye_to_the_peer() -> None:
    farewell: asyncio.Queue[int | None] = asyncio.Queue()

    async def listen(connection: ServerConnection) -> None:
        await connection.wait_closed()
        farewell.put_nowait(connection.close_code)

    async with Backend(listen) as backend:
        async with listening(backend.url()):
            pass
        assert await farewell.get() in (1000, 1001, 1011)  # and not 1006: no close frame


@pytest.mark.parametrize("script", [stay_silent, freeze, saying("a", "b", "c", "d")])
async def test_cancelling_waits_for_nobody(monkeypatch: pytest.MonkeyPatch, script: Script) -> None:
    monkeypatch.setattr(mempool_space, "_CLOSE_TIMEOUT_S", 0.05)
    async with Backend(script) as backend, listening(backend.url(), capacity=4) as ears:
        await settled(lambda: len(ears.channel))
        ears.task.cancel()
        await asyncio.wait({ears.task})
        assert ears.task.cancelled()


async def test_cancelling_is_possible_in_a_pause_and_in_a_handshake() -> None:
    async with blunt_server(None) as silent:
        for pauses_skipped in (0, 1):
            async with listening(f"ws://{HOST}:{await free_port()}/", f"ws://{silent}/") as ears:
                for _ in range(pauses_skipped):
                    await ears.pauses.skip()
                await settled(lambda: len(ears.channel))
                ears.task.cancel()
                await asyncio.wait({ears.task})
                assert ears.task.cancelled()


# REST.


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_backend_in_trouble_is_asked_three_times_with_growing_pauses(status: int) -> None:
    async with Backend() as backend, fetching(backend.url()) as asking:
        backend.answers[UNDER_V1] = [(status, b"not now")]
        asking.begin(TXID)
        assert [await asking.pauses.skip() for _ in range(2)] == [0.2, 0.4]
        answer = await asking.answers.next()
    assert (answer.kind, answer.path, answer.status) == (FrameKind.ANSWERED, UNDER_V1, status)
    assert answer.payload == b"not now"
    assert backend.asked == [UNDER_V1] * 3


async def test_a_backend_that_recovers_is_believed() -> None:
    async with Backend() as backend, fetching(backend.url()) as asking:
        backend.answers[UNDER_V1] = [(503, b""), (200, b"{}"), (500, b"never asked")]
        asking.begin(TXID)
        await asking.pauses.skip()
        assert (await asking.answers.next()).status == 200
    assert len(backend.asked) == 2


async def ask_in_vain(asking: Fetching) -> bytes:
    """Return why no answer came to a look-up that was tried three times."""
    asking.begin(TXID)
    for _ in range(2):
        await asking.pauses.skip()
    answer = await asking.answers.next()
    assert (answer.kind, answer.status) == (FrameKind.ANSWERED, 0)
    return answer.payload


async def test_a_refused_connection_ends_in_an_answer_that_says_so() -> None:
    port = await free_port()
    async with fetching(f"ws://{HOST}:{port}/") as asking:
        assert f"no answer from http://{HOST}:{port}".encode() in await ask_in_vain(asking)


async def test_an_answer_that_does_not_come_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mempool_space_rest.REST_TIMEOUT_S == 3
    monkeypatch.setattr(mempool_space_rest, "REST_TIMEOUT_S", 0.05)
    async with Backend() as backend, fetching(backend.url()) as asking:
        backend.is_answering.clear()
        assert b"within 0.05 s" in await ask_in_vain(asking)


@pytest.mark.parametrize(
    "answer",
    [b"", b"no HTTP\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of i"],
    ids=["nothing", "no HTTP", "cut"],
)
async def test_an_answer_that_is_broken_is_none(answer: bytes) -> None:
    async with blunt_server(answer) as address, fetching(base_url=f"http://{address}") as asking:
        assert b"no answer from" in await ask_in_vain(asking)


async def test_answers_wait_while_the_channel_is_full() -> None:
    txids = [Txid(f"{number:064x}") for number in range(30)]
    async with Backend() as backend, fetching(backend.url(), capacity=1) as asking:
        for txid in txids:
            asking.begin(txid)
        await until(lambda: len(backend.asked) == 60)  # under both prefixes: no look-up waits for the channel
        answers = await asking.answers.take(30)
    assert {answer.path[-64:] for answer in answers} == set(txids)
    assert asking.channel.high_water == 1


async def test_cancelling_leaves_no_look_up_behind_and_later_ones_are_refused() -> None:
    before = asyncio.all_tasks()
    async with Backend() as backend:
        backend.is_answering.clear()
        async with fetching(backend.url()) as asking:
            for number in range(20):
                asking.begin(Txid(f"{number:064x}"))
            await until(lambda: backend.waiting == 8)
            asking.task.cancel()
            await asyncio.wait({asking.task})
            assert asking.task.cancelled()
            asking.begin(TXID)
            assert asking.asker.refused_count == 1
            assert not any(task.get_name() == "AboutTransaction" for task in asyncio.all_tasks())
    assert asyncio.all_tasks() == before
    assert len(asking.channel) == 0
    gc.collect()  # an unclosed session would warn now, and a warning is an error


async def test_what_is_for_the_caller_alone_is_given_up_when_nothing_is_asked_any_more() -> None:
    async with Backend() as backend, fetching(backend.url()) as asking:
        backend.is_answering.clear()
        under_way = asyncio.create_task(asking.asker.fetch("/api/v1/prices"))
        await until(lambda: len(backend.asked) == 1)
        for number in range(mempool_space_rest.REST_CONCURRENCY - 1):
            asking.begin(Txid(f"{number:064x}"))
        await until(lambda: len(backend.asked) == mempool_space_rest.REST_CONCURRENCY)
        waits = asyncio.create_task(asking.asker.fetch("/api/v1/prices"))
        await settled(lambda: len(backend.asked))
        asking.task.cancel()
        assert [status for status, _ in await asyncio.gather(under_way, waits)] == [0, 0]
