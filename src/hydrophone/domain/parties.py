"""Who sends and who receives, as far as labels and looks say."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from hydrophone.domain.change import LIKELY
from hydrophone.domain.flow_parameters import DEFAULT, FlowParameters
from hydrophone.domain.labels import OVERLAYS, EntityKind, Label, Role
from hydrophone.domain.learned_labels import LearnedLabel
from hydrophone.domain.shapes import Looks, Shape


class Labels(Protocol):
    """Where claims are looked up: a label book, alone or with what we learned ourselves."""

    def claimed(self, scripts: Collection[bytes]) -> Collection[bytes]:
        """Return those scripts on which there may be claims."""
        ...

    def lookup(self, script: bytes) -> tuple[Label, ...]:
        """Return the claims on a script; empty when there are none."""
        ...

    def is_disputed(self, script: bytes) -> bool:
        """Whether the claims on a script contradict each other."""
        ...


class ExchangeClaims(NamedTuple):
    """What is said about one script, where all claims name one exchange.

    Attributes:
        key: of the exchange.
        labels: the claims, at least one.
    """

    key: str
    labels: tuple[Label, ...]

    @property
    def role(self) -> Role:
        """What for, by the surest claim that says it."""
        stated = [label for label in self.labels if label.role is not Role.UNKNOWN]
        return max(stated, key=lambda label: (label.confidence, label.role)).role if stated else Role.UNKNOWN

    @property
    def belief(self) -> float:
        """Probability that the script is the exchange's."""
        return _belief(self.labels, discount=1.0)

    @property
    def is_likely_wallet(self) -> bool:
        """Whether it is more likely than not the exchange's, and no deposit script."""
        return self.role is not Role.DEPOSIT and self.belief > LIKELY

    @property
    def is_working_wallet(self) -> bool:
        """Whether it is likely a wallet of the exchange, by a claim that says hot or cold."""
        return self.role in (Role.HOT, Role.COLD) and self.belief > LIKELY

    @property
    def is_learned(self) -> bool:
        """Whether nobody published it."""
        return all(isinstance(label, LearnedLabel) for label in self.labels)


class Roles(NamedTuple):
    """What the labelled scripts on either side are used for; unknown where the labels of a side differ."""

    sender: Role
    receiver: Role


@dataclass(frozen=True, slots=True)
class LabelReading:
    """What is said about the scripts of one transaction.

    Attributes:
        claims: by script, in the order of the scripts; without disputed ones.
        names: how to write each exchange, by its key: as its surest claim does.
        disputes: for each script on which claims contradict each other, the names, sorted.
        others: scripts with an undisputed label of somebody who is no exchange.
    """

    claims: Mapping[bytes, ExchangeClaims]
    names: Mapping[str, str]
    disputes: tuple[tuple[str, ...], ...]
    others: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class SenderEstimate:
    """Who sends.

    Attributes:
        shares: probability by entity key that this exchange sends; they sum to at most 1.
        conflict: keys of the exchanges that cannot all be the sender as their labels say; empty when none.
        same_owner: probability that all inputs have one owner, by which each claim was discounted.
        unnamed: probability that an exchange sends that no label names.
    """

    shares: Mapping[str, float]
    conflict: tuple[str, ...]
    same_owner: float
    unnamed: float

    @property
    def known(self) -> str | None:
        """Key of the exchange that is more likely the sender than not."""
        return next((key for key, share in self.shares.items() if share > LIKELY), None)


class Sign(NamedTuple):
    """What speaks for or against an exchange as sender, and by how much.

    Attributes:
        name: of the sign.
        weight: natural log-odds.
    """

    name: str
    weight: float


def read_labels(book: Labels, scripts: Collection[bytes]) -> LabelReading:
    """Return what is said about scripts.

    Args:
        book: only its labels of exchanges give direction, and none where they contradict each other.
        scripts: each once.
    """
    claims: dict[bytes, ExchangeClaims] = {}
    surest: dict[str, tuple[float, str]] = {}
    disputes: list[tuple[str, ...]] = []
    others: set[bytes] = set()
    claimed = book.claimed(scripts)
    for script in [script for script in scripts if script in claimed] if claimed else ():
        found = book.lookup(script)
        if not found:
            continue
        believed = [label for label in found if label.confidence > 0]
        of_exchanges = [label for label in believed if label.entity.kind is EntityKind.EXCHANGE]
        if not of_exchanges:
            if any(label.entity.kind not in OVERLAYS for label in believed):
                others.add(script)
            continue
        if len(found) > 1 and book.is_disputed(script):
            disputes.append(tuple(sorted({label.entity.name for label in found})))
            continue
        key = of_exchanges[0].entity.key
        claims[script] = ExchangeClaims(key, tuple(of_exchanges))
        for label in of_exchanges:
            candidate = (-label.confidence, label.entity.name)
            surest[key] = min(candidate, surest.get(key, candidate))
    names = {key: name for key, (_, name) in surest.items()}
    return LabelReading(claims, names, tuple(disputes), frozenset(others))


def find_roles(reading: LabelReading, spent: Collection[bytes], paid: Iterable[bytes]) -> Roles:
    """Return what the labelled scripts are used for.

    Args:
        reading: what labels say.
        spent: scripts of the inputs.
        paid: scripts of the outputs; those of the inputs among them do not count.
    """
    claims = reading.claims
    sends = {claims[script].role for script in spent if script in claims}
    receives = {claims[script].role for script in paid if script in claims and script not in spent}
    return Roles(_common(sends), _common(receives))


def _common(roles: set[Role]) -> Role:
    return next(iter(roles)) if len(roles) == 1 else Role.UNKNOWN


def estimate_sender(
    claims: Iterable[ExchangeClaims], *, same_owner: float, unnamed: float = 0.0
) -> SenderEstimate:
    """Return the probability of each exchange to be the sender, by the labels of the inputs.

    Two exchanges that are each likely contradict each other: both are halved. What then exceeds certainty in
    sum is scaled down to it.

    Args:
        claims: on the scripts of the inputs, each script once.
        same_owner: probability that all inputs have one owner; each claim is discounted by it.
        unnamed: probability that an exchange sends that no label names; only where no input has a label.
    """
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
    return SenderEstimate(shares, conflict, same_owner, unnamed)


NOBODY: Final[Mapping[str, float]] = {}
"""Whose an output is that nobody claims. One for all: most of hundreds of outputs have no label."""


def estimate_receiver(claims: ExchangeClaims) -> Mapping[str, float]:
    """Return the probability by entity key that an output belongs to that exchange."""
    return {claims.key: claims.belief}


def same_owner_of(
    looks: Looks, *, input_count: int, is_agreed: bool, parameters: FlowParameters = DEFAULT
) -> float:
    """Return the probability that all inputs have one owner: 1 for one input, 0 for a coinjoin.

    Args:
        looks: of the transaction.
        input_count: number of its inputs.
        is_agreed: every input is claimed by the same exchange, or pays out of the same script: then an input
            more than was needed is no sign of a second owner.
        parameters: the figures of the model.
    """
    if input_count == 1:
        return 1.0
    if looks.shape is not None and looks.shape.is_coinjoin:
        return 0.0
    is_payjoin = looks.has_spare_input and not is_agreed
    return parameters.same_owner_payjoin if is_payjoin else parameters.same_owner


def structural_signs(looks: Looks, *, parameters: FlowParameters = DEFAULT) -> tuple[Sign, ...]:
    """Return what in the looks of a transaction speaks for or against an exchange as its sender.

    A sender whose script was reused ten times, and inputs older than a year, would speak, too; they need an
    index of all addresses, which we have not.
    """
    shape = looks.shape
    signs = (
        (shape is Shape.BATCH, "batch", parameters.structural_batch),
        (
            shape is Shape.BATCH and len(looks.candidates) >= parameters.many_outputs,
            "many_outputs",
            parameters.structural_many_outputs,
        ),
        (shape is Shape.CONSOLIDATION, "consolidation", parameters.structural_consolidation),
        (looks.has_round_total, "round_total", parameters.structural_round_total),
        (shape is not None and shape.is_coinjoin, "coinjoin", parameters.structural_coinjoin),
    )
    return tuple(Sign(name, weight) for is_there, name, weight in signs if is_there)


def unnamed_share(signs: Iterable[Sign], *, parameters: FlowParameters = DEFAULT) -> float:
    """Return the probability that an exchange sends that no label names.

    Without a sign that speaks for it there is none: how common exchanges are is no evidence about this one.
    Looks alone never make more of it than `parameters.unnamed_cap`, and so never an answer.
    """
    weights = [sign.weight for sign in signs]
    if not any(weight > 0 for weight in weights):
        return 0.0
    log_odds = parameters.structural_bias + math.fsum(weights)
    return min(parameters.unnamed_cap, 1 / (1 + math.exp(-log_odds)))


def _belief(claims: Sequence[Label], *, discount: float) -> float:
    """Return the probability that claims on one entity hold, each origin counted once with its best."""
    if len(claims) == 1:
        return claims[0].confidence * discount
    return 1.0 - math.prod([1 - confidence * discount for confidence in sorted(_best_by_origin(claims))])


def _best_by_origin(claims: Iterable[Label]) -> list[float]:
    """Return the highest confidence of each origin: claims of one source, or read at one URL, have one."""
    best_by_name: dict[tuple[str, str], float] = {}
    for label in claims:  # hundreds of inputs mostly have the claims of one list
        name = label.source, label.source_url
        best_by_name[name] = max(label.confidence, best_by_name.get(name, 0.0))
    origins: list[tuple[set[str], float]] = []
    for name, confidence in best_by_name.items():
        names, best = set(name) - {""}, confidence
        others = []
        for known, of_known in origins:
            if known.isdisjoint(names):
                others.append((known, of_known))
            else:
                names, best = names | known, max(best, of_known)
        origins = [*others, (names, best)]
    return [best for _, best in origins]
