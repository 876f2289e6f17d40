from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from hydrophone.runtime.clock import SteadyClock

SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
START_NS = 1_790_000_000 * SECOND_NS


@dataclass
class Machine:
    """Both clocks of a machine."""

    wall_ns: int = START_NS
    monotonic_ns: int = 5 * SECOND_NS

    def clock(self) -> SteadyClock:
        return SteadyClock(lambda: self.wall_ns, lambda: self.monotonic_ns)

    def wait(self, elapsed_ns: int) -> None:
        self.wall_ns += elapsed_ns
        self.monotonic_ns += elapsed_ns


readings = st.lists(st.tuples(st.integers(0, 2 * HOUR_NS), st.integers(-HOUR_NS, HOUR_NS)), max_size=50)


@given(readings)
def test_it_never_goes_back_and_never_lags_behind_the_wall(steps: list[tuple[int, int]]) -> None:
    """A step: so much time passes, and the wall clock is set by so much."""
    machine = Machine()
    clock = machine.clock()
    before = clock()
    for elapsed_ns, set_by_ns in steps:
        machine.wait(elapsed_ns)
        machine.wall_ns += set_by_ns
        now = clock()
        assert now >= before
        assert now >= machine.wall_ns // 1_000
        before = now


@given(st.integers(-HOUR_NS, 0), st.lists(st.integers(0, HOUR_NS), min_size=1))
def test_while_it_catches_up_it_runs_a_tenth_slow(set_by_ns: int, steps_ns: list[int]) -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall_ns += set_by_ns
    for elapsed_ns in steps_ns:
        before = clock()
        machine.wait(elapsed_ns)
        passed_ns = (clock() - before) * 1_000
        is_caught_up = clock() == machine.wall_ns // 1_000
        assert passed_ns <= elapsed_ns + 1_000
        assert is_caught_up or abs(passed_ns - 0.9 * elapsed_ns) <= 1_001


def test_it_shows_the_wall_clock_as_long_as_nobody_sets_it() -> None:
    machine = Machine()
    clock = machine.clock()
    for elapsed_ns in (0, 1, 999, 1_000, HOUR_NS):
        machine.wait(elapsed_ns)
        assert clock() == machine.wall_ns // 1_000


def test_a_wall_clock_set_forward_is_followed_at_once() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall_ns += HOUR_NS
    assert clock() == machine.wall_ns // 1_000


def test_a_wall_clock_set_back_is_caught_up_with_and_then_followed() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall_ns -= HOUR_NS
    machine.wait(9 * HOUR_NS)
    assert clock() - machine.wall_ns // 1_000 == HOUR_NS // 10_000  # nine tenths of the hour are made good
    machine.wait(HOUR_NS)
    assert clock() == machine.wall_ns // 1_000
    machine.wait(SECOND_NS)
    assert clock() == machine.wall_ns // 1_000


def test_reading_it_often_does_not_keep_it_from_catching_up() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.wall_ns -= SECOND_NS // 100
    for _ in range(10_000):
        machine.wait(SECOND_NS // 100_000)
        clock()
    assert clock() == machine.wall_ns // 1_000


def test_unset_it_reads_the_machine() -> None:
    clock = SteadyClock()
    assert clock() <= clock()
