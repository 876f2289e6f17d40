"""A signal: what is published about one whale transaction, with the prediction it carries."""

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hydrophone.domain.confirmation import DEPTH
from hydrophone.domain.flow import FlowAssessment
from hydrophone.domain.forecast import Forecast
from hydrophone.domain.script import Network
from hydrophone.domain.transaction import Output, Transaction
from hydrophone.domain.units import FeeRate, Sats, Txid, UnixMicros, WeightUnits
from hydrophone.domain.urgency import UrgencyBasis

_NAMESPACE: Final = uuid.UUID("6a1d3d0e-52c5-5b0c-9a3e-8c1f6a5d7b21")
"""# chosen: any fixed UUID; changing it would give every prediction a new id."""
GRACE_BLOCKS: Final = 5
"""# chosen: an hour late is still about right."""


class Sighting(StrEnum):
    """How we came to know of a whale."""

    ANNOUNCED = "announced"
    """A source announced it when it came."""
    LATE = "late"
    """It waited already when we could hear again, or began to."""
    MINED = "mined"
    """Nobody had told us before it was in a block: there was nothing to predict."""


class Change(StrEnum):
    """What a replacement changed in meaning."""

    FEE_BUMP = "fee_bump"
    """The same amounts to the same scripts; who pays the fee may get less by it."""
    OTHER_AMOUNT = "other_amount"
    OTHER_PAYEE = "other_payee"
    """A double spend: who was paid before is not, or not alone."""
    CANCELLED = "cancelled"
    """All goes back to the sender."""


@dataclass(frozen=True, slots=True)
class Version:
    """One transaction of a payment that was replaced by fee: what the history keeps.

    Attributes:
        txid: of it.
        seen_at: when it was announced.
        fee_rate_sat_vb: its own rate; None when its fee was unknown.
        change: what the version after it changed; None: written before that was kept.
    """

    txid: Txid
    seen_at: UnixMicros
    fee_rate_sat_vb: FeeRate | None
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """What we say about a whale.

    Attributes:
        prediction_id: the same for every version of the payment, and in every replay.
        txid: the current transaction.
        history: earlier versions, oldest first; empty unless it was replaced by fee.
        transaction: the current version, resolved as far as it could be.
        flow: direction, amounts and entities.
        gross_sat: sum of the outputs.
        fee_sat: fee; None when the source did not say.
        weight_wu: BIP 141 weight.
        fee_rate_sat_vb: own fee rate; None when the fee is unknown.
        effective_fee_rate_sat_vb: rate of its package, where the source gave one.
        urgency_score: in [0, 1]; None when the fee is unknown.
        urgency_basis: what that score rests on.
        rbf_enabled: whether BIP 125 replaceability is signalled.
        detected_at: when the frame that announced the first version was received.
        seen_at: when the frame that announced this version was received.
        payees: outputs that are probably not change: how we recognise a later version.
        source: name of the source.
        is_simulated: whether the source is a simulation.
        label_set: version of the label book that was used.
        forecast: when it confirms, and from what that was computed; None when the fee is unknown, or when
            there was nothing to forecast.
        sighting: how we came to know of the payment.
    """

    prediction_id: str
    txid: Txid
    history: tuple[Version, ...]
    transaction: Transaction
    flow: FlowAssessment
    gross_sat: Sats
    fee_sat: Sats | None
    weight_wu: WeightUnits
    fee_rate_sat_vb: FeeRate | None
    effective_fee_rate_sat_vb: FeeRate | None
    urgency_score: float | None
    urgency_basis: UrgencyBasis
    rbf_enabled: bool
    detected_at: UnixMicros
    seen_at: UnixMicros
    payees: tuple[Output, ...]
    source: str
    is_simulated: bool
    label_set: str
    forecast: Forecast | None = None
    sighting: Sighting = Sighting.ANNOUNCED

    @property
    def was_modified(self) -> bool:
        """Whether an earlier version of the payment was replaced by this one."""
        return bool(self.history)

    @property
    def confidence_score(self) -> float:
        """Probability that the flow's answer is right and the prediction of the block not far off.

        p(flow) * P(confirmed within the predicted block + 5); while confirmation is not estimated, p(flow)
        alone.
        """
        estimate = None if self.forecast is None else self.forecast.estimate
        if estimate is None:
            return self.flow.confidence
        blocks = DEPTH if estimate.likely_blocks is None else estimate.likely_blocks + GRACE_BLOCKS
        return self.flow.confidence * estimate.p_within(blocks)


def prediction_id_of(network: Network, first_txid: Txid) -> str:
    """Return the id of a prediction: UUIDv5 of the network and the first txid that was signalled."""
    return str(uuid.uuid5(_NAMESPACE, f"{network}:{first_txid}"))
