import pytest

from hydrophone.domain.units import MICROS_PER_S, UnixMicros
from hydrophone.errors import ConfigError
from hydrophone.pipeline.gaps import GapDesk
from hydrophone.pipeline.ports import BlockCounts, GapPeriod, StoredGap, StoredGaps
from tests.builders import SOURCE, opened
from tests.unit.pipeline.test_connection import Audience, after, time_of

NOW = after(0) + 86_400 * MICROS_PER_S
GAP = StoredGap(SOURCE, "reconnected", after(100), after(160), "why", BlockCounts(2, 1, 7, 3))


class Desk:
    """A desk over gaps that a test chooses."""

    def __init__(self, *gaps: StoredGap, whales: int = 0, unseen: int = 0, is_open: bool = False) -> None:
        self.audience = Audience()
        self.asked: list[GapPeriod] = []
        self.stored = StoredGaps(
            begun_at=after(0),
            gaps=gaps,
            gap_count=len(gaps) + 5,
            blind_s=21_600.0,
            blocks=BlockCounts(144, 140, whales, unseen),
            blocks_of_open_gap=BlockCounts(1, 0, 0, 0) if is_open else None,
        )
        self.desk = GapDesk(
            self.query, monitor=self.audience.monitor, source=SOURCE, clock=lambda: UnixMicros(NOW)
        )

    async def query(self, period: GapPeriod) -> StoredGaps:
        self.asked.append(period)
        return self.stored


async def test_a_gap_is_told_with_what_was_mined_in_it() -> None:
    desk = Desk(GAP)
    await desk.audience.monitor.note(opened(is_simulated=True))
    found = await desk.desk.answer({"days": "2"})
    assert found["gaps"] == [
        {
            "source": SOURCE,
            "reason": "reconnected",
            "started_at": time_of(after(100)),
            "ended_at": time_of(after(160)),
            "duration_s": 60.0,
            "detail": "why",
            "blocks": 2,
            "blocks_read": 1,
            "whales_mined": 7,
            "whales_unseen": 3,
        }
    ]
    assert (found["gap_count"], found["gaps_left_off"]) == (6, 5)
    assert (found["days"], found["from"], found["to"]) == (2.0, time_of(after(0)), time_of(NOW))
    assert (found["blind_s"], found["blind_share"], found["period_s"]) == (21_600.0, 0.25, 86_400.0)
    assert found["open_gap"] is None
    assert found["simulated"] is True
    assert desk.asked == [GapPeriod(UnixMicros(NOW - 2 * 86_400 * MICROS_PER_S), UnixMicros(NOW), None)]


@pytest.mark.parametrize(
    ("whales", "unseen", "rate"),
    [
        (0, 0, {"n": 0, "insufficient_data": True}),
        (49, 49, {"n": 49, "insufficient_data": True}),
        (50, 0, {"n": 50, "value": 0.0}),
        (80, 20, {"n": 80, "value": 0.25}),
    ],
)
async def test_the_share_that_was_not_seen_needs_fifty_whales(
    whales: int, unseen: int, rate: dict[str, object]
) -> None:
    found = await Desk(whales=whales, unseen=unseen).desk.answer({})
    assert found["blind_spot_rate"] == rate
    assert (found["whales_mined"], found["whales_unseen"]) == (whales, unseen)


async def test_of_blocks_that_nobody_read_there_are_no_whales_to_count() -> None:
    found = await Desk(is_open=True).desk.answer({})
    open_gap = found["open_gap"]
    assert isinstance(open_gap, dict)
    assert (open_gap["blocks"], open_gap["whales_mined"], open_gap["whales_unseen"]) == (1, None, None)


async def test_the_gap_that_is_open_says_why_and_has_no_end() -> None:
    desk = Desk(is_open=True)
    await desk.audience.look_each_second(1, 300)
    found = await desk.desk.answer({})
    open_gap = found["open_gap"]
    assert isinstance(open_gap, dict)
    assert (open_gap["source"], open_gap["reason"], open_gap["ended_at"]) == (SOURCE, "degraded", None)
    assert open_gap["started_at"] == time_of(after(0))
    assert open_gap["duration_s"] == 86_400.0
    assert "Unavailable" in open_gap["detail"]
    assert desk.asked[0].open_from == after(0)


async def test_a_summary_has_totals_alone() -> None:
    found = await Desk(GAP).desk.summary()
    assert found["days"] == 90
    assert {"blind_s", "blind_share", "blind_spot_rate", "whales_unseen"} <= found.keys()
    assert not {"gaps", "open_gap"} & found.keys()


async def test_what_is_no_number_of_days_is_refused() -> None:
    with pytest.raises(ConfigError, match="number of days"):
        await Desk().desk.answer({"days": "week"})
