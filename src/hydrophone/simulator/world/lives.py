"""What really happened to each transaction: its purpose, its parties, its end."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from hydrophone.simulator.node.chain import Block
from hydrophone.simulator.node.transactions import Transaction
from hydrophone.simulator.world.habits import BTC
from hydrophone.simulator.world.wallets import Owner, wallet_of

_WHALE_SAT: Final = 100 * BTC
_SETTLED_DEPTH: Final = 8
"""Blocks above one that counts for good. chosen: reorganisations here reach 3."""


class End(StrEnum):
    """How a transaction ended."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REPLACED = "replaced"
    DROPPED = "dropped"


@dataclass(slots=True, eq=False)
class Life:
    """A transaction from its birth to its end. Instants are seconds since the epoch.

    Attributes:
        transaction: it.
        kind: what its maker wanted: a key of the mixes in `habits`, or cancellation, double_spend or cpfp.
        change: indices of outputs that return to the sender.
        born_at: when it reached the node.
        replaces: what it was made to replace.
        announced_at: when the backend told of it; None: it never did.
        end: how it ended, so far.
        end_at: when.
        block: that confirmed it.
        replaced_by: txid of what replaced it.
        reason: of the end, where there is more to say.
        reorged: how often a block that had it was disconnected.
        bumps: how many versions came before.
    """

    transaction: Transaction
    kind: str
    change: tuple[int, ...]
    born_at: float
    replaces: tuple[str, ...] = ()
    announced_at: float | None = None
    end: End = End.PENDING
    end_at: float | None = None
    block: Block | None = None
    replaced_by: str | None = None
    reason: str | None = None
    reorged: int = 0
    bumps: int = 0


def truth_of(life: Life) -> dict[str, Any]:
    """Return what is true of a transaction, ready for JSON.

    The flow is told relative to exchanges and by ownership alone: an output belongs to whoever can spend it.
    Change is left out. What a sender pays to another wallet of its own is `internal` for an exchange and
    `self_transfer` for anybody else; but where several sign, who gets more than it put in was paid by the
    others.
    """
    transaction = life.transaction
    senders = _senders(transaction)
    values = dict.fromkeys(("inflow", "outflow", "internal", "interexchange", "unknown", "self_transfer"), 0)
    earnings = _earnings(transaction)
    entities: dict[str, dict[str, int]] = {}
    paid: list[dict[str, Any]] = []
    from_exchange = any(owner.is_exchange for owner in senders)
    for spend in transaction.inputs:
        _count(entities, _owner(spend.coin.script), "out_sat", spend.coin.value_sat)
    for vout, coin in enumerate(transaction.outputs):
        owner = _owner(coin.script)
        _count(entities, owner, "in_sat", coin.value_sat)
        if vout in life.change:
            continue
        if owner is not None and owner.name:
            wallet = wallet_of(coin.script)
            role = wallet.role.value if wallet is not None else "unknown"
            paid.append({"vout": vout, "entity": owner.name, "role": role, "value_sat": coin.value_sat})
        earned_sat = min(coin.value_sat, earnings.get(owner, 0)) if owner in senders else 0
        if owner is not None and earned_sat:  # more than it put in: the others pay for that
            earnings[owner] -= earned_sat
            others = [sender for sender in senders if sender is not owner]
            values[_flow(owner, others, from_exchange=any(o.is_exchange for o in others))] += earned_sat
        values[_flow(owner, senders, from_exchange=from_exchange)] += coin.value_sat - earned_sat
    moved_sat = sum(values.values()) - values["internal"] - values["self_transfer"]
    return {
        "txid": transaction.txid,
        "kind": life.kind,
        "first_seen": round(life.born_at, 3),
        "announced_at": None if life.announced_at is None else round(life.announced_at, 3),
        "flow_type": _flow_type(values),
        "flow_subtype": _SUBTYPES.get(life.kind),
        "gross_sat": transaction.value_sat,
        "moved_sat": moved_sat,
        "values": {f"{name}_sat": value for name, value in values.items()},
        "change": list(life.change),
        "change_sat": sum(transaction.outputs[vout].value_sat for vout in life.change),
        "senders": [owner.name or None for owner in senders],
        "receivers": paid,
        "entities": {
            name: counts | {"net_sat": counts["in_sat"] - counts["out_sat"]}
            for name, counts in entities.items()
        },
        "fee_sat": transaction.fee_sat,
        "weight_wu": transaction.weight_wu,
        "fee_rate_sat_vb": round(transaction.fee_rate_sat_vb, 4),
        "input_count": len(transaction.inputs),
        "output_count": len(transaction.outputs),
        "rbf": transaction.is_replaceable,
        "replaces": list(life.replaces),
        "end": life.end.value,
        "end_at": None if life.end_at is None else round(life.end_at, 3),
        "block_height": None if life.block is None else life.block.height,
        "block_hash": None if life.block is None else life.block.block_hash,
        "replaced_by": life.replaced_by,
        "reason": life.reason,
        "reorged": life.reorged,
    }


_SUBTYPES: Final = {
    "batch_withdrawal": "batch_withdrawal", "whale_batch": "batch_withdrawal", "sweep": "sweep",
    "whale_sweep": "sweep", "consolidation": "consolidation", "whale_consolidation": "consolidation",
    "cold_to_hot": "cold_to_hot", "hot_to_cold": "hot_to_cold", "interexchange": "interexchange",
    "coinjoin": "coinjoin", "whale_coinjoin": "coinjoin",
}  # fmt: skip


def _owner(script: object) -> Owner | None:
    wallet = wallet_of(script)  # type: ignore[arg-type]
    return None if wallet is None else wallet.owner


def _senders(transaction: Transaction) -> list[Owner]:
    owners = (_owner(spend.coin.script) for spend in transaction.inputs)
    return list(dict.fromkeys(owner for owner in owners if owner is not None))


def _earnings(transaction: Transaction) -> dict[Owner, int]:
    """Return who gets more than it puts in, and by how much: in a payjoin the payee signs, too."""
    balances: dict[Owner, int] = {}
    for coin in transaction.outputs:
        owner = _owner(coin.script)
        if owner is not None:
            balances[owner] = balances.get(owner, 0) + coin.value_sat
    for spend in transaction.inputs:
        owner = _owner(spend.coin.script)
        if owner is not None:
            balances[owner] = balances.get(owner, 0) - spend.coin.value_sat
    return {owner: balance_sat for owner, balance_sat in balances.items() if balance_sat > 0}


def _count(entities: dict[str, dict[str, int]], owner: Owner | None, side: str, value_sat: int) -> None:
    if owner is not None and owner.is_exchange:
        entities.setdefault(owner.name, {"in_sat": 0, "out_sat": 0})[side] += value_sat


def _flow(receiver: Owner | None, senders: list[Owner], *, from_exchange: bool) -> str:
    if receiver is not None and receiver in senders:
        return "internal" if receiver.is_exchange else "self_transfer"
    to_exchange = receiver is not None and receiver.is_exchange
    if from_exchange:
        return "interexchange" if to_exchange else "outflow"
    return "inflow" if to_exchange else "unknown"


def _flow_type(values: dict[str, int]) -> str:
    """Return the largest of four; between exchanges counts as internal."""
    four = {
        "inflow": values["inflow"],
        "outflow": values["outflow"],
        "internal": values["internal"] + values["interexchange"],
        "unknown": values["unknown"] + values["self_transfer"],
    }
    return max(four, key=lambda name: four[name])


class TruthBook:
    """Keeps the lives that may still change and writes those that no longer do.

    A life is settled once it left the mempool without being mined, for nothing brings it back, or once its
    block is deeper than any reorganisation reaches; closing settles the rest.

    Args:
        write: gets a line for each settled life; None: nobody wants to know.

    Attributes:
        lives: that may still change, by txid.
        ends: how many were settled, by end.
        whale_count: how many of them were above 100 BTC.
    """

    def __init__(self, write: Callable[[str], object] | None) -> None:
        self.lives: dict[str, Life] = {}
        self.ends: Counter[End] = Counter()
        self.whale_count = 0
        self._write = write

    def begin(self, life: Life) -> None:
        """Take up a life."""
        self.lives[life.transaction.txid] = life

    def settle(self, height: int) -> None:
        """Write and forget what has ended for good.

        Args:
            height: of the tip.
        """
        for life in [life for life in self.lives.values() if _is_settled(life, height)]:
            self._finish(life)

    def close(self) -> None:
        """Write and forget all."""
        for life in list(self.lives.values()):
            self._finish(life)

    def _finish(self, life: Life) -> None:
        del self.lives[life.transaction.txid]
        self.ends[life.end] += 1
        self.whale_count += life.transaction.value_sat > _WHALE_SAT
        if self._write is not None:
            self._write(json.dumps(truth_of(life), separators=(",", ":")) + "\n")


def _is_settled(life: Life, height: int) -> bool:
    if life.block is not None:
        return height - life.block.height >= _SETTLED_DEPTH
    return life.end is not End.PENDING
