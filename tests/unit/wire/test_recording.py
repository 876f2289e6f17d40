import json
from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hydrophone.domain.units import micros_from_datetime
from hydrophone.errors import MalformedMessage
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.wire.mempool_space import SUBSCRIPTIONS
from hydrophone.wire.recording import RecordedFrame, encode_recorded_frame, parse_recorded_frame
from tests.builders import START

SOURCE = "a recording"
FIRST_BLOCK_AT = micros_from_datetime(datetime(2009, 1, 3))  # noqa: DTZ001 -- a naive one is UTC
YEAR_2100 = micros_from_datetime(datetime(2100, 1, 1))  # noqa: DTZ001 -- a naive one is UTC

instants = st.integers(FIRST_BLOCK_AT, YEAR_2100)
payloads = st.binary(max_size=60) | st.text(max_size=60).map(str.encode)
connections = st.builds(
    RecordedFrame,
    st.text(max_size=5),
    st.builds(
        Frame,
        instants,
        st.just(SOURCE),
        st.sampled_from([FrameKind.OPENED, FrameKind.SENT, FrameKind.RECEIVED, FrameKind.CLOSED]),
        payloads,
        is_simulated=st.booleans(),
    ),
)
answers = st.builds(
    RecordedFrame,
    st.just(""),
    st.builds(
        Frame,
        instants,
        st.just(SOURCE),
        st.just(FrameKind.ANSWERED),
        payloads,
        st.text(max_size=20),
        st.integers(0, 599),
    ),
)


def parse(line: bytes | str | dict[str, object]) -> RecordedFrame:
    if isinstance(line, dict):
        line = json.dumps(line)
    return parse_recorded_frame(line.encode() if isinstance(line, str) else line, SOURCE)


@given(connections | answers)
@example(RecordedFrame("", Frame(START, SOURCE, FrameKind.ANSWERED, b"\xff\xfe", "/api/tx/x", 502)))
@example(RecordedFrame("", Frame(START, SOURCE, FrameKind.ANSWERED, b'{"a": 1}', "/api/tx/x", 200)))
@example(RecordedFrame("", Frame(START, SOURCE, FrameKind.ANSWERED, b'"quoted"', "", 0)))
@example(RecordedFrame("all", Frame(START, SOURCE, FrameKind.RECEIVED, b"\xff")))
@example(RecordedFrame("all", Frame(START, SOURCE, FrameKind.OPENED, b"ws://host/\xff", is_simulated=True)))
def test_what_is_written_reads_the_same(recorded: RecordedFrame) -> None:
    line = encode_recorded_frame(recorded)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert parse(line) == recorded


@given(instants)
def test_instants_are_exact_to_the_microsecond(at: int) -> None:
    line = encode_recorded_frame(RecordedFrame("all", Frame(at, SOURCE, FrameKind.RECEIVED, b"{}")))
    assert parse(line).frame.at == at


def test_lines_are_spelled_as_documented() -> None:
    frames = [
        RecordedFrame("all", Frame(START, SOURCE, FrameKind.OPENED, b"ws://h/", is_simulated=True)),
        RecordedFrame("all", Frame(START + 1, SOURCE, FrameKind.SENT, b'{"track-mempool":true}')),
        RecordedFrame("all", Frame(START + 2, SOURCE, FrameKind.RECEIVED, b"{}")),
        RecordedFrame("all", Frame(START + 3, SOURCE, FrameKind.RECEIVED, b"\xff")),
        RecordedFrame("all", Frame(START + 4, SOURCE, FrameKind.CLOSED, b"timed out")),
        RecordedFrame("", Frame(START + 5, SOURCE, FrameKind.ANSWERED, b"{}", "/api/tx/x", 200)),
    ]
    assert [json.loads(encode_recorded_frame(frame)) for frame in frames] == [
        {"t": 1790000000.0, "conn": "all", "dir": "open", "url": "ws://h/", "simulated": True},
        {"t": 1790000000.000001, "conn": "all", "dir": "out", "raw": '{"track-mempool":true}'},
        {"t": 1790000000.000002, "conn": "all", "dir": "in", "raw": "{}"},
        {"t": 1790000000.000003, "conn": "all", "dir": "in", "raw_base64": "/w=="},
        {"t": 1790000000.000004, "conn": "all", "dir": "close", "raw": "timed out"},
        {"t": 1790000000.000005, "path": "/api/tx/x", "status": 200, "body": "{}"},
    ]


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        ({"body": '{"a": "\N{SNOWMAN}"}'}, '{"a": "\N{SNOWMAN}"}'.encode()),
        ({"body": {"a": [1, 2.5]}}, b'{"a": [1, 2.5]}'),
        ({"body": ""}, b""),
        ({}, b""),
    ],
)
def test_a_line_of_a_rest_log_is_an_answer(body: dict[str, object], payload: bytes) -> None:
    """Such a log has neither connection nor `dir`, but headers and how long it took."""
    line = {"t": 1795337462.099989, "ms": 3.8, "path": "/api/tx/x", "status": 404, "headers": {"A": "b"}}
    answer = Frame(1795337462099989, SOURCE, FrameKind.ANSWERED, payload, "/api/tx/x", 404)
    assert parse({**line, **body}) == RecordedFrame("", answer)


def test_an_answer_without_a_status_never_came() -> None:
    assert parse({"t": 1, "path": "/api/tx/x"}).frame.status == 0


def test_unknown_keys_are_passed_over() -> None:
    frame = parse({"t": 1, "conn": "a", "dir": "in", "len": 2, "raw": "{}", "new": [{}]}).frame
    assert frame == Frame(1_000_000, SOURCE, FrameKind.RECEIVED, b"{}")


def test_a_connection_may_have_no_name() -> None:
    assert parse({"t": 1, "dir": "in", "raw": "{}"}).conn == ""


@pytest.mark.parametrize(
    ("line", "tracks_mempool"),
    [
        ({"dir": "out", "raw": SUBSCRIPTIONS[1].decode()}, True),
        ({"dir": "out", "raw": '{"action": "want", "track-mempool": true}'}, True),
        ({"dir": "out", "raw": SUBSCRIPTIONS[0].decode()}, False),
        ({"dir": "out", "raw": '{"track-mempool":false}'}, False),
        ({"dir": "out", "raw": '{"track-mempool-txids":true}'}, False),
        ({"dir": "in", "raw": '{"track-mempool":true}'}, False),
    ],
)
def test_a_subscription_to_the_mempool_is_recognised(
    line: dict[str, object], *, tracks_mempool: bool
) -> None:
    assert parse({"t": 1, **line}).tracks_mempool is tracks_mempool


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"[]",
        b"null",
        b"not JSON",
        b"\xff",
        b'{"t":1,"dir":"in","raw":"\xff"}',
        b'{"t":1,"dir":"in","raw":"\\ud800"}',
        b'{"dir":"in","raw":"{}"}',
        b'{"t":"1","dir":"in"}',
        b'{"t":null,"dir":"in"}',
        b'{"t":-1,"dir":"in"}',
        b'{"t":1e300,"dir":"in"}',
        b'{"t":1e308,"dir":"in"}',
        b'{"t":1e400,"dir":"in"}',
        b'{"t":253402300800,"dir":"in"}',
        b'{"t":1}',
        b'{"t":1,"dir":"sideways"}',
        b'{"t":1,"dir":"in","raw":{}}',
        b'{"t":1,"dir":"in","raw_base64":"%"}',
        b'{"t":1,"dir":"in","raw_base64":"/w="}',
        b'{"t":1,"dir":"in","raw_base64":"\xc3\xa9"}',
        b'{"t":1,"path":1}',
        b'{"t":1,"path":"/x","status":"200"}',
        b'{"t":1,"path":"/x","body":"\\ud800"}',
        b'{"t":1,"path":"/x","body":' + b"[" * 1_000_000,
        b'{"t":1,"x":' + b"[" * 1_000_000,
    ],
    ids=lambda line: repr(line[:60]),
)
def test_a_line_of_another_kind_is_malformed(line: bytes) -> None:
    with pytest.raises(MalformedMessage, match="expected a line such as"):
        parse(line)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_malformed(line: bytes) -> None:
    try:
        parse(line)
    except MalformedMessage:
        return


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=3,
)


kinds = st.sampled_from([*FrameKind, "sideways"])
other_keys = ("conn", "url", "raw", "raw_base64", "path", "status", "body", "simulated")


@given(
    st.fixed_dictionaries(
        {"t": st.floats() | st.integers(), "dir": kinds | json_values},
        optional=dict.fromkeys(other_keys, json_values),
    )
)
def test_any_json_under_the_known_keys_is_a_frame_or_malformed(line: dict[str, object]) -> None:
    try:
        recorded = parse(line)
    except MalformedMessage:
        return
    assert encode_recorded_frame(recorded)
