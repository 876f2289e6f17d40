"""What a service tells the manager that started it: ready, what it does, alive, stopping.

The protocol is a datagram of lines `NAME=value` to the socket that NOTIFY_SOCKET names; with nothing set
nobody is told. Twenty lines need no library.

Sources: sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

from hydrophone.runtime.telemetry import get_logger

log = get_logger(__name__)

_SEND_TIMEOUT_S: Final = 0.2
"""# chosen: a manager that is alive reads at once; waiting longer would hold up alerts."""
_MICROS_PER_S: Final = 1_000_000


class ServiceManager:
    """Whoever started us and wants to know how it goes; perhaps nobody.

    Args:
        address: a Unix socket, `@` in front of one in the abstract namespace; None: nobody is told.
        watchdog_s: a sign of life is wanted within each such time; None: none is wanted.
    """

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._address = address
        self.watchdog_s = watchdog_s
        self._status = ""
        self._is_stopping = False

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, *, pid: int | None = None
    ) -> "ServiceManager":
        """Return who the environment says it is. What it says to another process counts for nothing.

        Args:
            environment: variables.
            pid: ours; None: ask the system.
        """
        address = environment.get("NOTIFY_SOCKET") or None
        if address is not None and address[0] not in "/@":
            log.warning("service_manager_unknown", address=address, expected="/PATH or @NAME")
            address = None
        micros = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid() if pid is None else pid))
        is_wanted = address is not None and is_ours and micros.isdecimal() and int(micros) > 0
        return cls(address, int(micros) / _MICROS_PER_S if is_wanted else None)

    @property
    def is_listening(self) -> bool:
        """Whether anybody is told."""
        return self._address is not None

    def ready(self, status: str) -> None:
        """Say that the service can be used, and what it does."""
        self._status = status
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def say(self, status: str) -> None:
        """Say what the service does, unless that was said last, or the end has begun."""
        if status != self._status and not self._is_stopping:
            self._status = status
            self._send(f"STATUS={_one_line(status)}")

    def alive(self) -> None:
        """Give a sign of life."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that an orderly end has begun."""
        self._is_stopping = True
        self._send("STOPPING=1\nSTATUS=stopping")

    def _send(self, text: str) -> None:
        """Send a datagram; that nobody takes it is no reason to fail."""
        if self._address is None:
            return
        is_abstract = self._address.startswith("@")
        target = "\0" + self._address[1:] if is_abstract else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_SEND_TIMEOUT_S)
                sender.sendto(text.encode(), target)
        except (OSError, ValueError) as error:
            log.warning("service_manager_deaf", address=self._address, reason=str(error))


def _one_line(text: str) -> str:
    return " ".join(text.split())
