"""The gate of REST, held before the alert websocket too: the same hosts, origins and tokens."""

from collections.abc import Collection
from dataclasses import dataclass

from websockets.datastructures import Headers

from hydrophone.web.access import Access, AccessDenied
from hydrophone.web.gate import Gate
from hydrophone.web.replies import Refused


class _Headers:
    """Headers of one library, read as those of another."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def get(self, key: str, default: str) -> str:
        found = self._headers.get_all(key)
        return found[0] if found else default

    def getall(self, key: str, default: list[str]) -> list[str]:
        return self._headers.get_all(key) or default

    def __contains__(self, key: object) -> bool:
        return key in self._headers


@dataclass(frozen=True, slots=True)
class _Asked:
    headers: _Headers
    remote: str


class SocketGate:
    """Who may listen: whoever may ask REST.

    Args:
        gate: judges where a request comes from.
        access: judges tokens.
    """

    def __init__(self, gate: Gate, access: Access) -> None:
        self._gate = gate
        self._access = access

    def refuse_place(self, headers: Headers, peer: str) -> str | None:
        """Return why nobody may ask from there, or for that; None: they may."""
        try:
            self._gate.check_place(_Asked(_Headers(headers), peer))
        except Refused as error:
            return f"{error}; {error.hint}" if error.hint else str(error)
        return None

    def refuse_token(self, token: str | None, headers: Headers, peer: str) -> str | None:
        """Return why somebody may not listen; None: they may."""
        try:
            self._access.admit_token(token, self._gate.address_of(_Asked(_Headers(headers), peer)))
        except AccessDenied as error:
            return f"{error}; {error.hint}"
        return None

    def name_token(self, token: str | None) -> str | None:
        """Return what names the token somebody was let in by; None: they needed none."""
        return None if token is None else self._access.name_token(token)

    def good_names(self) -> Collection[str] | None:
        """Return the names of the tokens that are good now; None: it cannot be told now."""
        return self._access.good_names()
