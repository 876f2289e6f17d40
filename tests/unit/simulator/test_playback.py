import asyncio
import gzip
import itertools
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from hydrophone.domain.events import BlockConnected, Event, GapFound, TransactionSeen
from hydrophone.domain.units import SATS_PER_BTC, Sats
from hydrophone.errors import ConfigError
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.simulator.playback import PlaybackServer, Rounds
from hydrophone.wire.mempool_space import SIMULATED_HEADER, MempoolSpaceDecoder
from hydrophone.wire.quarantine import Quarantine
from hydrophone.wire.recording import parse_recorded_frame
from tests.backends import HOST, Pauses, running
from tests.recorded import load_excerpt

SUBSCRIPTION = '{"track-mempool":true}'
TX, BLOCK, PARENT = "aa" * 32, "bb" * 32, "cc" * 32
RECORDINGS = Path(__file__).parents[2] / "recordings"


def load_recording() -> list[Frame]:
    """Return a recording of a backend that sends no prevouts; it has a reorg that nobody announced."""
    lines = gzip.decompress((RECORDINGS / "mempool-none.jsonl.gz").read_bytes()).splitlines()
    return [parse_recorded_frame(line, "s").frame for line in lines]


def received(at: int, document: object) -> Frame:
    text = document if isinstance(document, bytes) else json.dumps(document, separators=(",", ":")).encode()
    return Frame(at, "s", FrameKind.RECEIVED, text)


def answered(path: str, status: int, body: bytes) -> Frame:
    return Frame(1, "s", FrameKind.ANSWERED, body, path, status)


def play(frames: Sequence[Frame], rounds: int) -> list[list[Frame]]:
    """Return the frames of each round as a link would hear them."""
    rewritten = Rounds(frames)
    return [
        [
            Frame(frame.at, "s", FrameKind.RECEIVED, rewritten.text(index, number).encode())
            for index, frame in enumerate(rewritten.frames)
        ]
        for number in range(rounds)
    ]


def decode(rounds: Sequence[Sequence[Frame]]) -> list[list[Event]]:
    quarantine = Quarantine()
    decoder = MempoolSpaceDecoder(source="s", threshold_sat=Sats(100 * SATS_PER_BTC), quarantine=quarantine)
    decoder.decode(Frame(0, "s", FrameKind.OPENED))
    events = [[event for frame in frames for event in decoder.decode(frame)] for frames in rounds]
    assert quarantine.count == 0
    return events


def ids(frames: Sequence[Frame], *, under: str = "") -> set[str]:
    """Return every id in frames, or those under certain keys (a pattern)."""
    pattern = re.compile(f'{under}"([0-9a-f]{{64}})"')
    return {found for frame in frames for found in pattern.findall(frame.payload.decode())}


RECORDED = {"excerpt": load_excerpt(), "no prevouts": load_recording()}
each_recording = pytest.mark.parametrize("frames", RECORDED.values(), ids=RECORDED)


# Rounds.


@each_recording
def test_the_first_round_is_the_recording_itself(frames: list[Frame]) -> None:
    heard = [frame for frame in frames if frame.kind is FrameKind.RECEIVED]
    assert len(heard) > 20
    assert [frame.payload for frame in play(frames, 1)[0]] == [frame.payload for frame in heard]


@each_recording
def test_a_listener_hears_no_gap_between_rounds(frames: list[Frame]) -> None:
    assert [
        event for events in decode(play(frames, 3)) for event in events if isinstance(event, GapFound)
    ] == []


@each_recording
def test_every_round_announces_as_many_whales_none_of_which_was_there_before(frames: list[Frame]) -> None:
    whales = [
        [event.transaction for event in events if isinstance(event, TransactionSeen)]
        for events in decode(play(frames, 3))
    ]
    assert len(whales[0]) == 9
    assert [[whale.gross_sat for whale in of_round] for of_round in whales] == [
        [whale.gross_sat for whale in whales[0]]
    ] * 3
    assert len({whale.txid for of_round in whales for whale in of_round}) == 27


@each_recording
def test_the_chain_of_a_round_stands_on_the_tip_of_the_round_before(frames: list[Frame]) -> None:
    rounds = [
        [event for event in events if isinstance(event, BlockConnected) and event.mined]  # not those listed
        for events in decode(play(frames, 3))
    ]
    assert len(rounds[0]) > 4
    for before, after in itertools.pairwise(rounds):
        assert after[0].previous_hash == before[-1].block_hash
        assert after[0].height == before[-1].height + 1
        assert [block.height - before[0].height for block in before] == [
            block.height - after[0].height for block in after
        ]
        assert [len(block.mined or ()) for block in before] == [len(block.mined or ()) for block in after]


def test_the_blocks_a_backend_lists_are_those_it_announced_in_the_round_before() -> None:
    """A listener that compares lists with what it knows must find the recorded reorg and no other."""
    chain: dict[int, str] = {}
    corrected: list[list[int]] = []
    for frames in play(RECORDED["excerpt"], 3):
        corrected.append([])
        for frame in frames:
            document = json.loads(frame.payload)
            for block in document.get("blocks", []):
                if chain.get(block["height"], block["id"]) != block["id"]:
                    corrected[-1].append(block["height"])
                chain[block["height"]] = block["id"]
            if "block" in document:
                chain[document["block"]["height"]] = document["block"]["id"]
    assert corrected == [[209], [214], [219]]


@each_recording
def test_all_ids_are_new_in_each_round_but_those_of_blocks_it_stands_on(frames: list[Frame]) -> None:
    rounds = play(frames, 3)
    assert len({len(ids(of_round)) for of_round in rounds}) == 1  # renamed alike within a round
    for before, after in itertools.combinations(rounds, 2):
        blocks = ids(before, under='"(?:id|previousblockhash|block_hash)":')
        assert ids(before) & ids(after) <= blocks


def test_only_ids_heights_and_the_sequence_are_rewritten() -> None:
    before, after = play(
        [
            received(
                1,
                b'{"mempool-transactions": {"sequence":7,"added":[{"txid":"%b","fee":141,"sequence":42,'
                b'"scriptpubkey":"5120%b","status":{"block_height":100,"block_hash":"%b"}}]}, '
                b'"block": {"id":"%b","height":101,"previousblockhash":"%b"}}'
                % (TX.encode(), TX.encode(), PARENT.encode(), BLOCK.encode(), PARENT.encode()),
            )
        ],
        2,
    )
    first, second = (json.loads(frames[0].payload) for frames in (before, after))
    [first_tx], [second_tx] = (d["mempool-transactions"].pop("added") for d in (first, second))
    assert second_tx["txid"] != first_tx["txid"]
    assert second_tx["status"] == {"block_height": 101, "block_hash": BLOCK}
    assert {**second_tx, "txid": TX, "status": None} == {**first_tx, "status": None}
    assert second["mempool-transactions"] == {"sequence": 8}
    assert second["block"]["height"] == 102
    assert second["block"]["previousblockhash"] == BLOCK
    assert second["block"]["id"] not in (BLOCK, PARENT)


def test_without_new_blocks_the_chain_stays_as_it_is_in_every_round() -> None:
    listed = {"blocks": [{"id": BLOCK, "height": 101, "previousblockhash": PARENT}]}
    for frames in play([received(1, listed)], 3):
        assert json.loads(frames[0].payload) == listed


@pytest.mark.parametrize("payload", [b"no json", b"[]", b"5", b"{}", b"[" * 100_000, b'"\xff"'])
def test_frames_that_say_nothing_are_played_as_they_are(payload: bytes) -> None:
    for frames in play([received(1, payload)], 2):
        assert frames[0].payload == payload.decode(errors="replace").encode()


# The server.


class Instantly:
    """A sleep that only notes how long it would have been."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def __call__(self, delay_s: float) -> None:
        self.pauses.append(delay_s)
        await asyncio.sleep(0)


@asynccontextmanager
async def playing(
    frames: Sequence[Frame],
    *,
    port: int = 0,
    rounds: int | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[PlaybackServer]:
    server = PlaybackServer(frames, host=HOST, port=port, rounds=rounds, sleep=sleep)
    async with running(server.run):
        yield server


def client_of(server: PlaybackServer, path: str = "/api/v1/ws") -> connect:
    return connect(f"ws://{HOST}:{server.port}{path}", compression=None, max_size=None)


async def ask(client: ClientConnection, message: str | bytes) -> str | bytes:
    await client.send(message)
    return await client.recv()


async def get(server: PlaybackServer, path: str) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{HOST}:{server.port}{path}") as response,
    ):
        assert response.headers.getall(SIMULATED_HEADER) == ["1"]
        return response.status, await response.read()


async def test_a_subscriber_hears_every_round_at_the_recorded_pace_then_a_goodbye() -> None:
    sleep = Instantly()
    frames = [received(at, {"at": at}) for at in (10_000_000, 12_500_000, 13_000_000)]
    async with playing(frames, rounds=2, sleep=sleep) as server, client_of(server) as client:
        await client.send(SUBSCRIPTION)
        heard = [json.loads(message)["at"] async for message in client]
        assert heard == [10_000_000, 12_500_000, 13_000_000] * 2
        assert client.close_code == 1001
    assert sleep.pauses == [0, 2.5, 0.5, 2] * 2


async def test_three_rounds_of_the_excerpt_arrive_whole() -> None:
    async with (
        playing(RECORDED["excerpt"], rounds=3, sleep=Instantly()) as server,
        client_of(server) as client,
    ):
        await client.send(SUBSCRIPTION)
        heard = [message async for message in client]
    expected = [frame.payload.decode() for frames in play(RECORDED["excerpt"], 3) for frame in frames]
    assert heard == expected


@pytest.mark.parametrize("path", ["/api/v1/ws", "/ws/track-mempool-tx", "/"])
async def test_it_is_silent_until_one_subscribes_and_to_those_who_do_not(path: str) -> None:
    frames = [received(1, {"a": 1})]
    async with (
        playing(frames, rounds=1, sleep=Instantly()) as server,
        client_of(server, path) as listener,
        client_of(server, path) as bystander,
    ):
        assert await ask(listener, '{"action":"ping"}') == '{"pong":true}'  # nothing came before it
        await bystander.send('{"track-mempool":1}')  # must be true
        assert await ask(bystander, '{"action":"ping"}') == '{"pong":true}'
        assert await ask(listener, SUBSCRIPTION) == '{"a":1}'
        assert [message async for message in bystander] == []


async def test_who_subscribes_later_hears_from_there_on() -> None:
    pauses = Pauses()
    frames = [received(1, {"a": 1}), received(2, {"b": 2})]
    async with playing(frames, rounds=1, sleep=pauses.sleep) as server, client_of(server) as early:
        await early.send(SUBSCRIPTION)
        await pauses.skip()
        assert await early.recv() == '{"a":1}'
        async with client_of(server) as late:
            await ask(late, '{"track-mempool":true,"action":"ping"}')
            await pauses.skip()
            assert await late.recv() == await early.recv() == '{"b":2}'


@pytest.mark.parametrize("message", ["hello", "", "null", b"\xff", "[" * 40_000])
async def test_what_is_no_json_closes_the_connection(message: str | bytes) -> None:
    async with playing([]) as server, client_of(server) as client:
        with pytest.raises(ConnectionClosed):
            await ask(client, message)
        assert client.close_code == 1000


@pytest.mark.parametrize("message", ["5", "[]", '{"action":"subscribe"}', b'{"track-rbf":"all"}'])
async def test_what_it_does_not_know_it_ignores(message: str | bytes) -> None:
    async with playing([]) as server, client_of(server) as client:
        await client.send(message)
        assert await ask(client, b'{"action":"ping"}') == '{"pong":true}'


async def test_a_message_above_the_backend_s_limit_closes_the_connection() -> None:
    async with playing([]) as server, client_of(server) as client:
        assert await ask(client, '{"action":"ping","x":"%s"}' % ("x" * 49_900)) == '{"pong":true}'
        with pytest.raises(ConnectionClosed):
            await ask(client, " " * 50_001)
        assert client.close_code == 1009


async def test_it_calls_itself_a_simulation() -> None:
    async with playing([]) as server, client_of(server) as client:
        assert client.response is not None
        assert SIMULATED_HEADER in client.response.headers


async def test_recorded_rest_answers_are_served_by_their_path() -> None:
    frames = [
        answered("/api/v1/prices", 200, b'{"USD":1}'),
        answered(f"/api/v1/tx/{TX}", 200, b"{}"),
        answered("/api/v1/odd", 529, b"too busy"),
        answered("/api/v1/unheard", 0, b"no answer came when it was recorded"),
    ]
    async with playing(frames) as server:
        assert await get(server, "/api/v1/prices") == (200, b'{"USD":1}')
        assert await get(server, f"/api/v1/tx/{TX}?verbose=1") == (200, b"{}")
        assert await get(server, "/api/v1/odd") == (529, b"too busy")
        assert (await get(server, "/api/v1/unheard"))[0] == 404
        assert await get(server, "/api/v1/nothing") == (404, b"Cannot GET /api/v1/nothing")


async def test_a_price_is_always_answered_as_by_a_backend_that_knows_none() -> None:
    async with playing([]) as server:
        status, body = await get(server, "/api/v1/prices")
    assert status == 200
    assert json.loads(body)["USD"] == -1


async def test_the_prevouts_of_a_later_round_are_answered_under_its_txids() -> None:
    pauses = Pauses()
    block = {"id": BLOCK, "height": 101, "previousblockhash": PARENT}
    body = json.dumps({"txid": TX, "status": {"block_height": 101, "block_hash": BLOCK}}).encode()
    frames = [received(1, {"txid": TX, "block": block}), answered(f"/api/v1/tx/{TX}", 200, body)]
    async with playing(frames, sleep=pauses.sleep) as server, client_of(server) as client:
        await client.send(SUBSCRIPTION)
        for number in range(3):
            await pauses.skip()
            document = json.loads(await client.recv())
            txid, block = document["txid"], document["block"]
            assert (txid == TX) is (number == 0)
            status, body = await get(server, f"/api/v1/tx/{txid}")
            assert (status, json.loads(body)) == (
                200,
                {"txid": txid, "status": {"block_height": 101 + number, "block_hash": block["id"]}},
            )
            await pauses.skip()


async def test_a_port_in_use_is_an_error_of_configuration() -> None:
    async with playing([]) as server:
        with pytest.raises(ConfigError, match=f"cannot listen on {HOST}:{server.port}"):
            async with playing([], port=server.port):
                pass


async def test_cancelling_says_goodbye_and_frees_the_port() -> None:
    async with playing([]) as server:
        port = server.port
        client = await client_of(server)
    await client.wait_closed()
    assert client.close_code == 1001
    async with playing([], port=port):
        pass


@pytest.mark.parametrize(
    "payload",
    [b'{"block":{"id":"x"}}', b'{"blocks":5}', b'{"mempool-transactions":{"sequence":"x"}}', b"[", b"\xff"],
)
def test_a_frame_that_is_none_of_the_backends_is_played_as_it_is(payload: bytes) -> None:
    [[first], [second]] = play([received(1, payload)], 2)
    assert first.payload == second.payload == payload.decode(errors="replace").encode()
