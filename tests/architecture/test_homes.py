"""Each third-party library has its home; a new dependency needs one before it can be used."""

import re
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]

HOMES = {
    "aiohttp": {"sources", "web", "client"},
    "backports": {"store"},
    "duckdb": {"store"},
    "matplotlib": {"cli"},
    "msgspec": {"wire"},
    "numpy": {"domain"},
    "psutil": {"runtime"},
    "structlog": {"runtime"},
    "tqdm": {"cli"},
    "yaml": {"store"},
    "websockets": {"sources", "simulator", "web", "client"},
}
"""Which part of the package may import which library."""


MODULES = {"PyYAML": "yaml"}
"""What a library is imported as, where that is not its name."""


def dependencies() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = [line for lines in project["optional-dependencies"].values() for line in lines]
    lines = [*project["dependencies"], *optional]
    names = {re.split(r"[^A-Za-z0-9_-]", line)[0] for line in lines}
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


def test_every_dependency_has_a_home_and_every_home_a_dependency() -> None:
    assert dependencies() == set(HOMES)


def test_libraries_are_imported_at_home_only() -> None:
    graph = grimp.build_graph("hydrophone", include_external_packages=True)
    strangers = [
        f"{importer} imports {library}"
        for library, homes in HOMES.items()
        if library in graph.modules
        for importer in sorted(graph.find_modules_that_directly_import(library))
        if importer.split(".")[1] not in homes
    ]
    assert strangers == []


def test_of_the_domain_only_two_modules_compute_with_numpy() -> None:
    graph = grimp.build_graph("hydrophone", include_external_packages=True)
    importers = graph.find_modules_that_directly_import("numpy")
    assert importers <= {"hydrophone.domain.confirmation", "hydrophone.domain.scoring"}


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty_words = {"utils", "helpers", "common", "base", "core", "misc", "manager"}
    source = ROOT / "src" / "hydrophone"
    assert [path for path in source.rglob("*") if path.stem in empty_words] == []


def test_files_stay_small() -> None:
    long_ones = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "src").rglob("*.py")
        if len(path.read_text(encoding="utf-8").splitlines()) > 600
    ]
    assert long_ones == [], "split them by noun"


def test_the_simulator_knows_scripts_and_units_and_nothing_else_of_the_domain() -> None:
    """What it may know is listed here: whatever is new in the domain is forbidden at once."""
    graph = grimp.build_graph("hydrophone")
    known = {
        imported
        for module in graph.find_descendants("hydrophone.simulator")
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.startswith("hydrophone.domain.")
    }
    assert known <= {"hydrophone.domain.script", "hydrophone.domain.units"}
