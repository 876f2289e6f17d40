import json

import pytest

from hydrophone.simulator.backend.backend import Style
from hydrophone.simulator.backend.session import Answer, Session
from tests.unit.simulator.backend.scene import SUBSCRIPTIONS, WANT_ALL, Scene


@pytest.fixture
def scene() -> Scene:
    scene = Scene(Style.ESPLORA)
    for _ in range(10):
        scene.mine()
    scene.poll()
    scene.send(fee_sat=500)
    scene.poll()
    return scene


def ask(scene: Scene, *messages: str | bytes) -> list[Answer]:
    session = Session(scene.backend)
    return [session.receive(message, scene.now) for message in messages]


def keys(answers: list[Answer]) -> list[list[str]]:
    return [list(json.loads(text)) for found in answers for text in found.texts]


@pytest.mark.parametrize("message", ["hello", "", "null", b"\xff", "[" * 100_000])
def test_what_is_no_json_closes_without_a_word(scene: Scene, message: str | bytes) -> None:
    assert ask(scene, message) == [Answer((), is_closing=True)]


@pytest.mark.parametrize(
    "message",
    [
        "5", "[]", '{"action": "subscribe", "data": ["x"]}', '{"action": "want", "data": ["nope"]}',
        '{"action": "want"}', '{"action": "want", "data": 5}', '{"track-mempool": "true"}',
        '{"track-mempool": 1}',
        '{"track-rbf": "yes"}', '{"track-tx": "zz"}', '{"track-tx": 5}', '{"track-mempool-block": 99}',
        '{"track-mempool-block": "0"}', '{"track-mempool-block": true}',
    ],
)  # fmt: skip
def test_what_is_unknown_is_ignored_in_silence(scene: Scene, message: str) -> None:
    session = Session(scene.backend)
    assert session.receive(message, scene.now) == Answer()
    scene.send(fee_sat=500)
    assert [session.frame(update) for update in scene.poll()] == [None]


@pytest.mark.parametrize(
    ("message", "problem", "is_closing"),
    [
        ('{"track-txs": "abc"}', '{"track-txs-error": "incorrect track-txs format"}', True),
        (
            json.dumps({"track-txs": ["00"] * 101}),
            (
                '{"track-txs-error": "too many txids requested, this connection supports tracking a maximum '
                'of 100 transactions"}'
            ),
            True,
        ),
        (
            json.dumps({"track-addresses": ["x"] * 101}),
            (
                '{"track-addresses-error": "too many addresses requested, this connection supports tracking '
                'a maximum of 1 addresses"}'
            ),
            False,
        ),
    ],
)
def test_too_much_is_complained_about(scene: Scene, message: str, problem: str, is_closing: bool) -> None:
    assert ask(scene, message) == [Answer((problem,), is_closing=is_closing)]


@pytest.mark.parametrize("message", ['{"action": "ping"}', b'{"action": "ping"}'])
def test_a_ping_is_answered_text_or_not(scene: Scene, message: str | bytes) -> None:
    assert ask(scene, message) == [Answer(('{"pong": true}',))]


def test_the_hundred_and_first_message_within_ten_seconds_closes(scene: Scene) -> None:
    answers = ask(scene, *['{"action": "ping"}'] * 101)
    assert [found.is_closing for found in answers] == [False] * 100 + [True]


def test_a_hundred_messages_every_ten_seconds_are_welcome(scene: Scene) -> None:
    session = Session(scene.backend)
    found = [session.receive("{}", scene.now + number * 0.1) for number in range(500)]
    assert not any(answer.is_closing for answer in found)


def test_a_later_want_takes_the_place_of_the_former(scene: Scene) -> None:
    session = Session(scene.backend)
    answers = [
        session.receive(json.dumps({"action": "want", "data": data}), scene.now)
        for data in (["blocks", "stats"], ["mempool-blocks"], ["blocks"])
    ]
    assert keys(answers) == [
        ["blocks", "mempoolInfo", "vBytesPerSecond", "fees", "da"],
        ["mempool-blocks"],
        ["blocks"],
    ]
    scene.send(fee_sat=500)
    assert [session.frame(update) for update in scene.poll()] == [None]


def test_what_is_wanted_already_is_not_sent_again(scene: Scene) -> None:
    assert keys(ask(scene, WANT_ALL, WANT_ALL)) == [
        ["blocks", "mempool-blocks", "mempoolInfo", "vBytesPerSecond", "fees", "da"]
    ]


def test_one_message_may_ask_for_everything(scene: Scene) -> None:
    message = (
        '{"action": "want", "data": ["blocks", "mempool-blocks", "stats"], "track-mempool": true, '
        '"track-mempool-txids": true, "track-rbf": "all"}'
    )
    assert keys(ask(scene, message)) == [
        ["blocks", "mempool-blocks", "mempoolInfo", "vBytesPerSecond", "fees", "da", "rbfLatest"]
    ]


def test_the_first_blocks_are_the_last_eight(scene: Scene) -> None:
    (found,) = ask(scene, SUBSCRIPTIONS["blocks"][0])
    heights = [block["height"] for block in json.loads(found.texts[0])["blocks"]]
    assert heights == list(range(scene.node.chain.height - 7, scene.node.chain.height + 1))


def test_blocks_come_again_on_wish(scene: Scene) -> None:
    assert keys(ask(scene, '{"refresh-blocks": true}')) == [["blocks"]]


def test_subscriptions_can_be_taken_back(scene: Scene) -> None:
    session = Session(scene.backend)
    for message in ('{"track-mempool":true}', '{"track-mempool":false}'):
        session.receive(message, scene.now)
    scene.send(fee_sat=500)
    assert [session.frame(update) for update in scene.poll()] == [None]


def test_clients_with_the_same_subscriptions_get_the_same_text(scene: Scene) -> None:
    sessions = [Session(scene.backend) for _ in range(2)]
    for session in sessions:
        session.receive('{"track-mempool":true}', scene.now)
    scene.send(fee_sat=500)
    (update,) = scene.poll()
    first, second = (session.frame(update) for session in sessions)
    assert first is second is not None
