import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrophone.client.following import Follower
from hydrophone.domain.units import UnixMicros
from hydrophone.errors import MalformedMessage, RequestRefused
from hydrophone.web.journal import Journal, is_for
from hydrophone.web.session import Session
from hydrophone.wire.public_v1 import StatusUpdateMessage, WhaleAlertMessage
from hydrophone.wire.socket_v1 import EVERYTHING, FiltersV1, ResyncRequiredMessage
from tests.said import TIMESTAMP, alert, facts, notice, update

WHALES = FiltersV1(min_btc_value=500.0)


def said(kind: str, **data: Any) -> str:  # noqa: ANN401
    return json.dumps({"type": kind, "data": data, "timestamp": TIMESTAMP})


def subscribed(number: int, seq: int, since: int | None = None) -> str:
    return said("subscribed", id=number, filters={}, since=since, seq=seq)


def asked(message: bytes | None) -> tuple[int, int | None]:
    """The number and the beginning of a subscription."""
    assert message is not None
    subscription = json.loads(message)
    assert subscription["type"] == "subscribe"
    return subscription["id"], subscription["since"]


def test_nothing_counts_before_the_subscription_is_answered() -> None:
    follower = Follower(WHALES)
    assert asked(follower.begin()) == (1, None)
    assert follower.receive(alert(7)) == (None, None)
    assert follower.receive(subscribed(1, 7)) == (None, None)
    assert follower.since == 7
    heard = follower.receive(alert(8)).heard
    assert isinstance(heard, WhaleAlertMessage)
    assert (heard.seq, follower.since) == (8, 8)


def test_a_new_connection_is_asked_for_what_came_after() -> None:
    follower = Follower(WHALES, since=5)
    assert asked(follower.begin()) == (1, 5)
    follower.receive(subscribed(1, 9, since=5))
    assert follower.since == 5
    assert isinstance(follower.receive(update(6)).heard, StatusUpdateMessage)
    assert asked(follower.begin()) == (2, 6)
    follower.receive(subscribed(1, 99))  # of another time
    assert follower.receive(alert(7)).heard is None


def test_what_was_lost_on_the_way_is_asked_for_again_and_what_came_after_it_is_passed_over() -> None:
    follower = Follower(EVERYTHING, since=5)
    follower.begin()
    follower.receive(subscribed(1, 5, since=5))
    assert asked(follower.receive(said("lagged", n=3)).send) == (2, 5)
    assert follower.receive(alert(9)).heard is None
    assert follower.receive(said("pong", seq=9)).heard is None
    assert follower.since == 5
    follower.receive(subscribed(2, 9, since=5))
    assert follower.receive(alert(6)).heard is not None


def test_a_pong_tells_how_far_everything_is_known() -> None:
    follower = Follower(WHALES, since=5)
    follower.begin()
    follower.receive(said("pong", seq=50))
    follower.receive(subscribed(1, 50, since=5))
    assert follower.since == 5
    follower.receive(said("pong", seq=50))
    assert follower.since == 50
    follower.receive(said("pong", seq=None))
    assert follower.since == 50


def test_what_cannot_be_had_again_is_handed_on_and_it_goes_on_from_there() -> None:
    follower = Follower(WHALES, since=5)
    follower.begin()
    follower.receive(subscribed(1, 900, since=5))
    resync = follower.receive(said("resync_required", id=1, reason="too_old", since=5, seq=900)).heard
    assert isinstance(resync, ResyncRequiredMessage)
    assert follower.since == 900
    assert follower.receive(alert(901)).heard is not None


def test_two_pings_without_an_answer_are_a_connection_that_is_lost() -> None:
    follower = Follower(WHALES)
    follower.begin()
    assert json.loads(follower.ping()) == {"type": "ping"}
    assert not follower.is_deaf
    follower.ping()
    assert follower.is_deaf
    follower.begin()
    assert not follower.is_deaf
    follower.ping()
    follower.receive(said("pong", seq=1))
    follower.ping()
    assert not follower.is_deaf


def test_notices_are_handed_on_and_what_is_not_known_is_passed_over() -> None:
    follower = Follower(WHALES)
    follower.begin()
    assert follower.receive(notice()).heard is not None
    assert follower.receive(said("weather", sun=True)) == (None, None)
    with pytest.raises(RequestRefused, match="no such filter") as refused:
        follower.receive(said("error", code="malformed", message="no such filter"))
    assert refused.value.code == "malformed"
    with pytest.raises(MalformedMessage):
        follower.receive("{}")


class Line:
    """A service and a follower, and what is on the way between them."""

    def __init__(self, messages: list[bytes]) -> None:
        self.messages = messages
        self.journal = Journal(keep=100)
        self.follower = Follower(WHALES, since=0)
        self.received: list[int] = []
        self.on_the_way: list[bytes] = []
        self.connect()

    def connect(self) -> None:
        self.session = Session(self.journal, lambda: UnixMicros(0), has_store=True)
        self.on_the_way.clear()
        self.say(self.follower.begin())

    def say(self, message: bytes) -> None:
        self.session._arrivals = None  # no test here is about its rate
        self.on_the_way.extend(self.session.receive(message, 0.0).messages)

    def publish(self, count: int) -> None:
        head = self.journal.head
        for entry in self.journal.note(self.messages[head : head + count]):
            if is_for(self.session.audience, entry):
                self.on_the_way.append(entry.frame)

    def catch_up(self, count: int) -> None:
        if self.session.wish is not None:
            entries = self.journal.entries_after(self.session.wish.since, count)
            self.on_the_way += self.session.catch_up(entries or [])

    def lose(self) -> None:
        """Drop the oldest alert on the way, as for a client that is slow."""
        if self.session.wish is None and self.on_the_way and b"whale_alert" in self.on_the_way[0]:
            self.on_the_way[0] = said("lagged", n=1).encode()

    def arrive(self, count: int) -> None:
        for _ in range(min(count, len(self.on_the_way))):
            step = self.follower.receive(self.on_the_way.pop(0))
            if isinstance(step.heard, WhaleAlertMessage):
                self.received.append(step.heard.seq)
            if step.send is not None:
                self.say(step.send)

    def finish(self) -> None:
        self.publish(len(self.messages))
        while self.on_the_way or self.session.wish is not None:
            self.arrive(len(self.on_the_way))
            self.catch_up(7)


events = st.tuples(st.sampled_from(["publish", "send", "cut", "ping", "lose"]), st.integers(1, 6))


@settings(max_examples=60)
@given(st.lists(st.booleans(), max_size=40), st.lists(events, max_size=50))
def test_service_and_follower_together_lose_nothing_and_double_nothing(
    sizes: list[bool], events: list[tuple[str, int]]
) -> None:
    numbered = list(enumerate(sizes, start=1))
    line = Line([alert(n, facts(f"p{n}", btc=900.0 if is_large else 1.0)) for n, is_large in numbered])
    for what, count in events:
        match what:
            case "publish":
                line.publish(count)
            case "send":
                line.catch_up(count)
            case "cut":
                line.connect()
            case "ping":
                line.say(line.follower.ping())
            case _:
                line.lose()
        line.arrive(count % 4)
    line.finish()
    assert line.received == [n for n, is_large in numbered if is_large]
