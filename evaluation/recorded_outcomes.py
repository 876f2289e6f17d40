"""Replays the full recordings with a threshold that makes a whale of everything, and judges every outcome.

Expected is what `recorded_truth` makes of what was done to the node. Got is what the service's own decoder,
core and store make of the frames, twice:

- `recorded`: with the REST answers that happened to be recorded. What was let go of without a reason cannot
  be settled then unless the recorder happened to ask; those are counted as `nobody asked`.
- `asked`: each question of the core is answered too, a tenth of a second later, by the node as it was then.

    python -m evaluation.recorded_outcomes [--verbose]
"""

import argparse
import asyncio
import heapq
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from evaluation.chaos_service import Diary, VirtualService, open_store
from evaluation.outcome_truth import OPEN, Claim, read_claims
from evaluation.recorded_truth import Block, Fate, RecordedNode
from evaluation.shared_data import find
from hydrophone.domain.questions import (
    AboutBlock,
    AboutContents,
    AboutProjected,
    AboutReplacement,
    AboutTip,
    AboutTransaction,
    Question,
)
from hydrophone.domain.script import Network
from hydrophone.domain.units import Sats, UnixMicros
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.wire.mempool_space_rest import paths_of
from hydrophone.wire.recording import parse_recorded_frame

THRESHOLD = Sats(10_000)
SOURCE = "mempool.space"
ANSWER_AFTER_MICROS = 100_000
PATIENCE_MICROS = 120_000_000
"""After the last frame, for answers and what is asked again."""
SHOWN_BY_LABEL = 25


class Row(NamedTuple):
    """A transaction: what should be said of it and what was."""

    txid: str
    label: str
    expected: Fate
    got: str
    verdict: str


class Replay:
    """One replay of one recording.

    Args:
        folder: of the recording.
        path: of the database.
        is_asked: whether the core's questions are answered.
    """

    def __init__(self, folder: Path, path: Path, *, is_asked: bool) -> None:
        self._folder = folder
        self._path = path
        self._is_asked = is_asked
        self._node = RecordedNode(folder)
        self._now = 0
        self._ticket = count()
        self._frames: list[tuple[int, int, Frame]] = []
        for frame in _recorded(folder):
            self._put(frame)
        announced = dict(_announced(folder))
        self.announced = frozenset(announced)
        self._texts = dict(_looked_up(folder)) | announced
        self._coinbases = dict(_coinbases(folder))

    def _put(self, frame: Frame) -> None:
        heapq.heappush(self._frames, (frame.at, next(self._ticket), frame))

    def run(self) -> list[Claim]:
        """Return what is said of each prediction in the end."""
        with asyncio.Runner() as runner:
            store = open_store(self._path, runner)
            service = VirtualService(
                store,
                runner,
                diary=Diary(),
                ask=self._ask,
                rng=Random(1),
                threshold=THRESHOLD,
                network=Network.REGTEST,
            )
            end = None
            while True:
                wake_at = service.next_wake_at()
                next_at = self._frames[0][0] if self._frames else None
                if next_at is None and end is None:
                    end = self._now + PATIENCE_MICROS
                if wake_at is not None and (next_at is None or wake_at <= next_at):
                    if end is not None and wake_at > end:
                        break
                    self._now = max(self._now, wake_at)
                    service.pass_time(UnixMicros(self._now))
                elif next_at is None:
                    break
                else:
                    frame = heapq.heappop(self._frames)[2]
                    self._now = max(self._now, frame.at)
                    self._node.advance(self._now / 1e6)
                    service.hear(frame)
                service.save_and_say()
            runner.run(store.close())
        return read_claims(self._path)

    # --- answers --------------------------------------------------------------------------------------

    def _ask(self, question: Question) -> None:
        if not self._is_asked:
            return
        at = self._now + ANSWER_AFTER_MICROS
        self._node.advance(at / 1e6)
        if isinstance(question, AboutProjected):
            if question.index == 0:
                body = json.dumps({"projected-block-transactions": self._projected()})
                self._put(Frame(at, SOURCE, FrameKind.RECEIVED, body.encode()))
            return
        status, answer = self._answer(question)
        path = paths_of(question)[-1 if isinstance(question, AboutTransaction) else 0]
        self._put(Frame(at, SOURCE, FrameKind.ANSWERED, json.dumps(answer).encode(), path, status))

    def _answer(self, question: Question) -> tuple[int, object]:
        match question:
            case AboutTransaction(txid):
                return self._transaction(txid)
            case AboutReplacement(txid):
                by = [*self._node.successors(txid)]
                tree = {"tx": {"txid": by[-1]}, "replaces": []} if by else None
                return 200, {"replacements": tree, "replaces": None}
            case AboutTip():
                return 200, [_header(block) for block in self._node.chain[:-16:-1]]
            case AboutBlock(block_hash) | AboutContents(block_hash):
                block = self._node.find(block_hash)
                if block is None:
                    return 500, {"error": "Failed to get block"}
                return 200, _header(block) if isinstance(question, AboutBlock) else self._contents(block)
            case AboutProjected():
                raise AssertionError("it is asked on the websocket")

    def _transaction(self, txid: str) -> tuple[int, object]:
        fate = self._node.fates.get(txid)
        if fate is None or fate.end in {"replaced", "dropped"} or txid not in self._texts:
            return 404, {"error": "No such mempool or blockchain transaction"}
        status: dict[str, object] = {"confirmed": False}
        block = None if fate.height is None else self._node.at(fate.height)
        if block is not None:
            status = {"confirmed": True, "block_height": block.height, "block_hash": block.block_hash}
        return 200, {**self._texts[txid], "status": status}

    def _contents(self, block: Block) -> list[dict[str, Any]]:
        coinbase = self._coinbases.get(block.block_hash, block.block_hash)
        first = {"txid": coinbase, "fee": 0, "vsize": 142, "value": 0, "rate": 0}
        return [first, *(self._summary(txid) for txid in block.txids)]

    def _summary(self, txid: str) -> dict[str, Any]:
        transaction = self._texts.get(txid, {"vout": [], "fee": 0, "weight": 400})
        return {
            "txid": txid,
            "fee": transaction["fee"],
            "vsize": transaction["weight"] / 4,
            "value": sum(output["value"] for output in transaction["vout"]),
            "rate": 1,
        }

    def _projected(self) -> dict[str, Any]:
        rows = [self._summary(txid) for txid in self._node.waiting if txid in self._texts]
        at = self._now // 1_000_000
        return {
            "index": 0,
            "sequence": 0,
            "blockTransactions": [
                [r["txid"], r["fee"], r["vsize"], r["value"], r["rate"], 0, at] for r in rows
            ],
        }

    # --- judgement ------------------------------------------------------------------------------------

    def judge(self, claims: list[Claim]) -> list[Row]:
        """Return a row for each transaction that was done or announced."""
        self._node.advance(float("inf"))
        of = {txid: claim for claim in claims for txid in claim.versions}
        rows = []
        for txid, expected in self._node.fates.items():
            claim = of.get(txid)
            got, fate = _got(claim, txid)
            if claim is None:
                verdict = self._judge_unrecorded(txid, expected)
            elif fate == expected:
                verdict = "right"
            elif fate.end == "replaced" and fate.by in [*self._node.successors(txid)]:
                verdict = "right"  # the newest version is named, not the next one
            elif claim.status in OPEN and txid == claim.txid and not self._is_asked:
                verdict = "nobody asked"
            else:
                verdict = "WRONG"
            rows.append(Row(txid, self._node.labels.get(txid, ""), expected, got, verdict))
        strangers = [txid for txid in of if txid not in self._node.fates]
        rows += [Row(txid, "not done", Fate("?"), _got(of[txid], txid)[0], "WRONG") for txid in strangers]
        return rows

    def _judge_unrecorded(self, txid: str, expected: Fate) -> str:
        if txid not in self._texts:
            return "right" if expected.end != "confirmed" else "nowhere spelled out"
        if txid in self.announced or self._is_asked:
            return "WRONG"
        return "nobody asked"


def _got(claim: Claim | None, txid: str) -> tuple[str, Fate]:
    """Return what was said of a transaction, in words and as a fate."""
    if claim is None:
        return "not recorded", Fate("")
    place = claim.versions.index(txid)
    if place < len(claim.versions) - 1:
        by = claim.versions[place + 1]
        return f"continued by {by[:8]}", Fate("replaced", by=by)
    words = claim.status
    words += "" if claim.height is None else f" in {claim.height}"
    words += "" if claim.replaced_by is None else f" by {claim.replaced_by[:8]}"
    end = "pending" if claim.status == "in_doubt" else claim.status
    return words, Fate(end, claim.height, claim.replaced_by)


def _header(block: Block) -> dict[str, object]:
    return {"id": block.block_hash, "height": block.height, "previousblockhash": block.previous_hash}


def _recorded(folder: Path) -> Iterator[Frame]:
    """Yield the frames of connection `all`, and the answers to whatever the recorder asked."""
    for name in ("ws.jsonl", "rest.jsonl"):
        for line in (folder / name).read_bytes().splitlines():
            recorded = parse_recorded_frame(line, SOURCE)
            if recorded.conn in {"all", ""}:
                yield recorded.frame


def _deltas(folder: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for line in (folder / "ws.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["conn"] == "all" and entry["dir"] == "in":
            parsed = json.loads(entry["raw"])
            yield parsed, parsed.get("mempool-transactions") or {}


def _announced(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each transaction that a frame announced, by txid."""
    for _, delta in _deltas(folder):
        for transaction in delta.get("added", []):
            yield transaction["txid"], transaction


def _looked_up(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what else is spelled out: what only replaced another, and what the recorder asked for."""
    for _, delta in _deltas(folder):
        for pair in delta.get("replaced", []):
            yield pair["by"]["txid"], pair["by"]
    for line in (folder / "rest.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if re.fullmatch(r"/api/(v1/)?tx/[0-9a-f]{64}", entry["path"]) and entry["status"] == 200:
            transaction = json.loads(entry["body"])
            yield transaction["txid"], transaction


def _coinbases(folder: Path) -> Iterator[tuple[str, str]]:
    for parsed, delta in _deltas(folder):
        if "block" in parsed and delta.get("mined"):
            yield parsed["block"]["id"], delta["mined"][0]


def check(folder: Path, *, is_asked: bool, is_verbose: bool) -> bool:
    """Print what is expected and got of one recording; return whether nothing is wrong."""
    with tempfile.TemporaryDirectory() as scratch:
        replay = Replay(folder, Path(scratch) / "replay.db", is_asked=is_asked)
        rows = replay.judge(replay.run())
    mode = "asked" if is_asked else "recorded"
    counts = Counter(row.verdict for row in rows)
    print(f"{folder.name}, {mode}: {len(rows)} transactions, {dict(sorted(counts.items()))}")
    ends = Counter((row.expected.end, row.verdict) for row in rows)
    for (end, verdict), number in sorted(ends.items()):
        print(f"  expected {end:<10} {number:>4} {verdict}")
    shown: Counter[str] = Counter()
    for row in rows:
        if is_verbose or row.verdict != "right":
            shown[row.label] += 1
            if shown[row.label] > SHOWN_BY_LABEL:
                continue
            where = "" if row.expected.height is None else f" in {row.expected.height}"
            by = "" if row.expected.by is None else f" by {row.expected.by[:8]}"
            expected = f"{row.expected.end}{where}{by}"
            what = f"{row.txid[:8]} {row.label[:34]:<34}"
            print(f"    {what} expected {expected:<22} got {row.got:<24} {row.verdict}")
    return counts["WRONG"] == 0


def main() -> int:
    """Judge both recordings, in both ways."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--verbose", action="store_true", help="print every transaction")
    arguments = parser.parse_args()
    folder = find("recordings")
    if folder is None:
        return 0
    results = [
        check(folder / name, is_asked=is_asked, is_verbose=arguments.verbose)
        for name in ("mempool-esplora", "mempool-none")
        for is_asked in (False, True)
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
