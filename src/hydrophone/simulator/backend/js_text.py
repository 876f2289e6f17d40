"""JSON as JavaScript writes it: 140 and not 140.0, 0.000001 and not 1e-06, no character escaped in vain."""

import json
from decimal import Decimal
from math import floor
from typing import Final

_SMALLEST_POSITIONAL: Final = 1e-6
"""Below it JavaScript writes exponents. Sources: ECMA-262, Number::toString."""
_PYTHON_SMALLEST_POSITIONAL: Final = 1e-4
_encoder: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def dump(value: object) -> str:
    """Return compact JSON; floats have to come from `whole`."""
    return _encoder.encode(value)


def whole(number: float) -> float:
    """Return a float without a fraction as int, so that it is written without `.0`."""
    return int(number) if number == int(number) else number


def number(value: float) -> str:
    """Return a number as JavaScript writes it."""
    if value == int(value):
        return str(int(value))
    if _SMALLEST_POSITIONAL <= abs(value) < _PYTHON_SMALLEST_POSITIONAL:
        return format(Decimal(repr(value)), "f")
    return repr(value).replace("e-0", "e-")


def round_half_up(value: float) -> int:
    """Return what `Math.round` gives."""
    return floor(value + 0.5)


def frame(parts: list[tuple[str, str]]) -> str:
    """Return a frame of values that are JSON already, with spaces at the top level only."""
    return "{" + ", ".join([f'"{key}": {value}' for key, value in parts]) + "}"
