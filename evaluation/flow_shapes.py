"""What shape the detector sees in real transactions of known shape."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

from evaluation.shared_data import find
from hydrophone.detector import WhaleFlowDetector
from hydrophone.domain.labels import LabelBook

SHAPES: Final = frozenset({"coinjoin", "batch_withdrawal", "sweep", "consolidation"})
"""Subtypes that are shapes; the others (cold_to_hot, interexchange, mixed) come from labels."""
EXPECTED: Final = {
    "batch-withdrawal-143": "batch_withdrawal",
    "wabisabi-coinjoin": "coinjoin",
    "whirlpool-coinjoin": "coinjoin",
    "joinmarket-coinjoin": "coinjoin",
}
"""By the name of the file; any other has no shape."""
_NONE: Final = "none"


def transactions_in(path: Path) -> list[dict[str, Any]]:
    """Return the transactions of a file: one, a list, or a list of cases with notes."""
    content = json.loads(path.read_text(encoding="utf-8"))
    found = content if isinstance(content, list) else [content]
    found = [item.get("tx", item) for item in found]
    return [item for item in found if "vin" in item]


def shapes_of(transactions: list[dict[str, Any]], detector: WhaleFlowDetector) -> Counter[str]:
    """Return how often each shape is seen; `not judged` is a coinbase or what lacks inputs or outputs."""
    seen: Counter[str] = Counter()
    for transaction in transactions:
        result = detector.classify(transaction)
        subtype = None if result is None else result["flow_subtype"]
        shape = subtype if subtype in SHAPES else _NONE
        seen["not judged" if result is None else str(shape)] += 1
    return seen


def main() -> int:
    """Print a line for each file, without labels and with those that ship with the package."""
    folder = find("data/transactions")
    if folder is None:
        return 0
    right = judged = 0
    misses: Counter[str] = Counter()
    print(f"{'file':<32}{'n':>4}  {'expected':<18}seen")
    for path in sorted(folder.glob("*.json")):
        transactions = transactions_in(path)
        if not transactions:
            continue
        name = path.stem.removeprefix("api-responses_")
        expected = EXPECTED.get(name, _NONE)
        seen = shapes_of(transactions, WhaleFlowDetector(book=LabelBook()))
        labelled = shapes_of(transactions, WhaleFlowDetector())
        of_file = sum(count for shape, count in seen.items() if shape != "not judged")
        judged += of_file
        right += seen[expected]
        misses.update({f"{name}: {shape}": count for shape, count in seen.items() if shape != expected})
        differs = "" if seen == labelled else f"; with the curated labels {dict(labelled)}"
        print(f"{name:<32}{len(transactions):>4}  {expected:<18}{dict(seen)}{differs}")
    wrong = {miss: count for miss, count in misses.items() if not miss.endswith("not judged")}
    print(f"right {right} of {judged}; misses {wrong or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
