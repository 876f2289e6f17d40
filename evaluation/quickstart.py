"""Runs the code blocks of the quickstart, as they are written there, against the real thing.

Blocks that cannot work as written run as they are bettered; each line says which. Ports 8999, 8765, 8000 and
8080 must be free.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from evaluation.feeder import recorded_transactions
from evaluation.shared_data import find

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=9339",
]


class Quickstart:
    """The document's blocks, and a folder to run them in."""

    def __init__(self, document: Path, folder: Path) -> None:
        text = document.read_text(encoding="utf-8")
        self.blocks: list[tuple[str, str]] = re.findall(
            r"^```(\w+)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE
        )
        self.folder = folder
        self.environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        for name in ("scripts", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

    def block(self, language: str, mark: str) -> str:
        """Return the block of a language that contains a text."""
        return next(body for kind, body in self.blocks if kind == language and mark in body)

    def shell(self, body: str, *, timeout_s: float = 60) -> str:
        """Run a block in bash and return what it prints."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", body],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"exit code {done.returncode}: {done.stdout[-500:]} {done.stderr[-1500:]}")
        return done.stdout

    def python(self, body: str) -> str:
        """Run a block as a program and return what it prints."""
        program = self.folder / "block.py"
        program.write_text(body, encoding="utf-8")
        return self.shell(f"python3 {program}")

    @contextlib.contextmanager
    def running(self, *command: str) -> Iterator[Path]:
        """Run a command beside; yield the file of what it logs."""
        log = self.folder / "beside.log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=out, stderr=out)
            try:
                yield log
            finally:
                process.terminate()
                process.wait(20)


def wait_for(what: Callable[[], bool], *, patience_s: float = 40) -> None:
    """Wait until something is so."""
    end = time.monotonic() + patience_s
    while not what():
        if time.monotonic() > end:
            raise RuntimeError("waited in vain")
        time.sleep(0.1)


def prerequisites(doc: Quickstart) -> str:
    """The four questions before the start."""
    return doc.shell(doc.block("bash", "Check mempool.space is running")).replace("\n", " | ")[:150]


def database_snippet(doc: Quickstart) -> str:
    """The document's tables first, ours on the same file, then its INSERT again."""
    doc.shell(doc.block("bash", "Create data directory if not exists"))
    doc.shell("hydrophone db init && hydrophone db check")
    types = doc.python(
        """
import duckdb
columns = duckdb.connect('data/mempool_predictions.db').execute('DESCRIBE mempool_predictions').fetchall()
print(next(kind for name, kind, *_ in columns if name == 'btc_value'))
"""
    )
    return f"taken over, btc_value is {types.strip()}"


def urgency_unit_test(doc: Quickstart) -> str:
    """Its unit test, verbatim."""
    (doc.folder / "tests/test_mempool_whale/test_urgency_scorer.py").write_text(
        doc.block("python", "test_urgency_score_calculation"), encoding="utf-8"
    )
    body = doc.block("bash", "pytest tests/test_mempool_whale/")
    return doc.shell(body).strip().splitlines()[-1]


def integration_example(doc: Quickstart) -> str:
    """The full example; bettered: `datetime` imported, `fee_rate` in its input."""
    whale = max(recorded_transactions(), key=lambda t: sum(o["value"] for o in t["vout"]))
    whale["fee_rate"] = whale["fee"] * 4 / whale["weight"]
    (doc.folder / "whale.json").write_text(json.dumps(whale), encoding="utf-8")
    body = "from datetime import datetime\n" + doc.block("python", "Full integration example")
    body += """
import json
prediction = asyncio.run(process_mempool_transaction(json.load(open('whale.json'))))
print(json.dumps(prediction, default=str))
"""
    prediction = json.loads(doc.python(body))
    return f"stored and broadcast {prediction['btc_value']} BTC, {prediction['flow_type']}"


def status_on_file(doc: Quickstart) -> str:
    """Its own status script, verbatim, while no service runs; then ours."""
    theirs = doc.python(doc.block("python", "# scripts/check_status.py"))
    ours = doc.shell("python3 scripts/check_status.py")
    same = theirs.splitlines()[1:3] == ours.splitlines()[1:3]
    return f"theirs and ours agree: {same}: {ours.splitlines()[1:]}"


def memory_and_logging(doc: Quickstart) -> str:
    """The troubleshooting blocks."""
    doc.python(doc.block("python", "def check_memory_pressure") + "\nprint(check_memory_pressure())\n")
    doc.python(doc.block("python", "whale_monitor.log'"))
    return "run"


def minimal_monitor(doc: Quickstart) -> str:
    """Its monitor connects; the socket stays silent, as the backend's does to who subscribes so."""
    program = doc.folder / "minimal_monitor.py"
    program.write_text(doc.block("python", "mempool_whale_monitor.py - Minimal example"), encoding="utf-8")
    with doc.running("python3", str(program)) as log:
        wait_for(lambda: "Connected to mempool.space WebSocket" in log.read_text(encoding="utf-8"))
    return "connects at /ws/track-mempool-tx"


def monitor_script(doc: Quickstart) -> str:
    """The commands of "View Logs": the real monitor by its name, its log, the grep."""
    lines = doc.block("bash", "Enable debug logging").splitlines()
    command = next(line for line in lines if line.startswith("python3 -u scripts/mempool_whale_monitor.py"))
    monitor = command.split(" 2>&1")[0]
    with doc.running("bash", "-c", f"export LOG_LEVEL=DEBUG; exec {monitor} > whale_monitor.log 2>&1"):
        log = doc.folder / "whale_monitor.log"
        wait_for(lambda: log.exists() and "WHALE ALERT" in log.read_text(encoding="utf-8"))
        found = doc.shell('grep "WHALE ALERT" whale_monitor.log | head -1')
        status = doc.shell("python3 scripts/check_status.py").splitlines()
        beside = doc.shell("python3 scripts/whale_alert_broadcaster.py").strip()
        seen = asyncio.run(websocket_example())
        page = asyncio.run(look_at_page(doc))
    return f"{found.strip()[:110]} | {status[1:]} | {beside} | websocket: {seen} | page: {page}"


async def websocket_example() -> str:
    """A plain client on 8765 hears a whale."""
    async with connect("ws://localhost:8765") as socket, asyncio.timeout(60):
        async for raw in socket:
            message = json.loads(raw)
            if message["type"] == "whale_alert":
                return str(message["data"]["text"])
    return "nothing"


async def look_at_page(doc: Quickstart) -> str:
    """The document's test_dashboard.html, verbatim, in a headless browser, served as it says."""
    if shutil.which("chromium") is None:
        return "chromium is absent: not looked at"
    (doc.folder / "test_dashboard.html").write_text(
        doc.block("html", "test_dashboard.html"), encoding="utf-8"
    )
    with (
        subprocess.Popen(
            ["python3", "-m", "http.server", "8080"],
            cwd=doc.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as server,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
    ):
        browser = subprocess.Popen(
            [
                "chromium",
                *CHROMIUM_FLAGS,
                f"--user-data-dir={profile}",
                "http://localhost:8080/test_dashboard.html",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return await _page_text()
        finally:
            browser.kill()
            browser.wait(10)
            server.kill()


async def _page_text() -> str:
    """Return what the page shows once it shows a whale."""
    async with asyncio.timeout(60):
        while True:
            await asyncio.sleep(0.5)
            with contextlib.suppress(OSError, StopIteration):
                targets = await asyncio.to_thread(_targets)
                page = next(t for t in targets if t["type"] == "page" and "8080" in t["url"])
                break
        async with connect(page["webSocketDebuggerUrl"], max_size=None) as tools:
            while True:
                expression = "document.getElementById('alerts').innerText"
                await tools.send(
                    json.dumps({"id": 1, "method": "Runtime.evaluate", "params": {"expression": expression}})
                )
                answer = json.loads(await tools.recv())
                text = answer.get("result", {}).get("result", {}).get("value") or ""
                if " BTC - " in text:
                    return str(text.replace("\n", " ")[:100])
                await asyncio.sleep(0.5)


def _targets() -> list[dict[str, Any]]:
    with urllib.request.urlopen("http://127.0.0.1:9339/json", timeout=2) as response:
        found: list[dict[str, Any]] = json.load(response)
    return found


def realtime_test(doc: Quickstart) -> str:
    """Its websocket test under its name; bettered: it subscribes, and `ws.open` is gone from websockets."""
    return doc.shell("pytest -q tests/integration/test_mempool_realtime.py").strip().splitlines()[-1]


def broadcaster_alone(doc: Quickstart) -> str:
    """The broadcaster by its name, without a service."""
    with doc.running("python3", "scripts/whale_alert_broadcaster.py") as log:
        wait_for(
            lambda: "Alert broadcaster started on ws://localhost:8765" in log.read_text(encoding="utf-8")
        )
    return "serves 8765"


def main() -> int:
    """Run all of them; print one line each."""
    document = find("seed/quickstart.md")
    if document is None:
        return 0
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        doc = Quickstart(document, Path(folder))
        before = (
            database_snippet,
            urgency_unit_test,
            integration_example,
            status_on_file,
            memory_and_logging,
        )
        with_backend = (prerequisites, minimal_monitor, monitor_script)
        after = (broadcaster_alone, realtime_test)
        with contextlib.ExitStack() as beside:
            for check in (*before, *with_backend, *after):
                if check is with_backend[0]:
                    beside.enter_context(_backend(doc))
                if check is after[0]:
                    beside.close()
                began = time.monotonic()
                try:
                    result = check(doc)
                    mark = "ok  "
                except Exception as error:  # noqa: BLE001 -- every block is tried, whatever the one before did
                    result, mark = f"{type(error).__name__}: {error}", "FAIL"
                    failures += 1
                print(f"{mark} {check.__name__:<20} {time.monotonic() - began:5.1f} s  {result}")
    return 1 if failures else 0


@contextlib.contextmanager
def _backend(doc: Quickstart) -> Iterator[None]:
    """Serve a simulated mempool on 8999, as a backend."""
    command = [sys.executable, "-m", "hydrophone", "simulate", "--scenario", "demo", "--port", "8999"]
    process = subprocess.Popen(command, cwd=doc.folder, stderr=subprocess.DEVNULL)
    try:
        wait_for(_answers)
        yield
    finally:
        process.kill()
        process.wait(10)


def _answers() -> bool:
    try:
        with urllib.request.urlopen("http://localhost:8999/api/v1/prices", timeout=2):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
