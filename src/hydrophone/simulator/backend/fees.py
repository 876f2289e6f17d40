"""Fee statistics of blocks, and the fees that the backend recommends for them."""

from collections.abc import Sequence
from math import ceil
from typing import Final, NamedTuple

from hydrophone.simulator.backend.js_text import dump, round_half_up, whole

BLOCK_WEIGHT_WU: Final = 4_000_000
"""Sources: BIP 141."""
_MEDIAN_HALF_WIDTH_WU: Final = BLOCK_WEIGHT_WU // 800
"""The median is a mean over so much on both sides.

Sources: mempool.space backend, common.ts (calcEffectiveFeeStatistics)."""
_PERCENTILES: Final = (10, 25, 50, 75, 90)
_EDGE: Final = 50
"""The first and last fiftieth of a block count for the extremes. Sources: as above."""
_PRIORITY_SAT_VB: Final = 0.5
_MIN_FASTEST_SAT_VB: Final = 1
_MIN_HALF_HOUR_SAT_VB: Final = 0.5
"""What is put on top, and floors. Sources: mempool.space backend, fee-api.ts (getPreciseRecommendedFee)."""
_EMPTY_VB: Final = 500_000
_FULL_VB: Final = 950_000
"""A projected block below the first is no competition, above the second it is full. Sources: as above."""


class FeeStatistics(NamedTuple):
    """Fee rates of a block.

    Attributes:
        median_sat_vb: of the block's space; what is unused counts as 0.
        range_sat_vb: lowest, 10th, 25th, 50th, 75th, 90th percentile, highest.
    """

    median_sat_vb: float
    range_sat_vb: tuple[float, ...]


NO_FEES: Final = FeeStatistics(0, (0,) * 7)


def fee_statistics(rates_sat_vb: Sequence[float], weights_wu: Sequence[int]) -> FeeStatistics:
    """Return the statistics of a block.

    Args:
        rates_sat_vb: effective rate of each transaction, in the order of the block.
        weights_wu: of each.
    """
    count = len(rates_sat_vb)
    if not count:
        return NO_FEES
    pairs = sorted(zip(rates_sat_vb, weights_wu, strict=True))
    ordered = [rate for rate, _ in pairs]
    last = rates_sat_vb[-(count // _EDGE) :]  # with less than fifty that is all of them, as in JavaScript
    first = rates_sat_vb[: count // _EDGE]
    percentiles = [ordered[(count - 1) * n // 100] for n in (1, *_PERCENTILES, 99)]
    lowest = min([percentiles[0], *last])
    highest = max([percentiles[-1], *first])
    return FeeStatistics(_median(pairs), (lowest, *percentiles[1:-1], highest))


def _median(pairs: Sequence[tuple[float, int]]) -> float:
    left_wu = BLOCK_WEIGHT_WU // 2 - _MEDIAN_HALF_WIDTH_WU
    right_wu = BLOCK_WEIGHT_WU // 2 + _MEDIAN_HALF_WIDTH_WU
    position_wu = max(0, BLOCK_WEIGHT_WU - sum([weight for _, weight in pairs]))
    fee = 0.0
    counted_wu = max(0, min(position_wu, right_wu) - left_wu)
    for rate, weight_wu in pairs:
        if position_wu >= right_wu:
            break
        within = min(position_wu + weight_wu, right_wu) - max(position_wu, left_wu)
        if within > 0:
            fee += rate * within
            counted_wu += within
        position_wu += weight_wu
    return fee / counted_wu if counted_wu else 0


class ProjectedFees(NamedTuple):
    """What recommending needs of a projected block.

    Attributes:
        vsize: its virtual bytes.
        median_sat_vb: of its space.
    """

    vsize: float
    median_sat_vb: float


def recommended_fees(blocks: Sequence[ProjectedFees], *, min_sat_vb: float, is_precise: bool) -> str:
    """Return the recommended fees as JSON.

    Args:
        blocks: projected, the next one first.
        min_sat_vb: what the node asks at least.
        is_precise: in thousandths, as the websocket and `/fees/precise` have them; else whole.
    """
    step = 0.001 if is_precise else 1
    lowest = _round_up(min_sat_vb, step)
    medians: list[float] = []
    for number in range(3):
        following = blocks[number + 1] if number + 1 < len(blocks) else None
        previous = medians[-1] if medians else None
        if number < len(blocks):
            medians.append(_median_fee(blocks[number], following, previous, lowest=lowest, step=step))
        else:
            medians.append(lowest)
    hour = max(lowest, medians[2])
    economy = max(lowest, min(2 * lowest, medians[2]))
    hour = max(hour, economy)
    half_hour = max(lowest, medians[1], hour)
    fastest = max(lowest, medians[0], half_hour)
    if is_precise:
        fastest = max(fastest + _PRIORITY_SAT_VB, _MIN_FASTEST_SAT_VB)
        half_hour = max(half_hour + _PRIORITY_SAT_VB / 2, _MIN_HALF_HOUR_SAT_VB)
    names = ("fastestFee", "halfHourFee", "hourFee", "economyFee", "minimumFee")
    fees = (fastest, half_hour, hour, economy, lowest)
    return dump({name: whole(round(fee, 3)) for name, fee in zip(names, fees, strict=True)})


def _median_fee(
    block: ProjectedFees,
    following: ProjectedFees | None,
    previous: float | None,
    *,
    lowest: float,
    step: float,
) -> float:
    fee = (block.median_sat_vb + previous) / 2 if previous else block.median_sat_vb
    if block.vsize <= _EMPTY_VB or block.median_sat_vb < lowest:
        return lowest
    if block.vsize <= _FULL_VB and following is None:
        return max(round_half_up(fee * (block.vsize - _EMPTY_VB) / _EMPTY_VB), lowest)
    return _round_up(fee, step)


def _round_up(value: float, step: float) -> float:
    return round(ceil(round(value / step, 6)) * step, 6)
