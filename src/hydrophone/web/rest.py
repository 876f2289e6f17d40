"""Port 8000: the REST API by its table of paths, its description, the pages, and whether all is well."""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp.web import BaseRequest, Response

from hydrophone.errors import (
    ConfigError,
    HydrophoneError,
    MalformedMessage,
    QueryTooSlow,
    UnknownTransaction,
)
from hydrophone.runtime.histogram import Histogram
from hydrophone.web.gate import Gate
from hydrophone.web.http_server import HttpServer, Limits, Neighbour
from hydrophone.web.replies import CSV, JSON, Refused, reply, tagged
from hydrophone.web.static_files import Pages
from hydrophone.wire.openapi import Operation, describe_api, encode_answer
from hydrophone.wire.rest_queries import parse_query
from hydrophone.wire.socket_v1 import encode_schema

_METHODS: Final = ("GET", "HEAD")
_ALLOW: Final = "GET, HEAD, OPTIONS"
OPENAPI_PATH: Final = "/openapi.json"
SOCKET_PATH: Final = "/ws"
SOCKET_SCHEMA_PATH: Final = "/schemas/websocket.json"
_MOST_PARAMETERS: Final = 32
_RETRY_S: Final = 2
"""# chosen: a database that is busy or reopens is well again within it."""
BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asks for.

    Attributes:
        place: what varies in the path; empty: nothing does.
        query: the parameters, a struct of the operation's kind.
        wants_csv: CSV rather than JSON.
    """

    place: str
    query: Any
    wants_csv: bool = False


@dataclass(frozen=True, slots=True)
class Encoded:
    """An answer that was spelled beside the event loop.

    Attributes:
        body: as it is sent.
        content_type: of it.
        next_cursor: where the next page begins; None: there is none.
        may_be_kept: whether a client may ask again whether it is still the same.
    """

    body: bytes
    content_type: str = JSON
    next_cursor: str | None = None
    may_be_kept: bool = True


Answerer = Callable[[Question], Awaitable[object]]
"""Answers by a struct, which is spelled here, or by `Encoded`."""


@dataclass(frozen=True, slots=True)
class Route:
    """An operation and who answers it."""

    operation: Operation
    answer: Answerer


class RestServer:
    """Serves routes, their description, and the pages.

    Args:
        host: `localhost` is 127.0.0.1 and ::1.
        port: 0 takes a free one; `port` says which.
        routes: what is said where.
        gate: lets requests in.
        version: of the program, for the description.
        is_open: whether somebody may ask without a token, for the description.
        pages: for browsers.
        alerts: serves the websocket at `/ws`; None: there is none.
        limits: of the server.
        now: seconds of a clock that never jumps.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        routes: Sequence[Route],
        gate: Gate,
        version: str,
        is_open: bool,
        pages: Pages,
        alerts: Neighbour | None = None,
        limits: Limits = Limits(),  # noqa: B008 -- it cannot change
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._routes = {route.operation.path: route for route in routes if "{" not in route.operation.path}
        self._patterns = [
            (re.compile(re.sub(r"{\w+}", "([^/]*)", route.operation.path)), route)
            for route in routes
            if "{" in route.operation.path
        ]
        self._operations = tuple(route.operation for route in routes)
        self._gate = gate
        self._version = version
        self._is_open = is_open
        self._now = now
        self._description: bytes | None = None
        self.answered: Counter[tuple[str, int]] = Counter()
        self.times: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(BUCKETS_S))
        self._pages = pages
        self._socket_schema = encode_schema()
        self._server = HttpServer(
            host, port, handle=self._handle, dress=gate.dress, neighbour=alerts, limits=limits, now=now
        )

    @property
    def port(self) -> int:
        """The port that is served, once `run` is ready."""
        return self._server.port

    @property
    def server(self) -> HttpServer:
        """What is below: its counters and connections."""
        return self._server

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until cancelled.

        Args:
            ready: called when requests are answered.

        Raises:
            ConfigError: the port cannot be had.
        """
        await self._server.run(ready)

    async def _handle(self, request: BaseRequest) -> Response:
        began = self._now()
        name = "none"
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        try:
            self._gate.check_place(request)
            path, _, query = request.raw_path.partition("?")
            route, place = self._find(path)
            name = "file" if route is None else route.operation.name
            if request.method == "OPTIONS":
                status = HTTPStatus.NO_CONTENT.value
                return _preflight()
            _check_method(request.method)
            if route is None:
                answer = self._file(request, path)
            else:
                answer = await self._ask(request, route, place, query)
        except Refused as refused:
            status = refused.status.value
            raise
        else:
            status = answer.status
            return answer
        finally:
            self.answered[name, status] += 1
            self.times[name].note(self._now() - began)

    def _find(self, path: str) -> tuple[Route | None, str]:
        """Return the route of a path and what varies in it; no route: it is a file.

        Raises:
            Refused: there is nothing.
        """
        route = self._routes.get(path)
        is_file = path in (OPENAPI_PATH, SOCKET_SCHEMA_PATH) or self._pages.find(path) is not None
        if route is not None or is_file:
            return route, ""
        for pattern, candidate in self._patterns:
            match = pattern.fullmatch(path)
            if match is not None:
                return candidate, match[1]
        if path == SOCKET_PATH:
            raise Refused(
                HTTPStatus.UPGRADE_REQUIRED,
                "not_a_websocket",
                "expected a websocket, asked for when nothing else is under way on the connection",
                "connect with a websocket client; what is said there is at /schemas/websocket.json",
                headers={"Upgrade": "websocket"},
            )
        known = ", ".join(["/", *(op.path for op in self._operations), SOCKET_PATH, "/docs"])
        raise Refused(
            HTTPStatus.NOT_FOUND, "not_found", f"nothing is at {path[:80]!r}", f"there are: {known}"
        )

    def _file(self, request: BaseRequest, path: str) -> Response:
        if path == OPENAPI_PATH:
            if self._description is None:
                described = describe_api(self._operations, version=self._version, is_open=self._is_open)
                self._description = encode_answer(described)
            return tagged(request, self._description, JSON, {})
        if path == SOCKET_SCHEMA_PATH:
            return tagged(request, self._socket_schema, "application/schema+json", {})
        found = self._pages.find(path)
        assert found is not None  # as `_find` saw
        return found.answer(request)

    async def _ask(self, request: BaseRequest, route: Route, place: str, query: str) -> Response:
        operation = route.operation
        if operation.scope is not None:
            self._gate.check_caller(request, operation.scope)
        try:
            asked = parse_query(operation.query, _pairs(query))
            _check_place(operation, place)
            said = await route.answer(Question(place, asked, _wants_csv(request, operation, asked)))
        except Refused:
            raise
        except UnknownTransaction as error:
            raise Refused(HTTPStatus.NOT_FOUND, "unknown_transaction", str(error)) from error
        except (MalformedMessage, ConfigError) as error:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "bad_query", str(error), "see /docs") from error
        except QueryTooSlow as error:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE, "too_slow", str(error), "ask for less", retry_after_s=_RETRY_S
            ) from error
        except HydrophoneError as error:
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "unavailable",
                str(error),
                "try again later",
                retry_after_s=_RETRY_S,
            ) from error
        encoded = said if isinstance(said, Encoded) else Encoded(encode_answer(said), may_be_kept=False)
        headers = {"Vary": "Accept"} if _is_also_csv(operation) else {}
        if encoded.next_cursor is not None:
            headers["Link"] = f'<{_next(request.raw_path, encoded.next_cursor)}>; rel="next"'
        if encoded.may_be_kept:
            return tagged(request, encoded.body, encoded.content_type, headers)
        return reply(encoded.body, encoded.content_type, headers=headers)


def _preflight() -> Response:
    """Answer a browser that asks whether a page may ask; `Gate.dress` says which pages."""
    return Response(
        status=HTTPStatus.NO_CONTENT,
        headers={
            "Allow": _ALLOW,
            "Access-Control-Allow-Methods": "GET, HEAD",
            "Access-Control-Allow-Headers": "Authorization, If-None-Match",
            "Access-Control-Max-Age": "600",
        },
    )


def _check_method(method: str) -> None:
    """Refuse a method that changes something: nothing here can be changed.

    Raises:
        Refused: it is one.
    """
    if method not in _METHODS:
        raise Refused(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "method_not_allowed",
            f"expected GET, found {method[:20]}",
            "everything is asked by GET",
            headers={"Allow": _ALLOW},
        )


def _check_place(operation: Operation, place: str) -> None:
    """Refuse a path in which something else stands than it says.

    Raises:
        Refused: it is one.
    """
    pattern = operation.place.get("pattern")
    if pattern is not None and not re.fullmatch(pattern, place):
        raise Refused(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "malformed_txid",
            f"expected {operation.place['description']}, found {place[:80]!r}",
            f"ask for {operation.path}",
        )


def _pairs(query: str) -> list[tuple[str, str]]:
    """Return the parameters of a query string.

    Raises:
        MalformedMessage: there are too many.
    """
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError as error:
        raise MalformedMessage(f"expected at most {_MOST_PARAMETERS} parameters") from error


def _wants_csv(request: BaseRequest, operation: Operation, asked: object) -> bool:
    """Return whether CSV is asked for: by the parameter, else by the Accept header."""
    if not _is_also_csv(operation):
        return False
    told = getattr(asked, "format", None)
    if told in ("json", "csv"):
        return bool(told == "csv")
    accepted = request.headers.get("Accept", "")
    return "text/csv" in accepted and JSON not in accepted


def _is_also_csv(operation: Operation) -> bool:
    return CSV.partition(";")[0] in operation.media


def _next(raw_path: str, cursor: str) -> str:
    """Return where the next page is: the same question with another cursor."""
    path, _, query = raw_path.partition("?")
    kept = [part for part in query.split("&") if part and not part.startswith("cursor=")]
    safe = "".join(c for c in "&".join(kept) if c.isascii() and c.isprintable() and c not in '<>" ')
    return f"{path}?{safe}{'&' if safe else ''}cursor={cursor}"
