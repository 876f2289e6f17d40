"""Reads the JSON that stands in columns of the database, and spells answers as CSV."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, get_args, get_origin

import msgspec

from hydrophone.wire.public_v1 import EntityV1, VersionV1


class _StoredVersion(msgspec.Struct, frozen=True):
    """A version as the column `history` has it."""

    txid: str
    seen_at: str
    fee_rate_sat_vb: float | None
    change: str | None = None


_NO_VERSIONS: Final = "[]"
_parse_entities = msgspec.json.Decoder(list[EntityV1]).decode
_parse_addresses = msgspec.json.Decoder(list[str]).decode
_parse_versions = msgspec.json.Decoder(list[_StoredVersion]).decode
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


def parse_history(text: str | None) -> list[VersionV1]:
    """Return the earlier versions of a payment; none for what another program wrote."""
    if text is None or text == _NO_VERSIONS:
        return []
    try:
        found = _parse_versions(text)
    except msgspec.DecodeError:
        return []
    return [VersionV1(v.txid, v.seen_at, v.fee_rate_sat_vb, v.change) for v in found]


def parse_numbers(text: str | None) -> dict[str, float] | None:
    """Return numbers by name; None when there are none."""
    try:
        return None if text is None else _parse_numbers(text)
    except msgspec.DecodeError:
        return None


def encode_csv(kind: type[msgspec.Struct], rows: Sequence[msgspec.Struct]) -> bytes:
    """Return structs as CSV with a header; what is in a struct within gets its name in front.

    A struct within that is not there leaves its cells empty. A text that a spreadsheet would take for a
    formula gets an apostrophe in front of it.

    Sources: RFC 4180; OWASP, CSV Injection.

    Args:
        kind: of the structs, for the header.
        rows: of that kind.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    columns = _columns(kind)
    writer.writerow(_names(columns))
    for row in rows:
        writer.writerow(_cells(row, columns))
    return out.getvalue().encode()


class _Column(NamedTuple):
    """A field and, where it is a struct, its own: then it becomes as many cells as `width`."""

    name: str
    within: tuple["_Column", ...]
    width: int


def _columns(kind: type[msgspec.Struct]) -> tuple[_Column, ...]:
    columns = []
    for field in msgspec.structs.fields(kind):
        struct = _struct_of(field.type)
        within = () if struct is None else _columns(struct)
        columns.append(_Column(field.encode_name, within, sum(c.width for c in within) or 1))
    return tuple(columns)


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401 -- an annotation
    """Return the struct that a field holds, always or at times; None: it holds something else."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    if get_origin(kind) in (list, dict):
        return None
    return next((found for part in get_args(kind) if (found := _struct_of(part)) is not None), None)


def _names(columns: Sequence[_Column], prefix: str = "") -> list[str]:
    names: list[str] = []
    for column in columns:
        name = prefix + column.name
        names += _names(column.within, f"{name}_") if column.within else [name]
    return names


def _cells(row: msgspec.Struct, columns: Sequence[_Column]) -> list[object]:
    cells: list[object] = []
    for value, column in zip(msgspec.structs.astuple(row), columns, strict=True):
        if not column.within:
            cells.append(_cell(value))
        elif value is None:
            cells += [""] * column.width
        else:
            cells += _cells(value, column.within)
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
