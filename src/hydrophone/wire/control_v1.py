"""What is said over the control socket: one line of JSON each way."""

from typing import Final

import msgspec

from hydrophone.errors import MalformedMessage


class BackUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="back_up"):
    """Please write a copy of the database.

    Attributes:
        path: absolute, as the service sees the file system.
    """

    path: str


class BackedUp(msgspec.Struct, frozen=True, tag="backed_up"):
    """A copy was written.

    Attributes:
        path: of it.
        size_bytes: of it.
        took_s: to write it.
        record_seq: newest entry of the record in it; 0: there is none.
        record_head: its hash in hex; empty: there is none.
    """

    path: str
    size_bytes: int
    took_s: float
    record_seq: int
    record_head: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Nothing was done.

    Attributes:
        message: what was expected, found, and what to do.
        exit_code: that of the error.
    """

    message: str
    exit_code: int


Answer = BackedUp | Failed
MAX_LINE_BYTES: Final = 64 * 1024
"""# chosen: sixteen of the longest paths."""

_requests: Final = msgspec.json.Decoder(BackUp)
_answers: Final[msgspec.json.Decoder[Answer]] = msgspec.json.Decoder(Answer)
_encoder: Final = msgspec.json.Encoder()


def encode_line(message: BackUp | Answer) -> bytes:
    """Return a message as a line."""
    return _encoder.encode(message) + b"\n"


def parse_request(line: bytes) -> BackUp:
    """Return what is asked for.

    Raises:
        MalformedMessage: it is no such request.
    """
    try:
        return _requests.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedMessage(
            f"expected a request of the control socket, found {line[:80]!r}: {error}"
        ) from error


def parse_answer(line: bytes) -> Answer:
    """Return what was answered.

    Raises:
        MalformedMessage: it is no such answer.
    """
    try:
        return _answers.decode(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedMessage(
            f"expected an answer of the control socket, found {line[:80]!r}: {error}"
        ) from error
