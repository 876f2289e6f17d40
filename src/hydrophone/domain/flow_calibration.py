"""How often what labels say turned out right, by what it rests on.

Labels know one side of a payment or both. An unlabelled other side may still belong to an exchange: to the
same one (cold storage nobody published) or to another (a deposit script). How often it does not was counted
in simulated worlds for each kind of evidence; what labels say is discounted by it.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Basis(StrEnum):
    """What a direction rests on."""

    PAYS_MANY = "pays_many"
    """Outflow: a labelled wallet pays a batch, or more than two others."""
    PAYS_FEW = "pays_few"
    """Outflow: a labelled wallet pays one or two scripts nobody knows."""
    LEAVES_COLD = "leaves_cold"
    """Outflow: out of cold storage, which pays no customers."""
    LEAVES_DEPOSIT = "leaves_deposit"
    """Outflow: out of a deposit script, whose coins the exchange gathers."""
    PAYS_DEPOSIT = "pays_deposit"
    """Inflow: to a deposit script, as customers pay."""
    PAYS_WALLET_SEVERAL = "pays_wallet_several"
    """Inflow: several scripts nobody knows pay a labelled wallet."""
    PAYS_WALLET_ONE = "pays_wallet_one"
    """Inflow: one script nobody knows pays a labelled wallet."""
    PAYS_WALLET_REUSED = "pays_wallet_reused"
    """Inflow: several coins, all of one script nobody knows, pay a labelled wallet."""
    PAYS_LEARNED = "pays_learned"
    """Inflow: to a wallet that we know by what we learned alone."""
    PAYS_COLD = "pays_cold"
    """Inflow: to cold storage, where customers do not pay in."""
    BOTH_SIDES = "both_sides"
    """Internal: both sides have labels, or it is a sweep."""


class Reliability(NamedTuple):
    """How often answers of one basis were right.

    Attributes:
        right: of them.
        n: answers of that basis.
    """

    right: int
    n: int

    @property
    def share(self) -> float:
        """Expected share of right answers. Sources: Laplace's rule of succession."""
        return (self.right + 1) / (self.n + 2)


RELIABILITY: Final[Mapping[Basis, Reliability]] = {
    Basis.PAYS_MANY: Reliability(7412, 7412),
    Basis.PAYS_FEW: Reliability(17405, 24579),
    Basis.LEAVES_COLD: Reliability(27, 239),
    Basis.LEAVES_DEPOSIT: Reliability(62, 252),
    Basis.PAYS_DEPOSIT: Reliability(7103, 7324),
    Basis.PAYS_WALLET_SEVERAL: Reliability(1386, 1623),
    Basis.PAYS_WALLET_ONE: Reliability(683, 1071),
    Basis.PAYS_WALLET_REUSED: Reliability(0, 65),
    Basis.PAYS_LEARNED: Reliability(297, 965),
    Basis.PAYS_COLD: Reliability(0, 757),
    Basis.BOTH_SIDES: Reliability(39582, 39712),
}
"""Fitted on 25 November 2026 by `python -m evaluation.fit_flow --seeds 10`: 83,999 answers as first
published, in ten simulated worlds of twelve hours, with label books that have 40, 70 and 100 % of the
published wallets and 0, 2 and 5 % of errors. Scores in worlds that were not fitted on: docs/flow.md."""


class Calibrated(NamedTuple):
    """Probabilities of the four answers; they sum to 1."""

    inflow: float
    outflow: float
    internal: float
    unknown: float


def calibrate(said: Calibrated, *, into: Basis, out: Basis, temperature: float) -> Calibrated:
    """Return how likely each answer is right.

    Labels are right more often than the product of their confidences says: the shares are sharpened by a
    temperature below 1. What is then likely to be wrong, by what it rests on, is unknown: the evidence does
    not tell what it is instead.

    Args:
        said: share of the value in each direction, as labels say.
        into: what an inflow would rest on.
        out: what an outflow would rest on.
        temperature: above 0; 1 leaves the shares as they are.
    """
    sharp = [share ** (1 / temperature) for share in said]
    total = math.fsum(sharp)
    inflow = sharp[0] / total * RELIABILITY[into].share
    outflow = sharp[1] / total * RELIABILITY[out].share
    internal = sharp[2] / total * RELIABILITY[Basis.BOTH_SIDES].share
    return Calibrated(inflow, outflow, internal, max(0.0, 1 - math.fsum((inflow, outflow, internal))))
