"""Second thoughts: senders who replace what waits, and people who pay for a parent that waits."""

from math import ceil
from typing import Final

from hydrophone.simulator.node.scripts import Form
from hydrophone.simulator.node.transactions import Coin, Payment, make_transaction
from hydrophone.simulator.world.lives import End, Life
from hydrophone.simulator.world.people import People
from hydrophone.simulator.world.stage import Stage
from hydrophone.simulator.world.wallets import (
    DUST_SAT,
    Draft,
    OwnerKind,
    Terms,
    Wallet,
    draft,
    spend_all,
    wallet_of,
)

_NEW_KINDS: Final = {"cancelled": "cancellation", "other_payee": "double_spend"}
"""What a replacement is for when it is no longer for what the first version was."""


class Minds:
    """Changes what waits.

    Args:
        stage: where it waits.
        people: payees of double spends.
    """

    def __init__(self, stage: Stage, people: People) -> None:
        self._stage = stage
        self._people = people

    def replace(self, life: Life) -> Life | None:
        """Replace a transaction, if it still waits and one owner signed it alone.

        For a higher fee, or for something else altogether.
        """
        if life.end is not End.PENDING or life.transaction.txid not in self._stage.node.mempool.entries:
            return None
        if not _has_one_sender(life):
            return None
        rng, habits = self._stage.rng, self._stage.habits
        wish = rng.random()
        if wish < habits.bump_other_payee:
            made, reason = self._pay_another(life), "other_payee"
        elif wish < habits.bump_other_payee + habits.bump_cancel:
            made, reason = self._cancel(life), "cancelled"
        elif wish < habits.bump_other_payee + habits.bump_cancel + habits.bump_other_amount:
            made, reason = self._pay_less(life), "other_amount"
        else:
            made, reason = self._pay_fee(life), "fee_bump"
        kind = _NEW_KINDS.get(reason, life.kind)
        replacement = self._stage.send(made, kind, replaces=(life.transaction.txid,), reason=reason)
        if replacement is not None:
            replacement.bumps = life.bumps + 1
        return replacement

    def rescue(self, life: Life) -> Life | None:
        """Pay for a transaction that waits by spending one of its outputs at a high rate (CPFP)."""
        entry = self._stage.node.mempool.entries.get(life.transaction.txid)
        if entry is None:
            return None
        rng = self._stage.rng
        wanted = self._stage.fees.estimate(1, self._stage.now) * 1.2 + 0.5
        parent = life.transaction
        for coin in parent.outputs:
            wallet = wallet_of(coin.script)
            if wallet is None or wallet.owner.kind is not OwnerKind.PERSON:
                continue
            if self._stage.node.mempool.spender(coin.outpoint) is not None or coin.value_sat < 20 * DUST_SAT:
                continue
            lack_sat = max(0.0, wanted * parent.vsize - parent.fee_sat)
            rate = wanted + lack_sat / 110
            script = wallet.new_script(rng)
            made = draft([coin], [Payment(script, 0)], None, self._stage.terms(rate), rng)
            child = self._stage.send(made, "cpfp")
            if child is not None:
                return child
        return None

    def double_spend(self, life: Life) -> Draft | None:
        """Return another payment of the same coins to somebody else, for a miner's hands only.

        None where several owners would have to sign it.
        """
        return self._pay_another(life) if _has_one_sender(life) else None

    def _rate(self, life: Life) -> float:
        """Return a rate that replaces: clearly above the old one."""
        old = life.transaction.fee_rate_sat_vb
        better = old * self._stage.rng.uniform(1.2, 2.5) + 0.3
        return max(better, self._stage.fees.estimate(1, self._stage.now) * 1.05)

    def _terms(self, life: Life) -> Terms:
        return Terms(self._rate(life), life.transaction.is_replaceable, life.transaction.locktime)

    def _coins(self, life: Life) -> list[Coin]:
        return [spend.coin for spend in life.transaction.inputs]

    def _payments(self, life: Life) -> list[Payment]:
        return [
            Payment(coin.script, coin.value_sat)
            for vout, coin in enumerate(life.transaction.outputs)
            if vout not in life.change
        ]

    def _pay_fee(self, life: Life) -> Draft | None:
        """Return the same with a higher fee, out of the change, else out of the largest output."""
        transaction = life.transaction
        outputs = [Payment(coin.script, coin.value_sat) for coin in transaction.outputs]
        places = life.change or (max(range(len(outputs)), key=lambda n: outputs[n].value_sat),)
        terms = self._terms(life)
        extra_sat = ceil(terms.fee_rate_sat_vb * transaction.vsize) - transaction.fee_sat
        script, value_sat = outputs[places[0]]
        if script.form is Form.OP_RETURN or value_sat - extra_sat < DUST_SAT:
            return None
        outputs[places[0]] = Payment(script, value_sat - extra_sat)
        inputs = spend_all(self._coins(life), terms, self._stage.rng)
        return Draft(make_transaction(inputs, outputs, locktime=transaction.locktime), life.change)

    def _pay_another(self, life: Life) -> Draft | None:
        payments = self._payments(life)
        if not payments or payments[0].value_sat < DUST_SAT:
            return None
        payments[0] = Payment(self._people.new_wallet().new_script(self._stage.rng), payments[0].value_sat)
        return self._again(life, payments)

    def _pay_less(self, life: Life) -> Draft | None:
        payments = self._payments(life)
        if not payments or not life.change:
            return None
        value_sat = int(payments[0].value_sat * self._stage.rng.uniform(0.3, 0.9))
        if value_sat < DUST_SAT:
            return None
        payments[0] = Payment(payments[0].script, value_sat)
        return self._again(life, payments)

    def _again(self, life: Life, payments: list[Payment]) -> Draft | None:
        change = life.transaction.outputs[life.change[0]].script if life.change else None
        return draft(self._coins(life), payments, change, self._terms(life), self._stage.rng)

    def _cancel(self, life: Life) -> Draft | None:
        """Return a payment of everything to the sender."""
        rng = self._stage.rng
        sender = wallet_of(life.transaction.inputs[0].coin.script)
        if sender is None:
            return None
        wallet = sender if sender.has_fixed_scripts else Wallet(sender.owner, sender.role, sender.form)
        home = [Payment(wallet.new_script(rng), 0)]
        return draft(self._coins(life), home, None, self._terms(life), rng)


def _has_one_sender(life: Life) -> bool:
    """Whether one owner signed it alone: what several signed, as a coinjoin, none of them can change."""
    wallets = (wallet_of(spend.coin.script) for spend in life.transaction.inputs)
    return len({None if wallet is None else wallet.owner for wallet in wallets}) == 1
