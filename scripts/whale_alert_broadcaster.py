"""The quickstart's broadcaster: `await broadcast_alert(prediction)` for a program of your own."""

import sys

if __name__ == "__main__":
    from _environment import ensure_package

    ensure_package()
    from hydrophone.cli.broadcaster import main

    sys.exit(main())

from hydrophone.web.broadcaster import broadcast_alert, clients, handle_client, start_server

__all__ = ["broadcast_alert", "clients", "handle_client", "start_server"]
