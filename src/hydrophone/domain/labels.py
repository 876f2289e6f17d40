"""Labels: claims that a script belongs to somebody, and the book we look them up in.

A label is a claim, not a fact: it carries its source, date and confidence wherever it goes.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class EntityKind(StrEnum):
    """What an entity does. Only an exchange gives a flow its direction."""

    EXCHANGE = "exchange"
    CUSTODIAN = "custodian"
    ETF = "etf"
    POOL = "pool"
    PAYMENT = "payment"
    MIXER = "mixer"
    GAMBLING = "gambling"
    GOVERNMENT = "government"
    SANCTIONED = "sanctioned"
    SCAM = "scam"
    PRIVATE = "private"


class Role(StrEnum):
    """What an entity uses a script for."""

    HOT = "hot"
    COLD = "cold"
    DEPOSIT = "deposit"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Entity:
    """Somebody who controls scripts.

    Attributes:
        name: as it is usually written; compare by `key`.
        kind: what it does.
    """

    name: str
    kind: EntityKind

    @property
    def key(self) -> str:
        """The name without case, spaces and punctuation: `Crypto.com` and `crypto com` are one."""
        return "".join(c for c in self.name.casefold() if c.isalnum())


@dataclass(frozen=True, slots=True)
class Label:
    """One claim that a script belongs to an entity.

    Attributes:
        script: scriptPubKey bytes.
        entity: who is said to control it.
        role: what for.
        source: the set it comes from; claims of one source do not corroborate each other.
        confidence: in [0, 1], how sure that source is worth being.
        as_of: when the source said so; None when it gave no date.
        citation: what that source rests on, for people.
    """

    script: bytes
    entity: Entity
    role: Role
    source: str
    confidence: float
    as_of: date | None = None
    citation: str = ""


class LabelBook:
    """All claims, by script. Immutable; a lookup is one dict access (70-270 ns).

    The same claims make the same book, in whatever order they come: `version` names its content, and each
    lookup gives the claims in one order.

    Attributes:
        version: hash of all fields of all claims (16 hex digits).
    """

    def __init__(self, labels: Iterable[Label] = ()) -> None:
        claims = {_canonical_text(label): label for label in labels}  # a claim said twice is one claim
        by_script: dict[bytes, tuple[Label, ...]] = {}
        for _, label in sorted(claims.items()):
            by_script[label.script] = (*by_script.get(label.script, ()), label)
        self._by_script = by_script
        self.version = hashlib.sha256("\n".join(sorted(claims)).encode()).hexdigest()[:16]

    def __len__(self) -> int:
        """Number of claims."""
        return sum(len(claims) for claims in self._by_script.values())

    def __iter__(self) -> Iterator[Label]:
        """Every claim, grouped by script."""
        return (label for claims in self._by_script.values() for label in claims)

    @property
    def script_count(self) -> int:
        """Number of scripts with at least one claim."""
        return len(self._by_script)

    def lookup(self, script: bytes) -> tuple[Label, ...]:
        """Return the claims on a script; empty when there are none."""
        return self._by_script.get(script, ())

    def entity_of(self, script: bytes) -> Entity | None:
        """Return the entity that all claims on a script agree on; None without claims or on a conflict.

        Where they write its name or kind differently, the most confident claim is followed.
        """
        claims = self.lookup(script)
        if not claims or self.is_disputed(script):
            return None
        return max(claims, key=lambda claim: claim.confidence).entity

    def is_disputed(self, script: bytes) -> bool:
        """Whether the claims on a script name more than one entity: it then gives no direction."""
        return len({label.entity.key for label in self.lookup(script)}) > 1


def _canonical_text(label: Label) -> str:
    """Return all fields of a claim in one line: two claims with the same text are the same claim."""
    return json.dumps(
        (
            label.script.hex(),
            label.entity.name,
            label.entity.kind,
            label.role,
            label.source,
            float(label.confidence),  # 1 and 1.0 are the same confidence
            label.as_of and label.as_of.isoformat(),
            label.citation,
        )
    )
