"""The blocks we heard of."""

from typing import Final

import duckdb

from hydrophone.domain.chain import KEPT
from hydrophone.domain.events import RecordBlock, RecordContents
from hydrophone.domain.settlement import KnownBlock
from hydrophone.domain.units import Height
from hydrophone.store.rows import timestamp

_STALE: Final = "DELETE FROM blocks WHERE height >= ? AND height < ?"
_INSERT: Final = """
    INSERT INTO blocks (height, block_hash, previous_hash, heard_at, ours)
    SELECT $height, $block_hash, $previous_hash, $heard_at::TIMESTAMP, $ours
    WHERE NOT EXISTS (FROM blocks WHERE height = $height)
"""
_READ: Final = "UPDATE blocks SET whales = ?, unseen = ? WHERE height = ? AND block_hash = ?"


def write_block(connection: duckdb.DuckDBPyConnection, effect: RecordBlock | RecordContents) -> None:
    """Store what became known of a block."""
    if isinstance(effect, RecordContents):
        connection.execute(_READ, [effect.whales, effect.unseen, effect.height, effect.block_hash])
        return
    if effect.stale is not None:
        connection.execute(_STALE, [effect.stale.start, effect.stale.stop])
    connection.execute(
        _INSERT,
        {
            "height": effect.height,
            "block_hash": effect.block_hash,
            "previous_hash": effect.previous_hash,
            "heard_at": timestamp(effect.at),
            "ours": effect.is_ours,
        },
    )


def load_blocks(connection: duckdb.DuckDBPyConnection) -> tuple[KnownBlock, ...]:
    """Return the newest blocks, from below."""
    rows = connection.execute(
        """
        SELECT height, block_hash, previous_hash, whales IS NOT NULL, ours FROM blocks
        ORDER BY height DESC LIMIT ?
        """,
        [KEPT],
    ).fetchall()
    return tuple(
        KnownBlock(Height(height), block_hash, previous_hash, is_read, is_ours)
        for height, block_hash, previous_hash, is_read, is_ours in reversed(rows)
    )
