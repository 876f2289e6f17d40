"""What the documents say exists, and what they tell people to type works."""

import ast
import contextlib
import io
import re
import shlex
from collections.abc import Iterable

import pytest

from hydrophone.cli import build_parser
from hydrophone.cli.documentation import settings_page
from hydrophone.config import TABLE
from tests.docs.pages import PAGES, ROOT

PACKAGE = ROOT / "src/hydrophone"
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)")
ANCHOR = re.compile(r"\]\((?!https?:)([^)#\s]+\.md)#([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FINDING = re.compile(r"\b(?:Finding|bad|warn)\(\s*\"(\w+)\"")
SPAN = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?hydrophone (.+)$")
MAKE = re.compile(r"^(?:\$ )?make ([a-z]+)\b")
OTHER_VARIABLES = {"HYDROPHONE_SECTION__KEY", "HYDROPHONE_URL"}
"""A pattern; what dashboard/vite.config.ts reads."""
PATH = re.compile(r"[\w.-]*(?:/[\w.-]+)*(?:\.(?:py|md|sql|json|csv|toml|txt|html|tsx?|css)|/)|\.importlinter")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def snippets_of(name: str) -> list[str]:
    """Return what is marked as code in a page: each line of a block, each span."""
    text = text_of(name)
    lines = [line for _, block in FENCE.findall(text) for line in block.splitlines()]
    return [*lines, *SPAN.findall(FENCE.sub("", text))]


def complaints_about(snippets: Iterable[str]) -> list[str]:
    """Parse each command among snippets as the program does; return what it says about bad ones."""
    complaints = []
    for command in (match[1] for snippet in snippets if (match := COMMAND.match(snippet))):
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
                build_parser().parse_args(shlex.split(command, comments=True))
        except SystemExit as end:  # 0: it was `--help` or `--version`
            complaints += [f"{command}: {said.getvalue().splitlines()[-1]}"] if end.code else []
    return complaints


def test_there_is_something_to_check() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/config.md"} <= set(NAMES)
    commands = [snippet for snippet in snippets_of("docs/commands.md") if COMMAND.match(snippet)]
    assert len(commands) >= 15
    assert len(PATHS_IN_ARCHITECTURE) >= 20


def test_the_page_of_settings_is_what_the_table_says() -> None:
    assert text_of("docs/config.md") == settings_page(), "run `make docs`"


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    folder = (ROOT / name).parent
    missing = [target for target in LINK.findall(text_of(name)) if not (folder / target).exists()]
    assert missing == []


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("docs/")])
def test_every_anchor_is_a_heading(name: str) -> None:
    """Of links from pages that are not in the site; in the site, building it shows that."""
    missing = [
        f"{target}#{anchor}"
        for target, anchor in ANCHOR.findall(text_of(name))
        if anchor not in anchors_of(text_of(target))
    ]
    assert missing == []


def anchors_of(text: str) -> set[str]:
    """Return what the headings of a page can be linked by."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_one(name: str) -> None:
    assert complaints_about(snippets_of(name)) == []


def test_every_command_that_a_message_advises_is_one() -> None:
    sources = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
    advised = {span for source in sources for span in SPAN.findall(source) if COMMAND.match(span)}
    assert len(advised) >= 5
    assert complaints_about(advised) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_make_target_is_one(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    named = {match[1] for snippet in snippets_of(name) if (match := MAKE.match(snippet))}
    assert named <= targets


@pytest.mark.parametrize("name", NAMES)
def test_every_variable_is_one_of_a_setting(name: str) -> None:
    variables = {row.variable for row in TABLE.values()}
    assert set(re.findall(r"HYDROPHONE_\w+", text_of(name))) - OTHER_VARIABLES <= variables


@pytest.mark.parametrize("name", NAMES)
def test_every_python_block_is_python(name: str) -> None:
    for language, block in FENCE.findall(text_of(name)):
        if language == "python":
            ast.parse(block)


PATHS_IN_ARCHITECTURE = sorted(
    {span for span in SPAN.findall(FENCE.sub("", text_of("docs/architecture.md"))) if PATH.fullmatch(span)}
)


@pytest.mark.parametrize("path", PATHS_IN_ARCHITECTURE)
def test_every_file_that_the_architecture_names_exists(path: str) -> None:
    assert any((place / path).exists() for place in (ROOT, PACKAGE, ROOT / "dashboard/src"))


@pytest.mark.parametrize("name", NAMES)
def test_every_image_is_described(name: str) -> None:
    assert "![](" not in text_of(name)


def test_troubleshooting_knows_every_finding_of_the_doctor() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (PACKAGE / "cli").glob("*.py")]
    found = {name for source in sources for name in FINDING.findall(source)}
    assert {"source", "store", "port", "labels", "clock"} <= found
    assert found <= set(SPAN.findall(text_of("docs/troubleshooting.md").rpartition("\n## ")[2]))
