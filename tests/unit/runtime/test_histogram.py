from hypothesis import given
from hypothesis import strategies as st

from hydrophone.runtime.histogram import Histogram

BOUNDS_S = (0.001, 0.01, 1.0)


@given(st.lists(st.floats(0, 10)))
def test_each_bucket_holds_all_that_were_no_longer(durations_s: list[float]) -> None:
    histogram = Histogram(BOUNDS_S)
    for duration_s in durations_s:
        histogram.note(duration_s)
    assert histogram.cumulated() == [sum(d <= bound for d in durations_s) for bound in BOUNDS_S]
    assert histogram.count == len(durations_s)
    assert histogram.sum_s == sum(durations_s)


def test_a_clock_that_was_set_back_makes_no_negative_sum() -> None:
    histogram = Histogram(BOUNDS_S)
    histogram.note(-5.0)
    assert (histogram.sum_s, histogram.cumulated()) == (0.0, [1, 1, 1])
