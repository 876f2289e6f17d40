"""What a request has to get past before anybody looks at what it asks: its host, its origin, who sends it."""

from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import urlsplit

from aiohttp.web import BaseRequest, Response

from hydrophone.domain.access import Scope
from hydrophone.web.access import Access, AccessDenied, Caller, is_loopback_address
from hydrophone.web.loopback import is_allowed_origin, is_loopback_name, parse_host
from hydrophone.web.replies import Refused

_FORWARDED: Final = ("Forwarded", "X-Forwarded-For", "X-Real-Ip")
_LONGEST_ADDRESS: Final = 45
"""Sources: INET6_ADDRSTRLEN less its NUL, POSIX netinet/in.h."""
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # 'self' covers the websocket of the same origin. Sources: CSP 3, "Does url match expression in origin".
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


@dataclass(frozen=True, slots=True)
class Doors:
    """Whom requests may be for and come from, besides this machine.

    Attributes:
        hosts: names in the Host header that are ours. A website that points its own name at this machine
            (DNS rebinding) is refused by that; where a token is needed it would gain nothing.
        origins: of pages that may ask, as browsers spell them.
        is_behind_proxy: a reverse proxy on this machine says in X-Forwarded-For who asks.
    """

    hosts: Collection[str] = ()
    origins: Collection[str] = ()
    is_behind_proxy: bool = False


class AskedHeaders(Protocol):
    """Headers, as a gate reads them."""

    def get(self, key: str, default: str) -> str:
        """Return a header's value."""
        ...

    def getall(self, key: str, default: list[str]) -> list[str]:
        """Return each of its values."""
        ...

    def __contains__(self, key: object) -> bool:
        """Return whether there is such a header."""
        ...


class Asked(Protocol):
    """A request, as far as a gate looks at it: of HTTP, or for a websocket."""

    @property
    def headers(self) -> AskedHeaders:
        """All of them."""
        ...

    @property
    def remote(self) -> str | None:
        """The address it came from."""
        ...


class Gate:
    """Lets requests in, and dresses what goes out.

    Args:
        access: judges who asks.
        doors: what they may ask through.
    """

    def __init__(self, access: Access, doors: Doors) -> None:
        self._access = access
        self._doors = doors
        self._hosts = frozenset(name.lower() for name in doors.hosts)

    def check_place(self, request: Asked) -> None:
        """Refuse a request that is for somebody else, or comes from a page that may not ask.

        Raises:
            Refused: it is one.
        """
        names = [parse_host(header) for header in request.headers.getall("Host", [])]
        if len(names) != 1 or names[0] is None or not self._is_ours(names[0]):
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "forbidden_host",
                "expected exactly one Host header with a name of this machine",
                "use http://localhost, or add the name to access.allowed_hosts",
            )
        for origin in request.headers.getall("Origin", []):
            if not self.is_friend(request, origin):
                raise Refused(
                    HTTPStatus.FORBIDDEN,
                    "forbidden_origin",
                    "pages of this origin may not ask",
                    "serve the page from this machine, or add its origin to access.allowed_origins",
                )
        if self._access.is_open and not self._doors.is_behind_proxy:
            for name in _FORWARDED:
                if name in request.headers:
                    raise Refused(
                        HTTPStatus.FORBIDDEN,
                        "forwarded",
                        f"found {name}: a proxy passes on to a service that is open to all who ask",
                        "set access.require_tokens and access.behind_proxy (docs/operations.md)",
                    )

    def check_caller(self, request: BaseRequest, needed: Scope) -> Caller:
        """Refuse whoever may not ask this, or asks too often.

        Raises:
            Refused: they may not.
        """
        shown = request.headers.getall("Authorization", [])
        try:
            if len(shown) > 1:
                raise Refused(
                    HTTPStatus.BAD_REQUEST, "two_tokens", "expected one Authorization header, found more"
                )
            return self._access.admit(shown[0] if shown else None, self.address_of(request), needed)
        except AccessDenied as error:
            raise Refused(
                error.status, error.code, str(error), error.hint, retry_after_s=error.retry_after_s
            ) from error

    def address_of(self, request: Asked) -> str:
        """Return who asks: the peer, or whom a proxy on this machine says it asks for.

        The proxy appends, so only the last part of the header is its own word.
        """
        peer = request.remote or ""
        told = request.headers.getall("X-Forwarded-For", [])
        if self._doors.is_behind_proxy and is_loopback_address(peer) and told:
            return told[-1].rpartition(",")[2].strip()[:_LONGEST_ADDRESS] or peer
        return peer

    def is_friend(self, request: Asked, origin: str) -> bool:
        """Return whether a page of this origin may ask: ours, of this machine, or one that is named."""
        if is_allowed_origin(origin, self._doors.origins):
            return True
        host = request.headers.get("Host", "").lower()
        return not self._access.is_open and _host_of(origin) == host

    def dress(self, request: BaseRequest | None, answer: Response) -> None:
        """Add the headers that every answer carries.

        Args:
            request: what is answered; None: it could not be read.
            answer: what is said.
        """
        answer.headers.update(_HEADERS)
        answer.headers["Server"] = "hydrophone"
        origin = None if request is None else request.headers.get("Origin")
        if request is not None and origin is not None:
            answer.headers["Vary"] = ", ".join(filter(None, ("Origin", answer.headers.get("Vary"))))
            if self.is_friend(request, origin):
                answer.headers["Access-Control-Allow-Origin"] = origin
                answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
                answer.headers["Access-Control-Expose-Headers"] = "ETag, Link, Retry-After"

    def _is_ours(self, name: str) -> bool:
        if not self._access.is_open:
            return True
        return is_loopback_name(name) or name in self._hosts or name.strip("[]") in self._hosts


def _host_of(origin: str) -> str:
    """Return the host and port of an origin, as the Host header spells them; empty when it is none."""
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return ""
    return parts.netloc if parts.scheme in ("http", "https") else ""
