"""The node keeps its mempool and the coins in step with a chain that grows and reorganises."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.simulator.node.chain import Chain
from hydrophone.simulator.node.mempool import RejectedTransactionError
from hydrophone.simulator.node.node import Connected, Node, subsidy_sat
from hydrophone.simulator.node.scripts import Form, make_script
from hydrophone.simulator.node.transactions import Payment, Transaction
from tests.unit.simulator.node.builders import make_coin, pay, roomy_mempool

REWARDS = [Payment(make_script(Form.P2WPKH, Random(1)), 10**9)] * 2
BASE_HEIGHT = 800_000


def make_node() -> Node:
    return Node(roomy_mempool(), Chain(base_height=BASE_HEIGHT, base_hash="00" * 32, kept_blocks=100))


def connect(node: Node, *transactions: Transaction, now: float = 1_000.0, message: bytes = b"") -> Connected:
    return node.connect(transactions, REWARDS, now=now, miner="Ours", message=message)


def submit(node: Node, *transactions: Transaction, now: float = 0.0) -> None:
    for transaction in transactions:
        assert node.submit(transaction, now) == []


def waiting(node: Node) -> list[Transaction]:
    return [entry.transaction for entry in node.mempool.entries.values()]


def heights(transaction: Transaction) -> set[int | None]:
    return {coin.height for coin in transaction.outputs}


@pytest.mark.parametrize(
    ("height", "subsidy"),
    [
        (0, 5_000_000_000),
        (209_999, 5_000_000_000),
        (210_000, 2_500_000_000),
        (840_000, 312_500_000),
        (6_929_999, 1),
        (6_930_000, 0),
        (100_000_000, 0),
    ],
)
def test_the_subsidy_halves_until_nothing_is_left(height: int, subsidy: int) -> None:
    assert subsidy_sat(height) == subsidy


def test_there_will_be_less_than_21_million_bitcoins() -> None:
    # The figure of Bitcoin's code and documentation for the sum of all subsidies.
    assert sum(210_000 * subsidy_sat(210_000 * halvings) for halvings in range(40)) == 2_099_999_997_690_000


def test_a_block_takes_out_what_it_confirms_and_dates_its_coins() -> None:
    node = make_node()
    parent = pay([make_coin("a")], outputs=2)
    child = pay(parent.outputs[:1])
    stays = pay(parent.outputs[1:])
    submit(node, parent, child, stays)
    assert heights(parent) == {None}
    block, conflicts = connect(node, parent, child)
    assert conflicts == []
    assert block.height == node.chain.height == BASE_HEIGHT + 1
    assert block.transactions[0].is_coinbase
    assert block.transactions[1:] == (parent, child)
    assert [heights(t) for t in (*block.transactions, stays)] == [{block.height}] * 3 + [{None}]
    assert waiting(node) == [stays]
    assert node.mempool.entries[stays.txid].parents == {}


def test_a_block_may_confirm_what_nobody_has_seen() -> None:
    node = make_node()
    secret = pay([make_coin("a")])
    block, conflicts = connect(node, secret)
    assert conflicts == []
    assert node.chain.find(secret.txid) == (secret, block)
    assert waiting(node) == []


def test_a_mined_double_spend_drives_out_the_other_with_its_descendants() -> None:
    node = make_node()
    coins = [make_coin("a"), make_coin("b")]
    seen = pay(coins[:1])
    child = pay(seen.outputs)
    grandchild = pay(child.outputs)
    bystander = pay(coins[1:])
    submit(node, seen, child, bystander, grandchild)
    other = pay(coins[:1], fee_sat=5_000)
    block, conflicts = connect(node, other)
    assert [entry.transaction for entry in conflicts] == [seen, child, grandchild]
    assert waiting(node) == [bystander]
    assert node.chain.spender(coins[0].outpoint) == (other, block, 0)


def test_what_a_block_confirmed_waits_again_when_it_is_taken_off() -> None:
    node = make_node()
    coin = make_coin("a")
    parent = pay([coin])
    child = pay(parent.outputs)
    grandchild = pay(child.outputs)
    submit(node, parent, child, grandchild)
    block = connect(node, parent, child).block
    assert waiting(node) == [grandchild]
    assert node.disconnect(2_000.0) == (block, [parent, child], [])
    assert (node.chain.height, node.chain.stale) == (BASE_HEIGHT, [block])
    assert waiting(node) == [grandchild, parent, child]
    assert [heights(t) for t in (*block.transactions, parent, child)] == [{None}] * 5
    entries = node.mempool.entries
    assert list(entries[grandchild.txid].parents) == [entries[child.txid]]
    assert list(entries[parent.txid].children) == [entries[child.txid]]
    assert [e.transaction for e in node.mempool.template(entered_before=2_000.0)] == [
        parent,
        child,
        grandchild,
    ]


def test_what_spent_the_coinbase_of_a_block_goes_with_it() -> None:
    node = make_node()
    block = connect(node).block
    coins = block.transactions[0].outputs
    both = pay(coins)
    child = pay(both.outputs)
    bystander = pay([make_coin("a")])
    submit(node, both, child, bystander)
    _, restored, conflicts = node.disconnect(2_000.0)
    assert restored == []
    assert [entry.transaction for entry in conflicts] == [both, child]
    assert waiting(node) == [bystander]


def test_a_confirmed_spend_of_a_coinbase_goes_when_both_blocks_go() -> None:
    node = make_node()
    spend = pay(connect(node).block.transactions[0].outputs[:1])
    connect(node, spend)
    assert node.disconnect(2_000.0).restored == [spend]
    assert [entry.transaction for entry in node.disconnect(2_000.0).conflicts] == [spend]
    assert waiting(node) == []


def test_a_reorganisation_may_confirm_the_other_of_two() -> None:
    node = make_node()
    coin = make_coin("a")
    first = pay([coin])
    child = pay(first.outputs)
    submit(node, first, child)
    stale = connect(node, first, message=b"one").block
    node.disconnect(2_000.0)
    second = pay([coin], fee_sat=9_000)
    block, conflicts = connect(node, second, now=2_001.0, message=b"two")
    assert [entry.transaction for entry in conflicts] == [first, child]
    assert waiting(node) == []
    assert node.chain.stale == [stale]
    assert (heights(first), heights(second)) == ({None}, {block.height})
    assert connect(node).block.previous_hash == block.block_hash


def test_a_block_cannot_spend_what_is_spent_or_what_does_not_exist_yet() -> None:
    node = make_node()
    coin = make_coin("a")
    parent = pay([coin])
    child = pay(parent.outputs)
    confirmed = pay([make_coin("b")])
    connect(node, confirmed)
    submit(node, parent, child)
    impossible = [
        [child],
        [child, parent],
        [parent, pay([coin], fee_sat=9_000)],
        [parent, child, pay(parent.outputs, fee_sat=9_000)],
        [pay([make_coin("b")], fee_sat=9_000)],
        [confirmed],
    ]
    for transactions in impossible:
        with pytest.raises(ValueError, match="bad-txns-inputs-missingorspent"):
            connect(node, *transactions)
    assert node.chain.height == BASE_HEIGHT + 1
    assert waiting(node) == [parent, child]
    assert heights(parent) == {None}


def test_what_is_refused_changes_nothing() -> None:
    node = make_node()
    with pytest.raises(RejectedTransactionError):
        node.submit(pay([make_coin("a")], fee_sat=0), 0.0)
    assert waiting(node) == []


@given(
    st.lists(st.sampled_from(["pay", "pay", "pay", "block", "block", "reorganise"]), max_size=30), st.data()
)
def test_every_transaction_is_either_waiting_or_confirmed(steps: list[str], data: st.DataObject) -> None:
    node = make_node()
    made: list[Transaction] = []
    for number, step in enumerate(steps):
        if step == "pay":
            free = [make_coin(number)] + [
                coin for t in made for coin in t.outputs if node.mempool.spender(coin.outpoint) is None
            ]
            coin = data.draw(
                st.sampled_from([coin for coin in free if not node.chain.spender(coin.outpoint)])
            )
            made.append(pay([coin], outputs=2))
            submit(node, made[-1], now=float(number))
        elif step == "block":
            template = node.mempool.template(entered_before=number - data.draw(st.integers(0, 4)))
            assert connect(node, *[entry.transaction for entry in template]).conflicts == []
        elif node.chain.height > BASE_HEIGHT:
            assert node.disconnect(float(number)).conflicts == []
        for transaction in made:
            found = node.chain.find(transaction.txid)
            is_waiting = transaction.txid in node.mempool.entries
            assert is_waiting == (found is None)
            assert heights(transaction) == {found[1].height if found else None}
            (spend,) = transaction.inputs
            spender = node.mempool.spender(spend.coin.outpoint)
            assert (spender is not None) == is_waiting
            assert bool(node.chain.spender(spend.coin.outpoint)) != is_waiting
