"""What the event loop complains of: that it cannot accept connections is said once a minute.

The loop of asyncio says it for each connection that waits, each second (Python 3.11, `_accept_connection`):
some thousand lines a second.
"""

import asyncio
import errno
from typing import Any, Final

from hydrophone.runtime.telemetry import get_logger

log = get_logger(__name__)

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_S: Final = 60.0
"""# chosen: an outage of hours fits a page."""


class LoopErrors:
    """An exception handler of an event loop."""

    def __init__(self) -> None:
        self._said_at = float("-inf")

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take note of a complaint."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _EXHAUSTED and "socket" in context):
            loop.default_exception_handler(context)
            return
        now = loop.time()
        if now - self._said_at >= _PAUSE_S:
            self._said_at = now
            log.error(
                "connections_not_accepted",
                error=error.strerror,
                hint="raise the limit of open files (ulimit -n, LimitNOFILE), or lower alerts.max_clients",
            )
