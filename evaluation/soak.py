"""The whole service for an hour, or as long as you like, in a world where everything goes wrong in its turn.

python -m evaluation.soak [--minutes 60] [--whales-per-hour N] [--folder FOLDER]

All times are real. The simulator's world `soak` announces 20 transactions a second, 3,700 whales an hour and
a block a minute, so what comes with whales or blocks comes some forty and ten times as often as in reality.
Twice in a quarter of an hour the connection itself is cut, and once it hangs. Predictions are held against
the simulator's truth. It fails when the service ended, a prediction is open though it ended long ago or is
there twice, the database is unsound, or descriptors or threads clearly grow; the rest are figures.
"""

import argparse
import asyncio
import contextlib
import json
import re
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from evaluation.outcome_truth import Evidence, Fault, Verdict, judge_claims, read_claims, read_truth
from evaluation.scores import quantile
from evaluation.service_process import ServiceProcess
from evaluation.simulator_process import Gate, SimulatorProcess
from evaluation.soak_company import Company
from evaluation.soak_figures import Growth, Sample, describe
from hydrophone.store.duckdb_store import check_database

SAMPLE_EVERY_S = 10.0
TURN_S = 900.0
"""Of the scenario: after it everything comes again."""
CUTS = ((60.0, 3.0, "cut"), (760.0, 20.0, "cut"), (800.0, 26.0, "hung"))
"""Within a turn: when the connection goes, for how long, and how. Who hangs is given up after 20 s."""
GRACE_S = 120.0
"""What ended so shortly before the end may still be open. chosen: twice what the longest outage takes."""
FATAL = (Fault.OPEN_THOUGH_ENDED, Fault.TWICE)
_FIGURE = re.compile(r"^hydrophone_(\w+)(?:{[^}]*})? (\S+)$", re.MULTILINE)


@dataclass
class Place:
    """Where the files of a run are.

    Attributes:
        folder: of all of them.
    """

    folder: Path

    @property
    def database(self) -> Path:
        """Of the service."""
        return self.folder / "soak.db"

    @property
    def truth(self) -> Path:
        """Of the simulator."""
        return self.folder / "truth.jsonl"

    @property
    def log(self) -> Path:
        """Warnings and errors of the service."""
        return self.folder / "service.jsonl"

    @property
    def samples(self) -> Path:
        """A JSON line for each."""
        return self.folder / "samples.jsonl"

    def file_mb(self) -> float:
        """Return the size of the database with its log."""
        files = (self.database, self.database.with_name(self.database.name + ".wal"))
        return sum(file.stat().st_size for file in files if file.exists()) / 2**20


def ask_figures(api_port: int) -> dict[str, float]:
    """Return what the service tells Prometheus."""
    with urllib.request.urlopen(f"http://127.0.0.1:{api_port}/metrics", timeout=30) as answer:
        return parse_figures(answer.read().decode())


def parse_figures(text: str) -> dict[str, float]:
    """Return figures by name, without the program's; of several with one name the largest.

    The queue that is measured in bytes is left out: the others count what waits.
    """
    found: dict[str, float] = {}
    counted = "\n".join(line for line in text.splitlines() if 'queue="frame_bytes"' not in line)
    for name, value in _FIGURE.findall(counted):
        found[name] = max(found.get(name, float("-inf")), float(value))
    return found


def sample_of(process: psutil.Process, told: dict[str, float], place: Place, at_s: float) -> Sample:
    """Return the service as it is now."""
    with process.oneshot():
        times = process.cpu_times()
        connections = int(told["alert_clients"] + told["http_connections"])
        return Sample(
            at_s=at_s,
            rss_mb=process.memory_info().rss / 2**20,
            cpu_s=times.user + times.system,
            descriptors=process.num_fds() - connections,
            threads=process.num_threads(),
            file_mb=place.file_mb(),
            predictions=int(told.get("predictions_stored", 0)),
            pending=int(told.get("predictions_pending", 0)),
            clients=int(told["alert_clients"]),
            queue_high_water=int(told["queue_high_water"]),
            gaps=int(told.get("gaps_stored", 0)),
            dropped=int(told["alert_dropped_total"]),
            kicked=int(told["alert_kicked_total"]),
        )


async def watch(service: ServiceProcess, place: Place, minutes: float) -> list[Sample]:
    """Return a sample each ten seconds; fewer if the service ends before the time is over."""
    process, began, samples = psutil.Process(service.process.pid), time.monotonic(), list[Sample]()
    with place.samples.open("a", encoding="utf-8") as file:
        while time.monotonic() < began + 60 * minutes and service.process.returncode is None:
            await asyncio.sleep(SAMPLE_EVERY_S)
            try:
                told = await asyncio.to_thread(ask_figures, service.api_port)
                samples.append(sample_of(process, told, place, time.monotonic() - began))
            except (OSError, psutil.Error) as error:
                print(f"no sample at {time.monotonic() - began:.0f} s: {error!r}", flush=True)
                continue
            file.write(json.dumps(asdict(samples[-1])) + "\n")
            file.flush()
    return samples


async def disturb(gate: Gate) -> None:
    """Cut the connection and let it hang, turn by turn."""
    clock = asyncio.get_running_loop().time
    began, turn = clock(), 0
    while True:
        for at_s, length_s, kind in CUTS:
            await asyncio.sleep(max(0.0, began + turn * TURN_S + at_s - clock()))
            if kind == "hung":
                gate.freeze()
            else:
                await gate.shut()
            await asyncio.sleep(length_s)
            await gate.open()
        turn += 1


def log_lines(log: Path) -> Iterator[tuple[str, str]]:
    """Yield level and event of each line; a line that is none is an error."""
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
            yield entry["level"], entry["event"]
        except (ValueError, KeyError, TypeError):
            yield "error", line[:120]


def report_company(company: Company) -> None:
    """Print what clients and the asker noticed."""
    print(
        f"clients       {company.visits:8d} visits, {company.refused} broken off; heard {dict(company.heard)}"
    )
    answers = sorted(company.answers_ms)
    if answers:
        p50, p99 = quantile(answers, 0.5), quantile(answers, 0.99)
        print(f"rest          {len(answers):8d} answers, p50 {p50:.1f} ms, p99 {p99:.1f} ms", end="")
        print(f", odd {dict(company.odd) or 0}")


def judge(place: Place, stopped_at: float) -> Verdict:
    """Return how what the service said stands to the truth."""
    truth = read_truth(place.truth)
    forgotten = [txid for txid, line in truth.items() if line["end"] == "replaced"]
    return judge_claims(
        read_claims(place.database), truth, Evidence(forgotten, open_since=stopped_at - GRACE_S)
    )


def set_evicted_aside(verdict: Verdict) -> int:
    """Take out of what is wrong what nobody at the mempool could tell; return how much that is.

    What was evicted a moment ago is replaced by who spends its coins; the truth only says it was evicted.
    """
    count = 0
    for fault, mark in (
        (Fault.WRONG_VERSION, " does not follow "),
        (Fault.WRONG_OUTCOME, ": said replaced "),
    ):
        texts = verdict.faults.get(fault, [])
        kept = [text for text in texts if not (mark in text and text.endswith("(evicted)"))]
        count += len(texts) - len(kept)
        verdict.faults[fault] = kept
    return count


def report(
    place: Place, samples: Sequence[Sample], company: Company, code: int, verdict: Verdict, *, has_lived: bool
) -> list[str]:
    """Print a line for each figure; return what is clearly wrong."""
    for line in describe(samples) if samples else ["no samples"]:
        print(line)
    report_company(company)
    levels = Counter(log_lines(place.log))
    errors = {event: n for (level, event), n in levels.items() if level in {"error", "critical"}}
    warnings = {event: n for (level, event), n in levels.items() if level == "warning"}
    print(f"log           {sum(errors.values()):8d} errors {errors or ''}; warnings {warnings or 0}")
    evicted = set_evicted_aside(verdict)
    counts = {str(fault): len(texts) for fault, texts in verdict.faults.items() if texts}
    print(f"outcomes      {verdict.predictions:8d} predictions, {dict(verdict.ends)}, wrong {counts or 0}")
    print(
        f"  {evicted} more were evicted in truth; who then spends their coins replaces them, to all who look"
    )
    for text in [text for texts in verdict.faults.values() for text in texts][:10]:
        print(f"  {text}")
    findings = check_database(place.database)
    print(f"database      {findings or 'sound'}; exit code {code}")
    faults = [] if has_lived else ["the service ended before it was told to"]
    faults += [f"exit code {code}"] if code else []
    faults += [
        f"{len(verdict.faults[fault])} predictions {fault}" for fault in FATAL if verdict.faults[fault]
    ]
    faults += [str(findings)] if findings else []
    return faults + (Growth.of(samples).faults() if samples else ["no samples"])


async def run(place: Place, minutes: float, *flags: str) -> list[str]:
    """Run it; print the figures; return what is clearly wrong."""
    simulator = await SimulatorProcess.start("--scenario", "soak", "--truth", str(place.truth), *flags)
    gate, company = Gate(simulator.port), Company()
    await gate.open()
    service = await ServiceProcess.start(gate.url, place.database, log=place.log)
    print(f"service {service.process.pid}, alerts {service.alerts_port}, api {service.api_port}", flush=True)
    tasks = [
        asyncio.create_task(disturb(gate)),
        asyncio.create_task(company.keep(service.alerts_port, service.api_port)),
    ]
    samples = await watch(service, place, minutes)
    has_lived = service.process.returncode is None
    broken = [task for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await gate.open()
    stopped_at = time.time()
    code = await service.stop() if has_lived else int(service.process.returncode or 0)
    with contextlib.suppress(ProcessLookupError):
        await simulator.stop()
    await gate.shut()
    faults = report(place, samples, company, code, judge(place, stopped_at), has_lived=has_lived)
    return faults + [f"the company broke up: {task.exception()!r}" for task in broken]


def main() -> int:
    """Run it as asked for; return 1 if something is clearly wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--whales-per-hour", type=float, help="large movements; else as the scenario has it")
    parser.add_argument("--folder", type=Path, help="keeps the files; without it they go at the end")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        place = Place(folder)
        if place.database.exists():
            print(f"{place.database} is there already: give an empty folder, or none", file=sys.stderr)
            return 2
        flags = ["--seed", str(arguments.seed)]
        if arguments.whales_per_hour is not None:
            flags += ["--whales-per-hour", str(arguments.whales_per_hour)]
        faults = asyncio.run(run(place, arguments.minutes, *flags))
    print("clearly wrong: " + "; ".join(faults) if faults else "nothing is clearly wrong")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
