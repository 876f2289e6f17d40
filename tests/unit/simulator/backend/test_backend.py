import json
from typing import Any

import pytest

from hydrophone.simulator.backend.backend import Style
from hydrophone.simulator.backend.updates import Update
from hydrophone.simulator.node.scripts import Form
from hydrophone.simulator.node.transactions import (
    REPLACEABLE_SEQUENCE,
    Payment,
    Spend,
    Transaction,
    make_transaction,
)
from tests.unit.simulator.backend.scene import SUBSCRIPTIONS, Scene

ONE = (Form.P2WPKH,)
BULKY_OUTPUTS = 12_000


def started(style: Style = Style.ESPLORA, *, blocks: int = 3) -> Scene:
    """Return a scene after its first poll, with the clients `all` and `mempool`."""
    scene = Scene(style)
    for _ in range(blocks):
        scene.mine()
    scene.poll()
    for name in ("all", "mempool"):
        scene.join(name, *SUBSCRIPTIONS[name])
    return scene


def last(scene: Scene) -> dict[str, Any]:
    """Return the last delta."""
    return scene.deltas()[-1]


def bulky(scene: Scene, *, fee_sat: int) -> Transaction:
    """Return a transaction that takes more than a third of a block."""
    coin = scene.coin(2_000_000_000)
    payment = Payment(coin.script, (2_000_000_000 - fee_sat) // BULKY_OUTPUTS)
    spend = Spend(coin, coin.script.unlock(scene.rng), REPLACEABLE_SEQUENCE)
    return make_transaction([spend], [payment] * BULKY_OUTPUTS)


def txids(delta: dict[str, Any]) -> list[str]:
    return [transaction["txid"] for transaction in delta["added"]]


def pairs(delta: dict[str, Any]) -> list[tuple[str, str]]:
    return [(pair["replaced"], pair["by"]["txid"]) for pair in delta["replaced"]]


def parsed(scene: Scene, name: str, key: str) -> list[Any]:
    """Return all values of a key that a client got."""
    return [json.loads(text)[key] for text in scene.frames[name] if key in json.loads(text)]


def test_the_sequence_counts_every_delta_and_nothing_is_said_when_nothing_happens() -> None:
    scene = started()
    scene.send(fee_sat=500)
    scene.poll()
    assert scene.poll() == []
    scene.mine_all()
    scene.poll()
    scene.send(fee_sat=500)
    scene.poll()
    assert [delta["sequence"] for delta in scene.deltas()] == [1, 2, 3]


def test_what_is_replaced_before_the_next_poll_is_never_seen() -> None:
    scene = started()
    coin = scene.coin()
    first, second = (scene.pay([coin], fee_sat=fee_sat) for fee_sat in (200, 900))
    scene.submit(first)
    scene.submit(second)
    scene.poll()
    assert txids(last(scene)) == [second.txid]
    assert (last(scene)["removed"], last(scene)["replaced"]) == ([], [])


def test_a_second_replacement_repeats_the_first_version() -> None:
    scene = started()
    coin = scene.coin()
    versions = [scene.pay([coin], fee_sat=fee_sat) for fee_sat in (200, 900, 2_000)]
    for version in versions:
        scene.submit(version)
        scene.poll()
    a, b, c = [version.txid for version in versions]
    assert pairs(last(scene)) == [(b, c), (a, c)]
    assert last(scene)["removed"] == [b]
    assert last(scene)["added"][0]["replacement"] is True


def test_evicted_descendants_are_only_removed() -> None:
    scene = started()
    coin = scene.coin()
    parent = scene.pay([coin], fee_sat=500, forms=ONE)
    child = scene.pay(parent.outputs, fee_sat=500, forms=ONE)
    scene.submit(parent, child)
    scene.poll()
    winner = scene.pay([coin], fee_sat=9_000, forms=ONE)
    scene.submit(winner)
    scene.poll()
    assert pairs(last(scene)) == [(parent.txid, winner.txid)]
    assert last(scene)["removed"] == [parent.txid, child.txid]


def test_a_child_comes_with_the_rate_of_its_package_and_its_parent_is_not_sent_again() -> None:
    scene = started()
    parent = scene.send(fee_sat=200)
    scene.poll()
    child = scene.pay(parent.outputs[:1], fee_sat=100_000, forms=ONE)
    scene.submit(child)
    scene.poll()
    (sent,) = last(scene)["added"]
    assert sent["txid"] == child.txid
    assert sent["effectiveFeePerVsize"] == pytest.approx(100_200 * 4 / (parent.weight_wu + child.weight_wu))
    assert [ancestor["txid"] for ancestor in sent["ancestors"]] == [parent.txid]


def test_the_parents_new_rate_is_in_the_projected_block() -> None:
    scene = started()
    scene.join("mblock0", *SUBSCRIPTIONS["mblock0"])
    parent = scene.send(fee_sat=200)
    scene.poll()
    scene.submit(scene.pay(parent.outputs[:1], fee_sat=100_000, forms=ONE))
    scene.poll()
    delta = parsed(scene, "mblock0", "projected-block-transactions")[-1]["delta"]
    assert [row[:2] for row in delta["changed"]] == [[parent.txid, 401.6]]


def test_mined_lists_everything_the_coinbase_first_and_what_was_never_announced() -> None:
    scene = started()
    sent = scene.send(fee_sat=500)
    scene.poll()
    secret = scene.pay([scene.coin()], fee_sat=900)
    block = scene.mine(sent, secret)
    scene.poll()
    assert last(scene)["mined"] == [block.transactions[0].txid, sent.txid, secret.txid]


def test_a_double_spend_in_a_block_replaces_at_once_and_removes_later() -> None:
    scene = started()
    coin = scene.coin()
    victim = scene.pay([coin], fee_sat=500, forms=ONE)
    child = scene.pay(victim.outputs, fee_sat=500, forms=ONE)
    scene.submit(victim, child)
    scene.poll()
    winner = scene.pay([coin], fee_sat=500, forms=ONE)
    block = scene.mine(winner)
    scene.poll()
    in_block, later = scene.deltas()[-2:]
    assert pairs(in_block) == [(victim.txid, winner.txid)]
    assert in_block["replaced"][0]["by"]["status"] == {
        "confirmed": True,
        "block_height": block.height,
        "block_hash": block.block_hash,
        "block_time": block.timestamp,
    }
    assert in_block["removed"] == []
    assert later["removed"] == [victim.txid, child.txid]


def reorganised(style: Style) -> tuple[Scene, list[Transaction], list[str]]:
    """A block gives way to two: they have one of its transactions and a double spend of the other."""
    scene = started(style)
    coin = scene.coin()
    staying, losing = scene.send(fee_sat=500), scene.pay([coin], fee_sat=500)
    scene.submit(losing)
    scene.poll()
    scene.mine(staying, losing)
    scene.poll()
    before = len(scene.frames["all"])
    scene.node.disconnect(scene.now)
    taking = scene.pay([coin], fee_sat=900)
    scene.mine(staying, taking)
    scene.mine()
    scene.poll()
    return scene, [staying, losing, taking], scene.frames["all"][before:]


def test_with_an_index_a_reorganisation_is_told_by_the_blocks_before_the_new_one() -> None:
    scene, (staying, losing, taking), frames = reorganised(Style.ESPLORA)
    first, second = (json.loads(text) for text in frames[:2])
    assert list(first) == ["blocks", "da"]
    assert first["blocks"][-1]["height"] == second["block"]["height"] - 1
    assert first["blocks"][-1]["id"] == second["block"]["previousblockhash"]
    said = "".join(text for text in frames if "mempool-transactions" in text)
    assert staying.txid not in said
    assert losing.txid not in said
    assert taking.txid not in said
    assert scene.backend.poll_interval_s == 20
    scene.now += 25
    scene.poll()
    assert scene.backend.poll_interval_s == 2


def test_without_an_index_only_the_previous_hash_tells_of_a_reorganisation() -> None:
    scene, _, frames = reorganised(Style.NONE)
    assert "blocks" not in {key for text in frames for key in json.loads(text)}
    new = json.loads(frames[0])["block"]
    assert new["previousblockhash"] not in {block["id"] for block in parsed(scene, "all", "block")[:-1]}
    assert scene.backend.poll_interval_s == 2


def test_what_a_disconnected_block_had_is_added_again_and_removed_when_a_replacing_block_has_it() -> None:
    scene = started()
    sent = scene.send(fee_sat=500)
    scene.mine(sent)
    scene.poll()
    scene.node.disconnect(scene.now)
    scene.poll()
    assert txids(last(scene)) == [sent.txid]
    scene.mine(sent)
    scene.mine()
    scene.poll()
    assert last(scene)["removed"] == [sent.txid]


def test_more_than_sixteen_blocks_behind_only_the_last_eight_come() -> None:
    scene = started()
    for _ in range(17):
        scene.mine()
    scene.poll()
    heights = [block["height"] for block in parsed(scene, "all", "block")]
    assert heights == list(range(scene.node.chain.height - 7, scene.node.chain.height + 1))


def test_sixteen_blocks_behind_all_of_them_come() -> None:
    scene = started()
    for _ in range(16):
        scene.mine()
    scene.poll()
    assert len(parsed(scene, "all", "block")) == 16


def test_a_new_process_tells_of_old_blocks_at_sequence_zero_and_then_the_whole_mempool() -> None:
    scene = started(blocks=12)
    sent = {scene.send(fee_sat=500).txid for _ in range(3)}
    scene.poll()
    scene.backend.restart(scene.now)
    scene.sessions.clear()
    scene.frames.clear()
    for name in ("all", "mempool"):
        scene.join(name, *SUBSCRIPTIONS[name])
    scene.poll()
    assert scene.frames["mempool"][0] == "{}"
    *history, now = scene.deltas()
    assert [delta["sequence"] for delta in history] == [0] * 8
    assert now["sequence"] == 1
    assert set(txids(now)) == sent
    scene.poll()
    assert "{}" not in scene.frames["mempool"][1:]


def test_with_the_node_down_everybody_hears_the_indicator_each_second() -> None:
    scene = started()
    scene.join("silent")
    scene.node.is_up = False
    scene.send(fee_sat=500)
    assert scene.backend.poll_interval_s == 1
    scene.poll(1)
    scene.poll(1)
    assert scene.frames["silent"] == ['{"loadingIndicators":{"mempool":99}}'] * 2
    scene.node.is_up = True
    scene.poll()
    assert scene.frames["silent"][-1] == '{"loadingIndicators":{}}'
    assert len(txids(last(scene))) == 1


def test_while_the_indexer_runs_polls_are_seldom_and_its_progress_is_told() -> None:
    scene = started()
    scene.backend.start_indexing(scene.now, 60)
    assert scene.backend.poll_interval_s == 20
    for _ in range(3):
        scene.poll(20)
    assert scene.backend.poll_interval_s == 2
    indicators = parsed(scene, "all", "loadingIndicators")
    assert indicators == [{"block-indexing": 33}, {"block-indexing": 66}, {}]


def test_the_truth_is_told_which_transactions_were_announced_and_when() -> None:
    scene = started()
    sent = scene.send(fee_sat=500)
    scene.poll()
    scene.mine(sent, scene.pay([scene.coin()], fee_sat=900))
    scene.poll()
    assert scene.announced == [((sent.txid,), scene.now - 2)]


def test_a_price_reaches_everybody() -> None:
    scene = started()
    scene.join("silent")
    scene.backend.set_price(100_000.0, scene.now)
    scene.poll()
    (prices,) = parsed(scene, "silent", "conversions")
    assert (prices["USD"], prices["EUR"], prices["time"]) == (100_000, -1, int(scene.now - 2))


def test_the_rate_of_arrivals_is_a_mean_over_two_and_a_half_minutes_and_lags_one_poll() -> None:
    scene = started()
    sent = scene.send(fee_sat=500)
    scene.poll()
    scene.send(fee_sat=500)
    scene.poll()
    vsize = -(-sent.weight_wu // 4)
    assert parsed(scene, "all", "vBytesPerSecond")[-2:] == [0, round(vsize / 150)]


def test_projected_blocks_are_eight_and_the_last_has_the_rest() -> None:
    scene = started()
    scene.join("last", '{"track-mempool-block":7}')
    for _ in range(24):
        scene.submit(bulky(scene, fee_sat=2_000_000))
    scene.poll()
    blocks = parsed(scene, "all", "mempool-blocks")[-1]
    assert [block["nTx"] for block in blocks] == [2] * 7 + [10]
    (delta,) = (frame["delta"] for frame in parsed(scene, "last", "projected-block-transactions")[1:])
    assert len(delta["added"]) == 3  # up to 1.2 blocks


def test_a_block_that_changes_most_of_the_projected_one_sends_all_its_rows() -> None:
    scene = started()
    scene.join("mblock0", *SUBSCRIPTIONS["mblock0"])
    for number in range(6):
        scene.submit(bulky(scene, fee_sat=2_000_000 + number))
    scene.poll()
    best = [e.transaction for chunk in scene.node.mempool.chunks()[:2] for e in chunk.entries]
    scene.mine(*best)
    scene.poll()
    frame = parsed(scene, "mblock0", "projected-block-transactions")[-1]
    assert len(frame["blockTransactions"]) == 2


def test_polls_without_listeners_write_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(Style.ESPLORA)
    scene.mine()
    monkeypatch.setattr(scene.backend.text, "announced", None)
    scene.send(fee_sat=500)
    updates = scene.poll()
    assert all(isinstance(update, Update) for update in updates)
