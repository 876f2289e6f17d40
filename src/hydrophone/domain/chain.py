"""The newest blocks by hash: enough to notice that a block we knew is no longer in the chain."""

from typing import Final

from hydrophone.domain.units import Height

KEPT: Final = 200
"""# chosen: more than a day, so that blocks missed in an outage can be filled in."""


class RecentChain:
    """Remembers which block was at each of the newest heights."""

    def __init__(self) -> None:
        self._hashes: dict[Height, str] = {}
        self._told: dict[Height, str] = {}

    @property
    def newest(self) -> Height | None:
        """Height of the newest block; None: none was told."""
        return max(self._told, default=None)

    def hash_at(self, height: Height) -> str | None:
        """Return the hash of the block at a height, as far as it is known: its child names it too."""
        return self._hashes.get(height)

    def told_at(self, height: Height) -> str | None:
        """Return the hash of the block at a height that was told itself."""
        return self._told.get(height)

    def expect(self, height: Height, block_hash: str) -> None:
        """Note which block is said to be at a height where none is known: another one contradicts that."""
        self._hashes.setdefault(height, block_hash)

    def connect(self, height: Height, block_hash: str, previous_hash: str) -> range | None:
        """Take a block in; return the heights whose blocks it makes stale, None when it makes none.

        A block told again is harmless. Where a reorg is told from below, each block reveals one height; told
        from the tip only, the parent's hash reveals the one below. A parent that is told after its child says
        nothing against that.
        """
        parent = Height(height - 1)
        stale: range | None = None
        if self._hashes.get(height, block_hash) != block_hash:
            stale = range(height, self._end_of_branch(height))
        if self._hashes.get(parent, previous_hash) != previous_hash:
            is_expected = self._hashes.get(height) == block_hash
            stale = range(parent, height if is_expected else self._end_of_branch(height))
        if stale is not None:
            self._hashes = {known: h for known, h in self._hashes.items() if known not in stale}
            self._told = {known: h for known, h in self._told.items() if known not in stale}
        self._hashes[parent] = previous_hash
        self._hashes[height] = self._told[height] = block_hash
        oldest = max(self._told) - KEPT
        self._hashes = {known: h for known, h in self._hashes.items() if known > oldest}
        self._told = {known: h for known, h in self._told.items() if known > oldest}
        return stale

    def _end_of_branch(self, height: Height) -> int:
        """Return the height below which all rests on a block: above that, nobody told what rests on what."""
        end = height + 1
        while end in self._told:
            end += 1
        return end
