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
from hydrophone.domain.outcome import Outcome
from hydrophone.domain.signal import Signal
from hydrophone.domain.transaction import Output, Transaction
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
        successor: the successor when its outputs exceed the threshold, else None.
    """

    at: UnixMicros
    source: Source
    txid: Txid
    by: Txid
    successor: Transaction | None


@dataclass(frozen=True, slots=True)
class BlockConnected:
    """A block became the tip.

    Attributes:
        at: when we heard.
        height: its height.
        block_hash: its hash, display order.
        previous_hash: the hash of its parent.
        mined: txids in it, as far as the source named them.
        found_at: when its header says it was found; None: the source did not tell.
        profile: its fee rates; None likewise.
    """

    at: UnixMicros
    height: Height
    block_hash: str
    previous_hash: str
    mined: tuple[Txid, ...]
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


@dataclass(frozen=True, slots=True)
class PrevoutsResolved:
    """The outputs that a transaction spends became known, in the order of its inputs."""

    at: UnixMicros
    txid: Txid
    prevouts: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class PrevoutsUnavailable:
    """We gave up asking for what a transaction spends."""

    at: UnixMicros
    txid: Txid
    reason: str


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
    | PrevoutsResolved
    | PrevoutsUnavailable
    | TimePassed
    | GapFound
)


@dataclass(frozen=True, slots=True)
class FetchPrevouts:
    """Ask the source what a transaction spends."""

    txid: Txid


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


@dataclass(frozen=True, slots=True)
class ReopenPrediction:
    """A confirmation was undone by a reorg: the prediction is pending again."""

    at: UnixMicros
    prediction_id: str
    txid: Txid
    detected_at: UnixMicros


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
    FetchPrevouts
    | RaiseSignal
    | AmendSignal
    | RecordOutcome
    | NoteSuccessor
    | ReopenPrediction
    | MarkDoubt
    | RecordGap
    | KeepLearned
    | RecordMarket
    | RecordModel
)
