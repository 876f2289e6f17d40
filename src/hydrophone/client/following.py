"""Following the alerts over many connections: each entry once, in order. No I/O here.

It remembers up to which index of the record it has everything, and asks each new connection for what came
after. What a connection says before it has answered the subscription is passed over: it comes again.

**Sources**: ADR 23.
"""

from typing import NamedTuple

from hydrophone.errors import RequestRefused
from hydrophone.wire.public_v1 import ConnectionMessage, StatusUpdateMessage, WhaleAlertMessage
from hydrophone.wire.socket_v1 import (
    ErrorMessage,
    FiltersV1,
    LaggedMessage,
    Ping,
    PongMessage,
    ResyncRequiredMessage,
    Subscribe,
    SubscribedMessage,
    encode_client_message,
    parse_server_message,
)

Heard = WhaleAlertMessage | StatusUpdateMessage | ConnectionMessage | ResyncRequiredMessage
"""What a follower hands on."""


class Step(NamedTuple):
    """What follows from a message of the service.

    Attributes:
        heard: to hand on; None: nothing.
        send: to say to the service; None: nothing.
    """

    heard: Heard | None = None
    send: bytes | None = None


class Follower:
    """Follows the alerts.

    Args:
        filters: which are wanted.
        since: index up to which everything is known; None: only what is new is wanted.
    """

    def __init__(self, filters: FiltersV1, since: int | None = None) -> None:
        self.since = since
        self._filters = filters
        self._subscription = 0
        self._is_answered = False
        self._pings_open = 0

    @property
    def is_deaf(self) -> bool:
        """Whether the service left two pings in a row unanswered."""
        return self._pings_open > 1

    def begin(self) -> bytes:
        """Return what to say first on a new connection."""
        self._pings_open = 0
        return self._subscribe()

    def ping(self) -> bytes:
        """Return what to say when nothing came for a while: the answer tells how far everything is known."""
        self._pings_open += 1
        return encode_client_message(Ping())

    def _subscribe(self) -> bytes:
        self._subscription += 1
        self._is_answered = False
        said = Subscribe(id=self._subscription, filters=self._filters, since=self.since)
        return encode_client_message(said)

    def receive(self, raw: bytes | str) -> Step:
        """Take a message of the service.

        Raises:
            MalformedMessage: it is not as the schema says.
            RequestRefused: the service refuses what was asked.
        """
        match parse_server_message(raw):
            case ConnectionMessage() as message:
                return Step(message)
            case WhaleAlertMessage() | StatusUpdateMessage() as message:
                return self._entry(message)
            case SubscribedMessage(data=data) if data.id == self._subscription:
                self._is_answered = True
                self.since = data.seq if self.since is None else self.since
            case ResyncRequiredMessage(data=data) as message if data.id == self._subscription:
                self.since = data.seq
                return Step(message)
            case PongMessage(data=data):
                self._pings_open = 0
                if self._is_answered and data.seq is not None:
                    self.since = max(self.since or 0, data.seq)
            case LaggedMessage():
                return Step(send=self._subscribe())
            case ErrorMessage(data=data):
                raise RequestRefused(f"the service refuses: {data.message}", data.code)
            case _:
                pass
        return Step()

    def _entry(self, message: WhaleAlertMessage | StatusUpdateMessage) -> Step:
        if not self._is_answered or message.seq <= (self.since or 0):
            return Step()
        self.since = message.seq
        return Step(message)
