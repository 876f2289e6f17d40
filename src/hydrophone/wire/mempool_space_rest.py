"""mempool.space's REST: where a question is asked, and what an answer says.

A bare backend serves `/api/v1` only; one behind nginx, or with an index, has transactions below `/api`.

Sources: answers of a mempool.space backend 3.4-dev on regtest (August 2026), its bitcoin.routes.ts and
rbf-cache.ts.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from hydrophone.domain.events import (
    Answered,
    BlockPlace,
    ContentsTold,
    Event,
    NoAnswer,
    ReplacementTold,
    Source,
    TransactionTold,
)
from hydrophone.domain.questions import (
    AboutBlock,
    AboutContents,
    AboutProjected,
    AboutReplacement,
    AboutTip,
    AboutTransaction,
    Question,
)
from hydrophone.domain.units import Height, Sats, Txid, UnixMicros
from hydrophone.errors import MalformedMessage
from hydrophone.runtime.frame import Frame
from hydrophone.wire.esplora import (
    NOT_JSON,
    TXID,
    Block,
    BlockHash,
    BlockHeight,
    GatedTransaction,
    block_connected,
    linked,
    transaction_of,
)
from hydrophone.wire.quarantine import Quarantine

_HTTP_OK: Final = 200
_HTTP_NOT_FOUND: Final = 404
_REASON_LENGTH: Final = 200
_NO_SUCH_THING: Final = re.compile(rb"transaction|block not found", re.IGNORECASE)


def paths_of(question: Question) -> tuple[str, ...]:
    """Return where a question is asked, in the order to try: the next when there is no such route.

    Raises:
        ValueError: it is asked by the websocket.
    """
    match question:
        case AboutTransaction(txid):
            return (f"/api/v1/tx/{txid}", f"/api/tx/{txid}")
        case AboutReplacement(txid):
            return (f"/api/v1/tx/{txid}/rbf",)
        case AboutTip():
            return ("/api/v1/blocks",)
        case AboutBlock(block_hash):
            return (f"/api/v1/block/{block_hash}",)
        case AboutContents(block_hash):
            return (f"/api/v1/block/{block_hash}/summary",)
        case AboutProjected():
            raise ValueError(f"{question} is asked by the websocket")


def is_route_missing(status: int, body: bytes) -> bool:
    """Whether a 404 does not say that there is no such thing: then there is no such path, for all we know.

    That a transaction is gone ends predictions, so only a backend that says so in its words is believed:
    Core's "No such mempool or blockchain transaction" as text or JSON, an index's "Transaction not found".
    Servers without the route answer with a page (nginx, Express, a content network), with the path, or with
    JSON of their own.

    Sources: mempool.space, bitcoin.routes.ts and utils/api.ts; Blockstream's electrs, rest.rs.
    """
    return status == _HTTP_NOT_FOUND and (body.lstrip()[:1] == b"<" or not _NO_SUCH_THING.search(body))


class _Status(msgspec.Struct, gc=False):
    confirmed: bool = False
    block_height: BlockHeight | None = None
    block_hash: BlockHash | None = None


class _ToldTransaction(GatedTransaction, gc=False, kw_only=True):
    status: _Status = msgspec.field(default_factory=_Status)


class _TreeTransaction(msgspec.Struct, gc=False):
    txid: str


class _Tree(msgspec.Struct, gc=False):
    """The newest version of a payment; what it replaced hangs below."""

    tx: _TreeTransaction


class _Replacements(msgspec.Struct, gc=False):
    replacements: _Tree | None = None


class _Summary(msgspec.Struct, gc=False):
    txid: str
    value: float


_decode_transaction = msgspec.json.Decoder(_ToldTransaction).decode
_decode_replacements = msgspec.json.Decoder(_Replacements).decode
_decode_blocks = msgspec.json.Decoder(list[Block]).decode
_decode_block = msgspec.json.Decoder(Block).decode
_decode_contents = msgspec.json.Decoder(list[_Summary]).decode


_Reader = Callable[[UnixMicros, Source, Sats, str, bytes], list[Event]]
"""Reads the body of an answer about a thing; raises what `NOT_JSON` lists, or MalformedMessage."""
_Asker = Callable[[str], Question]


def _read_transaction(
    at: UnixMicros, source: Source, threshold_sat: Sats, thing: str, body: bytes
) -> list[Event]:
    told = _decode_transaction(body)
    transaction = transaction_of(told)
    if transaction.txid != thing:
        raise MalformedMessage(f"expected transaction {thing}, found {transaction.txid}")
    status = told.status
    place = None
    if status.confirmed:
        if status.block_height is None or status.block_hash is None:
            raise MalformedMessage(f"expected the block of {thing}, which is confirmed, found none")
        place = BlockPlace(Height(status.block_height), status.block_hash)
    is_whale = transaction.gross_sat > threshold_sat
    return [TransactionTold(at, source, transaction, place, is_whale=is_whale)]


def _read_replacement(at: UnixMicros, _: Source, __: Sats, thing: str, body: bytes) -> list[Event]:
    tree = _decode_replacements(body).replacements
    if tree is not None and not TXID.fullmatch(tree.tx.txid):
        raise MalformedMessage(f"expected a txid of 64 hex digits, found {tree.tx.txid[:80]!r}")
    by = None if tree is None or tree.tx.txid == thing else Txid(tree.tx.txid)
    return [ReplacementTold(at, Txid(thing), by)]


def _read_tip(at: UnixMicros, _: Source, __: Sats, ___: str, body: bytes) -> list[Event]:
    blocks = linked(_decode_blocks(body))
    return [*(block_connected(at, block, None) for block in blocks), Answered(at, AboutTip())]


def _read_block(at: UnixMicros, _: Source, __: Sats, thing: str, body: bytes) -> list[Event]:
    block = _decode_block(body)
    if block.id != thing:
        raise MalformedMessage(f"expected block {thing}, found {block.id}")
    return [block_connected(at, block, None), Answered(at, AboutBlock(thing))]


def _read_contents(
    at: UnixMicros, source: Source, threshold_sat: Sats, thing: str, body: bytes
) -> list[Event]:
    rows = _decode_contents(body)
    if not all(TXID.fullmatch(row.txid) for row in rows):
        raise MalformedMessage(f"expected txids of 64 hex digits in block {thing}")
    whales = tuple(Txid(row.txid) for row in rows[1:] if row.value > threshold_sat)
    return [ContentsTold(at, source, thing, tuple(Txid(row.txid) for row in rows), whales)]


_ROUTES: Final[tuple[tuple[re.Pattern[str], _Asker, _Reader], ...]] = (
    (
        re.compile(r"/api/(?:v1/)?tx/([0-9a-f]{64})"),
        lambda thing: AboutTransaction(Txid(thing)),
        _read_transaction,
    ),
    (
        re.compile(r"/api/v1/tx/([0-9a-f]{64})/rbf"),
        lambda thing: AboutReplacement(Txid(thing)),
        _read_replacement,
    ),
    (re.compile(r"/api/v1/blocks(/?)"), lambda _: AboutTip(), _read_tip),
    (re.compile(r"/api/v1/block/([0-9a-f]{64})"), AboutBlock, _read_block),
    (re.compile(r"/api/v1/block/([0-9a-f]{64})/summary"), AboutContents, _read_contents),
)


def decode_answer(
    at: UnixMicros, frame: Frame, source: Source, threshold_sat: Sats, quarantine: Quarantine
) -> list[Event]:
    """Return what a REST answer says; nothing when nobody here asks such a thing.

    Args:
        at: when it came.
        frame: the answer; its path tells the question.
        source: who said so.
        threshold_sat: transactions whose outputs exceed it are whales.
        quarantine: where malformed answers go.
    """
    for pattern, ask, read in _ROUTES:
        match = pattern.fullmatch(frame.path)
        if match is None:
            continue
        thing = match.group(1)
        question = ask(thing)
        if frame.status != _HTTP_OK:
            return [_no_answer(at, question, frame)]
        try:
            return read(at, source, threshold_sat, thing, frame.payload)
        except (MalformedMessage, *NOT_JSON) as error:
            quarantine.add(at, source.name, str(error), frame.payload)
            return [NoAnswer(at, question, "the backend's answer was malformed")]
    return []


def _no_answer(at: UnixMicros, question: Question, frame: Frame) -> Event:
    is_missing = is_route_missing(frame.status, frame.payload)
    if isinstance(question, AboutReplacement) and frame.status == _HTTP_NOT_FOUND:
        return ReplacementTold(at, question.txid, None)  # it keeps no such history
    said = "" if is_missing else frame.payload[:_REASON_LENGTH].decode(errors="replace")
    reason = said or (f"the backend answered {frame.status}" if frame.status else "no answer came")
    return NoAnswer(at, question, reason, is_unknown=frame.status == _HTTP_NOT_FOUND and not is_missing)
