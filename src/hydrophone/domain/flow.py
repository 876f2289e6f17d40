"""Who moves how much to whom, relative to exchanges.

Labels give direction, in four steps: who sends (a probability for each exchange), which outputs are change,
who receives the rest, and how the value splits over the directions. Two errors are avoided: an exchange on
both sides is not therefore internal (a plain withdrawal returns change), and what an exchange spends is not
therefore its outflow (it counts the change).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from hydrophone.domain.change import estimate_change
from hydrophone.domain.flow_answer import (
    FlowEvidence,
    FlowSubtype,
    FlowType,
    choose_answer,
    explain_unknown,
    find_basis,
    find_subtype,
    probabilities_of,
    share_directions,
)
from hydrophone.domain.flow_parameters import DEFAULT, FlowParameters
from hydrophone.domain.flow_values import (
    EntityFlow,
    FlowValues,
    net_of_change,
    split_entities,
    split_values,
    sum_received,
)
from hydrophone.domain.labels import Role
from hydrophone.domain.parties import (
    NOBODY,
    LabelReading,
    Labels,
    estimate_receiver,
    estimate_sender,
    find_roles,
    read_labels,
    same_owner_of,
    structural_signs,
    unnamed_share,
)
from hydrophone.domain.shapes import Looks, recognise
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import Sats

__all__ = [
    "EntityFlow",
    "FlowAssessment",
    "FlowEvidence",
    "FlowSubtype",
    "FlowType",
    "FlowValues",
    "classify_flow",
]


@dataclass(frozen=True, slots=True)
class FlowAssessment:
    """What we say about the flow of one transaction.

    Attributes:
        flow_type: the answer; unknown when no direction is sure enough.
        subtype: what the direction alone does not say, or None.
        probabilities: of each FlowType to be the answer (interexchange is inside internal).
        values: the five values.
        moved_sat: value net of change and of self-transfer.
        change: probability that output j is change, for each output.
        entities: the exchanges named on either side, largest amount first.
        exchange_scripts: scripts with an undisputed label of an exchange, inputs first, each once.
        sender: the name of the most probable sending exchange above one half, else None.
        receiver: the name of the exchange that receives more than half of the value net of change, else None.
        reason: why the answer is unknown; None when it is not.
        conflict: names of the exchanges that cannot all be the sender as labels say; mostly empty.
        evidence: what all this rests on; None when the inputs are unknown.
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
    conflict: tuple[str, ...] = ()
    evidence: FlowEvidence | None = field(default=None, compare=False, repr=False)

    @property
    def confidence(self) -> float:
        """Probability that `flow_type` is right."""
        return self.probabilities[self.flow_type]

    @property
    def gist(self) -> tuple[FlowType, FlowSubtype | None, frozenset[str]]:
        """What subscribers act on: direction, subtype and who is named. A change of it is worth a message."""
        return self.flow_type, self.subtype, frozenset([entity.name for entity in self.entities])


def classify_flow(tx: Transaction, labels: Labels, *, parameters: FlowParameters = DEFAULT) -> FlowAssessment:
    """Return who moves how much to whom.

    Without every prevout the sender is unknown, and with it whether a labelled output is a deposit, change or
    internal: then no direction is claimed, nothing is called change, and all of the value counts as moved.

    Args:
        tx: not a coinbase.
        labels: only those of exchanges give direction, and none where they contradict each other.
        parameters: the figures of the model.
    """
    prevouts = [tx_input.prevout for tx_input in tx.inputs if tx_input.prevout is not None]
    spent = tuple(dict.fromkeys([prevout.script for prevout in prevouts]))
    paid = [output.script for output in tx.outputs]
    reading = read_labels(labels, dict.fromkeys((*spent, *paid)).keys())
    if not prevouts or len(prevouts) < len(tx.inputs):
        return _assess_without_inputs(tx, reading, known_count=len(prevouts))

    claims, outputs = reading.claims, tx.outputs
    sending = {claims[script].key for script in spent if script in claims}
    paying = {claims[script].key for script in paid if script in claims}
    looks = recognise(
        prevouts, outputs, is_exchange=bool(sending), pays_exchange=not paying.issubset(sending)
    )
    signs = structural_signs(looks, parameters=parameters) if _is_unnamed(spent, reading) else ()
    swept_by = _swept_by(tx, looks, spent, reading)
    sender = estimate_sender(
        [claims[script] for script in spent if script in claims],
        same_owner=same_owner_of(
            looks,
            input_count=len(prevouts),
            is_agreed=len(spent) == 1 or (len(sending) == 1 and all(script in claims for script in spent)),
            parameters=parameters,
        ),
        unnamed=unnamed_share(signs, parameters=parameters),
    )
    receivers = tuple([estimate_receiver(claims[s]) if s in claims else NOBODY for s in paid])
    change = estimate_change(
        prevouts, outputs, looks, sender=sender.known, receivers=receivers, parameters=parameters
    )
    stays = 0.0 if swept_by is None else parameters.sweep_internal
    roles = find_roles(reading, spent, paid)
    evidence = FlowEvidence(
        looks=looks,
        reading=reading,
        sender=sender,
        signs=signs,
        receivers=receivers,
        change=change,
        swept_by=swept_by,
        stays=stays,
        roles=roles,
        shares=share_directions(outputs, change, sender, receivers, stays=stays),
        basis=find_basis(tx, looks, reading, roles, spent_count=len(spent)),
    )
    net_sat = net_of_change(outputs, change.probabilities)
    values = split_values(net_sat, sender.shares, receivers, unnamed=sender.unnamed).with_inside(stays)
    probabilities = probabilities_of(evidence, parameters)
    flow_type = choose_answer(evidence, probabilities, parameters)
    received_sat = sum_received(net_sat, receivers)
    half_sat = math.fsum(net_sat) / 2  # not rounded: of less than a satoshi anything would be more than half
    from_key = sender.known or swept_by
    to_key = next((key for key, value in received_sat.items() if value > half_sat), None)
    return FlowAssessment(
        flow_type=flow_type,
        subtype=find_subtype(flow_type, values, evidence, parameters),
        probabilities=probabilities,
        values=values,
        moved_sat=Sats(values.total_sat - values.internal_sat),
        change=change.probabilities,
        entities=split_entities(
            outputs, change.probabilities, sender.shares, receivers, names=reading.names, stays=stays
        ),
        exchange_scripts=tuple(claims),
        sender=None if from_key is None else reading.names[from_key],
        receiver=None if to_key is None else reading.names[to_key],
        reason=explain_unknown(evidence, parameters) if flow_type is FlowType.UNKNOWN else None,
        conflict=tuple([reading.names[key] for key in sender.conflict]),
        evidence=evidence,
    )


def _is_unnamed(spent: Iterable[bytes], reading: LabelReading) -> bool:
    """Return whether nobody claims to know whose the inputs are."""
    return not any(script in reading.claims or script in reading.others for script in spent)


def _swept_by(tx: Transaction, looks: Looks, spent: Sequence[bytes], reading: LabelReading) -> str | None:
    """Return the key of the exchange that gathers what customers paid in; None when it is no sweep.

    All goes to wallets of one exchange, by claims more likely true than not, and comes out of its deposit
    scripts; or it goes to a wallet labelled hot or cold, out of five or more scripts that are used once and
    are nobody else's.
    """
    claims = reading.claims
    paid = [claims[o.script] for o in (tx.outputs[i] for i in looks.candidates) if o.script in claims]
    if not paid or len(paid) < len(looks.candidates):
        return None
    receiver = paid[0].key
    if not all(claim.key == receiver and claim.is_likely_wallet for claim in paid):
        return None

    def is_deposit(script: bytes) -> bool:
        return script in claims and claims[script].key == receiver and claims[script].role is Role.DEPOSIT

    others = [script for script in spent if not is_deposit(script)]
    is_gathering = looks.is_gathering and all(claim.is_working_wallet for claim in paid)
    are_nobodys = all(script not in claims and script not in reading.others for script in others)
    return receiver if not others or (is_gathering and are_nobodys) else None


def _assess_without_inputs(tx: Transaction, reading: LabelReading, *, known_count: int) -> FlowAssessment:
    values = FlowValues(Sats(0), Sats(0), Sats(0), Sats(0), tx.gross_sat)
    found = f"{known_count} of {len(tx.inputs)}" if known_count else "no"
    return FlowAssessment(
        flow_type=FlowType.UNKNOWN,
        subtype=None,
        probabilities={kind: float(kind is FlowType.UNKNOWN) for kind in FlowType},
        values=values,
        moved_sat=tx.gross_sat,
        change=(0.0,) * len(tx.outputs),
        entities=(),
        exchange_scripts=tuple(reading.claims),
        sender=None,
        receiver=None,
        reason=f"inputs unknown: the source sent {found} prevouts",
        evidence=None,
    )
