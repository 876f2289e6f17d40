"""A client of one running service."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from http import HTTPStatus
from random import Random
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import CloseCode

from hydrophone.client.following import Follower, Heard
from hydrophone.errors import ConfigError, RequestRefused, ServiceUnreachable
from hydrophone.runtime.backoff import Backoff
from hydrophone.wire.explanation_v1 import ExplanationV1
from hydrophone.wire.rest_answers import older_than, parse_answer, parse_refusal, spell_query
from hydrophone.wire.rest_queries import (
    DaysQuery,
    NetflowQuery,
    PredictionsQuery,
    RecordQuery,
    StatisticsQuery,
)
from hydrophone.wire.rest_v1 import (
    AccuracyV1,
    CoverageV1,
    FeeMarketV1,
    GapsV1,
    NetflowPageV1,
    PredictionDetailV1,
    PredictionsPageV1,
    PredictionV1,
    PricesV1,
    RecordPageV1,
    StatisticsV1,
    StatusV1,
)
from hydrophone.wire.socket_v1 import EVERYTHING, FiltersV1

DEFAULT_URL: Final = "http://localhost:8000"
_SOCKET_PATH: Final = "/ws"
_API: Final = "/api/v1/"
_TIMEOUT_S: Final = 10.0
"""For a REST answer, and to open a websocket. # chosen: a query over 90 days takes a tenth of a second."""
_QUIET_S: Final = 20.0
"""# chosen: without a message for so long, a ping asks how far everything is known; as often as the library
looks whether the connection lives."""
_MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""Of the service's messages. # chosen: an alert is some 2 kB, one with a thousand addresses 100 kB."""
_BACKOFF_FIRST_S: Final = 0.25
_BACKOFF_CAP_S: Final = 10.0
"""# chosen: a service that restarts is back within seconds."""
A = TypeVar("A")
Query = PredictionsQuery | NetflowQuery | StatisticsQuery | DaysQuery | RecordQuery


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
                    max_size=_MAX_MESSAGE_BYTES,
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

    async def status(self) -> StatusV1:
        """Return how the service goes."""
        return await self._ask(StatusV1, "status")

    async def predictions(self, query: PredictionsQuery = PredictionsQuery()) -> PredictionsPageV1:  # noqa: B008 -- frozen
        """Return a page of predictions, the newest first."""
        return await self._ask(PredictionsPageV1, "predictions", query)

    async def every_prediction(
        self,
        query: PredictionsQuery = PredictionsQuery(),  # noqa: B008 -- frozen
    ) -> AsyncGenerator[PredictionV1, None]:
        """Yield predictions, the newest first, page by page."""
        while True:
            page = await self.predictions(query)
            for prediction in page.data:
                yield prediction
            if page.next_cursor is None:
                return
            query = older_than(query, page.next_cursor)

    async def prediction(self, txid: str) -> PredictionDetailV1:
        """Return one prediction by any txid of its payment: its versions, its end, what it rests on."""
        return await self._ask(PredictionDetailV1, f"predictions/{quote(txid, safe='')}")

    async def explain(self, txid: str) -> ExplanationV1:
        """Return why a whale is judged as it is."""
        return await self._ask(ExplanationV1, f"explain/{quote(txid, safe='')}")

    async def netflow(self, query: NetflowQuery = NetflowQuery()) -> NetflowPageV1:  # noqa: B008 -- frozen
        """Return what whales moved into and out of each exchange, by hour or day."""
        return await self._ask(NetflowPageV1, "netflow", query)

    async def statistics(self, query: StatisticsQuery = StatisticsQuery()) -> StatisticsV1:  # noqa: B008 -- frozen
        """Return what was predicted, by day, week, month or quarter."""
        return await self._ask(StatisticsV1, "statistics", query)

    async def accuracy(self, *, days: float = 90.0) -> AccuracyV1:
        """Return how good forecasts of the last days were."""
        return await self._ask(AccuracyV1, "accuracy", DaysQuery(days=days))

    async def fee_market(self) -> FeeMarketV1:
        """Return the fee market as the service hears it, and what was learned about it."""
        return await self._ask(FeeMarketV1, "fee-market")

    async def prices(self) -> PricesV1:
        """Return what a bitcoin is worth, as the source tells it."""
        return await self._ask(PricesV1, "prices")

    async def gaps(self, *, days: float = 90.0) -> GapsV1:
        """Return when sources were blind in the last days."""
        return await self._ask(GapsV1, "gaps", DaysQuery(days=days))

    async def record(self, *, since: int = 0, limit: int = 100) -> RecordPageV1:
        """Return entries of the record after an index, and its head."""
        return await self._ask(RecordPageV1, "record", RecordQuery(since=since, limit=limit))

    async def labels_coverage(self) -> CoverageV1:
        """Return how far labels reach."""
        return await self._ask(CoverageV1, "labels/coverage")

    async def _ask(self, kind: type[A], path: str, query: Query | None = None) -> A:
        """Return what a path below `/api/v1/` answers.

        Raises:
            ServiceUnreachable: nobody answers, or not now; transient.
            RequestRefused: the service refuses, and says why.
            MalformedMessage: the answer is not as the description says.
        """
        if self._session is None:
            raise ConfigError("expected `async with Client() as client`, found a client that is not entered")
        url = f"{self._url}{_API}{path}"
        parameters = {} if query is None else spell_query(query)
        try:
            async with self._session.get(url, params=parameters, allow_redirects=False) as answer:
                body = await answer.read()
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ServiceUnreachable(
                f"{url} does not answer ({_named(error)}): does the service run?"
            ) from error
        if status == HTTPStatus.OK:
            return parse_answer(kind, body)
        refusal = parse_refusal(status, body)
        text = f"{url} answered {status}: {refusal.message}"
        if refusal.hint:
            text += f"; {refusal.hint}"
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise ServiceUnreachable(text)
        raise RequestRefused(text, refusal.code)


def _judged(error: Exception, url: str) -> ServiceUnreachable:
    """Return why a connection failed for now.

    Raises:
        RequestRefused: it would fail again.
    """
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        is_refusal = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        if (is_refusal and status != HTTPStatus.TOO_MANY_REQUESTS) or status == HTTPStatus.OK:
            body = (error.response.body or b"").decode(errors="replace").strip()
            raise RequestRefused(f"{url} answered {status}: {body[:500]}", str(status)) from error
    goodbye = error.rcvd if isinstance(error, ConnectionClosed) else None
    if goodbye is not None and goodbye.code == CloseCode.POLICY_VIOLATION:
        raise RequestRefused(f"{url} closed the connection: {goodbye.reason}", "closed") from error
    return ServiceUnreachable(f"{url}: {_named(error)}")


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
