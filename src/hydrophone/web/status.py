"""The status port: what the service does, whether it is well, and a page to watch whales on.

Each request is answered before any websocket is opened and the connection closed, which is all that a
handful of small answers needs. Only at `/ws` a websocket is opened: the alerts, as on their own port.
"""

import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib import resources
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from hydrophone.domain.units import Txid
from hydrophone.errors import ConfigError, HydrophoneError, UnknownTransaction
from hydrophone.web.live import SEND_BUFFER_BYTES, WRITE_LIMIT_BYTES, AlertServer
from hydrophone.web.loopback import Connection, Endpoint, is_loopback_name, make_room, parse_host
from hydrophone.wire.socket_v1 import MAX_MESSAGE_BYTES, encode_schema

_CAPACITY: Final = 256
"""# chosen: a request lives for milliseconds; so many at once are not people."""
_PAGE_FILES: Final = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
_JSON: Final = "application/json"
_EXPLAIN: Final = "/api/v1/explain/"
_TXID: Final = re.compile(r"[0-9a-fA-F]{64}")
_METHODS: Final = ("GET", "HEAD")
_SOCKET: Final = "/ws"
_SOCKET_SCHEMA: Final = "/schemas/websocket.json"

Answer = Callable[[Mapping[str, str]], Awaitable[Mapping[str, object]]]
"""What a path says to a query, asked anew each time."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: HTTPStatus
    content_type: str
    body: bytes


class StatusServer:
    """Serves `/api/v1/status`, `/api/v1/explain/TXID`, other answers, `/healthz`, `/readyz` and the page `/`.

    Args:
        host: `localhost` is 127.0.0.1 and ::1.
        port: 0 takes a free one; `port` says which.
        answers: what is said at which path; the page needs `alerts_port` at `/api/v1/status`.
        why_not_ready: why whales would not be heard now; None: they would.
        explain: what `/api/v1/explain/{txid}` says, as JSON.
        alerts: serves the websockets at `/ws`; None: there is none.
        allowed_hosts: names in the Host header that are ours, besides those of loopback and `host` itself. A
            website that points its own name at this machine (DNS rebinding) is refused by that.
        close_timeout_s: so long clients may take to hang up.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        answers: Mapping[str, Answer],
        why_not_ready: Callable[[], str | None],
        explain: Callable[[Txid], Awaitable[bytes]],
        alerts: AlertServer | None = None,
        allowed_hosts: Collection[str] = (),
        close_timeout_s: float = 2.0,
    ) -> None:
        self._answers = answers
        sockets = [] if alerts is None else [_SOCKET]
        self._paths = ", ".join(
            ["/", *answers, f"{_EXPLAIN}TXID", *sockets, _SOCKET_SCHEMA, "/healthz", "/readyz"]
        )
        self._alerts = alerts
        self._why_not_ready = why_not_ready
        self._explain = explain
        self._allowed_hosts = frozenset(name.lower() for name in (host, *allowed_hosts))
        self._endpoint = Endpoint(
            host, port, section="api", capacity=_CAPACITY, close_timeout_s=close_timeout_s
        )
        folder = resources.files("hydrophone.web")
        self._page = {
            path: _Answer(HTTPStatus.OK, content_type, folder.joinpath(name).read_bytes())
            for path, (name, content_type) in _PAGE_FILES.items()
        }
        self._page[_SOCKET_SCHEMA] = _Answer(HTTPStatus.OK, "application/schema+json", encode_schema())

    @property
    def port(self) -> int:
        """The port that is served, once `run` is ready."""
        return self._endpoint.port

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled.

        Args:
            ready: called when requests are answered.

        Raises:
            ConfigError: the port cannot be had.
        """

        class Caller(Connection):
            endpoint = self._endpoint

        alerts = self._alerts
        self._endpoint.capacity = make_room(self._endpoint.capacity)
        async with self._endpoint.serving(
            _serve_nobody if alerts is None else alerts.serve,
            self._answer,
            connection_class=Caller if alerts is None else alerts.client_class(self._endpoint),
            max_message_bytes=MAX_MESSAGE_BYTES,
            write_limit=WRITE_LIMIT_BYTES,
            send_buffer_bytes=SEND_BUFFER_BYTES,
        ):
            ready()
            try:
                await self._endpoint.wait()
            finally:
                if alerts is not None:
                    alerts.abandon_stalled()

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        names = [parse_host(header) for header in request.headers.get_all("Host")]
        if len(names) != 1 or names[0] is None or not self._is_ours(names[0]):
            answer = _refusal(
                HTTPStatus.FORBIDDEN,
                "forbidden_host",
                "expected exactly one Host header with a name of this machine",
                "use http://localhost, or add the name to the allowed hosts",
            )
            return _respond(request, answer, name="localhost")
        if request.method not in _METHODS:
            answer = _refusal(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "method_not_allowed",
                f"expected GET, found {request.method}",
                "",
            )
            return _respond(request, answer, name=names[0])
        asked = urlsplit(request.path)
        if asked.path == _SOCKET and self._alerts is not None:
            return await self._alerts.admit(connection, request)
        answer = await self._route(asked.path, dict(parse_qsl(asked.query)))
        return _respond(request, answer, name=names[0])

    def _is_ours(self, name: str) -> bool:
        return (
            is_loopback_name(name) or name in self._allowed_hosts or name.strip("[]") in self._allowed_hosts
        )

    async def _route(self, path: str, query: Mapping[str, str]) -> _Answer:
        match path:
            case _ if path in self._answers:
                return await _asked(self._answers[path], query)
            case "/healthz":
                return _json(HTTPStatus.OK, {"status": "ok"})
            case "/readyz":
                return self._readiness()
            case _ if path.startswith(_EXPLAIN):
                return await self._explanation(path.removeprefix(_EXPLAIN))
            case _ if path in self._page:
                return self._page[path]
            case _:
                return _refusal(
                    HTTPStatus.NOT_FOUND,
                    "not_found",
                    f"nothing is at {path[:80]}",
                    f"there are: {self._paths}",
                )

    def _readiness(self) -> _Answer:
        reason = self._why_not_ready()
        if reason is None:
            return _json(HTTPStatus.OK, {"status": "ready"})
        return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", reason, "see /api/v1/status")

    async def _explanation(self, txid: str) -> _Answer:
        if not _TXID.fullmatch(txid):
            return _refusal(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "malformed_txid",
                f"expected a txid of 64 hex digits, found {txid[:80]}",
                f"ask for {_EXPLAIN} and the txid of a whale",
            )
        try:
            return _Answer(HTTPStatus.OK, _JSON, await self._explain(Txid(txid.lower())) + b"\n")
        except UnknownTransaction as error:
            return _refusal(HTTPStatus.NOT_FOUND, "unknown_transaction", str(error), "")
        except HydrophoneError as error:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", str(error), "try again later")


async def _asked(answer: Answer, query: Mapping[str, str]) -> _Answer:
    try:
        found = await answer(query)
    except ConfigError as error:
        return _refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_query", str(error), "see docs/api.md")
    except HydrophoneError as error:
        return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", str(error), "try again later")
    return _json(HTTPStatus.OK, found)


async def _serve_nobody(_: ServerConnection) -> None:
    """Every request was answered without opening a websocket."""


def _json(status: HTTPStatus, value: Mapping[str, object]) -> _Answer:
    return _Answer(status, _JSON, json.dumps(value, allow_nan=False).encode() + b"\n")


def _refusal(status: HTTPStatus, code: str, message: str, hint: str) -> _Answer:
    return _json(status, {"error": {"code": code, "message": message, "hint": hint}})


def _respond(request: Request, answer: _Answer, *, name: str) -> Response:
    """Dress an answer.

    Args:
        request: what was asked.
        answer: what is said.
        name: of this machine, as the caller spells it: where the page may open its websocket. Policies
            cannot spell IPv6 addresses (CSP 3, section 2.3.1), so there the page says localhost.
    """
    socket_host = "localhost" if name.startswith("[") else name
    headers = Headers(
        {
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            "Connection": "close",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Content-Security-Policy": (
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
                f"connect-src 'self' ws://{socket_host}:*; "
                "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ),
        }
    )
    if answer.status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_METHODS)
    body = b"" if request.method == "HEAD" else answer.body
    return Response(answer.status.value, answer.status.phrase, headers, body)
