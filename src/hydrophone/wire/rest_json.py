"""Reads the JSON that stands in columns of the database, and spells answers as CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from hydrophone.wire.public_v1 import EntityV1

_parse_entities = msgspec.json.Decoder(list[EntityV1]).decode
_parse_addresses = msgspec.json.Decoder(list[str]).decode
_parse_numbers = msgspec.json.Decoder(dict[str, float]).decode
_encode: Final = msgspec.json.Encoder().encode
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def parse_entities(text: str | None) -> list[EntityV1]:
    """Return the exchanges of a prediction; none for what another program wrote."""
    try:
        return [] if text is None else _parse_entities(text)
    except msgspec.DecodeError:
        return []


def parse_addresses(text: str | None) -> list[str]:
    """Return the addresses of a prediction; none for what another program wrote."""
    try:
        return [] if text is None else _parse_addresses(text)
    except msgspec.DecodeError:
        return []


def parse_numbers(text: str | None) -> dict[str, float] | None:
    """Return numbers by name; None when there are none."""
    try:
        return None if text is None else _parse_numbers(text)
    except msgspec.DecodeError:
        return None


def encode_csv(kind: type[msgspec.Struct], rows: Sequence[msgspec.Struct]) -> bytes:
    """Return structs as CSV with a header; what is in a struct within gets its name in front.

    A text that a spreadsheet would take for a formula gets an apostrophe in front of it.

    Sources: RFC 4180; OWASP, CSV Injection.

    Args:
        kind: of the structs, for the header.
        rows: of that kind.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(_names(kind))
    for row in rows:
        writer.writerow(_cells(row))
    return out.getvalue().encode()


def _names(kind: type[msgspec.Struct], prefix: str = "") -> list[str]:
    names: list[str] = []
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            names += _names(field.type, f"{prefix}{field.encode_name}_")
        else:
            names.append(prefix + field.encode_name)
    return names


def _cells(row: msgspec.Struct) -> list[object]:
    cells: list[object] = []
    for value in msgspec.structs.astuple(row):
        if isinstance(value, msgspec.Struct):
            cells += _cells(value)
        else:
            cells.append(_cell(value))
    return cells


def _cell(value: Any) -> object:  # noqa: ANN401 -- of any field
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return _encode(value).decode()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
