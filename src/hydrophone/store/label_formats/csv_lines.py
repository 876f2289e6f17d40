"""Lines of CSV: one line is one row.

No field of a label holds a line break, and so a stray quote spoils its own line instead of swallowing those
below.
"""

import csv
import io
from collections.abc import Iterator
from typing import Final

MAX_ROW_LENGTH: Final = 10_000
"""Characters. chosen: twenty times our longest row; what is longer is no label."""


def rows_of(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line that holds more than commas and spaces."""
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if line.strip(", \t\r\n"):
            yield number, line.strip()


def parse_fields(row: str) -> list[str]:
    """Return the fields of one CSV row without the spaces around them.

    Raises:
        ValueError: it is longer than any label.
    """
    if len(row) > MAX_ROW_LENGTH:
        raise ValueError(f"expected a row of at most {MAX_ROW_LENGTH} characters, found {len(row)}")
    (fields,) = csv.reader([row], skipinitialspace=True)
    return [field.strip() for field in fields]


def header_of(text: str) -> list[str]:
    """Return the fields of the first row in lower case; empty when there is none that can be read."""
    _, row = next(rows_of(text), (1, ""))
    try:
        return [name.casefold() for name in parse_fields(row)]
    except ValueError:
        return []
