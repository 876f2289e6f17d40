import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrophone.domain.units import UnixMicros
from hydrophone.web import journal as journal_module
from hydrophone.web import session as session_module
from hydrophone.web.journal import Journal, is_for
from hydrophone.web.session import Session
from tests.said import MemoryRecord, alert, amendment, facts, notice, seqs_in, update


class Service:
    """What carries between journal, record and one client, in steps that a test chooses."""

    def __init__(self, messages: list[bytes], *, keep: int, published: int = 0) -> None:
        self.messages = messages
        self.record = MemoryRecord(messages)
        self.journal = Journal(keep=keep)
        self.keep = keep
        self.session: Session | None = None
        self.sent: list[bytes] = []
        self.publish(published)

    def publish(self, count: int) -> None:
        """Say the next messages."""
        head = self.journal.head
        for entry in self.journal.note(self.messages[head : head + count]):
            if self.session is not None and is_for(self.session.audience, entry):
                self.sent.append(entry.frame)

    def restart(self) -> None:
        """Begin anew with what is stored; whoever was connected is not any more."""
        head = self.journal.head
        stored = MemoryRecord(self.messages[:head])
        alerts = [message for said in stored.alerts().values() for message in said]
        self.journal = Journal(head, keep=self.keep)
        self.journal.restore(stored.entries(max(0, head - self.keep), self.keep), alerts)
        self.session = None

    def connect(self) -> None:
        """Let the client come, or come again."""
        self.session = Session(self.journal, lambda: UnixMicros(0), has_store=True)

    def hear(self, **said: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        """Let the client say something; what it is answered at once."""
        assert self.session is not None
        reply = self.session.receive(json.dumps(said), at_s=0.0)
        self.session._arrivals = None  # no test here is about its rate
        assert reply.close is None
        self.sent += reply.messages
        return [json.loads(message) for message in reply.messages]

    def step(self, limit: int = 100) -> bool:
        """Send a client that catches up some more; False: it does not, or not any more."""
        if self.session is None or self.session.wish is None:
            return False
        since = self.session.wish.since
        entries = self.journal.entries_after(since, limit)
        if entries is None:
            page = self.record.entries(since, limit)
            unknown = self.journal.unknown_in(page)
            entries = self.journal.entries_of(page, since, self.record.alerts(unknown))
        if entries is None:
            self.sent.append(self.session.give_up("not_kept"))
        else:
            self.sent += self.session.catch_up(entries)
        return True

    def finish(self) -> None:
        while self.step():
            pass


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in messages]


def plain(count: int) -> list[bytes]:
    return [alert(seq, facts(f"p{seq}")) for seq in range(1, count + 1)]


# --- streams of messages, and what a filter lets through of them


@dataclass
class Stream:
    """Messages in order of index, and what each says of its prediction."""

    messages: list[bytes] = field(default_factory=list)
    subjects: list[tuple[str, dict[str, Any] | None]] = field(default_factory=list)
    is_alert: list[bool] = field(default_factory=list)

    def wanted(self, filters: dict[str, Any]) -> list[int]:
        """The indices of what a filter lets through, worked out from the data alone."""
        wanted = []
        for number, (prediction, said) in enumerate(self.subjects):
            so_far = [
                data
                for other, data in self.subjects[: number + 1]
                if other == prediction and data is not None
            ]
            if not filters["include_updates"]:
                is_wanted = self.is_alert[number] and lets_through(filters, said or {})
            else:
                is_wanted = not so_far or any(lets_through(filters, data) for data in so_far)
            if is_wanted:
                wanted.append(number + 1)
        return wanted


def lets_through(filters: dict[str, Any], data: dict[str, Any]) -> bool:
    urgency = data["urgency_score"]
    return (
        data["btc_value"] >= filters["min_btc_value"]
        and data["flow_type"] in filters["flow_types"]
        and (filters["min_urgency"] == 0 or (urgency is not None and urgency >= filters["min_urgency"]))
        and (not filters["exchanges"] or any(e["name"] in filters["exchanges"] for e in data["entities"]))
    )


some_facts = st.fixed_dictionaries(
    {
        "btc": st.sampled_from([200.0, 500.0, 1_000.0]),
        "flow": st.sampled_from(["inflow", "outflow", "unknown"]),
        "urgency": st.sampled_from([None, 0.1, 0.9]),
        "exchanges": st.sampled_from([(), ("binance",), ("kraken", "binance")]),
    }
)
some_filters = st.fixed_dictionaries(
    {
        "min_btc_value": st.sampled_from([0, 300, 1_000]),
        "flow_types": st.sampled_from(
            [["inflow"], ["outflow", "unknown"], ["inflow", "outflow", "internal", "unknown"]]
        ),
        "min_urgency": st.sampled_from([0, 0.5]),
        "exchanges": st.sampled_from([None, ["kraken"], ["binance"]]),
        "include_updates": st.booleans(),
    }
)


@st.composite
def streams(draw: Callable[..., Any]) -> Stream:
    """Alerts, fee bumps, amendments and outcomes of a few predictions, in any order that may be said."""
    stream = Stream()
    begun: list[str] = []
    for seq in range(1, draw(st.integers(0, 40)) + 1):
        prediction = draw(st.sampled_from([f"p{n}" for n in range(6)]))
        what = draw(st.sampled_from(["alert", "amendment", "update"])) if prediction in begun else "alert"
        data = None if what == "update" else facts(prediction, **draw(some_facts))
        if what == "alert":
            assert data is not None
            data["was_modified"] = prediction in begun
            begun.append(prediction)
            stream.messages.append(alert(seq, data))
        elif what == "amendment":
            assert data is not None
            stream.messages.append(amendment(seq, data))
        else:
            stream.messages.append(update(seq, prediction))
        stream.subjects.append((prediction, data))
        stream.is_alert.append(what == "alert")
    return stream


steps = st.lists(
    st.tuples(
        st.sampled_from(["publish", "publish", "send", "cut", "again", "ping", "restart"]), st.integers(1, 7)
    ),
    max_size=60,
)


@settings(max_examples=100)
@given(streams(), some_filters, steps, st.integers(1, 12))
def test_whoever_resumes_from_where_it_was_gets_each_wanted_entry_once_and_in_order(
    stream: Stream, filters: dict[str, Any], steps: list[tuple[str, int]], keep: int
) -> None:
    service = Service(stream.messages, keep=keep)
    received: list[int] = []
    cursor = 0

    def come() -> None:
        service.connect()
        service.sent.clear()  # what it is sent before it said what it wants
        answers = service.hear(type="subscribe", filters=filters, since=cursor)
        assert kinds(answers) == ["subscribed"]
        service.sent.clear()

    def take() -> int:
        """Let what was sent arrive; up to where the client then has everything."""
        received.extend(seqs_in(service.sent))
        known: list[int] = [
            json.loads(message)["data"]["seq"] for message in service.sent if b'"pong"' in message
        ]
        service.sent.clear()
        return max([cursor, *known, *received[-1:]])

    come()
    for what, count in steps:
        match what:
            case "publish":
                service.publish(count)
            case "send":
                service.step(count)
            case "cut":
                service.sent = service.sent[:count]  # the rest is lost on the way
                cursor = take()
                come()
            case "restart":
                service.restart()
                cursor = take()
                come()
            case "again":  # asks once more, on the same connection: what it has not taken comes again
                service.sent.clear()
                come()
            case _:
                service.hear(type="ping")
        if count == 1:
            cursor = take()
    service.publish(len(stream.messages))
    service.finish()
    take()
    assert received == stream.wanted(filters)


anything = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 5)),
        st.tuples(st.just("send"), st.integers(1, 5)),
        st.tuples(st.just("subscribe"), st.none() | st.integers(0, 45)),
        st.tuples(st.just("unsubscribe"), st.none()),
        st.tuples(st.just("ping"), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=100)
@given(streams(), some_filters, anything, st.integers(1, 12))
def test_in_any_order_of_events_a_subscription_gets_wanted_entries_at_most_once_and_in_order(
    stream: Stream, filters: dict[str, Any], events: list[tuple[str, Any]], keep: int
) -> None:
    service = Service(stream.messages, keep=keep)
    service.connect()
    wanted = list(range(1, len(stream.messages) + 1))
    for what, argument in events:
        match what:
            case "publish":
                service.publish(argument)
            case "send":
                service.step(argument)
            case "subscribe":
                heard = seqs_in(service.sent)
                assert heard == sorted(set(heard))
                assert set(heard) <= set(wanted)
                service.sent.clear()
                answers = service.hear(type="subscribe", filters=filters, since=argument)
                head = service.journal.head
                is_ahead = argument is not None and argument > head
                assert kinds(answers) == ["subscribed", "resync_required"][: 1 + is_ahead]
                first = head if argument is None or argument > head else argument
                wanted = [seq for seq in stream.wanted(filters) if seq > first]
            case "unsubscribe":
                service.hear(type="unsubscribe")
                before = len(service.sent)
                service.publish(1)
                assert not service.step()
                assert len(service.sent) == before
                wanted = [seq for seq in wanted if seq <= service.journal.head]
            case _:
                [pong] = service.hear(type="ping")
                seq = pong["data"]["seq"]
                if seq is not None and service.session is not None and service.session.wish is None:
                    assert seq == service.journal.head
    heard = seqs_in(service.sent)
    assert heard == sorted(set(heard))
    assert set(heard) <= set(wanted)


# --- single cases


def test_between_what_is_sent_again_and_what_is_new_nothing_is_missing_or_doubled() -> None:
    service = Service(plain(10), keep=3, published=5)
    service.connect()
    service.hear(type="subscribe", since=1)
    service.publish(1)
    service.step(2)
    service.publish(2)
    service.step(100)
    service.publish(1)
    service.step(100)
    service.publish(1)
    assert seqs_in(service.sent) == list(range(2, 11))


def test_the_answer_says_the_filter_the_beginning_and_the_newest_index() -> None:
    service = Service(plain(5), keep=10, published=5)
    service.connect()
    [answer] = service.hear(type="subscribe", id="mine", filters={"exchanges": ["Huobi"]}, since=3)
    assert answer["data"]["id"] == "mine"
    assert answer["data"]["filters"]["exchanges"] == ["htx"]
    assert (answer["data"]["since"], answer["data"]["seq"]) == (3, 5)


def test_whoever_asks_for_what_is_new_is_live_at_once() -> None:
    for since in (None, 5):
        service = Service(plain(6), keep=10, published=5)
        service.connect()
        service.hear(type="subscribe", since=since)
        assert not service.step()
        service.publish(1)
        assert seqs_in(service.sent) == [6]


def test_a_record_that_does_not_reach_so_far_is_another_one() -> None:
    service = Service(plain(5), keep=10, published=5)
    service.connect()
    _, resync = service.hear(type="subscribe", id=1, since=6)
    assert resync["data"] == {"id": 1, "reason": "ahead", "since": 6, "seq": 5}


def test_what_is_too_old_is_not_sent_and_what_is_new_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "REPLAYED_AT_MOST", 3)
    service = Service(plain(6), keep=10, published=5)
    service.connect()
    assert kinds(service.hear(type="subscribe", since=2)) == ["subscribed"]
    _, resync = service.hear(type="subscribe", since=1)
    assert resync["data"] == {"id": None, "reason": "too_old", "since": 1, "seq": 5}
    service.publish(1)
    assert seqs_in(service.sent) == [6]


def test_without_a_store_what_is_not_in_memory_is_too_old() -> None:
    journal = Journal(keep=2)
    journal.note(plain(5))
    session = Session(journal, lambda: UnixMicros(0), has_store=False)
    reply = session.receive('{"type":"subscribe","since":3}', 0.0)
    assert len(reply.messages) == 1
    reply = session.receive('{"type":"subscribe","since":2}', 0.0)
    assert json.loads(reply.messages[1])["data"]["reason"] == "too_old"


def test_where_retention_has_removed_something_the_client_is_told_and_goes_on_live() -> None:
    service = Service(plain(11), keep=2, published=10)
    service.record.messages[5] = None
    service.connect()
    service.hear(type="subscribe", since=3)
    service.step(2)
    service.step(2)
    service.publish(1)
    assert seqs_in(service.sent) == [4, 5, 11]
    resync = next(
        message for message in map(json.loads, service.sent) if message["type"] == "resync_required"
    )
    assert resync["data"] == {"id": None, "reason": "not_kept", "since": 5, "seq": 10}


def test_a_record_that_lost_entries_is_not_sent_for_ever() -> None:
    service = Service(plain(10), keep=2, published=10)
    del service.record.messages[4:]
    service.connect()
    service.hear(type="subscribe", since=3)
    service.finish()
    assert seqs_in(service.sent) == [4]
    assert json.loads(service.sent[-1])["type"] == "resync_required"


def test_what_is_stored_and_not_said_yet_is_said_once() -> None:
    service = Service(plain(8), keep=1, published=5)
    service.connect()
    service.hear(type="subscribe", since=2)
    assert service.step(100)
    assert seqs_in(service.sent) == [3, 4, 5]
    service.publish(3)
    assert seqs_in(service.sent) == [3, 4, 5, 6, 7, 8]


def test_a_pong_says_up_to_where_everything_was_sent() -> None:
    service = Service(plain(8), keep=10, published=5)
    service.connect()
    assert service.hear(type="ping")[0]["data"] == {"seq": 5}
    service.hear(type="subscribe", since=1)
    service.step(2)
    assert service.hear(type="ping")[0]["data"] == {"seq": 3}
    service.hear(type="unsubscribe")
    assert service.hear(type="ping")[0]["data"] == {"seq": None}


def test_notices_are_for_everybody() -> None:
    service = Service(plain(3), keep=10, published=2)
    service.connect()
    for said in (
        {"type": "ping"},
        {"type": "subscribe", "filters": {"min_btc_value": 1e6}},
        {"type": "subscribe", "since": 0},
        {"type": "unsubscribe"},
    ):
        service.hear(**said)
        [entry] = service.journal.note([notice()])
        assert service.session is not None
        assert is_for(service.session.audience, entry)


def test_an_amendment_that_moves_an_alert_into_the_filter_brings_what_follows() -> None:
    small, large = facts("p", btc=200.0), facts("p", btc=2_000.0)
    messages = [alert(1, small), update(2), amendment(3, large), update(4)]
    service = Service(messages, keep=10)
    service.connect()
    service.hear(type="subscribe", filters={"min_btc_value": 1_000})
    service.publish(4)
    assert seqs_in(service.sent) == [3, 4]


def test_an_amendment_that_moves_an_alert_out_of_the_filter_is_told_and_so_is_the_end() -> None:
    messages = [alert(1, facts("p", btc=2_000.0)), amendment(2, facts("p", btc=200.0)), update(3)]
    service = Service(messages, keep=10)
    service.connect()
    service.hear(type="subscribe", filters={"min_btc_value": 1_000})
    service.publish(3)
    assert seqs_in(service.sent) == [1, 2, 3]


def test_of_a_prediction_that_is_not_known_everybody_is_told() -> None:
    service = Service([update(1, "unheard of"), alert(2, facts("q", btc=1.0))], keep=10)
    service.connect()
    service.hear(type="subscribe", filters={"min_btc_value": 1_000})
    service.publish(2)
    assert seqs_in(service.sent) == [1]


def test_after_a_restart_what_was_open_is_known() -> None:
    messages = [
        alert(1, facts("p", btc=200.0)),
        alert(2, facts("q", btc=2_000.0)),
        update(3, "p"),
        update(4, "q"),
    ]
    record = MemoryRecord(messages)
    for keep in (1, 10):
        journal = Journal(2, keep=keep)
        alerts = [message for said in record.alerts().values() for message in said]
        journal.restore(record.entries(max(0, 2 - keep), 2), alerts[:2])
        session = Session(journal, lambda: UnixMicros(0), has_store=True)
        session.receive('{"type":"subscribe","filters":{"min_btc_value":1000}}', 0.0)
        entries = journal.note(messages[2:])
        assert [is_for(session.audience, entry) for entry in entries] == [False, True]
        assert journal.oldest == max(0, 4 - max(keep, 1))


def test_an_entry_is_said_once() -> None:
    journal = Journal()
    journal.note(plain(3))
    with pytest.raises(ValueError, match="expected record entry 4, found 2 said again"):
        journal.note([update(2)])


def test_alerts_of_a_program_of_ones_own_are_filtered_by_what_they_say() -> None:
    journal = Journal()
    session = Session(journal, lambda: UnixMicros(0), has_store=False)
    session.receive('{"type":"subscribe","filters":{"min_btc_value":1000}}', 0.0)
    said = [
        b'{"type":"whale_alert","data":{"btc_value":%d,"flow_type":"inflow"}}' % btc for btc in (2_000, 1)
    ]
    entries = journal.note([*said, b'{"type":"whale_alert","data":{"btc_value":"many"}}', b"no json"])
    assert [is_for(session.audience, entry) for entry in entries] == [True, False, True, True]
    assert journal.head == 0


@pytest.mark.parametrize(
    ("raw", "code"),
    [("", "malformed"), ('{"type":"publish"}', "unsupported_message"), (b"\xff", "malformed")],
)
def test_bad_input_is_answered_and_changes_nothing(raw: bytes | str, code: str) -> None:
    service = Service(plain(2), keep=10)
    service.connect()
    assert service.session is not None
    reply = service.session.receive(raw, 0.0)
    assert json.loads(reply.messages[0])["data"]["code"] == code
    service.publish(2)
    assert seqs_in(service.sent) == [1, 2]


@given(st.lists(st.floats(0, 10), max_size=80))
def test_more_than_twenty_messages_within_any_second_are_abuse(times: list[float]) -> None:
    session = Session(Journal(), lambda: UnixMicros(0), has_store=False)
    times.sort()
    for number, at_s in enumerate(times):
        reply = session.receive('{"type":"ping"}', at_s)
        is_abuse = number >= 20 and at_s - times[number - 20] < 1.0
        assert (reply.close is not None) == is_abuse
        if is_abuse:
            return


def test_while_memory_is_short_a_client_resumes_from_the_store_and_misses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_module, "_TAIL_SHORT", 2)
    service = Service(plain(20), keep=10, published=10)
    went = service.journal.shrink()
    assert (service.journal.tail_count, service.journal.oldest) == (2, 8)
    assert went >= 8
    assert service.journal.shrink() == 0
    service.publish(2)
    assert service.journal.tail_count == 2
    service.connect()
    service.hear(type="subscribe", since=3)
    service.finish()
    assert seqs_in(service.sent) == list(range(4, 13))
    service.journal.grow()
    service.publish(6)
    assert service.journal.tail_count == 8
    assert seqs_in(service.sent) == list(range(4, 19))


def test_of_predictions_that_were_let_go_everybody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_PREDICTIONS_SHORT", 1)
    journal = Journal()
    session = Session(journal, lambda: UnixMicros(0), has_store=False)
    session.receive('{"type":"subscribe","filters":{"min_btc_value":1000}}', 0.0)
    journal.note([alert(1, facts("small", btc=200.0)), alert(2, facts("also small", btc=200.0))])
    assert (journal.shrink(), journal.prediction_count) == (1, 1)
    entries = journal.note([update(3, "small"), update(4, "also small")])
    assert [is_for(session.audience, entry) for entry in entries] == [True, False]
    journal.grow()
    journal.note([alert(5, facts("third")), alert(6, facts("fourth"))])
    assert journal.prediction_count == 3
