"""The answer about a flow: how likely each direction is, which of them is said, and why none is."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hydrophone.domain.change import ChangeEstimate
from hydrophone.domain.flow_calibration import Basis, Calibrated, calibrate
from hydrophone.domain.flow_parameters import FlowParameters
from hydrophone.domain.flow_values import FlowValues, expected_share
from hydrophone.domain.labels import Role
from hydrophone.domain.parties import LabelReading, Roles, SenderEstimate, Sign
from hydrophone.domain.shapes import Looks, Shape
from hydrophone.domain.transaction import Output, Transaction


class FlowType(StrEnum):
    """Direction of the moved value, seen from exchanges."""

    INFLOW = "inflow"
    OUTFLOW = "outflow"
    INTERNAL = "internal"
    UNKNOWN = "unknown"


class FlowSubtype(StrEnum):
    """What a direction alone does not say."""

    INTEREXCHANGE = "interexchange"
    """Internal, from one exchange to another."""
    MIXED = "mixed"
    """Two directions of 30 % or more."""
    COINJOIN = "coinjoin"
    """Several owners mix their coins."""
    SWEEP = "sweep"
    """An exchange gathers what customers paid in."""
    COLD_TO_HOT = "cold_to_hot"
    HOT_TO_COLD = "hot_to_cold"
    """Between the wallets of one exchange."""
    BATCH_WITHDRAWAL = "batch_withdrawal"
    """Many payments at once, as an exchange makes them."""
    CONSOLIDATION = "consolidation"
    """One coin made of many."""


@dataclass(frozen=True, slots=True)
class FlowEvidence:
    """What an assessment rests on.

    Attributes:
        looks: of the transaction.
        reading: what labels say.
        sender: who sends.
        signs: what in the looks speaks for or against an exchange as sender, labels apart.
        receivers: for each output the probability by entity key that it belongs to that exchange.
        change: which outputs are change, and why.
        swept_by: key of the exchange that gathers deposits, so that most of what looks like inflow is
            internal; None when it is no sweep.
        stays: share of what seems to be inflow that stays inside an exchange: not 0 in a sweep.
        roles: what the labelled scripts on either side are used for.
        shares: of the value net of change by FlowType, as labels say.
        basis: what each direction rests on.
    """

    looks: Looks
    reading: LabelReading
    sender: SenderEstimate
    signs: tuple[Sign, ...]
    receivers: tuple[Mapping[str, float], ...]
    change: ChangeEstimate
    swept_by: str | None
    stays: float
    roles: Roles
    shares: Mapping[FlowType, float]
    basis: Mapping[FlowType, Basis]


_FEW_OUTPUTS: Final = 3
"""# chosen: a payment, another and change; more is a batch, however small."""
_TRANSFERS: Final = {
    Roles(Role.COLD, Role.HOT): FlowSubtype.COLD_TO_HOT,
    Roles(Role.HOT, Role.COLD): FlowSubtype.HOT_TO_COLD,
}
_DOUBTS: Final = {
    Basis.LEAVES_COLD: "cold storage pays no customers: these may be the exchange's own coins",
    Basis.LEAVES_DEPOSIT: "an exchange gathers what was deposited: these may be its own coins",
    Basis.PAYS_COLD: "customers do not pay into cold storage: these may be the exchange's own coins",
    Basis.PAYS_WALLET_REUSED: "who keeps many coins on one script is rather a service: these may be its own",
    Basis.PAYS_LEARNED: "only what we learned ourselves says so",
}
"""Why what labels say is seldom right, by what it rests on."""


def share_directions(
    outputs: Sequence[Output],
    change: ChangeEstimate,
    sender: SenderEstimate,
    receivers: Sequence[Mapping[str, float]],
    *,
    stays: float,
) -> dict[FlowType, float]:
    """Return the expected share of what is paid in each direction, as labels say; they sum to 1.

    Args:
        outputs: of the transaction.
        change: which of them are change.
        sender: who sends.
        receivers: for each output the probability by entity key that it belongs to that exchange.
        stays: share of what seems to be inflow that stays inside an exchange.
    """
    if not any(output.value_sat for output in outputs):
        return {kind: float(kind is FlowType.UNKNOWN) for kind in FlowType}  # nothing moves
    sends = min(
        1.0, math.fsum((*sender.shares.values(), sender.unnamed))
    )  # shares of 1 may sum to a hair more
    claimed = [min(1.0, math.fsum(claims.values())) if claims else 0.0 for claims in receivers]
    receives = expected_share(outputs, claimed, change)
    inflow = (1 - sends) * receives
    return {
        FlowType.INFLOW: inflow * (1 - stays),
        FlowType.OUTFLOW: sends * (1 - receives),
        FlowType.INTERNAL: sends * receives + inflow * stays,
        FlowType.UNKNOWN: (1 - sends) * (1 - receives),
    }


def find_basis(
    tx: Transaction, looks: Looks, reading: LabelReading, roles: Roles, *, spent_count: int
) -> dict[FlowType, Basis]:
    """Return what each direction would rest on.

    Args:
        tx: the transaction.
        looks: of it.
        reading: what labels say about it.
        roles: what the labelled scripts are used for.
        spent_count: number of different scripts of its inputs.
    """
    is_many = looks.shape is Shape.BATCH or len(looks.candidates) > _FEW_OUTPUTS
    out = {Role.DEPOSIT: Basis.LEAVES_DEPOSIT, Role.COLD: Basis.LEAVES_COLD}.get(
        roles.sender, Basis.PAYS_MANY if is_many else Basis.PAYS_FEW
    )
    if spent_count > 1:
        wallet = Basis.PAYS_WALLET_SEVERAL
    elif len(tx.inputs) > 1:
        wallet = Basis.PAYS_WALLET_REUSED
    else:
        paid = [reading.claims[o.script] for o in tx.outputs if o.script in reading.claims]
        wallet = Basis.PAYS_LEARNED if all(c.is_learned for c in paid) else Basis.PAYS_WALLET_ONE
    into = {Role.DEPOSIT: Basis.PAYS_DEPOSIT, Role.COLD: Basis.PAYS_COLD}.get(roles.receiver, wallet)
    return {FlowType.INFLOW: into, FlowType.OUTFLOW: out, FlowType.INTERNAL: Basis.BOTH_SIDES}


def probabilities_of(evidence: FlowEvidence, parameters: FlowParameters) -> dict[FlowType, float]:
    """Return how likely each FlowType is the right answer; they sum to 1."""
    found = calibrate(
        Calibrated(*[evidence.shares[kind] for kind in FlowType]),
        into=evidence.basis[FlowType.INFLOW],
        out=evidence.basis[FlowType.OUTFLOW],
        temperature=parameters.temperature,
    )
    return dict(zip(FlowType, found, strict=True))


def choose_answer(
    evidence: FlowEvidence, probabilities: Mapping[FlowType, float], parameters: FlowParameters
) -> FlowType:
    """Return what labels say, where they are clear about it and likely to be right."""
    likeliest = max(evidence.shares, key=evidence.shares.__getitem__)
    is_clear = evidence.shares[likeliest] >= parameters.theta
    is_likely = probabilities[likeliest] >= parameters.least_confidence
    return likeliest if is_clear and is_likely else FlowType.UNKNOWN


def find_subtype(
    flow_type: FlowType, values: FlowValues, evidence: FlowEvidence, parameters: FlowParameters
) -> FlowSubtype | None:
    """Return what the direction does not say: the first that holds."""
    shape = evidence.looks.shape
    directions = [share for kind, share in evidence.shares.items() if kind is not FlowType.UNKNOWN]
    is_internal = flow_type is FlowType.INTERNAL
    tests = (
        (shape is not None and shape.is_coinjoin, FlowSubtype.COINJOIN),
        (is_internal and values.interexchange_sat > values.internal_sat, FlowSubtype.INTEREXCHANGE),
        (sum(share >= parameters.mixed_share for share in directions) > 1, FlowSubtype.MIXED),
        (evidence.swept_by is not None, FlowSubtype.SWEEP),
        (is_internal and evidence.roles in _TRANSFERS, _TRANSFERS.get(evidence.roles)),
        (
            shape is Shape.BATCH and flow_type in (FlowType.OUTFLOW, FlowType.UNKNOWN),
            FlowSubtype.BATCH_WITHDRAWAL,
        ),
        (
            shape is Shape.CONSOLIDATION and flow_type in (FlowType.INTERNAL, FlowType.UNKNOWN),
            FlowSubtype.CONSOLIDATION,
        ),
    )
    return next((subtype for holds, subtype in tests if holds), None)


def explain_unknown(evidence: FlowEvidence, parameters: FlowParameters) -> str:
    """Return why no direction is the answer."""
    reading, shape = evidence.reading, evidence.looks.shape
    directions = {kind: evidence.shares[kind] for kind in evidence.basis}
    best = max(directions, key=directions.__getitem__)
    reasons = []
    if shape is not None and shape.is_coinjoin:
        reasons.append("a coinjoin: who pays whom cannot be told")
    elif directions[best] >= parameters.theta:
        doubt = _DOUBTS.get(evidence.basis[best], "that would more likely be wrong than right")
        reasons.append(f"labels say {best}, but {doubt}")
    elif reading.claims:
        # Rounded down: 59.7 % did not reach 60 %.
        share = math.floor(100 * directions[best])
        reasons.append(f"no direction reaches {parameters.theta:.0%}: {best} has {share}%")
    elif not reading.disputes:
        reasons.append("no exchange label on either side")
    if reading.disputes:
        reasons.append(f"disputed labels: {_join(reading.disputes)}")
    if evidence.sender.conflict:
        names = " and ".join(reading.names[key] for key in evidence.sender.conflict)
        reasons.append(f"the inputs are labelled {names}")
    return "; ".join(reasons)


def _join(disputes: Collection[tuple[str, ...]]) -> str:
    """Return who is said to own the disputed scripts, each pair once."""
    return ", ".join(sorted({" or ".join(names) for names in disputes}))
