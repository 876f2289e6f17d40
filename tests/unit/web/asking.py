"""Asks a server on loopback byte by byte, as strangers do."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hydrophone.domain.access import Token
from hydrophone.domain.units import UnixMicros
from hydrophone.web.access import Access
from hydrophone.web.gate import Doors, Gate
from hydrophone.web.http_server import Limits, Neighbour
from hydrophone.web.rest import RestServer, Route
from hydrophone.web.static_files import Pages, make_file

NOW = UnixMicros(1_790_000_000_000_000)
PAGES = Pages(
    {"/docs": make_file("/docs.html", b"<p>the API")}, make_file("/index.html", b"<p>the dashboard")
)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def make_access(
    tokens: Sequence[Token] = (),
    *,
    is_open: bool = True,
    now: Callable[[], float] | None = None,
    per_minute: int = 0,
) -> Access:
    return Access(
        lambda: tokens, is_open=is_open, clock=lambda: NOW, now=now or Clock(), per_minute=per_minute
    )


def make_server(
    routes: Sequence[Route],
    *,
    access: Access | None = None,
    doors: Doors = Doors(hosts=("localhost", "Whales.example")),  # noqa: B008 -- it cannot change
    host: str = "localhost",
    port: int = 0,
    limits: Limits = Limits(),  # noqa: B008 -- it cannot change
    alerts: Neighbour | None = None,
    pages: Pages = PAGES,
) -> RestServer:
    let_in = access or make_access()
    return RestServer(
        host,
        port,
        routes=routes,
        gate=Gate(let_in, doors),
        version="1.2.3",
        is_open=let_in.is_open,
        pages=pages,
        alerts=alerts,
        limits=limits,
    )


async def ask(
    server: RestServer, path: str, *headers: str, method: str = "GET", host: str = "Host: localhost"
) -> Reply:
    lines = [f"{method} {path} HTTP/1.1", host, *headers, "Connection: close"]
    return await send(server, "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")


async def send(server: RestServer, raw: bytes) -> Reply:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(raw)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return parse_reply(answer)


def parse_reply(raw: bytes) -> Reply:
    head, _, body = raw.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Reply(int(first.split()[1]), headers, body)
