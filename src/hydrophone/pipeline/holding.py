"""Look-ups that can wait, while memory is short.

Each look-up of a whale's prevouts may hold an answer of megabytes. A whale that pays too little for the next
block is in no hurry: its signal goes out in time without them, as when a source is slow, and is amended when
they come. What is asked for an outcome never waits.
"""

from collections.abc import Callable
from typing import Final

from hydrophone.domain.questions import Question
from hydrophone.pipeline.ports import Asker

CAPACITY: Final = 500
"""Look-ups that wait. # chosen: as many as are under way at most; the core asks again for what is refused."""


class HoldingAsker:
    """An asker that may be told to let some questions wait.

    Args:
        asker: who asks.
        can_wait: whether a question is for a whale that is in no hurry.
        capacity: questions that wait at the most.
    """

    def __init__(
        self, asker: Asker, can_wait: Callable[[Question], bool], *, capacity: int = CAPACITY
    ) -> None:
        self._asker = asker
        self._can_wait = can_wait
        self.capacity = capacity
        self._waiting: dict[Question, None] = {}
        self._is_holding = False
        self.held_count = self._told_count = 0
        self.refused_count = 0

    @property
    def waiting_count(self) -> int:
        """Questions that wait now."""
        return len(self._waiting)

    def ask(self, question: Question) -> None:
        """Ask, or let it wait; never blocks."""
        if not self._is_holding or not self._can_wait(question):
            self._asker.ask(question)
        elif question in self._waiting:
            return
        elif len(self._waiting) >= self.capacity:
            self.refused_count += 1
        else:
            self._waiting[question] = None
            self.held_count += 1

    def hold(self) -> int:
        """Let questions wait from now on; return how many have been since the last call."""
        self._is_holding = True
        held, self._told_count = self.held_count - self._told_count, self.held_count
        return held

    def release(self) -> None:
        """Ask what waited, and let nothing wait any more."""
        self._is_holding = False
        waiting, self._waiting = self._waiting, {}
        for question in waiting:
            self._asker.ask(question)
