"""How the file of tokens is spelled: JSON, with digests and no token in it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from hydrophone.domain.access import Scope, Token
from hydrophone.domain.units import UnixMicros, format_instant, micros_from_datetime
from hydrophone.errors import MalformedMessage

_VERSION: Final = 1
_Instant = Annotated[datetime, Meta(tz=True)]


class _KeptToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    name: str
    scope: Scope
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    created_at: _Instant
    expires_at: _Instant | None


class _TokenFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    tokens: list[_KeptToken]


_decode = msgspec.json.Decoder(_TokenFile).decode


def parse_tokens(raw: bytes) -> tuple[Token, ...]:
    """Return the tokens of a file.

    Raises:
        MalformedMessage: it is no such file.
    """
    try:
        found = _decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedMessage(f"expected a file of tokens: {error}") from error
    if found.version != _VERSION:
        raise MalformedMessage(f"expected a file of tokens of version {_VERSION}, found {found.version}")
    return tuple(
        Token(
            kept.id,
            kept.name,
            kept.scope,
            kept.sha256,
            micros_from_datetime(kept.created_at),
            None if kept.expires_at is None else micros_from_datetime(kept.expires_at),
        )
        for kept in found.tokens
    )


def encode_tokens(tokens: Sequence[Token]) -> bytes:
    """Return the file that holds these tokens."""
    kept = [
        {
            "id": token.token_id,
            "name": token.name,
            "scope": token.scope,
            "sha256": token.digest,
            "created_at": _spelled(token.created_at),
            "expires_at": _spelled(token.expires_at),
        }
        for token in tokens
    ]
    return msgspec.json.format(msgspec.json.encode({"version": _VERSION, "tokens": kept})) + b"\n"


def _spelled(instant: UnixMicros | None) -> str | None:
    return None if instant is None else format_instant(instant)
