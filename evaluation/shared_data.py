"""Where the material lies that is not in the repository."""

import sys
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Recordings, data and the quickstart, beside the clone."""


def find(relative: str) -> Path | None:
    """Return a path below the shared folder, or say that it is absent and return None."""
    path = SHARED / relative
    if path.exists():
        return path
    print(f"absent: {path}; this check needs it and is left out", file=sys.stderr)
    return None
