"""A Unix socket in a folder: who may open it is decided by the file system."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LONGEST: Final = 100
"""Bytes of a name that every system takes. Sources: unix(7), `sun_path` of 108 bytes; 104 elsewhere."""
_OWNER_ONLY: Final = 0o177
_CREDENTIALS: Final = struct.Struct("3i")
"""Process, user and group. Sources: unix(7), SO_PEERCRED."""


def listen_at(path: Path) -> socket.socket:
    """Return a socket that listens there, for its owner only; what is left of an earlier one goes.

    Whoever calls this knows that no other service uses the place.

    Raises:
        OSError: it cannot be made.
    """
    if path.is_socket():
        path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(_OWNER_ONLY)
    try:
        with _short(path) as name:
            listener.bind(name)
        listener.listen()
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def connect_to(path: Path) -> socket.socket:
    """Return a socket that is connected to who listens there.

    Raises:
        FileNotFoundError, ConnectionRefusedError: nobody does.
        OSError: it is not for us.
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as name:
            client.connect(name)
    except BaseException:
        client.close()
        raise
    return client


def is_friend(connection: socket.socket) -> bool:
    """Return whether who connected is our user or root; True where the system does not say."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    raw = connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(raw)[1] in (0, os.geteuid())


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield a name for the path that is short enough, where the system can give one."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
