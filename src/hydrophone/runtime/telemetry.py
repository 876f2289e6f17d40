"""Logs with stable event names: for people on a terminal, as JSON for machines. Always on stderr."""

import logging
import re
import resource
import sys
from typing import Any, Final, NamedTuple, TextIO

import structlog

_LIBRARY_LEVEL: Final = logging.WARNING
"""# chosen: libraries log each connection at INFO; we say ourselves what matters of that."""
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/?#\s]*@")
"""Sources: RFC 3986, section 3.2.1: what stands before the @ of an authority; before the last one, as
programs read it (urllib.parse), where a password holds another."""


def configure_logging(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Send all logs, the libraries' too, to one stream in one form.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        log_format: json, or human (auto is human).
        stream: stderr unless told.
    """
    out = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _without_secrets,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor
    if log_format == "json":
        shared.append(structlog.processors.format_exc_info)
        shared.append(_without_secrets)  # an exception may name a URL too
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=0)
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for library in ("asyncio", "aiohttp", "websockets"):
        logging.getLogger(library).setLevel(max(logging.getLevelName(level), _LIBRARY_LEVEL))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def redacted(text: str) -> str:
    """Return a text without the names and passwords that stand in URLs."""
    return _CREDENTIALS.sub("***@", text) if "://" in text else text


def _without_secrets(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redacted(value)
    return event


def get_logger(name: str) -> Any:  # noqa: ANN401 -- structlog's loggers are built at run time
    """Return a logger; call it as `log.info("event_name", key=value)`."""
    return structlog.stdlib.get_logger(name)


class ProcessFigures(NamedTuple):
    """What the process holds of the system's.

    Attributes:
        open_files: file descriptors in use; None: none is left by which they could be counted.
        file_limit: file descriptors it may use; None: any number.
        threads: of the process, those of libraries too; None: as above.
    """

    open_files: int | None
    file_limit: int | None
    threads: int | None


def process_figures() -> ProcessFigures:
    """Return what this process holds of the system's."""
    import psutil  # noqa: PLC0415 -- as below

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    file_limit = None if limit == resource.RLIM_INFINITY else limit
    try:
        process = psutil.Process()
        return ProcessFigures(process.num_fds(), file_limit, process.num_threads())
    except OSError:
        return ProcessFigures(None, file_limit, None)


def available_memory_bytes() -> int:
    """Return how much memory programs may still take on this machine without it swapping."""
    import psutil  # noqa: PLC0415 -- as below

    return int(psutil.virtual_memory().available)


def rss_bytes() -> int:
    """Return the resident memory of this process."""
    import psutil  # noqa: PLC0415 -- 5 MB that only a service and a status report need

    return int(psutil.Process().memory_info().rss)
