import json
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.errors import MalformedMessage, UnsupportedMessage
from hydrophone.wire.socket_v1 import (
    EVERYTHING,
    Authenticate,
    FiltersV1,
    Ping,
    ResyncRequiredV1,
    Subscribe,
    Unsubscribe,
    build_schema,
    encode_authenticated,
    encode_client_message,
    encode_error,
    encode_lagged,
    encode_pong,
    encode_resync_required,
    encode_schema,
    encode_subscribed,
    encode_unsubscribed,
    parse_client_message,
    parse_server_message,
)
from tests.builders import START
from tests.said import alert, amendment, facts, notice, update

SNAPSHOT: Final = Path(__file__).parents[2] / "snapshots" / "socket_v1.json"
PUBLIC: Final = SNAPSHOT.with_name("public_v1.json")
HOW_TO_GO_ON: Final = """
The conversation on the websocket is not what tests/snapshots/socket_v1.json says. Clients depend on it:
- only added something: that is a minor change; take it over by
      python -m tests.unit.wire.test_socket_v1
  and say so in CHANGELOG.md;
- renamed or removed something, or changed a type: that is a new version. Leave socket_v1 as it was and
  make socket_v2 beside it.
"""
START_TEXT: Final = "2026-09-21T14:13:20.000000Z"
NO_FILTERS: Final[dict[str, Any]] = {
    "min_btc_value": None,
    "min_moved_btc": None,
    "flow_types": None,
    "min_urgency": None,
    "min_confidence": None,
    "exchanges": None,
    "include_updates": True,
}


# --- what a client says


@pytest.mark.parametrize("raw", ['{"type":"ping"}', b'{"type":"ping"}', '{"type":"ping","id":[{}]}'])
def test_a_ping_is_understood(raw: bytes | str) -> None:
    assert parse_client_message(raw) == Ping()


def test_a_subscription_is_understood_and_its_filter_brought_into_its_normal_form() -> None:
    raw = """{"type":"subscribe","id":"mine","since":7,"filters":{
        "min_btc_value":500,"min_moved_btc":0,"flow_types":["unknown","inflow","inflow"],
        "exchanges":["Huobi","HTX","Bin ance"],"include_updates":false}}"""
    assert parse_client_message(raw) == Subscribe(
        id="mine",
        since=7,
        filters=FiltersV1(
            min_btc_value=500.0,
            flow_types=("inflow", "unknown"),
            exchanges=("binance", "htx"),
            include_updates=False,
        ),
    )


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"min_btc_value": 0, "min_urgency": 0.0},
        {"flow_types": ["inflow", "outflow", "internal", "unknown"]},
        {"exchanges": None, "include_updates": True},
    ],
)
def test_a_filter_that_lets_everything_through_is_spelled_as_none(filters: dict[str, Any]) -> None:
    said = parse_client_message(json.dumps({"type": "subscribe", "filters": filters}))
    assert said == Subscribe(filters=EVERYTHING)


def test_other_messages_are_understood() -> None:
    assert parse_client_message('{"type":"unsubscribe","id":3}') == Unsubscribe(id=3)
    assert parse_client_message('{"type":"authenticate","token":"abc"}') == Authenticate(token="abc")


@pytest.mark.parametrize("kind", ["publish", "", "PING", "x" * 60_000])
def test_another_type_is_unsupported_and_the_answer_is_short(kind: str) -> None:
    with pytest.raises(UnsupportedMessage, match="expected one of authenticate, ping, subscribe") as caught:
        parse_client_message(json.dumps({"type": kind}))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"type":1}',
        '{"type":null}',
        b"\xff",
        b'{"type":"\xff"}',
        "\ud800",
        '{"type":"\\ud800"}',
        "[" * 60_000,
        '{"x":' + "[" * 60_000,
        '{"type":' + "[" * 60_000,
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_anything_else_is_malformed(raw: bytes | str) -> None:
    with pytest.raises(MalformedMessage, match="expected a JSON object such as"):
        parse_client_message(raw)


@pytest.mark.parametrize(
    ("subscription", "where"),
    [
        ({"filters": {"min_btc": 5}}, "unknown field `min_btc`"),
        ({"filter": {"min_btc_value": 5}}, "unknown field `filter`"),
        ({"filters": {"min_btc_value": -1}}, r"\$\.filters\.min_btc_value"),
        ({"filters": {"min_btc_value": "5"}}, r"\$\.filters\.min_btc_value"),
        ({"filters": {"min_urgency": 1.01}}, r"\$\.filters\.min_urgency"),
        ({"filters": {"flow_types": []}}, r"\$\.filters\.flow_types"),
        ({"filters": {"flow_types": ["in"]}}, r"\$\.filters\.flow_types"),
        ({"filters": {"exchanges": ["x"] * 101}}, r"\$\.filters\.exchanges"),
        ({"filters": {"exchanges": ["x" * 101]}}, r"\$\.filters\.exchanges"),
        ({"filters": {"exchanges": ["!?"]}}, "names of exchanges"),
        ({"filters": None}, r"\$\.filters"),
        ({"since": -1}, r"\$\.since"),
        ({"since": 1.5}, r"\$\.since"),
        ({"since": 2**53 + 1}, r"\$\.since"),
        ({"id": "x" * 129}, r"\$\.id"),
        ({"id": 2**70}, r"\$\.id"),
    ],
)
def test_a_subscription_with_a_mistake_is_refused_and_the_mistake_is_named(
    subscription: dict[str, Any], where: str
) -> None:
    with pytest.raises(MalformedMessage, match=where):
        parse_client_message(json.dumps({"type": "subscribe", **subscription}))


def test_a_refused_token_is_not_repeated() -> None:
    with pytest.raises(MalformedMessage) as caught:
        parse_client_message(json.dumps({"type": "authenticate", "token": ["secret"]}))
    assert "secret" not in str(caught.value)


scalars = (
    st.none()
    | st.booleans()
    | st.floats(-1, 2)
    | st.lists(st.sampled_from(["inflow", "unknown", "in", "", "Kraken", "!"]), max_size=3)
    | st.text(max_size=3)
)
SUBSCRIBE_SCHEMA: Final = jsonschema_rs.validator_for(
    {"$ref": "#/$defs/Subscribe", "$defs": build_schema()["$defs"]}
)
names = st.text(min_size=1, max_size=20).filter(lambda name: any(c.isalnum() for c in name))
filters = st.builds(
    FiltersV1,
    min_btc_value=st.none() | st.floats(0, 1e6),
    min_moved_btc=st.none() | st.floats(0, 1e6),
    flow_types=st.none()
    | st.lists(st.sampled_from(["inflow", "outflow", "internal", "unknown"]), min_size=1).map(tuple),
    min_urgency=st.none() | st.floats(0, 1),
    min_confidence=st.none() | st.floats(0, 1),
    exchanges=st.none() | st.lists(names, min_size=1, max_size=5).map(tuple),
    include_updates=st.booleans(),
)


@given(filters)
def test_the_normal_form_is_its_own_normal_form(filters: FiltersV1) -> None:
    normal = filters.normalised()
    assert normal.normalised() == normal
    assert hash(normal.normalised()) == hash(normal)


@given(filters, st.none() | st.text(max_size=128) | st.integers(0, 2**53), st.none() | st.integers(0, 2**53))
def test_what_a_client_encodes_is_what_a_service_understands(
    filters: FiltersV1, subscription_id: str | int | None, since: int | None
) -> None:
    said = Subscribe(id=subscription_id, filters=filters.normalised(), since=since)
    assert parse_client_message(encode_client_message(said)) == said


@given(st.binary(max_size=100) | st.text(max_size=100))
def test_any_message_is_understood_unsupported_or_malformed(raw: bytes | str) -> None:
    try:
        assert isinstance(parse_client_message(raw), Ping | Unsubscribe | Subscribe | Authenticate)
    except (UnsupportedMessage, MalformedMessage):
        return


# --- what one client is told


SUBSCRIPTION: Final = Subscribe(id=1, filters=FiltersV1(min_btc_value=500.0), since=7)


@pytest.mark.parametrize(
    ("message", "kind", "data"),
    [
        (
            encode_subscribed(SUBSCRIPTION, 9, START),
            "subscribed",
            {"id": 1, "filters": {**NO_FILTERS, "min_btc_value": 500.0}, "since": 7, "seq": 9},
        ),
        (encode_unsubscribed(Unsubscribe(id="a"), START), "unsubscribed", {"id": "a"}),
        (
            encode_resync_required(ResyncRequiredV1(None, "too_old", 7, 9), START),
            "resync_required",
            {"id": None, "reason": "too_old", "since": 7, "seq": 9},
        ),
        (encode_lagged(3, START), "lagged", {"n": 3}),
        (encode_pong(9, START), "pong", {"seq": 9}),
        (encode_authenticated(START), "authenticated", {}),
        (encode_error("malformed", "no", START), "error", {"code": "malformed", "message": "no"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_answers_have_these_keys_in_this_order_and_no_seq(
    message: bytes, kind: str, data: dict[str, object]
) -> None:
    expected = {"type": kind, "data": data, "timestamp": START_TEXT}
    assert json.dumps(json.loads(message)) == json.dumps(expected)
    understood = parse_server_message(message)
    assert msgspec.json.encode(understood) == message


def test_a_message_of_a_later_version_is_passed_over() -> None:
    assert parse_server_message('{"type":"weather","data":{},"timestamp":"now"}') is None


@pytest.mark.parametrize("raw", ["", "[]", "{}", '{"type":"pong"}', '{"type":"pong","data":{"seq":"1"}}'])
def test_a_message_that_breaks_the_schema_is_malformed(raw: str) -> None:
    with pytest.raises(MalformedMessage, match=r"schemas/websocket\.json"):
        parse_server_message(raw)


# --- the schema


def plain_schema() -> dict[str, Any]:
    """Return the schema without its descriptions."""
    schema = build_schema()
    for part in schema["$defs"].values():
        part.pop("description", None)
    return schema


def conversation() -> str:
    """Return what clients may rely on beside what is in the other snapshot."""
    schema = plain_schema()
    public = json.loads(PUBLIC.read_text(encoding="utf-8"))
    schema["$defs"] = {name: part for name, part in schema["$defs"].items() if name not in public}
    return json.dumps(schema, indent=2) + "\n"


def test_the_schema_is_the_one_in_the_snapshot() -> None:
    assert conversation() == SNAPSHOT.read_text(encoding="utf-8"), HOW_TO_GO_ON


def test_the_schema_describes_alerts_as_the_snapshot_of_the_public_schema_does() -> None:
    public = PUBLIC.read_text(encoding="utf-8").replace("#/components/schemas/", "#/$defs/")
    parts = plain_schema()["$defs"]
    for name, part in json.loads(public).items():
        assert parts[name] == part, name


def test_the_schema_refers_to_nothing_that_it_lacks_and_describes_every_part() -> None:
    served = encode_schema().decode()
    schema = json.loads(served)
    referred = {part.split('"')[0] for part in served.split('"#/$defs/')[1:]}
    assert referred == set(schema["$defs"])
    assert [name for name, part in schema["$defs"].items() if not part.get("description")] == []


@pytest.mark.parametrize(
    "message",
    [
        alert(1),
        update(2),
        amendment(3, facts()),
        notice(),
        encode_subscribed(SUBSCRIPTION, 9, START),
        encode_unsubscribed(Unsubscribe(id="a"), START),
        encode_resync_required(ResyncRequiredV1(None, "too_old", 7, 9), START),
        encode_lagged(3, START),
        encode_pong(None, START),
        encode_authenticated(START),
        encode_error("malformed", "no", START),
        encode_client_message(SUBSCRIPTION),
        encode_client_message(Subscribe(filters=FiltersV1(exchanges=("htx",), flow_types=("inflow",)))),
        encode_client_message(Unsubscribe()),
        encode_client_message(Ping()),
        encode_client_message(Authenticate(token="abc")),
    ],
    ids=lambda message: json.loads(message)["type"],
)
def test_what_is_said_is_as_the_schema_says_in_the_eyes_of_another_library(message: bytes) -> None:
    schema = jsonschema_rs.validator_for(build_schema())
    assert schema.is_valid(json.loads(message)), [
        str(error) for error in schema.iter_errors(json.loads(message))
    ]


@given(
    st.dictionaries(
        st.sampled_from(["min_btc_value", "flow_types", "exchanges", "min_urgency", "x"]), scalars
    )
)
def test_what_a_service_understands_is_what_the_schema_allows(chosen: dict[str, Any]) -> None:
    said = {"type": "subscribe", "filters": chosen}
    try:
        parse_client_message(json.dumps(said))
        is_understood = True
    except MalformedMessage as error:
        is_understood = "names of exchanges" in str(error)  # that one has letters no schema can ask for
    assert SUBSCRIBE_SCHEMA.is_valid(said) == is_understood


if __name__ == "__main__":
    SNAPSHOT.write_text(conversation(), encoding="utf-8")
