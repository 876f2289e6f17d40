"""Where malformed bytes wait for somebody to look at them."""

from collections import deque
from dataclasses import dataclass
from typing import Final

_EXCERPT_BYTES: Final = 400
"""# chosen: enough to recognise what it was, little enough to keep many."""


@dataclass(frozen=True, slots=True)
class Specimen:
    """The beginning of something malformed.

    Attributes:
        at: Unix microseconds, when it was received.
        source: name of the link.
        reason: what was expected and what was found.
        excerpt: its first bytes.
        length: of all of it, in bytes.
    """

    at: int
    source: str
    reason: str
    excerpt: bytes
    length: int


class Quarantine:
    """Counts everything malformed and keeps the newest specimens.

    Args:
        limit: how many specimens are kept.
    """

    def __init__(self, limit: int = 32) -> None:
        self.count = 0
        self.specimens: deque[Specimen] = deque(maxlen=limit)

    def clear(self) -> int:
        """Forget the specimens, and return how many there were; the count goes on."""
        count = len(self.specimens)
        self.specimens.clear()
        return count

    def add(self, at: int, source: str, reason: str, payload: bytes) -> None:
        """Count one and keep its beginning; the oldest gives way."""
        self.count += 1
        self.specimens.append(Specimen(at, source, reason, bytes(payload[:_EXCERPT_BYTES]), len(payload)))
