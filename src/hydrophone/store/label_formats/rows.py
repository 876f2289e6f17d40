"""What all label formats share: a row of text fields, and the claim it makes.

A format only knows where its rows are and what they call things. Whatever it is, its rows come as text under
the names of `FIELDS`, and one place says what a claim needs: no format lets through what another refuses.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from hydrophone.domain.labels import Entity, EntityKind, Label, Role
from hydrophone.domain.script import Network, script_from_address

FIELDS: Final = (
    "entity",
    "kind",
    "role",
    "source",
    "confidence",
    "as_of",
    "citation",
    "source_url",
    "licence",
    "valid_from",
    "valid_to",
)
"""What a row may say of a claim, beside `address` and `script`; what is missing is empty."""

DEFAULT_CONFIDENCE: Final = 0.90
"""Of a claim that states none. chosen: between one entity's own old list (.93) and what two independent
groups say (.85): the operator trusts the file, and we cannot tell why."""

KEPT_TEXT_LENGTH: Final = 200
"""Characters of a rejected row. chosen: enough to find it by; a file of junk does not fill the memory."""
_MAX_FIELD_LENGTH: Final = 2_000
"""Characters. chosen: four times our longest citation."""

_ROLES: Final[Mapping[str, Role]] = {
    **{role.value: role for role in Role},
    "hot_wallet": Role.HOT,
    "cold_wallet": Role.COLD,
    "deposit_address": Role.DEPOSIT,
    "deposit_wallet": Role.DEPOSIT,
}


class UnknownFormError(Exception):
    """A file is not of the form it was read as; nothing of it is used."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of a file.

    Attributes:
        line: where it stands in the file; the first line is 1.
        text: how it reads there, as far as that is known.
        fields: `address`, `script` and those of `FIELDS`, as text.
        problem: what is wrong with it; empty when it can be read.
        skipped: why it is none of ours, though nothing is wrong with it; empty when it is.
    """

    line: int
    text: str
    fields: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was not loaded.

    Attributes:
        line: where it stands in the file; the first line is 1.
        reason: what was expected and what was found.
        text: its beginning.
    """

    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What a file does not say about itself.

    Attributes:
        network: the one its addresses must belong to.
        source: the source of a claim that names none.
        confidence: of every claim, whatever the file says; None: as it says.
        as_of: date of a claim that has none.
        source_url: of a claim that has none.
        licence: of a claim that has none.
    """

    network: Network
    source: str
    confidence: float | None = None
    as_of: date | None = None
    source_url: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True)
class ParsedLabels:
    """What a file says.

    Attributes:
        labels: the claims of its good rows, in order.
        rejected: its bad rows, in order.
        skipped: rows that are none of ours (another currency, a private person), in order.
    """

    labels: tuple[Label, ...]
    rejected: tuple[RejectedRow, ...]
    skipped: tuple[RejectedRow, ...] = ()


def parse_rows(
    rows: Iterable[RawRow], terms: Terms, advance: Callable[[], object] = lambda: None
) -> ParsedLabels:
    """Return the claims of rows.

    Args:
        rows: of any format.
        terms: what the file does not say.
        advance: called for each row.

    Raises:
        UnknownFormError: the rows cannot be read on.
    """
    maker = _ClaimMaker(terms)
    labels: list[Label] = []
    rejected: list[RejectedRow] = []
    skipped: list[RejectedRow] = []
    for row in rows:
        advance()
        if row.skipped:
            skipped.append(RejectedRow(row.line, row.skipped, row.text[:KEPT_TEXT_LENGTH]))
            continue
        try:
            if row.problem:
                raise ValueError(row.problem)  # noqa: TRY301 -- one place makes the report
            labels.append(maker.label(row.fields))
        except ValueError as error:
            rejected.append(RejectedRow(row.line, str(error), row.text[:KEPT_TEXT_LENGTH]))
    return ParsedLabels(tuple(labels), tuple(rejected), tuple(skipped))


class _ClaimMaker:
    """Makes claims of text; what many rows share is read once, and kept once."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._known: dict[tuple[str, ...], Label] = {}

    def label(self, fields: Mapping[str, str]) -> Label:
        """Return the claim that fields state, or raise ValueError with what is wrong."""
        texts = tuple(fields.get(name, "") for name in FIELDS)
        like = self._known.get(texts)
        if like is None:
            like = self._known[texts] = self._parse(dict(zip(FIELDS, texts, strict=True)))
        return Label(
            self._script(fields),
            like.entity,
            like.role,
            like.source,
            like.confidence,
            like.as_of,
            like.citation,
            like.source_url,
            like.licence,
            like.valid_from,
            like.valid_to,
        )

    def _script(self, fields: Mapping[str, str]) -> bytes:
        address, stated = fields.get("address", ""), fields.get("script", "")
        try:
            script = bytes.fromhex(stated)
        except ValueError:
            raise ValueError(f"expected a script in hex, found {stated[:KEPT_TEXT_LENGTH]!r}") from None
        spelled = script_from_address(address, self._terms.network)
        if script and script != spelled:
            raise ValueError(f"expected the script of {address}, which is {spelled.hex()}, found {stated}")
        return spelled

    def _parse(self, texts: Mapping[str, str]) -> Label:
        """Return a claim on no script yet."""
        for name, text in texts.items():
            if len(text) > _MAX_FIELD_LENGTH:
                raise ValueError(
                    f"expected at most {_MAX_FIELD_LENGTH} characters, found {len(text)}: {name}"
                )
        terms = self._terms
        entity = Entity(texts["entity"], _parse_kind(texts["kind"]))
        if not (entity.key and entity.name.isprintable()):
            raise ValueError(f"expected a name with a letter or digit, found {entity.name!r}")
        stated = _parse_confidence(texts["confidence"])
        valid_from, valid_to = _parse_date(texts["valid_from"]), _parse_date(texts["valid_to"])
        if valid_from is not None and valid_to is not None and valid_to <= valid_from:
            raise ValueError(f"expected an end after {valid_from}, when it begins, found {valid_to}")
        return Label(
            script=b"",
            entity=entity,
            role=_parse_role(texts["role"]),
            source=_plain(texts["source"]) or terms.source,
            confidence=stated if terms.confidence is None else terms.confidence,
            as_of=_parse_date(texts["as_of"]) or terms.as_of,
            citation=_plain(texts["citation"]),
            source_url=_plain(texts["source_url"]) or terms.source_url,
            licence=_plain(texts["licence"]) or terms.licence,
            valid_from=valid_from,
            valid_to=valid_to,
        )


def _plain(text: str) -> str:
    """Return a text in one line, without what a terminal or a line of CSV would take as something else."""
    if text.isprintable() and "  " not in text:
        return text.strip()
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _parse_kind(text: str) -> EntityKind:
    try:
        return EntityKind(text.casefold())
    except ValueError:
        raise ValueError(f"expected a kind of {', '.join(EntityKind)}, found {text!r}") from None


def _parse_role(text: str) -> Role:
    """Return a role; a word we do not know is no reason to doubt who the script belongs to."""
    return _ROLES.get(text.casefold().replace(" ", "_").replace("-", "_"), Role.UNKNOWN)


def _parse_confidence(text: str) -> float:
    if not text:
        return DEFAULT_CONFIDENCE
    try:
        confidence = float(text)
    except ValueError:
        confidence = -1.0
    if not 0 <= confidence <= 1:
        raise ValueError(f"expected a confidence from 0 to 1, found {text!r}")
    return confidence


def _parse_date(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected a date such as 2026-09-23, found {text!r}") from None
