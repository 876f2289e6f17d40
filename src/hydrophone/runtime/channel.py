"""A bounded queue between two services that can be closed."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from hydrophone.errors import ServiceStopped

T = TypeVar("T")


class Channel(Generic[T]):
    """Carries items in order from many senders to one receiver. When full, `put` waits.

    Closing lets the receiver take what is left; then it ends.

    Args:
        name: for status and errors.
        capacity: how many items wait at the most.
    """

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self.capacity = capacity
        self.high_water = 0
        self._items: deque[T] = deque()
        self._is_closed = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()

    def __len__(self) -> int:
        """Number of waiting items."""
        return len(self._items)

    async def put(self, item: T) -> None:
        """Append an item; wait while the channel is full.

        Raises:
            ServiceStopped: it is closed.
        """
        while len(self._items) >= self.capacity and not self._is_closed:
            self._writable.clear()
            await self._writable.wait()
        if self._is_closed:
            raise ServiceStopped(f"channel {self.name} is closed")
        self._append(item)

    def offer(self, item: T) -> bool:
        """Append an item if there is room and the channel is open; say whether."""
        if self._is_closed or len(self._items) >= self.capacity:
            return False
        self._append(item)
        return True

    async def take(self) -> list[T]:
        """Wait for at least one item and return all that wait; empty once closed and drained."""
        while not self._items:
            if self._is_closed:
                return []
            self._readable.clear()
            await self._readable.wait()
        taken = list(self._items)
        self._items.clear()
        self._writable.set()
        return taken

    def close(self) -> None:
        """Accept nothing more."""
        self._is_closed = True
        self._readable.set()
        self._writable.set()

    def _append(self, item: T) -> None:
        self._items.append(item)
        self.high_water = max(self.high_water, len(self._items))
        self._readable.set()
