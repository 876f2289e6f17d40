"""Transactions as they are kept: Esplora JSON, compressed, so that any tool can read them back."""

import sys

from hydrophone.domain.transaction import Transaction
from hydrophone.errors import MalformedMessage
from hydrophone.wire.esplora import encode_esplora_transaction, parse_esplora_transaction

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def pack_transaction(tx: Transaction) -> bytes:
    """Return what `unpack_transaction` makes the transaction of again."""
    return zstd.compress(encode_esplora_transaction(tx))


def unpack_transaction(packed: bytes) -> Transaction:
    """Return a transaction that was kept.

    Raises:
        MalformedMessage: these are not the bytes of one.
    """
    try:
        raw = zstd.decompress(packed)
    except zstd.ZstdError as error:
        raise MalformedMessage(f"expected a compressed transaction: {error}") from error
    return parse_esplora_transaction(raw)
