"""How urgent a sender is, judged by the fee rate paid: against the fee market where it is known."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hydrophone.domain.confirmation import closed_form_next_block
from hydrophone.domain.feemarket import FeeMarket

# chosen: the rate that scores about one half; over the years 25 sat/vB was neither cheap nor dear.
_MEDIUM_FEE_RATE_SAT_VB: Final = 25.0
# chosen: a score of 1.0 begins here; few ever paid more for speed alone.
_CAP_FEE_RATE_SAT_VB: Final = 500.0
# chosen: steepness; puts 5 sat/vB at .13 and 100 at .86, clear of the bounds .3 and .8 that they promise.
_STEEPNESS: Final = 1.2


_BUMP_SHARE: Final = 0.1
_MAX_BUMPS: Final = 2
"""Each of the first two fee bumps takes a tenth of what is missing to 1. # chosen: who bumps wants it sooner;
who bumps often may only have begun low."""


class UrgencyBasis(StrEnum):
    """What an urgency score was computed from."""

    FALLBACK_CURVE = "fallback_curve"
    FEE_MARKET = "fee_market"


@dataclass(frozen=True, slots=True)
class Urgency:
    """How urgent a sender is.

    Attributes:
        score: in [0, 1].
        basis: what it was computed from.
        reason: for people.
        overpay: the rate by the least that is in the next template; None when that is not known.
    """

    score: float
    basis: UrgencyBasis
    reason: str
    overpay: float | None = None


def calculate_urgency_score(fee_rate: float, market: FeeMarket | None = None) -> float:
    """Return the urgency in [0, 1] of a fee rate. It never falls as the rate rises.

    With a market it is how much of what is mined pays less, and how likely the next block is (see
    `score_urgency`). Without one it is a Hill curve, scaled to reach 1.0 at 500 sat/vB and capped there:
    0 at a rate of 0, below .3 at 5 sat/vB, .3 to .7 at 25, above .8 at 100.

    Args:
        fee_rate: in sat/vB.
        market: what it competes in; None: not known.

    Raises:
        ValueError: negative or not finite.
    """
    if not (math.isfinite(fee_rate) and fee_rate >= 0):
        raise ValueError(f"expected a fee rate in sat/vB, finite and not negative, found {fee_rate}")
    if market is None or not market.has_mined:
        return _hill(min(fee_rate, _CAP_FEE_RATE_SAT_VB)) / _hill(_CAP_FEE_RATE_SAT_VB)
    inflow_wu_s, _ = market.inflow_above_wu_s(fee_rate)
    p_next_block = closed_form_next_block(market, market.ahead_wu(fee_rate), inflow_wu_s, 0.0)
    return score_urgency(fee_rate, market, p_next_block).score


def score_urgency(rate_sat_vb: float, market: FeeMarket, p_next_block: float, bumps: int = 0) -> Urgency:
    """Return the urgency of a rate in a market that has seen a block.

    Half of it is the share of the last blocks' and the next template's weight that pays at most as much, half
    the probability of the next block.

    Args:
        rate_sat_vb: effective rate.
        market: what it competes in.
        p_next_block: P(N <= 1).
        bumps: how often its fee was raised: replacements and children that pay for it.
    """
    share = market.share_paying_less(rate_sat_vb)
    score = 0.5 * share + 0.5 * p_next_block
    score += _BUMP_SHARE * min(bumps, _MAX_BUMPS) * (1 - score)
    marginal = market.marginal_rate_sat_vb
    reason = f"pays more than {share:.0%} of what is mined, {p_next_block:.0%} likely in the next block"
    if bumps:
        reason += f", fee raised {bumps} time{'s' if bumps > 1 else ''}"
    return Urgency(
        score=min(1.0, max(0.0, score)),
        basis=UrgencyBasis.FEE_MARKET,
        reason=reason,
        overpay=None if marginal is None else rate_sat_vb / marginal,
    )


def fallback_urgency(rate_sat_vb: float, bumps: int = 0) -> Urgency:
    """Return the urgency of a rate while no market is known.

    Args:
        rate_sat_vb: effective rate.
        bumps: as in `score_urgency`.
    """
    score = calculate_urgency_score(rate_sat_vb)
    score += _BUMP_SHARE * min(bumps, _MAX_BUMPS) * (1 - score)
    return Urgency(score, UrgencyBasis.FALLBACK_CURVE, "no fee market is known: judged by the rate alone")


def _hill(fee_rate: float) -> float:
    powered = math.pow(fee_rate, _STEEPNESS)
    return powered / (powered + math.pow(_MEDIUM_FEE_RATE_SAT_VB, _STEEPNESS))
