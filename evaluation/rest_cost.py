"""What each question of REST costs the processor at 200,000 predictions: reading and spelling, in its thread.

Unlike the time somebody waits, it does not depend on what else the machine does.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from evaluation.rest_history import DAYS, make_history
from hydrophone.domain.units import MICROS_PER_S, Txid, UnixMicros
from hydrophone.pipeline.ports import GapPeriod
from hydrophone.store.confusion import count_flows
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.forecasts import forecasts_of
from hydrophone.store.gaps import gaps_of
from hydrophone.store.hours import StoredHours
from hydrophone.store.record_chain import read_page
from hydrophone.store.schema import status_of
from hydrophone.store.side_reader import Cursor
from hydrophone.store.stored_hours import read_netflow, read_statistics
from hydrophone.store.stored_predictions import read_prediction, read_predictions
from hydrophone.store.stored_transactions import find_transaction
from hydrophone.wire.openapi import encode_answer
from hydrophone.wire.rest_queries import NetflowQuery, PredictionsQuery, StatisticsQuery, parse_query

REPEATS = 7
FORECASTS = 10_000


def questions(txid: Txid) -> Iterable[tuple[str, Callable[[Cursor], object]]]:
    """Yield what is asked, by name."""
    for asked in (
        {},
        {"limit": "1000"},
        {"exchange": "Exchange 4"},
        {"exchange": "Nobody"},
        {"status": "dropped", "limit": "1000"},
    ):
        query = parse_query(PredictionsQuery, asked.items())
        yield f"predictions {asked}", lambda c, q=query: encode_answer(read_predictions(c, q))  # type: ignore[misc]
    yield "prediction", lambda c: encode_answer(read_prediction(c, txid))
    yield "transaction to explain", lambda c: find_transaction(c, txid)
    for flow in ({"limit": "1000"}, {"interval": "hour", "limit": "1000"}):
        wanted = parse_query(NetflowQuery, flow.items())
        yield f"netflow {flow}", lambda c, q=wanted: encode_answer(read_netflow(c, q))  # type: ignore[misc]
    daily = parse_query(StatisticsQuery, [("limit", "1000")])
    yield "statistics, daily", lambda c: encode_answer(read_statistics(c, daily))
    now = UnixMicros(time.time_ns() // 1_000)
    period = GapPeriod(UnixMicros(now - DAYS * 86_400 * MICROS_PER_S), now, None)
    yield "gaps", lambda c: gaps_of(c, period)
    yield "record, 100 entries", lambda c: read_page(c, 100_000, 100)
    yield "status", status_of
    yield "accuracy: flows", lambda c: count_flows(c, DAYS)
    yield "accuracy: forecasts read", lambda c: forecasts_of(c, DAYS, FORECASTS)


def cheapest_ms(ask: Callable[[Cursor], object], cursor: Cursor) -> float:
    """Return the least time of some tries."""
    times = []
    for _ in range(REPEATS):
        began = time.thread_time()
        ask(cursor)
        times.append((time.thread_time() - began) * 1e3)
    return min(times)


async def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=int, default=200_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "bench.db"
        txids = await asyncio.to_thread(make_history, path, options.predictions)
        store = DuckDbStore(path, address_of=bytes.hex, query_timeout_s=60)
        await store.open()
        began = time.process_time()
        await StoredHours(store).count_all()
        print(f"counted by the hour once: {time.process_time() - began:.2f} s")
        for question, ask in questions(Txid(txids[0])):
            cost_ms = await store.query(lambda cursor, ask=ask: cheapest_ms(ask, cursor))  # type: ignore[misc]
            print(f"{question:<58} {cost_ms:6.1f} ms")
        await store.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
