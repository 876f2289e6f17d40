"""scripts/whale_alert_broadcaster.py: the alert websocket alone."""

import asyncio
import contextlib
import sys

from hydrophone.config import host_in_url, load_settings
from hydrophone.errors import ExitCode, HydrophoneError
from hydrophone.runtime.telemetry import configure_logging
from hydrophone.sources.mempool_space import probe
from hydrophone.web.broadcaster import start_server


def main() -> int:
    """Serve until stopped; beside a running service there is nothing to do."""
    try:
        settings = load_settings().settings
        configure_logging(settings.log.level, settings.log.format)
        host, port = settings.alerts.host, settings.alerts.port
        url = f"ws://{host_in_url(host)}:{port}"
        if asyncio.run(probe(url)) is None:
            print(f"{url} is already served: a running Hydrophone broadcasts by itself")
            return ExitCode.STOPPED
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(start_server(host, port))
    except HydrophoneError as error:
        print(f"whale_alert_broadcaster: {error}", file=sys.stderr)
        return error.exit_code
    return ExitCode.STOPPED
