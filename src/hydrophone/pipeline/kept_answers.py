"""Keeps answers that take long to compute: who asks gets the newest there is; a new one is made behind."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from math import inf
from typing import Final, Generic, TypeVar

from hydrophone.errors import HydrophoneError
from hydrophone.runtime.telemetry import get_logger

log = get_logger(__name__)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_REST: Final = 3
"""Rested after each, by the time it took. # chosen: whoever asks for ever other periods waits, and has us
compute a quarter of the time at most."""
_MOST_KEPT: Final = 8
"""# chosen: nobody asks for more periods than that at a time."""


class KeptAnswers(Generic[K, V]):
    """Answers to a few questions, computed one at a time.

    Args:
        compute: answers a question anew.
        max_age_s: an answer that is older is made anew behind the one who gets it.
        oldest_s: an answer that is older is not given any more: who asks waits for a new one.
        now: seconds of a clock that never jumps.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        compute: Callable[[K], Awaitable[V]],
        *,
        max_age_s: float,
        oldest_s: float = inf,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._compute = compute
        self._max_age_s = max_age_s
        self._oldest_s = oldest_s
        self._now = now
        self._sleep = sleep
        self._rested_at = now()
        self._kept: OrderedDict[K, tuple[V, float]] = OrderedDict()
        self._most_kept = _MOST_KEPT
        self._turn = asyncio.Lock()
        self._renewing: dict[K, asyncio.Task[None]] = {}

    async def answer(self, question: K) -> V:
        """Return an answer, which may be of some time ago.

        Raises:
            HydrophoneError: there is none yet, and it cannot be computed.
        """
        kept = self._young(question)
        if kept is None:
            async with self._turn:
                kept = self._young(question) or await self._renew(question)
        elif self._now() - kept[1] > self._max_age_s and question not in self._renewing:
            self._renewing[question] = asyncio.create_task(self._renew_behind(question))
        return kept[0]

    def _young(self, question: K) -> tuple[V, float] | None:
        kept = self._kept.get(question)
        return None if kept is None or self._now() - kept[1] > self._oldest_s else kept

    def shrink(self) -> int:
        """Keep only the newest answer from now on; return how many went."""
        self._most_kept = 1
        return self._forget_surplus()

    def grow(self) -> None:
        """Keep as many as usual again."""
        self._most_kept = _MOST_KEPT

    async def close(self) -> None:
        """Break off what is being computed."""
        tasks = tuple(self._renewing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew_behind(self, question: K) -> None:
        try:
            async with self._turn:
                await self._renew(question)
        except HydrophoneError as error:
            log.debug("answer_not_renewed", reason=str(error))
        finally:
            del self._renewing[question]

    async def _renew(self, question: K) -> tuple[V, float]:
        if (pause_s := self._rested_at - self._now()) > 0:
            await self._sleep(pause_s)
        began = self._now()
        try:
            kept = (await self._compute(question), self._now())
        finally:  # also where nobody waits any more: what was begun in a thread goes on
            self._rested_at = self._now() + _REST * (self._now() - began)
        self._kept[question] = kept
        self._kept.move_to_end(question)
        self._forget_surplus()
        return kept

    def _forget_surplus(self) -> int:
        surplus = max(0, len(self._kept) - self._most_kept)
        for _ in range(surplus):
            self._kept.popitem(last=False)
        return surplus
