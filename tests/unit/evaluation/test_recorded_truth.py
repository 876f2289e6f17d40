"""The node that is told what was done to a real one: the oracle of the recordings."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.recorded_truth import DROPPED, PENDING, Fate, RecordedNode


def node(folder: Path, *entries: dict[str, Any], zmq: str | None = None) -> RecordedNode:
    lines = (json.dumps({"t": number, **entry}) for number, entry in enumerate(entries))
    (folder / "activity.jsonl").write_text("\n".join(lines))
    if zmq is not None:
        (folder / "zmq.jsonl").write_text(zmq)
    found = RecordedNode(folder)
    found.advance(float("inf"))
    return found


def tx(txid: str) -> dict[str, Any]:
    return {"ev": "tx", "label": "small", "txid": txid}


def block(height: int, *hashes: str, label: str = "normal", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "ev": "block",
        "label": label,
        "height": height,
        "hashes": list(hashes or (f"h{height}",)),
        **more,
    }


def test_a_block_has_all_that_waits_and_an_empty_one_nothing(tmp_path: Path) -> None:
    found = node(tmp_path, tx("a"), block(2, label="empty"), tx("b"), block(4, "h3", "h4"), tx("c"))
    assert found.fates == {"a": Fate("confirmed", 4), "b": Fate("confirmed", 4), "c": PENDING}
    assert [(b.height, b.previous_hash) for b in found.chain[1:]] == [(3, "h2"), (4, "h3")]


def test_replacements_conflicts_and_expiry_end_what_they_touch(tmp_path: Path) -> None:
    found = node(
        tmp_path,
        *map(tx, ("old", "old2", "child", "victim", "victim child", "late")),
        {"ev": "replace", "label": "merge", "old": ["old", "old2"], "old_child": "child", "new": "new"},
        block(1, victim="victim", victim_child="victim child", winner="winner"),
        {"ev": "expire", "txid": "late", "still": False},
    )
    assert found.fates["old"] == found.fates["old2"] == Fate("replaced", by="new")
    assert found.fates["child"] == found.fates["victim child"] == found.fates["late"] == DROPPED
    assert found.fates["victim"] == Fate("replaced", by="winner")
    assert found.fates["winner"] == Fate("confirmed", 1)
    assert found.fates["new"] == PENDING, "a block with a conflict has the winner alone"
    assert list(found.successors("old")) == ["new"]


@pytest.mark.parametrize(("last", "fate"), [("A", PENDING), ("R", DROPPED)])
def test_what_an_undone_block_had_waits_again_unless_the_node_let_go_of_it(
    tmp_path: Path, last: str, fate: Fate
) -> None:
    txid = "ab" * 32
    told = json.dumps({"topic": "sequence", "frames": ["73", txid + last.encode().hex()]})
    found = node(
        tmp_path,
        tx(txid),
        block(1),
        {"ev": "reorg", "fork_first_invalid": "h1", "height": 2, "hashes": ["b1", "b2"]},
        zmq=told,
    )
    assert found.fates[txid] == fate
    assert [b.block_hash for b in found.chain] == ["b1", "b2"]


def test_what_cannot_be_done_to_a_node_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found 'dance'"):
        node(tmp_path, {"ev": "dance"})
