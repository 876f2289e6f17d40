from dataclasses import replace
from http import HTTPStatus

import pytest

from hydrophone.domain.access import Scope, Token, digest_of_token
from hydrophone.domain.units import UnixMicros
from hydrophone.errors import ConfigError
from hydrophone.web.access import AccessDenied, Caller, is_loopback_address
from tests.unit.web.asking import NOW, Clock, make_access

READ = Token("r1", "desk", Scope.READ, digest_of_token("reader"), NOW)
ADMIN = Token("a1", "boss", Scope.ADMIN, digest_of_token("admin"), NOW)
OVER = Token("o1", "gone", Scope.ADMIN, digest_of_token("over"), NOW, UnixMicros(NOW - 1))
TOKENS = (READ, ADMIN, OVER)
ADDRESS = "192.0.2.7"


def denied(access_open: bool, authorization: str | None, needed: Scope = Scope.READ) -> AccessDenied:
    access = make_access(TOKENS, is_open=access_open)
    with pytest.raises(AccessDenied) as caught:
        access.admit(authorization, ADDRESS, needed)
    return caught.value


@pytest.mark.parametrize(
    ("authorization", "needed", "status", "code"),
    [
        (None, Scope.READ, 401, "token_required"),
        ("", Scope.READ, 401, "malformed_token"),
        ("Basic cmVhZGVyOg==", Scope.READ, 401, "malformed_token"),
        ("reader", Scope.READ, 401, "malformed_token"),
        ("Bearer ", Scope.READ, 401, "unknown_token"),
        ("Bearer Reader", Scope.READ, 401, "unknown_token"),
        ("Bearer reader reader", Scope.READ, 401, "unknown_token"),
        ("Bearer " + "x" * 8_000, Scope.READ, 401, "unknown_token"),
        (f"Bearer {READ.digest}", Scope.READ, 401, "unknown_token"),
        ("Bearer over", Scope.READ, 401, "expired_token"),
        ("Bearer reader", Scope.ADMIN, 403, "wrong_scope"),
    ],
)
def test_who_is_not_let_in_is_told_why(
    authorization: str | None, needed: Scope, status: int, code: str
) -> None:
    error = denied(access_open=False, authorization=authorization, needed=needed)
    assert (error.status, error.code) == (status, code)
    assert "x" * 20 not in str(error)


def test_a_token_lets_in_by_its_scope() -> None:
    access = make_access(TOKENS, is_open=False)
    assert access.admit("Bearer reader", ADDRESS) == Caller(Scope.READ, "r1")
    assert access.admit("bearer  admin ", ADDRESS, Scope.ADMIN) == Caller(Scope.ADMIN, "a1")
    assert access.admit_token("reader", ADDRESS) == Caller(Scope.READ, "r1")


def test_where_it_is_open_no_token_is_needed_but_a_wrong_one_is_still_wrong() -> None:
    assert make_access(TOKENS).admit(None, "127.0.0.1", Scope.ADMIN) == Caller(Scope.ADMIN)
    assert denied(access_open=True, authorization="Bearer nobody").code == "unknown_token"


def test_a_revoked_token_is_refused_by_the_next_request() -> None:
    tokens = [READ]
    access = make_access(tokens, is_open=False)
    access.admit("Bearer reader", ADDRESS)
    tokens[0] = replace(READ, expires_at=NOW)
    with pytest.raises(AccessDenied) as caught:
        access.admit("Bearer reader", ADDRESS)
    assert caught.value.code == "expired_token"


def test_who_guesses_is_slowed_down_and_disturbs_nobody_who_knows() -> None:
    clock = Clock()
    access = make_access(TOKENS, is_open=False, now=clock)
    refusals = []
    for number in range(200):
        with pytest.raises(AccessDenied) as refused:
            access.admit(f"Bearer guess{number}", ADDRESS)
        refusals.append(refused.value)
    assert [refusal.status for refusal in refusals].count(HTTPStatus.UNAUTHORIZED) == 10
    assert refusals[-1].status is HTTPStatus.TOO_MANY_REQUESTS
    assert refusals[-1].retry_after_s == 10
    assert access.admit("Bearer reader", ADDRESS).token_id == "r1"
    clock.now_s += 10
    with pytest.raises(AccessDenied) as caught:
        access.admit("Bearer again", ADDRESS)
    assert caught.value.status is HTTPStatus.UNAUTHORIZED


def test_each_token_has_its_own_rate() -> None:
    clock = Clock()
    access = make_access(TOKENS, is_open=False, now=clock, per_minute=60)
    for _ in range(10):
        access.admit("Bearer reader", ADDRESS)
    with pytest.raises(AccessDenied) as caught:
        access.admit("Bearer reader", "198.51.100.1")
    assert (caught.value.status, caught.value.code) == (429, "too_many_requests")
    assert caught.value.retry_after_s == 1
    access.admit("Bearer admin", ADDRESS)
    clock.now_s += 1
    access.admit("Bearer reader", ADDRESS)


def test_without_a_token_an_address_has_a_rate_and_this_machine_has_none() -> None:
    access = make_access(TOKENS, per_minute=60)
    for _ in range(1_000):
        access.admit(None, "127.0.0.1")
    for _ in range(10):
        access.admit(None, ADDRESS)
    with pytest.raises(AccessDenied, match="requests_per_minute"):
        access.admit(None, ADDRESS)


@pytest.mark.parametrize(
    ("address", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:192.0.2.1", False),
        ("192.0.2.1", False),
        ("", False),
        ("x", False),
    ],
)
def test_loopback_addresses(address: str, is_loopback: bool) -> None:
    assert is_loopback_address(address) is is_loopback


def test_a_file_of_tokens_that_cannot_be_read_lets_nobody_in_and_ends_nothing() -> None:
    def unreadable() -> tuple[Token, ...]:
        raise ConfigError("cannot read the tokens in /secret/place: Permission denied")

    access = make_access(is_open=False)
    access.tokens = unreadable
    for _ in range(3):
        with pytest.raises(AccessDenied) as caught:
            access.admit("Bearer reader", ADDRESS)
        assert (caught.value.status, caught.value.code) == (503, "tokens_unreadable")
        assert "/secret/place" not in f"{caught.value} {caught.value.hint}"
    assert access.good_names() is None, "who is there already may stay"
    access.tokens = lambda: TOKENS
    assert access.good_names() == frozenset({"r1", "a1"})
    assert access.admit("Bearer reader", ADDRESS) == Caller(Scope.READ, "r1")
