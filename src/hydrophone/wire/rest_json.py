"""Reads the JSON that stands in columns of the database, and spells answers as CSV."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
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
_encode_into: Final = msgspec.json.Encoder().encode_into
_FORMULA: Final = frozenset("=+-@\t\r")
_NO_ROWS: Final = b'"data":[]'
"""No text within an answer can read so: its quotes would be escaped."""
_ROWS_AT_ONCE: Final = 100
"""# chosen: spelled in a third of a millisecond, after which other threads have their turn."""


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


def encode_page(page: msgspec.Struct) -> bytes:
    """Return a page as JSON, the same bytes as at once, a hundred rows at a time.

    One step of an encoder lets no other thread work. For a thousand rows it takes three milliseconds, for
    which the event loop, and with it alerts, would have to wait.

    Args:
        page: a struct with a field `data`, a list of structs.
    """
    rows: list[msgspec.Struct] = page.data  # type: ignore[attr-defined]
    before, _, after = _encode(msgspec.structs.replace(page, data=[])).partition(_NO_ROWS)
    text = bytearray(before + _NO_ROWS)
    for begin in range(0, len(rows), _ROWS_AT_ONCE):
        end_of_list = len(text) - 1  # each list is written over the end of the one before
        _encode_into(rows[begin : begin + _ROWS_AT_ONCE], text, end_of_list)
        text[end_of_list : end_of_list + 1] = b"," if begin else b""
    text += after
    return bytes(text)


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
    spell_of = _SPELL.get
    for row in rows:
        values = _values(row, columns)
        writer.writerow(
            [v if (spell := spell_of(type(v))) is None else spell(v) for v in values],
        )
    return out.getvalue().encode()


class _Columns(NamedTuple):
    """The fields of a struct.

    Attributes:
        names: of all of them.
        within: by its place each field that is a struct itself, in order.
        width: how many cells they become.
    """

    names: tuple[str, ...]
    within: Mapping[int, "_Columns"]
    width: int


def _columns(kind: type[msgspec.Struct]) -> _Columns:
    fields = msgspec.structs.fields(kind)
    structs = {place: _struct_of(field.type) for place, field in enumerate(fields)}
    within = {place: _columns(struct) for place, struct in structs.items() if struct is not None}
    width = len(fields) - len(within) + sum(columns.width for columns in within.values())
    return _Columns(tuple(field.encode_name for field in fields), within, width)


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401 -- an annotation
    """Return the struct that a field holds, always or at times; None: it holds something else."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    if get_origin(kind) in (list, dict):
        return None
    return next((found for part in get_args(kind) if (found := _struct_of(part)) is not None), None)


def _names(columns: _Columns, prefix: str = "") -> list[str]:
    names: list[str] = []
    for place, name in enumerate(columns.names):
        within = columns.within.get(place)
        names += [prefix + name] if within is None else _names(within, f"{prefix}{name}_")
    return names


def _values(row: msgspec.Struct, columns: _Columns) -> Sequence[object]:
    """Return what the cells of a row hold, before it is spelled; None for an empty one."""
    told = msgspec.structs.astuple(row)
    if not columns.within:
        return told
    values: list[object] = []
    done = 0
    for place, within in columns.within.items():
        values += told[done:place]
        struct = told[place]
        values += (None,) * within.width if struct is None else _values(struct, within)
        done = place + 1
    values += told[done:]
    return values


def _spell_text(text: str) -> str:
    return f"'{text}" if text[:1] in _FORMULA else text


def _spell_bool(value: object) -> str:
    return "true" if value else "false"


def _spell_json(value: object) -> str:
    return _encode(value).decode()


_SPELL: Final[Mapping[type, Callable[[Any], str]]] = {
    str: _spell_text,
    bool: _spell_bool,
    list: _spell_json,
    dict: _spell_json,
}
"""What the csv module would not spell so: it writes numbers as they are and None as an empty cell."""
