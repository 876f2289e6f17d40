import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.access import RateLimiter, Scope, Token, digest_of_token, find_token
from hydrophone.domain.units import UnixMicros

NOW = UnixMicros(1_790_000_000_000_000)


def token(text: str, *, expires_at: UnixMicros | None = None) -> Token:
    return Token("id", "name", Scope.READ, digest_of_token(text), NOW, expires_at)


def test_admin_covers_reading_and_not_the_other_way_round() -> None:
    assert Scope.ADMIN.covers(Scope.READ)
    assert Scope.ADMIN.covers(Scope.ADMIN)
    assert Scope.READ.covers(Scope.READ)
    assert not Scope.READ.covers(Scope.ADMIN)


@given(texts=st.lists(st.text(), unique=True, min_size=1), other=st.text())
def test_a_token_is_found_by_its_text_and_by_no_other(texts: list[str], other: str) -> None:
    tokens = [token(text) for text in texts]
    for text, kept in zip(texts, tokens, strict=True):
        assert find_token(tokens, text) is kept
    if other not in texts:
        assert find_token(tokens, other) is None


def test_what_no_text_can_be_is_no_token() -> None:
    assert find_token([token("a")], "\udc80") is None


def test_nothing_kept_tells_the_text() -> None:
    assert "the text" not in repr(token("the text"))


def test_a_token_is_over_from_its_end_on() -> None:
    kept = token("a", expires_at=NOW)
    assert not kept.is_over(UnixMicros(NOW - 1))
    assert kept.is_over(NOW)
    assert not token("a").is_over(UnixMicros(2**62))


def test_a_burst_is_allowed_and_then_the_rate() -> None:
    limiter = RateLimiter(60, 3)
    assert [limiter.wait_s("a", 0.0) for _ in range(3)] == [0, 0, 0]
    assert limiter.wait_s("a", 0.0) == pytest.approx(1.0)
    assert limiter.wait_s("b", 0.0) == 0
    assert limiter.wait_s("a", 1.0) == 0
    assert limiter.wait_s("a", 1.0) > 0


def test_no_rate_is_no_limit() -> None:
    limiter = RateLimiter(0, 1)
    assert all(limiter.wait_s("a", 0.0) == 0 for _ in range(1_000))


def test_only_so_many_are_remembered() -> None:
    limiter = RateLimiter(1, 1, most_known=2)
    for who in "abc":
        limiter.wait_s(who, 0.0)
    assert limiter.wait_s("c", 0.0) > 0
    assert limiter.wait_s("a", 0.0) == 0


@given(
    steps=st.lists(st.floats(0, 10), max_size=60),
    per_minute=st.integers(1, 600),
    burst=st.integers(1, 20),
)
def test_never_more_than_the_burst_and_the_rate(steps: list[float], per_minute: int, burst: int) -> None:
    limiter, at_s, allowed = RateLimiter(per_minute, burst), 0.0, 0
    for step in steps:
        at_s += step
        allowed += limiter.wait_s("a", at_s) == 0
    assert allowed <= burst + at_s * per_minute / 60 + 1e-6


@given(per_minute=st.integers(1, 600), burst=st.integers(1, 5))
def test_who_waits_as_told_is_answered(per_minute: int, burst: int) -> None:
    limiter, at_s = RateLimiter(per_minute, burst), 0.0
    for _ in range(3 * burst):
        wait_s = limiter.wait_s("a", at_s)
        if wait_s > 0:
            at_s += wait_s + 1e-6
            assert limiter.wait_s("a", at_s) == 0
