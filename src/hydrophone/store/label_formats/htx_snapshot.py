"""HTX's snapshot of its reserves.

Sources: huobiapi/Tool-Node.js-VerifyAddress, snapshot/huobi_por.csv: a table of totals, then a header and
rows of coin, address, height, amount, message and signature; others begin with the rows. Wrapped bitcoin on
another chain (BTC-TRC20) is another coin. The signatures are not verified here.
"""

from collections.abc import Iterator
from typing import Final

from hydrophone.domain.labels import EntityKind
from hydrophone.store.label_formats.csv_lines import parse_fields, rows_of
from hydrophone.store.label_formats.rows import KEPT_TEXT_LENGTH, RawRow, UnknownFormError

_COLUMNS: Final = ("coin", "address", "height", "amount", "message", "signature")
_SIGNED_COLUMNS: Final = 5
_BITCOIN: Final = "BTC"
_CONFIDENCE: Final = "0.97"
"""# chosen: as an entity's own current list."""


def is_htx(text: str) -> bool:
    """Whether there is the header of the list, or the first row is a coin with an address at a height."""
    _, row = next(rows_of(text), (1, ""))
    return _is_data(row) or any(_is_header(row) for _, row in rows_of(text))


def read_htx(text: str) -> Iterator[RawRow]:
    """Yield the bitcoin addresses.

    Raises:
        UnknownFormError: neither the header nor a row of the list is there.
    """
    if not is_htx(text):
        _, row = next(rows_of(text), (1, ""))
        raise UnknownFormError(f"expected rows of {','.join(_COLUMNS)}, found {row[:KEPT_TEXT_LENGTH]!r}")
    rows = list(rows_of(text))
    header = next((place for place, (_, row) in enumerate(rows) if _is_header(row)), -1)
    for line, row in rows[header + 1 :]:
        try:
            coin, address, _height, _amount, _message, *_ = parse_fields(row)
        except ValueError:
            yield RawRow(line, row, problem=f"expected the columns {','.join(_COLUMNS)}")
            continue
        if coin.upper() != _BITCOIN:
            yield RawRow(line, row, skipped=f"an address of {coin}")
            continue
        fields = {
            "address": address,
            "entity": "HTX",
            "kind": EntityKind.EXCHANGE.value,
            "confidence": _CONFIDENCE,
            "citation": "huobi_por.csv",  # without the amount: it changes monthly, and the claim does not
        }
        yield RawRow(line, row, fields)


def _is_header(row: str) -> bool:
    return [name.strip().casefold() for name in row.split(",")[:2]] == ["coin", "address"]


def _is_data(row: str) -> bool:
    try:
        fields = parse_fields(row)
    except ValueError:
        return False
    return len(fields) >= _SIGNED_COLUMNS and fields[0].isalnum() and fields[2].isdigit()
