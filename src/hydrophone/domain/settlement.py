"""What we are not sure of: predictions in doubt, whales and blocks we only heard of, and what to ask.

After a gap everything may have happened. So every open prediction is asked about, the blocks are followed
from the last one we knew, and the blocks to come are searched for whales that came while we were blind.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from hydrophone.domain.chain import KEPT, RecentChain
from hydrophone.domain.events import Ask, BlockConnected, BlockPlace, Effect, RecordBlock, RecordContents
from hydrophone.domain.questions import (
    PROJECTED_BLOCKS,
    AboutBlock,
    AboutContents,
    AboutProjected,
    AboutReplacement,
    AboutTip,
    AboutTransaction,
    Questions,
)
from hydrophone.domain.units import MICROS_PER_S, FeeRate, Height, Txid, UnixMicros

PATIENCE_MICROS: Final = 4 * MICROS_PER_S
"""A source that has a transaction not, or not in a block, is believed when it says so that long after the
doubt began. # chosen: two polls of a mempool.space backend; its index and its websocket differ for less."""
MOST_BLOCKS_BACK: Final = 144
"""# chosen: a day of blocks is read after an outage, some 50 MB of answers; older ones count as not read."""
_SOUGHT_LIMIT: Final = 5_000
"""# chosen: twice the whales of a full mempool."""
_CHECKED_AT_ONCE: Final = 10
_CHECKED_AFTER_MICROS: Final = 3_600 * MICROS_PER_S
"""With each block the predictions nobody confirmed for an hour, and that were longest not asked about, are.
# chosen: an event that was lost in silence is found within hours, for a question a minute."""


_HOPELESS_MICROS: Final = 3_600 * MICROS_PER_S
"""# chosen: an hour of attempts, of a transaction that every mempool has forgotten, or of a whale that was
found waiting: the next gap, or its block, finds it again."""


@dataclass(frozen=True, slots=True)
class Sought:
    """A whale that a source mentioned and did not announce, with what it claims.

    Attributes:
        mentioned_at: when it was.
        first_seen_at: since when it waits; None: it did not say.
        rate_sat_vb: of its package; None likewise.
        is_mined: whether a block is said to have it.
    """

    mentioned_at: UnixMicros
    first_seen_at: UnixMicros | None = None
    rate_sat_vb: FeeRate | None = None
    is_mined: bool = False


class KnownBlock(NamedTuple):
    """A block that was heard of before a restart.

    Attributes:
        height: of it.
        block_hash: its hash.
        previous_hash: of its parent.
        is_read: whether its contents were told.
        is_ours: whether it came since we first began; the others are not to be read.
    """

    height: Height
    block_hash: str
    previous_hash: str
    is_read: bool
    is_ours: bool = True


class Settlement:
    """Doubts and how to end them.

    Attributes:
        questions: to be asked.
    """

    def __init__(self) -> None:
        self.questions = Questions()
        self._since: dict[Txid, UnixMicros] = {}
        self._heirs: dict[Txid, Txid] = {}
        self._sought: dict[Txid, Sought] = {}
        self._checked: dict[Txid, UnixMicros] = {}

    # --- predictions ---------------------------------------------------------------------------------

    def doubt(self, txid: Txid, at: UnixMicros) -> None:
        """Ask about a prediction, from now on patiently."""
        self._since[txid] = at
        self.questions.ask(AboutTransaction(txid), at)

    def look_again(self, txid: Txid, at: UnixMicros) -> bool:
        """Take note that a source has it not; return whether that counts, else it is asked once more.

        What is not doubted stays as it is: the answer is older than what settled it.
        """
        since = self._since.get(txid)
        if since is None:
            return False
        if at >= since + PATIENCE_MICROS:
            return True
        self.questions.ask(AboutTransaction(txid), UnixMicros(since + PATIENCE_MICROS))
        return False

    def doubted_since(self, txid: Txid) -> UnixMicros | None:
        """Return since when a prediction is doubted; None: it is not."""
        return self._since.get(txid)

    def is_decisive(self, txid: Txid, at: UnixMicros) -> bool:
        """Whether it has been doubted for long enough to believe a source that has it not."""
        since = self._since.get(txid)
        return since is not None and at >= since + PATIENCE_MICROS

    def ask_later(self, txid: Txid, at: UnixMicros) -> None:
        """Ask about a prediction again when sources should agree."""
        self.questions.ask(AboutTransaction(txid), UnixMicros(at + PATIENCE_MICROS))

    def is_hopeless(self, txid: Txid, at: UnixMicros) -> bool:
        """Whether nobody could say for long what became of it."""
        since = self._since.get(txid)
        return since is not None and at >= since + _HOPELESS_MICROS

    def settle(self, txid: Txid) -> None:
        """Doubt it no more."""
        self._since.pop(txid, None)
        self.questions.drop(AboutReplacement(txid))
        heir = self._heirs.pop(txid, None)
        self._release(txid)
        if heir is not None:
            self._release(heir)

    def _release(self, txid: Txid) -> None:
        """Ask about a transaction no more, unless for another's sake."""
        if txid not in self._since and txid not in self._sought and txid not in self._heirs.values():
            self.questions.drop(AboutTransaction(txid))

    def forget(self, txid: Txid) -> None:
        """Settle it for good: it is not followed any more."""
        self.settle(txid)
        self._checked.pop(txid, None)

    def check(self, waiting: Iterable[tuple[Txid, UnixMicros]], at: UnixMicros) -> None:
        """Ask about some predictions of which nothing was heard for long; give up whales nobody could tell.

        Args:
            waiting: txid of each that is pending, and since when.
            at: now.
        """
        quiet = sorted(
            (self._checked.get(txid, since), txid)
            for txid, since in waiting
            if at - self._checked.get(txid, since) >= _CHECKED_AFTER_MICROS
        )
        for _, txid in quiet[:_CHECKED_AT_ONCE]:
            self._checked[txid] = at
            self.questions.ask(AboutTransaction(txid), at)
        for txid, sought in tuple(self._sought.items()):
            if not sought.is_mined and at - sought.mentioned_at >= _HOPELESS_MICROS:
                del self._sought[txid]
                self._release(txid)

    # --- successors and whales nobody announced ------------------------------------------------------

    def seek_heir(self, heir: Txid, of: Txid, at: UnixMicros) -> None:
        """Ask what a transaction is that replaced another."""
        before = self._heirs.get(of)
        self._heirs[of] = heir
        if before is not None:
            self._release(before)
        self.questions.ask(AboutTransaction(heir), at)

    def take_predecessors(self, heir: Txid) -> list[Txid]:
        """Return which transactions it replaced, as far as that was asked; once."""
        found = [of for of, sought in self._heirs.items() if sought == heir]
        for predecessor in found:
            del self._heirs[predecessor]
        return found

    def seek(self, txid: Txid, sought: Sought) -> None:
        """Ask what a whale is that somebody mentioned."""
        if len(self._sought) < _SOUGHT_LIMIT:
            self._sought[txid] = sought
            self.questions.ask(AboutTransaction(txid), sought.mentioned_at)

    def is_sought(self, txid: Txid) -> bool:
        """Whether it was mentioned, and nobody said yet what it is."""
        return txid in self._sought

    def must_exist(self, txid: Txid, at: UnixMicros) -> bool:
        """Whether a source mentioned it and should know it soon, though it says that it does not yet.

        An index follows its node by seconds. What waited may be gone; what a block has is there.
        """
        sought = self._sought.get(txid)
        if sought is None:
            return False
        return at - sought.mentioned_at < (_HOPELESS_MICROS if sought.is_mined else PATIENCE_MICROS)

    def take_sought(self, txid: Txid) -> Sought | None:
        """Return what is known of it, if it was sought; once."""
        return self._sought.pop(txid, None)

    def resync(self, at: UnixMicros) -> list[Effect]:
        """Ask for the newest blocks and what waits for the next ones: something may have been missed."""
        self.questions.hurry(at)
        self.questions.ask(AboutTip(), at)
        return [Ask(AboutProjected(index)) for index in (*range(PROJECTED_BLOCKS), -1)]


class ChainReader:
    """Follows the chain, and knows which of its blocks are still to be read.

    Args:
        questions: where it asks.
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._chain = RecentChain()
        self._unread: dict[str, Height] = {}
        self._reading: dict[str, tuple[RecordContents, frozenset[Txid]]] = {}
        self._began_at: UnixMicros | None = None
        self._base: Height | None = None
        self._read_to: Height | None = None
        self._missing: AboutBlock | None = None
        self._newest_told_at: UnixMicros | None = None

    def restore(self, blocks: Sequence[KnownBlock]) -> None:
        """Go on after a restart with the newest blocks that were recorded, from below.

        Where one is missing among those that came since we first began, it was still to be asked for.
        """
        for block in blocks:
            self._chain.connect(block.height, block.block_hash, block.previous_hash)
        if blocks:
            before_us = [block.height for block in blocks if not block.is_ours]
            first = max(before_us, default=Height(blocks[0].height - 1))
            self._read_to = self._base = max(first, Height(blocks[-1].height - MOST_BLOCKS_BACK))
            while self._chain.told_at(Height(self._read_to + 1)) is not None:
                self._read_to = Height(self._read_to + 1)
        unread = (block for block in blocks if block.is_ours and not block.is_read)
        self._unread.update({block.block_hash: block.height for block in unread})

    def note_time(self, at: UnixMicros) -> None:
        """Note when we began: blocks found before that are none of ours."""
        if self._began_at is None:
            self._began_at = at

    def resume(self, at: UnixMicros) -> None:
        """Ask again for what was to be read."""
        for block_hash in self._unread:
            self._questions.ask(AboutContents(block_hash), at)

    @property
    def newest(self) -> Height | None:
        """Height of the newest block; None: none is known."""
        return self._chain.newest

    def linked_to(self, tip: Height) -> Height:
        """Return up to where every block was told: above that, one below may yet turn out to be stale."""
        return tip if self._read_to is None else min(tip, self._read_to)

    def note_told(self, event: BlockConnected) -> None:
        """Note whether a source has come as far as we have.

        A block far below all that we know is of another chain: what is stored came from a simulation, or a
        source told nonsense. Then we begin anew, else nothing below that height would ever be followed.
        """
        newest = self._chain.newest
        if newest is not None and event.height <= newest - KEPT:
            for block_hash in (*self._unread, *self._reading):
                self._forget(block_hash)
            self._chain, self._base, self._read_to, newest = RecentChain(), None, None, None
        if newest is None or event.height >= newest:
            self._newest_told_at = event.at

    def is_level_since(self, at: UnixMicros) -> bool:
        """Whether a source told a block as high as our newest since an instant: else it may be behind us."""
        return self._newest_told_at is not None and self._newest_told_at >= at

    def is_known(self, event: BlockConnected) -> bool:
        """Whether it is the block we know at its height."""
        return self._chain.told_at(event.height) == event.block_hash

    def contradicts(self, place: BlockPlace) -> bool:
        """Whether another block is known at that height."""
        return self._chain.hash_at(place.height) not in (None, place.block_hash)

    def expect(self, place: BlockPlace) -> None:
        """Note a block that was mentioned and not told: should another come, what it confirmed is undone."""
        self._chain.expect(place.height, place.block_hash)

    def connect(self, event: BlockConnected) -> tuple[range | None, list[Effect]]:
        """Take a block in that was not known.

        Returns:
            The heights whose blocks it makes stale (None: it makes none), and what is to be stored.
        """
        before = self._chain.newest
        stale = self._chain.connect(event.height, event.block_hash, event.previous_hash)
        if stale is not None:
            reading = [(key, contents.height) for key, (contents, _) in self._reading.items()]
            for block_hash, height in (*self._unread.items(), *reading):
                if height in stale:
                    self._forget(block_hash)
            if self._read_to is not None and self._base is not None:
                self._read_to = min(self._read_to, Height(stale.start - 1))
                self._base = min(self._base, self._read_to)
        if self._read_to is None and not self._is_before_us(event):
            self._read_to = self._base = (
                Height(event.height - 1) if before is None else min(before, Height(event.height - 1))
            )
        if self._read_to is not None and event.height > self._read_to:
            self._unread[event.block_hash] = event.height
            self._questions.ask(AboutContents(event.block_hash), event.at)
            self._advance(event.at)
        is_ours = self._base is not None and event.height > self._base
        recorded = RecordBlock(
            event.at, event.height, event.block_hash, event.previous_hash, stale, is_ours=is_ours
        )
        return stale, [recorded]

    def _is_before_us(self, event: BlockConnected) -> bool:
        """Whether it was there when we began: a source that names no contents lists old ones."""
        return event.mined is None and (
            event.found_at is None or self._began_at is None or event.found_at <= self._began_at
        )

    def _advance(self, at: UnixMicros) -> None:
        """Note up to where every block is known; ask for what is missing, from child to parent.

        By hash, not by height: a backend without an index tells stale blocks by their heights.
        """
        newest = self._chain.newest
        assert self._read_to is not None
        assert newest is not None
        oldest = Height(newest - MOST_BLOCKS_BACK)
        for block_hash in [key for key, height in self._unread.items() if height <= oldest]:
            self._forget(block_hash)
        self._read_to = max(self._read_to, oldest)
        while self._chain.told_at(Height(self._read_to + 1)) is not None:
            self._read_to = Height(self._read_to + 1)
        missing = None if self._read_to >= newest else self._lowest_missing(self._read_to, newest)
        if self._missing is not None and self._missing != missing:
            self._questions.drop(self._missing)
        self._missing = missing
        if missing is not None:
            self._questions.ask(missing, at)

    def _lowest_missing(self, read_to: Height, newest: Height) -> AboutBlock:
        """Return what to ask so that the lowest blocks told above a hole grow down by one."""
        heights = map(Height, range(read_to + 1, newest + 1))
        above = next(height for height in heights if self._chain.told_at(height) is not None)
        block_hash = self._chain.hash_at(Height(above - 1))
        assert block_hash is not None  # a block names its parent
        return AboutBlock(block_hash)

    def take_unread(self, block_hash: str) -> Height | None:
        """Return the height of a block that was to be read, once."""
        height = self._unread.get(block_hash)
        self._forget(block_hash)
        return height

    def begin_reading(self, contents: RecordContents, sought: Iterable[Txid]) -> None:
        """Note that a block was told, but for what some of its whales are."""
        self._reading[contents.block_hash] = (contents, frozenset(sought))

    def finish_reading(self, is_sought: Callable[[Txid], bool]) -> list[Effect]:
        """Record blocks of which all is known now; after a crash the others are read again."""
        if not self._reading:
            return []
        read = [key for key, (_, sought) in self._reading.items() if not any(map(is_sought, sought))]
        return [self._reading.pop(key)[0] for key in read]

    def _forget(self, block_hash: str) -> None:
        self._unread.pop(block_hash, None)
        self._reading.pop(block_hash, None)
        self._questions.drop(AboutContents(block_hash))
