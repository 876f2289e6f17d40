"""Recordings: JSON lines, one for each thing that happened on a connection.

`{"t": seconds, "conn": name, "dir": open|out|in|close, "raw": text}`; `open` carries `url`. REST answers have
`path`, `status` and `body` (text, or the JSON it was), and no connection: they belong to whichever is
replayed. What is not UTF-8 keeps its bytes in `raw_base64`.
"""

import base64
from dataclasses import dataclass
from typing import Final

import msgspec

from hydrophone.domain.units import micros_from_seconds, seconds_from_micros
from hydrophone.errors import MalformedMessage
from hydrophone.runtime.frame import Frame, FrameKind

_TRACKS_MEMPOOL: Final = (b'"track-mempool":true', b'"track-mempool": true')


_NO_BODY: Final = msgspec.Raw()


class _Line(msgspec.Struct, omit_defaults=True):
    t: float
    conn: str = ""
    dir: str = ""
    url: str | None = None
    raw: str | None = None
    raw_base64: str | None = None
    path: str | None = None
    status: int | None = None
    body: msgspec.Raw = _NO_BODY
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """A line of a recording.

    Attributes:
        conn: name of its connection; empty when it has none.
        frame: what happened.
    """

    conn: str
    frame: Frame

    @property
    def tracks_mempool(self) -> bool:
        """Whether it subscribes to what we need."""
        return self.frame.kind is FrameKind.SENT and any(t in self.frame.payload for t in _TRACKS_MEMPOOL)


_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode
_decode_text = msgspec.json.Decoder(str).decode


def parse_recorded_frame(line: bytes, source: str) -> RecordedFrame:
    """Return what a line says.

    Args:
        line: one line of a recording.
        source: name given to the frame's link.

    Raises:
        MalformedMessage: it is no such line.
    """
    try:
        parsed = _decode(line)
        at = micros_from_seconds(parsed.t)
        payload = _payload(parsed)
        if parsed.path is not None:
            return RecordedFrame(
                "", Frame(at, source, FrameKind.ANSWERED, payload, parsed.path, parsed.status or 0)
            )
        kind = FrameKind(parsed.dir)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
        raise MalformedMessage(f"expected a line such as {{t, conn, dir, raw}}: {error}") from error
    return RecordedFrame(parsed.conn, Frame(at, source, kind, payload, is_simulated=parsed.simulated))


def encode_recorded_frame(recorded: RecordedFrame) -> bytes:
    """Return the line of a frame, with its newline."""
    frame = recorded.frame
    line = _Line(t=seconds_from_micros(frame.at), conn=recorded.conn, simulated=frame.is_simulated)
    if frame.kind is FrameKind.ANSWERED:
        line.path, line.status = frame.path, frame.status
    else:
        line.dir = frame.kind
    try:
        text = frame.payload.decode()
    except UnicodeDecodeError:
        line.raw_base64 = base64.b64encode(frame.payload).decode()
    else:
        if frame.kind is FrameKind.ANSWERED:
            line.body = msgspec.Raw(_encode(text))
        elif frame.kind is FrameKind.OPENED:
            line.url = text
        else:
            line.raw = text
    return _encode(line) + b"\n"


def _payload(line: _Line) -> bytes:
    if line.raw_base64 is not None:
        return base64.b64decode(line.raw_base64, validate=True)
    body = bytes(line.body)
    if body.startswith(b'"'):
        return _decode_text(body).encode()
    return body or (line.url or line.raw or "").encode()
