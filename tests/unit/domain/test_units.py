from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.units import (
    MAX_MONEY_SAT,
    SATS_PER_BTC,
    UnixMicros,
    btc_from_sats,
    datetime_from_micros,
    fee_rate_sat_vb,
    format_btc,
    format_instant,
    micros_from_datetime,
    micros_from_seconds,
    sats_from_btc,
    seconds_from_micros,
)

amounts_sat = st.integers(0, MAX_MONEY_SAT)
LAST = micros_from_datetime(datetime.max.replace(tzinfo=UTC))
instants = st.integers(0, LAST).map(UnixMicros)


# --- amounts


@pytest.mark.parametrize(
    ("btc", "value_sat"),
    [
        ("100", 100 * SATS_PER_BTC),
        ("0.5", 50_000_000),
        ("0.00000001", 1),
        ("1e-8", 1),
        ("20999999.99999999", MAX_MONEY_SAT - 1),
        ("21000000", MAX_MONEY_SAT),
        ("0.1" + "0" * 100, 10_000_000),
        (Decimal("1.5"), 150_000_000),
        ("-0", 0),
        ("0e999999999", 0),
    ],
)
def test_an_amount_written_in_btc_is_exact(btc: str | Decimal, value_sat: int) -> None:
    assert sats_from_btc(btc) == value_sat


@pytest.mark.parametrize(
    ("btc", "expected"),
    [
        ("", "an amount in BTC such as"),
        ("much", "an amount in BTC such as"),
        ("1,5", "an amount in BTC such as"),
        ("0.000000001", "in whole satoshis"),
        ("1e-9999999", "in whole satoshis"),
        ("0.00000001" + "0" * 40 + "1", "in whole satoshis"),
        ("-1", "between 0 and 21 million BTC"),
        ("-1e-9", "between 0 and 21 million BTC"),
        ("21000000.00000001", "between 0 and 21 million BTC"),
        ("1e999999999999999999", "between 0 and 21 million BTC"),
        ("inf", "between 0 and 21 million BTC"),
        ("nan", "between 0 and 21 million BTC"),
        ("snan", "between 0 and 21 million BTC"),
    ],
)
def test_any_other_amount_is_refused_and_the_message_says_what_is_expected(btc: str, expected: str) -> None:
    with pytest.raises(ValueError, match=f"expected.* {expected}"):
        sats_from_btc(btc)


@given(st.text(max_size=20) | st.from_regex(r"-?\d{1,12}(\.\d{0,12})?(e-?\d{1,2})?", fullmatch=True))
def test_any_text_is_an_exact_amount_or_refused(btc: str) -> None:
    try:
        value_sat = sats_from_btc(btc)
    except ValueError:
        return
    assert 0 <= value_sat <= MAX_MONEY_SAT
    assert Fraction(Decimal(btc)) * SATS_PER_BTC == value_sat


@given(amounts_sat)
def test_what_people_read_is_the_exact_amount(value_sat: int) -> None:
    assert sats_from_btc(format_btc(value_sat).replace(",", "")) == value_sat


@given(amounts_sat)
def test_an_amount_in_a_public_field_can_be_turned_back(value_sat: int) -> None:
    assert round(btc_from_sats(value_sat) * SATS_PER_BTC) == value_sat


@pytest.mark.parametrize(
    ("value_sat", "decimals", "text"),
    [
        (123_450_000_000, 2, "1,234.5"),
        (MAX_MONEY_SAT, 8, "21,000,000"),
        (1, 8, "0.00000001"),
        (1, 2, "0"),
        (0, 0, "0"),
        (100 * SATS_PER_BTC, 0, "100"),
        (10_012_500_000, 2, "100.12"),
        (10_013_500_000, 2, "100.14"),
        (99_999_999_999, 2, "1,000"),
    ],
)
def test_people_read_groups_without_trailing_zeros(value_sat: int, decimals: int, text: str) -> None:
    assert format_btc(value_sat, decimals=decimals) == text


# --- fee rates


@pytest.mark.parametrize(
    ("fee_sat", "weight_wu", "rate"), [(561, 561, 4), (0, 400, 0), (14, 561, 14 / 140.25)]
)
def test_a_fee_rate_is_taken_from_exact_weight(fee_sat: int, weight_wu: int, rate: float) -> None:
    assert fee_rate_sat_vb(fee_sat, weight_wu) == pytest.approx(rate, rel=1e-15)


@pytest.mark.parametrize("weight_wu", [0, -4])
def test_a_fee_rate_without_weight_is_refused(weight_wu: int) -> None:
    with pytest.raises(ValueError, match=f"positive weight, found {weight_wu}"):
        fee_rate_sat_vb(1, weight_wu)


# --- instants


@given(instants)
def test_an_instant_survives_as_a_datetime(instant: UnixMicros) -> None:
    moment = datetime_from_micros(instant)
    assert moment.utcoffset() == timedelta(0)
    assert micros_from_datetime(moment) == instant
    assert micros_from_datetime(moment.replace(tzinfo=None)) == instant


@given(instants)
def test_an_instant_survives_as_text(instant: UnixMicros) -> None:
    text = format_instant(instant)
    assert len(text) == len("2026-11-22T08:51:02.099989Z")
    assert micros_from_datetime(datetime.fromisoformat(text)) == instant


def test_a_whole_second_has_six_decimals_too() -> None:
    assert format_instant(UnixMicros(1_795_337_462_000_000)) == "2026-11-22T08:51:02.000000Z"


def test_another_time_zone_is_the_same_instant() -> None:
    moment = datetime(2026, 11, 22, 8, 51, tzinfo=UTC)
    east = timezone(timedelta(hours=5, minutes=45))
    assert micros_from_datetime(moment.astimezone(east)) == micros_from_datetime(moment)


@given(st.integers(0, 4_102_444_800_000_000))
def test_an_instant_until_2100_survives_as_seconds(instant: int) -> None:
    assert micros_from_seconds(seconds_from_micros(instant)) == instant


@given(st.floats())
def test_any_seconds_are_an_instant_that_can_be_written_down_or_refused(seconds: float) -> None:
    try:
        instant = micros_from_seconds(seconds)
    except ValueError as error:
        assert "expected Unix seconds" in str(error)  # noqa: PT017 -- most examples do not raise
        return
    assert format_instant(instant)


@pytest.mark.parametrize("seconds", [-1e-6, 253_402_300_800.0, 1e303, float("inf"), float("nan")])
def test_seconds_outside_the_calendar_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="expected Unix seconds"):
        micros_from_seconds(seconds)
