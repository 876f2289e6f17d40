"""REST answers: those of the backend below `/api/v1`, and what nginx adds below `/api`.

Without an index the backend answers everything itself, at both places. With one, what is asked about single
transactions, heights and the transactions of a block is answered by the index, below `/api` only.

**Sources**: mempool.space backend, bitcoin.routes.ts and mempool.routes.ts; electrs, src/rest.rs; status,
content type and order of keys from the recordings.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple

from hydrophone.simulator.backend import rest_bodies as bodies
from hydrophone.simulator.backend.backend import Backend, Style
from hydrophone.simulator.backend.js_text import dump
from hydrophone.simulator.backend.session import initial_data

JSON: Final = "application/json; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"
INDEX_JSON: Final = "application/json"
INDEX_TEXT: Final = "text/plain"
_TXID: Final = re.compile(r"[0-9a-fA-F]{64}")
_BLOCKS_PAGE: Final = 15
_TRANSACTIONS_PAGE: Final = 10
_INDEX_TRANSACTIONS_PAGE: Final = 25
"""Sources: recordings."""
_UNKNOWN_TRANSACTION: Final = "No such mempool or blockchain transaction"
_HINT: Final = ". Use gettransaction for wallet transactions."
_RPC_INVALID_ADDRESS_OR_KEY: Final = -5
"""Sources: Bitcoin Core, rpc/protocol.h."""


class RestAnswer(NamedTuple):
    """An HTTP answer.

    Attributes:
        status: HTTP.
        content_type: as the header has it; empty for none.
        body: as it goes over the wire.
    """

    status: int
    content_type: str
    body: bytes


_Handler = Callable[[Backend, str], RestAnswer]
"""Gets the variable part of the path."""


def answer(backend: Backend, path: str) -> RestAnswer:
    """Return the answer to a GET request.

    Args:
        backend: of the simulation.
        path: without query.
    """
    if path.startswith("/api/v1/"):
        found = _find(_BACKEND, path.removeprefix("/api/v1"))
        if found is None and backend.style is Style.NONE:
            found = _find(_WITHOUT_INDEX, path.removeprefix("/api/v1"))
        return cannot("GET", path) if found is None else found[0](backend, found[1])
    if not path.startswith("/api/"):
        return cannot("GET", path)
    rest = path.removeprefix("/api")
    if backend.style is Style.NONE:
        found = _find(_WITHOUT_INDEX, rest) or _find(_BACKEND, rest)
        return cannot("GET", f"/api/v1{rest}") if found is None else found[0](backend, found[1])
    found = _find(_INDEX, rest)
    if found is None:
        return _text(f"'{rest}'", status=HTTPStatus.NOT_FOUND, content_type=INDEX_TEXT)
    return found[0](backend, found[1])


def _find(routes: dict[str, _Handler], path: str) -> tuple[_Handler, str] | None:
    """Return the handler of a path with the variable part, which is the second or third word of it."""
    handler = routes.get(path)
    if handler is not None:
        return handler, ""
    words = path.strip("/").split("/")
    for at in (1, 2):
        if at < len(words):
            pattern = "/" + "/".join([*words[:at], ":", *words[at + 1 :]])
            if pattern in routes:
                return routes[pattern], words[at]
    if len(words) == 4 and words[2] == "txs" and "/block/:/txs/:" in routes:  # noqa: PLR2004 -- the only one
        return routes["/block/:/txs/:"], f"{words[1]}/{words[3]}"
    return None


def _json(text: str, *, status: int = HTTPStatus.OK, content_type: str = JSON) -> RestAnswer:
    return RestAnswer(status, content_type, text.encode())


_text = _json


def _error(status: int, message: str) -> RestAnswer:
    return _json(dump({"error": message}), status=status)


def cannot(method: str, path: str) -> RestAnswer:
    """Return what Express says of a path that it does not know, or not by that method."""
    escaped = path.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    body = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n'
        f"<body>\n<pre>Cannot {method} {escaped}</pre>\n</body>\n</html>\n"
    )
    return RestAnswer(HTTPStatus.NOT_FOUND, HTML, body.encode())


# --- the backend in both styles -----------------------------------------------------------------------


def _fees(write: Callable[[Backend], str]) -> _Handler:
    def handle(backend: Backend, _: str) -> RestAnswer:
        if not backend.node.is_up:
            return RestAnswer(HTTPStatus.SERVICE_UNAVAILABLE, HTML, b"Service Unavailable")
        return _json(write(backend))

    return handle


def _plain(write: Callable[[Backend], str]) -> _Handler:
    return lambda backend, _: _json(write(backend))


def _tip_height(content_type: str) -> _Handler:
    def handle(backend: Backend, _: str) -> RestAnswer:
        return _text(str(bodies.tip_height(backend)), content_type=content_type)

    return handle


def _tip_hash(content_type: str) -> _Handler:
    def handle(backend: Backend, _: str) -> RestAnswer:
        tip = backend.tip
        found = backend.node.chain.base_hash if tip is None else tip.block_hash
        return _text(found, content_type=content_type)

    return handle


def _block(backend: Backend, block_hash: str) -> RestAnswer:
    block = backend.node.chain.by_hash.get(block_hash)
    if block is None:
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "Failed to get block")
    return _json(backend.known_block(block).text)


def _block_summary(backend: Backend, block_hash: str) -> RestAnswer:
    block = backend.node.chain.by_hash.get(block_hash)
    if block is None:
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "Failed to get block summary")
    return _json(bodies.summary(backend, block))


def _blocks(backend: Backend, height: str) -> RestAnswer:
    first = bodies.parse_number(height)
    from_height = bodies.tip_height(backend) if first is None else first
    return _json(bodies.blocks_below(backend, from_height, _BLOCKS_PAGE))


def _replacements_of(backend: Backend, txid: str) -> RestAnswer:
    replacements = backend.replacements
    found = {"replacements": replacements.tree_of(txid), "replaces": replacements.replaced_by(txid)}
    return _json(dump(found))


def _cached(backend: Backend, txid: str) -> RestAnswer:
    record = backend.replacements.records.get(txid)
    if record is None:
        return RestAnswer(HTTPStatus.NO_CONTENT, "", b"")
    return _json(backend.text.remembered(record, with_prevouts=backend.style is Style.ESPLORA))


def _relations(backend: Backend, txid: str) -> RestAnswer:
    if not _TXID.fullmatch(txid):
        return _error(HTTPStatus.BAD_REQUEST, "Invalid transaction ID")
    record = backend.mempool.records.get(txid)
    return _json('{"ancestors":[]}' if record is None else backend.text.relations(record))


_BACKEND: Final[dict[str, _Handler]] = {
    "/fees/recommended": _fees(Backend.rounded_fees),
    "/fees/precise": _fees(Backend.precise_fees),
    "/fees/mempool-blocks": _plain(lambda backend: backend.projection.summary),
    "/prices": _plain(Backend.prices),
    "/blocks/tip/height": _tip_height(TEXT),
    "/block/:": _block,
    "/block/:/summary": _block_summary,
    "/blocks": _blocks,
    "/blocks/:": _blocks,
    "/replacements": _plain(lambda backend: backend.replacements.listed(only_full=False)),
    "/fullrbf/replacements": _plain(lambda backend: backend.replacements.listed(only_full=True)),
    "/init-data": _plain(initial_data),
    "/difficulty-adjustment": _plain(Backend.difficulty),
    "/chain-tips": _plain(bodies.chain_tips),
    "/tx/:/rbf": _replacements_of,
    "/tx/:/cached": _cached,
    "/cpfp/:": _relations,
    "/statistics/2h": _plain(lambda backend: backend.history.listed()),
}


# --- the backend without an index ---------------------------------------------------------------------


def _transaction(write: bodies.TransactionWriter, content_type: str) -> _Handler:
    def handle(backend: Backend, txid: str) -> RestAnswer:
        if not _TXID.fullmatch(txid):
            return _error(HTTPStatus.BAD_REQUEST, "Invalid transaction ID")
        text = write(backend, txid)
        if text is None:
            return _error(HTTPStatus.NOT_FOUND, _UNKNOWN_TRANSACTION)
        return _text(text, content_type=content_type)

    return handle


def _outspends(backend: Backend, txid: str) -> RestAnswer:
    text = bodies.outspends(backend, txid)
    if text is None:
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "Failed to get transaction outspends")
    return _json(text)


def _block_hash(backend: Backend, height: str) -> RestAnswer:
    block_hash = bodies.hash_at(backend, height)
    if block_hash is None:
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "Failed to get block at height")
    return _text(block_hash, content_type=HTML)


def _block_txids(backend: Backend, block_hash: str) -> RestAnswer:
    text = bodies.block_txids(backend, block_hash)
    if text is None:
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "Failed to get txids for block")
    return _json(text)


def _block_transactions(backend: Backend, place: str) -> RestAnswer:
    block_hash, _, start = place.partition("/")
    text = bodies.block_transactions(backend, block_hash, start, _TRANSACTIONS_PAGE)
    if text is None:
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "Failed to get block transactions")
    backend.note_block_read(block_hash)
    return _json(text)


def _address(_: Backend, __: str) -> RestAnswer:
    return _error(HTTPStatus.METHOD_NOT_ALLOWED, "Address lookups cannot be used with bitcoind as backend.")


_WITHOUT_INDEX: Final[dict[str, _Handler]] = {
    "/mempool": _plain(Backend.mempool_totals),
    "/mempool/recent": _plain(Backend.latest_transactions),
    "/mempool/txids": _plain(bodies.mempool_txids),
    "/blocks/tip/hash": _tip_hash(TEXT),
    "/block-height/:": _block_hash,
    "/block/:/txs": _block_transactions,
    "/block/:/txs/:": _block_transactions,
    "/block/:/txids": _block_txids,
    "/tx/:": _transaction(bodies.transaction, JSON),
    "/tx/:/status": _transaction(bodies.transaction_status, JSON),
    "/tx/:/hex": _transaction(bodies.transaction_hex, TEXT),
    "/tx/:/outspends": _outspends,
    "/address/:": _address,
}


# --- the index ----------------------------------------------------------------------------------------


def _indexed(write: bodies.TransactionWriter, content_type: str) -> _Handler:
    def handle(backend: Backend, txid: str) -> RestAnswer:
        if not _TXID.fullmatch(txid):
            return _text("Invalid hex string", status=HTTPStatus.BAD_REQUEST, content_type=INDEX_TEXT)
        text = write(backend, txid)
        if text is None:
            error = {"code": _RPC_INVALID_ADDRESS_OR_KEY, "message": _UNKNOWN_TRANSACTION + _HINT}
            return _json(dump(error), status=HTTPStatus.NOT_FOUND, content_type=INDEX_JSON)
        return _text(text, content_type=content_type)

    return handle


def _of_block(write: Callable[[Backend, str], str | None], content_type: str = INDEX_JSON) -> _Handler:
    def handle(backend: Backend, place: str) -> RestAnswer:
        text = write(backend, place)
        if text is None:
            return _text("Block not found", status=HTTPStatus.NOT_FOUND, content_type=INDEX_TEXT)
        return _text(text, content_type=content_type)

    return handle


def _indexed_page(backend: Backend, place: str) -> str | None:
    block_hash, _, start = place.partition("/")
    return bodies.block_transactions(backend, block_hash, start, _INDEX_TRANSACTIONS_PAGE)


def _index_plain(write: Callable[[Backend], str]) -> _Handler:
    return lambda backend, _: _json(write(backend), content_type=INDEX_JSON)


_INDEX: Final[dict[str, _Handler]] = {
    "/mempool": _index_plain(Backend.mempool_totals),
    "/mempool/recent": _index_plain(bodies.recent),
    "/mempool/txids": _index_plain(bodies.mempool_txids),
    "/blocks/tip/height": _tip_height(INDEX_TEXT),
    "/blocks/tip/hash": _tip_hash(INDEX_TEXT),
    "/block-height/:": _of_block(bodies.hash_at, INDEX_TEXT),
    "/block/:/txs": _of_block(_indexed_page),
    "/block/:/txs/:": _of_block(_indexed_page),
    "/block/:/txids": _of_block(bodies.block_txids),
    "/tx/:": _indexed(bodies.transaction, INDEX_JSON),
    "/tx/:/status": _indexed(bodies.transaction_status, INDEX_JSON),
    "/tx/:/hex": _indexed(bodies.transaction_hex, INDEX_TEXT),
    "/tx/:/outspends": _indexed(bodies.outspends, INDEX_JSON),
}
