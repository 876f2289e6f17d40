"""The quickstart's status check: over HTTP while the service runs, from the file when it does not."""

import sys

if __name__ == "__main__":
    from _environment import ensure_package

    ensure_package()
    from hydrophone.cli.status import print_quickstart_status

    sys.exit(print_quickstart_status())
