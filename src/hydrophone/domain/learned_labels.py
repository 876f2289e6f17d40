"""Labels that nobody published: what transactions themselves show about scripts."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from hydrophone.domain.labels import Entity, Label, LabelBook, Role
from hydrophone.domain.units import Txid, UnixMicros

LEARNED_LIMIT: Final = 50_000
"""# chosen: 25 MB; the oldest gives way, as most scripts are used once and never again."""


class LearnedBy(StrEnum):
    """What showed whose a script is."""

    SWEEP = "sweep"
    """Its coins were gathered into a wallet of the exchange: it is a deposit script."""
    CO_SPEND = "co_spend"
    """Its coins were spent together with coins of the exchange. Sources: S. Meiklejohn et al., A Fistful of
    Bitcoins, IMC 2013, heuristic 1."""
    OWN_WALLET = "own_wallet"
    """It is paid by the exchange, and pays into the wallets of the exchange: so do no customers."""


@dataclass(frozen=True, slots=True)
class LearnedLabel(Label):
    """A claim of our own. Its `source` is that of the claim it follows from, which it must not corroborate.

    Attributes:
        learned_by: what kind of evidence there is.
        evidence: the transaction that settled it.
        learned_at: when that was seen.
    """

    learned_by: LearnedBy = field(kw_only=True)
    evidence: Txid = field(kw_only=True)
    learned_at: UnixMicros = field(kw_only=True)

    @property
    def origin(self) -> tuple[str, str]:
        """Source and entity key of the claims it follows from: see `LabelBook.origins`."""
        return self.source, self.entity.key


def learned_label(
    script: bytes,
    entity: Entity,
    role: Role,
    *,
    source: str,
    confidence: float,
    learned_by: LearnedBy,
    evidence: Txid,
    learned_at: UnixMicros,
) -> LearnedLabel:
    """Return a claim of our own, whose citation says where it comes from."""
    return LearnedLabel(
        script=script,
        entity=entity,
        role=role,
        source=source,
        confidence=confidence,
        citation=f"learned here: {learned_by} {evidence}",
        learned_by=learned_by,
        evidence=evidence,
        learned_at=learned_at,
    )


class KnownLabels:
    """A label book and what was learned beside it: where the book says anything, it alone is heard.

    Args:
        book: published claims.
        learned: oldest first.
    """

    def __init__(self, book: LabelBook, learned: Iterable[LearnedLabel] = ()) -> None:
        self._book = book
        self._learned: dict[bytes, LearnedLabel] = {}
        for label in learned:
            self.add(label)

    def __iter__(self) -> Iterator[LearnedLabel]:
        """What was learned, oldest first."""
        return iter(self._learned.values())

    @property
    def learned_count(self) -> int:
        """Number of scripts about which something was learned."""
        return len(self._learned)

    @property
    def version(self) -> str:
        """Of the label book."""
        return self._book.version

    def claimed(self, scripts: Collection[bytes]) -> Collection[bytes]:
        """Return those scripts on which there may be claims."""
        learned = self._learned.keys() & scripts
        return self._book.claimed(scripts) | learned if learned else self._book.claimed(scripts)

    def lookup(self, script: bytes) -> tuple[Label, ...]:
        """Return the claims on a script; empty when there are none."""
        claims = self._book.lookup(script)
        if not claims and script in self._learned:
            return (self._learned[script],)
        return claims

    def is_disputed(self, script: bytes) -> bool:
        """Whether the claims on a script contradict each other."""
        return self._book.is_disputed(script)

    def besides(self, txid: Txid) -> "LabelsBesides":
        """Return these labels without what a transaction alone has taught: it must not corroborate itself."""
        return LabelsBesides(self, txid)

    def add(self, label: LearnedLabel) -> None:
        """Take up a claim; beyond a limit the oldest is forgotten."""
        self._learned.setdefault(label.script, label)
        if len(self._learned) > LEARNED_LIMIT:
            del self._learned[next(iter(self._learned))]


class LabelsBesides(NamedTuple):
    """Labels as they are seen by one transaction, which is no witness for itself."""

    known: KnownLabels
    txid: Txid

    def claimed(self, scripts: Collection[bytes]) -> Collection[bytes]:
        """Return those scripts on which there may be claims."""
        return self.known.claimed(scripts)

    def lookup(self, script: bytes) -> tuple[Label, ...]:
        """Return the claims on a script that do not rest on the transaction alone."""
        claims = self.known.lookup(script)
        return () if any(self._is_own(label) for label in claims) else claims

    def is_disputed(self, script: bytes) -> bool:
        """Whether the claims on a script contradict each other."""
        return self.known.is_disputed(script)

    def _is_own(self, label: Label) -> bool:
        # A wallet of the exchange is known by earlier payments, too.
        return (
            isinstance(label, LearnedLabel)
            and label.evidence == self.txid
            and label.learned_by is not LearnedBy.OWN_WALLET
        )
