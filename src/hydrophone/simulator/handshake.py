"""What both our backends say over HTTP: that they are simulated, and plain answers."""

from http.client import responses
from typing import Final

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from hydrophone.wire.mempool_space import SIMULATED_HEADER

MAX_CLIENT_MESSAGE_BYTES: Final = 50_000
"""Sources: observed, the real backend closes with 1009 above it."""


def mark_simulated(_connection: ServerConnection, _request: Request, response: Response) -> Response:
    """Say in every answer, the websocket handshake included, that the mempool is not real."""
    response.headers[SIMULATED_HEADER] = "1"
    return response


def path_of(request: Request) -> str | None:
    """Return the path of a plain request, without its query; None for a websocket handshake."""
    return None if "Upgrade" in request.headers else request.path.partition("?")[0]


def plain_response(status: int, content_type: str, body: bytes) -> Response:
    """Return an answer after which the connection closes; without a type where there is none to tell."""
    headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
    if content_type:
        headers["Content-Type"] = content_type
    return Response(status, responses.get(status, ""), headers, body)
