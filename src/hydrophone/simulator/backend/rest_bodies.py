"""What REST answers contain."""

from collections.abc import Callable

from hydrophone.simulator.backend.backend import Backend, Style
from hydrophone.simulator.backend.flags import static_flags
from hydrophone.simulator.backend.js_text import dump, whole
from hydrophone.simulator.backend.transactions import status_text
from hydrophone.simulator.node.chain import Block
from hydrophone.simulator.node.transactions import Coin, Transaction

TransactionWriter = Callable[[Backend, str], str | None]
"""Returns something about a transaction; None when it is not known."""


_MAX_DIGITS = 9
"""More are no height."""


def parse_number(text: str) -> int | None:
    """Return a whole number of a path; None when it is none."""
    return int(text) if text.isdecimal() and len(text) <= _MAX_DIGITS else None


def tip_height(backend: Backend) -> int:
    """Return the height that the backend heard of last."""
    tip = backend.tip
    return backend.node.chain.base_height if tip is None else tip.height


def blocks_below(backend: Backend, height: int, count: int) -> str:
    """Return blocks from a height downwards; those in memory as they are there, stale ones included.

    Args:
        backend: of the simulation.
        height: of the first.
        count: how many, if there are.
    """
    in_memory = {known.block.height: known for known in backend.blocks}
    texts: list[str] = []
    for wanted in range(min(height, tip_height(backend)), max(height - count, -1), -1):
        known = in_memory.get(wanted)
        block = backend.node.chain.at(wanted)
        if known is None and block is not None:
            known = backend.known_block(block)
        if known is not None:
            texts.append(known.text)
    return f"[{','.join(texts[:count])}]"


def hash_at(backend: Backend, height: str) -> str | None:
    """Return the hash of the block of a height; None when it is not known."""
    number = parse_number(height)
    block = None if number is None else backend.node.chain.at(number)
    return None if block is None else block.block_hash


def summary(backend: Backend, block: Block) -> str:
    """Return all transactions of a block in short."""
    known = backend.known_block(block)
    has_index = backend.style is Style.ESPLORA
    rows = []
    for transaction, rate in zip(block.transactions, (0, *known.rates_sat_vb), strict=True):
        row: dict[str, object] = {
            "txid": transaction.txid,
            "fee": transaction.fee_sat,
            "vsize": whole(transaction.vsize),
            "value": transaction.value_sat,
            "rate": whole(rate),
        }
        first_seen_s = known.first_seen_s.get(transaction.txid)
        if first_seen_s is not None:
            row["time"] = first_seen_s
        row["flags"] = static_flags(transaction, with_prevouts=has_index)
        rows.append(row)
    return dump(rows)


def block_txids(backend: Backend, block_hash: str) -> str | None:
    """Return the txids of a block; None when it is not known."""
    block = backend.node.chain.by_hash.get(block_hash)
    return None if block is None else dump([transaction.txid for transaction in block.transactions])


def block_transactions(backend: Backend, block_hash: str, start: str, count: int) -> str | None:
    """Return a page of a block; None when it is not known.

    Args:
        backend: of the simulation.
        block_hash: of the block.
        start: number of the first transaction; empty for the coinbase.
        count: how many.
    """
    block = backend.node.chain.by_hash.get(block_hash)
    if block is None:
        return None
    first = parse_number(start) or 0
    write = backend.text.bare if backend.style is Style.ESPLORA else backend.text.in_block
    page = block.transactions[first : first + count]
    return f"[{','.join([write(transaction, block) for transaction in page])}]"


def chain_tips(backend: Backend) -> str:
    """Return the tip and the ends of all branches that lost, the highest first."""
    chain = backend.node.chain
    stale = {block.block_hash: block for block in chain.stale}
    parents = {block.previous_hash for block in chain.stale}
    tips = [
        {"height": chain.height, "hash": chain.tip_hash, "branchlen": 0, "status": "active"},
    ]
    for block in sorted(stale.values(), key=lambda block: block.height, reverse=True):
        if block.block_hash in parents:
            continue
        length, below = 1, stale.get(block.previous_hash)
        while below is not None:
            length, below = length + 1, stale.get(below.previous_hash)
        tips.append(
            {"height": block.height, "hash": block.block_hash, "branchlen": length, "status": "valid-fork"}
        )
    return dump(tips)


def mempool_txids(backend: Backend) -> str:
    """Return what waits."""
    return dump(list(backend.mempool.records))


def recent(backend: Backend) -> str:
    """Return the latest transactions as the index has them: with less."""
    return dump(
        [
            {
                "txid": transaction.txid,
                "fee": transaction.fee_sat,
                "vsize": whole(transaction.vsize),
                "value": transaction.value_sat,
            }
            for transaction in backend.latest
        ]
    )


def _find(backend: Backend, txid: str) -> tuple[Transaction, Block | None] | None:
    """Return a transaction with its block: the node is asked, so it may be newer than the backend's news."""
    chain, entries = backend.node.chain, backend.node.mempool.entries
    txid = txid.lower()
    if txid in entries:
        return entries[txid].transaction, None
    return chain.find(txid)


def transaction(backend: Backend, txid: str) -> str | None:
    """Return a transaction with its prevouts."""
    found = _find(backend, txid)
    if found is None:
        return None
    known = backend.mempool.records.get(txid.lower())
    if backend.style is Style.ESPLORA:
        return backend.text.bare(*found)
    if known is None or found[1] is not None:
        return backend.text.looked_up(*found)
    _ = backend.projection.blocks  # decides the position
    return backend.text.remembered(known, with_prevouts=True)


def transaction_status(backend: Backend, txid: str) -> str | None:
    """Return whether and where a transaction is confirmed."""
    found = _find(backend, txid)
    return None if found is None else status_text(found[1])


def transaction_hex(backend: Backend, txid: str) -> str | None:
    """Return a transaction as it goes over the wire."""
    found = _find(backend, txid)
    return None if found is None else found[0].serialize().hex()


def outspends(backend: Backend, txid: str) -> str | None:
    """Return which outputs are spent; by what, only an index knows."""
    found = _find(backend, txid)
    if found is None:
        return None
    return f"[{','.join([_outspend(backend, coin) for coin in found[0].outputs])}]"


def _outspend(backend: Backend, coin: Coin) -> str:
    waiting = backend.node.mempool.spender(coin.outpoint)
    confirmed = backend.node.chain.spender(coin.outpoint)
    if waiting is None and confirmed is None:
        return '{"spent":false}'
    if backend.style is Style.NONE:
        return '{"spent":true}'
    if confirmed is not None:
        spender, block, vin = confirmed
        status = status_text(block)
    else:
        assert waiting is not None
        spender = waiting.transaction
        vin = next(at for at, spend in enumerate(spender.inputs) if spend.coin is coin)
        status = status_text(None)
    return f'{{"spent":true,"txid":"{spender.txid}","vin":{vin},"status":{status}}}'
