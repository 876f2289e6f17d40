import json

import pytest

from hydrophone.simulator.backend.backend import Style
from hydrophone.simulator.node.scripts import Form
from tests.unit.simulator.backend.scene import Scene

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
PLACES = {
    "tip": "blocks/tip/height",
    "hash": "blocks/tip/hash",
    "tx": "tx/{txid}",
    "status": "tx/{txid}/status",
    "outspends": "tx/{txid}/outspends",
    "hex": "tx/{txid}/hex",
    "txids": "mempool/txids",
    "mempool": "mempool",
    "block": "block/{block}",
    "block txs": "block/{block}/txs",
    "height": "block-height/{height}",
    "rbf": "tx/{txid}/rbf",
    "cpfp": "cpfp/{txid}",
}


def started(style: Style) -> Scene:
    scene = Scene(style)
    for _ in range(20):
        scene.mine()
    scene.poll()
    return scene


@pytest.mark.parametrize(
    ("style", "root", "expected"),
    [
        (
            Style.NONE,
            "/api/v1/",
            {
                "tip": TEXT, "hash": TEXT, "tx": JSON, "status": JSON, "outspends": JSON, "hex": TEXT,
                "txids": JSON, "mempool": JSON, "block": JSON, "block txs": JSON, "height": HTML, "rbf": JSON,
                "cpfp": JSON,
            },
        ),
        (
            Style.ESPLORA,
            "/api/v1/",
            {
                "tip": TEXT, "hash": None, "tx": None, "status": None, "outspends": None, "hex": None,
                "txids": None, "mempool": None, "block": JSON, "block txs": None, "height": None, "rbf": JSON,
                "cpfp": JSON,
            },
        ),
        (
            Style.ESPLORA,
            "/api/",
            {
                "tip": "text/plain", "hash": "text/plain", "tx": "application/json",
                "status": "application/json", "outspends": "application/json", "hex": "text/plain",
                "txids": "application/json", "mempool": "application/json", "block txs": "application/json",
                "height": "text/plain",
            },
        ),
    ],
)  # fmt: skip
def test_which_path_answers_where(style: Style, root: str, expected: dict[str, str | None]) -> None:
    scene = started(style)
    sent = scene.send(fee_sat=500)
    scene.poll()
    tip = scene.node.chain
    for name, content_type in expected.items():
        path = root + PLACES[name].format(txid=sent.txid, block=tip.tip_hash, height=tip.height)
        found = scene.ask(path)
        if content_type is None:
            assert (found.status, found.content_type) == (404, HTML), path
            assert f"<pre>Cannot GET {path}</pre>" in found.body.decode()
        else:
            assert (found.status, found.content_type) == (200, content_type), path


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/api/v1/tx/zzz", 400, '{"error":"Invalid transaction ID"}'),
        ("/api/v1/tx/" + "00" * 32, 404, '{"error":"No such mempool or blockchain transaction"}'),
        ("/api/v1/tx/" + "00" * 32 + "/status", 404, '{"error":"No such mempool or blockchain transaction"}'),
        ("/api/v1/tx/" + "00" * 32 + "/outspends", 500, '{"error":"Failed to get transaction outspends"}'),
        ("/api/v1/tx/" + "00" * 32 + "/cached", 204, ""),
        ("/api/v1/tx/" + "00" * 32 + "/rbf", 200, '{"replacements":null,"replaces":null}'),
        ("/api/v1/cpfp/" + "00" * 32, 200, '{"ancestors":[]}'),
        ("/api/v1/block-height/999999", 500, '{"error":"Failed to get block at height"}'),
        ("/api/v1/fullrbf/replacements", 200, "[]"),
        ("/api/v1/address/x", 405, '{"error":"Address lookups cannot be used with bitcoind as backend."}'),
    ],
)
def test_what_is_said_of_the_unknown(path: str, status: int, body: str) -> None:
    found = started(Style.NONE).ask(path)
    assert (found.status, found.body.decode()) == (status, body)


def test_a_coin_of_before_the_simulation_has_an_unknown_parent() -> None:
    scene = started(Style.ESPLORA)
    sent = scene.send(fee_sat=500)
    parent = json.loads(scene.ask(f"/api/tx/{sent.txid}").body)["vin"][0]["txid"]
    assert scene.ask(f"/api/tx/{parent}").status == 404


@pytest.mark.parametrize(("style", "path"), [(Style.NONE, "/api/v1/tx/"), (Style.ESPLORA, "/api/tx/")])
def test_a_transaction_has_its_prevouts_and_later_its_block(style: Style, path: str) -> None:
    scene = started(style)
    sent = scene.send(fee_sat=500)
    scene.poll()
    found = json.loads(scene.ask(path + sent.txid).body)
    assert found["vin"][0]["prevout"]["value"] == 50_000_000
    assert found["status"] == {"confirmed": False}
    block = scene.mine(sent)
    scene.poll()
    found = json.loads(scene.ask(path + sent.txid).body)
    assert found["status"]["block_hash"] == block.block_hash
    assert json.loads(scene.ask(f"{path}{sent.txid}/status").body) == found["status"]


@pytest.mark.parametrize(("style", "size"), [(Style.NONE, 10), (Style.ESPLORA, 25)])
def test_the_transactions_of_a_block_come_in_pages(style: Style, size: int) -> None:
    scene = started(style)
    block = scene.mine(*(scene.pay([scene.coin()], fee_sat=500) for _ in range(60)))
    scene.poll()
    expected = [transaction.txid for transaction in block.transactions]
    for start in (0, 25, 60):
        page = json.loads(scene.ask(f"/api/block/{block.block_hash}/txs/{start}").body)
        assert [transaction["txid"] for transaction in page] == expected[start : start + size]


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (Style.NONE, {"spent": True}),
        (Style.ESPLORA, {"spent": True, "vin": 0, "status": {"confirmed": False}}),
    ],
)
def test_only_an_index_knows_what_spent_an_output(style: Style, expected: dict[str, object]) -> None:
    scene = started(style)
    parent = scene.send(fee_sat=500)
    child = scene.pay(parent.outputs[:1], fee_sat=900, forms=(Form.P2WPKH,))
    scene.submit(child)
    spent, unspent = json.loads(scene.ask(f"/api/tx/{parent.txid}/outspends").body)
    assert spent.pop("txid", child.txid) == child.txid
    assert spent == expected
    assert unspent == {"spent": False}


def test_with_the_node_down_fees_are_refused_and_the_height_is_stale() -> None:
    scene = started(Style.NONE)
    height = scene.node.chain.height
    scene.node.is_up = False
    scene.mine()
    scene.poll()
    assert scene.ask("/api/v1/fees/recommended").status == 503
    assert scene.ask("/api/v1/blocks/tip/height").body.decode() == str(height)


def test_blocks_come_from_a_height_downwards() -> None:
    scene = started(Style.ESPLORA)
    tip = scene.node.chain.height
    for path, first in (("/api/v1/blocks", tip), (f"/api/v1/blocks/{tip - 3}", tip - 3)):
        heights = [block["height"] for block in json.loads(scene.ask(path).body)]
        assert heights == list(range(first, first - 15, -1))


def test_the_hex_of_a_transaction_is_its_serialisation() -> None:
    scene = started(Style.NONE)
    sent = scene.send(fee_sat=500)
    assert scene.ask(f"/api/v1/tx/{sent.txid}/hex").body.decode() == sent.serialize().hex()


def test_a_lost_branch_is_among_the_tips() -> None:
    scene = started(Style.NONE)
    for _ in range(2):
        scene.node.disconnect(scene.now)
    for _ in range(3):
        scene.mine()
    tips = json.loads(scene.ask("/api/v1/chain-tips").body)
    assert [(tip["status"], tip["branchlen"]) for tip in tips] == [("active", 0), ("valid-fork", 2)]


def test_replacements_are_kept_with_the_old_versions() -> None:
    scene = started(Style.NONE)
    coin = scene.coin()
    old, new = (scene.pay([coin], fee_sat=fee_sat) for fee_sat in (500, 2_000))
    for version in (old, new):
        scene.submit(version)
        scene.poll()
    found = json.loads(scene.ask(f"/api/v1/tx/{old.txid}/rbf").body)
    assert found["replacements"]["tx"]["txid"] == new.txid
    assert found["replaces"] is None
    assert json.loads(scene.ask(f"/api/v1/tx/{new.txid}/rbf").body)["replaces"] == [old.txid]
    assert json.loads(scene.ask(f"/api/v1/tx/{old.txid}/cached").body)["txid"] == old.txid
    assert json.loads(scene.ask("/api/v1/replacements").body)[0]["tx"]["txid"] == new.txid
