"""What a transaction shows about scripts that nobody has labelled.

Three rules, and each needs an exchange that is known already:

- **Sweep**: what gathers coins of five scripts or more into a wallet of an exchange spends deposit scripts of
  that exchange.
- **Co-spend**: who spends coins together owns them together. Not in coinjoins, and not where an input was not
  needed, as in payjoins.
- **Own wallet**: customers are paid by hot wallets and pay to deposit scripts. That a script is paid by the
  cold storage or out of the deposit scripts of an exchange, or pays into its hot or cold wallets, is a sign;
  two signs of different payments make it the exchange's.

A claim that was learned carries the source of the claim it follows from and is no surer than that; what
follows from claims that were learned is less sure with each step.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from hydrophone.domain.flow import FlowAssessment, FlowEvidence
from hydrophone.domain.flow_parameters import DEFAULT, FlowParameters
from hydrophone.domain.labels import Role
from hydrophone.domain.learned_labels import KnownLabels, LearnedBy, LearnedLabel, learned_label
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import UnixMicros

_FEW_PAYEES: Final = 3
"""# chosen: a payment, another and change; who pays more at once pays customers."""
_TIES_LIMIT: Final = 20_000
"""Scripts with signs that do not suffice yet. # chosen: 10 MB; the oldest gives way."""
_INNER: Final = frozenset({Role.COLD, Role.DEPOSIT})
"""What customers are never paid from."""


class Tie(IntEnum):
    """A sign that a script belongs to an exchange."""

    PAID_FROM_WITHIN = 1
    """Cold storage or deposit scripts of the exchange pay it."""
    PAYS_STORAGE = 2
    """It pays into cold storage of the exchange."""
    PAYS_WALLET = 3
    """It pays into another wallet of the exchange."""
    PAID = 4
    """The exchange pays it, as it pays customers."""


_WITHIN: Final = frozenset({Tie.PAID_FROM_WITHIN, Tie.PAYS_STORAGE})


class Learner:
    """Looks at one transaction after another.

    Args:
        labels: what is known; what is learned is added to it.
        parameters: the figures of the model.
    """

    def __init__(self, labels: KnownLabels, *, parameters: FlowParameters = DEFAULT) -> None:
        self._labels = labels
        self._parameters = parameters
        self._ties: dict[bytes, dict[str, dict[str, Tie]]] = {}

    def observe(
        self, tx: Transaction, flow: FlowAssessment, at: UnixMicros, *, payment: str = ""
    ) -> tuple[LearnedLabel, ...]:
        """Return what a transaction shows that was not known, and know it from now on.

        Args:
            tx: it.
            flow: what is said about it.
            at: when it was seen.
            payment: names it together with its replacements, which are no second sign; empty: it has none.
        """
        evidence = flow.evidence
        if evidence is None or evidence.sender.conflict:
            return ()
        if evidence.looks.shape is not None and evidence.looks.shape.is_coinjoin:
            return ()
        spent = tuple(dict.fromkeys([i.prevout.script for i in tx.inputs if i.prevout is not None]))
        learned = tuple(self._conclude(_Scene(tx, evidence, at, spent, payment or tx.txid)))
        for label in learned:
            self._labels.add(label)
        return learned

    def _conclude(self, scene: "_Scene") -> Iterator[LearnedLabel]:
        evidence = scene.evidence
        if not evidence.reading.others.isdisjoint(scene.spent):
            return  # somebody else spends, too
        unclaimed = [script for script in scene.spent if not self._labels.lookup(script)]
        if evidence.swept_by is not None:
            for script in unclaimed:
                yield self._label(script, evidence.swept_by, Role.DEPOSIT, LearnedBy.SWEEP, scene)
        elif evidence.sender.known is not None:
            yield from self._learn_from_sender(evidence.sender.known, unclaimed, scene)
        elif not evidence.sender.shares and (payee := scene.wallet_paid()) is not None:
            tie = Tie.PAYS_STORAGE if evidence.roles.receiver is Role.COLD else Tie.PAYS_WALLET
            yield from self._owned(unclaimed, payee, tie, scene)

    def _learn_from_sender(
        self, sender: str, unclaimed: Iterable[bytes], scene: "_Scene"
    ) -> Iterator[LearnedLabel]:
        role = scene.evidence.roles.sender
        if not scene.evidence.looks.has_spare_input:
            for script in unclaimed:
                yield self._label(script, sender, role, LearnedBy.CO_SPEND, scene)
        payees = scene.payees()
        if len(payees) <= _FEW_PAYEES:
            tie = Tie.PAID_FROM_WITHIN if role in _INNER else Tie.PAID
            free = [script for script in payees if not self._labels.lookup(script)]
            yield from self._owned(free, sender, tie, scene)

    def _owned(self, scripts: Iterable[bytes], key: str, tie: Tie, scene: "_Scene") -> Iterator[LearnedLabel]:
        for script in scripts:
            if self._tie(script, key, tie, scene):
                yield self._label(script, key, Role.UNKNOWN, LearnedBy.OWN_WALLET, scene)

    def _tie(self, script: bytes, key: str, tie: Tie, scene: "_Scene") -> bool:
        """Note a sign, one for each payment, and return whether the signs suffice now."""
        ties = self._ties.pop(script, {})
        self._ties[script] = ties  # the newest last
        if len(self._ties) > _TIES_LIMIT:
            del self._ties[next(iter(self._ties))]
        ties.setdefault(key, {}).setdefault(scene.payment, tie)
        return _suffices(list(ties[key].values()))

    def _label(
        self, script: bytes, key: str, role: Role, learned_by: LearnedBy, scene: "_Scene"
    ) -> LearnedLabel:
        claims = scene.evidence.reading.claims.values()
        known = [label for claim in claims if claim.key == key for label in claim.labels]
        published = [label for label in known if not isinstance(label, LearnedLabel)]
        origin = max(published or known, key=lambda label: (label.confidence, label.source))
        faded = self._parameters.learned_confidence * origin.confidence
        confidence = min(self._parameters.learned_confidence, origin.confidence) if published else faded
        return learned_label(
            script,
            origin.entity,
            role,
            source=origin.source,
            confidence=confidence,
            learned_by=learned_by,
            evidence=scene.tx.txid,
            learned_at=scene.at,
        )


class _Scene(NamedTuple):
    """A transaction, what is said about it, when it was seen, the scripts it spends, and its payment."""

    tx: Transaction
    evidence: FlowEvidence
    at: UnixMicros
    spent: tuple[bytes, ...]
    payment: str

    def payees(self) -> list[bytes]:
        """Return the scripts that are paid, those of the inputs apart."""
        scripts = [self.tx.outputs[index].script for index in self.evidence.looks.candidates]
        return [script for script in dict.fromkeys(scripts) if script not in self.spent]

    def wallet_paid(self) -> str | None:
        """Return the key of the one exchange whose hot or cold wallets are paid, no other known script."""
        claims = self.evidence.reading.claims
        keys = {
            claims[script].key if claims[script].is_working_wallet else None
            for script in self.payees()
            if script in claims
        }
        return next(iter(keys)) if len(keys) == 1 else None


def _suffices(ties: list[Tie]) -> bool:
    """Return whether the signs on one script and one exchange, each of another transaction, suffice."""
    within = sum(tie in _WITHIN for tie in ties)
    pays, paid = Tie.PAYS_WALLET in ties, Tie.PAID in ties
    return within > 1 or (within > 0 and (pays or paid)) or (pays and paid)
