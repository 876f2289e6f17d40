"""The file of tokens: what `hydrophone token create` writes and a running service reads.

It is a file of its own, since a running service has the database to itself and a token must be revocable at
any time (ADR 25). It holds digests and no token, and only its owner may read it.
"""

import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from hydrophone.domain.access import TOKEN_PREFIX, Scope, Token, digest_of_token
from hydrophone.domain.units import UnixMicros
from hydrophone.errors import ConfigError, MalformedMessage
from hydrophone.wire.token_file import encode_tokens, parse_tokens

_TOKEN_BYTES: Final = 32
"""Of chance. # chosen: 256 bits; nobody guesses one of 2^256."""
_ID_BYTES: Final = 4
"""# chosen: enough to tell a few hundred tokens apart, short enough to type."""
_OWNER_ONLY: Final = 0o600


class TokenFile:
    """Tokens in a file, read again when it has changed.

    Args:
        path: the file; nothing there means no tokens.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._tokens: tuple[Token, ...] = ()

    def load(self) -> tuple[Token, ...]:
        """Return the tokens, oldest first, those that are over too.

        Raises:
            ConfigError: the file cannot be read, or is none of ours.
        """
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen != self._seen:
                self._tokens = parse_tokens(self._path.read_bytes())
                self._seen = seen
        except FileNotFoundError:
            self._tokens, self._seen = (), None
        except OSError as error:
            raise ConfigError(f"cannot read the tokens in {self._path}: {error.strerror}") from error
        except MalformedMessage as error:
            raise ConfigError(
                f"{self._path}: {error}; move it away and make new tokens with `hydrophone token create`"
            ) from error
        return self._tokens

    def create(
        self,
        name: str,
        scope: Scope,
        *,
        now: UnixMicros,
        expires_at: UnixMicros | None = None,
        draw: Callable[[int], str] = secrets.token_urlsafe,
    ) -> tuple[Token, str]:
        """Make a token; return what is kept of it, and its text, which nobody can be told again.

        Raises:
            ConfigError: the file cannot be read or written.
        """
        text = TOKEN_PREFIX + draw(_TOKEN_BYTES)
        known = self.load()
        token_id = secrets.token_hex(_ID_BYTES)
        while any(token.token_id == token_id for token in known):
            token_id = secrets.token_hex(_ID_BYTES)
        token = Token(token_id, name, scope, digest_of_token(text), now, expires_at)
        self._write((*known, token))
        return token, text

    def revoke(self, token_id: str, *, now: UnixMicros) -> Token:
        """End a token now; a running service follows with its next question.

        Raises:
            ConfigError: there is none of that id, or the file cannot be read or written.
        """
        known = self.load()
        found = next((token for token in known if token.token_id == token_id), None)
        if found is None:
            raise ConfigError(
                f"there is no token {token_id!r}; `hydrophone token list` names those there are"
            )
        over = found if found.is_over(now) else replace(found, expires_at=now)
        self._write(tuple(over if token is found else token for token in known))
        return over

    def _write(self, tokens: tuple[Token, ...]) -> None:
        """Replace the file as a whole, so that a reader sees the old one or the new one."""
        folder = self._path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=folder, prefix=f".{self._path.name}.")  # for its owner only
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(encode_tokens(tokens))
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).chmod(_OWNER_ONLY)
                Path(name).replace(self._path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise ConfigError(f"cannot write the tokens to {self._path}: {error.strerror}") from error
