"""The link to a mempool.space backend: its websocket."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NoReturn
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidProxy, InvalidURI

from hydrophone.domain.units import UnixMicros
from hydrophone.errors import SourceRejected, SourceUnavailable
from hydrophone.runtime.backoff import Backoff
from hydrophone.runtime.channel import Channel
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.runtime.telemetry import get_logger, redacted
from hydrophone.wire.mempool_space import INIT, SIMULATED_HEADER, SUBSCRIPTIONS

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
        self._connection: ClientConnection | None = None
        self.connected_url: str | None = None
        self.url = urls[0]
        """The one that is connected, or was tried last."""

    async def run(self, ready: Callable[[], None]) -> None:
        """Listen until cancelled; ready once the first attempt has succeeded or failed."""
        attempt = failures = 0
        while True:
            self.url = url = self._urls[attempt % len(self._urls)]
            attempt += 1
            try:
                await self._listen(url, ready)
            except _NOT_CONNECTED as error:
                reason = describe(error)
            if self.connected_url is not None:
                attempt = self._urls.index(url)  # try the one that worked first
                failures = 0
                self.connected_url = self._connection = None
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
            self.connected_url, self._connection = url, connection
            is_simulated = _is_simulated(connection)
            await self._put(FrameKind.OPENED, redacted(url).encode(), is_simulated=is_simulated)
            for subscription in SUBSCRIPTIONS:
                await connection.send(subscription, text=True)
                await self._put(FrameKind.SENT, subscription)
            log.info("source_connected", url=url, simulated=is_simulated)
            ready()
            while True:
                payload = await _receive(connection)
                self._backoff.reset()
                await self._put(FrameKind.RECEIVED, payload)

    async def send(self, payload: bytes) -> None:
        """Send a message; lost when nobody is connected."""
        if self._connection is None:
            return
        try:
            await self._connection.send(payload, text=True)
        except ConnectionClosed:
            return  # whoever listens finds out
        await self._put(FrameKind.SENT, payload)

    async def _put(self, kind: FrameKind, payload: bytes, *, is_simulated: bool = False) -> None:
        await self._frames.put(Frame(self._clock(), self._name, kind, payload, is_simulated=is_simulated))


async def probe(url: str, timeout_s: float = _OPEN_TIMEOUT_S) -> str | None:
    """Try to open a websocket; return None when that works, else why not."""
    try:
        async with await _connect(url, timeout_s):
            return None
    except SourceRejected as error:
        return str(error)
    except _NOT_CONNECTED as error:
        return describe(error)


async def hear(
    url: str, *, open_timeout_s: float, listen_s: float, enough: Callable[[bytes], bool]
) -> list[bytes]:
    """Return what a backend says first, until it has said enough, or for so many seconds.

    Raises:
        SourceError: it does not answer.
    """
    heard: list[bytes] = []
    try:
        async with await _connect(url, open_timeout_s) as connection:
            for wish in (INIT, *SUBSCRIPTIONS):
                await connection.send(wish, text=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(listen_s):
                    while not (heard and enough(heard[-1])):
                        heard.append(await connection.recv(decode=False))
    except _NOT_CONNECTED as error:
        raise SourceUnavailable(describe(error)) from error
    return heard


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
            f"cannot reach {redacted(url)} by the proxy of the environment: {error}; set no_proxy for it, "
            "or use an HTTP proxy"
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


def _is_simulated(connection: ClientConnection) -> bool:
    return connection.response is not None and SIMULATED_HEADER in connection.response.headers


def describe(error: Exception) -> str:
    """Return for people why a peer was not reached, without the password of its URL."""
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason}"
    if isinstance(error, TimeoutError):
        return str(error) or "timed out"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)  # asyncio's own text lists addresses
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return redacted(str(error)) or type(error).__name__
