"""Small helpers to build coins and transactions. A test shows what matters to it."""

from collections.abc import Sequence
from random import Random

from hydrophone.simulator.node.mempool import Mempool
from hydrophone.simulator.node.scripts import Form, Script, make_script
from hydrophone.simulator.node.transactions import (
    REPLACEABLE_SEQUENCE,
    Coin,
    OutPoint,
    Payment,
    Spend,
    Transaction,
    double_sha256,
    make_transaction,
)

COIN_SAT = 1_000_000_000
"""Value of a coin unless told: enough for the fees of any test."""
_RNG = Random(1)
_SCRIPTS: dict[Form, Script] = {form: make_script(form, _RNG) for form in Form if form is not Form.OP_RETURN}


def make_coin(name: object, value_sat: int = COIN_SAT, form: Form = Form.P2WPKH) -> Coin:
    """Return a confirmed coin, always at the same place for the same name."""
    return Coin(OutPoint(double_sha256(str(name).encode()), 0), _SCRIPTS[form], value_sat, height=1)


def pay(
    coins: Sequence[Coin],
    *,
    fee_sat: int = 1_000,
    outputs: int = 1,
    form: Form = Form.P2WPKH,
    locktime: int = 0,
) -> Transaction:
    """Return a transaction that spends coins and splits what they are worth evenly.

    Args:
        coins: what it spends.
        fee_sat: its fee.
        outputs: their number.
        form: of the outputs.
        locktime: makes transactions differ that are otherwise the same.
    """
    inputs = [Spend(coin, coin.script.unlock(_RNG), REPLACEABLE_SEQUENCE) for coin in coins]
    rest_sat = sum(coin.value_sat for coin in coins) - fee_sat
    first_sat = rest_sat - rest_sat // outputs * (outputs - 1)
    values_sat = [first_sat] + [rest_sat // outputs] * (outputs - 1)
    return make_transaction(
        inputs, [Payment(_SCRIPTS[form], value_sat) for value_sat in values_sat], locktime=locktime
    )


def pay_rate(coins: Sequence[Coin], rate_sat_vb: int, *, outputs: int = 1, locktime: int = 0) -> Transaction:
    """Return a transaction with exactly this rate (of a multiple of four)."""
    weight_wu = pay(coins, outputs=outputs, locktime=locktime).weight_wu
    return pay(coins, fee_sat=weight_wu * rate_sat_vb // 4, outputs=outputs, locktime=locktime)


def roomy_mempool() -> Mempool:
    """Return an empty mempool that evicts and expires nothing."""
    return Mempool(max_usage_bytes=10**12, expiry_s=1e12)
