"""Compares the simulator's backend with recordings of the real one: every field of every kind of message.

Keys, their order and JSON types have to agree; values differ, because the two worlds do. With the path of
a file, it writes there the excerpt of the recordings that the tests compare with.
"""

import gzip
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evaluation.shared_data import find
from hydrophone.domain.script import Network
from hydrophone.simulator.backend.backend import Style
from hydrophone.simulator.backend.spelling import Spelling
from hydrophone.simulator.backend.transactions import TransactionText
from tests.unit.simulator.backend.rebuilt import rebuild
from tests.unit.simulator.backend.scene import play
from tests.unit.simulator.backend.shapes import (
    Shape,
    add_types,
    as_json,
    deviations,
    is_row,
    kind_of_frame,
    name_of,
    shape_of,
)

Kinds = dict[str, list[str]]
"""By kind: JSON documents."""


def recorded_frames(folder: Path) -> Kinds:
    """Return the frames of a recording by client and keys."""
    kinds: Kinds = {}
    for line in (folder / "ws.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["dir"] == "in":
            kinds.setdefault(kind_of_frame(entry["conn"], entry["raw"]), []).append(entry["raw"])
    return kinds


def kind_of_path(path: str) -> str:
    """Return a path with its variable parts replaced."""
    path = re.sub(r"[0-9a-f]{64}", "H", path)
    path = re.sub(r"/bcrt1\w+", "/A", path)
    return re.sub(r"/\d+$", "/N", path)


def recorded_answers(folder: Path) -> Kinds:
    """Return the REST answers of a recording by path, status and content type."""
    kinds: Kinds = {}
    for line in (folder / "rest.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        content_type = {key.lower(): value for key, value in entry["headers"].items()}.get("content-type", "")
        kind = f"{kind_of_path(entry['path'])} {entry['status']} {content_type}"
        kinds.setdefault(kind, []).append(as_json(content_type, entry["body"]))
    return kinds


def compare(original: Mapping[str, Iterable[str]], imitation: Mapping[str, Iterable[str]]) -> int:
    """Print a line for each kind and its deviations below; return how many there are."""
    total = 0
    for kind, documents in sorted(original.items()):
        if kind not in imitation:
            print(f"{'absent':>16}  {kind}")
            total += 1
            continue
        shape = shape_of(documents)
        found = deviations(shape, shape_of(imitation[kind]))
        total += len(found)
        print(f"{len(shape):>5} {len(found):>10}  {kind}")
        for line in found:
            print(f"{'':>18}{line}")
    return total


def count_rewritten(recording: Path, style: Style) -> tuple[int, int]:
    """Return how many recorded transactions are the same bytes when written again, and of how many.

    Left out are those with relatives, whose rate depends on what is not theirs.
    """
    text = TransactionText(Spelling(style, Network.REGTEST))
    same = total = 0
    for line in (recording / "ws.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["dir"] != "in" or entry["conn"] != "all":
            continue
        for transaction in json.loads(entry["raw"]).get("mempool-transactions", {}).get("added", []):
            if not transaction["ancestors"]:
                total += 1
                same += text.announced(rebuild(transaction)) in entry["raw"]
    return same, total


def excerpt(documents: Iterable[str]) -> list[str]:
    """Return documents of one kind, and of their arrays items, that together look like all of them."""
    kept: list[str] = []
    shape: Shape = {}
    for document in documents:
        before = {path: set(types) for path, types in shape.items()}
        trimmed = _trim(json.loads(document), "", shape)
        if shape != before or not kept:
            kept.append(json.dumps(trimmed, ensure_ascii=False, separators=(",", ":")))
    return kept


def _trim(value: Any, path: str, shape: Shape) -> Any:  # noqa: ANN401 -- any JSON
    """Return a value without the items of arrays that show nothing new, and add to the shape."""
    add_types(shape, path, value)
    if isinstance(value, dict):
        return {key: _trim(inner, f"{path}.{name_of(key)}", shape) for key, inner in value.items()}
    if not isinstance(value, list) or is_row(value):
        for position, item in enumerate(value if isinstance(value, list) else ()):
            add_types(shape, f"{path}[{position}]", item)
        return value
    kept: list[Any] = []
    for item in value:
        before = {inner: set(types) for inner, types in shape.items()}
        trimmed = _trim(item, f"{path}[]", shape)
        if shape != before or not kept:
            kept.append(trimmed)
    return kept


def write_excerpt(folder: Path, path: Path) -> None:
    """Write what the tests compare with, packed."""
    lines = []
    for style in Style:
        recording = folder / f"mempool-{style}"
        for kind, documents in (recorded_frames(recording) | recorded_answers(recording)).items():
            lines += [
                json.dumps({"style": style, "kind": kind, "raw": raw}, ensure_ascii=False)
                for raw in excerpt(documents)
            ]
    path.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    print(f"{len(lines)} documents, {path.stat().st_size} bytes in {path}")


def main() -> int:
    """Compare both styles, or write the excerpt that the tests need."""
    folder = find("recordings")
    if folder is None:
        return 0
    if len(sys.argv) > 1:
        write_excerpt(folder, Path(sys.argv[1]))
        return 0
    total = 0
    for style in Style:
        recording = folder / f"mempool-{style}"
        played = play(style)
        print(f"{recording.name}\nfields deviations  kind")
        same, count = count_rewritten(recording, style)
        print(f"{same} of {count} transactions written again are the same bytes")
        total += count - same
        total += compare(recorded_frames(recording) | recorded_answers(recording), played.documents())
    print(f"{total} deviations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
