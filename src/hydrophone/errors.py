"""The error tree. The supervisor reads `transient` and nothing else.

Messages say what was expected, what was found, where, and what to do about it.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says to its parent when it ends."""

    STOPPED = 0
    BUG = 1
    CONFIGURATION = 2
    SOURCE = 3
    STORE = 4


class HydrophoneError(Exception):
    """Root of every error we raise on purpose."""

    transient = False
    exit_code = ExitCode.BUG


class ConfigError(HydrophoneError):
    """A setting is unknown, malformed or impossible; nothing was started."""

    exit_code = ExitCode.CONFIGURATION


class WireError(HydrophoneError):
    """Bytes that are not what the protocol says."""

    exit_code = ExitCode.SOURCE


class MalformedMessage(WireError):
    """A message that cannot be decoded; it is counted, quarantined and skipped."""


class UnsupportedMessage(WireError):
    """A well-formed message of a kind or version we do not speak."""


class SourceError(HydrophoneError):
    """Trouble with who tells us about transactions."""

    exit_code = ExitCode.SOURCE


class SourceUnavailable(SourceError):
    """The source does not answer now; it may later."""

    transient = True


class SourceThrottled(SourceError):
    """The source asks us to slow down."""

    transient = True


class SourceRejected(SourceError):
    """The source answers, but refuses what we ask for."""


class StoreError(HydrophoneError):
    """Trouble with the database."""

    exit_code = ExitCode.STORE


class StoreLocked(StoreError):
    """Another process has the database open."""


class StoreMismatch(StoreError):
    """The file is no database of ours, or is newer than this code."""


class UnknownTransaction(StoreError):
    """A transaction that the database does not hold."""


class QueryTooSlow(StoreError):
    """A question to the database was broken off: it took too long, or too many waited."""


class StoreClosed(StoreError):
    """A write or query after the store was closed."""


class StoreFull(StoreError):
    """The disk or the memory limit is exhausted; room may be made."""

    transient = True


class SinkError(HydrophoneError):
    """Trouble with who wants to be told."""


class SinkUnavailable(SinkError):
    """The sink does not answer now; it may later."""

    transient = True


class SinkRejected(SinkError):
    """The sink answers, but refuses what we send."""


class ClientError(HydrophoneError):
    """Trouble with a service that we are the client of."""


class ServiceUnreachable(ClientError):
    """The service does not answer now; it may later."""

    transient = True


class RequestRefused(ClientError):
    """The service answers, but refuses what is asked.

    Args:
        message: what was expected, found, and what to do.
        code: a word for programs.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class ServiceError(HydrophoneError):
    """Trouble with running the service itself."""


class ServiceStopped(ServiceError):
    """Something was asked of a service that has stopped."""


class ServiceExhausted(ServiceError):
    """A service failed more often than its budget allows."""
