"""The quickstart's broadcaster: an alert websocket for a program that makes alerts of its own.

A service needs none of this: it publishes by itself. `start_server` serves, and `broadcast_alert` says an
alert to its clients and to those that `handle_client` holds, all in one process.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, broadcast

from hydrophone.web.live import AlertServer

DEFAULT_HOST: Final = "localhost"
DEFAULT_PORT: Final = 8765

clients: set[ServerConnection] = set()
"""Connections that `handle_client` holds."""
_servers: set[AlertServer] = set()


async def handle_client(websocket: ServerConnection) -> None:
    """Hold a client of your own `websockets.serve(handle_client, ...)` until it leaves."""
    clients.add(websocket)
    try:
        await websocket.wait_closed()
    finally:
        clients.discard(websocket)


async def broadcast_alert(alert_data: Mapping[str, Any]) -> None:
    """Say an alert to every client of this process; without clients nothing happens.

    Args:
        alert_data: becomes `data` of a `whale_alert`; what JSON does not know is said as text.
    """
    message = json.dumps(
        {"type": "whale_alert", "data": dict(alert_data), "timestamp": datetime.now(UTC).isoformat()},
        default=str,
    )
    broadcast(clients, message)
    for server in tuple(_servers):
        await server.publish(message.encode())


async def start_server(host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> None:
    """Serve until cancelled.

    Raises:
        ConfigError: the port cannot be had.
    """
    server = AlertServer(host, port, greeting=lambda: None)
    _servers.add(server)
    try:
        await server.run(lambda: print(f"Alert broadcaster started on ws://{host}:{server.port}", flush=True))  # noqa: T201 -- the quickstart's words
    finally:
        _servers.discard(server)
