"""What the writer remembers of keys, so that most need not be looked up."""

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Final

import duckdb

_IDS_AT_ONCE: Final = 10_000
"""# chosen: ids read in one go: about 1 MB."""


class KnownIds:
    """Which values may be in a table, at 8 bytes each where a set of strings takes 100.

    "No" is certain; a "yes" that matters has to be looked up, as two values may have one hash. Looking every
    new one up would scan the table each time: 8 ms at 200,000 rows.
    """

    def __init__(self, values: Iterable[object]) -> None:
        self._hashes = array("q", sorted(map(hash, values)))

    def __contains__(self, value: object) -> bool:
        wanted = hash(value)
        place = bisect_left(self._hashes, wanted)
        return place < len(self._hashes) and self._hashes[place] == wanted

    def add(self, value: object) -> None:
        """Note that a value is in the table."""
        insort(self._hashes, hash(value))


def read_column(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> Iterator[object]:
    """Yield the values of a column, some at a time."""
    connection.execute(f"SELECT {column} FROM {table}")  # noqa: S608  our own names
    while page := connection.fetchmany(_IDS_AT_ONCE):
        yield from (value for (value,) in page)
