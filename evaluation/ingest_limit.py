"""Builds and asks the C++ program that says how fast a frame can be gone through at all."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

_HEADER = Path("/usr/include/simdjson.h")
_PACKAGE = "libsimdjson-dev"


class LimitMissing(Exception):
    """It cannot be built here; the message says why."""


def build(folder: Path) -> Path:
    """Return the program, built in a folder; Debian's simdjson is installed if that is ours to do.

    Raises:
        LimitMissing: there is no compiler, or no simdjson.
    """
    compiler = shutil.which("c++")
    if compiler is None:
        raise LimitMissing("no C++ compiler (c++)")
    if not _HEADER.exists() and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {_PACKAGE}, for one baseline", file=sys.stderr, flush=True)
        words = ("apt-get", "install", "--yes", "--no-install-recommends", _PACKAGE)
        subprocess.run(words, check=False, capture_output=True)
    program = folder / "ingest_limit"
    source = Path(__file__).with_suffix(".cpp")
    built = subprocess.run(
        [compiler, "-O3", "-std=c++17", "-o", program, source, "-lsimdjson"],
        check=False,
        capture_output=True,
        text=True,
    )
    if built.returncode:
        raise LimitMissing(f"simdjson 3 is not there ({_PACKAGE}), or too old for {source.name}")
    return program


class Limit:
    """The program, with a frame.

    Args:
        frame: to go through.
        scripts: with a label.
        threshold_sat: above which a transaction is a whale.

    Raises:
        LimitMissing: it cannot be built (on entering).
    """

    def __init__(self, frame: bytes, scripts: Iterable[bytes], threshold_sat: int) -> None:
        self._frame = frame
        self._scripts = scripts
        self._threshold_sat = threshold_sat

    def __enter__(self) -> Self:
        """Build and start it."""
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        try:
            program = build(folder)
        except LimitMissing:
            self._folder.cleanup()
            raise
        frame, scripts = folder / "frame.json", folder / "scripts"
        frame.write_bytes(self._frame)
        scripts.write_text("".join(f"{script.hex()}\n" for script in self._scripts), encoding="ascii")
        self._process = subprocess.Popen(
            [program, frame, scripts, str(self._threshold_sat)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._process.communicate()
        self._folder.cleanup()

    def seconds(self) -> float:
        """Go through the frame once; return how much of the processor that took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline().split()[0]) / 1e9
