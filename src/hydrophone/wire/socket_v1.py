"""The conversation on the alert websocket, version 1: what a client may say, and what it alone is answered.

The rules of `public_v1` hold. What a client says is read strictly: a filter whose name is misspelled would
otherwise filter nothing. `encode_schema` writes all of it, both directions, as JSON Schema.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from hydrophone.domain.entity_names import entity_key
from hydrophone.domain.units import UnixMicros, format_instant
from hydrophone.errors import MalformedMessage, UnsupportedMessage
from hydrophone.wire.public_v1 import ConnectionMessage, Envelope, StatusUpdateMessage, WhaleAlertMessage

MAX_MESSAGE_BYTES: Final = 65_536
"""Of a client's message. Sources: the public interface, limits of the alert websocket."""

_MOST_EXCHANGES: Final = 100
"""# chosen: more than have ever been labelled with care; a filter is compared with every alert."""
_LONGEST_NAME: Final = 100
_LONGEST_ID: Final = 128
_MOST_EXACT: Final = 2**53
"""What every JSON parser reads exactly. Sources: RFC 8259, section 6."""

FlowTypeV1 = Literal["inflow", "outflow", "internal", "unknown"]
SubscriptionId = (
    Annotated[str, Meta(max_length=_LONGEST_ID)] | Annotated[int, Meta(ge=0, le=_MOST_EXACT)] | None
)
"""What a client calls its subscription; it is repeated in the answer."""

_Amount = Annotated[float, Meta(ge=0)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Name = Annotated[str, Meta(min_length=1, max_length=_LONGEST_NAME)]
_Seq = Annotated[int, Meta(ge=0, le=_MOST_EXACT)]


class FiltersV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which alerts are wanted: those that meet every condition. null: no condition.

    Attributes:
        min_btc_value: at least so much, sum of the outputs.
        min_moved_btc: at least so much, net of change and of what stays inside one exchange.
        flow_types: one of these.
        min_urgency: at least so urgent; an alert whose urgency is unknown does not meet it.
        min_confidence: at least so sure.
        exchanges: one of these is on either side; spellings of one name are one exchange.
        include_updates: whether `status_update` is wanted too. It comes to whom the alert came, or would
            have come, in any version up to then.
    """

    min_btc_value: _Amount | None = None
    min_moved_btc: _Amount | None = None
    flow_types: Annotated[tuple[FlowTypeV1, ...], Meta(min_length=1)] | None = None
    min_urgency: _Share | None = None
    min_confidence: _Share | None = None
    exchanges: Annotated[tuple[_Name, ...], Meta(min_length=1, max_length=_MOST_EXCHANGES)] | None = None
    include_updates: bool = True

    def normalised(self) -> "FiltersV1":
        """Return the filter that lets the same through and is spelled as all such are.

        Raises:
            MalformedMessage: an exchange has neither letter nor digit.
        """
        exchanges = None if self.exchanges is None else {name: entity_key(name) for name in self.exchanges}
        for name, key in (exchanges or {}).items():
            if not key:
                raise MalformedMessage(f"expected names of exchanges, found {name!r}")
        flow_types = None if self.flow_types is None else tuple(sorted(set(self.flow_types)))
        return FiltersV1(
            min_btc_value=self.min_btc_value or None,
            min_moved_btc=self.min_moved_btc or None,
            flow_types=None if flow_types == _ALL_FLOW_TYPES else flow_types,
            min_urgency=self.min_urgency or None,
            min_confidence=self.min_confidence or None,
            exchanges=None if exchanges is None else tuple(sorted(set(exchanges.values()))),
            include_updates=self.include_updates,
        )


_ALL_FLOW_TYPES: Final = ("inflow", "internal", "outflow", "unknown")
EVERYTHING: Final = FiltersV1()
"""What a client gets that says nothing."""


# --- what a client says


class ClientMessage(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What a client may send: a JSON object with `type`."""


class Subscribe(ClientMessage, frozen=True, kw_only=True, tag="subscribe", forbid_unknown_fields=True):
    """From now on send only this; a second one replaces the first.

    `since` is the `seq` up to which the client has everything: what came later is sent first. null: from now.
    """

    id: SubscriptionId = None
    filters: FiltersV1 = EVERYTHING
    since: _Seq | None = None


class Unsubscribe(ClientMessage, frozen=True, kw_only=True, tag="unsubscribe"):
    """Send no alerts and updates any more; `connection` still comes."""

    id: SubscriptionId = None


class Ping(ClientMessage, frozen=True, kw_only=True, tag="ping"):
    """Say up to where I have everything."""


class Authenticate(ClientMessage, frozen=True, kw_only=True, tag="authenticate"):
    """The first message where a token is needed and the client sets no header (`Authorization: Bearer`)."""

    token: Annotated[str, Meta(min_length=1, max_length=1024)]


ClientSays = Subscribe | Unsubscribe | Ping | Authenticate


class _Kind(msgspec.Struct, frozen=True):
    type: str


_decode_kind: Final = msgspec.json.Decoder(_Kind).decode
_decode_said: Final[Callable[[bytes | str], ClientSays]] = msgspec.json.Decoder(ClientSays).decode
CLIENT_TYPES: Final = ("authenticate", "ping", "subscribe", "unsubscribe")
_EXAMPLE: Final = (
    '{"type":"subscribe","id":1,"filters":{"min_btc_value":500,"flow_types":["inflow"]},"since":1234}'
)


def parse_client_message(raw: bytes | str) -> ClientSays:
    """Return what a client said, a filter in its normal form.

    Raises:
        MalformedMessage: no JSON object with a text `type`, or a field is not as it should be.
        UnsupportedMessage: a type we do not understand.
    """
    try:
        kind = _decode_kind(raw).type
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedMessage(f'expected a JSON object such as {{"type":"ping"}}: {error}') from error
    if kind not in CLIENT_TYPES:
        raise UnsupportedMessage(f"expected one of {', '.join(CLIENT_TYPES)}, found {kind[:40]!r}")
    try:
        said = _decode_said(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        where = "" if kind == "authenticate" else f", such as {_EXAMPLE}"
        raise MalformedMessage(f"{kind}: {error}; see /schemas/websocket.json{where}") from error
    if isinstance(said, Subscribe):
        return Subscribe(id=said.id, filters=said.filters.normalised(), since=said.since)
    return said


# --- what one client is told


class SubscribedV1(msgspec.Struct, frozen=True):
    """What is sent from now on.

    Attributes:
        id: as the client called it.
        filters: in their normal form.
        since: what came after it follows; null: only what is new.
        seq: index of the newest entry of the record at this moment.
    """

    id: SubscriptionId
    filters: FiltersV1
    since: int | None
    seq: int


class UnsubscribedV1(msgspec.Struct, frozen=True):
    """No alerts and updates come any more."""

    id: SubscriptionId


class ResyncRequiredV1(msgspec.Struct, frozen=True):
    """What came after `since` cannot be sent, at least not all of it; what comes after `seq` will be.

    `reason`: `too_old` (too far back), `not_kept` (retention has removed what was said), `ahead` (the record
    does not reach so far: it is another one), `unavailable` (it cannot be read just now). There may be more.
    """

    id: SubscriptionId
    reason: str
    since: int
    seq: int


class PongV1(msgspec.Struct, frozen=True):
    """All that was wanted up to entry `seq` of the record was sent before this; null: nothing is wanted."""

    seq: int | None


class LaggedV1(msgspec.Struct, frozen=True):
    """So many messages were dropped because the client read too slowly."""

    n: int


class ErrorV1(msgspec.Struct, frozen=True):
    """Why a message of the client was not understood, or not followed.

    `code`: `malformed`, `unsupported_message`, `unauthorized` (then the connection is closed).
    """

    code: str
    message: str


class NothingV1(msgspec.Struct, frozen=True):
    """An empty object."""


class SubscribedMessage(Envelope, frozen=True, kw_only=True, tag="subscribed"):
    """Answers `subscribe`."""

    data: SubscribedV1
    timestamp: str


class UnsubscribedMessage(Envelope, frozen=True, kw_only=True, tag="unsubscribed"):
    """Answers `unsubscribe`."""

    data: UnsubscribedV1
    timestamp: str


class ResyncRequiredMessage(Envelope, frozen=True, kw_only=True, tag="resync_required"):
    """Follows `subscribed`, or breaks off what was being sent again."""

    data: ResyncRequiredV1
    timestamp: str


class PongMessage(Envelope, frozen=True, kw_only=True, tag="pong"):
    """Answers `ping`."""

    data: PongV1
    timestamp: str


class AuthenticatedMessage(Envelope, frozen=True, kw_only=True, tag="authenticated"):
    """Answers `authenticate`."""

    data: NothingV1
    timestamp: str


class LaggedMessage(Envelope, frozen=True, kw_only=True, tag="lagged"):
    """Stands where messages are missing."""

    data: LaggedV1
    timestamp: str


class ErrorMessage(Envelope, frozen=True, kw_only=True, tag="error"):
    """Answers what was not understood; the connection stays."""

    data: ErrorV1
    timestamp: str


ServerSays = (
    WhaleAlertMessage
    | StatusUpdateMessage
    | ConnectionMessage
    | SubscribedMessage
    | UnsubscribedMessage
    | ResyncRequiredMessage
    | PongMessage
    | AuthenticatedMessage
    | LaggedMessage
    | ErrorMessage
)
_encode: Final = msgspec.json.Encoder().encode


def encode_subscribed(said: Subscribe, seq: int, at: UnixMicros) -> bytes:
    """Answer a subscription; `seq` is the newest index now."""
    data = SubscribedV1(said.id, said.filters, said.since, seq)
    return _encode(SubscribedMessage(data=data, timestamp=format_instant(at)))


def encode_unsubscribed(said: Unsubscribe, at: UnixMicros) -> bytes:
    """Answer that no more is sent."""
    return _encode(UnsubscribedMessage(data=UnsubscribedV1(said.id), timestamp=format_instant(at)))


def encode_resync_required(data: ResyncRequiredV1, at: UnixMicros) -> bytes:
    """Say that something cannot be sent again."""
    return _encode(ResyncRequiredMessage(data=data, timestamp=format_instant(at)))


def encode_pong(seq: int | None, at: UnixMicros) -> bytes:
    """Answer a ping: up to which index everything was sent; None: nothing is wanted."""
    return _encode(PongMessage(data=PongV1(seq), timestamp=format_instant(at)))


def encode_authenticated(at: UnixMicros) -> bytes:
    """Answer a good token."""
    return _encode(AuthenticatedMessage(data=NothingV1(), timestamp=format_instant(at)))


def encode_lagged(n: int, at: UnixMicros) -> bytes:
    """Tell a slow client how many messages it lost."""
    return _encode(LaggedMessage(data=LaggedV1(n), timestamp=format_instant(at)))


def encode_error(code: str, message: str, at: UnixMicros) -> bytes:
    """Answer a message that was not understood."""
    return _encode(ErrorMessage(data=ErrorV1(code, message), timestamp=format_instant(at)))


# --- the other end, and the schema

_decode_server: Final[Callable[[bytes | str], ServerSays]] = msgspec.json.Decoder(ServerSays).decode
_SERVER_TYPES: Final = frozenset({str(kind.__struct_config__.tag) for kind in ServerSays.__args__})


def parse_server_message(raw: bytes | str) -> ServerSays | None:
    """Return what a service said; None when it is of a type that a later version added.

    Raises:
        MalformedMessage: it is not as the schema says.
    """
    try:
        return _decode_server(raw) if _decode_kind(raw).type in _SERVER_TYPES else None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedMessage(f"expected a message as /schemas/websocket.json says: {error}") from error


def encode_client_message(said: ClientSays) -> bytes:
    """Return what a client sends."""
    return _encode(said)


def build_schema() -> dict[str, Any]:
    """Return JSON Schema (2020-12) of every message: `ServerMessage` and `ClientMessage` in `$defs`."""
    (server, client), parts = msgspec.json.schema_components(
        [ServerSays, ClientSays], ref_template="#/$defs/{name}"
    )
    definitions = {
        "ServerMessage": {"description": "What the service sends.", **server},
        "ClientMessage": {"description": "What a client may send.", **client},
        **{name: _plain(part) for name, part in parts.items()},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Hydrophone's alert websocket, version 1",
        "anyOf": [{"$ref": "#/$defs/ServerMessage"}, {"$ref": "#/$defs/ClientMessage"}],
        "$defs": definitions,
    }


def encode_schema() -> bytes:
    """Return the schema as it is served."""
    return msgspec.json.format(_encode(build_schema()), indent=1) + b"\n"


def _plain(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part of the schema whose description is one paragraph for people."""
    said = {"description": re.sub(r"\s+", " ", part["description"]).strip()} if "description" in part else {}
    return {**part, **said}
