"""Label files: the curated set that ships with the package, and the files of the operator.

A file is read in whatever form it has (`label_formats`). A bad row is reported and left out; it never ends
anything.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Final

from hydrophone.domain.labels import Label, LabelBook
from hydrophone.domain.script import Network
from hydrophone.errors import ConfigError
from hydrophone.store.label_formats import (
    CURATED_COLUMNS,
    DEFAULT_CONFIDENCE,
    OWN_COLUMNS,
    QUICKSTART_COLUMNS,
    ParsedLabels,
    RejectedRow,
    Terms,
    UnknownFormError,
    parse_labels,
)

__all__ = [
    "CURATED_COLUMNS",
    "DEFAULT_CONFIDENCE",
    "OWN_COLUMNS",
    "QUICKSTART_COLUMNS",
    "FileReport",
    "LabelFile",
    "LabelStream",
    "RejectedRow",
    "build_label_book",
    "load_curated",
    "load_label_file",
    "parse_label_bytes",
    "read_label_bytes",
]

MAX_FILE_BYTES: Final = 64 * 2**20
"""# chosen: 300,000 labels, more than we promise to hold; a wrong file must not eat the memory."""
_CURATED_FILE: Final = "curated_labels.csv"


@dataclass(frozen=True, slots=True)
class LabelFile:
    """What a label file says.

    Attributes:
        path: the file.
        labels: the claims of its good rows, in order.
        rejected: its bad rows, in order.
        skipped: rows that are none of ours, in order.
    """

    path: Path
    labels: tuple[Label, ...]
    rejected: tuple[RejectedRow, ...]
    skipped: tuple[RejectedRow, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelStream:
    """A label file whose claims are read while they are used, and are never all in memory.

    Attributes:
        path: the file.
        labels: its claims; to be taken once.
        rejected: there are none, or it would not be read so.
    """

    path: Path
    labels: Iterator[Label]
    rejected: tuple[RejectedRow, ...] = ()


@dataclass(frozen=True, slots=True)
class FileReport:
    """What was read from a label file, without the claims: those are in the book.

    Attributes:
        path: the file.
        claim_count: number of its good rows.
        rejected: its bad rows, in order.
    """

    path: Path
    claim_count: int
    rejected: tuple[RejectedRow, ...]


def load_curated(network: Network) -> tuple[Label, ...]:
    """Return the claims that ship with the package; none but on mainnet, whose addresses they are."""
    if network is not Network.MAINNET:
        return ()
    text = (resources.files("hydrophone.store") / _CURATED_FILE).read_text(encoding="utf-8")
    parsed = parse_labels(text, Terms(network, source=_CURATED_FILE))
    assert not parsed.rejected, parsed.rejected
    return parsed.labels


def load_label_file(
    path: Path,
    network: Network,
    *,
    terms: Terms | None = None,
    form: str | None = None,
    advance: Callable[[], object] = lambda: None,
) -> LabelFile:
    """Read a label file.

    Args:
        path: text in UTF-8, in one of `label_formats.FORMATS`.
        network: the one its addresses must belong to.
        terms: what it does not say about itself; None: that its source is its name.
        form: which form it has; None: told by its content.
        advance: called for each row.

    Raises:
        ConfigError: it cannot be read, is not text in UTF-8, or has no form that is known.
    """
    parsed = parse_label_bytes(
        read_label_bytes(path),
        str(path),
        terms or Terms(network, source=path.name),
        form=form,
        advance=advance,
    )
    return LabelFile(path, parsed.labels, parsed.rejected, parsed.skipped)


def read_label_bytes(path: Path) -> bytes:
    """Return the content of a label file.

    Raises:
        ConfigError: it cannot be read, or is larger than any label file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"label file {path}: expected a file that can be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(
            f"label file {path}: expected at most {MAX_FILE_BYTES // 2**20} MB, found more: split it"
        )
    return content


def parse_label_bytes(
    content: bytes,
    name: str,
    terms: Terms,
    *,
    form: str | None = None,
    advance: Callable[[], object] = lambda: None,
) -> ParsedLabels:
    """Return what a label file says.

    Args:
        content: of the file.
        name: of the file, for the message.
        terms: what it does not say about itself.
        form: which form it has; None: told by its content.
        advance: called for each row.

    Raises:
        ConfigError: it is not text in UTF-8, or has no form that is known.
    """
    try:
        text = content.decode("utf-8-sig")  # spreadsheets write a byte order mark
        return parse_labels(text, terms, form=form, advance=advance)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"label file {name}: expected text in UTF-8, found the byte {error.object[error.start]:#04x}; "
            "save it as CSV in UTF-8"
        ) from error
    except UnknownFormError as error:
        raise ConfigError(f"label file {name}: {error}") from error


def build_label_book(
    network: Network,
    paths: Sequence[Path],
    *,
    sets: Iterable[LabelFile | LabelStream] = (),
    on: date | None = None,
) -> tuple[LabelBook, tuple[FileReport, ...]]:
    """Return the book of the curated claims, of the sets and of the files, and what each file said.

    Args:
        network: the one that is watched.
        paths: label files.
        sets: kept sets, as they are read.
        on: the date of the book; None: it has none.

    Raises:
        ConfigError: a file cannot be used at all.
    """
    reports: list[FileReport] = []

    def claims() -> Iterator[Label]:
        yield from load_curated(network)
        for file in itertools.chain(sets, (load_label_file(path, network) for path in paths)):
            count = 0
            for label in file.labels:
                count += 1  # not enumerate: it would keep the last label
                yield label
            reports.append(FileReport(file.path, count, file.rejected))

    book = LabelBook(claims(), on=on)
    return book, tuple(reports)
