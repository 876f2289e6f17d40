from random import Random

from hypothesis import given
from hypothesis import strategies as st

from hydrophone.runtime.backoff import Backoff


def delays_of(backoff: Backoff, count: int) -> list[float]:
    return [backoff.next_s() for _ in range(count)]


@given(st.floats(0.01, 100), st.floats(0.01, 1_000), st.randoms(use_true_random=False), st.integers(1, 20))
def test_delays_grow_up_to_the_cap_and_never_beyond(
    first_s: float, cap_s: float, random: Random, count: int
) -> None:
    delays_s = delays_of(Backoff(first_s=first_s, cap_s=cap_s, random=random), count)
    for number, delay_s in enumerate(delays_s):
        ceiling_s = min(cap_s, first_s * 2**number)
        assert ceiling_s / 2 <= delay_s <= ceiling_s


def test_two_with_different_chances_are_not_in_step() -> None:
    one, other = (delays_of(Backoff(first_s=1, cap_s=60, random=Random(seed)), 5) for seed in (1, 2))
    assert all(a != b for a, b in zip(one, other, strict=True))


def test_after_a_success_it_begins_anew() -> None:
    backoff = Backoff(first_s=1, cap_s=1_000, random=Random(1))
    assert delays_of(backoff, 8)[-1] > 60
    backoff.reset()
    assert backoff.next_s() <= 1
    assert 1 <= backoff.next_s() <= 2


def test_many_failures_do_not_overflow() -> None:
    backoff = Backoff(first_s=0.5, cap_s=30, random=Random(1))
    assert 15 <= delays_of(backoff, 5_000)[-1] <= 30


def test_a_first_delay_above_the_cap_is_capped() -> None:
    assert Backoff(first_s=60, cap_s=1, random=Random(1)).next_s() <= 1
