"""A backend on loopback that does what a test says, and what a test needs to listen to it."""

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from types import TracebackType
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from hydrophone.domain.questions import AboutTransaction, Question
from hydrophone.domain.units import Txid, UnixMicros
from hydrophone.runtime.backoff import Backoff
from hydrophone.runtime.channel import Channel
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.sources.mempool_space import MempoolSpaceLink
from hydrophone.sources.mempool_space_rest import RestAsker
from hydrophone.wire.mempool_space import SUBSCRIPTIONS

SOURCE = "mempool.space"
HOST = "127.0.0.1"
PATIENCE_S = 20.0
"""What a test waits for comes at once or never: enough for a busy machine, less than a test may take."""

Script = Callable[[ServerConnection], Awaitable[None]]
"""What a backend does with a connection; it is closed when the script ends."""
Answer = tuple[int, bytes]
"""HTTP status and body."""


async def stay_silent(connection: ServerConnection) -> None:
    await connection.wait_closed()


async def await_subscriptions(connection: ServerConnection) -> list[str | bytes]:
    return [await connection.recv() for _ in SUBSCRIPTIONS]


def saying(*messages: str | bytes) -> Script:
    """Return a script that says these and stays."""

    async def say(connection: ServerConnection) -> None:
        for message in messages:
            await connection.send(message)
        await connection.wait_closed()

    return say


class Backend:
    """A websocket server on a free port of loopback, with REST answers by path.

    Stopped and started again it is at the same port.

    Args:
        script: what it does with each connection; may be changed at any time.
        headers: sent with each accepted handshake.

    Attributes:
        answers: of each path, given in turn; the last stays. Elsewhere it answers 404.
        refusal: the status that refuses handshakes; None: they are accepted.
        is_answering: while cleared, REST requests wait for their answer.
        opened: paths of the handshakes seen.
        asked: paths of the REST requests seen.
        waiting: REST requests that wait now.
        most_waiting: the highest that was.
    """

    def __init__(self, script: Script = stay_silent, *, headers: Mapping[str, str] | None = None) -> None:
        self.script = script
        self.answers: dict[str, list[Answer]] = {}
        self.refusal: int | None = None
        self.is_answering = asyncio.Event()
        self.is_answering.set()
        self.opened: list[str] = []
        self.asked: list[str] = []
        self.waiting = 0
        self.most_waiting = 0
        self._headers = headers or {}
        self._port = 0
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self._port}"

    def url(self, path: str = "/api/v1/ws") -> str:
        return f"ws://{HOST}:{self._port}{path}"

    async def start(self) -> None:
        self._server = await serve(
            self._follow_script,
            HOST,
            self._port,
            process_request=self._answer,
            process_response=self._add_headers,
            compression=None,
            open_timeout=None,
            ping_interval=None,
            close_timeout=0.1,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        self.is_answering.set()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _follow_script(self, connection: ServerConnection) -> None:
        await self.script(connection)

    async def _answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        if "Upgrade" in request.headers:
            self.opened.append(request.path)
            return None if self.refusal is None else _response(self.refusal, b"")
        self.asked.append(request.path)
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        try:
            await self.is_answering.wait()
        finally:
            self.waiting -= 1
        planned = self.answers.get(request.path, [(HTTPStatus.NOT_FOUND, b"Transaction not found")])
        return _response(*(planned.pop(0) if len(planned) > 1 else planned[0]))

    def _add_headers(self, _connection: ServerConnection, _request: Request, response: Response) -> Response:
        for name, value in self._headers.items():
            response.headers[name] = value
        return response


def _response(status: int, body: bytes) -> Response:
    headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
    return Response(status, HTTPStatus(status).phrase, headers, body)


@asynccontextmanager
async def conversing(
    converse: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Yield host and port of a server on loopback; in the end it hangs up on all who are still there."""
    writers: set[asyncio.StreamWriter] = set()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        writers.add(writer)
        try:
            await converse(reader, writer)
        finally:
            writer.close()
            writers.discard(writer)
            tasks.discard(task)

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield f"{HOST}:{server.sockets[0].getsockname()[1]}"
    finally:
        # Python 3.11 waits for nobody here; and a loop that ends would leave the sockets open.
        server.close()
        await asyncio.sleep(0)  # who was accepted begins
        for writer in writers:
            writer.transport.abort()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tuple(tasks))
        await server.wait_closed()


@asynccontextmanager
async def blunt_server(answer: bytes | None) -> AsyncIterator[str]:
    """Yield host and port of a server that answers each request with these bytes; None: it never answers."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if answer is None:
                await reader.read()  # until the peer gives up
            else:
                writer.write(answer)
                await writer.drain()

    async with conversing(converse) as address:
        yield address


async def free_port() -> int:
    """Return a port where nobody listens."""
    async with blunt_server(b"") as address:
        return int(address.rpartition(":")[2])


class Pauses:
    """Stands in for `asyncio.sleep`: a pause ends when the test says so."""

    def __init__(self) -> None:
        self._begun: asyncio.Queue[float] = asyncio.Queue()
        self._ended = asyncio.Semaphore(0)

    async def sleep(self, delay_s: float) -> None:
        self._begun.put_nowait(delay_s)
        await self._ended.acquire()

    async def begun(self) -> float:
        """Wait for a pause to begin; return its length in seconds. It goes on."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._begun.get()

    def end(self) -> None:
        """End a pause that has begun."""
        self._ended.release()

    async def skip(self) -> float:
        """Wait for a pause to begin and end it; return its length in seconds."""
        delay_s = await self.begun()
        self.end()
        return delay_s


class FrameReader:
    """Takes frames off a channel one by one."""

    def __init__(self, channel: Channel[Frame]) -> None:
        self._channel = channel
        self._taken: deque[Frame] = deque()

    async def next(self) -> Frame:
        if not self._taken:
            async with asyncio.timeout(PATIENCE_S):
                self._taken.extend(await self._channel.take())
        return self._taken.popleft()

    async def take(self, count: int) -> list[Frame]:
        return [await self.next() for _ in range(count)]

    async def until(self, kind: FrameKind) -> Frame:
        """Skip to the next frame of a kind."""
        while (frame := await self.next()).kind is not kind:
            pass
        return frame


def ticks() -> Callable[[], UnixMicros]:
    """Return a clock that shows 1, 2, 3..."""
    count = itertools.count(1)
    return lambda: UnixMicros(next(count))


@asynccontextmanager
async def running(run: Callable[[Callable[[], None]], Awaitable[None]]) -> AsyncIterator[asyncio.Task[None]]:
    """Run a service within the context, from when it is ready; what it raises is raised."""
    ready = asyncio.Event()

    async def run_it() -> None:
        await run(ready.set)

    task = asyncio.create_task(run_it())
    becoming_ready = asyncio.create_task(ready.wait())
    await asyncio.wait({task, becoming_ready}, return_when=asyncio.FIRST_COMPLETED)
    becoming_ready.cancel()
    try:
        if not ready.is_set():
            await task
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what has no event: a thousand turns of the loop at once, then without taking the processor."""
    turns = 0
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0 if turns < 1_000 else 0.002)
            turns += 1


async def settled(count: Callable[[], int]) -> int:
    """Return a count once it has stopped changing: 200 turns of the loop without a change."""
    last, quiet_turns = count(), 0
    while quiet_turns < 200:
        await asyncio.sleep(0)
        now = count()
        quiet_turns = quiet_turns + 1 if now == last else 0
        last = now
    return last


@dataclass(frozen=True, slots=True)
class Listening:
    """A link that listens, and what it hears."""

    link: MempoolSpaceLink
    channel: Channel[Frame]
    heard: FrameReader
    pauses: Pauses
    task: asyncio.Task[None]


@asynccontextmanager
async def listening(*urls: str, capacity: int = 64) -> AsyncIterator[Listening]:
    """Run a link to these URLs within the context, from when its first attempt has succeeded or failed."""
    channel: Channel[Frame] = Channel("frames", capacity)
    pauses = Pauses()
    link = _make_link(urls, channel, pauses)
    async with running(link.run) as task:
        yield Listening(link, channel, FrameReader(channel), pauses, task)


@dataclass(frozen=True, slots=True)
class Fetching:
    """An asker that runs, and what it is answered."""

    asker: RestAsker
    channel: Channel[Frame]
    answers: FrameReader
    pauses: Pauses
    task: asyncio.Task[None]

    def begin(self, *txids: Txid) -> None:
        """Ask about transactions, and do not wait."""
        for txid in txids:
            self.asker.ask(AboutTransaction(txid))

    async def ask(self, question: Txid | Question) -> Frame:
        """Ask about a transaction, or something else."""
        self.asker.ask(AboutTransaction(Txid(question)) if isinstance(question, str) else question)
        return await self.answers.next()


@asynccontextmanager
async def fetching(
    connected_url: str | None = None, *, base_url: str | None = None, capacity: int = 1_000
) -> AsyncIterator[Fetching]:
    """Run an asker within the context; its link is connected to this URL."""
    channel: Channel[Frame] = Channel("frames", capacity)
    pauses = Pauses()
    link = _make_link((connected_url or "ws://nowhere.invalid/",), channel, pauses)
    asker = RestAsker(
        base_url=base_url, link=link, name=SOURCE, frames=channel, clock=ticks(), sleep=pauses.sleep
    )
    async with running(asker.run) as task:
        yield Fetching(asker, channel, FrameReader(channel), pauses, task)


def _make_link(urls: Sequence[str], channel: Channel[Frame], pauses: Pauses) -> MempoolSpaceLink:
    return MempoolSpaceLink(
        urls,
        name=SOURCE,
        frames=channel,
        clock=ticks(),
        backoff=Backoff(first_s=0.25, cap_s=4.0, random=Random(1)),
        sleep=pauses.sleep,
    )
