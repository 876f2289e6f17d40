from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.accuracy import LEAST_CONFIRMED, AccuracyAlert, Turn, WindowCounts
from hydrophone.domain.units import MICROS_PER_S, UnixMicros

HOUR = 3_600 * MICROS_PER_S
COOLDOWN_S = 6 * 3_600.0


def window(percent: int, known: int = 100) -> WindowCounts:
    return WindowCounts(known, percent * known // 100)


def told(*windows: tuple[float, WindowCounts], threshold: int = 70) -> list[Turn | None]:
    """Return what is told of windows, each at so many hours."""
    alert = AccuracyAlert(threshold, COOLDOWN_S)
    return [alert.step(UnixMicros(int(hours * HOUR)), counts) for hours, counts in windows]


def test_a_fall_is_told_once_and_the_recovery_only_well_above_the_threshold() -> None:
    assert told(
        (0, window(90)), (1, window(70)), (2, window(69)), (3, window(60)), (4, window(74)), (5, window(75))
    ) == [None, None, Turn.LOW, None, None, Turn.RECOVERED]


def test_too_few_say_nothing_whatever_they_are() -> None:
    few = WindowCounts(LEAST_CONFIRMED - 1, 0)
    assert told((0, few), (1, WindowCounts(LEAST_CONFIRMED, 0)), (2, few)) == [None, Turn.LOW, None]
    assert few.share is None
    assert WindowCounts(0, 0).share is None


def test_the_next_fall_waits_for_the_cooldown_and_is_told_if_it_lasts() -> None:
    low, well = window(50), window(95)
    assert told((0, low), (1, well), (2, low), (5.9, low), (6, low), (6.1, well)) == [
        Turn.LOW, Turn.RECOVERED, None, None, Turn.LOW, Turn.RECOVERED,
    ]  # fmt: skip


def test_a_fall_that_was_not_told_has_no_recovery() -> None:
    low, well = window(50), window(95)
    assert told((0, low), (1, well), (2, low), (3, well)) == [Turn.LOW, Turn.RECOVERED, None, None]


def test_a_threshold_of_nothing_never_alerts_and_one_of_all_can_recover() -> None:
    assert told((0, window(0)), threshold=0) == [None]
    assert told((0, window(99)), (1, window(100)), threshold=100) == [Turn.LOW, Turn.RECOVERED]


WINDOWS = st.lists(
    st.tuples(
        st.integers(0, 4 * HOUR),
        st.integers(0, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    ),
    max_size=40,
)


@given(WINDOWS, st.integers(0, 100))
def test_whatever_comes_alerts_are_rare_founded_and_in_turn(
    steps: list[tuple[int, tuple[int, int]]], threshold: int
) -> None:
    alert = AccuracyAlert(threshold, COOLDOWN_S)
    at, last_low, turns = 0, None, list[Turn]()
    for after, counts in steps:
        at += after
        found = WindowCounts(*counts)
        turn = alert.step(UnixMicros(at), found)
        if found.known < LEAST_CONFIRMED:
            assert turn is None
        elif found.met * 100 < threshold * found.known:
            assert alert.is_low
        if turn is Turn.LOW:
            assert found.met / found.known < threshold / 100
            assert last_low is None or at - last_low >= COOLDOWN_S * MICROS_PER_S
            last_low = at
        if turn is Turn.RECOVERED:
            assert not alert.is_low
            assert found.met / found.known >= threshold / 100
        turns += [turn] if turn else []
    assert turns[::2] == [Turn.LOW] * len(turns[::2])
    assert turns[1::2] == [Turn.RECOVERED] * len(turns[1::2])
