import pytest

from hydrophone.domain.record import GENESIS, RecordEntry, RecordPage, next_entry
from hydrophone.errors import ConfigError
from hydrophone.pipeline.record import PAGE_LIMIT, RecordDesk
from tests.contract.fake_store import T0


class Shelf:
    """Keeps a record, and notes what is asked for."""

    def __init__(self, *entries: RecordEntry) -> None:
        self.entries = entries
        self.asked: list[tuple[int, int]] = []

    async def query(self, since: int, limit: int) -> RecordPage:
        self.asked.append((since, limit))
        newest = self.entries[-1] if self.entries else None
        head = (newest.seq, newest.hash) if newest else (0, GENESIS)
        return RecordPage(self.entries[since : since + limit], *head)


async def test_entries_come_as_they_are_kept_with_the_head() -> None:
    first = next_entry(GENESIS, 1, T0, "signal", "a", message='{"text":"🐋"}'.encode())
    second = RecordEntry(2, T0, "outcome", None, bytes(32), b"\x01" * 32, message=None)
    shelf = Shelf(first, second)
    assert await RecordDesk(shelf.query).answer({}) == {
        "entries": [
            {
                "seq": 1,
                "recorded_at": "2026-11-22T08:51:02.099989Z",
                "kind": "signal",
                "prediction_id": "a",
                "digest": first.digest.hex(),
                "hash": first.hash.hex(),
                "message": '{"text":"🐋"}',
            },
            {
                "seq": 2,
                "recorded_at": "2026-11-22T08:51:02.099989Z",
                "kind": "outcome",
                "prediction_id": None,
                "digest": "00" * 32,
                "hash": "01" * 32,
                "message": None,
            },
        ],
        "head": {"seq": 2, "hash": "01" * 32},
    }
    assert (await RecordDesk(shelf.query).answer({"since": "2", "limit": "7"}))["entries"] == []
    assert shelf.asked == [(0, PAGE_LIMIT), (2, 7)]


async def test_an_empty_record_has_no_head() -> None:
    assert await RecordDesk(Shelf().query).answer({}) == {
        "entries": [],
        "head": {"seq": 0, "hash": "00" * 32},
    }


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"since": "-1"}, "since as a whole number from 0"),
        ({"since": "x"}, "since"),
        ({"since": ""}, "since"),
        ({"since": "9" * 30}, "since"),
        ({"since": "²"}, "since"),
        ({"limit": "0"}, "limit as a whole number from 1 to 100"),
        ({"limit": "101"}, "limit"),
        ({"limit": "1.5"}, "limit"),
    ],
)
async def test_what_is_no_place_in_the_record_is_refused(query: dict[str, str], words: str) -> None:
    shelf = Shelf()
    with pytest.raises(ConfigError, match=words):
        await RecordDesk(shelf.query).answer(query)
    assert shelf.asked == []
