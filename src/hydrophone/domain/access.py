"""Who may ask what: tokens, of which only a digest is known here, and how often somebody may ask."""

import hmac
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final

from hydrophone.domain.units import UnixMicros

TOKEN_PREFIX: Final = "hydrophone_"  # noqa: S105 -- no secret: by it scanners recognise one that leaked
_S_PER_MINUTE: Final = 60.0


class Scope(StrEnum):
    """What a token is good for."""

    READ = "read"
    ADMIN = "admin"

    def covers(self, needed: "Scope") -> bool:
        """Return whether whoever has this scope may do what needs another one."""
        return self is needed or self is Scope.ADMIN


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token.

    Attributes:
        token_id: names it where its text must not appear.
        name: what its owner calls it.
        scope: what it is good for.
        digest: SHA-256 of its text, in hex. Its text has 256 bits of chance, so that a plain digest is as
            hard to turn back as a slow one.
        created_at: when it was made.
        expires_at: from when on it is good for nothing; None: it stays good.
    """

    token_id: str
    name: str
    scope: Scope
    digest: str
    created_at: UnixMicros
    expires_at: UnixMicros | None = None

    def is_over(self, now: UnixMicros) -> bool:
        """Return whether it is good for nothing any more."""
        return self.expires_at is not None and now >= self.expires_at


def digest_of_token(text: str) -> str:
    """Return what is kept of a token's text."""
    return sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def find_token(tokens: Iterable[Token], text: str) -> Token | None:
    """Return the token with this text, over or not; None: there is none.

    It compares with all of them, each in constant time, so that the time it takes tells nothing.
    """
    digest = digest_of_token(text)
    found = None
    for token in tokens:
        if hmac.compare_digest(token.digest, digest):
            found = token
    return found


class RateLimiter:
    """Says how long somebody has to wait who asks too often: a bucket each, which fills again steadily.

    Args:
        per_minute: how often somebody may ask in the long run; 0: as often as they like.
        burst: how often at once, at least one.
        most_known: askers remembered; beyond, who was quiet longest is forgotten (and may ask again).
    """

    def __init__(self, per_minute: float, burst: int, *, most_known: int = 10_000) -> None:
        self._per_s = per_minute / _S_PER_MINUTE
        self._burst = burst
        self._most_known = most_known
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, who: str, now_s: float) -> float:
        """Count a question; return 0 when it may be answered, else after how many seconds the next may.

        Args:
            who: asks.
            now_s: of a clock that never jumps.
        """
        if self._per_s <= 0:
            return 0.0
        left, at_s = self._known.pop(who, (float(self._burst), now_s))
        left = min(float(self._burst), left + (now_s - at_s) * self._per_s)
        is_allowed = left >= 1
        self._known[who] = (left - 1 if is_allowed else left, now_s)
        if len(self._known) > self._most_known:
            self._known.popitem(last=False)
        return 0.0 if is_allowed else (1 - left) / self._per_s
