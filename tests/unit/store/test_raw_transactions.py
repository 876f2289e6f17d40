import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.transaction import Transaction
from hydrophone.errors import MalformedMessage
from hydrophone.store.raw_transactions import pack_transaction, unpack_transaction
from tests.builders import wpkh
from tests.flows import BTC, CUSTOMER, any_transactions, pay, transaction

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

WHALE = transaction([pay(wpkh(1), 10 * BTC)] * 200, [pay(CUSTOMER, 1_999 * BTC)])


@given(any_transactions)
def test_a_transaction_comes_back_as_it_was_kept(tx: Transaction) -> None:
    assert unpack_transaction(pack_transaction(tx)) == tx


def test_a_large_transaction_takes_little_room() -> None:
    assert len(pack_transaction(WHALE)) < 4 * len(WHALE.inputs)


def test_what_is_kept_is_json_that_any_tool_reads() -> None:
    document = json.loads(zstd.decompress(pack_transaction(WHALE)))
    assert document["txid"] == WHALE.txid
    assert document["vout"] == [{"scriptpubkey": CUSTOMER.hex(), "value": 1_999 * BTC}]


@given(st.binary(max_size=200))
def test_bytes_that_are_no_transaction_are_called_malformed(packed: bytes) -> None:
    with pytest.raises(MalformedMessage):
        unpack_transaction(packed)


@given(st.binary(max_size=200))
def test_compressed_bytes_that_are_no_transaction_are_called_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedMessage):
        unpack_transaction(zstd.compress(raw))


@given(any_transactions, st.data())
def test_a_transaction_that_was_cut_short_is_called_malformed(tx: Transaction, data: st.DataObject) -> None:
    packed = pack_transaction(tx)
    with pytest.raises(MalformedMessage):
        unpack_transaction(packed[: data.draw(st.integers(0, len(packed) - 1))])


@given(any_transactions, st.data())
def test_a_flipped_bit_never_ends_in_anything_but_a_transaction_or_a_clear_error(
    tx: Transaction, data: st.DataObject
) -> None:
    packed = bytearray(pack_transaction(tx))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = unpack_transaction(bytes(packed))
    except MalformedMessage:
        return
    assert isinstance(found, Transaction)
