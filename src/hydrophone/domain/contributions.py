"""What each output adds to the five values of a flow."""

from dataclasses import dataclass

from hydrophone.domain.flow import FlowAssessment
from hydrophone.domain.flow_values import FlowValues, net_of_change, split_values
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import Sats


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one output adds.

    Attributes:
        net_sat: its expected value net of change.
        values: the same, split by direction; each part is rounded to a satoshi for itself.
    """

    net_sat: Sats
    values: FlowValues


def contributions_of(tx: Transaction, flow: FlowAssessment) -> tuple[Contribution, ...]:
    """Return what each output adds to the values of an assessment; they sum to them, up to a satoshi each.

    Args:
        tx: the transaction.
        flow: its assessment.
    """
    evidence = flow.evidence
    if evidence is None:  # all of it counts as moved, by nobody knows whom
        return tuple(
            Contribution(output.value_sat, split_values([output.value_sat], {}, [{}]))
            for output in tx.outputs
        )
    parts = zip(net_of_change(tx.outputs, flow.change), evidence.receivers, strict=True)
    sender = evidence.sender
    values = (
        split_values([net], sender.shares, [claims], unnamed=sender.unnamed).with_inside(evidence.stays)
        for net, claims in parts
    )
    return tuple(Contribution(split.total_sat, split) for split in values)
