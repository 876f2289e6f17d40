"""Files that a command writes: what the system says against it becomes one line for people."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from hydrophone.errors import ConfigError


@contextlib.contextmanager
def saying_what_failed(path: Path, what: str = "") -> Iterator[None]:
    """Raise ConfigError where the system refuses to make or write a file.

    Args:
        path: the file.
        what: it is, with a space behind, for the message.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot write {what}{path}: {error.strerror}; make room, or name another file"
        ) from error
