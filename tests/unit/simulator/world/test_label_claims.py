import csv
import io
from pathlib import Path

import pytest

from hydrophone.domain.script import Network, script_from_address
from hydrophone.simulator.world.habits import Habits
from hydrophone.simulator.world.label_claims import LabelQuality, write_labels
from hydrophone.simulator.world.wallets import Role
from hydrophone.simulator.world.world import World
from hydrophone.store.label_files import load_label_file
from tests.unit.simulator.world.worlds import LIVELY, START


@pytest.fixture(scope="module")
def world() -> World:
    return World(LIVELY, Habits())


def rows_of(world: World, quality: LabelQuality, seed: int = 1) -> list[dict[str, str]]:
    text = write_labels(world.organisations, quality, Network.MAINNET, seed=seed, as_of=START)
    return list(csv.DictReader(io.StringIO(text)))


def owner_by_script(world: World) -> dict[bytes, tuple[str, Role]]:
    return {
        script.raw: (exchange.name, wallet.role)
        for exchange in world.organisations.exchanges
        for wallet in (exchange.hot, exchange.cold, exchange.deposits)
        for script in wallet.scripts
    }


def test_a_perfect_file_names_every_published_wallet_rightly(world: World) -> None:
    owners = owner_by_script(world)
    rows = [r for r in rows_of(world, LabelQuality(coverage=1.0)) if r["kind"] == "exchange"]
    found = {script_from_address(r["address"], Network.MAINNET): r for r in rows}
    published = {raw for raw, (_, role) in owners.items() if role in {Role.HOT, Role.COLD}}
    assert published <= set(found)
    for raw, row in found.items():
        assert (row["entity"], row["role"]) == (owners[raw][0], owners[raw][1].value)


def test_coverage_staleness_and_errors_are_shares(world: World) -> None:
    owners = owner_by_script(world)
    deposits = sum(role is Role.DEPOSIT for _, role in owners.values())
    rows = rows_of(world, LabelQuality(deposits=0.24, staleness=0.25, errors=0.1))
    rows = [r for r in rows if r["role"] == "deposit"]
    assert len(rows) == pytest.approx(deposits * 0.24, rel=0.1)
    scripts = [(script_from_address(r["address"], Network.MAINNET), r["entity"]) for r in rows]
    current = [(raw, entity) for raw, entity in scripts if raw in owners]
    assert 1 - len(current) / len(rows) == pytest.approx(0.25, abs=0.06)
    wrong = sum(owners[raw][0] != entity for raw, entity in current)
    assert wrong / len(current) == pytest.approx(0.1, abs=0.05)


def test_the_service_reads_the_file_without_a_complaint(world: World, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(write_labels(world.organisations, LabelQuality(), Network.MAINNET, seed=1, as_of=START))
    file = load_label_file(path, Network.MAINNET)
    assert file.rejected == ()
    assert len(file.labels) > 500


def test_the_same_seed_gives_the_same_file(world: World) -> None:
    quality = LabelQuality(errors=0.5)
    assert rows_of(world, quality) == rows_of(world, quality)
    assert rows_of(world, quality, seed=2) != rows_of(world, quality)


@pytest.mark.parametrize("name", ["coverage", "deposits", "staleness", "errors"])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_share_outside_its_bounds_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        LabelQuality(**{name: value})
