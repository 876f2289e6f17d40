"""Transactions as the backend knows and writes them.

A record is what the backend remembers of a transaction that waits. Its JSON is not kept: it is needed once or
twice, and a hundred thousand of them would fill the memory. Order of keys and types are those of the
recordings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hydrophone.simulator.backend import flags as flag
from hydrophone.simulator.backend.js_text import number
from hydrophone.simulator.backend.spelling import Spelling, Style
from hydrophone.simulator.node.chain import Block
from hydrophone.simulator.node.mempool import Entry
from hydrophone.simulator.node.scripts import Form
from hydrophone.simulator.node.transactions import FINAL_SEQUENCE, Spend, Transaction

_BYTES_PER_SIGOP: Final = 20
"""Sources: Bitcoin Core, policy.h, DEFAULT_BYTES_PER_SIGOP; in weight units here."""
_OUTPUT_SIGOPS: Final = {Form.P2PK: 4, Form.P2PKH: 4, Form.MULTISIG: 80}
"""What the backend counts without prevouts. Sources: BIP 141; mempool-none has 8 for two P2PKH outputs."""
_NO_TXID: Final = "0" * 64
"""What a coinbase spends, and its witness. Sources: BIP 141, commitment structure."""
_NO_VOUT: Final = 0xFFFFFFFF


@dataclass(slots=True, eq=False)
class Record:
    """What the backend remembers of a transaction.

    Attributes:
        entry: of the node's mempool; it may have left meanwhile.
        transaction: it.
        first_seen_s: whole seconds; None when it was first seen in a block.
        uid: its number among those that wait; None once it left.
        vsize: whole virtual bytes, rounded up.
        is_replacement: whether it replaced something.
        block_number: of the projected block it was last in.
        position_vb: virtual bytes ahead of its middle, in that block.
        mined_in: the block that confirmed it.
        mined_rate_sat_vb: as the backend computes it for that block.
        static_flags: made on first use; -1 until then.
    """

    entry: Entry
    transaction: Transaction
    first_seen_s: int | None
    uid: int | None
    vsize: int
    is_replacement: bool = False
    block_number: int = 0
    position_vb: float = 0.0
    mined_in: Block | None = None
    mined_rate_sat_vb: float | None = None
    static_flags: int = -1

    @property
    def rate_sat_vb(self) -> float:
        """Effective fee rate: of its chunk, or of its block once it is mined."""
        if self.mined_rate_sat_vb is not None:
            return self.mined_rate_sat_vb
        return self.entry.chunk.rate_sat_vb


def make_record(entry: Entry, *, first_seen_s: int | None, uid: int | None) -> Record:
    """Return the record of a transaction that waits."""
    transaction = entry.transaction
    return Record(entry, transaction, first_seen_s, uid, -(-transaction.weight_wu // 4))


def mined_record(transaction: Transaction, block: Block, rate_sat_vb: float) -> Record:
    """Return the record of a transaction that nobody announced.

    Args:
        transaction: of the block.
        block: that has it.
        rate_sat_vb: effective, in the block.
    """
    record = make_record(Entry(transaction, block.found_at), first_seen_s=None, uid=None)
    record.mined_in = block
    record.mined_rate_sat_vb = rate_sat_vb
    return record


def status_text(block: Block | None) -> str:
    """Return the `status` of a transaction that a block has, or none."""
    if block is None:
        return '{"confirmed":false}'
    return (
        f'{{"confirmed":true,"block_height":{block.height},"block_hash":"{block.block_hash}",'
        f'"block_time":{block.timestamp}}}'
    )


class TransactionText:
    """Writes transactions.

    Args:
        spelling: of scripts, in the style of the backend.
    """

    def __init__(self, spelling: Spelling) -> None:
        self._spelling = spelling
        self._has_index = spelling.style is Style.ESPLORA

    def flags(self, record: Record) -> int:
        """Return the flags, with what its relatives add, but not that it replaced something."""
        if record.static_flags < 0:
            record.static_flags = flag.static_flags(record.transaction, with_prevouts=self._has_index)
        entries = record.entry.chunk.entries
        if len(entries) == 1:
            return record.static_flags
        flags = record.static_flags
        if entries[0] is not record.entry:
            flags |= flag.CPFP_CHILD
        if entries[-1] is not record.entry:
            flags |= flag.CPFP_PARENT
        return flags

    def announced(self, record: Record) -> str:
        """Return a transaction as `added` and `replaced` have it."""
        transaction = record.transaction
        body = self.body(transaction, status_text(record.mined_in), with_prevouts=self._has_index)
        start = f"{body},{self._measures(transaction, with_prevouts=self._has_index)}"
        ending = ',"replacement":true}' if record.is_replacement else "}"
        if record.first_seen_s is None:
            rate = number(record.rate_sat_vb)
            return f'{start},"effectiveFeePerVsize":{rate},"flags":{self.flags(record)}{ending}'
        entry = record.entry
        if len(entry.chunk.entries) == 1:
            dirty = '"cpfpDirty":false,"ancestors":[],"descendants":[],"bestDescendant":null'
        else:
            ancestors, descendants = _relatives(entry)
            dirty = (
                f'"cpfpDirty":true,"ancestors":{ancestors},"descendants":{descendants},'
                '"bestDescendant":null,"cpfpChecked":true'
            )
        return (
            f'{start},"effectiveFeePerVsize":{number(entry.chunk.rate_sat_vb)},'
            f'"firstSeen":{record.first_seen_s},"uid":{record.uid},{dirty},'
            f'"position":{{"block":{record.block_number},"vsize":{number(record.position_vb)}}},'
            f'"flags":{self.flags(record)}{ending}'
        )

    def remembered(self, record: Record, *, with_prevouts: bool) -> str:
        """Return a transaction as REST has it later: it may have got relatives, have left, or be mined."""
        if record.first_seen_s is None:
            return self.announced(record)
        transaction, entry = record.transaction, record.entry
        body = self.body(transaction, status_text(record.mined_in), with_prevouts=with_prevouts)
        ancestors, descendants = _relatives(entry)
        has_relatives = len(entry.chunk.entries) > 1
        is_dirty = has_relatives or record.mined_in is not None
        checked = ending = ""
        if has_relatives and entry.chunk.entries[-1] is entry:
            checked = '"cpfpChecked":true,'
        elif has_relatives:  # a child came later
            boosted_s = max(int(relative.entered_at) for relative in entry.chunk.entries)
            ending = f',"cpfpChecked":true,"lastBoosted":{boosted_s}'
        flags = self.flags(record)
        if record.is_replacement:
            flags |= flag.REPLACEMENT
            ending = f',"replacement":true{ending}'
        uid = "" if record.uid is None else f'"uid":{record.uid},'
        return (
            f"{body},{self._measures(transaction, with_prevouts=self._has_index)},"
            f'"effectiveFeePerVsize":{number(record.rate_sat_vb)},"firstSeen":{record.first_seen_s},{uid}'
            f'"cpfpDirty":{"true" if is_dirty else "false"},"ancestors":{ancestors},'
            f'"descendants":{descendants},"bestDescendant":null,{checked}'
            f'"position":{{"block":{record.block_number},"vsize":{number(record.position_vb)}}},'
            f'"flags":{flags}{ending}}}'
        )

    def looked_up(self, transaction: Transaction, block: Block | None = None) -> str:
        """Return a transaction that the backend without an index had to ask its node for."""
        body = self.body(transaction, status_text(block), with_prevouts=True)
        measures = self._measures(transaction, with_prevouts=True)
        return f'{body},{measures},"effectiveFeePerVsize":{number(_rate(transaction))}}}'

    def bare(self, transaction: Transaction, block: Block | None) -> str:
        """Return a transaction as an index (Electrs) has it."""
        return self.body(transaction, status_text(block), with_prevouts=True) + "}"

    def in_block(self, transaction: Transaction, block: Block) -> str:
        """Return a transaction as the backend without an index lists it with its block."""
        rate = number(_rate(transaction))
        body = self.body(transaction, status_text(block), with_prevouts=True)
        return (
            f'{{"vsize":{number(transaction.vsize)},"feePerVsize":{rate},"effectiveFeePerVsize":{rate},'
            f"{body[1:]}}}"
        )

    def relations(self, record: Record) -> str:
        """Return what `/cpfp` says of a transaction that waits."""
        entry, transaction = record.entry, record.transaction
        ancestors, descendants = _relatives(entry)
        rate = entry.chunk.rate_sat_vb if len(entry.chunk.entries) > 1 else transaction.fee_sat / record.vsize
        return (
            f'{{"ancestors":{ancestors},"bestDescendant":null,"descendants":{descendants},'
            f'"effectiveFeePerVsize":{number(rate)},"sigops":{self._sigops(transaction, self._has_index)},'
            f'"fee":{transaction.fee_sat},"adjustedVsize":{number(self._adjusted_vsize(transaction))}}}'
        )

    def row(self, record: Record) -> str:
        """Return the row of a projected block up to the rate, which changes."""
        t = record.transaction
        return f'["{t.txid}",{t.fee_sat},{number(t.vsize)},{t.value_sat},'

    def body(self, transaction: Transaction, status: str, *, with_prevouts: bool) -> str:
        """Return what every source has of a transaction, without the closing brace.

        Args:
            transaction: also a coinbase.
            status: as JSON.
            with_prevouts: whether the inputs say what they spend.
        """
        t = transaction
        head = f'{{"txid":"{t.txid}","version":{t.version},"locktime":{t.locktime}'
        vin = self._inputs(t.inputs, with_prevouts=with_prevouts) if t.inputs else self._coinbase_input(t)
        output = self._spelling.output
        vout = ",".join([output(coin.script.raw, coin.value_sat) for coin in t.outputs])
        if self._has_index:
            return (
                f'{head},"vin":[{vin}],"vout":[{vout}],"size":{t.size_bytes},"weight":{t.weight_wu},'
                f'"sigops":{t.sigops},"fee":{t.fee_sat},"status":{status}'
            )
        return (
            f'{head},"size":{t.size_bytes},"weight":{t.weight_wu},"fee":{t.fee_sat},'
            f'"vin":[{vin}],"vout":[{vout}],"status":{status}'
        )

    def _measures(self, transaction: Transaction, *, with_prevouts: bool) -> str:
        vsize = -(-transaction.weight_wu // 4)
        order = int.from_bytes(transaction.txid_internal[:4], "big")
        adjusted = self._adjusted_vsize(transaction)
        sigops = "" if self._has_index else f'"sigops":{self._sigops(transaction, with_prevouts)},'
        return (
            f'"order":{order},"vsize":{vsize},"adjustedVsize":{number(adjusted)},{sigops}'
            f'"feePerVsize":{number(_rate(transaction))},'
            f'"adjustedFeePerVsize":{number(transaction.fee_sat / adjusted)}'
        )

    def _sigops(self, transaction: Transaction, with_prevouts: bool) -> int:  # noqa: FBT001 -- private
        """Return the signature operations, of the outputs alone where prevouts are unknown."""
        if with_prevouts:
            return transaction.sigops
        return sum([_OUTPUT_SIGOPS.get(coin.script.form, 0) for coin in transaction.outputs])

    def _adjusted_vsize(self, transaction: Transaction) -> float:
        sigops = self._sigops(transaction, self._has_index)
        return max(transaction.weight_wu, sigops * _BYTES_PER_SIGOP) / 4

    def _inputs(self, spends: Sequence[Spend], *, with_prevouts: bool) -> str:
        write = self._indexed_input if self._has_index else self._input
        return ",".join([write(spend, with_prevouts) for spend in spends])

    def _indexed_input(self, spend: Spend, _: bool) -> str:  # noqa: FBT001 -- same as `_input`
        coin, unlocking, sequence = spend
        outpoint = coin.outpoint
        asm = self._spelling.unlocking_asm(unlocking.script_sig)
        return (
            f'{{"txid":"{outpoint.txid_internal[::-1].hex()}","vout":{outpoint.vout},'
            f'"prevout":{self._spelling.output(coin.script.raw, coin.value_sat)},'
            f'"scriptsig":"{unlocking.script_sig.hex()}","scriptsig_asm":"{asm}",'
            f'"witness":{_witness(unlocking.witness)},"is_coinbase":false,"sequence":{sequence}}}'
        )

    def _input(self, spend: Spend, with_prevouts: bool) -> str:  # noqa: FBT001 -- called once per input
        coin, unlocking, sequence = spend
        outpoint = coin.outpoint
        prevout, redeem, witness_script = "null", "", ""
        if with_prevouts:
            prevout = self._spelling.output(coin.script.raw, coin.value_sat)
            redeem = self._spelling.asm(unlocking.redeem_script) if unlocking.script_sig else ""
            if coin.script.form is Form.P2WSH:
                witness_script = self._spelling.asm(unlocking.redeem_script)
        return (
            f'{{"is_coinbase":false,"prevout":{prevout},"scriptsig":"{unlocking.script_sig.hex()}",'
            f'"scriptsig_asm":"{self._spelling.unlocking_asm(unlocking.script_sig)}","sequence":{sequence},'
            f'"txid":"{outpoint.txid_internal[::-1].hex()}","vout":{outpoint.vout},'
            f'"witness":{_witness(unlocking.witness)},'
            f'"inner_redeemscript_asm":"{redeem}","inner_witnessscript_asm":"{witness_script}"}}'
        )

    def _coinbase_input(self, coinbase: Transaction) -> str:
        script_sig = coinbase.coinbase_script
        if self._has_index:
            return (
                f'{{"txid":"{_NO_TXID}","vout":{_NO_VOUT},"prevout":null,"scriptsig":"{script_sig.hex()}",'
                f'"scriptsig_asm":"","witness":["{_NO_TXID}"],"is_coinbase":true,"sequence":{FINAL_SEQUENCE}}}'
            )
        return (
            f'{{"is_coinbase":true,"prevout":null,"scriptsig":"{script_sig.hex()}",'
            f'"scriptsig_asm":"{self._spelling.unlocking_asm(script_sig)}","sequence":{FINAL_SEQUENCE},'
            f'"txid":"","vout":0,"witness":["{_NO_TXID}"],"inner_redeemscript_asm":"",'
            '"inner_witnessscript_asm":""}'
        )


def _rate(transaction: Transaction) -> float:
    return 0 if transaction.is_coinbase else transaction.fee_rate_sat_vb


def _witness(items: tuple[bytes, ...]) -> str:
    if not items:
        return "[]"
    return '["' + '","'.join([item.hex() for item in items]) + '"]'


def _relatives(entry: Entry) -> tuple[str, str]:
    """Return what its chunk has before and after a transaction, as JSON."""
    entries = entry.chunk.entries
    if len(entries) == 1:
        return "[]", "[]"
    at = entries.index(entry)
    return _relative_list(entries[:at]), _relative_list(entries[at + 1 :])


def _relative_list(entries: Sequence[Entry]) -> str:
    return (
        "["
        + ",".join(
            [
                f'{{"txid":"{e.transaction.txid}","fee":{e.transaction.fee_sat},"weight":{e.transaction.weight_wu}}}'
                for e in entries
            ]
        )
        + "]"
    )
