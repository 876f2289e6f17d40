"""Small worlds for tests."""

import json
from dataclasses import replace
from typing import Any

from hydrophone.simulator.world.habits import Habits
from hydrophone.simulator.world.world import World, WorldSettings

START = 1_800_000_000.0
LIVELY = WorldSettings(
    seed=7, rate_per_s=3.0, whales_per_hour=600.0, block_interval_s=60.0, started_at=START, kept_blocks=200
)
RESTLESS = Habits(
    bump=0.4, bump_after_s=10.0, bump_again=0.5, bump_other_payee=0.2, rescue=0.3, rescue_after_s=10.0,
    unconfirmed_spend=0.4, mined_double_spend=0.5, natural_fork=0.1,
)  # fmt: skip
"""A world in which everything that can go wrong does, soon."""

Truth = dict[str, Any]


def live(
    duration_s: float = 600.0,
    habits: Habits | None = None,
    **changes: Any,  # noqa: ANN401 -- any setting
) -> tuple[World, list[Truth]]:
    """Return a world that lived for a while, and the truth of all that happened in it."""
    lines: list[str] = []
    world = World(replace(LIVELY, **changes), habits or Habits(), lines.append)
    world.advance(START + duration_s)
    world.close()
    return world, [json.loads(line) for line in lines]
