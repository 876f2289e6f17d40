"""The settings table: from it come the TOML file, the environment, the flags, `--help` and docs/config.md.

Later beats earlier: defaults, hydrophone.toml, HYDROPHONE_SECTION__KEY, flags.
"""

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

from hydrophone.errors import ConfigError

T = TypeVar("T")

DEFAULT_FILE: Final = Path("hydrophone.toml")
ENVIRONMENT_PREFIX: Final = "HYDROPHONE_"
RECORDING_SCHEME: Final = "recording:"
_ALIASES: Final = {"LOG_LEVEL": "log.level", "LOG_FORMAT": "log.format"}
"""The quickstart's variable, and its sister; HYDROPHONE_LOG__LEVEL and HYDROPHONE_LOG__FORMAT beat them."""
_MAX_PORT: Final = 65_535
_HOST: Final = re.compile(r"[0-9A-Za-z._-]+|[0-9a-fA-F:.]+(%[0-9A-Za-z._-]+)?")
_RETENTION_LEAST_DAYS: Final = 21
"""# chosen: what ended is remembered for 20 days, so that it is not signalled again."""


def _text(raw: object) -> str:
    if not isinstance(raw, str) or not raw.strip() or "\0" in raw:
        raise ValueError("a text")
    return raw.strip()


def _optional_text(raw: object) -> str | None:
    return None if raw in (None, "") else _text(raw)


def _choice(*allowed: str) -> Callable[[object], str]:
    def parse(raw: object) -> str:
        if raw not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return str(raw)

    return parse


def _level(raw: object) -> str:
    name = str(raw).upper()
    return _choice("DEBUG", "INFO", "WARNING", "ERROR")("WARNING" if name == "WARN" else name)


def _whole(low: int, high: int) -> Callable[[object], int]:
    def parse(raw: object) -> int:
        try:
            number = int(raw) if isinstance(raw, str) else raw
        except ValueError:
            number = None
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return number

    return parse


def _retention(raw: object) -> int:
    """Return days; not so few that a restart would forget what may still be heard again or be undone."""
    days = _whole(0, 36_500)(raw)
    if 0 < days < _RETENTION_LEAST_DAYS:
        raise ValueError(f"0 (for ever), or at least {_RETENTION_LEAST_DAYS} days")
    return days


def _threshold(raw: object) -> Decimal:
    try:
        amount = Decimal(str(raw))
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(raw, bool) or not amount.is_finite() or not 0 < amount <= 21_000_000:  # noqa: PLR2004 -- all there is
        raise ValueError("an amount in BTC above 0, such as 100")
    if amount.as_tuple().exponent < -8:  # type: ignore[operator] # noqa: PLR2004 -- finite: an int; one satoshi
        raise ValueError("an amount of whole satoshis (eight decimals)")
    return amount


def _path(raw: object) -> Path:
    path = Path(_text(str(raw) if isinstance(raw, Path) else raw))
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError("a path (~NAME is the home of a user of this machine)") from error


def _optional_path(raw: object) -> Path | None:
    return None if raw in (None, "") else _path(raw)


def _host(raw: object) -> str:
    """Return a host to bind; whether tokens are there for one that others reach is checked at the start."""
    host = _text(raw)
    if not _HOST.fullmatch(host):
        raise ValueError("a name or address of this machine, such as localhost or 0.0.0.0")
    return host


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host that is bound."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_name(raw: object) -> str:
    name = _text(raw).lower()
    if not _HOST.fullmatch(name):
        raise ValueError("a name as in the Host header, without port, such as whales.example")
    return name


def _origin(raw: object) -> str:
    text = _text(raw)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not _is_reachable(parts) or parts.path or parts.query:
        raise ValueError("an origin as browsers spell it, such as https://whales.example")
    return text.lower()


def _switch(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    text = str(raw).strip().lower()
    if text not in ("true", "false", "1", "0", "yes", "no", "on", "off"):
        raise ValueError("true or false")
    return text in ("true", "1", "yes", "on")


def _is_reachable(parts: SplitResult) -> bool:
    """Whether host and port of a URL can be asked for at all; urllib looks at the port only when asked."""
    try:
        return bool(parts.hostname) and len(str(parts.hostname).encode("idna")) > 0 and parts.port != 0
    except ValueError:  # UnicodeError is one
        return False


def _source(raw: object) -> str:
    url = _text(raw)
    if url.startswith(RECORDING_SCHEME) and len(url) > len(RECORDING_SCHEME):
        return url
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not _is_reachable(parts) or "," in url:
        raise ValueError("ws://host:port/..., wss://host/... or recording:FILE; repeat --source for more")
    return url


def _rest_url(raw: object) -> str | None:
    if raw in (None, ""):
        return None
    parts = urlsplit(_text(raw))
    if parts.scheme not in ("http", "https") or not _is_reachable(parts):
        raise ValueError("http://host:port or https://host")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _many(parse: Callable[[object], T]) -> Callable[[object], tuple[T, ...]]:
    def parse_all(raw: object) -> tuple[T, ...]:
        items = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(items, (list, tuple)):
            raise ValueError("a list")  # noqa: TRY004 -- every parser raises ValueError
        return tuple(parse(item) for item in items if item != "")

    return parse_all


def _sources(raw: object) -> tuple[str, ...]:
    urls = _many(_source)(raw)
    if len(urls) > 1 and any(url.startswith(RECORDING_SCHEME) for url in urls):
        raise ValueError("websockets to try in turn, or one recording")
    return urls


def _setting(default: Any, parse: Callable[[object], object], text: str) -> Any:  # noqa: ANN401 -- a field of any type
    return field(default=default, metadata={"parse": parse, "help": text})


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Who tells us."""

    urls: tuple[str, ...] = _setting(
        (),
        _sources,
        "Where to listen, tried in turn; none: ws://localhost:8999/api/v1/ws if it answers.",
    )
    rest_url: str | None = _setting(
        None,
        _rest_url,
        "REST of the backend, up to before /api; none: beside the websocket.",
    )


@dataclass(frozen=True, slots=True)
class WhaleSettings:
    """What counts as a whale."""

    threshold_btc: Decimal = _setting(
        Decimal(100), _threshold, "A transaction whose outputs sum to more than this many BTC is a whale."
    )


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """Who is who."""

    paths: tuple[Path, ...] = _setting(
        (), _many(_path), "Label files added to the bundled set; any known form."
    )
    folder: Path = _setting(Path("data/labels"), _path, "Where imported and synced label sets are kept.")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where history is kept."""

    path: Path = _setting(Path("data/mempool_predictions.db"), _path, "The DuckDB file.")
    memory_limit_mb: int = _setting(96, _whole(32, 4096), "What DuckDB may use, in MB.")
    retention_days: int = _setting(
        90,
        _retention,
        "How long ended predictions and what was said of them are kept, in days (21 or more); 0: for ever.",
    )


@dataclass(frozen=True, slots=True)
class AccuracySettings:
    """When the operator is told that forecasts turn out badly."""

    threshold_percent: int = _setting(
        70, _whole(0, 100), "Alert when fewer of the confirmations than that came within P90; 0: never."
    )
    window_h: int = _setting(24, _whole(1, 2160), "Over so many hours.")
    cooldown_h: int = _setting(6, _whole(0, 720), "Not again before so many hours are over.")


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """The alert websocket."""

    host: str = _setting("localhost", _host, "As api.host.")
    port: int = _setting(8765, _whole(0, _MAX_PORT), "Port; 0 takes a free one.")
    max_clients: int = _setting(10_000, _whole(1, 1_000_000), "Further clients are refused.")


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """REST, its description and the page."""

    host: str = _setting(
        "localhost",
        _host,
        "Address to bind; localhost is 127.0.0.1 and ::1. Another needs tokens (`hydrophone token create`).",
    )
    port: int = _setting(8000, _whole(0, _MAX_PORT), "Port; 0 takes a free one.")


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who may ask."""

    tokens: Path = _setting(
        Path("data/tokens.json"), _path, "The file of tokens; it holds digests, and no token."
    )
    require_tokens: bool = _setting(
        False,  # noqa: FBT003 -- the default of a setting
        _switch,
        "Let nobody in without a token, on this machine either. Set it behind a reverse proxy.",
    )
    token_file: Path | None = _setting(
        None,
        _optional_path,
        "A file with the token by which commands such as `hydrophone status` ask the service.",
    )
    behind_proxy: bool = _setting(
        False,  # noqa: FBT003 -- the default of a setting
        _switch,
        "A reverse proxy on this machine says in X-Forwarded-For who asks; nobody is let in without a token.",
    )
    allowed_hosts: tuple[str, ...] = _setting(
        (), _many(_host_name), "Names in the Host header that are ours, besides those of this machine."
    )
    allowed_origins: tuple[str, ...] = _setting(
        (), _many(_origin), "Origins of pages that may ask, besides those on this machine."
    )
    requests_per_minute: int = _setting(
        600,
        _whole(0, 1_000_000),
        "So much may one token or address ask; 0: any number. Without a token this machine may ask freely.",
    )


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """How much memory the process may take."""

    shed_mb: int = _setting(
        400,
        _whole(0, 1_000_000),
        "From so much resident memory on, in MB, caches and slow clients are let go, and then look-ups for "
        "low-fee whales wait; predictions never are. 0: never.",
    )
    recover_percent: int = _setting(
        85, _whole(10, 99), "Below so much of shed_mb all is as before, in percent."
    )
    limit_mb: int = _setting(
        500, _whole(1, 1_000_000), "More than so much resident memory, in MB, is said as an error."
    )


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """The backend of `hydrophone demo` and `hydrophone simulate`."""

    port: int = _setting(
        8999, _whole(0, _MAX_PORT), "Port; if it is busy, the demo takes a free one and says so."
    )


@dataclass(frozen=True, slots=True)
class ExplorerSettings:
    """Links to transactions."""

    url: str | None = _setting(
        "https://mempool.space/tx/",
        _optional_text,
        "Your own explorer; the txid is appended. Empty: no links.",
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Logs, on stderr."""

    level: str = _setting("INFO", _level, "DEBUG, INFO, WARNING or ERROR. LOG_LEVEL works too.")
    format: str = _setting(
        "auto", _choice("auto", "human", "json"), "human or json; auto is human. LOG_FORMAT works too."
    )


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The process."""

    drain_s: int = _setting(10, _whole(1, 300), "How long an orderly stop may take, in seconds.")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set."""

    network: str = _setting(
        "mainnet",
        _choice("mainnet", "testnet4", "signet", "regtest"),
        "Which chain: decides how scripts are spelled as addresses.",
    )
    source: SourceSettings = field(default_factory=SourceSettings)
    whale: WhaleSettings = field(default_factory=WhaleSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    accuracy: AccuracySettings = field(default_factory=AccuracySettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    access: AccessSettings = field(default_factory=AccessSettings)
    memory: MemorySettings = field(default_factory=MemorySettings)
    simulator: SimulatorSettings = field(default_factory=SimulatorSettings)
    explorer: ExplorerSettings = field(default_factory=ExplorerSettings)
    log: LogSettings = field(default_factory=LogSettings)
    service: ServiceSettings = field(default_factory=ServiceSettings)


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One row of the table.

    Attributes:
        key: `section.name`, as in the TOML file.
        default: its value when nobody says anything.
        text: what it does.
        parse: raw value to value; raises ValueError that says what was expected.
    """

    key: str
    default: object
    text: str
    parse: Callable[[object], object]

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return ENVIRONMENT_PREFIX + self.key.replace(".", "__").upper()


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, and who set them.

    Attributes:
        settings: the result.
        origins: for each key that is not a default, where it came from.
    """

    settings: Settings
    origins: Mapping[str, str]


def _rows(section: Any, prefix: str = "") -> Iterator[SettingRow]:  # noqa: ANN401 -- any of the dataclasses above
    for entry in fields(section):
        value = getattr(section, entry.name)
        if is_dataclass(value):
            yield from _rows(value, f"{prefix}{entry.name}.")
        else:
            yield SettingRow(prefix + entry.name, value, entry.metadata["help"], entry.metadata["parse"])


TABLE: Final[Mapping[str, SettingRow]] = {row.key: row for row in _rows(Settings())}
"""Every setting by its key."""


def load_settings(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, object] | None = None,
) -> LoadedSettings:
    """Return the settings from all places.

    Args:
        file: a TOML file that must exist; None: hydrophone.toml if it is there.
        environment: variables.
        flags: values from the command line by key.

    Raises:
        ConfigError: a key is unknown, a value malformed, or the file cannot be read.
    """
    settings, origins = Settings(), {}
    raw: list[tuple[str, object, str]] = [
        *_from_file(file),
        *_from_environment(environment),
        *((key, value, "command line") for key, value in (flags or {}).items()),
    ]
    for key, value, origin in raw:
        try:
            parsed = TABLE[key].parse(value)
        except ValueError as error:
            raise ConfigError(f"{key} ({origin}): expected {error}, found {value!r}") from error
        settings = _with(settings, key, parsed)
        origins[key] = origin
    return LoadedSettings(settings, origins)


def host_in_url(host: str) -> str:
    """Return a host as it is spelled in a URL: an IPv6 address in brackets.

    Sources: RFC 3986, section 3.2.2.
    """
    return f"[{host}]" if ":" in host else host


def value_of(settings: Settings, key: str) -> object:
    """Return the value of a key of the table."""
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _with(settings: Settings, key: str, value: object) -> Settings:
    section, _, name = key.rpartition(".")
    if not section:
        return replace(settings, **{name: value})  # type: ignore[arg-type] # the table's parser made it
    return replace(settings, **{section: replace(getattr(settings, section), **{name: value})})


def _from_file(file: Path | None) -> Iterator[tuple[str, object, str]]:
    path = file or DEFAULT_FILE
    if file is None and not path.exists():
        return
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the settings file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    for name, value in document.items():
        if isinstance(value, dict):
            for inner, setting in value.items():
                yield _known(f"{name}.{inner}", str(path)), setting, str(path)
        else:
            yield _known(name, str(path)), value, str(path)


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    for variable, key in _ALIASES.items():
        if environment.get(variable):
            yield key, environment[variable], variable
    for variable, value in environment.items():
        if variable.startswith(ENVIRONMENT_PREFIX):
            key = variable.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            yield _known(key, variable), value, variable


def _known(key: str, origin: str) -> str:
    if key in TABLE:
        return key
    near = difflib.get_close_matches(key, TABLE, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(TABLE)}"
    raise ConfigError(f"{origin}: there is no setting {key!r}{hint}")
