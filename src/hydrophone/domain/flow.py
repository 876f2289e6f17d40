"""Who moves how much to whom, relative to exchanges."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from hydrophone.domain.units import Sats


class FlowType(StrEnum):
    """Direction of the moved value, seen from exchanges."""

    INFLOW = "inflow"
    OUTFLOW = "outflow"
    INTERNAL = "internal"
    UNKNOWN = "unknown"


class FlowSubtype(StrEnum):
    """What a direction alone does not say."""

    INTEREXCHANGE = "interexchange"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class FlowValues:
    """The value net of change, split by direction; the five sum to it.

    Attributes:
        inflow_sat: from elsewhere into an exchange.
        outflow_sat: from an exchange to elsewhere.
        internal_sat: inside one exchange.
        interexchange_sat: from one exchange into another.
        unknown_sat: between scripts nobody claims.
    """

    inflow_sat: Sats
    outflow_sat: Sats
    internal_sat: Sats
    interexchange_sat: Sats
    unknown_sat: Sats

    @property
    def total_sat(self) -> Sats:
        """Value net of change."""
        return Sats(
            self.inflow_sat + self.outflow_sat + self.internal_sat + self.interexchange_sat + self.unknown_sat
        )


@dataclass(frozen=True, slots=True)
class EntityFlow:
    """What one exchange sends and receives in a transaction (expected values, change excluded)."""

    name: str
    out_sat: Sats
    in_sat: Sats

    @property
    def net_sat(self) -> int:
        """Positive: coins into the exchange."""
        return self.in_sat - self.out_sat


@dataclass(frozen=True, slots=True)
class FlowAssessment:
    """What we say about the flow of one transaction.

    Attributes:
        flow_type: the answer; unknown when no direction is sure enough.
        subtype: interexchange, mixed, or None.
        probabilities: share of the value net of change by FlowType (interexchange is inside internal).
        values: the five values.
        moved_sat: value net of change and of self-transfer.
        change: probability that output j is change, for each output.
        entities: the exchanges named on either side, largest amount first.
        exchange_scripts: scripts with an exchange's label, inputs first, each once.
        sender: the name of the most probable sending exchange above one half, else None.
        receiver: the name of the exchange that receives most, else None.
        reason: why the answer is unknown; None when it is not.
    """

    flow_type: FlowType
    subtype: FlowSubtype | None
    probabilities: Mapping[FlowType, float]
    values: FlowValues
    moved_sat: Sats
    change: tuple[float, ...]
    entities: tuple[EntityFlow, ...]
    exchange_scripts: tuple[bytes, ...]
    sender: str | None
    receiver: str | None
    reason: str | None

    @property
    def confidence(self) -> float:
        """Probability that `flow_type` is right."""
        return self.probabilities[self.flow_type]
