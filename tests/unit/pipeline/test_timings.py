from dataclasses import replace

import pytest

from hydrophone.domain.events import RaiseSignal
from hydrophone.domain.signal import Sighting
from hydrophone.pipeline.timings import Timings, Way
from tests.contract.fake_store import T0, later, whale

QUICK = replace(whale(), seen_at=T0)


def test_a_signal_is_timed_from_the_frame_that_announced_it() -> None:
    timings = Timings()
    timings.note_stored(RaiseSignal(T0, QUICK), later(0.004))
    timings.note_published(RaiseSignal(T0, QUICK), later(0.006))
    way = Way(QUICK.source, looked_up=False)
    assert (timings.stored[way].sum_s, timings.published[way].sum_s) == (0.004, 0.006)


def test_what_waited_for_prevouts_is_counted_apart() -> None:
    timings = Timings()
    timings.note_stored(RaiseSignal(later(1), QUICK), later(1.002))
    assert list(timings.stored) == [Way(QUICK.source, looked_up=True)]


@pytest.mark.parametrize("sighting", [Sighting.LATE, Sighting.MINED])
def test_what_was_not_heard_when_it_came_says_nothing_of_speed(sighting: Sighting) -> None:
    timings = Timings()
    timings.note_stored(RaiseSignal(T0, replace(QUICK, sighting=sighting)), later(10))
    assert timings.stored == {}
