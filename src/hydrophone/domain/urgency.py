"""How urgent a sender is, judged by the fee rate paid."""

import math
from typing import Final

# chosen: the rate that scores about one half; over the years 25 sat/vB was neither cheap nor dear.
_MEDIUM_FEE_RATE_SAT_VB: Final = 25.0
# chosen: a score of 1.0 begins here; few ever paid more for speed alone.
_CAP_FEE_RATE_SAT_VB: Final = 500.0
# chosen: steepness; puts 5 sat/vB at .13 and 100 at .86, clear of the bounds .3 and .8 that they promise.
_STEEPNESS: Final = 1.2


def calculate_urgency_score(fee_rate: float) -> float:
    """Return the urgency in [0, 1] of a fee rate when no fee market is known.

    A Hill curve, scaled to reach 1.0 at 500 sat/vB and capped there: 0 at a rate of 0, below .3 at 5 sat/vB,
    .3 to .7 at 25, above .8 at 100. It never falls as the rate rises.

    Args:
        fee_rate: in sat/vB.

    Raises:
        ValueError: negative or not finite.
    """
    if not (math.isfinite(fee_rate) and fee_rate >= 0):
        raise ValueError(f"expected a fee rate in sat/vB, finite and not negative, found {fee_rate}")
    return _hill(min(fee_rate, _CAP_FEE_RATE_SAT_VB)) / _hill(_CAP_FEE_RATE_SAT_VB)


def _hill(fee_rate: float) -> float:
    powered = math.pow(fee_rate, _STEEPNESS)
    return powered / (powered + math.pow(_MEDIUM_FEE_RATE_SAT_VB, _STEEPNESS))
