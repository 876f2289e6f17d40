import asyncio
import json

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidURI

from hydrophone.domain.questions import AboutProjected
from hydrophone.domain.units import Txid
from hydrophone.errors import SourceRejected
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.sources import mempool_space
from hydrophone.sources.mempool_space import describe, hear, probe
from hydrophone.sources.mempool_space_rest import RestAsker, rest_base_of
from hydrophone.wire.mempool_space import SIMULATED_HEADER, SUBSCRIPTIONS, subscription_of
from tests.backends import (
    HOST,
    SOURCE,
    Backend,
    Listening,
    await_subscriptions,
    fetching,
    free_port,
    listening,
    saying,
    settled,
    until,
)

TXID = Txid("ab" * 32)
UNDER_V1 = f"/api/v1/tx/{TXID}"
UNDER_API = f"/api/tx/{TXID}"
EACH_WITH_ITS_OWN = [Txid(f"{number:064x}") for number in range(600)]


async def received(listening_link: Listening) -> bytes:
    return (await listening_link.heard.until(FrameKind.RECEIVED)).payload


# The websocket.


@pytest.mark.parametrize("path", ["/api/v1/ws", "/ws/track-mempool-tx"])
async def test_it_subscribes_as_the_protocol_wants_whatever_the_path(path: str) -> None:
    subscribed: asyncio.Queue[list[str | bytes]] = asyncio.Queue()

    async def listen(connection: ServerConnection) -> None:
        subscribed.put_nowait(await await_subscriptions(connection))

    async with Backend(listen) as backend, listening(backend.url(path)):
        messages = await subscribed.get()
    assert backend.opened == [path]
    assert all(isinstance(message, str) for message in messages)
    assert [json.loads(message) for message in messages] == [
        {"action": "want", "data": ["blocks", "mempool-blocks", "stats"]},
        {"track-mempool": True},
    ]


async def test_everything_that_happens_on_a_connection_becomes_a_frame_in_order() -> None:
    async def say_two_and_close(connection: ServerConnection) -> None:
        await await_subscriptions(connection)
        await connection.send("one")
        await connection.send("two")

    async with Backend(say_two_and_close) as backend, listening(backend.url()) as ears:
        frames = await ears.heard.take(6)
    assert [(frame.kind, frame.payload) for frame in frames[:5]] == [
        (FrameKind.OPENED, backend.url().encode()),
        (FrameKind.SENT, b'{"action":"want","data":["blocks","mempool-blocks","stats"]}'),
        (FrameKind.SENT, b'{"track-mempool":true}'),
        (FrameKind.RECEIVED, b"one"),
        (FrameKind.RECEIVED, b"two"),
    ]
    assert frames[5].kind is FrameKind.CLOSED
    assert b"1000" in frames[5].payload
    assert [frame.at for frame in frames] == [1, 2, 3, 4, 5, 6]
    assert {frame.source for frame in frames} == {SOURCE}


async def test_bytes_are_passed_on_as_they_came_even_those_that_are_no_text() -> None:
    async def say_nonsense(connection: ServerConnection) -> None:
        await connection.send(b"\xff\xfe", text=True)
        await connection.send(b"\x00binary")
        await connection.send([b'{"frag', b'ments":1}'])
        await connection.wait_closed()

    async with Backend(say_nonsense) as backend, listening(backend.url()) as ears:
        payloads = [await received(ears) for _ in range(3)]
    assert payloads == [b"\xff\xfe", b"\x00binary", b'{"fragments":1}']


async def test_a_whole_mempool_in_one_frame_arrives() -> None:
    mempool = b"x" * (20 * 1024 * 1024)
    async with Backend(saying(mempool, b"next")) as backend, listening(backend.url()) as ears:
        assert await received(ears) == mempool
        assert await received(ears) == b"next"


@pytest.mark.parametrize(("headers", "is_simulated"), [({SIMULATED_HEADER.lower(): "1"}, True), ({}, False)])
async def test_a_simulation_is_noticed_by_its_header(headers: dict[str, str], is_simulated: bool) -> None:
    async with Backend(saying("hello"), headers=headers) as backend, listening(backend.url()) as ears:
        opened, *others = await ears.heard.take(4)
    assert opened.is_simulated is is_simulated
    assert not any(frame.is_simulated for frame in others)


async def test_it_knows_where_it_is_connected_and_when_it_is_not() -> None:
    async def close_when_told(connection: ServerConnection) -> None:
        await may_close.wait()

    may_close = asyncio.Event()
    async with Backend(close_when_told) as backend, listening(backend.url()) as ears:
        assert ears.link.connected_url == backend.url()
        may_close.set()
        await ears.heard.until(FrameKind.CLOSED)
        assert ears.link.connected_url is None


async def test_the_second_url_is_used_when_the_first_is_down() -> None:
    nobody = f"ws://127.0.0.1:{await free_port()}/api/v1/ws"
    async with Backend(saying("hello")) as backend, listening(nobody, backend.url()) as ears:
        await ears.pauses.skip()
        opened = await ears.heard.next()
        assert (opened.kind, opened.payload) == (FrameKind.OPENED, backend.url().encode())
        assert await received(ears) == b"hello"


async def test_the_url_that_worked_is_tried_first_again_then_the_others_in_turn() -> None:
    async with Backend() as first, Backend(saying("I am the second")) as second:
        first.refusal = 503
        async with listening(first.url(), second.url()) as ears:
            await ears.pauses.skip()
            await received(ears)
            await second.stop()
            await ears.heard.until(FrameKind.CLOSED)
            await second.start()
            await ears.pauses.skip()
            assert (await ears.heard.until(FrameKind.OPENED)).payload == second.url().encode()
            assert len(first.opened) == 1

            first.refusal = None
            await second.stop()
            await ears.heard.until(FrameKind.CLOSED)
            await ears.pauses.skip()  # the second is asked first
            await ears.pauses.skip()  # and refuses: on to the first
            assert (await ears.heard.until(FrameKind.OPENED)).payload == first.url().encode()


async def test_it_is_ready_after_a_failed_first_attempt_too() -> None:
    async with listening(f"ws://127.0.0.1:{await free_port()}/") as ears:  # entered when it is ready
        assert ears.link.connected_url is None
        assert len(ears.channel) == 0


# Asking REST for prevouts.


async def test_the_answer_to_a_look_up_becomes_a_frame() -> None:
    async with Backend() as backend, fetching(backend.url()) as asking:
        backend.answers[UNDER_V1] = [(200, b'{"txid":"..."}')]
        assert await asking.ask(TXID) == Frame(
            at=1,
            source=SOURCE,
            kind=FrameKind.ANSWERED,
            payload=b'{"txid":"..."}',
            path=UNDER_V1,
            status=200,
        )
    assert backend.asked == [UNDER_V1]


async def test_the_prefix_that_answers_is_found_and_remembered() -> None:
    other = Txid("cd" * 32)
    async with Backend() as backend, fetching(backend.url()) as asking:
        backend.answers[UNDER_API] = [(200, b"{}")]
        backend.answers[f"/api/tx/{other}"] = [(200, b"{}")]
        first, second = await asking.ask(TXID), await asking.ask(other)
    assert backend.asked == [UNDER_V1, UNDER_API, f"/api/tx/{other}"]
    assert (first.path, first.status) == (UNDER_API, 200)
    assert (second.path, second.status) == (f"/api/tx/{other}", 200)


async def test_a_remembered_prefix_gives_way_when_the_other_answers_again() -> None:
    async with Backend() as backend, fetching(backend.url()) as asking:
        backend.answers[UNDER_API] = [(200, b"{}")]
        await asking.ask(TXID)
        backend.answers = {UNDER_V1: [(200, b"{}")], UNDER_API: [(404, b"<html>Cannot GET</html>")]}
        assert (await asking.ask(TXID)).path == UNDER_V1
        backend.asked.clear()
        assert (await asking.ask(TXID)).path == UNDER_V1
        assert backend.asked == [UNDER_V1]


async def test_a_transaction_nobody_knows_is_answered_with_404_and_not_asked_again() -> None:
    async with Backend() as backend, fetching(backend.url()) as asking:
        answer = await asking.ask(TXID)
    assert (answer.kind, answer.status, answer.payload) == (FrameKind.ANSWERED, 404, b"Transaction not found")
    assert answer.path == UNDER_V1
    assert backend.asked == [UNDER_V1, UNDER_API]


async def test_a_404_of_a_backend_counts_more_than_that_of_a_server_without_the_route() -> None:
    async with Backend() as backend, fetching(backend.url()) as asking:
        backend.answers[UNDER_V1] = [(404, b"<html>Cannot GET</html>")]
        answer = await asking.ask(TXID)
    assert (answer.path, answer.payload) == (UNDER_API, b"Transaction not found")


async def test_what_is_no_event_is_answered_to_who_asks_alone() -> None:
    async with Backend() as backend, fetching(backend.url()) as asking:
        backend.answers["/api/v1/prices"] = [(503, b"later"), (200, b"{}")]
        assert await asking.asker.fetch("/api/v1/prices") == (503, b"later")
        assert await asking.asker.fetch("/api/v1/prices") == (200, b"{}")
        assert len(asking.channel) == 0
    assert await asking.asker.fetch("/api/v1/prices") == (0, b"nothing is asked now")
    assert backend.asked == ["/api/v1/prices"] * 2


async def test_what_is_asked_by_the_websocket_is_sent_and_recorded() -> None:
    async with Backend() as backend, listening(backend.url()) as ears:
        await ears.heard.take(1 + len(SUBSCRIPTIONS))
        await ears.link.send(subscription_of(AboutProjected(3)))
        sent = await ears.heard.next()
    assert (sent.kind, sent.payload) == (FrameKind.SENT, b'{"track-mempool-block":3}')


async def test_what_is_sent_while_nobody_is_connected_is_lost_without_harm() -> None:
    async with listening(f"ws://127.0.0.1:{await free_port()}/") as ears:
        await ears.link.send(subscription_of(AboutProjected(3)))
        assert len(ears.channel) == 0


async def test_a_refusal_that_asking_again_cannot_change_is_not_asked_again() -> None:
    async with Backend() as backend, fetching(backend.url()) as asking:
        backend.answers[UNDER_V1] = [(400, b"Invalid txid")]
        answer = await asking.ask(TXID)
    assert (answer.status, answer.payload) == (400, b"Invalid txid")
    assert backend.asked == [UNDER_V1]


async def test_a_base_url_that_is_set_is_asked_instead_of_the_link_s_backend() -> None:
    async with Backend() as backend, Backend() as elsewhere:
        elsewhere.answers[UNDER_V1] = [(200, b"{}")]
        async with fetching(backend.url(), base_url=elsewhere.base_url) as asking:
            assert (await asking.ask(TXID)).status == 200
    assert backend.asked == []


async def test_no_more_than_eight_are_asked_at_once_and_all_are_answered() -> None:
    async with Backend() as backend, fetching(backend.url()) as asking:
        backend.is_answering.clear()
        for txid in EACH_WITH_ITS_OWN[:50]:
            backend.answers[f"/api/v1/tx/{txid}"] = [(200, b"{}")]
            asking.begin(txid)
        await until(lambda: backend.waiting >= 8)
        assert await settled(lambda: backend.waiting) == 8
        backend.is_answering.set()
        answers = await asking.answers.take(50)
    assert backend.most_waiting == 8
    assert {frame.path for frame in answers} == {f"/api/v1/tx/{txid}" for txid in EACH_WITH_ITS_OWN[:50]}
    assert asking.asker.refused_count == 0


async def test_beyond_the_backlog_nothing_is_asked_and_it_is_counted() -> None:
    async with Backend() as backend, fetching(backend.url()) as asking:
        backend.is_answering.clear()
        for txid in EACH_WITH_ITS_OWN:
            backend.answers[f"/api/v1/tx/{txid}"] = [(200, b"{}")]
            asking.begin(txid)
        assert asking.asker.refused_count == 100
        backend.is_answering.set()
        answers = await asking.answers.take(500)
        asking.begin(TXID)  # there is room again
        assert (await asking.answers.next()).path.endswith(TXID)
    assert {frame.path[-64:] for frame in answers} == set(EACH_WITH_ITS_OWN[:500])
    assert asking.asker.refused_count == 100


async def test_a_bug_in_a_look_up_ends_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_self: RestAsker, _path: str) -> tuple[int, bytes]:
        raise ZeroDivisionError

    monkeypatch.setattr(RestAsker, "_get", fail)

    async def ask() -> None:
        async with fetching() as asking:
            asking.begin(TXID)
            await asyncio.wait({asking.task})

    with pytest.raises(ZeroDivisionError):
        await ask()


@pytest.mark.parametrize(
    ("websocket_url", "base_url"),
    [
        ("ws://localhost:8999/api/v1/ws", "http://localhost:8999"),
        ("ws://localhost:8999/ws/track-mempool-tx", "http://localhost:8999"),
        ("wss://mempool.space/api/v1/ws", "https://mempool.space"),
        ("wss://mempool.space/signet/api/v1/ws", "https://mempool.space/signet"),
        ("ws://[::1]:8999/api/v1/ws?since=1#top", "http://[::1]:8999"),
        ("ws://localhost", "http://localhost"),
    ],
)
def test_rest_is_where_the_websocket_is(websocket_url: str, base_url: str) -> None:
    assert rest_base_of(websocket_url) == base_url


# Trying whether somebody is there.


async def test_probing_a_live_backend_finds_nothing_wrong() -> None:
    async with Backend() as backend:
        assert await probe(backend.url()) is None


async def test_probing_says_why_a_backend_cannot_be_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Backend() as backend:
        backend.refusal = 503
        assert "503" in str(await probe(backend.url()))
    assert "Connection refused" in str(await probe(f"ws://127.0.0.1:{await free_port()}/"))
    assert "isn't a valid URI" in str(await probe("http://localhost:8999"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("ws_proxy", "no proxy")
    assert "isn't a valid proxy" in str(await probe("ws://mempool.example/api/v1/ws"))


async def test_a_proxy_of_the_environment_is_not_asked_for_what_is_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ws_proxy", f"http://{HOST}:{await free_port()}")
    async with Backend(saying("hello")) as backend, listening(backend.url()) as ears:
        assert await received(ears) == b"hello"


def test_frames_of_a_mempool_of_forty_thousand_fit() -> None:
    assert mempool_space.MAX_FRAME_BYTES > 40_000 * 1_500


@pytest.mark.parametrize(
    ("variable", "proxy"), [("socks_proxy", "socks5h://127.0.0.1:9050"), ("https_proxy", "http://h:99999")]
)
async def test_a_proxy_we_do_not_speak_is_refused_with_a_remedy(
    variable: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, proxy)
    assert "no_proxy" in str(await probe("wss://whales.invalid/api/v1/ws"))


async def test_an_answer_larger_than_any_transaction_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hydrophone.sources.mempool_space_rest._MAX_ANSWER_BYTES", 1_000)
    async with Backend() as backend, fetching(backend.url()) as asking:
        backend.answers[UNDER_V1] = [(200, b"x" * 2_000)]
        frame = await asking.ask(TXID)
    assert (frame.status, frame.payload) == (413, b"more than 1000 bytes")


def test_why_a_peer_was_not_reached_names_no_password() -> None:
    error = InvalidURI("ws://bob:secret@h/#part", "fragment identifier is meaningless")
    assert "ws://***@h/#part" in describe(error)
    assert "secret" not in describe(error)


async def test_a_proxy_that_cannot_be_used_is_told_of_without_a_password() -> None:
    with pytest.raises(SourceRejected, match=r"cannot reach ws://\*\*\*@h:99999/") as caught:
        await hear("ws://bob:secret@h:99999/", open_timeout_s=1, listen_s=1, enough=lambda _: True)
    assert "secret" not in str(caught.value)
