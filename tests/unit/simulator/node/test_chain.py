"""Blocks prove their work, times only go forward on the median, and the chain forgets what it should."""

import hashlib
import struct
from collections.abc import Sequence
from random import Random
from statistics import median_high

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.simulator.node.chain import DIFFICULTY, Block, Chain, merkle_root
from hydrophone.simulator.node.scripts import Form, make_script
from hydrophone.simulator.node.transactions import (
    OutPoint,
    Payment,
    Transaction,
    double_sha256,
    make_coinbase,
)
from tests.unit.simulator.node.builders import make_coin, pay

BASE_HASH = "ab" * 32
START = 1_700_000_000.0
REWARD = Payment(make_script(Form.P2WPKH, Random(1)), 50 * 10**8)

# Block 100,000 of the main chain, in display order.
TXIDS_OF_100_000 = [
    "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
    "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
    "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
    "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
]
ROOT_OF_100_000 = "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766"
HASH_OF_99_999 = "000000000002d01c1fccc21636b607dfd930d31d01c3a62104612a1719011250"
HASH_OF_100_000 = "000000000003ba27aa200b1cecaad478d2b00432346c3f1f3986da1afd33e506"


def make_chain(kept_blocks: int = 1_000) -> Chain:
    return Chain(base_height=800_000, base_hash=BASE_HASH, kept_blocks=kept_blocks)


def extend(chain: Chain, transactions: Sequence[Transaction] = (), *, now: float = START) -> Block:
    coinbase = make_coinbase(chain.height + 1, b"", [REWARD])
    block = chain.mine((coinbase, *transactions), now=now, miner="Ours")
    chain.connect(block)
    return block


def internal(text: str) -> bytes:
    return bytes.fromhex(text)[::-1]


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root, from the top down: the left half is the largest full tree that leaves something."""
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    left, right = leaves[:half], list(leaves[half:])
    depth = half.bit_length() - 1
    return double_sha256(naive_root(left) + root_of_depth(right, depth))


def root_of_depth(leaves: Sequence[bytes], depth: int) -> bytes:
    """Return the root of a tree too deep for its leaves: what is missing repeats its left neighbour."""
    if depth == 0:
        return leaves[0]
    half = 2 ** (depth - 1)
    left = root_of_depth(leaves[:half], depth - 1)
    right = root_of_depth(leaves[half:], depth - 1) if len(leaves) > half else left
    return double_sha256(left + right)


def test_the_root_of_a_block_of_history() -> None:
    root = merkle_root([internal(txid) for txid in TXIDS_OF_100_000])
    assert root == internal(ROOT_OF_100_000)
    header = struct.pack(
        "<I32s32sIII", 1, internal(HASH_OF_99_999), root, 1_293_623_863, 0x1B04864C, 274_148_111
    )
    assert double_sha256(header) == internal(HASH_OF_100_000)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40))
def test_the_root_is_that_of_a_tree_built_from_the_top(txids_internal: list[bytes]) -> None:
    before = list(txids_internal)
    assert merkle_root(txids_internal) == naive_root(txids_internal)
    assert txids_internal == before


@given(st.lists(st.floats(START - 10_000, START + 10_000), min_size=1, max_size=30), st.data())
def test_headers_prove_their_work_and_point_at_their_parents(times: list[float], data: st.DataObject) -> None:
    chain = make_chain()
    previous_hash = BASE_HASH
    timestamps: list[int] = []
    for number, now in enumerate(times):
        spends = [pay([make_coin((number, n))]) for n in range(data.draw(st.integers(0, 2)))]
        block = extend(chain, spends, now=now)
        version, parent, root, timestamp, bits, nonce = struct.unpack("<I32s32sIII", block.header)
        assert len(block.header) == 80
        digest = hashlib.sha256(hashlib.sha256(block.header).digest()).digest()
        exponent, mantissa = bits >> 24, bits & 0xFFFFFF
        assert int.from_bytes(digest, "little") <= mantissa * 256 ** (exponent - 3)
        assert pytest.approx(0xFFFF * 256**26 / (mantissa * 256 ** (exponent - 3))) == DIFFICULTY
        assert version == 0x30000000
        assert digest == internal(block.block_hash)
        assert parent == internal(previous_hash) == internal(block.previous_hash)
        assert (
            root == internal(block.merkle_root) == naive_root([t.txid_internal for t in block.transactions])
        )
        assert (timestamp, nonce) == (block.timestamp, block.nonce)
        assert (block.height, block.miner, block.found_at) == (800_001 + number, "Ours", now)
        # BIP 113: later than the median of the eleven before, else the time of the clock
        least = median_high(timestamps[-11:]) + 1 if timestamps else 0
        assert timestamp == max(int(now), least)
        timestamps.append(timestamp)
        assert block.median_time == median_high(timestamps[-11:])
        previous_hash = block.block_hash


def test_sizes_of_a_block_are_those_of_its_bytes() -> None:
    chain = make_chain()
    block = extend(chain, [pay([make_coin(n)]) for n in range(300)])
    count_bytes = 3  # 301 as CompactSize
    assert block.size_bytes == 80 + count_bytes + sum(len(t.serialize()) for t in block.transactions)
    assert block.weight_wu == 4 * (80 + count_bytes) + sum(t.weight_wu for t in block.transactions)


def test_a_block_with_another_parent_is_refused() -> None:
    chain, other = make_chain(), make_chain()
    extend(chain)
    stranger = other.mine((make_coinbase(1, b"other", [REWARD]),), now=START, miner="Theirs")
    with pytest.raises(ValueError, match="expected a block after"):
        chain.connect(stranger)
    assert chain.height == 800_001


def test_a_block_that_was_only_mined_changes_nothing() -> None:
    chain = make_chain()
    block = chain.mine((make_coinbase(800_001, b"", [REWARD]),), now=START, miner="Ours")
    assert (chain.height, chain.tip_hash) == (800_000, BASE_HASH)
    assert not chain.is_active(block)
    assert chain.by_hash == {}


def test_what_a_block_confirms_is_found() -> None:
    chain = make_chain()
    coins = [make_coin("a"), make_coin("b")]
    first = pay(coins)
    second = pay(first.outputs)
    lower, upper = extend(chain, [first]), extend(chain, [second])
    assert chain.find(first.txid) == (first, lower)
    assert chain.find(upper.transactions[0].txid) == (upper.transactions[0], upper)
    assert chain.spender(coins[1].outpoint) == (first, lower, 1)
    assert chain.spender(first.outputs[0].outpoint) == (second, upper, 0)
    assert chain.spender(second.outputs[0].outpoint) is None
    assert chain.find("00" * 32) is None


def test_blocks_are_found_by_their_height() -> None:
    chain = make_chain()
    assert chain.at(800_000) is None
    blocks = [extend(chain) for _ in range(3)]
    assert [chain.at(height) for height in range(800_000, 800_005)] == [None, *blocks, None]
    assert chain.last(2) == blocks[1:]
    assert chain.last(9) == blocks
    assert chain.last(0) == []
    assert all(chain.is_active(block) for block in blocks)


def test_a_block_that_was_taken_off_is_stale_and_its_transactions_are_free() -> None:
    chain = make_chain()
    coin = make_coin("a")
    payment = pay([coin])
    below = extend(chain)
    block = extend(chain, [payment])
    assert chain.disconnect() is block
    assert (chain.height, chain.tip_hash) == (below.height, below.block_hash)
    assert chain.stale == [block]
    assert chain.by_hash[block.block_hash] is block
    assert not chain.is_active(block)
    assert chain.find(payment.txid) is None
    assert chain.spender(coin.outpoint) is None
    again = extend(chain, [payment], now=START + 10)
    assert chain.find(payment.txid) == (payment, again)
    assert chain.at(block.height) is again
    assert again.previous_hash == block.previous_hash
    assert again.block_hash != block.block_hash


def test_old_blocks_are_forgotten_with_all_they_had() -> None:
    chain = make_chain(kept_blocks=3)
    coins = [make_coin(n) for n in range(6)]
    payments = [pay([coin]) for coin in coins]
    stale = extend(chain)
    chain.disconnect()
    blocks = [extend(chain, [payment], now=START + 1) for payment in payments]
    assert chain.last(10) == blocks[3:]
    assert [chain.at(block.height) for block in blocks] == [None, None, None, *blocks[3:]]
    assert set(chain.by_hash) == {block.block_hash for block in blocks[3:]}
    assert stale not in chain.stale
    for payment, coin, block in zip(payments, coins, blocks, strict=True):
        is_kept = block in blocks[3:]
        assert chain.find(payment.txid) == ((payment, block) if is_kept else None)
        assert chain.spender(coin.outpoint) == ((payment, block, 0) if is_kept else None)


def test_the_chain_knows_where_it_stands_when_all_it_kept_is_taken_off() -> None:
    chain = make_chain(kept_blocks=2)
    blocks = [extend(chain) for _ in range(5)]
    chain.disconnect()
    chain.disconnect()
    assert (chain.height, chain.tip_hash) == (blocks[2].height, blocks[2].block_hash)
    with pytest.raises(ValueError, match="expected a block above height 800003"):
        chain.disconnect()
    assert extend(chain, now=START + 1).height == blocks[3].height


@given(st.lists(st.booleans(), max_size=40), st.integers(2, 12))
def test_the_chain_is_a_stack_whatever_happens(steps: list[bool], kept_blocks: int) -> None:
    chain = make_chain(kept_blocks)
    stack: list[Block] = []
    known: dict[OutPoint, tuple[Transaction, Block, int]] = {}
    for number, is_up in enumerate(steps):
        if is_up:
            payment = pay([make_coin(number)])
            stack.append(extend(chain, [payment], now=START + number))
            known[payment.inputs[0].coin.outpoint] = (payment, stack[-1], 0)
        elif chain.last(1):
            assert chain.disconnect() is stack.pop()
    kept = [block for block in stack if chain.is_active(block)]
    assert kept == chain.last(len(stack) + 1)
    assert kept == stack[len(stack) - len(kept) :]
    assert chain.height == 800_000 + len(stack)
    for outpoint, found in known.items():
        assert chain.spender(outpoint) == (found if found[1] in kept else None)
    assert [s for s in chain.stale if chain.by_hash.get(s.block_hash) is not s] == []
