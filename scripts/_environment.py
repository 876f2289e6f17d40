"""Lets a plain `python3 scripts/...` find the package: in .venv of the clone when it is not installed."""

import importlib.util
import os
import sys
from pathlib import Path

_PYTHON = Path(__file__).resolve().parent.parent / ".venv" / "bin" / "python"


def ensure_package() -> None:
    """Go on if hydrophone can be imported; else start this program anew in the clone's .venv."""
    if importlib.util.find_spec("hydrophone") is not None:
        return
    if not _PYTHON.exists() or Path(sys.prefix) == _PYTHON.parent.parent:
        sys.exit("Hydrophone is not installed here: run `make setup` first, or pip install it.")
    os.execv(_PYTHON, [str(_PYTHON), *sys.orig_argv[1:]])
