"""Shows the record to whoever wants to check it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from hydrophone.domain.record import RecordEntry, RecordPage
from hydrophone.domain.units import UnixMicros, format_instant
from hydrophone.errors import ConfigError

PAGE_LIMIT: Final = 100
"""Entries in an answer at most. # chosen: some 300 kB, which are spelled in two milliseconds."""


class RecordDesk:
    """Answers which entries the record has, a page at a time.

    Args:
        query_record: reads entries after an index, at most so many, and the head.
    """

    def __init__(self, query_record: Callable[[int, int], Awaitable[RecordPage]]) -> None:
        self._query_record = query_record

    async def answer(self, query: Mapping[str, str]) -> dict[str, object]:
        """Return entries after `since` (an index; default 0), at most `limit`, and the head.

        Raises:
            ConfigError: one of them is no number that an answer can have.
            StoreError: the record cannot be read.
        """
        since = _number(query, "since", default=0, low=0, high=2**62)
        limit = _number(query, "limit", default=PAGE_LIMIT, low=1, high=PAGE_LIMIT)
        page = await self._query_record(since, limit)
        return {
            "entries": [_in_json(entry) for entry in page.entries],
            "head": {"seq": page.head_seq, "hash": page.head_hash.hex()},
        }


def _number(query: Mapping[str, str], name: str, *, default: int, low: int, high: int) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or not low <= int(text) <= high:
        raise ConfigError(f"expected {name} as a whole number from {low} to {high}, found {text[:40]!r}")
    return int(text)


def _format_any(instant: UnixMicros) -> str:
    """Return an instant as text; one that no calendar has, of an entry that was changed, as its number."""
    try:
        return format_instant(instant)
    except OverflowError:
        return str(instant)


def _in_json(entry: RecordEntry) -> dict[str, object]:
    return {
        "seq": entry.seq,
        "recorded_at": _format_any(entry.recorded_at),
        "kind": entry.kind,
        "prediction_id": entry.prediction_id,
        "digest": entry.digest.hex(),
        "hash": entry.hash.hex(),
        "message": None if entry.message is None else entry.message.decode(),
    }
