"""What replaced what: trees whose root is the latest version.

**Sources**: mempool.space backend, rbf-cache.ts; order of keys and of trees from the recordings.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from hydrophone.simulator.backend.js_text import dump, whole
from hydrophone.simulator.backend.transactions import Record

_MAX_TREES: Final = 2_000
"""The oldest is forgotten. chosen: the backend keeps them for a day after they are mined."""
_LISTED_TREES: Final = 25
_SUMMARIZED_TREES: Final = 6
"""Sources: rbf-cache.ts, getRbfTrees and getLatestRbfSummary."""

Tree = dict[str, Any]
"""A version with those it replaced, as JSON has it."""


class Replacements:
    """The trees of this process."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.has_news = True
        self._roots: dict[str, str] = {}
        self._trees: dict[str, Tree] = {}
        self._latest: dict[str, None] = {}

    def add(self, replaced: Sequence[Record], by: Record, now: float) -> list[str]:
        """Note a replacement.

        Args:
            replaced: direct victims.
            by: what replaced them.
            now: seconds.

        Returns:
            All the older versions there are, the direct ones each before its own.
        """
        by.is_replacement = True
        at: float = round(now, 3) if by.first_seen_s is None else by.first_seen_s
        branches = [self._branch(record, at) for record in replaced]
        tx = _describe(by)
        tx["fullRbf"] = not all(record.transaction.is_replaceable for record in replaced)
        is_full = any(branch["fullRbf"] or not branch["tx"]["rbf"] for branch in branches)
        tree: Tree = {"tx": tx, "time": whole(at), "fullRbf": is_full, "replaces": branches}
        txid = by.transaction.txid
        self.records[txid] = by
        self._trees[txid] = tree
        self._latest.pop(txid, None)
        self._latest[txid] = None
        older = [member["tx"]["txid"] for branch in branches for member in _members(branch)]
        for member in (txid, *older):
            self._roots[member] = txid
        self.has_news = True
        while len(self._trees) > _MAX_TREES:
            self._forget(next(iter(self._latest)))
        return older

    def mined(self, txid: str) -> None:
        """Note that a version was mined."""
        root = self._roots.get(txid)
        if root is None:
            return
        tree = self._trees[root]
        next(member for member in _members(tree) if member["tx"]["txid"] == txid)["tx"]["mined"] = True
        tree["mined"] = True
        self.has_news = True

    def tree_of(self, txid: str) -> Tree | None:
        """Return the tree that has a version."""
        root = self._roots.get(txid)
        return None if root is None else self._trees[root]

    def replaced_by(self, txid: str) -> list[str] | None:
        """Return what a version replaced directly; None when nothing."""
        tree = self.tree_of(txid)
        for member in _members(tree) if tree is not None else ():
            if member["tx"]["txid"] == txid and member["replaces"]:
                return [branch["tx"]["txid"] for branch in member["replaces"]]
        return None

    def listed(self, *, only_full: bool) -> str:
        """Return the latest trees as JSON; on wish only those that replaced what did not signal it."""
        trees = [tree for tree in self._newest_first() if tree["fullRbf"] or not only_full]
        return dump(trees[:_LISTED_TREES])

    def summary(self) -> str:
        """Return the latest trees in short, as JSON."""
        return dump(
            [
                {
                    "txid": tree["tx"]["txid"],
                    "mined": bool(tree["tx"].get("mined")),
                    "fullRbf": tree["tx"]["fullRbf"],
                    "oldFee": sum(branch["tx"]["fee"] for branch in tree["replaces"]),
                    "oldVsize": whole(sum(branch["tx"]["vsize"] for branch in tree["replaces"])),
                    "newFee": tree["tx"]["fee"],
                    "newVsize": tree["tx"]["vsize"],
                }
                for tree in list(self._newest_first())[:_SUMMARIZED_TREES]
            ]
        )

    def _newest_first(self) -> Iterator[Tree]:
        return (self._trees[root] for root in reversed(self._latest))

    def _branch(self, record: Record, at: float) -> Tree:
        """Return a replaced version as a branch of the new tree, its own tree if it has one."""
        txid = record.transaction.txid
        self.records[txid] = record
        if self._roots.get(txid) == txid:
            tree = self._trees.pop(txid)
            self._latest.pop(txid)
            tree["interval"] = whole(at - tree["time"])
            return tree
        tx = _describe(record)
        time = tx.get("time", whole(at))
        return {
            "tx": tx,
            "time": time,
            "interval": whole(at - time),
            "fullRbf": not tx["rbf"],
            "replaces": [],
        }

    def _forget(self, root: str) -> None:
        self._latest.pop(root)
        for member in _members(self._trees.pop(root)):
            self._roots.pop(member["tx"]["txid"], None)
            self.records.pop(member["tx"]["txid"], None)


def _describe(record: Record) -> dict[str, Any]:
    transaction = record.transaction
    described: dict[str, Any] = {
        "txid": transaction.txid,
        "fee": transaction.fee_sat,
        "vsize": whole(transaction.vsize),
        "value": transaction.value_sat,
        "rate": whole(record.rate_sat_vb),
    }
    if record.first_seen_s is not None:
        described["time"] = record.first_seen_s
    described["rbf"] = transaction.is_replaceable
    return described


def _members(tree: Tree) -> Iterator[Tree]:
    """Yield a tree and all below it, each before its own."""
    waiting = [tree]
    while waiting:
        member = waiting.pop()
        yield member
        waiting += reversed(member["replaces"])
