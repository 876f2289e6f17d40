"""A client of one running service."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from random import Random
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import CloseCode

from hydrophone.client.following import Follower, Heard
from hydrophone.errors import ConfigError, RequestRefused, ServiceUnreachable
from hydrophone.runtime.backoff import Backoff
from hydrophone.wire.socket_v1 import EVERYTHING, FiltersV1

DEFAULT_URL: Final = "http://localhost:8000"
_SOCKET_PATH: Final = "/ws"
_API: Final = "/api/v1/"
_TIMEOUT_S: Final = 10.0
"""For a REST answer, and to open a websocket. # chosen: a query over 90 days takes a tenth of a second."""
_QUIET_S: Final = 20.0
"""# chosen: without a message for so long, a ping asks how far everything is known; as often as the library
looks whether the connection lives."""
_MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""# chosen: a page of a thousand predictions is some 3 MB."""
_BACKOFF_FIRST_S: Final = 0.25
_BACKOFF_CAP_S: Final = 10.0
"""# chosen: a service that restarts is back within seconds."""
_HTTP_OK: Final = 200
_HTTP_BAD_REQUEST: Final = 400
_HTTP_TOO_MANY: Final = 429
_HTTP_SERVER_ERROR: Final = 500

Json = dict[str, Any]


class Client:
    """A client of one running service; its REST needs `async with`.

    Args:
        url: where it serves.
        alerts_url: where it says alerts; None: at `/ws` of the same.
        token: one it knows; None: it needs none.
        on_retry: told why a connection of `alerts` failed, and after how many seconds it is tried again.
        sleep: waits so many seconds.
        random: where the jitter of the pauses comes from.
        quiet_s: without a message for so long, the connection is tried by a ping.

    Raises:
        ConfigError: the URL is none.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        alerts_url: str | None = None,
        token: str | None = None,
        on_retry: Callable[[ServiceUnreachable, float], None] = lambda _error, _pause_s: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Random | None = None,
        quiet_s: float = _QUIET_S,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ConfigError(f"expected a URL such as {DEFAULT_URL}, found {url!r}")
        self._url = url.rstrip("/")
        path = parts.path.rstrip("/") + _SOCKET_PATH
        scheme = "wss" if parts.scheme == "https" else "ws"
        self._alerts_url = alerts_url or urlunsplit((scheme, parts.netloc, path, "", ""))
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._on_retry = on_retry
        self._sleep = sleep
        self._random = random or Random()  # noqa: S311 -- jitter, no secret
        self._quiet_s = quiet_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open what REST calls share."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- alerts

    async def alerts(
        self, filters: FiltersV1 = EVERYTHING, *, since: int | None = None
    ) -> AsyncGenerator[Heard, None]:
        """Yield what is said, each entry once and in order, for ever: lost connections are opened again.

        Who keeps the `seq` of the last entry that was dealt with, and passes it as `since` after a restart of
        its own, misses nothing either.

        Args:
            filters: which alerts are wanted.
            since: index up to which everything is known; None: from now.

        Yields:
            Alerts, updates, whether the mempool is heard, and `ResyncRequiredMessage` where something cannot
            be had again: what came between its `since` and its `seq`.

        Raises:
            RequestRefused: the service refuses: a token is missing, a filter is none.
            MalformedMessage: a message is not as the schema says: the service is older, or none of ours.
        """
        follower = Follower(filters.normalised(), since)
        backoff = Backoff(first_s=_BACKOFF_FIRST_S, cap_s=_BACKOFF_CAP_S, random=self._random)
        while True:
            try:
                async with connect(
                    self._alerts_url,
                    additional_headers=self._headers,
                    compression=None,
                    open_timeout=_TIMEOUT_S,
                    max_size=_MAX_ANSWER_BYTES,
                    proxy=None,
                ) as socket:
                    await socket.send(follower.begin(), text=True)
                    while True:
                        raw = await self._next(socket, follower)
                        step = follower.receive(raw)
                        if step.send is not None:
                            await socket.send(step.send, text=True)
                        if step.heard is not None:
                            backoff.reset()
                            yield step.heard
            except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
                unreachable = _judged(error, self._alerts_url)
                pause_s = backoff.next_s()
                self._on_retry(unreachable, pause_s)
                await self._sleep(pause_s)

    async def _next(self, socket: ClientConnection, follower: Follower) -> bytes | str:
        """Return the next message; where none comes, try the connection."""
        while True:
            try:
                return await asyncio.wait_for(socket.recv(), self._quiet_s)
            except TimeoutError:
                await socket.send(follower.ping(), text=True)
                if follower.is_deaf:
                    raise

    # --- REST

    async def status(self) -> Json:
        """Return how the service goes."""
        return await self.get("status")

    async def fee_market(self) -> Json:
        """Return the fee market as the service hears it, and what was learned about it."""
        return await self.get("fee-market")

    async def accuracy(self, *, days: float | None = None) -> Json:
        """Return how good forecasts of the last days were."""
        return await self.get("accuracy", days=days)

    async def gaps(self, *, days: float | None = None) -> Json:
        """Return when sources were blind in the last days."""
        return await self.get("gaps", days=days)

    async def record(self, *, since: int = 0, limit: int | None = None) -> Json:
        """Return entries of the record after an index, and its head."""
        return await self.get("record", since=since, limit=limit)

    async def explain(self, txid: str) -> Json:
        """Return why a whale is judged as it is."""
        return await self.get(f"explain/{quote(txid, safe='')}")

    async def get(self, path: str, **query: float | str | None) -> Json:
        """Return what a path below `/api/v1/` answers.

        Args:
            path: without a leading slash.
            query: parameters; None: left to the service.

        Raises:
            ServiceUnreachable: nobody answers, or not now; transient.
            RequestRefused: the service refuses, and says why.
        """
        if self._session is None:
            raise ConfigError("expected `async with Client() as client`, found a client that is not entered")
        given = {name: str(value) for name, value in query.items() if value is not None}
        url = f"{self._url}{_API}{path}"
        try:
            async with self._session.get(url, params=given, allow_redirects=False) as answer:
                found = await answer.json(content_type=None)
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ServiceUnreachable(
                f"{url} does not answer ({_named(error)}): does the service run?"
            ) from error
        except ValueError as error:
            raise RequestRefused(
                f"{url} does not answer with JSON: is it Hydrophone that listens there?", "no_json"
            ) from error
        if status == _HTTP_OK and isinstance(found, dict):
            return found
        raise _refused(url, status, found)


def _refused(url: str, status: int, found: object) -> RequestRefused | ServiceUnreachable:
    """Return the error that an answer other than 200 is."""
    told = found.get("error", {}) if isinstance(found, Mapping) else {}
    told = told if isinstance(told, Mapping) else {}
    text = f"{url} answered {status}: {told.get('message', 'and does not say why')}"
    if told.get("hint"):
        text += f"; {told['hint']}"
    if status >= _HTTP_SERVER_ERROR or status == _HTTP_TOO_MANY:
        return ServiceUnreachable(text)
    return RequestRefused(text, str(told.get("code", status)))


def _judged(error: Exception, url: str) -> ServiceUnreachable:
    """Return why a connection failed for now.

    Raises:
        RequestRefused: it would fail again.
    """
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        is_final = _HTTP_BAD_REQUEST <= status < _HTTP_SERVER_ERROR and status != _HTTP_TOO_MANY
        if is_final or status == _HTTP_OK:
            body = (error.response.body or b"").decode(errors="replace").strip()
            raise RequestRefused(f"{url} answered {status}: {body[:500]}", str(status)) from error
    goodbye = error.rcvd if isinstance(error, ConnectionClosed) else None
    if goodbye is not None and goodbye.code == CloseCode.POLICY_VIOLATION:
        raise RequestRefused(f"{url} closed the connection: {goodbye.reason}", "closed") from error
    return ServiceUnreachable(f"{url}: {_named(error)}")


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
