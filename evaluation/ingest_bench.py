"""How fast frames become signals, as ratios to named baselines measured alternately in one run.

python -m evaluation.ingest_bench
"""

import gc
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson

from evaluation.bench_table import FULL, Bar, Effort, On, Row, not_measured, render
from evaluation.feeder import new_txid, recorded_transactions, renewed
from evaluation.ingest_limit import Limit, LimitMissing
from hydrophone.domain.events import TransactionSeen
from hydrophone.domain.flow import classify_flow
from hydrophone.domain.forecast import Forecaster, at_once
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.script import Network
from hydrophone.domain.tracker import Tracker
from hydrophone.pipeline.broadcast import Composer
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.store.label_files import build_label_book
from hydrophone.wire.mempool_space import MempoolSpaceDecoder
from hydrophone.wire.public_v1 import PublicEncoder
from hydrophone.wire.quarantine import Quarantine

TRANSACTIONS: Final = 5_000
WHALE_EVERY: Final = 250
"""# chosen: 0.4 % of mainnet's transactions move more than 100 BTC (2,200 of 500,000 a day)."""
SPEED_UP: Final = 7.0
LIMIT_RATIO: Final = 4.0
PEAK_RATIO: Final = 0.2
WHALE_BAR_US: Final = 300.0
"""The bars: against the standard library's json, simdjson, orjson's memory, and the clock."""
THRESHOLD_SAT: Final = 10_000_000_000


def frame_of(count: int, whale_every: int | None) -> bytes:
    """Return a frame of so many transactions as a backend spells them, every so many a whale (None: none)."""
    recorded = recorded_transactions()
    whales = [t for t in recorded if sum(o["value"] for o in t["vout"]) > THRESHOLD_SAT]
    small = [t for t in recorded if t not in whales]
    added = []
    for number in range(count):
        pool = small if whale_every is None or number % whale_every else whales
        added.append(renewed(pool[number % len(pool)], new_txid(number)))
    delta = {"sequence": 1, "added": added, "removed": [], "mined": [], "replaced": []}
    return json.dumps({"mempool-transactions": delta}, separators=(",", ":")).encode()


def classify_everything(payload: bytes, owners: Mapping[str, str]) -> int:
    """The baseline: the standard library's json, then every transaction classified by its addresses."""
    whales = 0
    for transaction in json.loads(payload)["mempool-transactions"]["added"]:
        senders, receivers, value = set(), set(), 0
        for tx_input in transaction["vin"]:
            prevout = tx_input["prevout"]
            if prevout is not None and (owner := owners.get(prevout.get("scriptpubkey_address"))):
                senders.add(owner)
        for output in transaction["vout"]:
            value += output["value"]
            if owner := owners.get(output.get("scriptpubkey_address")):
                receivers.add(owner)
        flow = _plain_flow(senders, receivers)
        whales += value > THRESHOLD_SAT and flow is not None
    return whales


def _plain_flow(senders: set[Any], receivers: set[Any]) -> str:
    if senders and receivers:
        return "internal"
    if receivers:
        return "inflow"
    return "outflow" if senders else "unknown"


Front = tuple[MempoolSpaceDecoder, Tracker]


def informed_front(book: LabelBook) -> Front:
    """Return a decoder and a core that know a block and the market, so that they say all they can.

    The table of forecasts is computed before, as a running service does it beside the loop.
    """
    decoder = MempoolSpaceDecoder(source="bench", threshold_sat=THRESHOLD_SAT, quarantine=Quarantine())  # type: ignore[arg-type]
    forecaster = Forecaster(run=lambda work: at_once(lambda: work().filled()))
    tracker = Tracker(network=Network.MAINNET, book=book, forecaster=forecaster)
    block = {"id": "b" * 64, "height": 900_000, "previousblockhash": "a" * 64, "timestamp": 1_790_000_000}
    block |= {"weight": 3_990_000, "extras": {"feeRange": [1, 2, 3, 4, 6, 9, 99]}}
    projected = {"blockVSize": 990_000.5, "feeRange": [1, 2, 3, 4, 6, 9, 99]}
    document = {"mempool-transactions": {"sequence": 0}, "block": block, "mempool-blocks": [projected] * 8}
    for at in (1, 2):
        for event in decoder.decode(Frame(at, "bench", FrameKind.RECEIVED, json.dumps(document).encode())):
            tracker.step(event)
    return decoder, tracker


def detect_frame(payload: bytes, front: Front) -> int:
    """Ours: decode, gate, classify, forecast and signal, and count for the market what arrives."""
    decoder, tracker = front
    events = decoder.decode(Frame(1_000_000, "bench", FrameKind.RECEIVED, payload))
    return sum(len(tracker.step(event)) for event in events)


def only_classify(payload: bytes, front: Front, book: LabelBook) -> int:
    """No more of ours than what the baseline does: decode, gate, classify."""
    events = front[0].decode(Frame(1_000_000, "bench", FrameKind.RECEIVED, payload))
    whales = [event.transaction for event in events if isinstance(event, TransactionSeen)]
    return sum(classify_flow(whale, book).flow_type is not None for whale in whales)


def seconds(work: Callable[[], object]) -> float:
    """Return how much of the processor a piece of work takes; unlike time, others cannot make it more."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the most that was allocated at once during a piece of work."""
    gc.collect()
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the lines: whales as often as on mainnet (with the 43 inputs of the recorded ones), and none."""
    yield from compare("ingest with whales", WHALE_EVERY, effort)
    yield from compare("ingest, no whales", None, effort)
    yield from whale_path(effort)
    yield not_measured(
        "raw transactions",
        "parser of Bitcoin's serialisation",
        "there is none; Bitcoin Core is no source yet",
    )


def compare(group: str, whale_every: int | None, effort: Effort) -> Iterator[Row]:
    """Yield what a frame costs, ours and the baselines."""
    payload = frame_of(TRANSACTIONS, whale_every)
    book, _ = build_label_book(Network.MAINNET, ())
    owners = {f"address {n}": "somebody" for n in range(len(book))}
    rounds = effort.pick(5, 25)
    fronts = [informed_front(book) for _ in range(2 * rounds + 1)]
    works: dict[str, Callable[[], float]] = {
        "ours": lambda: seconds(lambda: detect_frame(payload, fronts.pop())),
        "classified": lambda: seconds(lambda: only_classify(payload, fronts.pop(), book)),
        "copy": lambda: seconds(lambda: bytearray(payload)),
        "json": lambda: seconds(lambda: classify_everything(payload, owners)),
    }
    samples: dict[str, list[float]] = {name: [] for name in (*works, "limit")}
    missing = ""
    gc.collect()
    gc.freeze()  # as the service does once it is ready
    try:
        with Limit(payload, [label.script for label in book], THRESHOLD_SAT) as limit:
            for _ in range(rounds):
                for name, work in {**works, "limit": limit.seconds}.items():
                    samples[name].append(work())
    except LimitMissing as error:
        missing = str(error)
        for _ in range(rounds):
            for name, work in works.items():
                samples[name].append(work())
    gc.unfreeze()
    medians = {
        name: statistics.median(times) / TRANSACTIONS * 1e6 for name, times in samples.items() if times
    }
    ours = medians["ours"]
    what, less = "bytes to signals, each transaction", "decode, gate, classify, each transaction"
    json_us, json_loads, bar = medians["json"], "json, all classified", Bar(SPEED_UP, On.SPEED_UP)
    yield Row(group, less, medians["classified"], "us", json_loads, json_us, rounds, bar)
    yield Row(group, what, ours, "us", json_loads, json_us, rounds, bar)
    yield Row(group, what, ours, "us", "memcpy of the frame", medians["copy"], rounds)
    if missing:
        yield not_measured(group, f"{less}, beside simdjson", missing)
    else:
        limit_us, most = medians["limit"], Bar(LIMIT_RATIO)
        yield Row(group, less, medians["classified"], "us", "simdjson C++", limit_us, rounds, most)
    ours_peak = peak_bytes(lambda: detect_frame(payload, fronts.pop())) / 1e6
    for name, decode in (("orjson", orjson.loads), ("json", json.loads)):
        peak = peak_bytes(lambda decode=decode: decode(payload)) / 1e6  # type: ignore[misc]
        yield Row(group, "memory while decoding", ours_peak, "MB", name, peak, 1, Bar(PEAK_RATIO))


def whale_path(effort: Effort) -> Iterator[Row]:
    """Yield what one whale costs from its bytes to its message, without I/O."""
    whale = max(recorded_transactions(), key=lambda t: sum(o["value"] for o in t["vout"]))
    book, _ = build_label_book(Network.MAINNET, ())
    frames = []
    for number in range(effort.pick(300, 1_000)):
        delta = {"sequence": number + 1, "added": [renewed(whale, new_txid(number))]}
        frames.append(json.dumps({"mempool-transactions": delta}).encode())
    decoder, tracker = informed_front(book)
    composer = Composer(PublicEncoder(Network.MAINNET))

    def publish(number: int) -> None:
        frame = Frame(3_000_000 + number, "bench", FrameKind.RECEIVED, frames[number])
        for event in decoder.decode(frame):
            for effect in tracker.step(event):
                composer.compose(effect)

    ours, plain = [], []
    gc.collect()
    gc.freeze()  # as the service does once it is ready
    for number, frame in enumerate(frames):
        ours.append(seconds(lambda number=number: publish(number)) * 1e6)  # type: ignore[misc]
        plain.append(seconds(lambda frame=frame: json.loads(frame)) * 1e6)  # type: ignore[misc]
    what = f"bytes to message, {len(whale['vin'])} inputs"
    json_us, count = statistics.median(plain), len(ours)
    middle, high = statistics.median(ours), sorted(ours)[int(count * 0.99)]
    yield Row("whale", f"{what}, p50", middle, "us", "json.loads of it", json_us, count)
    yield Row("whale", f"{what}, p99", high, "us", "", None, count, Bar(WHALE_BAR_US, On.VALUE))
    events = [
        e for e in decoder.decode(Frame(1, "b", FrameKind.RECEIVED, frames[0])) if hasattr(e, "transaction")
    ]
    transaction = events[0].transaction
    flow = [seconds(lambda: classify_flow(transaction, book)) * 1e6 for _ in range(count)]
    yield Row(
        "whale", "of that classify_flow", statistics.median(flow), "us", "json.loads of it", json_us, count
    )


if __name__ == "__main__":
    print(render(rows(FULL)))
