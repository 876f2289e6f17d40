"""How a value splits over directions and exchanges: expected amounts in satoshis."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from hydrophone.domain.change import LIKELY, ChangeEstimate
from hydrophone.domain.transaction import Output
from hydrophone.domain.units import Sats

CERTAIN: Final = 0.95
"""Probability from which an amount counts as certain. # chosen: the design's."""
Beliefs = Mapping[str, float]
"""Probability by entity key."""


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

    def with_inside(self, share: float) -> "FlowValues":
        """Return the values when so much of the inflow stays inside the exchange that seems to receive it."""
        inside_sat = round(share * self.inflow_sat)
        return replace(
            self,
            inflow_sat=Sats(self.inflow_sat - inside_sat),
            internal_sat=Sats(self.internal_sat + inside_sat),
        )


class Ledger(NamedTuple):
    """An expected amount, by how sure we are of each part of it.

    Attributes:
        certain_sat: parts with a probability of 95 % or more.
        likely_sat: parts with 50 % or more.
        unknown_sat: the rest.
    """

    certain_sat: Sats
    likely_sat: Sats
    unknown_sat: Sats

    @property
    def total_sat(self) -> Sats:
        """All of it."""
        return Sats(self.certain_sat + self.likely_sat + self.unknown_sat)


@dataclass(frozen=True, slots=True)
class EntityFlow:
    """What one exchange sends to others and receives from others (expected values, change excluded).

    What stays inside it is in neither: summed over exchanges, `out_sat` is outflow and interexchange,
    `in_sat` is inflow and interexchange.
    """

    name: str
    sent: Ledger
    received: Ledger

    @property
    def out_sat(self) -> Sats:
        """What it sends to others."""
        return self.sent.total_sat

    @property
    def in_sat(self) -> Sats:
        """What it receives from others."""
        return self.received.total_sat

    @property
    def net_sat(self) -> int:
        """Positive: coins into the exchange."""
        return self.in_sat - self.out_sat


def net_of_change(outputs: Sequence[Output], change: Sequence[float]) -> tuple[float, ...]:
    """Return the expected value in satoshis of each output net of change.

    Args:
        outputs: of the transaction.
        change: for each output the probability to be change.
    """
    return tuple(
        [output.value_sat * (1 - probability) for output, probability in zip(outputs, change, strict=True)]
    )


def expected_share(outputs: Sequence[Output], claimed: Sequence[float], change: ChangeEstimate) -> float:
    """Return the share of what is paid that goes to exchanges, over all that may be change.

    It is the expectation of a share, and no share of expectations: else the change of a large coin, however
    surely it is change, would outweigh a small payment.

    Args:
        outputs: of the transaction.
        claimed: for each output the probability that it belongs to an exchange.
        change: which outputs are change.
    """
    if not any(claimed):
        return 0.0
    returned = change.returned
    paid = [index for index in range(len(outputs)) if index not in returned] or range(len(outputs))
    parts = [(outputs[index].value_sat, claimed[index], change.probabilities[index]) for index in paid]
    total_sat = sum([value for value, _, _ in parts])
    if not total_sat:
        return 0.0
    received = [value * claim for value, claim, _ in parts]
    received_sat = math.fsum(received)

    def received_without(part_sat: float) -> float:
        """Leave a part out; where it is most of it, without what rounding the sum has cost."""
        if 2 * part_sat <= received_sat:
            return received_sat - part_sat
        return math.fsum([*received, -part_sat])

    uncertain = [part for part in parts if part[2] and part[0] < total_sat]
    without_change = max(0.0, 1 - math.fsum([probability for _, _, probability in uncertain]))
    shares = [
        received_without(value * claim) / (total_sat - value) * probability
        for value, claim, probability in uncertain
    ]
    return min(1.0, max(0.0, math.fsum((*shares, without_change * received_sat / total_sat))))


def split_values(
    net_sat: Sequence[float], sender: Beliefs, receivers: Sequence[Beliefs], *, unnamed: float = 0.0
) -> FlowValues:
    """Return the expected value in each direction, rounded so that the five sum to the rounded total.

    Args:
        net_sat: value of each output net of change.
        sender: probability by entity key to be the sender; they sum to at most 1.
        receivers: for each output the probability by entity key that it belongs to that exchange.
        unnamed: probability that an exchange sends that no label names; with `sender` at most 1.
    """
    total_sat = math.fsum(net_sat)  # fsum: the answer may not depend on the order of the outputs
    claimed = zip(net_sat, receivers, strict=True) if any(receivers) else ()
    to_exchanges_sat = math.fsum(
        [value * min(1.0, math.fsum(claims.values())) for value, claims in claimed if claims]
    )
    to_others_sat = total_sat - to_exchanges_sat
    from_exchange = min(1.0, math.fsum((*sender.values(), unnamed)))  # shares of 1 may sum to a hair more
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
    if not any(receivers):
        return {}
    amounts: dict[str, list[float]] = {}
    for value, claims in zip(net_sat, receivers, strict=True):
        if claims:
            for key, claim in claims.items():
                amounts.setdefault(key, []).append(value * claim)
    return {key: math.fsum(amounts[key]) for key in sorted(amounts)}


def split_entities(
    outputs: Sequence[Output],
    change: Sequence[float],
    sender: Beliefs,
    receivers: Sequence[Beliefs],
    *,
    names: Mapping[str, str],
    stays: float,
) -> tuple[EntityFlow, ...]:
    """Return what each exchange sends to others and receives from others, largest amount first.

    Args:
        outputs: of the transaction.
        change: for each output the probability to be change.
        sender: probability by entity key to be the sender; they sum to at most 1.
        receivers: for each output the probability by entity key that it belongs to that exchange.
        names: of all these entities, by key.
        stays: share of what an exchange seems to receive that was its own before.
    """
    claimed = [index for index, claims in enumerate(receivers) if claims]
    flows = []
    for key in {**sender, **{key: 0.0 for index in claimed for key in receivers[index]}}:
        sends = sender.get(key, 0.0)
        received = [
            (outputs[i].value_sat, receivers[i].get(key, 0.0) * (1 - sends) * (1 - change[i]) * (1 - stays))
            for i in claimed
        ]
        sent = [
            (output.value_sat, sends * (1 - claims.get(key, 0.0)) * (1 - is_change))
            for output, is_change, claims in zip(outputs if sends else (), change, receivers, strict=False)
        ]
        flows.append(EntityFlow(names[key], _ledger(sent), _ledger(received)))
    return tuple(sorted(flows, key=lambda flow: (-max(flow.out_sat, flow.in_sat), flow.name)))


def _ledger(parts: Sequence[tuple[int, float]]) -> Ledger:
    """Return the expected amount of parts, each a value in satoshis and its probability."""
    amounts: tuple[list[float], list[float], list[float]] = ([], [], [])
    for value_sat, probability in parts:
        amounts[0 if probability >= CERTAIN else 1 if probability >= LIKELY else 2].append(
            value_sat * probability
        )
    return Ledger(*map(Sats, _apportion([math.fsum(part) for part in amounts])))


def _apportion(parts: Sequence[float]) -> list[int]:
    """Return the parts rounded to integers that sum to their rounded sum, by largest remainder.

    What the last bit of a float puts below zero is rounded up to zero.
    """
    whole = [math.floor(part) for part in parts]
    by_remainder = sorted(range(len(parts)), key=lambda index: whole[index] - parts[index])
    for index in by_remainder[: round(math.fsum(parts)) - sum(whole)]:
        whole[index] += 1
    return whole
