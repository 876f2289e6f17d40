"""The quickstart's monitor: `hydrophone run`."""

import sys

if __name__ == "__main__":
    from _environment import ensure_package

    ensure_package()
    from hydrophone.cli import main

    sys.exit(main(["run", *sys.argv[1:]]))
