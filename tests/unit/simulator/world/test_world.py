import json
import subprocess
import sys
from collections import Counter
from dataclasses import fields, replace

import pytest

from hydrophone.simulator.world.habits import Habits, mean_habits, with_habits
from hydrophone.simulator.world.lives import End
from hydrophone.simulator.world.wallets import Wallet, wallet_of
from hydrophone.simulator.world.world import World
from tests.unit.simulator.world.worlds import LIVELY, RESTLESS, START, Truth, live

_IN_ANOTHER_PROCESS = """
import sys
from tests.unit.simulator.world.worlds import live, RESTLESS
import json
print(json.dumps(live(240.0, RESTLESS)[1]))
"""


@pytest.fixture(scope="module")
def restless() -> tuple[World, list[Truth]]:
    lines: list[str] = []
    world = World(LIVELY, RESTLESS, lines.append)
    for minute in range(1, 33):
        world.advance(START + 60 * minute)
        if minute % 6 == 0:
            world.reorganise(1 + minute // 6 % 3)
    pending = [life for life in world.book.lives.values() if life.end is End.PENDING]
    assert {life.transaction.txid for life in pending} == set(world.node.mempool.entries)
    world.close()
    return world, [json.loads(line) for line in lines]


def test_the_same_seed_gives_the_same_truth_in_any_process() -> None:
    truth = live(240.0, RESTLESS)[1]
    for hash_seed in ("1", "2"):
        answer = subprocess.run(
            [sys.executable, "-c", _IN_ANOTHER_PROCESS],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        )
        assert json.loads(answer.stdout) == truth


def test_how_far_time_is_advanced_at_once_changes_nothing() -> None:
    lines: list[str] = []
    world = World(LIVELY, RESTLESS, lines.append)
    for step in range(1, 2401):
        world.advance(START + step / 10)
    world.close()
    assert [json.loads(line) for line in lines] == live(240.0, RESTLESS)[1]


def test_another_seed_gives_another_world() -> None:
    assert live(60.0, seed=8)[1] != live(60.0)[1]


def test_coins_are_made_once_and_spent_once(restless: tuple[World, list[Truth]]) -> None:
    world, _ = restless
    chain, mempool = world.node.chain, world.node.mempool
    spent: set[object] = set()
    for block in chain.last(1_000):
        for transaction in block.transactions:
            for spend in transaction.inputs:
                assert spend.coin.outpoint not in spent
                assert spend.coin.height is not None
                spent.add(spend.coin.outpoint)
            assert all(coin.height == block.height for coin in transaction.outputs)
    for entry in mempool.entries.values():
        for spend in entry.transaction.inputs:
            assert spend.coin.outpoint not in spent
            spent.add(spend.coin.outpoint)


def test_pools_spend_what_they_found_once_it_has_matured() -> None:
    habits = Habits(ordinary_mix={"miner_payout": 1.0}, natural_fork=0.05)
    world, _ = live(1_200.0, habits, rate_per_s=1.0, whales_per_hour=0.0, block_interval_s=5.0)
    blocks = world.node.chain.last(1_000)
    found_at = {block.transactions[0].txid_internal: block.height for block in blocks}
    ages = [
        block.height - found_at[spend.coin.outpoint.txid_internal]
        for block in blocks
        for transaction in block.transactions
        for spend in transaction.inputs
        if spend.coin.outpoint.txid_internal in found_at
    ]
    assert ages
    assert min(ages) >= 100  # consensus


def test_wallets_hold_confirmed_coins_that_nothing_spends(restless: tuple[World, list[Truth]]) -> None:
    world, _ = restless
    wallets: dict[Wallet, None] = {}
    for block in world.node.chain.last(1_000):
        for transaction in block.transactions:
            found = (wallet_of(coin.script) for coin in transaction.outputs)
            wallets |= {wallet: None for wallet in found if wallet is not None}
    coins = [coin for wallet in wallets for coin in wallet.coins]
    assert len(coins) > 1_000
    for coin in coins:
        assert coin.height is not None
        assert world.node.mempool.spender(coin.outpoint) is None
        assert world.node.chain.spender(coin.outpoint) is None


def test_each_transaction_has_one_line_and_one_end(restless: tuple[World, list[Truth]]) -> None:
    world, truth = restless
    assert len({line["txid"] for line in truth}) == len(truth)
    ends = Counter(line["end"] for line in truth)
    assert set(ends) == {"confirmed", "replaced", "dropped", "pending"}
    assert world.book.ends == ends
    assert world.book.whale_count == sum(line["gross_sat"] > 100 * 10**8 for line in truth)


def test_the_end_is_what_the_chain_and_the_mempool_say(restless: tuple[World, list[Truth]]) -> None:
    world, truth = restless
    for line in truth:
        found = world.node.chain.find(line["txid"])
        assert (found is not None) == (line["end"] == "confirmed")
        if found is not None:
            assert (found[1].height, found[1].block_hash) == (line["block_height"], line["block_hash"])
        assert (line["txid"] in world.node.mempool.entries) == (line["end"] == "pending")


def test_what_replaces_spends_the_same_coins(restless: tuple[World, list[Truth]]) -> None:
    _, truth = restless
    by_txid = {line["txid"]: line for line in truth}
    reasons = Counter(line["reason"] for line in truth if line["end"] == "replaced")
    assert {"fee_bump", "other_payee", "cancelled", "other_amount", "mined_double_spend"} <= set(reasons)
    for line in truth:
        if line["end"] == "replaced":
            assert line["replaced_by"] in by_txid
        assert all(by_txid[old]["end"] in {"replaced", "dropped"} for old in line["replaces"])


@pytest.mark.parametrize("kind", ["payjoin", "coinjoin"])
def test_what_several_signed_none_of_them_changes(kind: str) -> None:
    habits = replace(RESTLESS, ordinary_mix={kind: 1.0}, whale_mix={"whale_coinjoin": 1.0}, bump=1.0)
    _, truth = live(300.0, habits, rate_per_s=1.0)
    shared = [line for line in truth if len(line["senders"]) > 1]
    assert len(shared) > 100
    assert {line["kind"] for line in shared} == {kind, "whale_coinjoin"}
    assert "replaced" not in {line["end"] for line in shared}


@pytest.mark.parametrize(
    ("kind", "flow_type"), [("deposit", "inflow"), ("withdrawal", "outflow"), ("consolidation", "unknown")]
)
def test_what_pays_somebody_else_now_is_called_so(kind: str, flow_type: str) -> None:
    habits = Habits(ordinary_mix={kind: 1.0}, bump=1.0, bump_after_s=5.0, bump_other_payee=1.0)
    _, truth = live(300.0, habits, whales_per_hour=0.0)
    assert {line["flow_type"] for line in truth if line["kind"] == kind} == {flow_type}
    by_txid = {line["txid"]: line for line in truth}
    victims = [line for line in truth if line["kind"] == kind and line["reason"] == "other_payee"]
    assert len(victims) > 50
    for line in victims:
        replacement = by_txid[line["replaced_by"]]
        assert (replacement["kind"], replacement["flow_subtype"]) == ("double_spend", None)


def test_reorganisations_leave_their_mark(restless: tuple[World, list[Truth]]) -> None:
    world, truth = restless
    again = [line for line in truth if line["reorged"]]
    assert any(line["end"] == "confirmed" for line in again)
    assert any(line["reason"] == "mined_double_spend" for line in again)
    assert world.node.chain.stale


def test_what_a_reorganisation_may_still_reach_is_not_written() -> None:
    world = World(replace(LIVELY, block_interval_s=30.0), Habits())
    for minute in range(1, 31):
        world.advance(START + 60 * minute)
        for block in world.node.chain.last(8):
            if block.height > world.first_height:  # however long ago it was found
                assert all(t.txid in world.book.lives for t in block.transactions[1:])


def test_what_left_without_being_mined_is_written_within_a_minute() -> None:
    lines: list[str] = []
    world = World(replace(LIVELY, block_interval_s=1e9), RESTLESS, lines.append)
    for minute in range(1, 11):
        world.advance(START + 60 * minute)
        assert {life.end for life in world.book.lives.values()} == {End.PENDING}
    assert {json.loads(line)["end"] for line in lines} == {"replaced", "dropped"}


def test_amounts_of_the_truth_add_up(restless: tuple[World, list[Truth]]) -> None:
    for line in restless[1]:
        values = line["values"]
        assert sum(values.values()) + line["change_sat"] == line["gross_sat"]
        moved = line["gross_sat"] - line["change_sat"] - values["internal_sat"] - values["self_transfer_sat"]
        assert line["moved_sat"] == moved
        for counts in line["entities"].values():
            assert counts["net_sat"] == counts["in_sat"] - counts["out_sat"]


@pytest.mark.parametrize(
    ("kind", "flow_type", "moves"),
    [
        ("whale_deposit", "inflow", True),
        ("whale_withdrawal", "outflow", True),
        ("whale_batch", "outflow", True),
        ("interexchange", "internal", True),
        ("cold_to_hot", "internal", False),
        ("hot_to_cold", "internal", False),
        ("whale_sweep", "internal", False),
        ("whale_consolidation", "internal", False),
        ("whale_otc", "unknown", True),
        ("whale_coinjoin", "unknown", False),
        ("custody_to_exchange", "inflow", True),
        ("miner_deposit", "inflow", True),
        ("custody_move", "unknown", None),
    ],
)
def test_a_large_movement_is_what_its_name_says(kind: str, flow_type: str, moves: bool | None) -> None:
    habits = Habits(whale_mix={kind: 1.0}, bump=0.0)
    _, truth = live(300.0, habits, rate_per_s=0.01)
    lines = [line for line in truth if line["kind"] == kind]
    assert len(lines) > 20
    assert {line["flow_type"] for line in lines} == {flow_type}
    if kind == "interexchange":
        assert {line["flow_subtype"] for line in lines} == {"interexchange"}
    if moves is False:  # a coinjoin pays its coordinator
        assert all(line["moved_sat"] < 0.05 * line["gross_sat"] for line in lines)
    elif moves:
        assert all(line["moved_sat"] > 0 for line in lines)
    else:
        assert {line["moved_sat"] > 0 for line in lines} == {True, False}


@pytest.mark.parametrize("kind", list(Habits().ordinary_mix))
def test_everything_ordinary_happens(kind: str) -> None:
    habits = Habits(ordinary_mix={kind: 1.0, "deposit": 1.0}, bump=0.0, rescue=0.0)
    _, truth = live(400.0, habits, whales_per_hour=0.0)
    assert sum(line["kind"] == kind for line in truth) >= (5 if kind == "sweep" else 200)


def test_change_belongs_to_a_sender_and_no_payment_does() -> None:
    habits = Habits(whale_mix={"whale_otc": 1.0}, ordinary_mix={"payment": 1.0}, bump=0.0, rescue=0.0)
    world, truth = live(300.0, habits)
    for line in truth:
        found = world.node.chain.find(line["txid"])
        if found is None:
            continue
        transaction = found[0]
        senders = {_owner(spend.coin) for spend in transaction.inputs}
        for vout, coin in enumerate(transaction.outputs):
            assert (_owner(coin) in senders) == (vout in line["change"])


def _owner(coin: object) -> object:
    wallet = wallet_of(coin.script)  # type: ignore[attr-defined]
    assert wallet is not None
    return wallet.owner


def test_a_mean_world_runs_as_well() -> None:
    _, truth = live(300.0, mean_habits())
    assert sum(line["kind"] == "payjoin" for line in truth) > 20


def test_a_full_mempool_evicts_the_cheapest_and_asks_for_more() -> None:
    world, truth = live(900.0, rate_per_s=5.0, block_interval_s=100_000.0, max_usage_bytes=1_500_000)
    evicted = [line for line in truth if line["reason"] == "evicted"]
    pending = [line for line in truth if line["end"] == "pending"]
    assert len(evicted) > 100
    assert world.node.mempool.usage_bytes <= 1_500_000 + 5 * 60 * 4_000
    rates = sorted(line["fee_rate_sat_vb"] for line in evicted)
    assert rates[len(rates) // 2] < sorted(line["fee_rate_sat_vb"] for line in pending)[len(pending) // 2]


def test_what_waits_too_long_expires() -> None:
    _, truth = live(900.0, block_interval_s=100_000.0, expiry_s=120.0)
    expired = [line for line in truth if line["reason"] == "expired"]
    assert expired
    assert all(120.0 < line["end_at"] - line["first_seen"] < 240.0 for line in expired)


def test_a_prefilled_world_begins_with_a_queue() -> None:
    world = World(replace(LIVELY, prefill=500), Habits())
    assert len(world.node.mempool.entries) > 400
    assert all(entry.entered_at <= START for entry in world.node.mempool.entries.values())


def test_the_first_whale_and_the_first_block_come_when_they_must() -> None:
    _, truth = live(30.0, first_whale_s=1.0, first_block_s=20.0, whales_per_hour=0.0)
    assert any(
        line["gross_sat"] > 100 * 10**8 and abs(line["first_seen"] - START - 1.0) < 1e-3 for line in truth
    )
    assert any(line["end"] == "confirmed" and abs(line["end_at"] - START - 20.0) < 1e-3 for line in truth)


def test_an_empty_world_only_has_blocks() -> None:
    world, truth = live(600.0, rate_per_s=0.0, whales_per_hour=0.0)
    assert truth == []
    assert world.node.chain.height > world.first_height


@pytest.mark.parametrize("changes", [{"bumb": 0.1}, {"bump": -1.0}, {"ordinary_mix": 1.0}])
def test_a_habit_that_does_not_exist_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        with_habits(Habits(), changes)


@pytest.mark.parametrize("field", [f.name for f in fields(Habits)])
def test_no_habit_is_a_figure_that_the_world_stumbles_over(field: str) -> None:
    if not isinstance(getattr(Habits(), field), int | float):
        return
    try:
        habits = with_habits(Habits(), {field: 0.0})
    except ValueError as error:
        assert str(error) == f"expected {field} above 0, found 0"  # noqa: PT017 -- either is right
        return
    live(60.0, habits, rate_per_s=20.0, block_interval_s=10.0)


def test_habits_keep_their_types() -> None:
    habits = with_habits(Habits(), {"batch_cap": 20, "bump": 1})
    assert (habits.batch_cap, habits.bump) == (20, 1.0)
    assert isinstance(habits.bump, float)


def test_who_signs_a_payjoin_as_payee_is_paid_what_is_more_than_its_own() -> None:
    habits = Habits(ordinary_mix={"payjoin": 1.0}, bump=0.0, rescue=0.0, accelerated=0.0, unannounced=0.0)
    world, truth = live(200.0, habits, whales_per_hour=0.0)
    checked = 0
    for line in truth:
        found = world.node.chain.find(line["txid"])
        if found is None or line["kind"] != "payjoin":
            continue
        transaction = found[0]
        [change] = line["change"] or [None]
        if change is None:
            continue
        payer = _owner(transaction.outputs[change])
        spent = sum(s.coin.value_sat for s in transaction.inputs if _owner(s.coin) is payer)
        paid = spent - transaction.outputs[change].value_sat - transaction.fee_sat
        assert line["moved_sat"] == line["values"]["unknown_sat"] == paid > 0
        checked += 1
    assert checked > 50
