"""The rules of the mempool, one by one. What holds whatever happens is in test_mempool_states.py."""

import pytest

from hydrophone.simulator.node.mempool import (
    MAX_CLUSTER_COUNT,
    MAX_REPLACED,
    MIN_RELAY_RATE_SAT_VB,
    Mempool,
    RejectedTransactionError,
)
from hydrophone.simulator.node.scripts import Form
from hydrophone.simulator.node.transactions import Coin, Transaction
from tests.unit.simulator.node.builders import make_coin, pay, pay_rate, roomy_mempool


def add_all(mempool: Mempool, *transactions: Transaction, now: float = 0.0) -> None:
    for transaction in transactions:
        assert mempool.add(transaction, now) == []


def chain_of(coin: Coin, length: int, *, fee_sat: int = 1_000) -> list[Transaction]:
    """Return transactions, each of which spends the one before."""
    transactions = [pay([coin], fee_sat=fee_sat)]
    while len(transactions) < length:
        transactions.append(pay(transactions[-1].outputs, fee_sat=fee_sat))
    return transactions


def expect_rejected(mempool: Mempool, transaction: Transaction, reason: str) -> None:
    """Fail unless a transaction is refused and leaves everything as it was."""
    before = list(mempool.entries.items()), mempool.usage_bytes, mempool.weight_wu, mempool.fee_sat
    with pytest.raises(RejectedTransactionError, match=reason):
        mempool.add(transaction, 1.0)
    assert before == (
        list(mempool.entries.items()),
        mempool.usage_bytes,
        mempool.weight_wu,
        mempool.fee_sat,
    )


def txids(*transactions: Transaction) -> list[str]:
    return [transaction.txid for transaction in transactions]


# --- what is taken in ---


def test_a_transaction_must_pay_the_minimum() -> None:
    mempool = roomy_mempool()
    coin = make_coin("a")
    least_sat = -(-pay([coin]).weight_wu // 40)  # 0.1 sat/vB, rounded up
    expect_rejected(mempool, pay([coin], fee_sat=least_sat - 1), "mempool min fee not met")
    add_all(mempool, pay([coin], fee_sat=least_sat))


def test_the_same_transaction_twice_is_refused() -> None:
    mempool = roomy_mempool()
    transaction = pay([make_coin("a")])
    add_all(mempool, transaction)
    expect_rejected(mempool, transaction, "insufficient fee")


def test_a_cluster_has_a_greatest_number_of_transactions() -> None:
    mempool = roomy_mempool()
    *taken, one_more = chain_of(make_coin("a"), MAX_CLUSTER_COUNT + 1)
    add_all(mempool, *taken)
    expect_rejected(mempool, one_more, "too-large-cluster")


def test_a_transaction_that_joins_clusters_counts_them_all() -> None:
    mempool = roomy_mempool()
    half = MAX_CLUSTER_COUNT // 2
    left, right = chain_of(make_coin("a"), half), chain_of(make_coin("b"), half)
    add_all(mempool, *left, *right)
    expect_rejected(mempool, pay([*left[-1].outputs, *right[-1].outputs]), "too-large-cluster")


def test_a_cluster_has_a_greatest_virtual_size() -> None:
    # 101,000 vB are 404,000 weight units, and a witness weighs a quarter.
    mempool = roomy_mempool()
    coins = [make_coin(n) for n in range(1_400)]
    parent = pay(coins, fee_sat=1_000_000)
    assert parent.size_bytes > 101_000 > parent.vsize
    add_all(mempool, parent, pay(parent.outputs))
    rest_wu = 404_000 - mempool.weight_wu
    child = mempool.entries[next(reversed(mempool.entries))].transaction
    outputs = 1
    while (grandchild := pay(child.outputs, outputs=outputs, fee_sat=100_000)).weight_wu <= rest_wu:
        outputs += 1
    expect_rejected(mempool, grandchild, "too-large-cluster")
    add_all(mempool, pay(child.outputs, outputs=outputs - 1, fee_sat=100_000))


def test_a_replacement_takes_the_place_of_what_it_replaces_in_a_full_cluster() -> None:
    mempool = roomy_mempool()
    *chain, last = chain_of(make_coin("a"), MAX_CLUSTER_COUNT)
    add_all(mempool, *chain, last)
    replaced = mempool.add(pay(chain[-1].outputs, fee_sat=2_000), 1.0)
    assert [entry.transaction for entry in replaced] == [last]
    assert len(mempool.entries) == MAX_CLUSTER_COUNT


# --- replacement ---


def test_a_replacement_takes_out_all_descendants_parents_first() -> None:
    mempool = roomy_mempool()
    coin = make_coin("a")
    chain = chain_of(coin, 4)
    add_all(mempool, *chain)
    replacement = pay([coin], fee_sat=5_000)
    assert [entry.transaction for entry in mempool.add(replacement, 1.0)] == chain
    assert list(mempool.entries) == [replacement.txid]
    assert mempool.spender(coin.outpoint) is mempool.entries[replacement.txid]
    assert mempool.spender(chain[0].outputs[0].outpoint) is None


def test_a_replacement_pays_for_all_it_replaces_and_for_its_own_relay() -> None:
    mempool = roomy_mempool()
    coin = make_coin("a")
    add_all(mempool, *chain_of(coin, 3, fee_sat=1_000))
    relay_sat = -(-pay([coin]).weight_wu // 40)
    expect_rejected(mempool, pay([coin], fee_sat=3_000 + relay_sat - 1), "insufficient fee")
    assert len(mempool.add(pay([coin], fee_sat=3_000 + relay_sat), 1.0)) == 3


def test_the_exact_price_is_enough_for_a_replacement() -> None:
    mempool = roomy_mempool()
    coin = make_coin("a", form=Form.P2PKH)
    first, second = pay([coin], outputs=3), pay([coin], outputs=3, fee_sat=1_025)
    assert second.vsize == 250
    add_all(mempool, first)
    assert [entry.transaction for entry in mempool.add(second, 1.0)] == [first]


def test_a_replacement_of_the_same_rate_is_refused_however_much_it_pays() -> None:
    mempool = roomy_mempool()
    coin = make_coin("a")
    add_all(mempool, pay_rate([coin], 20))
    expect_rejected(mempool, pay_rate([coin], 20, outputs=50), "insufficient feerate")


def test_a_replacement_may_not_replace_too_many() -> None:
    mempool = roomy_mempool()
    coins = [make_coin(n) for n in range(MAX_REPLACED // 50 + 1)]
    for coin in coins:
        parent = pay([coin], outputs=49, fee_sat=10_000)
        add_all(mempool, parent, *[pay([output]) for output in parent.outputs])
    expect_rejected(mempool, pay(coins, fee_sat=10**8), "too many potential replacements")
    assert len(mempool.add(pay(coins[:2], fee_sat=10**8), 1.0)) == MAX_REPLACED


def test_a_replacement_may_not_spend_what_it_replaces() -> None:
    mempool = roomy_mempool()
    coin = make_coin("a")
    first, second = chain_of(coin, 2)
    add_all(mempool, first, second)
    reason = "bad-txns-spends-conflicting-tx"
    expect_rejected(mempool, pay([coin, *first.outputs], fee_sat=10**6), reason)
    expect_rejected(mempool, pay([coin, *second.outputs], fee_sat=10**6), reason)


# --- blocks ---


def test_a_child_with_a_parent_of_the_same_rate_is_mined_after_it() -> None:
    # The child has two parents; seen from the first, it comes before the second.
    mempool = roomy_mempool()
    first, second = pay_rate([make_coin("a")], 20), pay_rate([make_coin("b")], 20)
    child = pay_rate([*first.outputs, *second.outputs], 20)
    add_all(mempool, first, second, child)
    order = [entry.transaction for entry in mempool.template(entered_before=1.0)]
    assert order == [first, second, child]


def test_a_parent_that_came_back_is_mined_before_its_child_of_the_same_rate() -> None:
    mempool = roomy_mempool()
    parent = pay_rate([make_coin("a")], 20)
    child = pay_rate(parent.outputs, 20)
    add_all(mempool, child)
    mempool.restore(parent, 1.0)
    assert [e.transaction for chunk in mempool.chunks() for e in chunk.entries] == [parent, child]
    assert [e.transaction for e in mempool.template(entered_before=1.0)] == [parent, child]


def test_a_miner_who_has_not_seen_a_parent_come_back_leaves_its_child_out() -> None:
    mempool = roomy_mempool()
    parent = pay([make_coin("a")])
    add_all(mempool, *(family := [pay(parent.outputs)]), *[pay(family[0].outputs)], pay([make_coin("b")]))
    mempool.restore(parent, 10.0)
    other = list(mempool.entries.values())[2]
    assert mempool.template(entered_before=9.0) == [other]
    assert len(mempool.template(entered_before=10.0)) == 4


def test_a_template_passes_over_what_does_not_fit() -> None:
    mempool = roomy_mempool()
    large, small = pay_rate([make_coin("a")], 40, outputs=20), pay_rate([make_coin("b")], 20)
    last = pay_rate(large.outputs[:1], 8)
    add_all(mempool, large, last, small)
    room_wu = large.weight_wu - 1
    template = mempool.template(entered_before=1.0, max_weight_wu=room_wu)
    assert [entry.transaction for entry in template] == [small]
    exact = mempool.template(entered_before=1.0, max_weight_wu=large.weight_wu)
    assert [entry.transaction for entry in exact] == [large]


def test_a_template_is_full_when_too_many_in_a_row_do_not_fit() -> None:
    mempool = roomy_mempool()
    small = [pay_rate([make_coin(f"small {n}")], rate) for n, rate in enumerate((80, 40, 12, 8))]
    for rate, count in ((60, 150), (20, 150), (10, 201)):
        large = [pay_rate([make_coin((rate, n))], rate, outputs=9) for n in range(count)]
        add_all(mempool, *large)
    add_all(mempool, *small)
    template = mempool.template(entered_before=1.0, max_weight_wu=4 * small[0].weight_wu)
    assert [entry.transaction for entry in template] == small[:3]


def test_a_mined_parent_leaves_its_child_alone() -> None:
    mempool = roomy_mempool()
    parent = pay_rate([make_coin("a")], 4)
    child = pay_rate(parent.outputs, 40)
    add_all(mempool, parent, child)
    assert [len(chunk.entries) for chunk in mempool.chunks()] == [2]
    assert mempool.confirm(parent) == []
    (chunk,) = mempool.chunks()
    assert [entry.transaction for entry in chunk.entries] == [child]
    assert chunk.rate_sat_vb == 40


def test_a_parent_that_loses_its_rich_child_is_worth_less() -> None:
    mempool = roomy_mempool()
    parent = pay_rate([make_coin("a")], 4)
    child = pay_rate(parent.outputs, 40)
    add_all(mempool, parent, child)
    assert mempool.chunks()[0].rate_sat_vb > 4
    mempool.remove(mempool.entries[child.txid])
    (chunk,) = mempool.chunks()
    assert [entry.transaction for entry in chunk.entries] == [parent]
    assert chunk.rate_sat_vb == 4


def test_a_mined_double_spend_takes_out_the_other_with_descendants() -> None:
    mempool = roomy_mempool()
    coins = [make_coin("a"), make_coin("b")]
    left, right = chain_of(coins[0], 2), chain_of(coins[1], 2)
    stays = pay([make_coin("c")])
    add_all(mempool, *left, *right, stays)
    gone = mempool.confirm(pay(coins))
    assert sorted(e.transaction.txid for e in gone) == sorted(txids(*left, *right))
    assert list(mempool.entries) == [stays.txid]


def test_what_comes_back_finds_its_children_and_drives_out_what_contradicts_it() -> None:
    mempool = roomy_mempool()
    coins = [make_coin("a"), make_coin("b")]
    parent = pay(coins, outputs=2, fee_sat=100)
    children = [pay([output], fee_sat=10_000) for output in parent.outputs]
    contradiction = chain_of(coins[0], 2)
    add_all(mempool, *children, *contradiction)
    gone = mempool.restore(parent, 5.0)
    assert [entry.transaction for entry in gone] == contradiction
    restored = mempool.entries[parent.txid]
    assert [child.transaction for child in restored.children] == children
    assert restored.entered_at == 5.0
    (chunk,) = mempool.chunks()
    assert [entry.transaction for entry in chunk.entries] == [parent, *children]


# --- time and room ---


def test_what_waits_too_long_goes_with_what_depends_on_it() -> None:
    mempool = Mempool(max_usage_bytes=10**9, expiry_s=100)
    old = pay([make_coin("a")])
    child = pay(old.outputs)
    other = pay([make_coin("b")])
    add_all(mempool, old, now=0.0)
    add_all(mempool, other, now=50.0)
    add_all(mempool, child, now=99.0)
    assert mempool.expire(100.0) == []
    assert [entry.transaction for entry in mempool.expire(100.1)] == [old, child]
    assert list(mempool.entries) == [other.txid]


def test_what_is_left_out_for_want_of_room_raises_the_price() -> None:
    mempool = roomy_mempool()
    rates = [40, 4, 20, 8]
    transactions = [pay_rate([make_coin(rate)], rate) for rate in rates]
    add_all(mempool, *transactions)
    mempool.max_usage_bytes = mempool.usage_bytes // 2
    assert [entry.transaction.fee_rate_sat_vb for entry in mempool.evict()] == [4, 8]
    assert list(mempool.entries) == txids(transactions[0], transactions[2])
    assert mempool.min_rate_sat_vb == pytest.approx(8 + MIN_RELAY_RATE_SAT_VB)
    expect_rejected(mempool, pay_rate([make_coin("late")], 8), "mempool min fee not met")
    assert mempool.evict() == []


def test_a_rich_child_keeps_its_parent_in() -> None:
    mempool = roomy_mempool()
    parent = pay_rate([make_coin("a")], 4)
    child = pay_rate(parent.outputs, 400)
    middling = pay_rate([make_coin("b")], 20)
    add_all(mempool, parent, child, middling)
    mempool.max_usage_bytes = mempool.usage_bytes - 1
    assert [entry.transaction for entry in mempool.evict()] == [middling]


@pytest.mark.parametrize(("fill", "hours"), [(0.9, 12), (0.4, 6), (0.1, 3)])
def test_the_price_halves_with_time_and_faster_the_more_room_there_is(fill: float, hours: float) -> None:
    mempool = roomy_mempool()
    mempool.min_rate_sat_vb = 1.0
    add_all(mempool, pay([make_coin("a")]))
    mempool.max_usage_bytes = int(mempool.usage_bytes / fill)
    for _ in range(60):
        mempool.relax(hours * 60)
    assert mempool.min_rate_sat_vb == pytest.approx(0.5)
    mempool.relax(10 * hours * 3_600)
    assert mempool.min_rate_sat_vb == MIN_RELAY_RATE_SAT_VB


def test_removal_by_hand_takes_descendants_only() -> None:
    mempool = roomy_mempool()
    first, second, third = chain_of(make_coin("a"), 3)
    add_all(mempool, first, second, third)
    gone = mempool.remove(mempool.entries[second.txid])
    assert [entry.transaction for entry in gone] == [second, third]
    assert list(mempool.entries) == [first.txid]
    assert mempool.entries[first.txid].children == {}
