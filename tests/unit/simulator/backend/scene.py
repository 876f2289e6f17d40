"""A small scripted economy that makes the backend say everything it can say."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hydrophone.domain.script import Network
from hydrophone.simulator.backend.backend import Backend, Style
from hydrophone.simulator.backend.rest import RestAnswer, answer
from hydrophone.simulator.backend.session import Session
from hydrophone.simulator.backend.updates import Update
from hydrophone.simulator.node.chain import Block, Chain
from hydrophone.simulator.node.mempool import Mempool
from hydrophone.simulator.node.node import Node
from hydrophone.simulator.node.scripts import Form, data_script, make_script
from hydrophone.simulator.node.transactions import (
    FINAL_SEQUENCE,
    REPLACEABLE_SEQUENCE,
    Coin,
    OutPoint,
    Payment,
    Spend,
    Transaction,
    double_sha256,
    make_transaction,
)
from tests.unit.simulator.backend.shapes import as_json, kind_of_frame

START = 1_795_337_380.0
POLL_S = 2.0
REWARD_SAT = 2_500_000_000
OTHER_FORMS = (Form.P2PKH, Form.P2SH_P2WPKH, Form.P2TR)
"""Of whales' outputs, as in the recordings."""
WANT_ALL = '{"action":"want","data":["blocks","mempool-blocks","stats"]}'
SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {
    "all": (WANT_ALL, '{"track-mempool":true}', '{"track-mempool-txids":true}', '{"track-rbf":"all"}'),
    "mempool": ('{"track-mempool":true}',),
    "txids": ('{"track-mempool-txids":true}',),
    "rbf": ('{"track-rbf":"all"}',),
    "fullrbf": ('{"track-rbf":"fullRbf"}',),
    "rbfsum": ('{"track-rbf-summary":true}',),
    "blocks": ('{"action":"want","data":["blocks"]}',),
    "mblock0": ('{"track-mempool-block":0}',),
    "init": ('{"action":"init"}',),
    "live": ('{"action":"want","data":["live-2h-chart"]}',),
    "silent": (),
}
"""The connections of the recordings."""
CLIENTS = {Style.ESPLORA: ("all", "mempool", "blocks", "mblock0"), Style.NONE: tuple(SUBSCRIPTIONS)}


@dataclass
class Scene:
    """A node with its backend and clients, at a time of its own.

    Attributes:
        style: of the backend.
        frames: by client, all it got.
    """

    style: Style
    frames: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now = START
        self.rng = Random(7)
        mempool = Mempool(max_usage_bytes=300_000_000, expiry_s=1e9)
        self.node = Node(mempool, Chain(base_height=150, base_hash="00" * 32, kept_blocks=100))
        self.announced: list[tuple[tuple[str, ...], float]] = []
        self.backend = Backend(
            self.node,
            style=self.style,
            network=Network.REGTEST,
            started_at=self.now,
            on_announced=lambda txids, at: self.announced.append((tuple(txids), at)),
        )
        self.sessions: dict[str, Session] = {}
        self.coin_count = 0

    def coin(self, value_sat: int = 50_000_000, form: Form = Form.P2WPKH) -> Coin:
        """Return a new confirmed coin."""
        self.coin_count += 1
        place = OutPoint(double_sha256(f"coin {self.coin_count}".encode()), self.coin_count % 7)
        return Coin(place, make_script(form, self.rng), value_sat, height=1)

    def pay(
        self,
        coins: Sequence[Coin],
        *,
        fee_sat: int,
        forms: Sequence[Form] = (Form.P2WPKH, Form.P2WPKH),
        data: bytes = b"",
        sequence: int = REPLACEABLE_SEQUENCE,
    ) -> Transaction:
        """Return a transaction to new owners, one for each form."""
        rest_sat = sum(coin.value_sat for coin in coins) - fee_sat
        payments = [Payment(data_script(data), 0)] if data else []
        for number, form in enumerate(forms):
            left = len(forms) - number
            value_sat = rest_sat if left == 1 else rest_sat // (left + 1)
            rest_sat -= value_sat
            payments.append(Payment(make_script(form, self.rng), value_sat))
        spends = [Spend(coin, coin.script.unlock(self.rng), sequence) for coin in coins]
        return make_transaction(spends, payments, locktime=self.node.chain.height)

    def submit(self, *transactions: Transaction) -> None:
        """Send transactions to the node."""
        for transaction in transactions:
            self.node.submit(transaction, self.now)

    def send(self, value_sat: int = 50_000_000, *, fee_sat: int, form: Form = Form.P2WPKH) -> Transaction:
        """Make an ordinary payment and submit it."""
        transaction = self.pay([self.coin(value_sat, form)], fee_sat=fee_sat)
        self.submit(transaction)
        return transaction

    def mine(self, *transactions: Transaction, miner: str = "") -> Block:
        """Find a block of just these."""
        fees_sat = sum(transaction.fee_sat for transaction in transactions)
        rewards = [
            Payment(make_script(Form.P2WPKH, self.rng), REWARD_SAT + fees_sat),
            Payment(data_script(b"\xaa\x21\xa9\xed" + self.rng.randbytes(32)), 0),
        ]
        return self.node.connect(transactions, rewards, now=self.now, miner=miner, message=b"\0").block

    def mine_all(self) -> Block:
        """Find a block of all that waits."""
        chunks = self.node.mempool.chunks()
        return self.mine(*(entry.transaction for chunk in chunks for entry in chunk.entries))

    def poll(self, wait_s: float = POLL_S) -> list[Update]:
        """Let time pass, poll, and give clients their frames."""
        self.now += wait_s
        updates = self.backend.poll(self.now)
        for update in updates:
            for name, session in self.sessions.items():
                text = session.frame(update)
                if text is not None:
                    self.frames[name].append(text)
        return updates

    def join(self, name: str, *messages: str) -> list[str]:
        """Connect a client and return what it is answered."""
        session = self.sessions[name] = Session(self.backend)
        got = self.frames.setdefault(name, [])
        for message in messages:
            got += session.receive(message, self.now).texts
        return got

    def deltas(self, name: str = "mempool") -> list[dict[str, Any]]:
        """Return the mempool deltas a client got."""
        found = (json.loads(text).get("mempool-transactions") for text in self.frames[name])
        return [delta for delta in found if delta is not None]

    def ask(self, path: str) -> RestAnswer:
        """Ask by REST."""
        return answer(self.backend, path)


@dataclass
class Played:
    """What the script made.

    Attributes:
        scene: after its end.
        answers: by path, all REST answers; txids and hashes are written `H`, numbers at the end `N`.
    """

    scene: Scene
    answers: dict[str, list[RestAnswer]] = field(default_factory=dict)

    def ask(self, path: str, as_path: str) -> None:
        """Ask by REST and keep the answer."""
        self.answers.setdefault(as_path, []).append(self.scene.ask(path))

    def documents(self) -> dict[str, list[str]]:
        """Return all frames by client and keys, all answers by path, status and content type."""
        kinds: dict[str, list[str]] = {}
        for client, texts in self.scene.frames.items():
            for text in texts:
                kinds.setdefault(kind_of_frame(client, text), []).append(text)
        for path, answers in self.answers.items():
            for found in answers:
                kind = f"{path} {int(found.status)} {found.content_type}"
                kinds.setdefault(kind, []).append(as_json(found.content_type, found.body.decode()))
        return kinds

    def snapshot(self, txids: Sequence[str]) -> None:
        """Ask for all there is."""
        scene = self.scene
        tip, block_hash = scene.node.chain.height, scene.node.chain.tip_hash
        for root in ("/api/v1", "/api"):
            for path in (
                "/fees/recommended", "/fees/precise", "/fees/mempool-blocks", "/mempool", "/mempool/recent",
                "/mempool/txids", "/prices", "/blocks/tip/height", "/blocks/tip/hash", "/blocks",
                "/replacements", "/fullrbf/replacements", "/init-data", "/difficulty-adjustment",
                "/chain-tips", "/statistics/2h", "/nonexistent", "/tx/zzz",
            ):  # fmt: skip
                self.ask(root + path, root + path)
            self.ask(f"{root}/block-height/{tip}", f"{root}/block-height/N")
            self.ask(f"{root}/block-height/999999", f"{root}/block-height/N")
            self.ask(f"{root}/blocks/{tip}", f"{root}/blocks/N")
            for path in ("", "/txs", "/txids", "/summary"):
                self.ask(f"{root}/block/{block_hash}{path}", f"{root}/block/H{path}")
            self.ask(f"{root}/block/{block_hash}/txs/25", f"{root}/block/H/txs/N")
            self.ask(f"{root}/address/bcrt1q", f"{root}/address/A")
            for txid in ("00" * 32, *txids):
                for path in ("", "/status", "/hex", "/rbf", "/cached", "/outspends"):
                    self.ask(f"{root}/tx/{txid}{path}", f"{root}/tx/H{path}")
                self.ask(f"{root}/cpfp/{txid}", f"{root}/cpfp/H")


def play(style: Style, clients: Sequence[str] = ()) -> Played:
    """Do what was done to the node of the recordings, in short.

    Args:
        style: of the backend.
        clients: who listens; without any those of the recording.
    """
    scene = Scene(style)
    played = Played(scene)
    for _ in range(9):
        scene.mine()
        scene.now += 10
    scene.poll()
    if style is Style.ESPLORA:  # its backend had run for a while
        scene.send(fee_sat=1_000)
        scene.poll()
    for name in clients or CLIENTS[style]:
        scene.join(name, *SUBSCRIPTIONS[name])
    scene.mine_all()
    scene.poll()
    for number in range(20):
        scene.send(fee_sat=141 * (1 + number % 8))
    scene.send(fee_sat=1_300, form=Form.P2SH_P2WPKH)
    scene.poll()
    for form in OTHER_FORMS:
        whale = [scene.coin(1_300_000_000) for _ in range(15)]
        scene.submit(scene.pay(whale, fee_sat=5_000, forms=(form, form)))
        scene.poll()
    txids = _replace(scene) + _relate(scene)
    played.snapshot(txids)
    scene.mine_all()
    scene.poll()
    played.snapshot(txids)
    scene.poll(POLL_S * 30)
    scene.submit(scene.pay([scene.coin()], fee_sat=1_000))
    scene.poll()
    scene.node.mempool.remove(next(iter(scene.node.mempool.entries.values())))
    scene.send(fee_sat=1_000)
    scene.poll()
    scene.mine_all()
    scene.poll()
    txids += _contradict(scene)
    txids += _reorganise(scene)
    scene.send(fee_sat=1_128)
    scene.poll()
    played.snapshot(txids)
    return played


def _replace(scene: Scene) -> list[str]:
    """Replace a chain, a package, two at once, and one that does not say it may be."""
    coin, whale = scene.coin(), [scene.coin(900_000_000) for _ in range(15)]
    small = [scene.pay([coin], fee_sat=fee_sat) for fee_sat in (141, 847, 1_553)]
    large = [scene.pay(whale, fee_sat=fee_sat) for fee_sat in (2_309, 13_857, 25_404)]
    for versions in zip(small, large, strict=True):
        scene.submit(*versions)
        scene.poll()
    coin = scene.coin()
    parent = scene.pay([coin], fee_sat=10_000, forms=(Form.P2WPKH,))
    scene.submit(parent, scene.pay(parent.outputs, fee_sat=10_000, forms=(Form.P2WPKH,)))
    scene.poll()
    scene.submit(scene.pay([coin], fee_sat=300_000, forms=(Form.P2WPKH,)))
    scene.poll()
    coins = [scene.coin(), scene.coin()]
    scene.submit(*(scene.pay([coin], fee_sat=10_000, forms=(Form.P2WPKH,)) for coin in coins))
    scene.poll()
    scene.submit(scene.pay(coins, fee_sat=200_000, forms=(Form.P2WPKH,)))
    scene.poll()
    coin = scene.coin()
    scene.submit(scene.pay([coin], fee_sat=10_000, sequence=FINAL_SEQUENCE, forms=(Form.P2WPKH,)))
    scene.poll()
    scene.submit(scene.pay([coin], fee_sat=100_000, sequence=FINAL_SEQUENCE, forms=(Form.P2WPKH,)))
    scene.poll()
    return [version.txid for version in (small[0], small[2], large[0], large[2])]


def _relate(scene: Scene) -> list[str]:
    """A child pays for its parent; consolidations, a batch, and data."""
    parent = scene.send(fee_sat=200)
    scene.poll()
    child = scene.pay(parent.outputs[:1], fee_sat=100_000, forms=(Form.P2WPKH,))
    scene.submit(child)
    scene.poll()
    many = scene.pay([scene.coin() for _ in range(40)], fee_sat=50_000, forms=(Form.P2WPKH,))
    scene.submit(many)
    scene.poll()
    batch = scene.pay([scene.coin()], fee_sat=1_107, forms=(Form.P2WPKH,) * 30)
    data = scene.pay([scene.coin()], fee_sat=10_000, forms=(Form.P2WPKH,), data=b"hello mempool")
    scene.submit(batch, data)
    scene.poll()
    return [transaction.txid for transaction in (parent, child, many, data)]


def _contradict(scene: Scene) -> list[str]:
    """Mine a transaction that nobody announced and that spends the coin of one that waits."""
    coin = scene.coin()
    victim = scene.pay([coin], fee_sat=10_000, forms=(Form.P2WPKH,))
    scene.submit(victim, scene.pay(victim.outputs, fee_sat=10_000, forms=(Form.P2WPKH,)))
    scene.poll()
    winner = scene.pay([coin], fee_sat=10_000, forms=(Form.P2WPKH,))
    scene.mine(winner)
    scene.poll()
    return [victim.txid, winner.txid]


def _reorganise(scene: Scene) -> list[str]:
    """Two empty blocks take the place of one with a whale in it."""
    whale = scene.pay([scene.coin(900_000_000) for _ in range(17)], fee_sat=1_225)
    scene.submit(whale)
    scene.mine(whale)
    scene.poll()
    scene.node.disconnect(scene.now)
    scene.poll()
    scene.mine()
    scene.mine()
    scene.poll()
    scene.mine(whale)
    scene.poll()
    return [whale.txid]
