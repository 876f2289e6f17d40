"""Replays a recording: its frames, in their order, without waiting."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from hydrophone.errors import MalformedMessage, SourceRejected, SourceUnavailable
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.wire.recording import RecordedFrame, parse_recorded_frame

_GZIP_MAGIC: Final = b"\x1f\x8b"
"""Sources: RFC 1952, section 2.3.1."""


class RecordingLink:
    """Frames of one connection of a recording.

    Args:
        path: the file.
        source: name given to the link.
        conn: which connection; None: the first that subscribed to the mempool, else every line. REST answers
            belong to each.
        on_malformed: told the line number and what is wrong with it; the line is skipped.
        on_read: told how many bytes were read, for a progress bar.
    """

    def __init__(
        self,
        path: Path,
        *,
        source: str,
        conn: str | None = None,
        on_malformed: Callable[[int, str], None] = lambda _line, _reason: None,
        on_read: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._path = path
        self._source = source
        self._conn = conn
        self._on_malformed = on_malformed
        self._on_read = on_read

    def frames(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            SourceUnavailable: the file cannot be read.
            SourceRejected: it holds no frame of that connection.
        """
        conn = self._conn if self._conn is not None else self._find_subscriber()
        is_empty = True
        for number, line in self._lines():
            self._on_read(len(line))
            try:
                recorded = parse_recorded_frame(line, self._source)
            except MalformedMessage as error:
                self._on_malformed(number, str(error))
                continue
            if conn is None or recorded.conn == conn:
                is_empty = False
                yield recorded.frame
            elif recorded.frame.kind is FrameKind.ANSWERED:  # belongs to whichever connection is replayed
                yield recorded.frame
        if is_empty:
            which = "" if conn is None else f" of connection {conn!r}"
            raise SourceRejected(f"{self._path} holds no frame{which}: is it a recording?")

    def _find_subscriber(self) -> str | None:
        for _, line in self._lines():
            recorded = self._parse_quietly(line)
            if recorded is not None and recorded.tracks_mempool:
                return recorded.conn
        return None

    def _parse_quietly(self, line: bytes) -> RecordedFrame | None:
        try:
            return parse_recorded_frame(line, self._source)
        except MalformedMessage:
            return None

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        try:
            with self._open() as lines:
                yield from ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SourceUnavailable(f"cannot read the recording {self._path}: {reason}") from error

    def _open(self) -> BinaryIO:
        """Open the file, through gzip when its first bytes say so."""
        with self._path.open("rb") as file:
            is_packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        return cast("BinaryIO", gzip.open(self._path)) if is_packed else self._path.open("rb")
