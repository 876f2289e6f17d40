"""Prices of a bitcoin as mempool.space tells them: in a frame of its own when they change, and by REST.

Sources: mempool.space backend, websocket-handler.ts (`conversions`) and price-updater.ts: seconds, and units
of each currency; recordings: -1 in every currency where the backend has no way to ask for prices.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeGuard

import msgspec

PRICES_PATH: Final = "/api/v1/prices"
_KEY: Final = b'"conversions"'
_LONGEST_BYTES: Final = 65_536
"""# chosen: a hundred times such a frame, which holds nothing else; longer ones are not looked through."""
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_MOST_CURRENCIES: Final = 200
"""Sources: ISO 4217 has some 180 of them."""
_LATEST_S: Final = 253_402_300_799
"""Sources: RFC 3339: the last second of the year 9999; a later one would overflow in microseconds."""


class ToldPrices(NamedTuple):
    """What a backend says a bitcoin is worth.

    Attributes:
        at_s: when it was, in Unix seconds; None: it does not say.
        by_currency: by its code of three letters, in units of it.
    """

    at_s: float | None
    by_currency: Mapping[str, float]


class _Frame(msgspec.Struct, gc=False):
    conversions: dict[str, Any]


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_answer = msgspec.json.Decoder(dict[str, Any]).decode


def parse_prices_frame(payload: bytes) -> ToldPrices | None:
    """Return the prices that a frame tells; None: it tells none. Most frames are not decoded."""
    if len(payload) > _LONGEST_BYTES or _KEY not in payload:
        return None
    try:
        return _prices_of(_decode_frame(payload).conversions)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def parse_prices_answer(payload: bytes) -> ToldPrices | None:
    """Return the prices that REST answers; None: it tells none."""
    if len(payload) > _LONGEST_BYTES:
        return None
    try:
        return _prices_of(_decode_answer(payload))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _prices_of(told: Mapping[str, Any]) -> ToldPrices | None:
    prices = {
        name: float(price) for name, price in told.items() if _CURRENCY.fullmatch(name) and _is_known(price)
    }
    if not prices or len(prices) > _MOST_CURRENCIES:
        return None
    at_s = told.get("time")
    return ToldPrices(float(at_s) if _is_known(at_s) and at_s <= _LATEST_S else None, prices)


def _is_known(number: object) -> TypeGuard[float]:
    """Return whether it is a number above 0: 0 and -1 stand for what is not known."""
    if isinstance(number, bool) or not isinstance(number, int | float):
        return False
    try:
        return math.isfinite(number) and number > 0
    except OverflowError:  # an integer that no float can hold
        return False
