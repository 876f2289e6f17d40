"""Decides who is let in: by token or by being on this machine, and how often. For REST and websocket."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

from hydrophone.domain.access import RateLimiter, Scope, Token, find_token
from hydrophone.errors import ConfigError
from hydrophone.pipeline.ports import Clock
from hydrophone.runtime.telemetry import get_logger

log = get_logger(__name__)

_BEARER: Final = "bearer "
_BURST_S: Final = 10
"""What may be asked at once: what is due in so many seconds. # chosen: a page that loads, not a flood."""
_WRONG_TOKENS_PER_MINUTE: Final = 6
_WRONG_TOKENS_AT_ONCE: Final = 10
"""# chosen: somebody who mistypes is told so; who guesses is slowed down, and tells nobody anything."""
_LONGEST_TOKEN: Final = 512
"""# chosen: ours have 54 characters."""
_UNREADABLE_RETRY_S: Final = 30
"""# chosen: somebody has to mend the file first."""


class AccessDenied(Exception):
    """Somebody is not let in; says why, and never repeats what they sent.

    Attributes:
        status: of HTTP.
        code: for programs.
        hint: what to do about it.
        retry_after_s: when to come back; None: not by waiting.
    """

    def __init__(
        self, status: HTTPStatus, code: str, message: str, hint: str, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.hint = hint
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who was let in.

    Attributes:
        scope: what they may do.
        token_id: of the token they showed; None: they are let in without.
    """

    scope: Scope
    token_id: str | None = None


class Access:
    """Judges who asks.

    Args:
        tokens: those there are, asked anew each time so that a revoked one is refused at once.
        is_open: whether who shows no token is let in: only where nobody but this machine can ask.
        clock: now, for what expires.
        now: seconds of a clock that never jumps, for rates.
        per_minute: questions of one token or address; 0: any number. Without a token this machine itself
            may ask as often as it likes.
    """

    def __init__(
        self,
        tokens: Callable[[], Sequence[Token]],
        *,
        is_open: bool,
        clock: Clock,
        now: Callable[[], float],
        per_minute: int,
    ) -> None:
        self.is_open = is_open
        self.tokens = tokens
        self._trouble: str | None = None
        self._clock = clock
        self._now = now
        self._asked = RateLimiter(per_minute, max(1, per_minute * _BURST_S // 60))
        self._wrong = RateLimiter(_WRONG_TOKENS_PER_MINUTE, _WRONG_TOKENS_AT_ONCE)

    def admit(self, authorization: str | None, address: str, needed: Scope = Scope.READ) -> Caller:
        """Let somebody in by the Authorization header of their request.

        Args:
            authorization: its value; None: there is none.
            address: of who asks.
            needed: what they want to do.

        Raises:
            AccessDenied: they are not let in.
        """
        if authorization is None:
            return self.admit_token(None, address, needed)
        if authorization[: len(_BEARER)].lower() != _BEARER:
            raise self._refused_token(
                address, "malformed_token", "expected Authorization: Bearer and a token"
            )
        return self.admit_token(authorization[len(_BEARER) :].strip(), address, needed)

    def admit_token(self, text: str | None, address: str, needed: Scope = Scope.READ) -> Caller:
        """Let somebody in by the token they show, as in the first message of a websocket.

        Args:
            text: the token; None: they show none.
            address: of who asks.
            needed: what they want to do.

        Raises:
            AccessDenied: they are not let in.
        """
        if text is None:
            if not self.is_open:
                raise AccessDenied(
                    HTTPStatus.UNAUTHORIZED,
                    "token_required",
                    "expected a token, found none",
                    "send Authorization: Bearer TOKEN; `hydrophone token create` makes one",
                )
            if not is_loopback_address(address):
                self._count(f"address {address}")
            return Caller(Scope.ADMIN)
        found = find_token(self._readable(), text) if len(text) <= _LONGEST_TOKEN else None
        if found is None:
            raise self._refused_token(address, "unknown_token", "expected a token of ours, found another one")
        if found.is_over(self._clock()):
            raise self._refused_token(
                address, "expired_token", f"the token {found.token_id} has expired or was revoked"
            )
        if not found.scope.covers(needed):
            raise AccessDenied(
                HTTPStatus.FORBIDDEN,
                "wrong_scope",
                f"expected a token of the scope {needed}, found {found.scope}",
                "make one with `hydrophone token create --scope admin`",
            )
        self._count(f"token {found.token_id}")
        return Caller(found.scope, found.token_id)

    def name_token(self, text: str) -> str:
        """Return what names a token, also one that is none of ours: then it is never among the good ones."""
        try:
            found = find_token(self._readable(), text)
        except AccessDenied:
            found = None
        return "" if found is None else found.token_id

    def good_names(self) -> frozenset[str] | None:
        """Return what names the tokens that are good now; None: the file cannot be read."""
        try:
            tokens = self._readable()
        except AccessDenied:
            return None
        now = self._clock()
        return frozenset(token.token_id for token in tokens if not token.is_over(now))

    def _readable(self) -> Sequence[Token]:
        """Return the tokens; where the file became unreadable nobody is let in, and the rest goes on.

        Raises:
            AccessDenied: they cannot be read. Why is logged once and not told: it names a path.
        """
        try:
            tokens = self.tokens()
        except ConfigError as error:
            if str(error) != self._trouble:
                log.warning("tokens_unreadable", reason=str(error))
            self._trouble = str(error)
            raise AccessDenied(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "tokens_unreadable",
                "the file of tokens cannot be read now",
                "whoever runs the service finds why in its log",
                _UNREADABLE_RETRY_S,
            ) from error
        self._trouble = None
        return tokens

    def _refused_token(self, address: str, code: str, message: str) -> AccessDenied:
        """Return why a token is refused; after many nothing more is told about them."""
        wait_s = self._wrong.wait_s(address, self._now())
        if wait_s > 0:
            return AccessDenied(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_wrong_tokens",
                "too many wrong tokens came from this address",
                "wait as Retry-After says",
                math.ceil(wait_s),
            )
        return AccessDenied(
            HTTPStatus.UNAUTHORIZED, code, message, "`hydrophone token create` makes a new one"
        )

    def _count(self, who: str) -> None:
        wait_s = self._asked.wait_s(who, self._now())
        if wait_s > 0:
            raise AccessDenied(
                HTTPStatus.TOO_MANY_REQUESTS,
                "too_many_requests",
                "more was asked than access.requests_per_minute allows",
                "wait as Retry-After says; ask for more in one answer (limit)",
                math.ceil(wait_s),
            )


def is_loopback_address(address: str) -> bool:
    """Return whether an address is of this machine alone, also as a socket bound to `::` spells it."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback
