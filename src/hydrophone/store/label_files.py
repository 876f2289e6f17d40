"""Label files: the curated set that ships with the package, and the CSV files of the operator.

Two forms are read, told apart by their header: our own, which states every field of a claim, and the
quickstart's, which names an exchange and a type. A bad row is reported and left out; it never ends anything.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Final

from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.script import Network, script_from_address
from hydrophone.errors import ConfigError

CURATED_COLUMNS: Final = ("address", "entity", "kind", "role", "confidence", "as_of", "sources")
"""The header of our own form."""
QUICKSTART_COLUMNS: Final = ("exchange_name", "address", "type")
"""The header of the quickstart's form: each row is about an exchange and states no confidence or date."""

DEFAULT_CONFIDENCE: Final = 0.90
"""Of a claim that states none. chosen: between one entity's own old list (.93) and what two independent
groups say (.85): the operator trusts the file, and we cannot tell why."""

_CURATED_FILE: Final = "curated_labels.csv"
_CURATED_FORM: Final = {column: column for column in CURATED_COLUMNS}
_QUICKSTART_FORM: Final = {"entity": "exchange_name", "address": "address", "role": "type"}
_UNSTATED: Final = {"kind": EntityKind.EXCHANGE.value, "confidence": "", "as_of": "", "sources": ""}
"""What a row of the quickstart's form leaves unsaid."""

_ROLES: Final[Mapping[str, Role]] = {
    **{role.value: role for role in Role},
    "hot_wallet": Role.HOT,
    "cold_wallet": Role.COLD,
    "deposit_address": Role.DEPOSIT,
    "deposit_wallet": Role.DEPOSIT,
}

_MAX_ROW_LENGTH: Final = 10_000
"""Characters. chosen: twenty times our longest row; what is longer is no label."""
_KEPT_TEXT_LENGTH: Final = 200
"""Characters of a rejected row. chosen: enough to find it by; a file of junk does not fill the memory."""


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was not loaded.

    Attributes:
        line: where it stands in the file; the first line is 1.
        reason: what was expected and what was found.
        text: its beginning.
    """

    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class LabelFile:
    """What a label file says.

    Attributes:
        path: the file.
        labels: the claims of its good rows, in order.
        rejected: its bad rows, in order.
    """

    path: Path
    labels: tuple[Label, ...]
    rejected: tuple[RejectedRow, ...]


def load_curated(network: Network) -> tuple[Label, ...]:
    """Return the claims that ship with the package; none but on mainnet, whose addresses they are."""
    if network is not Network.MAINNET:
        return ()
    text = (resources.files("hydrophone.store") / _CURATED_FILE).read_text(encoding="utf-8")
    labels, rejected = _parse_lines(text.splitlines(), network, source=_CURATED_FILE)
    assert not rejected, rejected
    return labels


def load_label_file(path: Path, network: Network) -> LabelFile:
    """Read a label file.

    Args:
        path: CSV in UTF-8. Its header names all of `CURATED_COLUMNS` or of `QUICKSTART_COLUMNS`, in any
            order; other columns are ignored.
        network: the one its addresses must belong to.

    Raises:
        ConfigError: it cannot be read, is not text in UTF-8, or has neither header.
    """
    try:
        with path.open(encoding="utf-8-sig") as lines:  # spreadsheets write a byte order mark
            return LabelFile(path, *_parse_lines(lines, network, source=path.name))
    except OSError as error:
        raise ConfigError(f"label file {path}: expected a file that can be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"label file {path}: expected text in UTF-8, found the byte {error.object[error.start]:#04x}; "
            "save it as CSV in UTF-8"
        ) from error
    except _UnknownHeaderError as error:
        raise ConfigError(f"label file {path}: {error}") from error


def build_label_book(network: Network, paths: Sequence[Path]) -> tuple[LabelBook, tuple[LabelFile, ...]]:
    """Return the book of the curated claims and those of the files, and what each file said.

    Raises:
        ConfigError: a file cannot be used at all.
    """
    files = tuple(load_label_file(path, network) for path in paths)
    return LabelBook([*load_curated(network), *(label for file in files for label in file.labels)]), files


class _UnknownHeaderError(Exception):
    """The first row names the columns of neither form."""


def _parse_lines(
    lines: Iterable[str], network: Network, *, source: str
) -> tuple[tuple[Label, ...], tuple[RejectedRow, ...]]:
    """Return the claims and the rejected rows of CSV lines, the first of which is the header.

    One line is one row. No field of a label holds a line break, and so a stray quote spoils its own line
    instead of swallowing those below.
    """
    rows = ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip(", \t\r\n"))
    columns = _parse_header(next(rows, (1, ""))[1])
    labels: list[Label] = []
    rejected: list[RejectedRow] = []
    for number, row in rows:
        try:
            labels.append(_parse_label(_parse_row(row, columns), network, source=source))
        except ValueError as error:
            rejected.append(RejectedRow(number, str(error), row[:_KEPT_TEXT_LENGTH]))
    return tuple(labels), tuple(rejected)


def _parse_header(row: str) -> Mapping[str, int]:
    """Return where each field of a claim stands in a row."""
    try:
        names = [name.casefold() for name in _parse_fields(row)]
    except ValueError:
        names = []
    for form in (_CURATED_FORM, _QUICKSTART_FORM):
        if set(form.values()) <= set(names):
            return {field: names.index(column) for field, column in form.items()}
    raise _UnknownHeaderError(
        f"expected a first row that names the columns {','.join(QUICKSTART_COLUMNS)} "
        f"or {','.join(CURATED_COLUMNS)}, found {row[:_KEPT_TEXT_LENGTH]!r}"
    )


def _parse_row(row: str, columns: Mapping[str, int]) -> Mapping[str, str]:
    """Return the fields of a claim as text, or raise ValueError with what is wrong."""
    fields = _parse_fields(row)
    expected_count = max(columns.values()) + 1
    if len(fields) < expected_count:
        raise ValueError(f"expected {expected_count} columns, found {len(fields)}")
    return _UNSTATED | {field: fields[index] for field, index in columns.items()}


def _parse_fields(row: str) -> list[str]:
    """Return the fields of one CSV row without the spaces around them."""
    if len(row) > _MAX_ROW_LENGTH:
        raise ValueError(f"expected a row of at most {_MAX_ROW_LENGTH} characters, found {len(row)}")
    (fields,) = csv.reader([row], skipinitialspace=True)
    return [field.strip() for field in fields]


def _parse_label(fields: Mapping[str, str], network: Network, *, source: str) -> Label:
    """Return the claim that fields state, or raise ValueError with what is wrong.

    Args:
        fields: a text for each of `CURATED_COLUMNS`; confidence, as_of and sources may be empty.
        network: the one its address must belong to.
        source: name of the file.
    """
    entity = Entity(fields["entity"], _parse_kind(fields["kind"]))
    if not (entity.key and entity.name.isprintable()):
        raise ValueError(f"expected a name with a letter or digit, found {entity.name!r}")
    return Label(
        script=script_from_address(fields["address"], network),
        entity=entity,
        role=_parse_role(fields["role"]),
        source=source,
        confidence=_parse_confidence(fields["confidence"]),
        as_of=_parse_date(fields["as_of"]),
        citation=fields["sources"],
    )


def _parse_kind(text: str) -> EntityKind:
    try:
        return EntityKind(text.casefold())
    except ValueError:
        raise ValueError(f"expected a kind of {', '.join(EntityKind)}, found {text!r}") from None


def _parse_role(text: str) -> Role:
    """Return a role; a word we do not know is no reason to doubt who the script belongs to."""
    return _ROLES.get(text.casefold().replace(" ", "_").replace("-", "_"), Role.UNKNOWN)


def _parse_confidence(text: str) -> float:
    if not text:
        return DEFAULT_CONFIDENCE
    try:
        confidence = float(text)
    except ValueError:
        confidence = -1.0
    if not 0 <= confidence <= 1:
        raise ValueError(f"expected a confidence from 0 to 1, found {text!r}")
    return confidence


def _parse_date(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected a date such as 2026-09-23, found {text!r}") from None
