"""What becomes of a label set when its source says something new. Nothing is deleted."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta

from hydrophone.domain.labels import Label


@dataclass(frozen=True, slots=True)
class Revision:
    """A label set after its source was read again.

    Attributes:
        labels: all its claims, those over included, in one order.
        new: claims that were not there before.
        changed: claims of which something else than the date is said now.
        returned: claims that had been retired and are made again.
        unchanged: claims that are made again as they were.
        retired: claims that are made no more: they end on the day of the revision.
    """

    labels: tuple[Label, ...]
    new: int
    changed: int
    returned: int
    unchanged: int
    retired: int

    @property
    def live(self) -> int:
        """Number of claims that its source makes now."""
        return self.new + self.changed + self.returned + self.unchanged


def revise(before: Iterable[Label], now: Iterable[Label], *, on: date) -> Revision:
    """Return a label set after its source was read again.

    A claim is the same as one before when its source names the same entity on the same script; whatever else
    is said of it may change. One that is made no more gets an end, `on`, and is kept: what was believed stays
    known. One that comes back has none any more.

    Args:
        before: the set as it was.
        now: what the source says now.
        on: today.
    """
    old, said = _by_identity(before), _by_identity(now)
    kept: list[Label] = []
    new = changed = returned = unchanged = retired = 0
    for identity, claims in said.items():
        kept += claims
        was = old.get(identity)
        if was is None:
            new += 1
        elif _is_over(was) and not _is_over(claims):
            returned += 1
        elif _undated(was) != _undated(claims):
            changed += 1
        else:
            unchanged += 1
    for identity, claims in old.items():
        if identity in said:
            continue
        retired += not _is_over(claims)
        kept += [claim if claim.valid_to is not None else _ended(claim, on) for claim in claims]
    kept.sort(key=_order)
    return Revision(tuple(kept), new, changed, returned, unchanged, retired)


_Identity = tuple[bytes, str, str]


def _by_identity(labels: Iterable[Label]) -> dict[_Identity, list[Label]]:
    found: dict[_Identity, list[Label]] = defaultdict(list)
    for label in labels:
        claims = found[label.script, label.entity.key, label.source]
        if label not in claims:
            claims.append(label)
    return dict(found)


def _is_over(claims: Iterable[Label]) -> bool:
    return all(claim.valid_to is not None for claim in claims)


def _undated(claims: Iterable[Label]) -> set[Label]:
    return {replace(claim, as_of=None) for claim in claims}


def _ended(claim: Label, on: date) -> Label:
    """Return a claim that ends on a day; one that had not begun holds for a day, since an end follows it."""
    begun = claim.valid_from
    return replace(claim, valid_to=on if begun is None or begun < on else begun + timedelta(days=1))


def _order(label: Label) -> tuple[str, bytes, str, str, str]:
    return label.entity.key, label.script, label.source, label.role, label.citation
