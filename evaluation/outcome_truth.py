"""What a record says became of each prediction, and whether the simulator's truth agrees."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

WHALE_SAT = 100 * 100_000_000
OPEN = frozenset({"pending", "in_doubt"})

Truth = Mapping[str, Mapping[str, Any]]
"""Lines of the simulator's truth, by txid."""


class Claim(NamedTuple):
    """What the record says of a prediction in the end.

    Attributes:
        prediction_id: of it.
        versions: its txids, oldest first; the last is the current one.
        status: pending, in_doubt, confirmed, replaced, dropped.
        height: of the block it is in.
        replaced_by: what ended it.
        outcomes: rows about its end; one once it ended, else none.
    """

    prediction_id: str
    versions: tuple[str, ...]
    status: str
    height: int | None
    replaced_by: str | None
    outcomes: int

    @property
    def txid(self) -> str:
        """The current version."""
        return self.versions[-1]

    @property
    def is_open(self) -> bool:
        """Whether it has no outcome yet."""
        return self.status in OPEN


def read_claims(path: Path) -> list[Claim]:
    """Return what a database says, oldest first."""
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            """
            SELECT p.prediction_id, p.history, p.transaction_id, p.status, p.confirmation_height,
                p.replaced_by,
                (SELECT count(*) FROM prediction_outcomes o WHERE o.prediction_id = p.prediction_id)
            FROM mempool_predictions p ORDER BY p.detection_timestamp, p.prediction_id
            """
        ).fetchall()
    return [
        Claim(key, (*(v["txid"] for v in json.loads(history or "[]")), txid), status, height, by, outcomes)
        for key, history, txid, status, height, by, outcomes in rows
    ]


class Fault(StrEnum):
    """What can be wrong with what was said."""

    OPEN_THOUGH_ENDED = "open though ended"
    WRONG_OUTCOME = "wrong outcome"
    WRONG_HEIGHT = "wrong block"
    WRONG_VERSION = "wrong version"
    TWICE = "twice"
    UNDONE = "undone for nothing"
    MISSED = "never recorded"
    FALSE = "no whale"
    LOST = "acknowledged and lost"
    UNSOUND = "unsound record"


@dataclass
class Verdict:
    """How a run went.

    Attributes:
        predictions: made.
        ends: how often each status was said.
        faults: what is wrong, by kind, each in words.
        unknowable: replaced in truth, dropped in the record, and the backend had forgotten by whom.
        unheard: whales that came and went while nobody could tell us.
        undone: confirmations that were undone on the way.
        revived: ends of other kinds that were.
    """

    predictions: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    faults: dict[Fault, list[str]] = field(default_factory=lambda: defaultdict(list))
    unknowable: int = 0
    unheard: int = 0
    undone: int = 0
    revived: int = 0

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.faults.values())

    def blame(self, fault: Fault, text: str) -> None:
        """Note that something is wrong."""
        self.faults[fault].append(text)

    def add(self, other: "Verdict") -> None:
        """Count another run in."""
        self.predictions += other.predictions
        self.ends += other.ends
        self.unknowable += other.unknowable
        self.unheard += other.unheard
        self.undone += other.undone
        self.revived += other.revived
        for fault, texts in other.faults.items():
            self.faults[fault] += texts


def successors(truth: Truth, txid: str) -> Iterator[str]:
    """Yield what replaced a transaction, what replaced that, and so on."""
    while txid in truth and (by := truth[txid]["replaced_by"]) is not None:
        yield by
        txid = by


@dataclass(frozen=True)
class Evidence:
    """What else bears on whether something said is true.

    Attributes:
        forgotten: txids of which the backend itself no longer knew by what they were replaced.
        spent: by txid the coins it spends. Who spends the coins of what was evicted a moment ago
            replaces it, to anybody who looks at the mempool.
        open_since: seconds; nobody could hear yet of what ended later.
    """

    forgotten: Collection[str] = ()
    spent: Mapping[str, frozenset[object]] = field(default_factory=dict)
    open_since: float = float("inf")

    def conflict(self, one: str, other: str) -> bool:
        """Whether two transactions spend the same coin."""
        return bool(self.spent.get(one, frozenset()) & self.spent.get(other, frozenset()))


NO_EVIDENCE = Evidence()


def judge_claims(claims: Collection[Claim], truth: Truth, evidence: Evidence = NO_EVIDENCE) -> Verdict:
    """Return whether what was said of each prediction is true.

    Args:
        claims: one for each prediction.
        truth: of the simulator, when all had been said.
        evidence: what else bears on it.
    """
    verdict = Verdict(len(claims), Counter(claim.status for claim in claims))
    seen: dict[str, str] = {}
    for claim in claims:
        for txid in claim.versions:
            if txid in seen:
                verdict.blame(Fault.TWICE, f"{txid} in {seen[txid]} and {claim.prediction_id}")
            seen[txid] = claim.prediction_id
        if claim.outcomes != (not claim.is_open):
            verdict.blame(Fault.TWICE, f"{claim.txid} is {claim.status} with {claim.outcomes} outcomes")
        _judge_claim(verdict, claim, truth, evidence)
    for prediction_id, count in Counter(claim.prediction_id for claim in claims).items():
        if count > 1:
            verdict.blame(Fault.TWICE, f"prediction {prediction_id} is there {count} times")
    return verdict


def _judge_claim(verdict: Verdict, claim: Claim, truth: Truth, evidence: Evidence) -> None:
    unknown = [txid for txid in claim.versions if txid not in truth]
    small = [t for t in claim.versions if t in truth and truth[t]["gross_sat"] <= WHALE_SAT]
    if unknown or small:
        verdict.blame(Fault.FALSE, f"{unknown or small} of {claim.prediction_id}")
        return
    for earlier, later in zip(claim.versions, claim.versions[1:], strict=False):
        if not _follows(later, earlier, truth, evidence):
            end = describe_truth(truth[earlier])
            verdict.blame(Fault.WRONG_VERSION, f"{later} does not follow {earlier}, which was {end}")
    fault = _fault_of(claim, truth, evidence)
    if fault is Fault.WRONG_OUTCOME and claim.status == "dropped" and claim.txid in evidence.forgotten:
        verdict.unknowable += 1
    elif fault is not None:
        true = truth[claim.txid]
        verdict.blame(
            fault, f"{claim.txid} {true['kind']}: said {describe(claim)}, true {describe_truth(true)}"
        )


def _follows(later: str, earlier: str, truth: Truth, evidence: Evidence) -> bool:
    return later in successors(truth, earlier) or evidence.conflict(later, earlier)


def _fault_of(claim: Claim, truth: Truth, evidence: Evidence) -> Fault | None:
    """Return what is wrong with how a prediction is said to have ended."""
    true = truth[claim.txid]
    end = true["end"]
    if claim.is_open:
        return None if end == "pending" or true["end_at"] >= evidence.open_since else Fault.OPEN_THOUGH_ENDED
    if claim.status == "replaced" and end != "confirmed" and claim.replaced_by is not None:
        is_right = _follows(claim.replaced_by, claim.txid, truth, evidence)
        return None if is_right else Fault.WRONG_OUTCOME
    if claim.status != end:
        return Fault.WRONG_OUTCOME
    return Fault.WRONG_HEIGHT if end == "confirmed" and claim.height != true["block_height"] else None


def describe(claim: Claim) -> str:
    """Return what was said, in short."""
    where = "" if claim.height is None else f" in {claim.height}"
    by = "" if claim.replaced_by is None else f" by {claim.replaced_by[:8]}"
    return f"{claim.status}{where}{by}"


def describe_truth(true: Mapping[str, Any]) -> str:
    """Return what is true, in short."""
    where = "" if true["block_height"] is None else f" in {true['block_height']}"
    by = "" if true["replaced_by"] is None else f" by {true['replaced_by'][:8]}"
    why = "" if true["reason"] is None else f" ({true['reason']})"
    return f"{true['end']}{where}{by}{why}"


def read_truth(path: Path) -> dict[str, dict[str, Any]]:
    """Return a truth file by txid."""
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {line["txid"]: line for line in lines}
