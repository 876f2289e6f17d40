"""Coinjoins: many owners in one transaction, each getting back what it put in."""

from collections.abc import Sequence
from typing import Final

from hydrophone.simulator.node.scripts import Form
from hydrophone.simulator.node.transactions import Coin, Payment
from hydrophone.simulator.world.habits import BTC
from hydrophone.simulator.world.lives import Life
from hydrophone.simulator.world.people import People
from hydrophone.simulator.world.stage import Stage
from hydrophone.simulator.world.wallets import Terms, Wallet, draft

_POOLS_SAT: Final = (100_000, 1_000_000, 5_000_000, 50_000_000)
"""Amounts that all pay. chosen: those that one well-known coordinator offered."""
_DENOMINATIONS_SAT: Final = tuple(
    sorted({base * 2**n for base in (5_000, 6_561, 10_000) for n in range(1, 26)}, reverse=True)
)
"""Amounts that many share. chosen: doublings, as coordinators since 2022 split amounts into few sizes."""
_DUST_SAT: Final = 5_000
_FEE_SHARE_SAT: Final = 5_000
"""What each brings for the fee and the coordinator. chosen."""
_INPUT_VB: Final = 75
_OUTPUT_VB: Final = 40
"""About what an input and an output take, so that the fee can be paid out of the shares."""
_SPLITTERS: Final = (25, 150)
"""chosen: rounds of large coordinators have had from a few dozen to several hundred inputs."""


class Mixing:
    """All coinjoins.

    Args:
        stage: where they happen.
        people: who joins.
    """

    def __init__(self, stage: Stage, people: People) -> None:
        self._stage = stage
        self._people = people

    def coinjoin(self) -> Life | None:
        """Mix small coins, in one of three ways."""
        kind = self._stage.rng.choice(("pool", "market", "split"))
        if kind == "pool":
            return self._equal(participants=5, value_sat=self._stage.rng.choice(_POOLS_SAT), has_change=False)
        if kind == "market":
            count = self._stage.rng.randint(3, 12)
            return self._equal(count, max(100_000, self._people.amount_sat()), has_change=True)
        return self._split(self._stage.rng.randint(*_SPLITTERS), 1.0, "coinjoin")

    def whale_coinjoin(self) -> Life | None:
        """Mix so much that the whole is large, though nobody in it need be."""
        participants = self._stage.rng.randint(*_SPLITTERS)
        share_btc = self._people.whale_amount_sat() / participants / BTC
        factor = share_btc / self._stage.habits.payment_median_btc
        return self._split(participants, factor, "whale_coinjoin")

    def _equal(self, participants: int, value_sat: int, *, has_change: bool) -> Life | None:
        """Let each pay the same, to a new script of its own."""
        rng = self._stage.rng
        coins: list[Coin] = []
        payments: list[Payment] = []
        for _ in range(participants):
            wallet = self._people.new_wallet(Form.P2WPKH)
            extra_sat = int(value_sat * rng.uniform(0.1, 1.5)) if has_change else _FEE_SHARE_SAT
            coins.append(wallet.mint(value_sat + extra_sat, rng))
            payments.append(Payment(wallet.new_script(rng), value_sat))
            if has_change:
                payments.append(Payment(wallet.new_script(rng), extra_sat - _FEE_SHARE_SAT))
        return self._join(coins, payments, "coinjoin")

    def _split(self, participants: int, factor: float, kind: str) -> Life | None:
        """Let each split what it has into amounts that others have, too."""
        rng = self._stage.rng
        coins: list[Coin] = []
        payments: list[Payment] = []
        for _ in range(participants):
            wallet = self._people.new_wallet(rng.choice((Form.P2TR, Form.P2WPKH)))
            value_sat = max(50_000, int(self._people.amount_sat() * factor))
            coins.append(wallet.mint(value_sat, rng))
            payments += self._pieces(wallet, value_sat - _FEE_SHARE_SAT)
        return self._join(coins, payments, kind)

    def _pieces(self, wallet: Wallet, value_sat: int) -> list[Payment]:
        pieces: list[Payment] = []
        for size_sat in _DENOMINATIONS_SAT:
            if value_sat >= size_sat and len(pieces) < 8:  # noqa: PLR2004 -- chosen: more cost more
                pieces.append(Payment(wallet.new_script(self._stage.rng), size_sat))
                value_sat -= size_sat
        if value_sat >= _DUST_SAT:
            pieces.append(Payment(wallet.new_script(self._stage.rng), value_sat))
        return pieces

    def _join(self, coins: Sequence[Coin], payments: Sequence[Payment], kind: str) -> Life | None:
        rng = self._stage.rng
        mixed_coins, mixed_payments = list(coins), list(payments)
        rng.shuffle(mixed_coins)
        rng.shuffle(mixed_payments)
        spare_sat = sum(c.value_sat for c in coins) - sum(p.value_sat for p in payments)
        estimate = self._stage.fees.estimate(2, self._stage.now) * 1.1
        needed_vb = _INPUT_VB * len(coins) + _OUTPUT_VB * len(payments)
        rate = min(estimate, spare_sat / needed_vb)
        coordinator = self._people.new_wallet(Form.P2TR)
        fee_taker = coordinator.new_script(rng)
        made = draft(mixed_coins, mixed_payments, fee_taker, Terms(rate, is_replaceable=False), rng)
        paid = None if made is None else made._replace(change=())  # what the coordinator earns is no change
        return self._stage.send(paid, kind)
