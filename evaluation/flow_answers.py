"""What the service answers in a simulated world, beside what was true: one row for each whale.

The service's own tracker is fed the events in order. A row is made of the signal as first published, and one
of the last amendment of it. Nothing here knows how an answer is made.

What the labels allow: a true direction can be told from labels only if the side it needs is labelled when the
whale is announced (the book of these worlds never changes):

- inflow: a script of an output that is not change and belongs to an exchange has a claim;
- outflow: a script of an input has one;
- between exchanges: both;
- internal: both, too; where coins of one owner are gathered (`SWEEPS`) the receiving side is enough.

A claim counts whoever it names: a wrong one allows an answer as much as a right one, which is then wrong.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from evaluation.flow_worlds import EXCHANGE_NAMES, SWEEPS, FlowWorld
from hydrophone.domain.events import AmendSignal, RaiseSignal
from hydrophone.domain.flow import FlowAssessment
from hydrophone.domain.labels import EntityKind, LabelBook
from hydrophone.domain.script import Network
from hydrophone.domain.tracker import Tracker
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import Txid

FLOW_TYPES: Final = ("inflow", "outflow", "internal", "unknown")
UNKNOWN: Final = "unknown"


class Row(NamedTuple):
    """One whale.

    Attributes:
        txid: of the whale.
        book: world and label seed: who was labelled is the same for all that share it.
        cluster: those and the hour: its neighbours.
        kind: what it really was for.
        truth: its real direction.
        answer: the direction that was published; unknown: none.
        confidence: of that answer.
        subtype: as published; empty: none.
        true_subtype: empty: none.
        moved_sat: as published.
        true_moved_sat: what changed its owner.
        gross_sat: sum of its outputs.
        is_allowed: whether the labels allow to tell the true direction; never where there is none.
    """

    txid: Txid
    book: tuple[int, int]
    cluster: tuple[int, int, int]
    kind: str
    truth: str
    answer: str
    confidence: float
    subtype: str
    true_subtype: str
    moved_sat: int
    true_moved_sat: int
    gross_sat: int
    is_allowed: bool

    @property
    def is_answered(self) -> bool:
        """Whether a direction was named."""
        return self.answer != UNKNOWN

    @property
    def is_right(self) -> bool:
        """Whether the answer is true."""
        return self.answer == self.truth

    def at(self, theta: float) -> "Row":
        """Return the row as it were if answers needed a probability of `theta`."""
        return self if self.confidence >= theta else self._replace(answer=UNKNOWN)


class Answers(NamedTuple):
    """All that was published in one world.

    Attributes:
        first: as first published.
        final: as last amended.
        unsignalled: announced whales without a signal.
    """

    first: list[Row]
    final: list[Row]
    unsignalled: int


def answer(world: FlowWorld, book: LabelBook, *, label_seed: int = 0) -> Answers:
    """Let the service's tracker hear a world and return what it published.

    Args:
        world: what it hears.
        book: its labels.
        label_seed: what the rows are to say of where the labels are from.
    """
    drawn = (world.spec.seed, label_seed)
    first, final = assess(world, book)
    return Answers(
        [_row(world, book, drawn, txid, flow) for txid, flow in first.items()],
        [_row(world, book, drawn, txid, flow) for txid, flow in final.items()],
        len(world.whales.keys() - first.keys()),
    )


def assess(
    world: FlowWorld, book: LabelBook
) -> tuple[dict[Txid, FlowAssessment], dict[Txid, FlowAssessment]]:
    """Return the flow of each signalled whale as first published, and as last amended."""
    tracker = Tracker(network=Network.MAINNET, book=book)
    first: dict[Txid, FlowAssessment] = {}
    final: dict[Txid, FlowAssessment] = {}
    for event in world.events:
        for effect in tracker.step(event):
            if isinstance(effect, RaiseSignal | AmendSignal):
                first.setdefault(effect.signal.txid, effect.signal.flow)
                final[effect.signal.txid] = effect.signal.flow
    return first, final


def is_allowed(whale: Transaction, truth: Mapping[str, Any], book: LabelBook) -> bool:
    """Return whether the labels allow to tell the true direction of a whale."""
    is_received = any(
        is_claimed(book, [whale.outputs[paid["vout"]].script])
        for paid in truth["receivers"]
        if paid["entity"] in EXCHANGE_NAMES
    )
    is_sent = is_claimed(book, (i.prevout.script for i in whale.inputs if i.prevout is not None))
    match truth["flow_type"]:
        case "inflow":
            return is_received
        case "outflow":
            return is_sent
        case "internal":
            return is_received and (is_sent or truth["kind"] in SWEEPS)
        case _:
            return False


def is_claimed(book: LabelBook, scripts: Iterable[bytes]) -> bool:
    """Return whether somebody says of one of the scripts that it is an exchange's."""
    return any(
        claim.entity.kind is EntityKind.EXCHANGE for script in scripts for claim in book.lookup(script)
    )


def _row(world: FlowWorld, book: LabelBook, drawn: tuple[int, int], txid: Txid, flow: FlowAssessment) -> Row:
    truth, whale = world.truth[txid], world.whales[txid]
    return Row(
        txid=txid,
        book=drawn,
        cluster=(*drawn, world.hour_of(txid)[1]),
        kind=truth["kind"],
        truth=truth["flow_type"],
        answer=flow.flow_type.value,
        confidence=flow.confidence,
        subtype="" if flow.subtype is None else flow.subtype.value,
        true_subtype=truth["flow_subtype"] or "",
        moved_sat=flow.moved_sat,
        true_moved_sat=truth["moved_sat"],
        gross_sat=whale.gross_sat,
        is_allowed=is_allowed(whale, truth, book),
    )
