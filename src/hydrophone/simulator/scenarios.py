"""Worlds by name: how much happens, and what goes wrong when. All times are virtual seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

WHALES_PER_TRANSACTION: Final = 0.003
"""Large movements by ordinary ones. chosen: at 7 transactions a second about 75 an hour."""


class IncidentKind(StrEnum):
    """What can go wrong."""

    DEMAND = "demand"
    PRESSURE = "pressure"
    REORGANISATION = "reorganisation"
    NODE_DOWN = "node_down"
    RESTART = "restart"
    INDEXING = "indexing"


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that goes wrong, again and again.

    Attributes:
        kind: what.
        first_s: after the beginning.
        every_s: from one to the next.
        length_s: how long it lasts; 0: an instant.
        amounts: factor or depth, each in its turn.
    """

    kind: IncidentKind
    first_s: float
    every_s: float
    length_s: float = 0.0
    amounts: tuple[float, ...] = (1.0,)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A world by name.

    Attributes:
        text: what it is, for people.
        rate_per_s: mean number of ordinary transactions.
        block_interval_s: mean.
        whales_per_hour: mean number above 100 BTC; None: in proportion to the rate.
        prefill: transactions that wait when it begins.
        max_usage_bytes: of the mempool.
        expiry_s: what waits longer is dropped.
        first_whale_s: a whale comes then for certain; None: when chance has it.
        first_block_s: a block comes then for certain; None: when chance has it.
        habits: figures of `Habits` that differ.
        ordinary_mix: shares of ordinary transactions that differ.
        incidents: what goes wrong.
    """

    text: str
    rate_per_s: float = 3.0
    block_interval_s: float = 600.0
    whales_per_hour: float | None = None
    prefill: int = 0
    max_usage_bytes: int = 300_000_000
    expiry_s: float = 14 * 86_400.0
    first_whale_s: float | None = None
    first_block_s: float | None = None
    habits: Mapping[str, float] = field(default_factory=dict)
    ordinary_mix: Mapping[str, float] = field(default_factory=dict)
    incidents: tuple[Incident, ...] = ()


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "calm": Scenario("an ordinary day: blocks have room for all"),
    "congested": Scenario(
        "more than blocks can hold, a full mempool that evicts, and what waits three hours expires",
        rate_per_s=14.0,
        prefill=15_000,
        max_usage_bytes=45_000_000,
        expiry_s=3 * 3_600.0,
    ),
    "fee-spike": Scenario(
        "for a quarter of an hour everybody wants in, and bids eight times as much",
        rate_per_s=7.0,
        incidents=(
            Incident(IncidentKind.DEMAND, 60.0, 3_600.0, 900.0, (6.0,)),
            Incident(IncidentKind.PRESSURE, 60.0, 3_600.0, 900.0, (8.0,)),
        ),
    ),
    "reorg": Scenario(
        "a block a minute, and every three minutes the last one, two or three are replaced",
        block_interval_s=60.0,
        incidents=(Incident(IncidentKind.REORGANISATION, 100.0, 180.0, amounts=(1, 2, 1, 3)),),
    ),
    "outage": Scenario(
        "a block every twenty seconds, and the backend loses its node for one minute, or for ten",
        block_interval_s=20.0,
        incidents=(
            Incident(IncidentKind.NODE_DOWN, 60.0, 1_200.0, 60.0),
            Incident(IncidentKind.NODE_DOWN, 300.0, 1_200.0, 600.0),
        ),
    ),
    "restart": Scenario(
        "the backend's process ends without a word, comes back after five seconds, and indexes for a minute",
        block_interval_s=60.0,
        incidents=(
            Incident(IncidentKind.RESTART, 60.0, 180.0, 5.0),
            Incident(IncidentKind.INDEXING, 90.0, 180.0, 60.0),
        ),
    ),
    "replacement-storm": Scenario(
        "most senders replace what they sent, within seconds, and many do it again",
        block_interval_s=120.0,
        habits={
            "bump": 0.6,
            "bump_again": 0.6,
            "bump_after_s": 8.0,
            "bump_other_payee": 0.15,
            "rescue": 0.1,
            "rescue_after_s": 15.0,
        },
    ),
    "consolidation-season": Scenario(
        "everybody uses the low fees to make one coin of many",
        rate_per_s=5.0,
        habits={"frugal": 0.4, "sweep_at_count": 6},
        ordinary_mix={"consolidation": 40.0, "sweep": 15.0},
    ),
    "flood": Scenario("two thousand transactions a second", rate_per_s=2_000.0),
    "silence": Scenario("blocks, and nothing else", rate_per_s=0.0, whales_per_hour=0.0),
    "soak": Scenario(
        "twenty a second, a block a minute, and every quarter of an hour all that goes wrong, in its turn",
        rate_per_s=20.0,
        block_interval_s=60.0,
        whales_per_hour=2_000.0,
        prefill=3_000,
        max_usage_bytes=12_000_000,
        habits={"bump": 0.3, "bump_again": 0.3, "bump_after_s": 20.0, "rescue_after_s": 30.0},
        incidents=(  # calm for two minutes, congested until what evicts is gone, then one after the other
            Incident(IncidentKind.DEMAND, 120.0, 900.0, 150.0, (5.0,)),
            Incident(IncidentKind.PRESSURE, 120.0, 900.0, 150.0, (8.0,)),
            Incident(IncidentKind.REORGANISATION, 450.0, 900.0, amounts=(1, 2, 1, 3)),
            Incident(IncidentKind.NODE_DOWN, 520.0, 900.0, 60.0),
            Incident(IncidentKind.RESTART, 640.0, 900.0, 5.0),
            Incident(IncidentKind.INDEXING, 660.0, 900.0, 60.0),
        ),
    ),
    "demo": Scenario(
        "a whale every few seconds and two blocks a minute, to look at",
        rate_per_s=4.0,
        block_interval_s=30.0,
        whales_per_hour=700.0,
        prefill=150,
        first_whale_s=1.0,
        first_block_s=20.0,
        habits={"bump": 0.1, "bump_after_s": 15.0, "rescue_after_s": 15.0},
    ),
}
DEFAULT_SCENARIO: Final = "calm"
