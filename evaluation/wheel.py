"""Whether what `make dist` built works where nothing else is: in an empty venv, in an empty folder."""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60.0


def install(python: str, folder: Path) -> Path:
    """Install the lock and the wheel into an empty venv; return the program."""
    wheels = list((ROOT / "dist").glob("*.whl"))
    assert len(wheels) == 1, f"expected one wheel in dist/, found {len(wheels)}: run `make dist`"
    subprocess.run([python, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements.txt")], check=True)
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheels[0])], check=True)
    return folder / "bin/hydrophone"


@contextlib.contextmanager
def demonstration(program: Path, folder: Path, port: int) -> Iterator[dict[str, str]]:
    """Run `hydrophone demo` in an empty folder; yield where it is reached."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HYDROPHONE_", "PYTHON", "VIRTUAL_ENV"))
    }
    environment |= {
        "HYDROPHONE_LOG__FORMAT": "json",
        "HYDROPHONE_API__PORT": str(port),
        "HYDROPHONE_ALERTS__PORT": str(port and port + 1),
        "HYDROPHONE_SIMULATOR__PORT": str(port and port + 2),
    }
    with subprocess.Popen(
        [program, "demo"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    ) as demo:
        try:
            assert demo.stderr is not None
            for line in demo.stderr:
                if line.startswith("{") and (entry := json.loads(line))["event"] == "ready":
                    yield entry
                    break
            else:
                raise AssertionError("the demo ended before it was ready")
        finally:
            demo.terminate()
            demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 0, demo.returncode


def ask(url: str) -> tuple[int, str]:
    """Return the status and the body of an answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=PATIENCE_S) as response:
        return response.status, response.read().decode()


async def first_whale(url: str) -> dict[str, Any]:
    """Return the first alert."""
    async with asyncio.timeout(PATIENCE_S), connect(url, proxy=None) as socket:
        async for message in socket:
            said: dict[str, Any] = json.loads(message)
            if said["type"] == "whale_alert":
                return said
    raise AssertionError("the websocket ended before a whale came")


def main() -> int:
    """Install, run, ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, help="of which the venv is made")
    parser.add_argument("--port", type=int, default=0, help="and the two after it; 0: free ones")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        program = install(options.python, Path(name) / "venv")
        print(f"wheel: installed in {time.monotonic() - began:.0f} s")
        folder = Path(name) / "empty"
        folder.mkdir()
        began = time.monotonic()
        with demonstration(program, folder, options.port) as ready:
            print(f"  ready after {time.monotonic() - began:.1f} s")
            whale = asyncio.run(first_whale(ready["alerts"]))
            print(f"  first whale after {time.monotonic() - began:.1f} s: {whale['data']['text']}")
            for path, expected in (
                ("", "<html"),
                ("healthz", '"ok"'),
                ("docs", "<html"),
                ("openapi.json", "paths"),
            ):
                status, body = ask(ready["page"] + path)
                assert status == 200, (path, status)
                assert expected in body, (path, body[:200])
                print(f"  /{path}: {status}, {len(body)} bytes")
        left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        print(f"  left in the folder: {left or 'nothing'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
