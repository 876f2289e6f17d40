"""Owners, their wallets, and how a wallet makes a transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil
from random import Random
from typing import Final, NamedTuple

from hydrophone.simulator.node.scripts import Form, Script, data_script, make_script
from hydrophone.simulator.node.transactions import (
    FINAL_SEQUENCE,
    LOCKTIME_SEQUENCE,
    REPLACEABLE_SEQUENCE,
    Coin,
    OutPoint,
    Payment,
    Spend,
    Transaction,
    make_transaction,
    weigh,
)

DUST_SAT: Final = 546
"""Less is not worth an output. Sources: Bitcoin Core, policy.cpp, GetDustThreshold of P2PKH."""
_MAX_SCRIPTS: Final = 5_000
"""Scripts of a wallet that may be used again. chosen: the memory of a long run stays flat."""
PREHISTORY_HEIGHT: Final = 1
"""Of coins that are older than the simulation."""


class OwnerKind(StrEnum):
    """What an owner is."""

    EXCHANGE = "exchange"
    CUSTODIAN = "custodian"
    POOL = "pool"
    PERSON = "private"


class Role(StrEnum):
    """What a script is used for."""

    HOT = "hot"
    COLD = "cold"
    DEPOSIT = "deposit"
    OTHER = "unknown"


@dataclass(slots=True, eq=False)
class Owner:
    """Somebody who owns coins.

    Attributes:
        name: of organisations; empty for people, who have none here.
        kind: what it is.
    """

    name: str
    kind: OwnerKind

    @property
    def is_exchange(self) -> bool:
        """Whether flows are told relative to it."""
        return self.kind is OwnerKind.EXCHANGE


@dataclass(slots=True, eq=False)
class Wallet:
    """Scripts of one owner and the confirmed coins on them that nothing spends.

    Attributes:
        owner: whose it is.
        role: what it is for.
        form: of its scripts.
        coins: in the order they came.
        scripts: that may be used again.
        has_fixed_scripts: it uses these and makes no others.
        listed_at: where it stands in the list of payers; None: it is in none.
    """

    owner: Owner
    role: Role
    form: Form
    coins: dict[Coin, None] = field(default_factory=dict)
    scripts: list[Script] = field(default_factory=list)
    has_fixed_scripts: bool = False
    listed_at: int | None = None

    @property
    def balance_sat(self) -> int:
        """Sum of its coins."""
        return sum([coin.value_sat for coin in self.coins])

    def new_script(self, rng: Random, form: Form | None = None) -> Script:
        """Return a script never seen before, kept for later use; a fixed one where there are fixed ones."""
        if self.has_fixed_scripts:
            return rng.choice(self.scripts)
        script = make_script(form or self.form, rng, owner=self, role=self.role)
        self.scripts.append(script)
        if len(self.scripts) > _MAX_SCRIPTS:
            del self.scripts[0]
        return script

    def receive_script(self, rng: Random, reuse: float) -> Script:
        """Return what somebody is told to pay to."""
        if self.scripts and rng.random() < reuse:
            return rng.choice(self.scripts)
        return self.new_script(rng)

    def mint(self, value_sat: int, rng: Random, script: Script | None = None) -> Coin:
        """Return a coin that is older than the simulation, put into the wallet."""
        place = OutPoint(rng.randbytes(32), rng.randrange(4))
        coin = Coin(place, script or self.new_script(rng), value_sat, PREHISTORY_HEIGHT)
        self.coins[coin] = None
        return coin


def wallet_of(script: Script) -> Wallet | None:
    """Return the wallet of a script; None where nobody owns it."""
    return script.owner if isinstance(script.owner, Wallet) else None


class Terms(NamedTuple):
    """What a transaction bids and how it is dressed.

    Attributes:
        fee_rate_sat_vb: what it pays.
        is_replaceable: signals BIP 125.
        locktime: 0, or the height of the tip against fee sniping.
    """

    fee_rate_sat_vb: float
    is_replaceable: bool = True
    locktime: int = 0

    @property
    def sequence(self) -> int:
        """Of its inputs."""
        if self.is_replaceable:
            return REPLACEABLE_SEQUENCE
        return LOCKTIME_SEQUENCE if self.locktime else FINAL_SEQUENCE


class Draft(NamedTuple):
    """A transaction and which of its outputs are change.

    Attributes:
        transaction: it.
        change: indices of outputs that return to the sender.
    """

    transaction: Transaction
    change: tuple[int, ...]


def spend_all(coins: Iterable[Coin], terms: Terms, rng: Random) -> list[Spend]:
    """Return inputs that spend coins."""
    return [Spend(coin, coin.script.unlock(rng), terms.sequence) for coin in coins]


def draft(
    coins: Sequence[Coin],
    payments: Sequence[Payment],
    change_script: Script | None,
    terms: Terms,
    rng: Random,
) -> Draft | None:
    """Make a transaction.

    Args:
        coins: what it spends.
        payments: its outputs but the change.
        change_script: where the rest goes, to a place by chance; None: the last payment gets it, whatever
            its amount was.
        terms: what it bids and how it is dressed.
        rng: signatures, and the place of the change.

    Returns:
        None when the coins do not suffice.
    """
    inputs = spend_all(coins, terms, rng)
    available_sat = sum([coin.value_sat for coin in coins])
    outputs = list(payments)
    if change_script is None:
        rest_sat = available_sat - sum([p.value_sat for p in outputs[:-1]])
        value_sat = rest_sat - ceil(terms.fee_rate_sat_vb * weigh(inputs, outputs) / 4)
        if value_sat < DUST_SAT:
            return None
        outputs[-1] = Payment(outputs[-1].script, value_sat)
        return Draft(make_transaction(inputs, outputs, locktime=terms.locktime), ())
    rest_sat = available_sat - sum([p.value_sat for p in outputs])
    place = rng.randrange(len(outputs) + 1)
    outputs.insert(place, Payment(change_script, 0))
    change_sat = rest_sat - ceil(terms.fee_rate_sat_vb * weigh(inputs, outputs) / 4)
    if change_sat >= DUST_SAT:
        outputs[place] = Payment(change_script, change_sat)
        return Draft(make_transaction(inputs, outputs, locktime=terms.locktime), (place,))
    del outputs[place]
    if not outputs or rest_sat < ceil(terms.fee_rate_sat_vb * weigh(inputs, outputs) / 4):
        return None
    return Draft(make_transaction(inputs, outputs, locktime=terms.locktime), ())


def take_coins(wallet: Wallet, needed_sat: int, limit: int) -> list[Coin] | None:
    """Return coins of a wallet that suffice, oldest first, at most so many; None when they do not."""
    taken: list[Coin] = []
    total_sat = 0
    for coin in wallet.coins:
        taken.append(coin)
        total_sat += coin.value_sat
        if total_sat >= needed_sat:
            return taken
        if len(taken) == limit:
            break
    largest = sorted(wallet.coins, key=lambda coin: -coin.value_sat)[:limit]
    for count in range(1, len(largest) + 1):
        if sum([coin.value_sat for coin in largest[:count]]) >= needed_sat:
            return largest[:count]
    return None


def memo(data: bytes) -> Payment:
    """Return an output that carries data."""
    return Payment(data_script(data), 0)
