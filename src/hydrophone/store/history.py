"""What the service keeps and forgets: the `History` of retention, on an open store."""

from functools import partial
from typing import Final

from hydrophone.domain.units import UnixMicros
from hydrophone.pipeline.ports import Clock
from hydrophone.store.daily import due_days, write_days
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.retention import (
    EndedPrediction,
    drop_background,
    drop_contents,
    drop_predictions,
    find_contents,
    find_predictions,
    newest_instant,
)

STEP_LIMIT: Final = 500
"""Things removed in one transaction. # chosen: takes as long as committing a whale, as 50 do."""
_STEPS_FOUND: Final = 20
"""What so many steps remove is looked up at once. # chosen: that reads whole tables, beside the writer."""


class StoredHistory:
    """History in a store, removed in an order that leaves nothing half told.

    Predictions go first, with all that hangs on them; then what the record said of them; then what they were
    computed from.

    Args:
        store: open.
        clock: now, for when a day was computed.
        step_limit: so many things are removed in one transaction.
    """

    def __init__(self, store: DuckDbStore, clock: Clock, *, step_limit: int = STEP_LIMIT) -> None:
        self._store = store
        self._clock = clock
        self._step_limit = step_limit
        self._ended: list[EndedPrediction] = []
        self._seqs: list[int] = []
        self._looked_to_seq = 0

    async def newest_instant(self) -> UnixMicros | None:
        """Return when the newest thing that was said had been heard; None: nothing was."""
        return await self._store.read(newest_instant)

    async def update_days(self, kept_from: UnixMicros | None) -> int:
        """Bring the table of days up to date; say how many changed."""
        due = await self._store.read(lambda cursor: due_days(cursor, kept_from))
        if due:
            await self._store.write(partial(write_days, due=due, at=self._clock()))
        return len(due)

    async def drop_step(self, before: UnixMicros) -> int:
        """Remove a few things of before an instant; say how many, 0 when nothing is left to remove."""
        limit, found = self._step_limit, self._step_limit * _STEPS_FOUND
        if not self._ended:
            self._ended = await self._store.read(lambda cursor: find_predictions(cursor, before, found))
        if ended := self._ended[:limit]:
            await self._store.write(lambda connection: drop_predictions(connection, ended))
            del self._ended[:limit]
            return len(ended)
        if not self._seqs:
            after = self._looked_to_seq
            self._seqs = await self._store.read(lambda cursor: find_contents(cursor, before, after, found))
        if seqs := self._seqs[:limit]:
            await self._store.write(lambda connection: drop_contents(connection, seqs))
            self._looked_to_seq = seqs[-1]
            del self._seqs[:limit]
            return len(seqs)
        self._looked_to_seq = 0  # of a prediction that is still open now, the next time
        return await self._store.write(lambda connection: drop_background(connection, before, limit))
