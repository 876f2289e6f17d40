"""Asking a mempool.space backend by REST for what its websocket leaves out."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from hydrophone.domain.questions import AboutProjected, Question
from hydrophone.domain.units import UnixMicros
from hydrophone.runtime.channel import Channel
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.runtime.telemetry import redacted
from hydrophone.sources.mempool_space import MempoolSpaceLink, describe
from hydrophone.wire.mempool_space import subscription_of
from hydrophone.wire.mempool_space_rest import is_route_missing, paths_of

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


class RestAsker:
    """Asks a backend; the answer goes where the frames go.

    Where a question can be asked at several places, the one that answered last is tried first.

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
        self._good_prefix = ""
        self._slots = asyncio.Semaphore(REST_CONCURRENCY)
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._bug: asyncio.Future[None] | None = None
        self.refused_count = self.asked_count = 0

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

    @property
    def under_way_count(self) -> int:
        """Questions that were asked and not answered yet."""
        return len(self._tasks)

    def ask(self, question: Question) -> None:
        """Ask in the background.

        Beyond `REST_BACKLOG`, or after `run` has ended, nothing is asked.
        """
        if self._session is None or len(self._tasks) >= REST_BACKLOG:
            self.refused_count += 1
            return
        self.asked_count += 1
        task = asyncio.create_task(self._ask(question), name=type(question).__name__)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    async def fetch(self, path: str) -> tuple[int, bytes]:
        """Return status and body of an answer that is for the caller alone: it goes where no frame goes.

        Once, without another try; status 0: no answer came, or nothing is asked now.
        """
        async with self._slots:
            if self._session is None:  # perhaps since this waited for its turn
                return 0, b"nothing is asked now"
            return await self._get(path)

    async def _ask(self, question: Question) -> None:
        if isinstance(question, AboutProjected):
            await self._link.send(subscription_of(question))
            return
        async with self._slots:
            frame = await self._fetch(paths_of(question))
        await self._frames.put(frame)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._bug is not None and not self._bug.done():
            self._bug.set_exception(error)

    async def _fetch(self, paths: Sequence[str]) -> Frame:
        path, status, payload = "", 0, b""
        for attempt in range(REST_TRIES):
            if attempt > 0:
                await self._sleep(_RETRY_PAUSE_S * 2 ** (attempt - 1))
            path, status, payload = await self._ask_each(paths)
            if not _is_worth_retrying(status):
                break
        return Frame(self._clock(), self._name, FrameKind.ANSWERED, payload, path, status)

    async def _ask_each(self, paths: Sequence[str]) -> tuple[str, int, bytes]:
        """Ask at the place that answered last; a 404 is not believed before the other place was asked.

        Of two, that of a server which has the route counts more.
        """
        found = None
        for path in sorted(paths, key=lambda path: not path.startswith(f"{self._good_prefix}/tx/")):
            status, payload = await self._get(path)
            if status == _HTTP_OK and len(paths) > 1:
                self._good_prefix = path[: path.index("/tx/")]
            if status != _HTTP_NOT_FOUND:
                return path, status, payload
            if found is None or is_route_missing(*found[1:]):
                found = path, status, payload
        assert found is not None
        return found

    async def _get(self, path: str) -> tuple[int, bytes]:
        assert self._session is not None
        base_url = self._base_url or rest_base_of(self._link.url)
        try:
            async with self._session.get(base_url + path) as response:
                body = await _read(response)
                if body is None:
                    return _HTTP_TOO_LARGE, f"more than {_MAX_ANSWER_BYTES} bytes".encode()
                return response.status, body
        except TimeoutError:
            return 0, f"no answer from {redacted(base_url)} within {REST_TIMEOUT_S:g} s".encode()
        except (aiohttp.ClientError, OSError) as error:
            return 0, redacted(f"no answer from {base_url}: {describe(error)}").encode()


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """Return a body; None when it is larger than any transaction."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            return None
    return bytes(body)


def rest_base_of(websocket_url: str) -> str:
    """Return where the REST of a websocket's backend is: same host and port, http for ws.

    What comes before `/api/v1/ws` is kept: a host may serve several networks, each under a path of its own.

    Sources: mempool.space, API documentation of testnet: `wss://mempool.space/testnet/api/v1/ws`.
    """
    parts = urlsplit(websocket_url)
    scheme = "https" if parts.scheme == "wss" else "http"
    network, found, _ = parts.path.partition(_WEBSOCKET_PATH)
    return urlunsplit((scheme, parts.netloc, network if found else "", "", ""))


def _is_worth_retrying(status: int) -> bool:
    return status in (0, _HTTP_TOO_MANY) or status >= _HTTP_SERVER_ERROR
