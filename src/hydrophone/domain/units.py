"""Units of the domain, and the only conversions between them.

Amounts are satoshis in an `int` everywhere; BTC exists only in text for people and in `*_btc` fields
of the public schema. Instants are microseconds since the Unix epoch.
"""

from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final, NewType

Sats = NewType("Sats", int)
"""An amount in satoshis."""
FeeRate = NewType("FeeRate", float)
"""Satoshis per virtual byte; never rounded to an integer (fees live below 1 sat/vB)."""
WeightUnits = NewType("WeightUnits", int)
"""BIP 141 weight; four of them are one virtual byte."""
Height = NewType("Height", int)
"""Number of blocks below; the genesis block has 0."""
UnixMicros = NewType("UnixMicros", int)
"""Microseconds since 1970-01-01T00:00:00Z."""
Txid = NewType("Txid", str)
"""Transaction id, display-order lower-case hex (64 characters)."""

SATS_PER_BTC: Final = 100_000_000
MAX_MONEY_SAT: Final = Sats(21_000_000 * SATS_PER_BTC)
"""No amount exceeds this. Sources: Bitcoin Core, consensus/amount.h, MAX_MONEY."""
WEIGHT_PER_VBYTE: Final = 4
"""Sources: BIP 141, virtual transaction size."""
MICROS_PER_S: Final = 1_000_000

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_10000_S: Final = 253_402_300_800
"""No `datetime` is later, so no instant from there on could be written down."""
_EXACT: Final = Context(traps=[Inexact])
"""Raises instead of rounding."""


def sats_from_btc(btc: str | Decimal) -> Sats:
    """Return the exact satoshis of a BTC amount written in decimal.

    Raises:
        ValueError: not a number, negative, finer than one satoshi, or more than 21 million BTC.
    """
    try:
        amount = Decimal(btc)
    except InvalidOperation as error:
        raise ValueError(f"expected an amount in BTC such as 100 or 0.5, found {btc!r}") from error
    if not amount.is_finite() or not 0 <= amount <= MAX_MONEY_SAT // SATS_PER_BTC:
        raise ValueError(f"expected between 0 and 21 million BTC, found {btc}")
    try:
        value_sat = _EXACT.to_integral_exact(_EXACT.multiply(amount, SATS_PER_BTC))
    except Inexact as error:
        raise ValueError(f"expected an amount in whole satoshis, found {btc} BTC") from error
    return Sats(int(value_sat))


def btc_from_sats(value_sat: int) -> float:
    """Return BTC as the nearest float: for public `*_btc` fields, never for arithmetic."""
    return value_sat / SATS_PER_BTC


def format_btc(value_sat: int, *, decimals: int = 8) -> str:
    """Return an amount as people read it, e.g. `1,234.5`: grouped, without trailing zeros.

    Args:
        value_sat: satoshis.
        decimals: rounded half-even to so many places (at most 8).
    """
    rounded = round(Decimal(value_sat) / SATS_PER_BTC, decimals)
    text = f"{rounded:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def fee_rate_sat_vb(fee_sat: int, weight_wu: int) -> FeeRate:
    """Return the fee rate in sat/vB from exact weight (vsize is rounded and so not used).

    Raises:
        ValueError: the weight is not positive.
    """
    if weight_wu <= 0:
        raise ValueError(f"expected a positive weight, found {weight_wu}")
    return FeeRate(fee_sat * WEIGHT_PER_VBYTE / weight_wu)


def micros_from_seconds(seconds: float) -> UnixMicros:
    """Return an instant given in Unix seconds, rounded to the nearest microsecond.

    Raises:
        ValueError: not a number, before 1970 or after the year 9999.
    """
    if not 0 <= seconds < _YEAR_10000_S:
        raise ValueError(f"expected Unix seconds, found {seconds}")
    return UnixMicros(round(seconds * MICROS_PER_S))


def seconds_from_micros(instant: int) -> float:
    """Return an instant (or a duration) in seconds."""
    return instant / MICROS_PER_S


def datetime_from_micros(instant: UnixMicros) -> datetime:
    """Return an instant as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=instant)


def micros_from_datetime(moment: datetime) -> UnixMicros:
    """Return a datetime as an instant; a naive one is taken as UTC (the store keeps such)."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return UnixMicros((aware - _EPOCH) // timedelta(microseconds=1))


def format_instant(instant: UnixMicros) -> str:
    """Return an instant in ISO 8601, UTC, always with six decimals: `2026-11-22T08:51:02.099989Z`."""
    return datetime_from_micros(instant).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
