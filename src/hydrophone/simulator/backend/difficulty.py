"""The difficulty adjustment ahead, as the backend estimates it."""

from typing import Final

from hydrophone.simulator.backend.js_text import dump, whole
from hydrophone.simulator.node.chain import RETARGET_BLOCKS, Chain

_SPACING_S: Final = 600
_MAX_INCREASE_PERCENT: Final = 300
_MAX_DECREASE_PERCENT: Final = -75
"""Sources: Bitcoin Core, pow.cpp, CalculateNextWorkRequired: at most by 4 either way."""


def difficulty_adjustment(chain: Chain, now: float) -> str:
    """Return the state of the running period as JSON.

    Args:
        chain: the simulated node never adjusts, so the previous change is 0. Where the period began
            before the first block known, that is taken to have come at the intended pace.
        now: seconds.

    **Sources**: mempool.space backend, difficulty-adjustment.ts (calcDifficultyAdjustment).
    """
    done = chain.height % RETARGET_BLOCKS
    started_s = _period_start_s(chain, now)
    elapsed_s = max(0, int(now) - started_s)
    remaining = RETARGET_BLOCKS - done
    average_s = elapsed_s / done if done else _SPACING_S
    average_ms = int(average_s * 1000)
    change = 0.0
    if elapsed_s:
        change = (_SPACING_S / (elapsed_s / (done + 1)) - 1) * 100
    return dump(
        {
            "progressPercent": whole(done / RETARGET_BLOCKS * 100),
            "difficultyChange": whole(min(_MAX_INCREASE_PERCENT, max(_MAX_DECREASE_PERCENT, change))),
            "estimatedRetargetDate": remaining * average_ms + int(now) * 1000,
            "remainingBlocks": remaining,
            "remainingTime": remaining * average_ms,
            "previousRetarget": 0,
            "previousTime": started_s,
            "nextRetargetHeight": chain.height + remaining,
            "timeAvg": average_ms,
            "adjustedTimeAvg": average_ms,
            "timeOffset": 0,
            "expectedBlocks": whole(elapsed_s / _SPACING_S),
        }
    )


def _period_start_s(chain: Chain, now: float) -> int:
    start = chain.height - chain.height % RETARGET_BLOCKS
    block = chain.at(start)
    if block is not None:
        return block.timestamp
    known = chain.last(RETARGET_BLOCKS)
    if not known:
        return int(now) - _SPACING_S * (chain.height - start)
    return known[0].timestamp - _SPACING_S * (known[0].height - start)
