"""The quickstart's flow detector, by its names, with what the quickstart's example does with it."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hydrophone.detector import WhaleFlowDetector as OurDetector
from hydrophone.runtime.frame import FrameKind
from scripts.whale_flow_detector import WhaleFlowDetector
from tests.recorded import load_excerpt
from tests.replay.expected import EXCERPT_FLOWS, LABELS

SCRIPTS = str(Path(__file__).parents[2] / "scripts")


def announced() -> list[dict[str, Any]]:
    """Return the transactions of the excerpt, as a backend spells them."""
    frames = [json.loads(frame.payload) for frame in load_excerpt() if frame.kind is FrameKind.RECEIVED]
    return [tx for frame in frames for tx in frame.get("mempool-transactions", {}).get("added", [])]


@pytest.fixture
def detector() -> WhaleFlowDetector:
    return WhaleFlowDetector(labels=[LABELS], network="regtest")


async def test_a_transaction_is_classified_with_all_that_the_quickstart_reads(
    detector: WhaleFlowDetector,
) -> None:
    [deposit] = [tx for tx in announced() if tx["txid"].startswith("4fd6e487")]
    result = await detector.classify_transaction(deposit)
    assert result
    assert result["btc_value"] == 299.999
    assert result["flow_type"] == "inflow"
    assert result["exchange_addresses"]
    assert 0 < result["confidence"] <= 1
    assert json.loads(json.dumps(result)) == result


async def test_it_says_of_each_transaction_what_the_service_says(detector: WhaleFlowDetector) -> None:
    results = [await detector.classify_transaction(transaction) for transaction in announced()]
    flows = {result["txid"][:8]: result["flow_type"] for result in results if result is not None}
    assert {txid: flow for txid, flow in flows.items() if txid in EXCERPT_FLOWS} == EXCERPT_FLOWS


@pytest.mark.parametrize("tx_data", [{}, {"txid": "x"}, {"value": 10_000_000_001, "txid": "ab" * 32}])
async def test_what_is_no_transaction_gives_none(
    tx_data: dict[str, Any], detector: WhaleFlowDetector
) -> None:
    assert await detector.classify_transaction(tx_data) is None


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("whale_flow_detector", "WhaleFlowDetector"),
        ("whale_urgency_scorer", "calculate_urgency_score"),
        ("whale_alert_broadcaster", "broadcast_alert"),
    ],
)
def test_the_names_are_found_from_the_folder_of_scripts_too(
    module: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    bare = importlib.import_module(module)
    monkeypatch.delitem(sys.modules, module)
    assert getattr(bare, name) is getattr(importlib.import_module(f"scripts.{module}"), name)


def test_it_is_the_detector_of_the_package() -> None:
    assert WhaleFlowDetector is OurDetector
