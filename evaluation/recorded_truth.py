"""What became of every transaction of a recording, told by what was done to the node and by nothing else.

The standard library and the list of what was done (`activity.jsonl`) are enough, with one exception: when a
node undoes a block it may let go of a transaction for good (its lock time is above the new tip), which nobody
did. Where there is Bitcoin Core's own list of what entered and left its mempool (`zmq.jsonl`), that is looked
up there.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class Fate(NamedTuple):
    """What became of a transaction.

    Attributes:
        end: confirmed, replaced, dropped or pending.
        height: of its block.
        by: what replaced it.
    """

    end: str
    height: int | None = None
    by: str | None = None


PENDING = Fate("pending")
DROPPED = Fate("dropped")


@dataclass
class Block:
    """A block of the chain, and what is in it as far as we made it."""

    height: int
    block_hash: str
    previous_hash: str
    txids: list[str]


class RecordedNode:
    """A node to which is done what was done to the real one.

    Attributes:
        fates: what became of each transaction so far, in order of appearance.
        labels: what each was for.
        chain: its blocks, as far as they were made while it was recorded.
    """

    def __init__(self, folder: Path) -> None:
        self._entries = list(_lines(folder / "activity.jsonl"))
        self._gone = _last_removed(folder / "zmq.jsonl")
        self.fates: dict[str, Fate] = {}
        self.labels: dict[str, str] = {}
        self.chain: list[Block] = []

    def advance(self, until: float) -> None:
        """Do everything up to an instant, in seconds since the epoch."""
        while self._entries and self._entries[0]["t"] <= until:
            self._do(self._entries.pop(0))

    def at(self, height: int) -> Block | None:
        """Return the block of a height."""
        return next((block for block in self.chain if block.height == height), None)

    def find(self, block_hash: str) -> Block | None:
        """Return a block of the chain; None when it is not in it."""
        return next((block for block in self.chain if block.block_hash == block_hash), None)

    def successors(self, txid: str) -> Iterator[str]:
        """Yield what replaced a transaction, what replaced that, and so on."""
        while txid in self.fates and (by := self.fates[txid].by) is not None:
            yield by
            txid = by

    @property
    def waiting(self) -> list[str]:
        """What is in the mempool."""
        return [txid for txid, fate in self.fates.items() if fate.end == "pending"]

    def _do(self, entry: Mapping[str, Any]) -> None:
        label = entry.get("label", "")
        match entry["ev"]:
            case "tx":
                self._send(entry["txid"], label)
            case "burst":
                for txid in entry["txids"]:
                    self._send(txid, "burst")
            case "replace":
                self._replace(entry)
            case "expire" if not entry["still"]:
                self.fates[entry["txid"]] = DROPPED
            case "invalidate":
                self._undo(entry["hash"])
            case "reorg":
                self._undo(entry["fork_first_invalid"])
                self._mine(entry, [])  # it says of no transaction that it is in them
            case "block":
                self._mine_labelled(entry, label)
            case "step" | "bal" | "cpfp" | "expire":
                pass
            case other:
                raise ValueError(f"expected what can be done to a node, found {other!r}")

    def _send(self, txid: str, label: str) -> None:
        self.fates.setdefault(txid, PENDING)
        self.labels.setdefault(txid, label)

    def _replace(self, entry: Mapping[str, Any]) -> None:
        old, new = entry["old"], entry["new"]
        self._send(new, entry["label"])
        for txid in old if isinstance(old, list) else [old]:
            self.labels.setdefault(txid, entry["label"])
            self.fates[txid] = Fate("replaced", by=new)
        if "old_child" in entry:
            self.fates[entry["old_child"]] = DROPPED

    def _mine_labelled(self, entry: Mapping[str, Any], label: str) -> None:
        if "winner" in entry:
            self.labels[entry["winner"]] = "conflict-winner"
            self.fates[entry["victim"]] = Fate("replaced", by=entry["winner"])
            self.fates[entry["victim_child"]] = DROPPED
            self._mine(entry, [entry["winner"]])
        else:
            self._mine(entry, [] if "empty" in label else self.waiting)

    def _mine(self, entry: Mapping[str, Any], txids: list[str]) -> None:
        """Put blocks on the chain; the last of them has the transactions."""
        hashes = entry["hashes"]
        first = entry["height"] - len(hashes) + 1
        for number, block_hash in enumerate(hashes):
            below = self.chain[-1].block_hash if self.chain else "0" * 64
            mined = txids if number == len(hashes) - 1 else []
            self.chain.append(Block(first + number, block_hash, below, mined))
            self.fates.update(dict.fromkeys(mined, Fate("confirmed", first + number)))

    def _undo(self, first_hash: str) -> None:
        while True:
            block = self.chain.pop()
            for txid in block.txids:
                self.fates[txid] = DROPPED if txid in self._gone else PENDING
            if block.block_hash == first_hash:
                return


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def _last_removed(path: Path) -> set[str]:
    """Return what Bitcoin Core let go of last, by its own messages: after an A or nothing came an R."""
    last: dict[str, str] = {}
    for line in _lines(path) if path.exists() else ():
        if line["topic"] == "sequence":
            body = bytes.fromhex(line["frames"][1])
            last[body[:32].hex()] = chr(body[32])
    return {txid for txid, label in last.items() if label == "R"}
