"""Whom a payment pays: how a later version of it is recognised."""

from typing import Final

from hydrophone.domain.flow import FlowAssessment
from hydrophone.domain.transaction import Output, Transaction

_CHANGE_MAJORITY: Final = 0.5


def payees_of(transaction: Transaction, flow: FlowAssessment) -> tuple[Output, ...]:
    """Return the outputs that are probably not change; all of them when none is."""
    paid = tuple(
        output
        for output, change in zip(transaction.outputs, flow.change, strict=True)
        if change <= _CHANGE_MAJORITY and output.value_sat > 0
    )
    return paid or transaction.outputs


def continues(payees: tuple[Output, ...], successor: Transaction) -> bool:
    """Whether a successor still pays one of the same scripts: the payment goes on under a new txid."""
    scripts = {output.script for output in successor.outputs}
    return any(payee.script in scripts for payee in payees)
