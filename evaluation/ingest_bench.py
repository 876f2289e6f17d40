"""How fast frames become signals, as ratios to named baselines measured alternately in one run."""

import gc
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping
from typing import Any, Final

from evaluation.feeder import new_txid, recorded_transactions, renewed
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
ROUNDS: Final = 9
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


def seconds(work: Callable[[], object]) -> float:
    """Return how long a piece of work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def peak_bytes(work: Callable[[], object]) -> int:
    """Return the most that was allocated at once during a piece of work."""
    gc.collect()
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def main() -> None:
    """Print the tables: whales as often as on mainnet (with the 43 inputs of the recorded ones), and none."""
    for whale_every in (WHALE_EVERY, None):
        whales = 0 if whale_every is None else TRANSACTIONS // whale_every
        compare(frame_of(TRANSACTIONS, whale_every), whales)
    whale_path()


def compare(payload: bytes, whales: int) -> None:
    """Print what a frame costs, ours and the baselines."""
    book, _ = build_label_book(Network.MAINNET, ())
    owners = {f"address {n}": "somebody" for n in range(len(book))}
    fronts = [informed_front(book) for _ in range(ROUNDS + 1)]
    works: dict[str, Callable[[], object]] = {
        "memcpy of the frame": lambda: bytearray(payload),
        "ours: decode, gate, classify, signal": lambda: detect_frame(payload, fronts.pop()),
        "stdlib json, everything classified": lambda: classify_everything(payload, owners),
    }
    gc.collect()
    gc.freeze()  # as the service does once it is ready
    samples: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            samples[name].append(seconds(work))
    gc.unfreeze()
    medians = {name: statistics.median(times) / TRANSACTIONS * 1e6 for name, times in samples.items()}
    copy, ours, stdlib = medians.values()
    size = f"{TRANSACTIONS} transactions, {whales} of them whales, {len(payload) / 1e6:.1f} MB"
    print(f"ingest: {size}, median of {ROUNDS}, alternating")
    for name, micros in medians.items():
        print(f"  {name:<40} {micros:8.2f} us/tx")
    print(f"  ours / memcpy {ours / copy:.1f}x; stdlib / ours {stdlib / ours:.1f}x (bar >= 7x)")
    ours_peak = peak_bytes(lambda: detect_frame(payload, fronts.pop()))
    stdlib_peak = peak_bytes(lambda: json.loads(payload))
    print(
        f"  peak while decoding: ours {ours_peak / 1e6:.1f} MB, stdlib json {stdlib_peak / 1e6:.1f} MB, "
        f"{ours_peak / stdlib_peak:.2f} (bar <= 0.2)"
    )


def whale_path() -> None:
    """Print what one whale costs from its bytes to its message, without I/O."""
    whale = max(recorded_transactions(), key=lambda t: sum(o["value"] for o in t["vout"]))
    book, _ = build_label_book(Network.MAINNET, ())
    frames = []
    for number in range(500):
        delta = {"sequence": number + 1, "added": [renewed(whale, new_txid(number))]}
        frames.append(json.dumps({"mempool-transactions": delta}).encode())
    decoder = MempoolSpaceDecoder(source="bench", threshold_sat=THRESHOLD_SAT, quarantine=Quarantine())  # type: ignore[arg-type]
    tracker = Tracker(network=Network.MAINNET, book=book)
    composer = Composer(PublicEncoder(Network.MAINNET))

    def publish(number: int) -> None:
        frame = Frame(number, "bench", FrameKind.RECEIVED, frames[number])
        for event in decoder.decode(frame):
            for effect in tracker.step(event):
                composer.compose(effect)

    times = [seconds(lambda number=number: publish(number)) * 1e6 for number in range(len(frames))]  # type: ignore[misc]
    inputs = len(whale["vin"])
    print(
        f"whale path ({inputs} inputs), bytes to message: median {statistics.median(times):.0f} us, "
        f"p99 {sorted(times)[int(len(times) * 0.99)]:.0f} us, n = {len(times)} (bar < 300 us)"
    )
    transaction_events = [
        e for e in decoder.decode(Frame(1, "b", FrameKind.RECEIVED, frames[0])) if hasattr(e, "transaction")
    ]
    transaction = transaction_events[0].transaction
    flow_times = [seconds(lambda: classify_flow(transaction, book)) * 1e6 for _ in range(500)]
    print(f"  of that classify_flow {statistics.median(flow_times):.0f} us")


if __name__ == "__main__":
    main()
