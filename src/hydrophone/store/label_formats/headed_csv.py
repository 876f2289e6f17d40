"""CSV whose header names its columns: our own form, and that of the quickstart's lineage.

Our own form states every field of a claim. The quickstart's names an exchange and a type, and states no
confidence or date. Columns come in any order; others than those known are ignored.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Final

from hydrophone.domain.labels import Entity, EntityKind, Label, Role
from hydrophone.domain.script import Network, address_from_script
from hydrophone.store.label_formats.csv_lines import header_of, parse_fields, rows_of
from hydrophone.store.label_formats.rows import KEPT_TEXT_LENGTH, RawRow, UnknownFormError

CURATED_COLUMNS: Final = ("address", "entity", "kind", "role", "confidence", "as_of", "sources")
"""What the header of our own form must name; a field below them may be empty."""
OPTIONAL_COLUMNS: Final = ("source", "source_url", "licence", "valid_from", "valid_to", "script")
"""What it may name beside. `script` is scriptPubKey in hex, which must be that of the address."""
OWN_COLUMNS: Final = (*CURATED_COLUMNS, *OPTIONAL_COLUMNS)
QUICKSTART_COLUMNS: Final = ("exchange_name", "address", "type")
"""The header of the quickstart's form: each row is about an exchange."""

_OWN_FORM: Final = {("citation" if column == "sources" else column): column for column in CURATED_COLUMNS}
_OWN_OPTIONS: Final = {column: column for column in OPTIONAL_COLUMNS}
_QUICKSTART_FORM: Final = {"entity": "exchange_name", "address": "address", "role": "type"}


def is_own(text: str) -> bool:
    """Whether a file has the header of our own form."""
    return set(CURATED_COLUMNS) <= set(header_of(text))


def is_quickstart(text: str) -> bool:
    """Whether a file has the header of the quickstart's form."""
    return set(QUICKSTART_COLUMNS) <= set(header_of(text))


def read_own(text: str) -> Iterator[RawRow]:
    """Yield the rows of our own form.

    Raises:
        UnknownFormError: its header is another.
    """
    return _read(text, _OWN_FORM, _OWN_OPTIONS, {})


def read_quickstart(text: str) -> Iterator[RawRow]:
    """Yield the rows of the quickstart's form.

    Raises:
        UnknownFormError: its header is another.
    """
    return _read(text, _QUICKSTART_FORM, {}, {"kind": EntityKind.EXCHANGE.value})


def read_trusted(lines: Iterable[str]) -> Iterator[Label]:
    """Yield the claims of a file that `write_own` wrote and nobody has changed since.

    Nothing is looked at twice: 100,000 labels take half a second, where their addresses alone take two.
    """
    rows = csv.reader(lines)
    next(rows)
    known: dict[tuple[str, ...], tuple[object, ...]] = {}
    for _address, *texts, script in rows:
        key = tuple(texts)
        rest = known.get(key)
        if rest is None:
            rest = known[key] = _parse_trusted(*texts)
        yield Label(bytes.fromhex(script), *rest)  # type: ignore[arg-type] # in the order of its fields


def _parse_trusted(  # noqa: PLR0917 -- the columns
    entity: str,
    kind: str,
    role: str,
    confidence: str,
    as_of: str,
    citation: str,
    source: str,
    source_url: str,
    licence: str,
    valid_from: str,
    valid_to: str,
) -> tuple[object, ...]:
    """Return the fields of a label behind its script."""
    said, begins, ends = (
        date.fromisoformat(text) if text else None for text in (as_of, valid_from, valid_to)
    )
    whose = Entity(entity, EntityKind(kind))
    return whose, Role(role), source, float(confidence), said, citation, source_url, licence, begins, ends


def write_own(labels: Iterable[Label], network: Network) -> Iterator[str]:
    """Yield the lines of a file in our own form, the header first, each with its line break."""
    for row in (OWN_COLUMNS, *(_own_row(label, network) for label in labels)):
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(row)
        yield line.getvalue()


def _own_row(label: Label, network: Network) -> tuple[object, ...]:
    return (
        address_from_script(label.script, network) or "",
        label.entity.name,
        label.entity.kind.value,
        label.role.value,
        repr(float(label.confidence)),
        label.as_of or "",
        label.citation,
        label.source,
        label.source_url,
        label.licence,
        label.valid_from or "",
        label.valid_to or "",
        label.script.hex(),
    )


def _read(
    text: str, form: Mapping[str, str], options: Mapping[str, str], unsaid: Mapping[str, str]
) -> Iterator[RawRow]:
    names = header_of(text)
    rows = rows_of(text)
    _, header = next(rows, (1, ""))
    if not set(form.values()) <= set(names):
        raise UnknownFormError(
            f"expected a first row that names the columns {','.join(form.values())}, "
            f"found {header[:KEPT_TEXT_LENGTH]!r}"
        )
    places = {field: names.index(column) for field, column in form.items()}
    expected_count = max(places.values()) + 1
    places |= {field: names.index(column) for field, column in options.items() if column in names}
    for line, row in rows:
        try:
            found = parse_fields(row)
        except ValueError as error:
            yield RawRow(line, row, problem=str(error))
            continue
        if len(found) < expected_count:
            problem = f"expected {expected_count} columns, found {len(found)}"
            yield RawRow(line, row, problem=problem)
            continue
        fields = {field: found[place] for field, place in places.items() if place < len(found)}
        yield RawRow(line, row, {**unsaid, **fields})
