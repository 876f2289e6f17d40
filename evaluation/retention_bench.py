"""What retention costs: how fast history goes, whether signals wait for it, and how large the file gets."""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import duckdb

from evaluation.store_bench import START_MICROS, entries_of
from hydrophone.domain.record import GENESIS, NotedHead, next_entry
from hydrophone.domain.script import Network, address_from_script
from hydrophone.domain.units import MICROS_PER_S, UnixMicros, datetime_from_micros
from hydrophone.pipeline.ports import Entry, Publication
from hydrophone.pipeline.retention import Retention
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.history import STEP_LIMIT, StoredHistory
from hydrophone.store.schema import check_database, verify_record

DAY_MICROS = 86_400 * MICROS_PER_S
KEEP_DAYS = 90
TEMPLATES = 1_000
COMMITS = 1_000
ROUNDS = 5
EVERY_S = 0.02
"""A whale so often: fifty in a second, far more than there are."""


def history_of(path: Path, days: Sequence[int], by_day: int, entries: Sequence[Entry]) -> None:
    """Add days of ended predictions, two record entries each, made of real rows with other names.

    Args:
        path: a database of ours with some predictions, all of whose messages are in `entries`.
        days: since `START_MICROS`.
        by_day: predictions a day.
        entries: of which the messages are taken.
    """
    messages = [entry.message for entry in entries if isinstance(entry, Publication)]
    with duckdb.connect(path, config={"memory_limit": "512MB", "threads": 1}) as connection:
        heads = connection.execute("SELECT seq, hash FROM record ORDER BY seq DESC LIMIT 1").fetchall()
        seq, previous = heads[0] if heads else (0, GENESIS)
        for day in days:
            first = datetime_from_micros(UnixMicros(START_MICROS + day * DAY_MICROS)).replace(tzinfo=None)
            connection.execute(
                f"""
                INSERT INTO mempool_predictions BY NAME
                SELECT t.* REPLACE (
                    format('{{}}-{{}}', {day}, t.place) AS prediction_id,
                    ? + to_seconds(t.place * 86400.0 / {by_day}) AS detection_timestamp,
                    ? + to_seconds(t.place * 86400.0 / {by_day}) AS received_at,
                    'confirmed' AS status
                ) FROM (
                    SELECT p.*, r.place FROM range({by_day}) r(place)
                    JOIN (SELECT *, row_number() OVER () - 1 AS n FROM template) p
                    ON p.n = r.place % {TEMPLATES}
                ) t
                """.replace("t.* REPLACE", "t.* EXCLUDE (place, n) REPLACE"),
                [first, first],
            )
            connection.execute(
                f"""
                INSERT INTO prediction_outcomes (outcome_id, prediction_id, transaction_id, predicted_flow,
                    actual_outcome, ended_at, accuracy_score, within_p90, within_p50, simulated, lead_time_s)
                SELECT prediction_id, prediction_id, transaction_id, flow_type, 'confirmed',
                    detection_timestamp + INTERVAL 10 MINUTE, 0.75, TRUE, TRUE, FALSE, 600
                FROM mempool_predictions WHERE prediction_id LIKE '{day}-%'
                """
            )
            with connection.appender("record") as appender:
                for place in range(2 * by_day):
                    seq += 1
                    at = UnixMicros(START_MICROS + day * DAY_MICROS + place * DAY_MICROS // (2 * by_day))
                    name = f"{day}-{place // 2}"
                    message = messages[seq % len(messages)]
                    entry = next_entry(previous, seq, at, "signal", name, message=message)
                    previous = entry.hash
                    when = first + timedelta(microseconds=at - START_MICROS - day * DAY_MICROS)
                    appender.append_row(seq, when, "signal", name, message.decode(), entry.digest, entry.hash)


async def opened(path: Path) -> DuckDbStore:
    """Return an open store."""
    store = DuckDbStore(path, address_of=lambda script: address_from_script(script, Network.REGTEST))
    await store.open()
    return store


async def commits(store: DuckDbStore, entries: Sequence[Entry], last_seq: int) -> list[float]:
    """Commit a whale now and then; return how long each took, in milliseconds."""
    times_ms = []
    for number, entry in enumerate(entries, start=last_seq + 1):
        assert isinstance(entry, Publication)
        began = time.perf_counter()
        await store.commit([Publication(number, entry.effect, entry.message)])
        times_ms.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(EVERY_S)
    return times_ms


async def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--by-day", type=int, default=2_000, help="predictions a day")
    parser.add_argument("--months", type=int, default=4, help="simulated, after the first 90 days")
    options = parser.parse_args()
    entries = entries_of(TEMPLATES + 2 * COMMITS)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "bench.db"
        store = await opened(path)
        await store.commit(entries[:TEMPLATES])
        await store.close()
        with duckdb.connect(path) as connection:
            connection.execute("CREATE TABLE template AS FROM mempool_predictions")
            for table in ("mempool_predictions", "record"):
                connection.execute(f"DELETE FROM {table}")
        whales = entries[TEMPLATES:]
        history_of(path, range(KEEP_DAYS + 10), options.by_day, whales)
        print(f"retention: {KEEP_DAYS + 10} days of {options.by_day} predictions and twice as many entries")
        await _latency(path, whales)
        _verify(path)
        await _growth(path, options.by_day, 30 * options.months, whales)
    return 0


async def _latency(path: Path, whales: Sequence[Entry]) -> None:
    began = time.perf_counter()
    store = await opened(path)
    print(f"  open: {time.perf_counter() - began:.2f} s")
    last_seq = (await store.query_status()).last_seq
    now = UnixMicros(START_MICROS + (KEEP_DAYS + 10) * DAY_MICROS)
    steps: list[float] = []
    history = TimedHistory(store, lambda: now, steps)
    may_go_on = asyncio.Event()

    async def pause(seconds: float) -> None:
        await asyncio.sleep(seconds)
        await may_go_on.wait()

    retention = Retention(history, keep_days=KEEP_DAYS, clock=lambda: now, sleep=pause)
    task = asyncio.create_task(retention.run_once())
    times: dict[bool, list[float]] = {False: [], True: []}
    share = len(whales) // (2 * ROUNDS)
    for part in range(2 * ROUNDS):  # in turn, as the machine does not stay the same
        is_working = part % 2 == 1
        (may_go_on.set if is_working else may_go_on.clear)()
        times[is_working] += await commits(
            store, whales[part * share : (part + 1) * share], last_seq + part * share
        )
    is_busy = not task.done()
    may_go_on.set()
    await task
    quiet, busy = times[False], times[True]
    await store.close()
    _say("commit of a whale, nothing else going on", quiet)
    _say("the same while retention works", busy)
    _say(f"a step of {STEP_LIMIT}", steps)
    slowest = sorted(range(len(steps)), key=lambda place: -steps[place])[:5]
    print("  slowest steps: " + ", ".join(f"number {place} {steps[place]:.0f} ms" for place in slowest))
    for q in (0.5, 0.99):
        print(f"  ratio at p{q * 100:.0f}: {_quantile(busy, q) / _quantile(quiet, q):.2f}")
    rate = sum(history.counts) / (sum(steps) / 1e3)
    print(f"  {sum(history.counts)} things in {len(steps)} steps: {rate:.0f} a second without the pauses")
    if not is_busy:
        print("  retention was done before the commits were")


class TimedHistory(StoredHistory):
    """History that notes how long its steps take."""

    def __init__(self, store: DuckDbStore, clock: object, steps_ms: list[float]) -> None:
        super().__init__(store, clock)  # type: ignore[arg-type] # a clock
        self.steps_ms = steps_ms
        self.counts: list[int] = []

    async def drop_step(self, before: UnixMicros) -> int:
        """Remove a few things, timed."""
        began = time.perf_counter()
        count = await super().drop_step(before)
        self.steps_ms.append((time.perf_counter() - began) * 1e3)
        self.counts.append(count)
        return count


def _verify(path: Path) -> None:
    began = time.perf_counter()
    report = verify_record(path, NotedHead())
    took_s = time.perf_counter() - began
    assert report.fault is None, report.fault
    print(
        f"  record verify: {report.entry_count} entries, {report.content_count} with content, "
        f"in {took_s:.2f} s: {report.entry_count / took_s:.0f} a second"
    )
    assert check_database(path) == []


async def _growth(path: Path, by_day: int, days: int, whales: Sequence[Entry]) -> None:
    print("  file, when each day a day comes and one goes:")
    closing_s: list[float] = []
    for day in range(KEEP_DAYS + 10, KEEP_DAYS + 10 + days):
        history_of(path, [day], by_day, whales)
        now = UnixMicros(START_MICROS + (day + 1) * DAY_MICROS)
        store = await opened(path)

        async def at_once(_seconds: float) -> None:
            pass

        retention = Retention(
            StoredHistory(store, lambda: now, step_limit=500),  # noqa: B023 -- used within this round
            keep_days=KEEP_DAYS,
            clock=lambda: now,  # noqa: B023 -- likewise
            sleep=at_once,
        )
        await retention.run_once()
        began = time.perf_counter()
        await store.close()
        closing_s.append(time.perf_counter() - began)
        if (day - KEEP_DAYS - 10) % 30 in (0, 29):
            size_mb = path.stat().st_size / 1e6
            print(f"    day {day}: {size_mb:.0f} MB", flush=True)
    if closing_s:
        print(
            f"  writing each day's changes into the file: median {statistics.median(closing_s):.2f} s, "
            f"longest {max(closing_s):.2f} s"
        )


def _quantile(times: Sequence[float], q: float) -> float:
    return sorted(times)[min(int(len(times) * q), len(times) - 1)]


def _say(name: str, times: Sequence[float]) -> None:
    p50, p99 = statistics.median(times), _quantile(times, 0.99)
    print(f"  {name:<44} p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  max {max(times):6.2f} ms  n {len(times)}")


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
