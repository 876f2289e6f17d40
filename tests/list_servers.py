"""A publisher of label lists on loopback that answers as a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.backends import conversing


@dataclass
class Publisher:
    """What is answered, and what was asked.

    Attributes:
        answer: the bytes sent for a request; they may break off or be no HTTP.
        stays_open: whether it then keeps silent instead of closing.
        url: where it listens.
        requests: heads of the requests, oldest first.
    """

    answer: Callable[[str], bytes]
    stays_open: bool = False
    url: str = ""
    requests: list[str] = field(default_factory=list)


def response(
    body: bytes = b"", *, status: str = "200 OK", length: int | None = None, **headers: str
) -> bytes:
    """Return an HTTP response; `length` may claim another than that of the body."""
    given = {"Content-Length": str(len(body) if length is None else length), "Connection": "close", **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


def listing(body: bytes, etag: str = "") -> Callable[[str], bytes]:
    """Return what a well-behaved publisher answers: the list, or 304 to who has it."""

    def answer(head: str) -> bytes:
        if etag and f"if-none-match: {etag}" in head.casefold():
            return response(status="304 Not Modified", ETag=etag)
        return response(body, ETag=etag) if etag else response(body)

    return answer


@asynccontextmanager
async def publishing(answer: Callable[[str], bytes], *, stays_open: bool = False) -> AsyncIterator[Publisher]:
    """Serve on a free port of loopback."""
    publisher = Publisher(answer, stays_open)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        publisher.requests.append(head)
        writer.write(publisher.answer(head))
        await writer.drain()
        if publisher.stays_open:
            await asyncio.Event().wait()

    async with conversing(serve) as address:
        publisher.url = f"http://{address}/list"
        yield publisher
