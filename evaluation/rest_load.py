"""REST over ninety busy days while 50 transactions a second come in: how long answers and alerts take.

Askers are processes of their own with one connection each. Rounds with and without them alternate, so that
what else the machine does meets both. Alerts are timed by the service: from receipt to hand-over.
"""

import argparse
import asyncio
import contextlib
import http.client
import multiprocessing
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import psutil

from evaluation.bench_table import Bar, Effort, On, Row, render
from evaluation.feeder import Feeder
from evaluation.rest_history import make_history
from evaluation.scores import quantile
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
BARE = "nothing"
ANSWER_BAR_MS = 100.0
MEMORY_BAR_MB = 250.0
UNCHANGED = 1.2
"""# chosen: quantiles of so few alerts differ by a tenth by themselves."""

Times = dict[str, list[float]]


def serve_bare(channel: Connection) -> None:
    """Answer any question with a kilobyte at once: what asking costs by itself."""
    asyncio.run(_serve_bare(channel))


async def _serve_bare(channel: Connection) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
                await writer.drain()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        channel.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()


def ask(port: int, bare_port: int, txids: Sequence[str], channel: Connection) -> None:
    """Ask everything in turn while told to; send back how long each took, in ms, and what was no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    bare = http.client.HTTPConnection("127.0.0.1", bare_port, timeout=30)
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
            bare.close()
            connection.close()  # the server hangs up on who is silent for long
        for name, path in {**PATHS, BARE: "/"}.items():
            number += 1
            asked = bare if name == BARE else connection
            began = time.perf_counter()
            asked.request("GET", path.format(txid=txids[number % len(txids)]))
            answer = asked.getresponse()
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


@dataclass
class Findings:
    """What a run of askers beside alerts showed.

    Attributes:
        times: in ms, by question; BARE is the server that does nothing.
        odd: answers that were none.
        alone: how long alerts took while nobody asked, in ms.
        beside: the same while they asked.
        memory_mb: resident, at most.
        code: exit code of the service.
    """

    times: Times
    odd: list[str]
    alone: list[float]
    beside: list[float]
    memory_mb: float
    code: int


async def measure(predictions: int, rounds: int, round_s: float) -> Findings:
    """Ask a service with a long history while transactions come in, and not, in turns.

    Args:
        predictions: in its database.
        rounds: of each kind.
        round_s: how long each lasts.
    """
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "bench.db"
        txids = await asyncio.to_thread(make_history, path, predictions)
        feeder = Feeder(frames_per_s=FRAMES_PER_S, ordinary=ORDINARY, first=10_000_000)
        up = asyncio.Event()
        feeding = asyncio.create_task(feeder.run(up.set))
        await up.wait()
        service = await ServiceProcess.start(f"ws://127.0.0.1:{feeder.port}", path, patience_s=60)
        spawn = multiprocessing.get_context("spawn")
        bare_ours, bare_theirs = multiprocessing.Pipe()
        processes = [spawn.Process(target=serve_bare, args=(bare_theirs,), daemon=True)]
        processes[0].start()
        bare_port = await asyncio.to_thread(bare_ours.recv)
        pairs = [multiprocessing.Pipe() for _ in range(ASKERS)]
        processes += [
            spawn.Process(target=ask, args=(service.api_port, bare_port, txids, theirs))
            for _, theirs in pairs
        ]
        for process in processes[1:]:
            process.start()
        await asyncio.to_thread(wait_until_counted, service.api_port)
        channels = [ours for ours, _ in pairs]
        periods: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        memory_mb = 0.0
        for number in range(2 * rounds):
            is_asked = number % 2 == 0
            tell(channels, "ask" if is_asked else "pause")
            await asyncio.sleep(1)
            began = time.time()
            await asyncio.sleep(round_s)
            periods[is_asked].append((began, time.time()))
            memory_mb = max(memory_mb, psutil.Process(service.process.pid).memory_info().rss / 2**20)
        tell(channels, "end")
        answers = await asyncio.gather(*(asyncio.to_thread(channel.recv) for channel in channels))
        for process in processes[1:]:
            process.join()
        processes[0].terminate()
        processes[0].join()
        feeding.cancel()
        code = await service.stop()
        alone, beside = (alert_times(path, periods[is_asked]) for is_asked in (False, True))
    times = {key: [ms for each, _ in answers for ms in each.get(key, [])] for key in (BARE, *PATHS)}
    return Findings(times, [line for _, odd in answers for line in odd], alone, beside, memory_mb, code)


def rows_of(findings: Findings) -> Iterator[Row]:
    """Yield a line for each question and figure."""
    bare = findings.times[BARE]
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        for question in PATHS:
            times, bar = findings.times[question], Bar(ANSWER_BAR_MS, On.VALUE) if name == "p99" else None
            against, floor = ("a server that does nothing", quantile(bare, share))
            yield Row(
                "rest", f"{question}, {name}", quantile(times, share), "ms", against, floor, len(times), bar
            )
    total = sum(len(times) for times in findings.times.values())
    none, odd = Bar(0, On.VALUE), findings.odd
    yield Row("rest", "answers that were none", len(odd), count=total, bar=none, note="; ".join(odd[:3]))
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        ours, quiet = quantile(findings.beside, share), quantile(findings.alone, share)
        bar = Bar(UNCHANGED, On.RATIO)
        yield Row(
            "rest", f"alerts while asked, {name}", ours, "ms", "nobody asks", quiet, len(findings.beside), bar
        )
    yield Row(
        "rest",
        "resident memory, at most",
        findings.memory_mb,
        "MB",
        count=1,
        bar=Bar(MEMORY_BAR_MB, On.VALUE),
    )


async def rows(effort: Effort) -> list[Row]:
    """Return the lines."""
    found = await measure(effort.pick(20_000, 200_000), effort.pick(1, 4), effort.pick(8.0, 15.0))
    return list(rows_of(found))


async def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=4, help="of each kind")
    parser.add_argument("--round-s", type=float, default=15.0)
    options = parser.parse_args()
    found = await measure(options.predictions, options.rounds, options.round_s)
    print(render(rows_of(found)))
    return found.code


def alert_times(path: Path, periods: Sequence[tuple[float, float]]) -> list[float]:
    """Return how long alerts took within some periods: from the frame's receipt to the hand-over, in ms."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            "SELECT epoch(detection_timestamp), epoch_us(published_at) - epoch_us(detection_timestamp) "
            "FROM mempool_predictions WHERE published_at IS NOT NULL AND received_at = detection_timestamp"
        ).fetchall()
    return [micros / 1e3 for at_s, micros in rows if any(begin <= at_s < end for begin, end in periods)]


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
