"""Labels: claims that a script belongs to somebody, and the book we look them up in.

A label is a claim, not a fact: it carries its source, date and confidence wherever it goes.

What two claims on one script mean (ADR 11):

- Spellings of one name are one entity (`domain/entity_names.py`).
- A sanctions list or a scam list says what a script is known for, not whose it is: it disputes no owner.
- A pool's claim says who is paid there; every other claim says who holds the keys. AntPool may be paid into
  its account at Bitstamp: both are true, and Bitstamp holds the keys. So a pool disputes only another pool.
- Any two of the others that name two entities dispute the script, the operator's own wallet included.
- A claim that is over (or has not begun) on the date of the book is kept and shown, and counts for nothing.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from hydrophone.domain.entity_names import entity_key


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


OVERLAYS: Final = frozenset({EntityKind.SANCTIONED, EntityKind.SCAM})
"""Kinds of claim that say what a script is known for, not whose it is."""


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
        """The name without case, spaces, punctuation and aliases: `Crypto.com` and `crypto com` are one."""
        return entity_key(self.name)


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
        source_url: where it can be read; empty when nobody said.
        licence: under which the claim was given; `facts` where none is stated; empty when nobody said.
        valid_from: first day on which it holds; None: it has no beginning we know of.
        valid_to: first day on which it holds no more; None: it has no end we know of.
    """

    script: bytes
    entity: Entity
    role: Role
    source: str
    confidence: float
    as_of: date | None = None
    citation: str = ""
    source_url: str = ""
    licence: str = ""
    valid_from: date | None = None
    valid_to: date | None = None

    def is_in_force(self, on: date | None) -> bool:
        """Whether it holds on a day; without a day, whether it has no end: nobody knows if that has come."""
        return _is_in_force(self.valid_from, self.valid_to, on)

    @property
    def claim_id(self) -> int:
        """64 bits of the hash of all its fields: the same claim has the same id everywhere."""
        text = f"{self.script.hex()} {_canonical_text(_body_of(self))}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


_Body = tuple[Entity, Role, str, float, date | None, str, str, str, date | None, date | None]
"""All fields of a label but its script, in their order: what thousands of labels share."""


class _Claims:
    """What is said about a script; shared by all scripts of which the same is said.

    Attributes:
        bodies: of all claims, in one order.
        in_force: those that hold on the date of the book.
        is_disputed: whether those name more than one owner.
        entity: whom those agree on; None when they name nobody or several.
    """

    __slots__ = ("bodies", "entity", "in_force", "is_disputed")

    def __init__(self, bodies: Sequence[_Body], on: date | None) -> None:
        self.bodies = tuple(bodies)
        in_force = tuple(body for body in bodies if _is_in_force(body[8], body[9], on))
        self.in_force = self.bodies if len(in_force) == len(self.bodies) else in_force
        believed = [b for b in in_force if b[3] > 0]
        holders = [b for b in believed if b[0].kind is not EntityKind.POOL and b[0].kind not in OVERLAYS]
        named = holders or [b for b in believed if b[0].kind is EntityKind.POOL]
        self.is_disputed = len({body[0].key for body in named}) > 1
        self.entity = max(named, key=_confidence_of)[0] if named and not self.is_disputed else None


class LabelBook:
    """All claims, by script. Immutable; a look-up of a script that nobody claims is one dict access.

    The same claims make the same book, in whatever order they come: `version` names its content, and each
    look-up gives the claims in one order. What many scripts share is kept once, and a label is made of it
    when it is asked for: 100,000 labels take 11 MB.

    Args:
        labels: the claims; one that is said twice is one.
        on: the date by which a claim has begun or is over. None: one with an end is over, since nobody knows
            whether its end has come.

    Attributes:
        version: hash of all fields of all claims and of which are in force (16 hex digits).
        on: the date it was made for.
        oldest: the earliest date that a claim says it is of; None: none says one.
        newest: the latest.
    """

    def __init__(self, labels: Iterable[Label] = (), *, on: date | None = None) -> None:
        numbers: dict[_Body, int] = {}
        found: dict[bytes, tuple[int, ...]] = {}
        for label in labels:
            number = numbers.setdefault(_body_of(label), len(numbers))
            others = found.get(label.script, ())
            if number not in others:
                found[label.script] = (*others, number)
        bodies = tuple(numbers)
        texts = tuple(_versioned_text(body, on) for body in bodies)
        shared: dict[tuple[int, ...], _Claims] = {}
        self._by_script: dict[bytes, _Claims] = {}
        digest = hashlib.sha256()
        for script in sorted(found):
            ordered = tuple(sorted(found[script], key=texts.__getitem__))
            if ordered not in shared:
                shared[ordered] = _Claims([bodies[number] for number in ordered], on)
            self._by_script[script] = shared[ordered]
            for number in ordered:
                digest.update(f"{script.hex()} {texts[number]}\n".encode())
        self._count = sum(map(len, found.values()))
        dates = [body[4] for body in bodies if body[4] is not None]
        self.oldest = min(dates, default=None)
        self.newest = max(dates, default=None)
        self.on = on
        self.version = digest.hexdigest()[:16]

    def __len__(self) -> int:
        """Number of claims, those over included."""
        return self._count

    def __iter__(self) -> Iterator[Label]:
        """Every claim, those over included, grouped by script."""
        return (Label(script, *body) for script, claims in self._by_script.items() for body in claims.bodies)

    @property
    def script_count(self) -> int:
        """Number of scripts with at least one claim."""
        return len(self._by_script)

    def scripts(self) -> Iterator[bytes]:
        """Every script with at least one claim, in one order."""
        return iter(self._by_script)

    def claimed(self, scripts: Collection[bytes]) -> set[bytes]:
        """Return those scripts on which there are claims, whether in force or not.

        A tenth of the cost of looking each of them up: most scripts of a transaction are nobody's we know.
        """
        return self._by_script.keys() & scripts

    def origins(self) -> set[tuple[str, str]]:
        """Return source and entity key of all claims in force that are believed at all."""
        shared = {id(claims): claims for claims in self._by_script.values()}
        return {(body[2], body[0].key) for c in shared.values() for body in c.in_force if body[3] > 0}

    def lookup(self, script: bytes) -> tuple[Label, ...]:
        """Return the claims on a script that are in force; empty when there are none."""
        claims = self._by_script.get(script)
        return () if claims is None else tuple(Label(script, *body) for body in claims.in_force)

    def claims_on(self, script: bytes) -> tuple[Label, ...]:
        """Return all claims on a script, those over included."""
        claims = self._by_script.get(script)
        return () if claims is None else tuple(Label(script, *body) for body in claims.bodies)

    def entity_of(self, script: bytes) -> Entity | None:
        """Return the entity that the claims in force agree on; None without claims or on a dispute.

        Who holds the keys comes before a pool that is paid there. Where claims write the name or kind
        differently, the most confident is followed.
        """
        claims = self._by_script.get(script)
        return None if claims is None else claims.entity

    def is_disputed(self, script: bytes) -> bool:
        """Whether the claims in force name more than one owner: the script then gives no direction."""
        claims = self._by_script.get(script)
        return claims is not None and claims.is_disputed

    def why_no_direction(self, script: bytes) -> str:
        """Return why a script gives a flow no direction; empty when it does."""
        claims = self._by_script.get(script)
        if claims is None:
            return "nobody claims to know whose it is"
        if claims.is_disputed:
            return "the claims contradict each other"
        if not claims.in_force:
            return "every claim is over, or has not begun"
        if claims.entity is None:
            return "it is known for something, and no owner is named"
        if not any(b[0].kind is EntityKind.EXCHANGE and b[3] > 0 for b in claims.in_force):
            return "its owner is no exchange"
        return ""


def _body_of(label: Label) -> _Body:
    return (
        label.entity,
        label.role,
        label.source,
        float(label.confidence),  # 1 and 1.0 are the same confidence
        label.as_of,
        label.citation,
        label.source_url,
        label.licence,
        label.valid_from,
        label.valid_to,
    )


def _confidence_of(body: _Body) -> float:
    return body[3]


def _is_in_force(valid_from: date | None, valid_to: date | None, on: date | None) -> bool:
    if on is None:
        return valid_to is None
    return (valid_from is None or valid_from <= on) and (valid_to is None or on < valid_to)


def _canonical_text(body: _Body) -> str:
    """Return all fields of a claim but its script in one line: the same text is the same claim."""
    entity, role, source, confidence, as_of, *texts, valid_from, valid_to = body
    dates = [day and day.isoformat() for day in (as_of, valid_from, valid_to)]
    return json.dumps((entity.name, entity.kind, role, source, confidence, *texts, *dates))


def _versioned_text(body: _Body, on: date | None) -> str:
    """Return what a claim adds to the version: its text, and a mark when it is not in force."""
    mark = "" if _is_in_force(body[8], body[9], on) else " not in force"
    return _canonical_text(body) + mark
