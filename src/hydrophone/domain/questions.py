"""What the core asks a source, and when it asks again.

A question is a wish like any other: its answer comes back as an event, or never. Nothing that is said rests
on whether a question was asked, only on what was answered, so a replay, which asks nobody, says the same.
"""

from dataclasses import dataclass
from typing import Final

from hydrophone.domain.units import MICROS_PER_S, Height, Txid, UnixMicros


@dataclass(frozen=True, slots=True)
class AboutTransaction:
    """What is it, what does it spend, is it in a block?"""

    txid: Txid


@dataclass(frozen=True, slots=True)
class AboutReplacement:
    """By which transaction was it replaced?"""

    txid: Txid


@dataclass(frozen=True, slots=True)
class AboutBlocks:
    """Which blocks end at that height; None: at the tip?"""

    height: Height | None


@dataclass(frozen=True, slots=True)
class AboutContents:
    """Which transactions are in a block, and how much do they pay?"""

    block_hash: str


@dataclass(frozen=True, slots=True)
class AboutProjected:
    """Which transactions are in a block to come, 0 being the next; -1: let me hear no more of them."""

    index: int


Question = AboutTransaction | AboutReplacement | AboutBlocks | AboutContents | AboutProjected

PROJECTED_BLOCKS: Final = 8
"""Blocks to come that a mempool.space backend tells of; the last holds the rest, as far as it is listed."""
AT_ONCE: Final = 32
"""Questions under way. # chosen: a backend answers them within a second, and has other users."""
_FIRST_PAUSE_MICROS: Final = 1 * MICROS_PER_S
_LONGEST_PAUSE_MICROS: Final = 60 * MICROS_PER_S
"""Between attempts, doubling. # chosen: a source that is back is asked within a minute, one that is down not
pestered."""
_LOST_AFTER_MICROS: Final = 60 * MICROS_PER_S
"""# chosen: no answer takes so long (three tries of three seconds); then the question itself was lost."""


@dataclass(slots=True)
class _Open:
    due_at: UnixMicros
    asked_at: UnixMicros | None = None
    pause_micros: int = _FIRST_PAUSE_MICROS


class Questions:
    """Questions without an answer yet: a few are under way, the others wait for their turn."""

    def __init__(self) -> None:
        self._open: dict[Question, _Open] = {}

    def __len__(self) -> int:
        return len(self._open)

    def ask(self, question: Question, at: UnixMicros) -> None:
        """Let something be asked, not before an instant; harmless when it waits to be asked already."""
        known = self._open.setdefault(question, _Open(at))
        known.due_at = min(known.due_at, at)

    def ask_now(self, question: Question, at: UnixMicros) -> None:
        """Note that something is asked at once, before all that waits."""
        self._open[question] = _Open(at, asked_at=at)

    def drop(self, question: Question) -> None:
        """Ask it no more: it was answered, or does not matter any longer."""
        self._open.pop(question, None)

    def fail(self, question: Question, at: UnixMicros) -> None:
        """Ask again later what could not be answered."""
        known = self._open.get(question)
        if known is not None:
            known.due_at = UnixMicros(at + known.pause_micros)
            known.asked_at = None
            known.pause_micros = min(2 * known.pause_micros, _LONGEST_PAUSE_MICROS)

    def hurry(self, at: UnixMicros) -> None:
        """Ask everything now: the source is another one, or there again."""
        for known in self._open.values():
            known.due_at, known.asked_at, known.pause_micros = at, None, _FIRST_PAUSE_MICROS

    def due(self, at: UnixMicros) -> list[Question]:
        """Return what is to be asked now; it counts as under way from here on."""
        under_way = 0
        for known in self._open.values():
            if known.asked_at is not None and not known.asked_at <= at < known.asked_at + _LOST_AFTER_MICROS:
                known.asked_at = None
            under_way += known.asked_at is not None
        asked: list[Question] = []
        for question, known in self._open.items():
            if under_way + len(asked) >= AT_ONCE:
                break
            if known.asked_at is None and known.due_at <= at:
                known.asked_at = at
                asked.append(question)
        return asked

    @property
    def next_at(self) -> UnixMicros | None:
        """When something is to be asked next, as far as only time decides; None: never."""
        waiting = [known.due_at for known in self._open.values() if known.asked_at is None]
        lost = [
            UnixMicros(known.asked_at + _LOST_AFTER_MICROS)
            for known in self._open.values()
            if known.asked_at is not None
        ]
        if len(lost) >= AT_ONCE:
            return min(lost)
        return min([*waiting, *lost], default=None)
