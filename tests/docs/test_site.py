"""The documents as a site: it is built strictly, leaves no page out, and loads nothing from another host."""

import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import ROOT

CONFIGURATION = ROOT / "zensical.toml"
LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
"""What a browser asks for without being told to."""
HINTS = {"canonical", "next", "prev"}
"""Kinds of `link` that nothing is loaded for."""


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Build what is in a folder, as `make site` does."""
    program = Path(sys.executable).with_name("zensical")
    return subprocess.run(
        [program, "build", "--strict"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the documents."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    shutil.copy(CONFIGURATION, folder)
    return folder


class Loads(HTMLParser):
    """Collects what a page makes a browser ask for."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get(LOADING.get(tag, ""))
        if address and given.get("rel") not in HINTS:
            self.addresses.append(address)


def names_in(places: list[Any]) -> set[str]:
    """Return the pages that a navigation leads to."""
    found: set[str] = set()
    for place in places:
        for inner in place.values():
            found |= names_in(inner) if isinstance(inner, list) else {inner}
    return found


def test_every_page_is_in_the_navigation() -> None:
    """Decisions are listed by their own page."""
    pages = {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")}
    decisions = {page for page in pages if re.match(r"adr/\d", page)}
    configuration = tomllib.loads(CONFIGURATION.read_text(encoding="utf-8"))
    assert names_in(configuration["project"]["nav"]) == pages - decisions
    listed = (ROOT / "docs/adr/README.md").read_text(encoding="utf-8")
    assert [page for page in sorted(decisions) if f"({Path(page).name})" not in listed] == []


def test_it_is_built_and_loads_nothing_from_elsewhere(copy: Path) -> None:
    built = build(copy)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = list((copy / "build/site").rglob("*.html"))
    assert len(pages) > len(list((copy / "docs").rglob("*.md")))  # and one for what is not there
    loaded = Loads()
    for page in pages:
        loaded.feed(page.read_text(encoding="utf-8"))
    assert len(loaded.addresses) > len(pages)
    assert [address for address in loaded.addresses if urlsplit(address).netloc] == []


@pytest.mark.parametrize("link", ["nowhere.md", "flow.md#nowhere"])
def test_a_link_that_leads_nowhere_fails(copy: Path, link: str) -> None:
    index = copy / "docs/index.md"
    sound = index.read_text(encoding="utf-8")
    index.write_text(f"{sound}\n[there]({link})\n", encoding="utf-8")
    try:
        assert build(copy).returncode != 0
    finally:
        index.write_text(sound, encoding="utf-8")
