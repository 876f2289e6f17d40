"""Asks the running service everything its description allows and forbids: schemathesis, with all its checks.

The service is a process over a filled database and a source that goes on announcing. Half of the paths get
a txid that is there.
"""

import argparse
import asyncio
import json
import re
import sys
import tempfile
import urllib.request
from pathlib import Path

from evaluation.feeder import Feeder
from evaluation.rest_history import make_history
from evaluation.service_process import ServiceProcess

_GENERATED = re.compile(r"(\d+) generated, (\d+) passed")
_CONFIG = """\
[[operations]]
include-path = "{path}"
parameters = {{ txid = "{txid}" }}
"""


async def main() -> int:
    """Print what schemathesis says; 1 when it found something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=300, help="at most so many of each operation")
    parser.add_argument("--least", type=int, default=5_000, help="examples there have to be")
    parser.add_argument("--predictions", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        txids = await asyncio.to_thread(make_history, folder / "bench.db", options.predictions)
        feeder = Feeder(frames_per_s=5, ordinary=9, first=10_000_000)
        up = asyncio.Event()
        feeding = asyncio.create_task(feeder.run(up.set))
        await up.wait()
        service = await ServiceProcess.start(
            f"ws://127.0.0.1:{feeder.port}", folder / "bench.db", patience_s=60
        )
        await asyncio.sleep(3)  # the history is counted by the hour
        found = [
            await run(folder, service.api_port, txid, options.examples) for txid in (txids[0], "ab" * 32)
        ]
        status = await asyncio.to_thread(fetch, f"http://localhost:{service.api_port}/api/v1/status")
        print(f"afterwards: {status['memory_mb']} MB, {status['predictions']['total']} predictions")
        feeding.cancel()
        ended = await service.stop()
    generated = sum(count for _, count in found)
    print(f"{generated} examples, at least {options.least} wanted; exit code of the service {ended}")
    return int(any(code for code, _ in found) or generated < options.least or ended != 0)


def fetch(url: str) -> dict[str, dict[str, int]]:
    """Return what the service answers."""
    with urllib.request.urlopen(url) as answer:
        found: dict[str, dict[str, int]] = json.load(answer)
    return found


async def run(folder: Path, port: int, txid: str, examples: int) -> tuple[int, int]:
    """Run schemathesis; return its exit code and how many examples it made."""
    config = folder / "schemathesis.toml"
    paths = ("/api/v1/predictions/{txid}", "/api/v1/explain/{txid}")
    config.write_text("\n".join(_CONFIG.format(path=path, txid=txid) for path in paths))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
        *("run", f"http://localhost:{port}/openapi.json", "--checks", "all", "--no-color"),
        *("--max-examples", str(examples), "--generation-deterministic"),
        stdout=asyncio.subprocess.PIPE,
        cwd=folder,
    )
    output, _ = await process.communicate()
    said = output.decode()
    print(said)
    counted = _GENERATED.search(said)
    return process.returncode or 0, int(counted[1]) if counted else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
