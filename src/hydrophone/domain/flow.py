"""Who moves how much to whom, relative to exchanges.

Labels alone give direction, in four steps: who sends (a probability for each exchange), which outputs are
change, who receives the rest, and how the value splits over the directions. Two errors are avoided: an
exchange on both sides is not therefore internal (a plain withdrawal returns change), and what an exchange
spends is not therefore its outflow (it counts the change).
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from hydrophone.domain.change import LIKELY, estimate_change
from hydrophone.domain.labels import EntityKind, Label, LabelBook
from hydrophone.domain.transaction import Output, Transaction
from hydrophone.domain.units import Sats

THETA: Final = 0.60
"""Share of the value that a direction needs to be the answer.

# chosen: a first guess, until scored answers show where 80 % of them are right.
"""
_SAME_OWNER: Final = 0.98
"""# chosen: probability that all inputs have one owner; the rest are transactions of several payers."""
_MIXED_SHARE: Final = 0.30
"""# chosen: share of the value from which a second direction is worth telling."""


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
    """What one exchange sends to others and receives from others (expected values, change excluded).

    What stays inside it is in neither: summed over exchanges, `out_sat` is outflow and interexchange,
    `in_sat` is inflow and interexchange.
    """

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
        subtype: interexchange (of an internal flow), mixed (two directions of 30 % or more), or None.
        probabilities: share of the value net of change by FlowType (interexchange is inside internal).
        values: the five values.
        moved_sat: value net of change and of self-transfer.
        change: probability that output j is change, for each output.
        entities: the exchanges named on either side, largest amount first.
        exchange_scripts: scripts with an undisputed label of an exchange, inputs first, each once.
        sender: the name of the most probable sending exchange above one half, else None.
        receiver: the name of the exchange that receives more than half of the value net of change, else None.
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


class ExchangeClaims(NamedTuple):
    """What is said about one script, where all claims name one exchange.

    Attributes:
        key: of the exchange.
        labels: the claims, at least one.
    """

    key: str
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class SenderEstimate:
    """Who sends.

    Attributes:
        shares: probability by entity key that this exchange sends; they sum to at most 1.
        conflict: keys of the exchanges that cannot all be the sender as their labels say; empty when none.
    """

    shares: Mapping[str, float]
    conflict: tuple[str, ...]

    @property
    def known(self) -> str | None:
        """Key of the exchange that is more likely the sender than not."""
        return next((key for key, share in self.shares.items() if share > LIKELY), None)


def classify_flow(tx: Transaction, book: LabelBook, *, theta: float = THETA) -> FlowAssessment:
    """Return who moves how much to whom.

    Without every prevout the sender is unknown, and with it whether a labelled output is a deposit, change or
    internal: then no direction is claimed, nothing is called change, and all of the value counts as moved.

    Args:
        tx: not a coinbase.
        book: the labels; only those of exchanges give direction, and none where they name two entities.
        theta: share in (0, 1] that a direction needs to be the answer.
    """
    prevouts = [tx_input.prevout for tx_input in tx.inputs if tx_input.prevout is not None]
    spent = tuple(dict.fromkeys(prevout.script for prevout in prevouts))
    labels = _read_labels(book, dict.fromkeys((*spent, *(output.script for output in tx.outputs))))
    if not prevouts or len(prevouts) < len(tx.inputs):
        return _assess_without_inputs(tx, labels, known_count=len(prevouts))

    claims = labels.claims
    sender = estimate_sender(
        [claims[script] for script in spent if script in claims], input_count=len(tx.inputs)
    )
    known_sender = sender.known
    receivers = [estimate_receiver(claims.get(output.script)) for output in tx.outputs]
    change = estimate_change(prevouts, tx.outputs, sender=known_sender, receivers=receivers).probabilities
    net_sat = net_of_change(tx.outputs, change)

    received_sat = sum_received(net_sat, receivers)
    values = split_values(net_sat, sender.shares, receivers)
    total_sat = values.total_sat
    half_sat = math.fsum(net_sat) / 2  # not rounded: of less than a satoshi anything would be more than half
    probabilities = _probabilities(values)
    flow_type = _answer(probabilities, theta)
    return FlowAssessment(
        flow_type=flow_type,
        subtype=_subtype(flow_type, probabilities, values),
        probabilities=probabilities,
        values=values,
        moved_sat=Sats(total_sat - values.internal_sat),
        change=change,
        entities=split_entities(total_sat, sender.shares, received_sat, labels.names),
        exchange_scripts=tuple(claims),
        sender=None if known_sender is None else labels.names[known_sender],
        receiver=next((labels.names[key] for key, value in received_sat.items() if value > half_sat), None),
        reason=_reason(probabilities, theta, labels, sender) if flow_type is FlowType.UNKNOWN else None,
    )


def estimate_sender(claims: Iterable[ExchangeClaims], *, input_count: int) -> SenderEstimate:
    """Return the probability of each exchange to be the sender.

    Each claim is discounted by the chance that the inputs have several owners, which a single input cannot.
    Two exchanges that are each likely contradict each other: both are halved. What then exceeds certainty in
    sum is scaled down to it.

    Args:
        claims: on the scripts of the inputs, each script once.
        input_count: number of inputs, labelled or not.
    """
    same_owner = 1.0 if input_count == 1 else _SAME_OWNER
    by_entity: dict[str, list[Label]] = {}
    for key, labels in claims:
        by_entity.setdefault(key, []).extend(labels)
    shares = {key: _belief(found, discount=same_owner) for key, found in sorted(by_entity.items())}
    likely = tuple(key for key, share in shares.items() if share > LIKELY)
    conflict = likely if len(likely) > 1 else ()
    for key in conflict:
        shares[key] /= 2
    total = math.fsum(shares.values())
    if total > 1:
        shares = {key: share / total for key, share in shares.items()}
    return SenderEstimate(shares, conflict)


def estimate_receiver(claims: ExchangeClaims | None) -> dict[str, float]:
    """Return the probability by entity key that an output belongs to that exchange; empty without claims."""
    return {} if claims is None else {claims.key: _belief(claims.labels, discount=1.0)}


def net_of_change(outputs: Sequence[Output], change: Sequence[float]) -> tuple[float, ...]:
    """Return the expected value in satoshis of each output net of change.

    Args:
        outputs: of the transaction.
        change: for each output the probability to be change.
    """
    return tuple(
        output.value_sat * (1 - probability) for output, probability in zip(outputs, change, strict=True)
    )


def split_values(
    net_sat: Sequence[float], sender: Mapping[str, float], receivers: Sequence[Mapping[str, float]]
) -> FlowValues:
    """Return the expected value in each direction, rounded so that the five sum to the rounded total.

    Args:
        net_sat: value of each output net of change.
        sender: probability by entity key to be the sender; they sum to at most 1.
        receivers: for each output the probability by entity key that it belongs to that exchange.
    """
    total_sat = math.fsum(net_sat)  # fsum: the answer may not depend on the order of the outputs
    to_exchanges_sat = math.fsum(
        [
            value * min(1.0, math.fsum(claims.values()))
            for value, claims in zip(net_sat, receivers, strict=True)
        ]
    )
    to_others_sat = total_sat - to_exchanges_sat
    from_exchange = math.fsum(sender.values())
    received_sat = sum_received(net_sat, receivers)
    internal_sat = math.fsum([sender.get(key, 0.0) * value for key, value in received_sat.items()])
    parts = (
        (1 - from_exchange) * to_exchanges_sat,
        from_exchange * to_others_sat,
        internal_sat,
        from_exchange * to_exchanges_sat - internal_sat,
        (1 - from_exchange) * to_others_sat,
    )
    return FlowValues(*map(Sats, _apportion(parts)))


def sum_received(net_sat: Sequence[float], receivers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return what each exchange receives by key, also from itself (expected, in satoshis).

    Args:
        net_sat: value of each output net of change.
        receivers: for each output the probability by entity key that it belongs to that exchange.
    """
    amounts: dict[str, list[float]] = {}
    for value, claims in zip(net_sat, receivers, strict=True):
        for key, claim in claims.items():
            amounts.setdefault(key, []).append(value * claim)
    return {key: math.fsum(amounts[key]) for key in sorted(amounts)}


def split_entities(
    total_sat: float, sender: Mapping[str, float], received_sat: Mapping[str, float], names: Mapping[str, str]
) -> tuple[EntityFlow, ...]:
    """Return what each exchange sends to others and receives from others, largest amount first.

    Args:
        total_sat: value of all outputs net of change.
        sender: probability by entity key to be the sender; they sum to at most 1.
        received_sat: by entity key, as of `sum_received`.
        names: of all these entities, by key.
    """
    flows = []
    for key in {**sender, **received_sat}:
        sends, received = sender.get(key, 0.0), received_sat.get(key, 0.0)
        out_sat, in_sat = round(sends * (total_sat - received)), round((1 - sends) * received)
        flows.append(EntityFlow(names[key], Sats(out_sat), Sats(in_sat)))
    return tuple(sorted(flows, key=lambda flow: (-max(flow.out_sat, flow.in_sat), flow.name)))


def _apportion(parts: Sequence[float]) -> list[int]:
    """Return the parts rounded to integers that sum to their rounded sum, by largest remainder.

    What the last bit of a float puts below zero is rounded up to zero.
    """
    whole = [math.floor(part) for part in parts]
    by_remainder = sorted(range(len(parts)), key=lambda index: whole[index] - parts[index])
    for index in by_remainder[: round(math.fsum(parts)) - sum(whole)]:
        whole[index] += 1
    return whole


@dataclass(frozen=True, slots=True)
class _Labels:
    """What the book says about the scripts of one transaction.

    Attributes:
        claims: by script, in the order of the scripts; without disputed ones.
        names: how to write each entity, by its key: as its surest claim does.
        disputes: for each script on which claims contradict each other, the names, sorted.
    """

    claims: Mapping[bytes, ExchangeClaims]
    names: Mapping[str, str]
    disputes: tuple[tuple[str, ...], ...]


def _read_labels(book: LabelBook, scripts: Iterable[bytes]) -> _Labels:
    claims: dict[bytes, ExchangeClaims] = {}
    surest: dict[str, tuple[float, str]] = {}
    disputes: list[tuple[str, ...]] = []
    for script in scripts:
        found = book.lookup(script)
        of_exchanges = [
            label for label in found if label.entity.kind is EntityKind.EXCHANGE and label.confidence > 0
        ]
        if not of_exchanges:
            continue
        if len(found) > 1 and book.is_disputed(script):
            disputes.append(tuple(sorted({label.entity.name for label in found})))
            continue
        key = of_exchanges[0].entity.key
        claims[script] = ExchangeClaims(key, tuple(of_exchanges))
        for label in of_exchanges:
            candidate = (-label.confidence, label.entity.name)
            surest[key] = min(candidate, surest.get(key, candidate))
    return _Labels(claims, {key: name for key, (_, name) in surest.items()}, tuple(disputes))


def _belief(claims: Iterable[Label], *, discount: float) -> float:
    """Return the probability that claims on one entity hold, each source counted once with its best."""
    by_source: dict[str, float] = {}
    for label in claims:
        by_source[label.source] = max(label.confidence, by_source.get(label.source, 0.0))
    return 1 - math.prod(1 - confidence * discount for confidence in sorted(by_source.values()))


def _probabilities(values: FlowValues) -> dict[FlowType, float]:
    """Return the share of each direction; a transaction that moves nothing is unknown."""
    total_sat = values.total_sat
    if total_sat == 0:
        return {FlowType.INFLOW: 0.0, FlowType.OUTFLOW: 0.0, FlowType.INTERNAL: 0.0, FlowType.UNKNOWN: 1.0}
    return {
        FlowType.INFLOW: values.inflow_sat / total_sat,
        FlowType.OUTFLOW: values.outflow_sat / total_sat,
        FlowType.INTERNAL: (values.internal_sat + values.interexchange_sat) / total_sat,
        FlowType.UNKNOWN: values.unknown_sat / total_sat,
    }


def _answer(probabilities: Mapping[FlowType, float], theta: float) -> FlowType:
    likeliest = max(probabilities, key=probabilities.__getitem__)
    return likeliest if probabilities[likeliest] >= theta else FlowType.UNKNOWN


def _subtype(
    flow_type: FlowType, probabilities: Mapping[FlowType, float], values: FlowValues
) -> FlowSubtype | None:
    if flow_type is FlowType.INTERNAL and values.interexchange_sat > values.internal_sat:
        return FlowSubtype.INTEREXCHANGE
    directions = [share for kind, share in probabilities.items() if kind is not FlowType.UNKNOWN]
    is_mixed = sum(share >= _MIXED_SHARE for share in directions) > 1
    return FlowSubtype.MIXED if is_mixed else None


def _assess_without_inputs(tx: Transaction, labels: _Labels, *, known_count: int) -> FlowAssessment:
    values = FlowValues(Sats(0), Sats(0), Sats(0), Sats(0), tx.gross_sat)
    found = f"{known_count} of {len(tx.inputs)}" if known_count else "no"
    return FlowAssessment(
        flow_type=FlowType.UNKNOWN,
        subtype=None,
        probabilities=_probabilities(values),
        values=values,
        moved_sat=tx.gross_sat,
        change=(0.0,) * len(tx.outputs),
        entities=(),
        exchange_scripts=tuple(labels.claims),
        sender=None,
        receiver=None,
        reason=f"inputs unknown: the source sent {found} prevouts",
    )


def _reason(
    probabilities: Mapping[FlowType, float], theta: float, labels: _Labels, sender: SenderEstimate
) -> str:
    """Return why the answer is unknown."""
    reasons = []
    if labels.claims:
        directions = {kind: share for kind, share in probabilities.items() if kind is not FlowType.UNKNOWN}
        best = max(directions, key=directions.__getitem__)
        # Rounded down: 59.7 % did not reach 60 %.
        reasons.append(f"no direction reaches {theta:.0%}: {best} has {math.floor(100 * directions[best])}%")
    elif not labels.disputes:
        reasons.append("no exchange label on either side")
    if labels.disputes:
        reasons.append(f"disputed labels: {_join(labels.disputes)}")
    if sender.conflict:
        names = " and ".join(labels.names[key] for key in sender.conflict)
        reasons.append(f"the inputs are labelled {names}")
    return "; ".join(reasons)


def _join(disputes: Collection[tuple[str, ...]]) -> str:
    """Return who is said to own the disputed scripts, each pair once."""
    return ", ".join(sorted({" or ".join(names) for names in disputes}))
