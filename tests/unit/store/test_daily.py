"""The table of days, and the last hours, as the outcomes tell them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from hydrophone.domain.accuracy import AccuracyDay, WindowCounts
from hydrophone.domain.confirmation import DEPTH, ConfirmationEstimate
from hydrophone.domain.events import RaiseSignal, RecordOutcome
from hydrophone.domain.forecast import Forecast
from hydrophone.domain.outcome import Status
from hydrophone.domain.signal import Signal
from hydrophone.domain.units import Height, UnixMicros
from hydrophone.domain.urgency import Urgency, UrgencyBasis
from hydrophone.errors import StoreMismatch
from hydrophone.pipeline.ports import Entry, Handover, Publication
from hydrophone.store.daily import days_of, due_days, read_days
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.history import StoredHistory
from tests.contract.fake_store import DAY, T0, later, outcome_of, reopening_of, whale
from tests.unit.store.test_record_chain import former_database

TODAY = date(2026, 11, 22)
MIDNIGHT = UnixMicros(T0 // DAY * DAY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[DuckDbStore]:
    store = DuckDbStore(path, address_of=bytes.hex)
    await store.open()
    yield store
    await store.close()


class Diary:
    """Stores whales and what became of them."""

    def __init__(self, store: DuckDbStore) -> None:
        self.store = store
        self.seq = 0
        self.number = 0

    async def say(self, *effects: RaiseSignal | RecordOutcome) -> None:
        entries: list[Entry] = []
        for effect in effects:
            self.seq += 1
            entries.append(Publication(self.seq, effect, b"{}"))
        await self.store.commit(entries)

    def signal(self, at: UnixMicros, *, p: float | None = 0.75, simulated: bool = False) -> Signal:
        """Return a whale that is said to be confirmed within 10 (P50) or 20 (P90) minutes; p None: unsaid."""
        self.number += 1
        signal = replace(whale(self.number, detected_at=at), is_simulated=simulated)
        if p is None:
            return signal
        estimate = ConfirmationEstimate(Height(969_999), (p,) * DEPTH, 0.0, 0.0, 600.0, 1_200.0)
        urgency = Urgency(0.5, UrgencyBasis.FEE_MARKET, "why")
        return replace(signal, forecast=Forecast(urgency, estimate, None, "1-abc"))

    async def ended(
        self,
        at: UnixMicros,
        after_s: float,
        status: Status = Status.CONFIRMED,
        *,
        p: float | None = 0.75,
        simulated: bool = False,
    ) -> Signal:
        signal = self.signal(at, p=p, simulated=simulated)
        await self.say(RaiseSignal(at, signal))
        await self.store.commit(
            [Handover(signal.prediction_id, at, UnixMicros(at + 1_000_000), is_first=True)]
        )
        await self.say(RecordOutcome(outcome_of(signal, status, ended_at=later(after_s, at))))
        return signal


async def stored_days(store: DuckDbStore) -> list[AccuracyDay]:
    return list(await store.query_days(1_000))


async def update(store: DuckDbStore, kept_from: UnixMicros | None = None) -> int:
    return await StoredHistory(store, lambda: later(0)).update_days(kept_from)


async def test_a_day_is_counted_by_when_predictions_ended(store: DuckDbStore) -> None:
    diary = Diary(store)
    await diary.ended(T0, 500)
    await diary.ended(T0, 700, p=0.5)
    await diary.ended(T0, 1_201)
    await diary.ended(T0, 900, Status.REPLACED)
    await diary.ended(T0, 900, Status.DROPPED, p=None)
    await diary.ended(T0, 400, p=None)
    await diary.ended(UnixMicros(MIDNIGHT + DAY - 1), 2, simulated=True)
    await diary.say(RaiseSignal(T0, diary.signal(T0)))
    assert await update(store) == 2
    first, second = await stored_days(store)
    assert first == AccuracyDay(
        day=TODAY,
        simulated=False,
        confirmed=4,
        replaced=1,
        dropped=1,
        scored=4,
        accuracy_score=(0.9375 + 0.75 + 0.9375 + 0.4375) / 4,
        p50_known=3,
        p50_met=1,
        p90_known=3,
        p90_met=2,
        median_lead_time_s=(499 + 699) / 2,
    )
    assert (second.day, second.simulated, second.confirmed) == (date(2026, 11, 23), True, 1)
    assert await update(store) == 0, "nothing has changed"


async def test_a_reorg_takes_an_outcome_back_and_the_day_follows(store: DuckDbStore) -> None:
    diary = Diary(store)
    await diary.ended(T0, 500, Status.DROPPED)
    signal = await diary.ended(T0, 500)
    await update(store)
    await diary.say(reopening_of(signal, later(600)))  # type: ignore[arg-type] # an effect like the others
    assert await update(store) == 1
    assert [(day.confirmed, day.dropped) for day in await stored_days(store)] == [(0, 1)]
    late = outcome_of(signal, Status.CONFIRMED, ended_at=UnixMicros(T0 + DAY))
    await diary.say(RecordOutcome(late))
    await update(store)
    assert [(day.day.day, day.confirmed) for day in await stored_days(store)] == [(22, 0), (23, 1)]


async def test_a_day_whose_only_outcome_is_taken_back_goes(store: DuckDbStore) -> None:
    diary = Diary(store)
    signal = await diary.ended(T0, 500)
    await update(store)
    await diary.say(reopening_of(signal, later(600)))  # type: ignore[arg-type] # an effect like the others
    assert await update(store) == 1
    assert await stored_days(store) == []


async def test_a_day_is_never_lost_by_what_retention_removed(store: DuckDbStore) -> None:
    diary = Diary(store)
    for _ in range(3):
        await diary.ended(T0, 500)
    tomorrow = UnixMicros(MIDNIGHT + DAY)
    await update(store)
    before = await stored_days(store)
    await store.write(
        lambda c: c.execute("DELETE FROM prediction_outcomes WHERE rowid = 0")  # a step of retention
    )
    assert await update(store, tomorrow) == 0
    await store.write(lambda c: c.execute("DELETE FROM prediction_outcomes"))
    assert await update(store, tomorrow) == 0
    assert await stored_days(store) == before


async def test_a_day_before_the_cutoff_that_was_never_counted_is_counted_once(store: DuckDbStore) -> None:
    diary = Diary(store)
    await diary.ended(T0, 500)
    assert await update(store, UnixMicros(MIDNIGHT + DAY)) == 1
    assert [day.confirmed for day in await stored_days(store)] == [1]


async def test_what_is_asked_for_is_counted_also_before_the_table_is(store: DuckDbStore, path: Path) -> None:
    diary = Diary(store)
    await diary.ended(T0, 500)
    await diary.ended(UnixMicros(T0 + 9 * DAY), 500)
    assert [day.day.day for day in await stored_days(store)] == [22, 1]
    assert [day.day.day for day in await store.query_days(9)] == [1]
    assert await store.read(lambda c: len(due_days(c, None))) == 2
    await store.close()
    assert [day.day.day for day in await asyncio.to_thread(read_days, path, 10.0)] == [22, 1]
    await store.open()


async def test_nothing_stored_is_no_day(store: DuckDbStore) -> None:
    assert await update(store) == 0
    assert await store.read(lambda c: days_of(c, 90)) == ()


async def test_the_last_hours_count_the_confirmed_of_one_kind_of_mempool(store: DuckDbStore) -> None:
    diary = Diary(store)
    await diary.ended(T0, 500)
    await diary.ended(T0, 1_300)
    await diary.ended(T0, 600, p=None)
    await diary.ended(T0, 600, Status.DROPPED)
    await diary.ended(T0, 600, simulated=True)
    await diary.ended(UnixMicros(T0 - DAY), 600)
    assert await store.query_window(T0, is_simulated=False) == WindowCounts(2, 1)
    assert await store.query_window(T0, is_simulated=True) == WindowCounts(1, 1)
    assert await store.query_window(UnixMicros(T0 - DAY), is_simulated=False) == WindowCounts(3, 2)


def test_a_database_without_days_says_what_to_do(path: Path) -> None:
    former_database(path, 1)
    with pytest.raises(StoreMismatch, match="hydrophone db migrate"):
        read_days(path, 90)
