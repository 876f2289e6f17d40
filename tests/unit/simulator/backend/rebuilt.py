"""Recorded transactions as the simulator's: to write them again and compare byte by byte."""

from typing import Any

from hydrophone.simulator.backend.transactions import Record
from hydrophone.simulator.node.mempool import Entry
from hydrophone.simulator.node.scripts import Form, Script, Unlocking
from hydrophone.simulator.node.transactions import Coin, OutPoint, Spend, Transaction

_FORMS = {
    "v0_p2wpkh": Form.P2WPKH,
    "p2pkh": Form.P2PKH,
    "p2sh": Form.P2SH_P2WPKH,
    "v1_p2tr": Form.P2TR,
    "op_return": Form.OP_RETURN,
}


def rebuild(recorded: dict[str, Any]) -> Record:
    """Return the record of a transaction that was announced without relatives.

    Args:
        recorded: of `added`; without prevouts the coins it spends are made up.
    """
    txid_internal = bytes.fromhex(recorded["txid"])[::-1]
    transaction = Transaction(
        txid=recorded["txid"],
        txid_internal=txid_internal,
        version=recorded["version"],
        locktime=recorded["locktime"],
        inputs=tuple(_spend(vin) for vin in recorded["vin"]),
        outputs=tuple(
            _coin(OutPoint(txid_internal, number), vout) for number, vout in enumerate(recorded["vout"])
        ),
        fee_sat=recorded["fee"],
        size_bytes=recorded["size"],
        weight_wu=recorded["weight"],
        sigops=recorded["sigops"],
    )
    return Record(
        Entry(transaction, recorded["firstSeen"]),
        transaction,
        recorded["firstSeen"],
        recorded["uid"],
        recorded["vsize"],
        is_replacement="replacement" in recorded,
        block_number=recorded["position"]["block"],
        position_vb=recorded["position"]["vsize"],
    )


def _spend(vin: dict[str, Any]) -> Spend:
    outpoint = OutPoint(bytes.fromhex(vin["txid"])[::-1], vin["vout"])
    prevout = vin["prevout"] or {"scriptpubkey": "", "scriptpubkey_type": "v0_p2wpkh", "value": 0}
    unlocking = Unlocking(
        bytes.fromhex(vin["scriptsig"]), tuple(bytes.fromhex(item) for item in vin["witness"])
    )
    return Spend(_coin(outpoint, prevout), unlocking, vin["sequence"])


def _coin(outpoint: OutPoint, output: dict[str, Any]) -> Coin:
    script = Script(_FORMS[output["scriptpubkey_type"]], bytes.fromhex(output["scriptpubkey"]))
    return Coin(outpoint, script, output["value"])
