"""What the backend says looks, field by field, like what the real one said."""

import gzip
import json
from pathlib import Path

import pytest

from hydrophone.domain.script import Network
from hydrophone.simulator.backend.backend import Style
from hydrophone.simulator.backend.flags import BATCH_PAYOUT, COINJOIN, CONSOLIDATION
from hydrophone.simulator.backend.spelling import Spelling
from hydrophone.simulator.backend.transactions import TransactionText
from tests.unit.simulator.backend.rebuilt import rebuild
from tests.unit.simulator.backend.scene import play
from tests.unit.simulator.backend.shapes import deviations, shape_of

EXCERPT = Path(__file__).parents[3] / "recordings" / "backend.jsonl.gz"
"""Made by `python -m evaluation.fidelity FILE`: documents that together look like the full recordings."""

SHAPES = COINJOIN | CONSOLIDATION | BATCH_PAYOUT
LOOKED_UP = "a replaced version that somebody had asked for: cpfpChecked, cpfpUpdated, and prevouts for good"
STUCK = "the real indicator of a block that was read once stays in every later frame"
EMULATED = "the recorded index was an emulation that lacked this path"
ACCEPTED: dict[str, str] = {
    "esplora /api/mempool/recent 404 text/plain": EMULATED,
    "esplora /api/v1/tx/H/cached 200 application/json; charset=utf-8": LOOKED_UP,
    "none /api/v1/tx/H/cached 200 application/json; charset=utf-8": LOOKED_UP,
    "none /api/v1/init-data 200 application/json; charset=utf-8": STUCK,
    **{
        f"none {client}: loadingIndicators": STUCK
        for client in (
            "all", "mempool", "txids", "rbf", "fullrbf", "rbfsum", "blocks", "mblock0", "init", "live",
            "silent",
        )
    },
}  # fmt: skip
"""Kinds that deviate, and why that is accepted."""


def recorded(style: Style) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for line in gzip.decompress(EXCERPT.read_bytes()).decode().splitlines():
        entry = json.loads(line)
        if entry["style"] == style:
            kinds.setdefault(entry["kind"], []).append(entry["raw"])
    return kinds


@pytest.mark.parametrize("style", Style)
def test_every_kind_of_frame_and_answer_has_the_fields_of_the_recording(style: Style) -> None:
    simulated = play(style).documents()
    found: dict[str, list[str]] = {}
    for kind, documents in recorded(style).items():
        if kind not in simulated:
            found[f"{style} {kind}"] = ["absent"]
            continue
        lines = deviations(shape_of(documents), shape_of(simulated[kind]))
        if lines:
            found[f"{style} {kind}"] = lines

    assert {kind: lines for kind, lines in found.items() if kind not in ACCEPTED} == {}
    assert {kind for kind in ACCEPTED if kind.startswith(style)} == set(found)


@pytest.mark.parametrize("style", Style)
def test_recorded_transactions_come_out_as_the_same_bytes_when_they_are_written_again(style: Style) -> None:
    text = TransactionText(Spelling(style, Network.REGTEST))
    written = 0
    for documents in recorded(style).values():
        for raw in documents:
            document = json.loads(raw)
            delta = document.get("mempool-transactions", {}) if isinstance(document, dict) else {}
            for transaction in delta.get("added", []):
                is_trimmed = (
                    transaction["flags"] & SHAPES
                )  # the excerpt has not all of its inputs and outputs
                if not transaction["ancestors"] and not is_trimmed:
                    assert text.announced(rebuild(transaction)) in raw
                    written += 1
    assert written > 3


@pytest.mark.parametrize("style", Style)
def test_what_a_client_hears_does_not_depend_on_the_others(style: Style) -> None:
    alone = play(style, ("blocks",)).scene.frames["blocks"]
    assert alone == play(style).scene.frames["blocks"]


@pytest.mark.parametrize("style", Style)
def test_the_same_script_gives_the_same_bytes(style: Style) -> None:
    assert play(style).documents() == play(style).documents()
