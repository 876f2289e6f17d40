"""What the core asks a source, and when it asks again.

A question is a wish like any other: its answer comes back as an event, or never. Nothing that is said rests
on whether a question was asked, only on what was answered, so a replay, which asks nobody, says the same.
"""

from dataclasses import dataclass
from itertools import islice
from math import inf
from typing import Final

from hydrophone.domain.units import MICROS_PER_S, Txid, UnixMicros


@dataclass(frozen=True, slots=True)
class AboutTransaction:
    """What is it, what does it spend, is it in a block?"""

    txid: Txid


@dataclass(frozen=True, slots=True)
class AboutReplacement:
    """By which transaction was it replaced?"""

    txid: Txid


@dataclass(frozen=True, slots=True)
class AboutTip:
    """Which blocks are the newest?"""


@dataclass(frozen=True, slots=True)
class AboutBlock:
    """Where is a block, and what is its parent?"""

    block_hash: str


@dataclass(frozen=True, slots=True)
class AboutContents:
    """Which transactions are in a block, and how much do they pay?"""

    block_hash: str


@dataclass(frozen=True, slots=True)
class AboutProjected:
    """Which transactions are in a block to come, 0 being the next; -1: let me hear no more of them."""

    index: int


Question = AboutTransaction | AboutReplacement | AboutTip | AboutBlock | AboutContents | AboutProjected

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
    asked_at: UnixMicros
    pause_micros: int = _FIRST_PAUSE_MICROS


class Questions:
    """Questions without an answer yet: a few are under way, the others wait for their turn."""

    def __init__(self) -> None:
        self._waiting: dict[Question, _Open] = {}
        self._under_way: dict[Question, _Open] = {}
        self._quiet_until: float = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._under_way)

    def ask(self, question: Question, at: UnixMicros) -> None:
        """Let something be asked, not before an instant; harmless when it is about to be or under way."""
        if question not in self._under_way:
            known = self._waiting.setdefault(question, _Open(at, at))
            known.due_at = min(known.due_at, at)
            self._quiet_until = min(self._quiet_until, known.due_at)

    def ask_now(self, question: Question, at: UnixMicros) -> None:
        """Note that something is asked at once, before all that waits."""
        self.drop(question)
        self._under_way[question] = _Open(at, at)

    def drop(self, question: Question) -> None:
        """Ask it no more: it was answered, or does not matter any longer."""
        self._waiting.pop(question, None)
        self._under_way.pop(question, None)

    def fail(self, question: Question, at: UnixMicros) -> None:
        """Ask again later what could not be answered."""
        known = self._under_way.pop(question, None)
        if known is not None:
            self._put_back(question, known, UnixMicros(at + known.pause_micros))
            known.pause_micros = min(2 * known.pause_micros, _LONGEST_PAUSE_MICROS)

    def hurry(self, at: UnixMicros) -> None:
        """Ask everything now: the source is another one, or there again."""
        everything = {**self._waiting, **self._under_way}
        self._waiting = {question: _Open(at, at) for question in everything}
        self._under_way = {}
        self._quiet_until = min(self._quiet_until, at)

    def due(self, at: UnixMicros) -> list[Question]:
        """Return what is to be asked now; it counts as under way from here on."""
        self._give_up_lost(at)
        room = AT_ONCE - len(self._under_way)
        if room <= 0 or at < self._quiet_until:
            return []
        asked = list(islice((q for q, known in self._waiting.items() if known.due_at <= at), room))
        for question in asked:
            known = self._waiting.pop(question)
            known.asked_at = at
            self._under_way[question] = known
        self._quiet_until = min((known.due_at for known in self._waiting.values()), default=inf)
        return asked

    @property
    def next_at(self) -> UnixMicros | None:
        """When something is to be asked next, as far as only time decides; None: never."""
        oldest = next(iter(self._under_way.values()), None)
        lost_at = inf if oldest is None else oldest.asked_at + _LOST_AFTER_MICROS
        due_at = self._quiet_until if len(self._under_way) < AT_ONCE and self._waiting else inf
        soonest = min(lost_at, due_at)
        return None if soonest == inf else UnixMicros(int(soonest))

    def _give_up_lost(self, at: UnixMicros) -> None:
        while self._under_way:
            question, known = next(iter(self._under_way.items()))
            if known.asked_at <= at < known.asked_at + _LOST_AFTER_MICROS:
                return
            del self._under_way[question]
            self._put_back(question, known, at)

    def _put_back(self, question: Question, known: _Open, due_at: UnixMicros) -> None:
        known.due_at = due_at
        self._waiting[question] = known
        self._quiet_until = min(self._quiet_until, due_at)
