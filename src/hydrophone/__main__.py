"""`python -m hydrophone` is `hydrophone`."""

import sys

from hydrophone.cli import main

if __name__ == "__main__":
    sys.exit(main())
