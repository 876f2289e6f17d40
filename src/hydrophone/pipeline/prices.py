"""What a bitcoin is worth, for display alone: nothing that is predicted, recorded or replayed knows of it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol

from hydrophone.domain.units import MICROS_PER_S, UnixMicros, format_instant
from hydrophone.pipeline.ports import Clock
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.runtime.telemetry import get_logger

log = get_logger(__name__)

FRESH_S: Final = 3_600.0
"""So long what was heard is not asked for again. Sources: mempool.space asks for prices once an hour."""
_ASK_EVERY_S: Final = 600.0
"""# chosen: a backend that had no prices may have some by then; one small request."""


class TellsPrices(Protocol):
    """Prices as they were told."""

    @property
    def at_s(self) -> float | None:
        """When they were, in Unix seconds; None: nobody said."""
        ...

    @property
    def by_currency(self) -> Mapping[str, float]:
        """In units of each currency, by its code."""
        ...


Fetch = Callable[[], Awaitable[tuple[int, bytes]]]
"""Asks the backend for its prices: status (0: no answer) and body."""
Parse = Callable[[bytes], TellsPrices | None]


class PriceBoard:
    """Keeps the newest prices: what the source says by itself, and what it answers while it has said nothing.

    Args:
        source: its name.
        parse_frame: reads what it says by itself.
        parse_answer: reads what it answers.
        fetch: asks it.
        clock: now.
        ask_every_s: between two times that it is asked, while nothing fresh is known.
    """

    def __init__(
        self,
        *,
        source: str,
        parse_frame: Parse,
        parse_answer: Parse,
        fetch: Fetch,
        clock: Clock,
        ask_every_s: float = _ASK_EVERY_S,
    ) -> None:
        self._source = source
        self._parse_frame = parse_frame
        self._parse_answer = parse_answer
        self._fetch = fetch
        self._clock = clock
        self._ask_every_s = ask_every_s
        self._prices: Mapping[str, float] | None = None
        self._at: UnixMicros | None = None
        self._heard_at: UnixMicros | None = None
        self._is_simulated = False
        self._opened = asyncio.Event()

    def note(self, frame: Frame) -> None:
        """Look at a frame of the link; most tell nothing of prices."""
        if frame.kind is FrameKind.RECEIVED:
            told = self._parse_frame(frame.payload)
            if told is not None:
                self._keep(told, UnixMicros(frame.at))
        elif frame.kind is FrameKind.OPENED:
            if frame.is_simulated != self._is_simulated:
                self._prices = self._at = self._heard_at = None  # of another world
            self._is_simulated = frame.is_simulated
            self._opened.set()

    def answer(self) -> dict[str, object]:
        """Return the newest prices, however old they are: `at` says it. None: none are known."""
        return {
            "at": None if self._at is None else format_instant(self._at),
            "source": self._source,
            "prices": self._prices,
            "simulated": self._is_simulated,
        }

    async def run(self, ready: Callable[[], None]) -> None:
        """Ask after each connection and every while, unless fresh prices are known, until cancelled."""
        ready()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._ask_every_s):
                    await self._opened.wait()
            self._opened.clear()
            if not self._is_fresh():
                await self._ask()

    def _is_fresh(self) -> bool:
        return self._heard_at is not None and self._clock() - self._heard_at < FRESH_S * MICROS_PER_S

    async def _ask(self) -> None:
        was_simulated = self._is_simulated
        status, body = await self._fetch()
        told = self._parse_answer(body)
        if told is None:
            log.debug("no_prices", status=status)
        elif was_simulated == self._is_simulated:
            self._keep(told, self._clock())

    def _keep(self, told: TellsPrices, heard_at: UnixMicros) -> None:
        """Take prices up; what a clock ahead of ours says is of now."""
        self._prices = dict(told.by_currency)
        self._heard_at = heard_at
        at = heard_at if told.at_s is None else UnixMicros(round(told.at_s * MICROS_PER_S))
        self._at = min(at, heard_at)
