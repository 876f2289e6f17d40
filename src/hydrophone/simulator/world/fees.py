"""What wallets bid: an estimate from what waits, and the habits that ignore it."""

from math import ceil
from random import Random
from typing import Final

from hydrophone.simulator.node.mempool import MAX_BLOCK_WEIGHT_WU, MIN_RELAY_RATE_SAT_VB
from hydrophone.simulator.node.node import Node
from hydrophone.simulator.world.chance import draw_lognormal, draw_pareto
from hydrophone.simulator.world.habits import Habits

_TARGETS: Final = (1, 1, 2, 3, 6, 144)
"""Blocks that a payer is willing to wait. chosen."""
_SERVICE_TARGETS: Final = (1, 2, 3)
"""Exchanges do not let customers wait. chosen."""
_SERVICE_MARGIN: Final = 1.2
"""chosen: what waits is a complaint, what was paid too much is not."""
_MAX_OVERPAY: Final = 80.0
"""chosen: an absurd bid, but one that is seen."""


class FeeMarket:
    """What a transaction must bid to be mined soon, as wallets see it.

    Args:
        node: whose mempool they look at.
        habits: how they bid.
    """

    def __init__(self, node: Node, habits: Habits) -> None:
        self._node = node
        self._habits = habits
        self._looked_at: float | None = None
        self._by_block: list[float] = []
        self.pressure = 1.0

    def estimate(self, blocks: int, now: float) -> float:
        """Return the rate in sat/vB that is mined within so many blocks if nothing better comes."""
        self._look(now)
        floor = self._node.mempool.min_rate_sat_vb
        needed = self._by_block[blocks - 1] if blocks <= len(self._by_block) else 0.0
        return max(floor, needed)

    def bid(self, now: float, rng: Random) -> float:
        """Return what a person bids, in sat/vB."""
        habits, floor = self._habits, self._node.mempool.min_rate_sat_vb
        habit = rng.random()
        if habit < habits.fixed_fee:
            return max(floor, rng.choice(habits.fixed_rates_sat_vb) * self.pressure)
        if habit < habits.fixed_fee + habits.frugal:
            lowest = max(floor, MIN_RELAY_RATE_SAT_VB)
            return max(lowest, float(lowest * (1.0 / lowest) ** rng.random()))
        rate = self._follow(rng.choice(_TARGETS), now, rng)
        if rng.random() < habits.overpay:
            rate *= draw_pareto(2.0, habits.overpay_tail, _MAX_OVERPAY, rng)
        return rate

    def service_bid(self, now: float, rng: Random) -> float:
        """Return what an exchange bids, in sat/vB."""
        rate = self._follow(rng.choice(_SERVICE_TARGETS), now, rng) * _SERVICE_MARGIN
        return max(rate, self._habits.service_floor_sat_vb)

    def _follow(self, blocks: int, now: float, rng: Random) -> float:
        rate = self.estimate(blocks, now) * draw_lognormal(1.1, self._habits.fee_sigma, rng) * self.pressure
        if rng.random() < self._habits.whole_rate:
            rate = float(ceil(rate))
        return max(rate, self._node.mempool.min_rate_sat_vb)

    def _look(self, now: float) -> None:
        if self._looked_at is not None and now - self._looked_at < self._habits.estimate_interval_s:
            return
        self._looked_at = now
        self._by_block = []
        weight_wu = 0
        last = max(_TARGETS)
        for chunk in self._node.mempool.chunks():
            weight_wu += chunk.weight_wu
            while weight_wu > MAX_BLOCK_WEIGHT_WU * (len(self._by_block) + 1):
                self._by_block.append(chunk.rate_sat_vb)
            if len(self._by_block) >= last:
                break
