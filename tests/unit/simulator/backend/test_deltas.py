"""Whoever applies the deltas has what the node has, whatever happened."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hydrophone.simulator.backend.backend import Style
from hydrophone.simulator.node.mempool import RejectedTransactionError
from hydrophone.simulator.node.scripts import Form
from tests.unit.simulator.backend.scene import SUBSCRIPTIONS, Scene

ONE = (Form.P2WPKH,)
ACTIONS = ("send", "replace", "child", "drop", "mine", "mine secretly", "mine some", "reorganise", "poll")


class Follower:
    """A client that keeps a mempool of its own."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.txids: set[str] = set()
        self.sequence = 0
        self.read = 0
        scene.join("mempool", *SUBSCRIPTIONS["mempool"])

    def catch_up(self) -> None:
        deltas = self.scene.deltas()
        for delta in deltas[self.read :]:
            assert delta["sequence"] == self.sequence + 1
            self.sequence += 1
            added = {transaction["txid"] for transaction in delta["added"]}
            assert not added & self.txids
            assert set(delta["removed"]) <= self.txids
            self.txids = (self.txids | added) - set(delta["removed"]) - set(delta["mined"])
            check_pairs(delta)
        self.read = len(deltas)


def check_pairs(delta: dict[str, Any]) -> None:
    """Everything that replaces was just added or mined, and its direct victims leave or are about to."""
    added = {transaction["txid"] for transaction in delta["added"]}
    for pair in delta["replaced"]:
        assert pair["by"]["replacement"] is True
        assert pair["by"]["txid"] in added | set(delta["mined"])
        assert pair["replaced"] not in added


def act(scene: Scene, action: str, choice: int) -> None:  # noqa: C901 -- a case for each action
    """Do something, if it is possible."""
    waiting = list(scene.node.mempool.entries.values())
    chosen = waiting[choice % len(waiting)] if waiting else None
    match action:
        case "send":
            scene.send(fee_sat=500 + choice)
        case "replace" if chosen is not None:
            coins = [spend.coin for spend in chosen.transaction.inputs]
            scene.submit(scene.pay(coins, fee_sat=40_000 + 1_000 * choice, forms=ONE))
        case "child" if chosen is not None:
            scene.submit(scene.pay(chosen.transaction.outputs[-1:], fee_sat=800 + 10 * choice, forms=ONE))
        case "drop" if chosen is not None:
            scene.node.mempool.remove(chosen)
        case "mine":
            scene.mine_all()
        case "mine secretly":
            coins = [scene.coin()]
            if chosen is not None and not chosen.parents:
                coins = [spend.coin for spend in chosen.transaction.inputs]
            scene.mine(scene.pay(coins, fee_sat=700))
        case "mine some":
            template = scene.node.mempool.template(entered_before=scene.now - 2)
            scene.mine(*(entry.transaction for entry in template[: choice + 1]))
        case "reorganise" if scene.node.chain.height > scene.node.chain.base_height + 2:
            scene.node.disconnect(scene.now)
            scene.mine()
            scene.mine()
        case "poll":
            scene.poll()
        case _:
            pass  # impossible just now


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from(Style),
    st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 9)), min_size=5, max_size=40),
)
def test_a_follower_has_what_the_node_has(style: Style, script: list[tuple[str, int]]) -> None:
    scene = Scene(style)
    for _ in range(4):
        scene.mine()
    scene.poll()
    follower = Follower(scene)
    for action, choice in script:
        try:
            act(scene, action, choice)
        except RejectedTransactionError:
            continue
        if action == "poll":
            follower.catch_up()
            assert follower.txids == set(scene.node.mempool.entries)
    scene.poll()
    follower.catch_up()
    assert follower.txids == set(scene.node.mempool.entries)
    assert scene.backend.mempool.vsize == sum(
        -(-entry.transaction.weight_wu // 4) for entry in scene.node.mempool.entries.values()
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 9)), min_size=5, max_size=30))
def test_followers_of_a_projected_block_know_all_its_rows(script: list[tuple[str, int]]) -> None:
    scene = Scene(Style.ESPLORA)
    for _ in range(4):
        scene.mine()
    scene.poll()
    scene.join("mblock0", *SUBSCRIPTIONS["mblock0"])
    for action, choice in script:
        try:
            act(scene, action, choice)
        except RejectedTransactionError:
            continue
    scene.poll()
    rows: dict[str, tuple[float, int]] = {}
    for text in scene.frames["mblock0"]:
        frame = json.loads(text).get("projected-block-transactions", {})
        if "blockTransactions" in frame:
            rows = {row[0]: (row[4], row[5]) for row in frame["blockTransactions"]}
        if "delta" in frame:
            for txid in frame["delta"]["removed"]:
                del rows[txid]
            rows |= {row[0]: (row[4], row[5]) for row in frame["delta"]["added"]}
            rows |= {row[0]: (row[1], row[2]) for row in frame["delta"]["changed"]}
    now = json.loads(scene.backend.projection.full(0, 0))["blockTransactions"]
    expected = {row[0]: (row[4], row[5]) for row in now}
    assert expected.items() <= rows.items()  # nothing is said when a block takes all of it, as recorded
