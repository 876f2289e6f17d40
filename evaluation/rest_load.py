"""REST over ninety busy days while 50 transactions a second come in: how long answers and alerts take.

Askers are processes of their own with one connection each. Rounds with and without them alternate, so that
what else the machine does meets both. Alerts are timed by the service: from receipt to hand-over.
"""

import argparse
import asyncio
import contextlib
import http.client
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import psutil

from evaluation.feeder import Feeder
from evaluation.rest_history import make_history
from evaluation.service_process import ServiceProcess

FRAMES_PER_S = 10
ORDINARY = 4
ASKERS = 2
PAUSE_S = 0.05
PATHS = {
    "predictions": "/api/v1/predictions",
    "predictions, 1,000": "/api/v1/predictions?limit=1000",
    "predictions, CSV": "/api/v1/predictions?limit=1000&format=csv",
    "predictions of an exchange": "/api/v1/predictions?exchange=Exchange%207",
    "predictions of nobody": "/api/v1/predictions?exchange=Nobody",
    "predictions, rare": "/api/v1/predictions?min_urgency=0.999&status=dropped",
    "predictions, old": "/api/v1/predictions?cursor=1790000000000000.ff",
    "prediction": "/api/v1/predictions/{txid}",
    "prediction, unknown": "/api/v1/predictions/" + "ab" * 32,
    "explain": "/api/v1/explain/{txid}",
    "netflow by day": "/api/v1/netflow?limit=1000",
    "netflow by hour": "/api/v1/netflow?interval=hour&limit=1000",
    "statistics daily": "/api/v1/statistics?limit=1000",
    "statistics quarterly": "/api/v1/statistics?period=quarterly",
    "accuracy": "/api/v1/accuracy",
    "fee-market": "/api/v1/fee-market",
    "gaps": "/api/v1/gaps",
    "record": "/api/v1/record?since=100000",
    "labels/coverage": "/api/v1/labels/coverage",
    "status": "/api/v1/status",
    "metrics": "/metrics",
}
EXPECTED = (200, 404)

Times = dict[str, list[float]]


def ask(port: int, txids: Sequence[str], channel: Connection) -> None:
    """Ask everything in turn while told to; send back how long each took, in ms, and what was no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    times: Times = defaultdict(list)
    odd: list[str] = []
    is_asking, number = False, 0
    while True:
        while channel.poll(0 if is_asking else None):
            word = channel.recv()
            if word == "end":
                channel.send((dict(times), odd))
                return
            is_asking = word == "ask"
            connection.close()  # the server hangs up on who is silent for long
        for name, path in PATHS.items():
            number += 1
            began = time.perf_counter()
            connection.request("GET", path.format(txid=txids[number % len(txids)]))
            answer = connection.getresponse()
            answer.read()
            times[name].append((time.perf_counter() - began) * 1e3)
            if answer.status not in EXPECTED:
                odd.append(f"{path}: {answer.status}")
            time.sleep(PAUSE_S)


def wait_until_counted(port: int) -> None:
    """Return when the history is counted by the hour, and accuracy computed: both are done once."""
    for path in ("/api/v1/netflow", "/api/v1/accuracy"):
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            status = 0
            with contextlib.suppress(ConnectionRefusedError):  # the alert port is up before this one
                connection.request("GET", path)
                status = connection.getresponse().status
            connection.close()
            if status == http.client.OK:
                break
            time.sleep(0.2)


def tell(channels: Sequence[Connection], word: str) -> None:
    """Say something to all askers."""
    for channel in channels:
        channel.send(word)


async def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=4, help="of each kind")
    parser.add_argument("--round-s", type=float, default=15.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "bench.db"
        txids = await asyncio.to_thread(make_history, path, options.predictions)
        feeder = Feeder(frames_per_s=FRAMES_PER_S, ordinary=ORDINARY, first=10_000_000)
        up = asyncio.Event()
        feeding = asyncio.create_task(feeder.run(up.set))
        await up.wait()
        service = await ServiceProcess.start(f"ws://127.0.0.1:{feeder.port}", path, patience_s=60)
        began_s = time.monotonic()
        print(f"{options.predictions:,} predictions, ready after {service.ready_s:.1f} s")
        pairs = [multiprocessing.Pipe() for _ in range(ASKERS)]
        spawn = multiprocessing.get_context("spawn")
        processes = [spawn.Process(target=ask, args=(service.api_port, txids, theirs)) for _, theirs in pairs]
        for process in processes:
            process.start()
        await asyncio.to_thread(wait_until_counted, service.api_port)
        channels = [ours for ours, _ in pairs]
        print(f"counted by the hour after {time.monotonic() - began_s:.1f} s")
        periods: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        memory_mb = 0.0
        for number in range(2 * options.rounds):
            is_asked = number % 2 == 0
            tell(channels, "ask" if is_asked else "pause")
            await asyncio.sleep(1)
            began = time.time()
            await asyncio.sleep(options.round_s)
            periods[is_asked].append((began, time.time()))
            memory_mb = max(memory_mb, psutil.Process(service.process.pid).memory_info().rss / 2**20)
        tell(channels, "end")
        answers = await asyncio.gather(*(asyncio.to_thread(channel.recv) for channel in channels))
        for process in processes:
            process.join()
        feeding.cancel()
        code = await service.stop()
        report(answers)
        alone, beside = (alert_times(path, periods[is_asked]) for is_asked in (False, True))
    say("alerts, nobody asks", alone)
    say("alerts, while asked", beside)
    ratio = quantile(beside, 0.99) / quantile(alone, 0.99)
    print(f"p99 of alerts while asked / alone: {ratio:.2f}")
    print(f"resident memory at most {memory_mb:.0f} MB, exit code {code}")
    return 0


def report(answers: Sequence[tuple[Times, list[str]]]) -> None:
    """Print how long answers took, and what was none."""
    total = 0
    for name in PATHS:
        merged = [ms for times, _ in answers for ms in times.get(name, [])]
        total += len(merged)
        say(name, merged)
    odd = [line for _, lines in answers for line in lines]
    print(f"{total} answers, {len(odd)} of them odd {odd[:5] if odd else ''}")


def alert_times(path: Path, periods: Sequence[tuple[float, float]]) -> list[float]:
    """Return how long alerts took within some periods: from the frame's receipt to the hand-over, in ms."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            "SELECT epoch(detection_timestamp), epoch_us(published_at) - epoch_us(detection_timestamp) "
            "FROM mempool_predictions WHERE published_at IS NOT NULL AND received_at = detection_timestamp"
        ).fetchall()
    return [micros / 1e3 for at_s, micros in rows if any(begin <= at_s < end for begin, end in periods)]


def quantile(times_ms: Sequence[float], share: float) -> float:
    """Return a quantile of some times; NaN of none."""
    ordered = sorted(times_ms)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def say(name: str, times_ms: Sequence[float]) -> None:
    """Print a line."""
    if times_ms:
        p50, p99 = statistics.median(times_ms), quantile(times_ms, 0.99)
        print(f"{name:<28} n {len(times_ms):5}  p50 {p50:7.2f}  p99 {p99:7.2f}  max {max(times_ms):7.2f} ms")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
