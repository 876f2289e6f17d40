from fractions import Fraction
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.units import UnixMicros
from hydrophone.pipeline.latency import KEPT, LatencyGauge


def measured(*taken: int) -> LatencyGauge:
    gauge = LatencyGauge(["a"])
    for micros in taken:
        gauge.note("a", UnixMicros(0), UnixMicros(micros))
    return gauge


def test_a_source_is_there_before_it_said_anything() -> None:
    assert measured().report() == {"a": {"n": 0, "insufficient_data": True}}


def test_few_signals_carry_no_percentile() -> None:
    assert measured(*[5_000] * 49).report() == {"a": {"n": 49, "insufficient_data": True}}
    assert measured(*[5_000] * 50).report() == {"a": {"n": 50, "p50": 5.0, "p99": 5.0}}


def test_only_the_newest_count() -> None:
    gauge = measured(*[9_000_000] * 100, *[1_000] * KEPT)
    assert gauge.report()["a"] == {"n": KEPT, "p50": 1.0, "p99": 1.0}


def test_each_source_has_its_own_and_a_clock_set_back_is_no_time_saved() -> None:
    gauge = measured(*[1_000] * 50)
    for _ in range(50):
        gauge.note("b", UnixMicros(10), UnixMicros(0))
    assert gauge.report() == {"a": {"n": 50, "p50": 1.0, "p99": 1.0}, "b": {"n": 50, "p50": 0.0, "p99": 0.0}}


@given(st.lists(st.integers(0, 10**9), min_size=50, max_size=300))
def test_percentiles_are_the_least_time_within_which_so_many_were_out(taken: list[int]) -> None:
    report = measured(*taken).report()["a"]
    for name, share in (("p50", Fraction(1, 2)), ("p99", Fraction(99, 100))):
        wanted = ceil(len(taken) * share)
        least = min(micros for micros in taken if sum(other <= micros for other in taken) >= wanted)
        assert report[name] == round(least / 1_000, 1)
