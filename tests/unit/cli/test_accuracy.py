import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hydrophone.cli import main
from hydrophone.domain.confirmation import DEPTH, ConfirmationEstimate
from hydrophone.domain.events import Effect, RaiseSignal, RecordMarket, RecordOutcome
from hydrophone.domain.feemarket import FeeMarket
from hydrophone.domain.forecast import Forecast, MarketView
from hydrophone.domain.outcome import Status
from hydrophone.domain.units import FeeRate, Height
from hydrophone.domain.urgency import Urgency, UrgencyBasis
from hydrophone.pipeline.ports import Entry, Notation
from hydrophone.store.duckdb_store import DuckDbStore
from tests.contract.fake_store import later, outcome_of, publication, whale

Capture = pytest.CaptureFixture[str]
BLOCKS = 30
BY_BLOCK = 4


def effects(made_after_s: int | None = None) -> list[Effect]:
    """Return whales of thirty blocks, all mined in the next: half of them were said to be likely."""
    found: list[Effect] = []
    for block in range(BLOCKS):
        at, tip = later(600 * block), Height(970_000 + block)
        found.append(RecordMarket(at, FeeMarket.from_rates([], [], tip=tip)))
        for number in range(BY_BLOCK):
            signal = whale(BY_BLOCK * block + number, detected_at=later(600 * block + number))
            estimate = ConfirmationEstimate(
                tip, (0.9 if number % 2 else 0.5,) * DEPTH, 0.01, 0.0, 300.0, 900.0
            )
            view = MarketView(at, tip, 600.0, 1e6, 5.0, 1.0, FeeRate(1.0), 2.0)
            made_at = None if made_after_s is None else later(600 * block + made_after_s)
            urgency = Urgency(0.5, UrgencyBasis.FEE_MARKET, "why")
            forecast = Forecast(urgency, estimate, view, "1-abc", made_at=made_at)
            signal = replace(signal, forecast=forecast)
            found.append(RaiseSignal(signal.detected_at, signal))
            mined = outcome_of(signal, Status.CONFIRMED, ended_at=later(600 * block + 600), height=tip + 1)
            found.append(RecordOutcome(mined))
    for block in range(BLOCKS, BLOCKS + 24):  # so that what came before is old enough to be judged
        quiet = FeeMarket.from_rates([], [], tip=Height(970_000 + block))
        found.append(RecordMarket(later(600 * block), quiet))
    return found


def entries_of(effects: Sequence[Effect]) -> list[Entry]:
    entries: list[Entry] = []
    seq = 0
    for effect in effects:
        if isinstance(effect, RecordMarket):
            entries.append(Notation(effect))
        else:
            seq += 1
            entries.append(publication(seq, effect))
    return entries


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return filled(tmp_path / "predictions.db", effects())


def filled(path: Path, told: Sequence[Effect]) -> Path:

    async def fill(entries: list[Entry]) -> None:
        store = DuckDbStore(path, address_of=bytes.hex)
        await store.open()
        await store.commit(entries)
        await store.close()

    asyncio.run(fill(entries_of(told)))
    return path


def accuracy(path: Path, *arguments: str) -> int:
    return main(["accuracy", "--store-path", str(path), "--api-port", "0", *arguments])


def test_a_database_tells_how_good_its_forecasts_were(database: Path, capsys: Capture) -> None:
    assert accuracy(database, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["forecasts"], found["blocks"], found["waiting"]) == (120, BLOCKS, 0)
    assert found["simulated"] == 120
    assert found["horizons"]["1"]["said"] == pytest.approx(0.7)
    assert found["horizons"]["1"]["came"] == 1
    assert found["coverage"]["p50"]["value"] == 0
    assert found["coverage"]["p90"]["value"] == 1


def test_minutes_count_from_when_a_forecast_was_made(tmp_path: Path, capsys: Capture) -> None:
    """A child paid after 400 s: what was said then came true within its 300 s."""
    assert accuracy(filled(tmp_path / "rescued.db", effects(made_after_s=400)), "--json") == 0
    assert json.loads(capsys.readouterr().out)["coverage"]["p50"]["value"] == 1


def test_in_words_it_is_a_table(database: Path, capsys: Capture) -> None:
    assert accuracy(database) == 0
    out = capsys.readouterr().out
    assert "120 forecasts over 30 blocks in 90 days, 120 of them SIMULATED, 0 still waiting" in out
    assert "1 block     120      30  0.700  1.000" in out
    assert "confirmed within P90 (90 % wanted): 1.000 [1.000, 1.000] (n=120 over 30 blocks)" in out


def test_each_day_has_a_line_and_its_n(database: Path, capsys: Capture) -> None:
    assert accuracy(database) == 0
    out = capsys.readouterr().out
    score = (60 * (1 - 0.5**2) + 60 * (1 - 0.1**2)) / 120
    assert f"mean accuracy score (1 - Brier at the predicted block): {score:.3f} (n=120 SIMULATED)" in out
    [day] = [line for line in out.splitlines() if line.startswith("2026-")]
    assert day.split() == f"2026-11-22 120 0 0 {score:.3f} (120) 0/120 120/120 10.0 min SIMULATED".split()
    assert accuracy(database, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accuracy_score"]["real"] == {"insufficient_data": True, "n": 0}
    assert [day["confirmed"] for day in found["daily"]] == [120]


def test_of_a_few_hours_it_says_that_they_are_too_few(database: Path, capsys: Capture) -> None:
    assert accuracy(database, "--days", "0.05") == 0
    out = capsys.readouterr().out
    assert "insufficient data" in out
    assert "%" not in out.replace("50 % wanted", "").replace("90 % wanted", "")


def test_it_is_drawn(database: Path, tmp_path: Path, capsys: Capture) -> None:
    drawing = tmp_path / "accuracy.png"
    assert accuracy(database, "--plot", str(drawing)) == 0
    assert drawing.read_bytes().startswith(b"\x89PNG")
    assert accuracy(database, "--days", "0.05", "--plot", str(tmp_path / "little.svg")) == 0
    assert "insufficient data" in capsys.readouterr().out
    assert accuracy(database, "--plot", str(tmp_path / "missing" / "x.png")) == 2
    assert "cannot be drawn" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    database: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert accuracy(database, "--plot", str(tmp_path / "x.png")) == 2
    assert "hydrophone[plot]" in capsys.readouterr().err


def test_days_that_are_none_are_refused(database: Path, capsys: Capture) -> None:
    assert accuracy(database, "--days", "many") == 2
    assert "a number of days" in capsys.readouterr().err


def test_without_a_database_it_is_exit_4(tmp_path: Path, capsys: Capture) -> None:
    assert accuracy(tmp_path / "none.db") == 4
    assert "there is no database" in capsys.readouterr().err
