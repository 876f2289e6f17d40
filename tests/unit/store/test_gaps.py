from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hydrophone.domain.units import MICROS_PER_S, UnixMicros, datetime_from_micros
from hydrophone.pipeline.ports import BlockCounts, GapPeriod, StoredGaps
from hydrophone.store.gaps import gaps_of
from hydrophone.store.schema import open_database
from tests.builders import START

DAY_S = 86_400


def after(second: float) -> UnixMicros:
    return UnixMicros(START + round(second * MICROS_PER_S))


class Ledger:
    """A database with gaps and blocks, times in seconds."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def clear(self) -> None:
        self.connection.execute("DELETE FROM source_gaps")
        self.connection.execute("DELETE FROM blocks")

    def gap(
        self, started_s: float, ended_s: float, *, source: str = "s", reason: str = "reconnected"
    ) -> None:
        self.connection.execute(
            "INSERT INTO source_gaps VALUES (?, ?, ?, ?, 'why')",
            [source, reason, _naive(started_s), _naive(ended_s)],
        )

    def block(self, heard_s: float, whales: int | None = None, unseen: int | None = None) -> None:
        self.connection.execute(
            "INSERT INTO blocks (height, block_hash, previous_hash, heard_at, whales, unseen) "
            "VALUES (1, 'a', 'b', ?, ?, ?)",
            [_naive(heard_s), whales, unseen],
        )

    def ask(self, begun_s: float, ended_s: float, *, open_s: float | None = None) -> StoredGaps:
        open_from = None if open_s is None else after(open_s)
        return gaps_of(self.connection, GapPeriod(after(begun_s), after(ended_s), open_from))


def _naive(second: float) -> object:
    return datetime_from_micros(after(second)).replace(tzinfo=None)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    path: Path = tmp_path_factory.mktemp("ledger") / "x.db"
    with closing(open_database(path)) as connection:
        yield Ledger(connection)


@pytest.fixture
def ledger(shared: Ledger) -> Ledger:
    shared.clear()
    return shared


def test_of_nothing_known_nothing_is_said(ledger: Ledger) -> None:
    found = ledger.ask(0, DAY_S)
    assert found == StoredGaps(after(DAY_S), (), 0, 0.0, BlockCounts(0, 0, 0, 0), None)


def test_a_gap_says_who_was_blind_when_and_what_was_mined_meanwhile(ledger: Ledger) -> None:
    ledger.block(50, 3, 0)
    ledger.gap(100, 700)
    ledger.block(300, 5, 4)
    ledger.block(640, 2, 2)
    ledger.block(650)  # its contents were not told yet
    ledger.block(730, 1, 1)  # missed, and asked for when the source was back
    ledger.block(1_300, 4, 0)
    found = ledger.ask(0, 2_000)
    [gap] = found.gaps
    assert (gap.source, gap.reason, gap.detail) == ("s", "reconnected", "why")
    assert (gap.started_at, gap.ended_at) == (after(100), after(700))
    assert gap.blocks == BlockCounts(blocks=4, read=3, whales=8, unseen=7)
    assert found.blocks == BlockCounts(blocks=6, read=5, whales=15, unseen=7)
    assert found.blind_s == 600.0
    assert found.begun_at == after(50)  # nothing was known before


def test_gaps_that_overlap_are_both_told_and_counted_once(ledger: Ledger) -> None:
    ledger.gap(100, 200)
    ledger.gap(150, 260, source="other")
    ledger.gap(120, 130)
    ledger.gap(260, 300)
    ledger.gap(400, 400, reason="malformed")
    ledger.block(180, 10, 10)
    found = ledger.ask(0, 1_000)
    assert found.gap_count == len(found.gaps) == 5
    assert found.blind_s == 200.0
    assert found.blocks == BlockCounts(1, 1, 10, 10)


def test_the_newest_come_first(ledger: Ledger) -> None:
    for begun in (300, 100, 200):
        ledger.gap(begun, begun + 10)
    assert [gap.started_at for gap in ledger.ask(0, 1_000).gaps] == [after(300), after(200), after(100)]


def test_only_what_falls_into_the_period_counts(ledger: Ledger) -> None:
    ledger.gap(0, 100)
    ledger.gap(150, 350)
    ledger.gap(800, 1_200)
    ledger.gap(5_000, 6_000)
    ledger.block(100, 9, 9)
    ledger.block(500, 1, 0)
    found = ledger.ask(300, 1_000)
    assert [gap.started_at for gap in found.gaps] == [after(800), after(150)]
    assert found.blind_s == 50.0 + 200.0
    assert found.blocks == BlockCounts(1, 1, 1, 0)
    assert found.begun_at == after(300)


def test_the_gap_that_is_open_counts_too(ledger: Ledger) -> None:
    ledger.gap(100, 200)
    ledger.block(350, 2, 1)
    found = ledger.ask(0, 500, open_s=300)
    assert (found.gap_count, len(found.gaps)) == (1, 1)
    assert found.blind_s == 300.0
    assert found.blocks_of_open_gap == BlockCounts(1, 1, 2, 1)


def test_a_service_that_never_heard_anything_was_blind_from_its_start(ledger: Ledger) -> None:
    found = ledger.ask(0, 500, open_s=100)
    assert (found.begun_at, found.blind_s, found.gap_count) == (after(100), 400.0, 0)


def test_of_very_many_the_newest_are_told_and_all_are_counted(ledger: Ledger) -> None:
    ledger.connection.execute(
        "INSERT INTO source_gaps SELECT 's', 'reconnected', t, t + INTERVAL 1 SECOND, '' "
        "FROM (SELECT make_timestamp(?) + to_seconds(4 * i) AS t FROM range(2500) r(i))",
        [START],
    )
    found = ledger.ask(0, 20_000)
    assert (len(found.gaps), found.gap_count, found.blind_s) == (1_000, 2_500, 2_500.0)
    assert found.gaps[0].started_at == after(4 * 2_499)


SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SPANS, st.none() | st.integers(0, 50), st.integers(0, 40))
def test_the_time_blind_is_that_of_each_second_that_any_gap_covers(
    ledger: Ledger, spans: Sequence[tuple[int, int]], open_s: int | None, begun_s: int
) -> None:
    ledger.clear()
    for started_s, length_s in spans:
        ledger.gap(started_s, started_s + length_s)
    found = ledger.ask(begun_s, 60, open_s=open_s)
    blind = {second for started, length in spans for second in range(started, started + length)}
    blind |= set() if open_s is None else set(range(open_s, 60))
    assert found.blind_s == len(blind & set(range(begun_s, 60)))
