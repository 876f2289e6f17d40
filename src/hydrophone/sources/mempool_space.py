"""The link to a mempool.space backend: its websocket, and REST for what the websocket leaves out."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NoReturn
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidProxy, InvalidURI

from hydrophone.domain.units import Txid, UnixMicros
from hydrophone.errors import SourceRejected
from hydrophone.runtime.backoff import Backoff
from hydrophone.runtime.channel import Channel
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.runtime.telemetry import get_logger
from hydrophone.wire.mempool_space import SIMULATED_HEADER, SUBSCRIPTIONS

log = get_logger(__name__)

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
"""A whole mempool may come in one frame: 1.5 KB a transaction, so this is 40,000 of them.
# chosen: beside the memory bar of 500 MB."""
_OPEN_TIMEOUT_S: Final = 5.0
_PING_INTERVAL_S: Final = 10.0
"""# chosen: the backend has no heartbeat; a dead peer is noticed within two of these."""
_CLOSE_TIMEOUT_S: Final = 1.0
_NOT_CONNECTED: Final = (OSError, EOFError, InvalidHandshake, InvalidProxy, InvalidURI, ConnectionClosed)
"""Everything by which a peer or the way to it fails; what else is raised is a bug."""
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_WEBSOCKET_PATH: Final = "/api/v1/ws"

REST_TIMEOUT_S: Final = 3.0
"""# chosen: a signal waits 1 s for its prevouts, and one that went out is still worth amending."""
REST_TRIES: Final = 3
REST_CONCURRENCY: Final = 8
"""# chosen: a burst of whales must not starve the backend's other users."""
REST_BACKLOG: Final = 500
"""# chosen: look-ups beyond this many are refused at once and their signals go out as unknown."""
_MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""# chosen: a transaction that fills a block is 4 MB, its JSON with prevouts some 20 MB."""
_CHUNK_BYTES: Final = 65_536
_RETRY_PAUSE_S: Final = 0.2
"""# chosen: before the second try, doubled before the third; less than a poll of the backend."""
_HTTP_OK: Final = 200
_HTTP_NOT_FOUND: Final = 404
_HTTP_TOO_LARGE: Final = 413
_HTTP_TOO_MANY: Final = 429
_HTTP_SERVER_ERROR: Final = 500


class MempoolSpaceLink:
    """Hears one backend, and another when that one is gone.

    Args:
        urls: websocket URLs, tried in turn; any path will do, a backend routes none.
        name: of the source.
        frames: where everything heard goes; when it is full we wait (a peer that then drops us: a gap).
        clock: Unix microseconds.
        backoff: pauses between attempts.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        name: str,
        frames: Channel[Frame],
        clock: Callable[[], UnixMicros],
        backoff: Backoff,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._urls = urls
        self._name = name
        self._frames = frames
        self._clock = clock
        self._backoff = backoff
        self._sleep = sleep
        self.connected_url: str | None = None

    async def run(self, ready: Callable[[], None]) -> None:
        """Listen until cancelled; ready once the first attempt has succeeded or failed."""
        attempt = failures = 0
        while True:
            url = self._urls[attempt % len(self._urls)]
            attempt += 1
            try:
                await self._listen(url, ready)
            except _NOT_CONNECTED as error:
                reason = _describe(error)
            if self.connected_url is not None:
                attempt = self._urls.index(url)  # try the one that worked first
                failures = 0
                self.connected_url = None
                await self._put(FrameKind.CLOSED, reason.encode())
            delay_s = self._backoff.next_s()
            failures += 1
            is_news = (
                failures & (failures - 1) == 0
            )  # the 1st, 2nd, 4th, 8th...: an outage of days fits a page
            tell = log.warning if is_news else log.debug
            tell(
                "source_unavailable", url=url, reason=reason, failures=failures, retry_in_s=round(delay_s, 2)
            )
            ready()
            await self._sleep(delay_s)

    async def _listen(self, url: str, ready: Callable[[], None]) -> NoReturn:
        async with await _connect(url, _OPEN_TIMEOUT_S) as connection:
            self.connected_url = url
            is_simulated = _is_simulated(connection)
            await self._put(FrameKind.OPENED, url.encode(), is_simulated=is_simulated)
            for subscription in SUBSCRIPTIONS:
                await connection.send(subscription, text=True)
                await self._put(FrameKind.SENT, subscription)
            log.info("source_connected", url=url, simulated=is_simulated)
            ready()
            while True:
                payload = await _receive(connection)
                self._backoff.reset()
                await self._put(FrameKind.RECEIVED, payload)

    async def _put(self, kind: FrameKind, payload: bytes, *, is_simulated: bool = False) -> None:
        await self._frames.put(Frame(self._clock(), self._name, kind, payload, is_simulated=is_simulated))


class RestPrevoutFetcher:
    """Asks a backend's REST what a transaction spends; the answer goes where the frames go.

    A bare backend serves `/api/v1` only, one behind nginx or with Esplora has transactions under `/api`:
    which of them answers is found by asking, and remembered.

    Args:
        base_url: scheme, host and port, such as `http://localhost:8999`; None: follows the link's URL.
        link: whose backend is asked.
        name: of the source.
        frames: where the answers go.
        clock: Unix microseconds.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        *,
        base_url: str | None,
        link: MempoolSpaceLink,
        name: str,
        frames: Channel[Frame],
        clock: Callable[[], UnixMicros],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._base_url = base_url
        self._link = link
        self._name = name
        self._frames = frames
        self._clock = clock
        self._sleep = sleep
        self._prefixes = ["/api/v1", "/api"]
        self._slots = asyncio.Semaphore(REST_CONCURRENCY)
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._bug: asyncio.Future[None] | None = None
        self.refused_count = 0

    async def run(self, ready: Callable[[], None]) -> None:
        """Keep a session open until cancelled, or until a look-up fails by a bug: that is raised."""
        timeout = aiohttp.ClientTimeout(total=REST_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout, raise_for_status=False) as session:
            self._session = session
            self._bug = asyncio.get_running_loop().create_future()
            ready()
            try:
                await self._bug
            finally:
                self._session = None
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def fetch_prevouts(self, txid: Txid) -> None:
        """Ask in the background.

        Beyond `REST_BACKLOG`, or after `run` has ended, nothing is asked: the signal goes out as unknown.
        """
        if self._session is None or len(self._tasks) >= REST_BACKLOG:
            self.refused_count += 1
            return
        task = asyncio.create_task(self._fetch(txid), name=f"prevouts-{txid[:8]}")
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._bug is not None and not self._bug.done():
            self._bug.set_exception(error)

    async def _fetch(self, txid: Txid) -> None:
        path, status, payload = "", 0, b""
        async with self._slots:
            for attempt in range(REST_TRIES):
                if attempt > 0:
                    await self._sleep(_RETRY_PAUSE_S * 2 ** (attempt - 1))
                path, status, payload = await self._ask_each_prefix(txid)
                if not _is_worth_retrying(status):
                    break
        await self._frames.put(Frame(self._clock(), self._name, FrameKind.ANSWERED, payload, path, status))

    async def _ask_each_prefix(self, txid: Txid) -> tuple[str, int, bytes]:
        """Ask under the prefix that answered last, then under the other when that has no such route."""
        path, status, payload = "", 0, b""
        for prefix in tuple(self._prefixes):
            path = f"{prefix}/tx/{txid}"
            status, payload = await self._get(path)
            if status == _HTTP_OK and self._prefixes[0] != prefix:
                self._prefixes.sort(key=lambda known: known != prefix)
            if status != _HTTP_NOT_FOUND:
                break
        return path, status, payload

    async def _get(self, path: str) -> tuple[int, bytes]:
        assert self._session is not None
        base_url = self._base_url or rest_base_of(self._link.connected_url)
        if base_url is None:
            return 0, b"no backend is connected"
        try:
            async with self._session.get(base_url + path) as response:
                body = await _read(response)
                if body is None:
                    return _HTTP_TOO_LARGE, f"more than {_MAX_ANSWER_BYTES} bytes".encode()
                return response.status, body
        except TimeoutError:
            return 0, f"no answer from {base_url} within {REST_TIMEOUT_S:g} s".encode()
        except (aiohttp.ClientError, OSError) as error:
            return 0, f"no answer from {base_url}: {_describe(error)}".encode()


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """Return a body; None when it is larger than any transaction."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            return None
    return bytes(body)


def rest_base_of(websocket_url: str | None) -> str | None:
    """Return where the REST of a websocket's backend is: same host and port, http for ws.

    What comes before `/api/v1/ws` is kept: a host may serve several networks, each under a path of its own.

    Sources: mempool.space, API documentation of testnet: `wss://mempool.space/testnet/api/v1/ws`.
    """
    if websocket_url is None:
        return None
    parts = urlsplit(websocket_url)
    scheme = "https" if parts.scheme == "wss" else "http"
    network, found, _ = parts.path.partition(_WEBSOCKET_PATH)
    return urlunsplit((scheme, parts.netloc, network if found else "", "", ""))


async def probe(url: str, timeout_s: float = _OPEN_TIMEOUT_S) -> str | None:
    """Try to open a websocket; return None when that works, else why not."""
    try:
        async with await _connect(url, timeout_s):
            return None
    except SourceRejected as error:
        return str(error)
    except _NOT_CONNECTED as error:
        return _describe(error)


async def _connect(url: str, open_timeout_s: float) -> ClientConnection:
    """Open a websocket.

    Raises:
        SourceRejected: the proxy in the environment is of a kind we do not speak.
    """
    is_here = urlsplit(url).hostname in _LOOPBACK_NAMES
    try:
        return await connect(
            url,
            max_size=MAX_FRAME_BYTES,
            compression=None,  # a backend is near; deflate would cost more than it saves
            proxy=None if is_here else True,  # one set in the environment knows another localhost
            open_timeout=open_timeout_s,
            ping_interval=None,  # see `_receive`
            close_timeout=_CLOSE_TIMEOUT_S,
        )
    except (ImportError, ValueError) as error:  # how the library says that it cannot use a proxy
        raise SourceRejected(
            f"cannot reach {url} by the proxy of the environment: {error}; set no_proxy for it, or use "
            "an HTTP proxy"
        ) from error


async def _receive(connection: ClientConnection) -> bytes:
    """Return the next message; while none comes, find out by pings whether the peer is still there.

    The library would ping also while we wait for room and so read no pongs: it would take our slowness for
    the peer's death, and lose what it had sent.

    Raises:
        TimeoutError: a ping was not answered.
        ConnectionClosed: the peer is gone.
    """
    pong: asyncio.Future[float] | None = None
    while True:
        try:
            async with asyncio.timeout(_PING_INTERVAL_S):
                return await connection.recv(decode=False)
        except TimeoutError:
            if pong is not None and not pong.done():
                raise TimeoutError(f"no answer to a ping within {_PING_INTERVAL_S:g} s") from None
            pong = asyncio.ensure_future(await connection.ping())


def _is_worth_retrying(status: int) -> bool:
    return status in (0, _HTTP_TOO_MANY) or status >= _HTTP_SERVER_ERROR


def _is_simulated(connection: ClientConnection) -> bool:
    return connection.response is not None and SIMULATED_HEADER in connection.response.headers


def _describe(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason}"
    if isinstance(error, TimeoutError):
        return str(error) or "timed out"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)  # asyncio's own text lists addresses
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
