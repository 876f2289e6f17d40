"""What the documents tell people to type, in the order in which they say it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
USUAL = "a service"
"""Where a command is typed, unless `<!-- given: ... -->` above says otherwise, up to the next heading."""

_PART = re.compile(
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$"
    r"|^<!-- given: (?P<given>[^\n]+) -->$"
    r"|^##+ (?P<heading>[^\n]+)$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        page: seen from the top of the repository.
        heading: above it; empty before the first.
        given: the circumstances in which it is typed.
        language: what stands behind the fence.
        text: its lines.
    """

    page: str
    heading: str
    given: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Typed:
    """One line that is typed.

    Attributes:
        line: without the prompt.
        shown: what is to be seen then, `…` being any text; None where the page does not say.
    """

    line: str
    shown: str | None


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page."""
    heading, given = "", USUAL
    for part in _PART.finditer(page.read_text(encoding="utf-8")):
        if part["heading"] is not None:
            heading, given = part["heading"], USUAL
        elif part["given"] is not None:
            given = part["given"]
        else:
            yield Block(str(page.relative_to(ROOT)), heading, given, part["language"], part["text"])


def typed_in(block: Block) -> Iterator[Typed]:
    """Yield what a block tells to type: each line of `bash`, what follows `$ ` in `console`."""
    if block.language == "bash":
        for line in block.text.replace("\\\n", "").splitlines():
            if line.strip() and not line.startswith("#"):
                yield Typed(line, None)
    if block.language == "console":
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            yield Typed(line, shown)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What is typed one after the other under one heading, in the same circumstances."""

    page: str
    heading: str
    given: str
    typed: tuple[Typed, ...]

    def __str__(self) -> str:
        """As the name of a test."""
        return f"{self.page}: {self.heading or 'top'}" + ("" if self.given == USUAL else f" ({self.given})")


ALL_BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def stretches() -> list[Stretch]:
    """Return all that is typed."""
    found = []
    for (page, heading, given), blocks in groupby(ALL_BLOCKS, lambda b: (b.page, b.heading, b.given)):
        typed = tuple(line for block in blocks for line in typed_in(block))
        if typed:
            found.append(Stretch(page, heading, given, typed))
    return found
