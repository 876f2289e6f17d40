"""What goes wrong in one run of chaos: how often each kind of fault comes, drawn by the seed."""

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from hydrophone.simulator.backend.backend import Style
from hydrophone.simulator.scenarios import SCENARIOS, Incident, IncidentKind, Scenario

MIXED: Final = "mixed"
"""Everything at once, in shares that the seed draws."""
NAMES: Final = ("reorg", "outage", "restart", "replacement-storm", "silence", MIXED)
NEVER_S: Final = 1e12
_WHALES_PER_HOUR: Final = 90.0
_RATE_PER_S: Final = 0.25
"""chosen: what is ordinary is there, and costs little: whales are what is judged."""
_LONGEST_CUT_BLOCKS: Final = 24
"""chosen: more than the sixteen after which a backend skips blocks, fewer than a simulated chain keeps."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How often what goes wrong. Means in virtual seconds; shares in [0, 1].

    Attributes:
        scenario: of the world, and what goes wrong in the backend.
        style: of the backend.
        cut_every_s: the connection is lost.
        cut_s: mean length of such an outage; it is exponential, capped at `longest_cut_s`.
        longest_cut_s: see there.
        hang_share: of the outages in which nothing closes: nothing comes any more.
        stall_every_s: frames are held up and then come together.
        kill_every_s: the service is killed.
        down_s: mean time until it is started again.
        lost_share: of questions that vanish.
        refused_share: that are answered 500, 502 or 503, or not at all.
        garbage_share: that are answered with 200 and nonsense.
        lag_share: of transactions that the index does not know, or knows differently, for some seconds.
        spell_every_s: for a minute or so no question is answered.
        broken_share: of frames with something malformed in them.
        dropped_share: of frames that never come.
        doubled_share: of frames that come twice.
        other_share: of connections to another backend of the same node, which polls it seldom and never
            restarts.
        clock_share: of restarts after which the clock of the machine is an hour off, either way.
    """

    scenario: Scenario
    style: Style
    cut_every_s: float = NEVER_S
    cut_s: float = 60.0
    longest_cut_s: float = 600.0
    hang_share: float = 0.0
    stall_every_s: float = NEVER_S
    kill_every_s: float = NEVER_S
    down_s: float = 5.0
    lost_share: float = 0.01
    refused_share: float = 0.03
    garbage_share: float = 0.01
    lag_share: float = 0.0
    spell_every_s: float = NEVER_S
    broken_share: float = 0.0
    dropped_share: float = 0.0
    doubled_share: float = 0.0
    other_share: float = 0.0
    clock_share: float = 0.0


def draw_weather(name: str, seed: int, *, kills: bool = True) -> Weather:
    """Return the weather of a run.

    Args:
        name: one of `NAMES`.
        seed: decides the rest.
        kills: whether the service is killed now and then.
    """
    rng = Random(f"weather {name} {seed}")
    style = Style.ESPLORA if seed % 2 else Style.NONE
    if name != MIXED:
        weather = Weather(
            _smaller(SCENARIOS[name]),
            style,
            cut_every_s=1_500.0,
            longest_cut_s=_LONGEST_CUT_BLOCKS * SCENARIOS[name].block_interval_s,
            kill_every_s=900.0,
        )
        return weather if kills else replace(weather, kill_every_s=NEVER_S)
    block_interval_s = rng.choice((30.0, 60.0, 120.0))
    weather = Weather(
        scenario=_mixed_scenario(rng, block_interval_s),
        style=style,
        cut_every_s=rng.choice((NEVER_S, 300.0, 900.0)),
        cut_s=rng.choice((5.0, 60.0, 20 * block_interval_s)),
        longest_cut_s=_LONGEST_CUT_BLOCKS * block_interval_s,
        hang_share=rng.choice((0.0, 0.5)),
        stall_every_s=rng.choice((NEVER_S, 200.0)),
        kill_every_s=rng.choice((NEVER_S, 120.0, 600.0)),
        down_s=rng.choice((1.0, 20.0, 8 * block_interval_s)),
        lost_share=rng.choice((0.0, 0.02, 0.2)),
        refused_share=rng.choice((0.0, 0.1, 0.4)),
        garbage_share=rng.choice((0.0, 0.05)),
        lag_share=rng.choice((0.0, 0.3)),
        spell_every_s=rng.choice((NEVER_S, 600.0)),
        broken_share=rng.choice((0.0, 0.01)),
        dropped_share=rng.choice((0.0, 0.01)),
        doubled_share=rng.choice((0.0, 0.01)),
        clock_share=rng.choice((0.0, 0.2)),
        other_share=rng.choice((0.0, 0.0, 0.5)),
    )
    return weather if kills else replace(weather, kill_every_s=NEVER_S)


def _smaller(scenario: Scenario) -> Scenario:
    """Return a scenario with its own habits and incidents, and mostly whales in it."""
    if scenario.rate_per_s == 0:
        return scenario
    return replace(
        scenario,
        rate_per_s=_RATE_PER_S,
        whales_per_hour=_WHALES_PER_HOUR,
        habits={"unannounced": 0.05, "mined_double_spend": 0.03, **scenario.habits},
    )


def _mixed_scenario(rng: Random, block_interval_s: float) -> Scenario:
    incidents: list[Incident] = []
    if rng.random() < 0.6:
        amounts = tuple(rng.choice((1.0, 1.0, 2.0, 3.0)) for _ in range(5))
        incidents.append(
            Incident(IncidentKind.REORGANISATION, rng.uniform(60, 400), rng.uniform(150, 700), 0.0, amounts)
        )
    if rng.random() < 0.5:
        length_s = rng.choice((10.0, 60.0, 20 * block_interval_s))
        every_s = length_s + rng.uniform(200, 900)
        incidents.append(Incident(IncidentKind.NODE_DOWN, rng.uniform(60, 600), every_s, length_s))
    if rng.random() < 0.5:
        every_s = rng.uniform(200, 900)
        incidents.append(Incident(IncidentKind.RESTART, rng.uniform(60, 600), every_s, rng.uniform(2, 60)))
    if rng.random() < 0.3:
        incidents.append(Incident(IncidentKind.INDEXING, rng.uniform(60, 600), 600.0, 60.0))
    storm = (
        SCENARIOS["replacement-storm"].habits if rng.random() < 0.4 else {"bump": 0.15, "bump_after_s": 60}
    )
    habits = {"unannounced": 0.1, "mined_double_spend": 0.05, "empty_block": 0.03, **storm}
    return replace(
        SCENARIOS["calm"],
        text="everything at once",
        rate_per_s=_RATE_PER_S,
        whales_per_hour=_WHALES_PER_HOUR,
        block_interval_s=block_interval_s,
        max_usage_bytes=rng.choice((300_000_000, 60_000)),  # the smaller one evicts
        expiry_s=rng.choice((14 * 86_400.0, 1_200.0)),
        habits=habits,
        incidents=tuple(incidents),
    )
