"""Events are facts, in the past tense; effects are wishes, in the imperative.

Both unions are closed: whoever matches on them ends in `assert_never`. Each event carries `at`, the time
the frame it came from was received: the core has no other clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from hydrophone.domain.feemarket import FeeMarket, RateProfile
from hydrophone.domain.learned_labels import LearnedLabel
from hydrophone.domain.model_state import ModelState
from hydrophone.domain.outcome import Outcome, Status
from hydrophone.domain.questions import Question
from hydrophone.domain.signal import Change, Signal
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import FeeRate, Height, Txid, UnixMicros


@dataclass(frozen=True, slots=True)
class Source:
    """Who tells us.

    Attributes:
        name: of the kind of source.
        is_simulated: whether it calls itself a simulation; said in every signal.
    """

    name: str
    is_simulated: bool = False


@dataclass(frozen=True, slots=True)
class TransactionSeen:
    """A source announced an unconfirmed transaction whose outputs exceed the threshold."""

    at: UnixMicros
    source: Source
    transaction: Transaction


@dataclass(frozen=True, slots=True)
class TransactionsLeft:
    """Transactions left the source's mempool, not into a block we know of; sources do not say why."""

    at: UnixMicros
    txids: tuple[Txid, ...]


@dataclass(frozen=True, slots=True)
class Replaced:
    """A transaction was replaced by a conflicting one.

    Attributes:
        at: when we heard.
        source: who said so.
        txid: the one that is gone.
        by: the txid of its successor.
        successor: the successor; None: it is not known, or malformed.
        is_whale: whether the successor's outputs exceed the threshold.
    """

    at: UnixMicros
    source: Source
    txid: Txid
    by: Txid
    successor: Transaction | None
    is_whale: bool = True


@dataclass(frozen=True, slots=True)
class BlockConnected:
    """A block became the tip.

    Attributes:
        at: when we heard.
        height: its height.
        block_hash: its hash, display order.
        previous_hash: the hash of its parent.
        mined: txids in it, as far as the source has named them; None: it did not say.
        found_at: when its header says it was found; None: the source did not tell.
        profile: its fee rates; None likewise.
    """

    at: UnixMicros
    height: Height
    block_hash: str
    previous_hash: str
    mined: tuple[Txid, ...] | None
    found_at: UnixMicros | None = None
    profile: RateProfile | None = None


class Package(NamedTuple):
    """A transaction that came with unconfirmed ancestors, and so may pay for them.

    Attributes:
        ancestors: their txids.
        rate_sat_vb: of the package, as the source says.
    """

    ancestors: tuple[Txid, ...]
    rate_sat_vb: FeeRate


@dataclass(frozen=True, slots=True)
class MarketChanged:
    """What a frame told of the fee market; the last of its events.

    Ordinary transactions are two numbers here and nothing else anywhere.

    Attributes:
        at: when the frame was received.
        rates_sat_vb: effective rate of each transaction that came.
        weights_wu: of each.
        projected: the blocks to come, the next one first; None: the frame does not say.
        packages: what may pay for transactions that came before.
    """

    at: UnixMicros
    rates_sat_vb: Sequence[float] = ()
    weights_wu: Sequence[int] = ()
    projected: tuple[RateProfile, ...] | None = None
    packages: tuple[Package, ...] = ()


class BlockPlace(NamedTuple):
    """Where a mined transaction is."""

    height: Height
    block_hash: str


@dataclass(frozen=True, slots=True)
class TransactionTold:
    """A source answered what a transaction is.

    Attributes:
        at: when the answer came.
        source: who said so.
        transaction: it; its prevouts as far as the source knows them.
        place: the block it is in; None: it is unconfirmed.
        is_whale: whether its outputs exceed the threshold.
    """

    at: UnixMicros
    source: Source
    transaction: Transaction
    place: BlockPlace | None = None
    is_whale: bool = True


@dataclass(frozen=True, slots=True)
class ReplacementTold:
    """A source answered by which transaction another was replaced.

    Attributes:
        at: when the answer came.
        txid: which.
        by: the newest version; None: as far as the source knows, by none.
    """

    at: UnixMicros
    txid: Txid
    by: Txid | None


@dataclass(frozen=True, slots=True)
class ContentsTold:
    """A source answered which transactions are in a block.

    Attributes:
        at: when the answer came.
        source: who said so.
        block_hash: which block.
        txids: of all its transactions, the coinbase first.
        whales: those of them whose outputs exceed the threshold, without the coinbase.
    """

    at: UnixMicros
    source: Source
    block_hash: str
    txids: tuple[Txid, ...]
    whales: tuple[Txid, ...]


class WaitingWhale(NamedTuple):
    """A transaction above the threshold in a block to come.

    Attributes:
        txid: of it.
        first_seen_at: the source's own claim.
        rate_sat_vb: of its package; None: no rate.
    """

    txid: Txid
    first_seen_at: UnixMicros
    rate_sat_vb: FeeRate | None


@dataclass(frozen=True, slots=True)
class WhalesWaiting:
    """A source told which whales are in a block to come."""

    at: UnixMicros
    whales: tuple[WaitingWhale, ...]


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """A question was not answered.

    Attributes:
        at: when we knew.
        question: which.
        reason: why, for people.
        is_unknown: whether the source says that there is no such thing; else we do not know.
    """

    at: UnixMicros
    question: Question
    reason: str
    is_unknown: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """A question was answered: what it led to was told by the events before."""

    at: UnixMicros
    question: Question


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Nothing happened, but it is later now."""

    at: UnixMicros


class GapReason(StrEnum):
    """Why a source may have told us less than everything."""

    STARTED = "started"
    RECONNECTED = "reconnected"
    SEQUENCE_JUMP = "sequence_jump"
    SEQUENCE_RESET = "sequence_reset"
    MALFORMED = "malformed"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class GapFound:
    """Between two instants a source may have told us less than everything."""

    at: UnixMicros
    source: str
    reason: GapReason
    started_at: UnixMicros
    detail: str = ""


Event = (
    TransactionSeen
    | TransactionsLeft
    | Replaced
    | BlockConnected
    | MarketChanged
    | TransactionTold
    | ReplacementTold
    | ContentsTold
    | WhalesWaiting
    | NoAnswer
    | Answered
    | TimePassed
    | GapFound
)


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the source; the answer is an event like any other."""

    question: Question


@dataclass(frozen=True, slots=True)
class RaiseSignal:
    """Store and publish a signal: a new prediction, or a new version of one (`was_modified`)."""

    at: UnixMicros
    signal: Signal


@dataclass(frozen=True, slots=True)
class AmendSignal:
    """Correct a published signal.

    Attributes:
        at: when.
        signal: as it should read now.
        reason: what we know now and did not know then.
    """

    at: UnixMicros
    signal: Signal
    reason: str


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """Store and publish how a prediction ended."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class NoteSuccessor:
    """Publish that a transaction was replaced by the next version of the same prediction."""

    at: UnixMicros
    prediction_id: str
    txid: Txid
    replaced_by: Txid
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class ReopenPrediction:
    """An outcome did not last: the prediction is pending again.

    Attributes:
        at: when we knew.
        prediction_id: which one.
        txid: its transaction.
        detected_at: when the prediction was made.
        ended_as: what the outcome was: confirmed (a reorg undid it), replaced or dropped (it is there again).
    """

    at: UnixMicros
    prediction_id: str
    txid: Txid
    detected_at: UnixMicros
    ended_as: Status = Status.CONFIRMED


@dataclass(frozen=True, slots=True)
class MarkDoubt:
    """The source let go of a transaction without a reason, or has it back (`in_doubt` false)."""

    at: UnixMicros
    prediction_id: str
    txid: Txid
    detected_at: UnixMicros
    in_doubt: bool


@dataclass(frozen=True, slots=True)
class RecordGap:
    """Store a gap."""

    gap: GapFound


@dataclass(frozen=True, slots=True)
class RecordBlock:
    """Store a block of the chain.

    Attributes:
        at: when it was told.
        height: of the block.
        block_hash: of the block.
        previous_hash: of its parent.
        stale: heights whose blocks are no longer in the chain; None: there are none.
        is_ours: whether it came since we first began; nothing in the others is to be read.
    """

    at: UnixMicros
    height: Height
    block_hash: str
    previous_hash: str
    stale: range | None = None
    is_ours: bool = True


@dataclass(frozen=True, slots=True)
class RecordContents:
    """Store how many whales a block has, and of how many nobody had told us before it.

    Attributes:
        at: when its contents were told.
        height: of the block.
        block_hash: of the block.
        whales: in it.
        unseen: of those, not announced to us before.
    """

    at: UnixMicros
    height: Height
    block_hash: str
    whales: int
    unseen: int


@dataclass(frozen=True, slots=True)
class KeepLearned:
    """Store what a transaction showed about scripts that nobody has labelled."""

    at: UnixMicros
    labels: tuple[LearnedLabel, ...]


@dataclass(frozen=True, slots=True)
class RecordMarket:
    """Store the fee market as it was before a block."""

    at: UnixMicros
    market: FeeMarket


@dataclass(frozen=True, slots=True)
class RecordModel:
    """Store what was learned about confirmation until now; later signals name it."""

    at: UnixMicros
    state: ModelState


Effect = (
    Ask
    | RaiseSignal
    | AmendSignal
    | RecordOutcome
    | NoteSuccessor
    | ReopenPrediction
    | MarkDoubt
    | RecordGap
    | RecordBlock
    | RecordContents
    | KeepLearned
    | RecordMarket
    | RecordModel
)
