"""The `flags` of a transaction: what the backend calls its goggles.

Not imitated, because the simulated world has nothing of the kind: inscriptions, fake keys and hashes,
annexes, accelerations, sighashes other than ALL and the default one, and of the rules for non-standard
transactions all but version, weight and dust.

**Sources**: mempool.space backend, mempool.interfaces.ts (TransactionFlags) and api/common.ts
(getTransactionFlags); agrees with every transaction of the recordings.
"""

from collections import Counter
from typing import Final

from hydrophone.simulator.node.scripts import Form
from hydrophone.simulator.node.transactions import REPLACEABLE_SEQUENCE, Transaction

RBF: Final = 1 << 0
NO_RBF: Final = 1 << 1
VERSIONS: Final = {1: 1 << 2, 2: 1 << 3, 3: 1 << 4}
NONSTANDARD: Final = 1 << 5
CPFP_PARENT: Final = 1 << 16
CPFP_CHILD: Final = 1 << 17
REPLACEMENT: Final = 1 << 18
COINJOIN: Final = 1 << 32
CONSOLIDATION: Final = 1 << 33
BATCH_PAYOUT: Final = 1 << 34
SIGHASH_ALL: Final = 1 << 40
SIGHASH_DEFAULT: Final = 1 << 43
FORMS: Final = {
    Form.P2PK: 1 << 8,
    Form.MULTISIG: 1 << 9,
    Form.P2PKH: 1 << 10,
    Form.P2SH_P2WPKH: 1 << 11,
    Form.P2SH_MULTISIG: 1 << 11,
    Form.P2WPKH: 1 << 12,
    Form.P2WSH: 1 << 13,
    Form.P2TR: 1 << 14,
    Form.ANCHOR: 0,
    Form.OP_RETURN: 1 << 24,
}
_MAX_WEIGHT_WU: Final = 400_000
"""Sources: Bitcoin Core, policy.h, MAX_STANDARD_TX_WEIGHT."""
_DUST_RATE_SAT_VB: Final = 3
_WITNESS_SPEND_BYTES: Final = 67
_LEGACY_SPEND_BYTES: Final = 148
_AMOUNT_AND_LENGTH_BYTES: Final = 9
"""Sources: Bitcoin Core, policy.cpp, GetDustThreshold."""
_WITNESS_FORMS: Final = (Form.P2WPKH, Form.P2WSH, Form.P2TR, Form.ANCHOR)
_MANY: Final = 5
"""Inputs and outputs of a coinjoin, and the ratio of a consolidation or of a batch payout."""
_DER_SEQUENCE: Final = 0x30


def static_flags(transaction: Transaction, *, with_prevouts: bool) -> int:
    """Return the flags that never change.

    Args:
        transaction: also a coinbase.
        with_prevouts: whether the backend knows what the inputs spend.
    """
    flags = VERSIONS.get(transaction.version, 0)
    signals = False
    for spend in transaction.inputs:
        signals = signals or spend.sequence <= REPLACEABLE_SEQUENCE
        form = spend.coin.script.form
        if with_prevouts:
            flags |= FORMS[form]
        witness = spend.unlocking.witness
        if with_prevouts and form is Form.P2TR:
            flags |= SIGHASH_DEFAULT
        elif any(item and item[0] == _DER_SEQUENCE and item[-1] == 1 for item in witness):
            flags |= SIGHASH_ALL
    flags |= RBF if signals else NO_RBF
    for coin in transaction.outputs:
        flags |= FORMS[coin.script.form]
    return flags | _shape_flags(transaction, with_prevouts=with_prevouts) | _standardness(transaction)


def _shape_flags(transaction: Transaction, *, with_prevouts: bool) -> int:
    inputs = max(1, len(transaction.inputs))
    outputs = len(transaction.outputs)
    flags = 0
    if inputs >= _MANY and outputs >= _MANY and _is_coinjoin(transaction, with_prevouts=with_prevouts):
        flags |= COINJOIN
    if inputs >= _MANY * outputs:
        flags |= CONSOLIDATION
    if outputs >= _MANY * inputs:
        flags |= BATCH_PAYOUT
    return flags


def _is_coinjoin(transaction: Transaction, *, with_prevouts: bool) -> bool:
    """Whether at least half of the amounts repeat and no address does, as the backend guesses."""
    coins = [spend.coin for spend in transaction.inputs]
    values = len({coin.value_sat for coin in coins}) if with_prevouts else len(coins)
    values += len({coin.value_sat for coin in transaction.outputs})
    if values > (len(coins) + len(transaction.outputs)) / 2:
        return False
    uses = Counter(coin.script.raw for coin in transaction.outputs)
    if with_prevouts:
        paid = set(uses)
        uses.update(coin.script.raw for coin in coins if coin.script.raw in paid)
    return max(uses.values()) == 1


def _standardness(transaction: Transaction) -> int:
    if transaction.version not in VERSIONS or transaction.weight_wu > _MAX_WEIGHT_WU:
        return NONSTANDARD
    for coin in transaction.outputs:
        form = coin.script.form
        if form is not Form.OP_RETURN:
            spend = _WITNESS_SPEND_BYTES if form in _WITNESS_FORMS else _LEGACY_SPEND_BYTES
            if coin.value_sat < _DUST_RATE_SAT_VB * (len(coin.script.raw) + _AMOUNT_AND_LENGTH_BYTES + spend):
                return NONSTANDARD
    return 0
