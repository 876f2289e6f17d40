"""Whom a payment pays: how a later version of it is recognised, and what that changed."""

from collections.abc import Collection, Iterable
from typing import Final

from hydrophone.domain.flow import FlowAssessment
from hydrophone.domain.signal import Change
from hydrophone.domain.transaction import Output, Transaction

_CHANGE_MAJORITY: Final = 0.5
_TOLERANCE: Final = 0.01
"""# chosen: who pays a fee out of the payment lowers it by less, and a fee may be unknown."""


def payees_of(transaction: Transaction, flow: FlowAssessment) -> tuple[Output, ...]:
    """Return the outputs that are probably not change; all of them when none is."""
    paid = tuple(
        output
        for output, change in zip(transaction.outputs, flow.change, strict=True)
        if change <= _CHANGE_MAJORITY and output.value_sat > 0
    )
    return paid or transaction.outputs


def own_scripts(successor: Transaction, before: Transaction | None, payees: Iterable[Output]) -> set[bytes]:
    """Return scripts of whoever sent a payment: what a later version spends, and where change went before.

    Args:
        successor: the later version.
        before: the earlier one; None: it is not remembered.
        payees: of the earlier one.
    """
    spent = {i.prevout.script for i in successor.inputs if i.prevout is not None}
    if before is None:
        return spent
    paid = {payee.script for payee in payees}
    return spent | {output.script for output in before.outputs if output.script not in paid}


def continues(payees: Collection[Output], successor: Transaction, own: Collection[bytes] = ()) -> bool:
    """Whether a successor still pays one of the same scripts: the payment goes on under a new txid.

    Args:
        payees: of the version before; of what it spent nothing may have been known, and all is among them.
        successor: the later version.
        own: scripts of the sender: change that goes there again is no payment.
    """
    scripts = {output.script for output in successor.outputs}
    others = [payee for payee in payees if payee.script not in own] or payees
    return any(payee.script in scripts for payee in others)


def change_of(payees: Collection[Output], successor: Transaction, own: Collection[bytes] = ()) -> Change:
    """Return what a successor changed in meaning; arguments as of `continues`."""
    wanted = _amounts([payee for payee in payees if payee.script not in own] or payees)
    paid = _amounts(successor.outputs)
    if wanted.keys() <= paid.keys():
        spent_on_fee_sat = successor.fee_sat or 0
        is_same = all(
            paid[script] == value_sat
            or 0 < value_sat - paid[script] <= max(spent_on_fee_sat, _TOLERANCE * value_sat)
            for script, value_sat in wanted.items()
        )
        return Change.FEE_BUMP if is_same else Change.OTHER_AMOUNT
    is_cancelled = all(script in own for script, value_sat in paid.items() if value_sat > 0)
    return Change.CANCELLED if is_cancelled else Change.OTHER_PAYEE


def _amounts(outputs: Iterable[Output]) -> dict[bytes, int]:
    amounts: dict[bytes, int] = {}
    for output in outputs:
        amounts[output.script] = amounts.get(output.script, 0) + output.value_sat
    return amounts
