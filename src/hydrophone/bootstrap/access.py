"""Settings become who may ask."""

import time
from collections.abc import Callable, Sequence

from hydrophone.bootstrap.parts import steady_clock
from hydrophone.config import Settings, is_loopback
from hydrophone.domain.access import Token
from hydrophone.errors import ConfigError
from hydrophone.pipeline.ports import Clock
from hydrophone.runtime.telemetry import get_logger
from hydrophone.store.token_file import TokenFile
from hydrophone.web.access import Access
from hydrophone.web.gate import Doors

log = get_logger(__name__)


def is_open(settings: Settings) -> bool:
    """Return whether who shows no token is let in: only where nobody but this machine can ask."""
    return not settings.access.require_tokens and _exposed(settings) is None


def _exposed(settings: Settings) -> str | None:
    """Return the setting by which others than this machine can ask; None: they cannot."""
    if settings.access.behind_proxy:
        return "access.behind_proxy is set"
    hosts = {"api.host": settings.api.host, "alerts.host": settings.alerts.host}
    return next((f"{key} is {host}" for key, host in hosts.items() if not is_loopback(host)), None)


def token_file(settings: Settings) -> TokenFile:
    """Return the file of tokens."""
    return TokenFile(settings.access.tokens)


def make_access(settings: Settings, clock: Clock) -> Access:
    """Return who judges callers, of REST and of the websocket alike.

    Args:
        settings: all of them.
        clock: now.
    """
    return Access(
        _tokens_or_nobody(token_file(settings)),
        is_open=is_open(settings),
        clock=clock,
        now=time.monotonic,
        per_minute=settings.access.requests_per_minute,
    )


def _tokens_or_nobody(file: TokenFile) -> Callable[[], Sequence[Token]]:
    """Return what reads the tokens. While that fails nobody has one, and the log says why, once."""
    said = ""

    def load() -> Sequence[Token]:
        nonlocal said
        try:
            tokens = file.load()
        except ConfigError as error:
            if str(error) != said:
                said = str(error)
                log.error("tokens_unread", reason=said)  # noqa: TRY400 -- the reason is all there is to say
            return ()
        said = ""
        return tokens

    return load


def make_doors(settings: Settings) -> Doors:
    """Return whom requests may be for and come from."""
    return Doors(
        hosts=(settings.api.host, settings.alerts.host, *settings.access.allowed_hosts),
        origins=settings.access.allowed_origins,
        is_behind_proxy=settings.access.behind_proxy,
    )


def check_access(settings: Settings) -> None:
    """Do nothing if whoever can ask may.

    Raises:
        ConfigError: others than this machine could ask, or tokens are required, and there is no token.
    """
    tokens = token_file(settings).load()
    now = steady_clock()()
    if is_open(settings) or any(not token.is_over(now) for token in tokens):
        return
    exposed = _exposed(settings)
    why = "access.require_tokens is set" if exposed is None else f"{exposed}, so others can ask too"
    raise ConfigError(
        f"{why}, and there is no token in {settings.access.tokens}: make one with "
        "`hydrophone token create --scope read`, or bind localhost"
    )
