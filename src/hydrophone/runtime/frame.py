"""A raw frame: what a link hears, before anybody has understood it."""

from dataclasses import dataclass
from enum import StrEnum


class FrameKind(StrEnum):
    """What happened on a connection. The values are the recording's `dir`."""

    OPENED = "open"
    SENT = "out"
    RECEIVED = "in"
    CLOSED = "close"
    ANSWERED = "rest"
    """A REST answer; `path` and `status` say to what and how (status 0: none came)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One thing that happened on a link.

    Attributes:
        at: Unix microseconds, when it was received.
        source: name of the link.
        kind: what happened.
        payload: the bytes as they came (opened: the URL; closed: the reason).
        path: of a REST answer.
        status: HTTP status of a REST answer; 0 when none came.
        is_simulated: whether the peer calls itself a simulation (opened only).
    """

    at: int
    source: str
    kind: FrameKind
    payload: bytes = b""
    path: str = ""
    status: int = 0
    is_simulated: bool = False
