"""What the backend knows of the mempool: it asks the node now and then, and compares."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from hydrophone.simulator.backend.js_text import round_half_up
from hydrophone.simulator.backend.transactions import Record, make_record
from hydrophone.simulator.node.chain import Block
from hydrophone.simulator.node.mempool import Entry, Mempool
from hydrophone.simulator.node.transactions import OutPoint, Transaction

_FIRST_UID: Final = 1


class Changes(NamedTuple):
    """What a comparison found.

    Attributes:
        added: new records, the best paying first, parents before children.
        removed: records that left, in the order in which they had come.
    """

    added: list[Record]
    removed: list[Record]


class KnownMempool:
    """The mempool as of the last comparison.

    Attributes:
        records: by txid, in the order in which the backend heard of them.
        vsize: whole virtual bytes of all, each rounded up.
    """

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.vsize = 0
        self._next_uid = _FIRST_UID

    def compare(self, mempool: Mempool, now: float) -> Changes:
        """Compare with the node's mempool and take over its state.

        Args:
            mempool: of the node.
            now: seconds.
        """
        records = self.records
        entries = self._new_entries(mempool)
        removed: list[Record] = []
        if len(records) + len(entries) != len(mempool.entries):
            present = mempool.entries
            removed = [record for txid, record in records.items() if txid not in present]
            for record in removed:
                self._drop(record)
                record.uid = None
        added: list[Record] = []
        for entry in entries:
            record = make_record(entry, first_seen_s=round_half_up(now), uid=self._next_uid)
            self._next_uid += 1
            records[entry.transaction.txid] = record
            self.vsize += record.vsize
            added.append(record)
        return Changes(added, removed)

    def confirm(self, block: Block, rates_sat_vb: Iterable[float]) -> list[tuple[Transaction, float]]:
        """Take out what a block has, and number the rest anew.

        Args:
            block: new.
            rates_sat_vb: effective, of each transaction but the coinbase.

        Returns:
            What nobody announced, with its rate.
        """
        unknown: list[tuple[Transaction, float]] = []
        for transaction, rate in zip(block.transactions[1:], rates_sat_vb, strict=True):
            record = self.records.get(transaction.txid)
            if record is None:
                unknown.append((transaction, rate))
                continue
            self._drop(record)
            record.mined_in = block
            record.mined_rate_sat_vb = rate
        self._next_uid = _FIRST_UID
        for record in self.records.values():
            record.uid = self._next_uid
            self._next_uid += 1
        return unknown

    def _drop(self, record: Record) -> None:
        del self.records[record.transaction.txid]
        self.vsize -= record.vsize

    def _new_entries(self, mempool: Mempool) -> list[Entry]:
        """Return what the node has and the backend not, ranked as the node lists it.

        The node keeps arrivals in order, so looking back from the last one ends at the first that is known.
        """
        found: list[Entry] = []
        for entry in reversed(mempool.entries.values()):
            record = self.records.get(entry.transaction.txid)
            if record is None:
                found.append(entry)
            elif record.entry is entry:
                break
            else:
                record.entry = entry  # it was mined and disconnected in between
        mempool.relinearize()  # always, so that what is said does not depend on who listens
        found.sort(key=_rank)
        return found


def _rank(entry: Entry) -> tuple[float, bytes, int]:
    chunk = entry.chunk
    if len(chunk.entries) == 1:
        return -chunk.rate_sat_vb, entry.transaction.txid_internal, 0
    return -chunk.rate_sat_vb, chunk.entries[0].transaction.txid_internal, chunk.entries.index(entry)


def find_victims(removed: Iterable[Record], spenders: Iterable[Transaction]) -> dict[str, list[Record]]:
    """Return whose coins transactions took: by the txid of each the records it replaced directly."""
    by_coin: dict[OutPoint, str] = {}
    for transaction in spenders:
        for spend in transaction.inputs:
            by_coin[spend.coin.outpoint] = transaction.txid
    victims: dict[str, list[Record]] = {}
    for record in removed:
        takers = [by_coin.get(spend.coin.outpoint) for spend in record.transaction.inputs]
        for txid in dict.fromkeys(taker for taker in takers if taker is not None):
            victims.setdefault(txid, []).append(record)
    return victims
