"""What was said, read for subscribers that were away: the `RecordReader` on an open store."""

from collections.abc import Collection, Mapping, Sequence

from hydrophone.domain.record import RecordEntry
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.record_chain import read_alerts, read_range


class StoredRecord:
    """The record in a store.

    Args:
        store: open.
    """

    def __init__(self, store: DuckDbStore) -> None:
        self._store = store

    async def read_entries(self, since: int, limit: int) -> Sequence[RecordEntry]:
        """Return entries in order after an index, at most so many."""
        return await self._store.read(lambda cursor: read_range(cursor, since + 1, since + limit))

    async def read_alerts(self, prediction_ids: Collection[str]) -> Mapping[str, Sequence[bytes]]:
        """Return alerts and amendments of predictions, in order, as far as their contents are kept."""
        return await self._store.read(lambda cursor: read_alerts(cursor, prediction_ids))

    async def read_open_alerts(self) -> Mapping[str, Sequence[bytes]]:
        """Return alerts and amendments of all predictions that have no outcome."""
        return await self._store.read(lambda cursor: read_alerts(cursor, None))
