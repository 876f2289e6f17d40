"""A bounded queue between two services that can be closed."""

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from hydrophone.errors import ServiceStopped

T = TypeVar("T")


class Channel(Generic[T]):
    """Carries items in order from many senders to one receiver. When full, `put` waits.

    Closing lets the receiver take what is left; then it ends.

    Args:
        name: for status and errors.
        capacity: how many items wait at the most.
        max_weight: how much they weigh together at the most; a single heavier item is let in alone.
        weigh: what an item weighs.
    """

    def __init__(
        self,
        name: str,
        capacity: int,
        *,
        max_weight: int = sys.maxsize,
        weigh: Callable[[T], int] = lambda _item: 0,
    ) -> None:
        self.name = name
        self.capacity = capacity
        self.max_weight = max_weight
        self._weigh = weigh
        self._weight = 0
        self._sender_count = 0
        self.high_water = 0
        self.taken_count = 0
        self._items: deque[T] = deque()
        self._is_closed = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()

    def __len__(self) -> int:
        """Number of waiting items."""
        return len(self._items)

    @property
    def weight(self) -> int:
        """What waits weighs together."""
        return self._weight

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits in it, nor to get in."""
        return not self._items and self._sender_count == 0

    async def put(self, item: T) -> None:
        """Append an item; wait while the channel is full.

        Raises:
            ServiceStopped: it is closed.
        """
        weight = self._weigh(item)
        self._sender_count += 1
        try:
            while not self._has_room(weight) and not self._is_closed:
                self._writable.clear()
                await self._writable.wait()
        finally:
            self._sender_count -= 1
        if self._is_closed:
            raise ServiceStopped(f"channel {self.name} is closed")
        self._items.append(item)
        self._weight += weight
        self.high_water = max(self.high_water, len(self._items))
        self._readable.set()

    async def take(self) -> list[T]:
        """Wait for at least one item and return all that wait; empty once closed and drained."""
        while not self._items:
            if self._is_closed:
                return []
            self._readable.clear()
            await self._readable.wait()
        taken = list(self._items)
        self.taken_count += len(taken)
        self._items.clear()
        self._weight = 0
        self._writable.set()
        return taken

    def close(self) -> None:
        """Accept nothing more."""
        self._is_closed = True
        self._readable.set()
        self._writable.set()

    def _has_room(self, weight: int) -> bool:
        is_light_enough = not self._items or self._weight + weight <= self.max_weight
        return len(self._items) < self.capacity and is_light_enough
