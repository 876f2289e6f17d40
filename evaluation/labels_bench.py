"""100,000 labels: memory, time to load them, time of a look-up; beside a plain dict of as many objects.

python -m evaluation.labels_bench
"""

import gc
import random
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from itertools import islice
from pathlib import Path

from evaluation.bench_table import FULL, Effort, Row, render
from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.script import Network
from hydrophone.store.label_files import build_label_book
from hydrophone.store.label_sets import LabelSets, SetInfo

COUNT = 100_000
ROUNDS = 5
TODAY = date(2026, 11, 25)


def labels() -> Iterator[Label]:
    """Yield deposit addresses of 40 exchanges."""
    chance = random.Random(1)
    entities = [Entity(f"Exchange {number}", EntityKind.EXCHANGE) for number in range(40)]
    for number in range(COUNT):
        yield Label(
            b"\x00\x14" + chance.randbytes(20),
            entities[number % len(entities)],
            Role.DEPOSIT,
            "a list",
            0.97,
            date(2026, 9, 1 + number % 28),
            "its own list",
            "https://example.org/reserves",
            "MIT",
        )


def bytes_of(make: Callable[[], object]) -> int:
    """Return what an object keeps in memory."""
    gc.collect()
    tracemalloc.start()
    kept = make()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return size


def nanoseconds(look_up: Callable[[bytes], object], scripts: Iterable[bytes]) -> float:
    """Return the CPU time of one look-up, the median of some rounds over many scripts."""
    wanted = list(scripts)
    times = []
    for _ in range(ROUNDS):
        begin = time.process_time_ns()
        for script in wanted:
            look_up(script)
        times.append((time.process_time_ns() - begin) / len(wanted))
    return statistics.median(times)


def rows(effort: Effort) -> Iterator[Row]:
    """Yield the lines."""
    count = effort.pick(20_000, 100_000)
    made = list(islice(labels(), count))
    plain = bytes_of(lambda: {label.script: (label,) for label in islice(labels(), count)}) / 2**20
    ours = bytes_of(lambda: LabelBook(islice(labels(), count))) / 2**20
    yield Row("labels", f"memory of {count:,}", ours, "MB", "dict of label objects", plain, 1)
    with tempfile.TemporaryDirectory() as folder:
        sets = LabelSets(Path(folder), Network.MAINNET)
        sets.revise(SetInfo("a-list", Network.MAINNET.value), tuple(made), on=TODAY)
        loading, reading, book = [], [], LabelBook()
        for _ in range(ROUNDS):
            begin = time.process_time()
            book, _reports = build_label_book(Network.MAINNET, [], sets=sets.load_all(), on=TODAY)
            loading.append(time.process_time() - begin)
            begin = time.process_time()
            LabelBook(made)
            reading.append(time.process_time() - begin)
    yield Row(
        *("labels", f"loading {count:,} from a set's file, processor", statistics.median(loading), "s"),
        *("a book of objects that are there", statistics.median(reading), ROUNDS),
    )
    known = [label.script for label in made]
    random.Random(2).shuffle(known)
    strangers = [random.Random(number).randbytes(22) for number in range(10_000)]
    plain_dict = dict.fromkeys(known)
    stranger_ns = nanoseconds(plain_dict.get, strangers)
    known_ns = nanoseconds(plain_dict.get, known)
    yield Row(
        *("labels", "look-up of a stranger", nanoseconds(book.lookup, strangers), "ns"),
        *("dict.get", stranger_ns, len(strangers)),
    )
    yield Row(
        "labels",
        "look-up of a known script",
        nanoseconds(book.lookup, known),
        "ns",
        "dict.get",
        known_ns,
        count,
    )
    yield Row(
        "labels", "and of its entity", nanoseconds(book.entity_of, known), "ns", "dict.get", known_ns, count
    )


if __name__ == "__main__":
    print(render(rows(FULL)))
