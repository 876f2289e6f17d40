"""Compares the simulator's backend with recordings of the real one: every field of every kind of message.

Keys, their order and JSON types have to agree; values differ, because the two worlds do.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from evaluation.shared_data import find
from hydrophone.simulator.backend.backend import Style
from tests.unit.simulator.backend.scene import Played, play
from tests.unit.simulator.backend.shapes import deviations, shape_of

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


def kind_of_frame(client: str, text: str) -> str:
    """Return the client and the keys of a frame."""
    return f"{client}: {' '.join(json.loads(text))}"


def simulated_frames(played: Played) -> Kinds:
    """Return the frames of the simulation by client and keys."""
    kinds: Kinds = {}
    for client, texts in played.scene.frames.items():
        for text in texts:
            kinds.setdefault(kind_of_frame(client, text), []).append(text)
    return kinds


def kind_of_path(path: str) -> str:
    """Return a path with its variable parts replaced."""
    path = re.sub(r"[0-9a-f]{64}", "H", path)
    path = re.sub(r"/bcrt1\w+", "/A", path)
    return re.sub(r"/\d+$", "/N", path)


def recorded_answers(folder: Path) -> Kinds:
    """Return the REST answers of a recording by path, status and content type; other than JSON as a string."""
    kinds: Kinds = {}
    for line in (folder / "rest.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        content_type = {key.lower(): value for key, value in entry["headers"].items()}.get("content-type", "")
        kind = f"{kind_of_path(entry['path'])} {entry['status']} {content_type}"
        kinds.setdefault(kind, []).append(as_json(content_type, entry["body"]))
    return kinds


def simulated_answers(played: Played) -> Kinds:
    """Return the REST answers of the simulation alike."""
    kinds: Kinds = {}
    for path, answers in played.answers.items():
        for found in answers:
            kind = f"{path} {int(found.status)} {found.content_type}"
            kinds.setdefault(kind, []).append(as_json(found.content_type, found.body.decode()))
    return kinds


def as_json(content_type: str, body: str) -> str:
    """Return a body as a JSON document: itself, or its words with what varies left out."""
    if content_type.startswith("application/json"):
        return body
    return json.dumps(bool(body))


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


def main() -> int:
    """Compare both styles."""
    folder = find("recordings")
    if folder is None:
        return 0
    total = 0
    for style in Style:
        recording = folder / f"mempool-{style}"
        played = play(style)
        print(f"{recording.name}\nfields deviations  kind")
        total += compare(recorded_frames(recording), simulated_frames(played))
        total += compare(recorded_answers(recording), simulated_answers(played))
    print(f"{total} deviations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
