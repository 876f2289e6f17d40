from dataclasses import replace
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.events import RaiseSignal
from hydrophone.domain.signal import Sighting
from hydrophone.domain.units import UnixMicros
from hydrophone.pipeline.timings import KEPT, Timings, Way
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
    effect = RaiseSignal(T0, replace(QUICK, sighting=sighting))
    timings.note_stored(effect, later(10))
    timings.note_published(effect, later(10))
    assert (timings.stored, timings.published, timings.newest_published_ms()) == ({}, {}, {})


# Of the newest.


def measured(*taken: int) -> Timings:
    timings = Timings(["a"])
    for micros in taken:
        publish(timings, "a", micros)
    return timings


def publish(timings: Timings, source: str, micros: int) -> None:
    effect = RaiseSignal(T0, replace(QUICK, source=source))
    timings.note_published(effect, UnixMicros(T0 + micros))


def test_a_source_is_there_before_it_said_anything() -> None:
    assert measured().newest_published_ms() == {"a": {"n": 0, "insufficient_data": True}}


def test_few_signals_carry_no_percentile() -> None:
    assert measured(*[5_000] * 49).newest_published_ms() == {"a": {"n": 49, "insufficient_data": True}}
    assert measured(*[5_000] * 50).newest_published_ms() == {"a": {"n": 50, "p50": 5.0, "p99": 5.0}}


def test_only_the_newest_count() -> None:
    timings = measured(*[9_000_000] * 100, *[1_000] * KEPT)
    assert timings.newest_published_ms()["a"] == {"n": KEPT, "p50": 1.0, "p99": 1.0}


def test_each_source_has_its_own_and_a_clock_set_back_is_no_time_saved() -> None:
    timings = measured(*[1_000] * 50)
    for _ in range(50):
        publish(timings, "b", -10)
    assert timings.newest_published_ms() == {
        "a": {"n": 50, "p50": 1.0, "p99": 1.0},
        "b": {"n": 50, "p50": 0.0, "p99": 0.0},
    }


@given(st.lists(st.integers(0, 10**9), min_size=50, max_size=300))
def test_percentiles_are_the_least_time_within_which_so_many_were_out(taken: list[int]) -> None:
    report = measured(*taken).newest_published_ms()["a"]
    for name, share in (("p50", Fraction(1, 2)), ("p99", Fraction(99, 100))):
        wanted = ceil(len(taken) * share)
        least = min(micros for micros in taken if sum(other <= micros for other in taken) >= wanted)
        assert report[name] == round(least / 1_000, 1)
