"""Small helpers to build what a mempool.space backend says. Keep it tiny: a test shows what matters to it."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydrophone.domain.units import Txid, UnixMicros
from hydrophone.runtime.frame import Frame, FrameKind

SOURCE = "mempool_space"
START = UnixMicros(1_790_000_000_000_000)

Json = dict[str, Any]


def txid_of(name: object) -> Txid:
    """Return a txid that is always the same for the same name; good for block hashes too."""
    return Txid(hashlib.sha256(str(name).encode()).hexdigest())


def wpkh(number: int) -> bytes:
    """Return a P2WPKH script."""
    return b"\x00\x14" + number.to_bytes(20, "big")


def output_json(value_sat: int, script: bytes = wpkh(1)) -> Json:
    """Return an output as Esplora spells it; an input's prevout looks the same."""
    return {"scriptpubkey": script.hex(), "value": value_sat}


def transaction_json(
    name: object,
    values_sat: Sequence[int],
    *,
    fee_sat: float = 1_000,
    has_prevouts: bool = True,
    **changes: Any,  # noqa: ANN401 -- any key, well-formed or not
) -> Json:
    """Return a transaction of one input in Esplora's JSON.

    Args:
        name: decides its txid.
        values_sat: of its outputs.
        fee_sat: its fee, paid by the input.
        has_prevouts: False: as a backend without an address index says it.
        changes: keys to set, or to set wrongly.
    """
    prevout = output_json(sum(values_sat) + round(fee_sat), wpkh(2)) if has_prevouts else None
    spent = {"txid": txid_of(f"parent of {name}"), "vout": 0, "sequence": 0xFFFFFFFD, "prevout": prevout}
    transaction = {
        "txid": txid_of(name),
        "vin": [{**spent, "is_coinbase": False}],
        "vout": [output_json(value_sat) for value_sat in values_sat],
        "fee": fee_sat,
        "weight": 561,
    }
    return transaction | changes


def block_json(height: int) -> Json:
    """Return a block that follows the one below it."""
    return {
        "id": txid_of(f"block {height}"),
        "height": height,
        "previousblockhash": txid_of(f"block {height - 1}"),
    }


def mempool_json(
    sequence: int = 1,
    *,
    added: Iterable[object] = (),
    removed: Iterable[object] = (),
    mined: Iterable[object] = (),
    replaced: Iterable[tuple[str, object]] = (),
    **others: object,
) -> bytes:
    """Return the payload of a frame with a change of the mempool.

    Args:
        sequence: of the change.
        added: transactions.
        removed: txids.
        mined: txids.
        replaced: pairs of a txid and the transaction in its place.
        others: further keys of the frame, such as `block`.
    """
    delta = {
        "sequence": sequence,
        "added": list(added),
        "removed": list(removed),
        "mined": list(mined),
        "replaced": [{"replaced": txid, "by": successor} for txid, successor in replaced],
    }
    return to_bytes({"mempool-transactions": delta, **others})


def to_bytes(document: object) -> bytes:
    """Return JSON."""
    return json.dumps(document).encode()


def received(payload: bytes | Mapping[str, object], at: int = START) -> Frame:
    """Return a frame of the websocket."""
    raw = payload if isinstance(payload, bytes) else to_bytes(payload)
    return Frame(at, SOURCE, FrameKind.RECEIVED, raw)


def opened(at: int = START, *, is_simulated: bool = False) -> Frame:
    """Return the frame of a new connection."""
    return Frame(at, SOURCE, FrameKind.OPENED, b"ws://localhost:8999/api/v1/ws", is_simulated=is_simulated)


def answered(path: str, status: int, payload: bytes, at: int = START) -> Frame:
    """Return the frame of a REST answer."""
    return Frame(at, SOURCE, FrameKind.ANSWERED, payload, path, status)
