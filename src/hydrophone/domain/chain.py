"""The newest blocks by hash: enough to notice that a block we knew is no longer in the chain."""

from typing import Final

from hydrophone.domain.units import Height

_KEPT: Final = 32
"""# chosen: as many as a mempool.space backend lists at once, and more than any reorg has undone."""


class RecentChain:
    """Remembers which block was at each of the newest heights."""

    def __init__(self) -> None:
        self._hashes: dict[Height, str] = {}

    def connect(self, height: Height, block_hash: str, previous_hash: str) -> Height | None:
        """Take a block in; return the lowest height whose block it makes stale, None when it makes none.

        A block told again is harmless. Where a reorg is told from below, each block reveals one height; told
        from the tip only, the parent's hash reveals the one below.
        """
        parent = Height(height - 1)
        stale: Height | None = None
        if self._hashes.get(height, block_hash) != block_hash:
            stale = height
        if self._hashes.get(parent, previous_hash) != previous_hash:
            stale = parent
        if stale is not None:
            self._hashes = {known: h for known, h in self._hashes.items() if known < stale}
        self._hashes[parent] = previous_hash
        self._hashes[height] = block_hash
        newest = max(self._hashes)
        self._hashes = {known: h for known, h in self._hashes.items() if known > newest - _KEPT}
        return stale
