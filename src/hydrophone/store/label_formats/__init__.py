"""Forms of label files, one module each: text in, claims and rejected rows out."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from hydrophone.domain.labels import Label
from hydrophone.domain.script import Network
from hydrophone.store.label_formats.bip329 import is_bip329, read_bip329, write_bip329
from hydrophone.store.label_formats.csv_lines import rows_of
from hydrophone.store.label_formats.headed_csv import (
    CURATED_COLUMNS,
    OWN_COLUMNS,
    QUICKSTART_COLUMNS,
    is_own,
    is_quickstart,
    read_own,
    read_quickstart,
    read_trusted,
    write_own,
)
from hydrophone.store.label_formats.htx_snapshot import is_htx, read_htx
from hydrophone.store.label_formats.json_lists import (
    is_binance,
    is_mining_pools,
    is_ofac,
    read_binance,
    read_mining_pools,
    read_ofac,
)
from hydrophone.store.label_formats.rows import (
    DEFAULT_CONFIDENCE,
    KEPT_TEXT_LENGTH,
    ParsedLabels,
    RawRow,
    RejectedRow,
    Terms,
    UnknownFormError,
    parse_rows,
)
from hydrophone.store.label_formats.tagpack import is_tagpack, read_tagpack, write_tagpack

__all__ = [
    "CURATED_COLUMNS",
    "DEFAULT_CONFIDENCE",
    "FORMATS",
    "OWN_COLUMNS",
    "QUICKSTART_COLUMNS",
    "WRITERS",
    "ParsedLabels",
    "RejectedRow",
    "Terms",
    "UnknownFormError",
    "parse_labels",
    "read_trusted",
    "write_own",
]


@dataclass(frozen=True, slots=True)
class Format:
    """A form of label files.

    Attributes:
        text: what it is, for people.
        recognises: whether a file looks like it.
        read: yields its rows.
    """

    text: str
    recognises: Callable[[str], bool]
    read: Callable[[str], Iterator[RawRow]]


FORMATS: Final[Mapping[str, Format]] = {
    "csv": Format("our own CSV", is_own, read_own),
    "quickstart": Format("CSV of exchange_name,address,type", is_quickstart, read_quickstart),
    "bip329": Format("BIP 329, labels of your own wallet", is_bip329, read_bip329),
    "ofac": Format("a JSON array of sanctioned addresses", is_ofac, read_ofac),
    "mining-pools": Format("mempool/mining-pools, pools-v2.json", is_mining_pools, read_mining_pools),
    "binance": Format("Binance's proof of reserves", is_binance, read_binance),
    "tagpack": Format("GraphSense TagPack", is_tagpack, read_tagpack),
    "htx": Format("HTX's snapshot of its reserves", is_htx, read_htx),
}
"""By name, in the order in which a file is held against them."""

WRITERS: Final[Mapping[str, Callable[[Iterable[Label], Network], Iterator[str]]]] = {
    "csv": write_own,
    "tagpack": write_tagpack,
    "bip329": write_bip329,
}
"""By name: what can be written, as the lines of a file."""


def parse_labels(
    text: str, terms: Terms, *, form: str | None = None, advance: Callable[[], object] = lambda: None
) -> ParsedLabels:
    """Return the claims of a file.

    Args:
        text: of the file.
        terms: what it does not say about itself.
        form: one of `FORMATS`; None: told by its content.
        advance: called for each row.

    Raises:
        UnknownFormError: it has no form that is known, or not the one given.
    """
    return parse_rows(FORMATS[form or _form_of(text)].read(text), terms, advance)


def _form_of(text: str) -> str:
    for name, form in FORMATS.items():
        if form.recognises(text):
            return name
    _, row = next(rows_of(text), (1, ""))
    raise UnknownFormError(
        f"expected a first row that names the columns {','.join(QUICKSTART_COLUMNS)} "
        f"or {','.join(CURATED_COLUMNS)}, or a file that is {', '.join(list(FORMATS)[2:])}, "
        f"found {row[:KEPT_TEXT_LENGTH]!r}"
    )
