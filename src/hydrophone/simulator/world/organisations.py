"""Exchanges, custodians and mining pools: they gather, pay out, and move coins between their own wallets."""

from collections.abc import Sequence
from itertools import islice
from random import Random
from typing import Final

from hydrophone.simulator.node.scripts import Form, Script
from hydrophone.simulator.node.transactions import Coin, Payment
from hydrophone.simulator.world.chance import Choice, draw_lognormal, draw_pareto
from hydrophone.simulator.world.habits import BTC, Habits
from hydrophone.simulator.world.lives import Life
from hydrophone.simulator.world.people import People
from hydrophone.simulator.world.stage import Stage
from hydrophone.simulator.world.wallets import Owner, OwnerKind, Role, Wallet, draft, take_coins

EXCHANGES: Final = (
    "Alder", "Birchwood", "Cedar Point", "Dogwood", "Elmgate", "Fir & Sons", "Greenheart", "Hazel",
)  # fmt: skip
CUSTODIANS: Final = ("Ironwood Custody", "Juniper Trust", "Kauri ETF")
POOLS: Final = ("Larch Pool", "Maple Pool", "Nutmeg Pool", "Oak Pool", "Pine Pool", "Quince Pool")
"""Invented: a simulation says nothing about real organisations."""
HASHRATE_SHARES: Final = (0.30, 0.24, 0.16, 0.13, 0.10, 0.07)
"""chosen: about as uneven as the pools of 2025."""
_POPULARITY_EXPONENT: Final = 1.0
"""The n-th exchange has 1/n of the first one's customers. chosen: Zipf."""

_HOT_FORMS: Final = (Form.P2WPKH, Form.P2SH_MULTISIG, Form.P2PKH, Form.P2WSH, Form.P2WPKH, Form.P2TR)
_COLD_FORMS: Final = (Form.P2SH_MULTISIG, Form.P2WSH, Form.P2PKH, Form.P2WSH)
_DEPOSIT_FORMS: Final = (Form.P2WPKH, Form.P2PKH, Form.P2SH_P2WPKH, Form.P2WPKH)
"""By the number of the exchange. chosen: published wallets of large exchanges show all of these."""
_HOT_SCRIPTS: Final = (1, 3, 2, 6)
_COLD_SCRIPTS: Final = (2, 8, 4)
_MAX_INPUTS: Final = 80
"""chosen: more make a transaction hard to relay."""
_CAREFUL: Final = 0.9
"""Share of payments for which a service looks for a coin that fits. chosen: else a hot wallet pays every
small withdrawal out of its largest coin, and each of those would be above 100 BTC gross."""
_MUCH: Final = 20
"""Times a payment that a fitting coin is worth at most. chosen."""
_LOOKED_AT: Final = 200
_WITHDRAWAL_FACTOR: Final = 2.0
"""A withdrawal is twice an ordinary payment. chosen."""
_SWEEP_MOST: Final = 120
_CONSOLIDATED: Final = (8, 90)
_SWEPT: Final = (2, 60)
"""Deposits gathered at once. chosen: from two customers to dozens, so that no rule of thumb has it easy."""
_PAYOUT_OUTPUTS: Final = (4, 60)
_WHALE_BATCH_OUTPUTS: Final = (12, 90)


class Exchange:
    """An exchange with its wallets.

    Args:
        name: what it is called.
        number: decides its script types.
        habits: of exchanges.
        rng: makes its scripts.
    """

    def __init__(self, name: str, number: int, habits: Habits, rng: Random) -> None:
        self.owner = Owner(name, OwnerKind.EXCHANGE)
        self.hot = self._wallet(Role.HOT, _HOT_FORMS, _HOT_SCRIPTS, number, rng)
        self.cold = self._wallet(Role.COLD, _COLD_FORMS, _COLD_SCRIPTS, number, rng)
        self.change = self.hot
        if rng.random() < habits.exchange_fresh_change:
            self.change = Wallet(self.owner, Role.HOT, self.hot.form)
        form = _DEPOSIT_FORMS[number % len(_DEPOSIT_FORMS)]
        self.deposits = Wallet(self.owner, Role.DEPOSIT, form)
        for _ in range(habits.customers_per_exchange):
            self.deposits.new_script(rng)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.owner.name

    def _wallet(
        self, role: Role, forms: Sequence[Form], counts: Sequence[int], number: int, rng: Random
    ) -> Wallet:
        wallet = Wallet(self.owner, role, forms[number % len(forms)])
        for _ in range(counts[number % len(counts)]):
            wallet.new_script(rng)
        wallet.has_fixed_scripts = True
        return wallet


class Organisations:
    """All organisations.

    Args:
        stage: where they act.
        people: their customers.
    """

    def __init__(self, stage: Stage, people: People) -> None:
        self._stage = stage
        self._people = people
        rng, habits = stage.rng, stage.habits
        self.exchanges = [Exchange(name, number, habits, rng) for number, name in enumerate(EXCHANGES)]
        self._popular = Choice(
            {exchange: (n + 1) ** -_POPULARITY_EXPONENT for n, exchange in enumerate(self.exchanges)}
        )
        self.custodians = [self._vault(name, OwnerKind.CUSTODIAN, Form.P2WSH, 300) for name in CUSTODIANS]
        self.pools = [self._vault(name, OwnerKind.POOL, Form.P2PKH, 4) for name in POOLS]
        self.choose_pool = Choice(dict(zip(self.pools, HASHRATE_SHARES, strict=True)))

    # --- into exchanges -----------------------------------------------------------------------------

    def deposit(self) -> Life | None:
        """Let a customer pay in."""
        exchange = self._popular.draw(self._stage.rng)
        payment = Payment(self._deposit_script(exchange), self._people.amount_sat(1.5))
        return self._people.pay([payment], "deposit")

    def whale_deposit(self) -> Life | None:
        """Let a large customer pay in, to an own address or to a wallet of the exchange."""
        rng = self._stage.rng
        exchange = self._popular.draw(rng)
        to_hot = rng.random() < self._stage.habits.deposit_to_hot
        script = rng.choice(exchange.hot.scripts) if to_hot else self._deposit_script(exchange)
        return self._people.pay([Payment(script, self._people.whale_amount_sat())], "whale_deposit")

    def custody_to_exchange(self) -> Life | None:
        """Let a custodian sell."""
        custodian = self._stage.rng.choice(self.custodians)
        script = self._deposit_script(self._popular.draw(self._stage.rng))
        payment = Payment(script, self._people.whale_amount_sat())
        return self._pay(custodian, [payment], custodian, "custody_to_exchange")

    def miner_deposit(self) -> Life | None:
        """Let a pool sell."""
        pool = self._stage.rng.choice(self.pools)
        script = self._deposit_script(self._popular.draw(self._stage.rng))
        return self._pay(pool, [Payment(script, self._people.whale_amount_sat())], pool, "miner_deposit")

    # --- out of exchanges ---------------------------------------------------------------------------

    def withdrawal(self) -> Life | None:
        """Let a customer withdraw."""
        exchange = self._popular.draw(self._stage.rng)
        payment = Payment(self._people.payee_script(), self._people.amount_sat(_WITHDRAWAL_FACTOR))
        return self._pay(exchange.hot, [payment], exchange.change, "withdrawal")

    def whale_withdrawal(self) -> Life | None:
        """Let a large customer withdraw."""
        exchange = self._popular.draw(self._stage.rng)
        payment = Payment(self._people.payee_script(), self._people.whale_amount_sat())
        return self._pay(exchange.hot, [payment], exchange.change, "whale_withdrawal")

    def batch_withdrawal(self) -> Life | None:
        """Let many customers withdraw at once."""
        habits, rng = self._stage.habits, self._stage.rng
        count = int(draw_pareto(2, habits.batch_tail, habits.batch_cap, rng))
        return self._batch(count, "batch_withdrawal")

    def whale_batch(self) -> Life | None:
        """Let many customers withdraw at once, one of them much."""
        return self._batch(
            self._stage.rng.randint(*_WHALE_BATCH_OUTPUTS), "whale_batch", self._people.whale_amount_sat()
        )

    def _batch(self, count: int, kind: str, large_sat: int = 0) -> Life | None:
        people = self._people
        amounts = [people.amount_sat(_WITHDRAWAL_FACTOR) for _ in range(count)]
        if large_sat:
            amounts[self._stage.rng.randrange(count)] = large_sat
        exchange = self._popular.draw(self._stage.rng)
        payments = [Payment(people.payee_script(), value_sat) for value_sat in amounts]
        return self._pay(exchange.hot, payments, exchange.change, kind)

    # --- within and between organisations -----------------------------------------------------------

    def sweep(self) -> Life | None:
        """Let an exchange gather what customers paid in."""
        enough = self._stage.habits.sweep_at_count
        ready = [exchange for exchange in self.exchanges if len(exchange.deposits.coins) >= enough]
        return self._sweep(self._stage.rng.choice(ready), "sweep") if ready else None

    def whale_sweep(self) -> Life | None:
        """Let an exchange gather deposits that are worth much together."""
        rng = self._stage.rng
        exchange = self._popular.draw(rng)
        total_sat = self._people.whale_amount_sat()
        count = rng.randint(*_SWEPT)
        for _ in range(count):
            script = rng.choice(exchange.deposits.scripts)
            value_sat = max(10_000, int(total_sat / count * draw_lognormal(0.8, 0.6, rng)))
            exchange.deposits.mint(value_sat, rng, script)
        return self._sweep(exchange, "whale_sweep")

    def _sweep(self, exchange: Exchange, kind: str) -> Life | None:
        coins = list(exchange.deposits.coins)[-_SWEEP_MOST:]
        return self._gather(coins, exchange.hot, kind)

    def consolidation(self) -> Life | None:
        """Let an exchange make one coin of many, or some person when no exchange has that many."""
        rng = self._stage.rng
        least, most = _CONSOLIDATED
        wallets = dict.fromkeys(wallet for e in self.exchanges for wallet in (e.hot, e.change))
        ready = [wallet for wallet in wallets if len(wallet.coins) >= least]
        if not ready or rng.random() < 0.5:  # noqa: PLR2004 -- chosen
            return self._people.consolidation()
        wallet = rng.choice(ready)
        coins = sorted(wallet.coins, key=lambda coin: coin.value_sat)[: rng.randint(least, most)]
        return self._gather(coins, wallet, "consolidation")

    def whale_consolidation(self) -> Life | None:
        """Let an exchange make one large coin of many."""
        rng = self._stage.rng
        exchange = self._popular.draw(rng)
        count = rng.randint(*_CONSOLIDATED)
        total_sat = self._people.whale_amount_sat()
        coins = [exchange.hot.mint(total_sat // count + 10_000, rng) for _ in range(count)]
        return self._gather(coins, exchange.hot, "whale_consolidation")

    def exchange_internal(self) -> Life | None:
        """Let an exchange move a little between its hot scripts."""
        exchange = self._popular.draw(self._stage.rng)
        payment = Payment(
            self._stage.rng.choice(exchange.hot.scripts), self._people.amount_sat(_WITHDRAWAL_FACTOR)
        )
        return self._pay(exchange.hot, [payment], exchange.change, "exchange_internal")

    def cold_to_hot(self) -> Life | None:
        """Let an exchange fill up its hot wallet."""
        exchange = self._popular.draw(self._stage.rng)
        payment = Payment(exchange.hot.new_script(self._stage.rng), self._people.whale_amount_sat())
        return self._pay(exchange.cold, [payment], exchange.cold, "cold_to_hot")

    def hot_to_cold(self) -> Life | None:
        """Let an exchange put away what it does not need, some of it with a custodian."""
        rng = self._stage.rng
        exchange = self._popular.draw(rng)
        vault = exchange.cold
        if rng.random() < self._stage.habits.shared_custody:
            vault = Wallet(exchange.owner, Role.COLD, Form.P2WSH)
        payment = Payment(vault.new_script(rng), self._people.whale_amount_sat())
        return self._pay(exchange.hot, [payment], exchange.change, "hot_to_cold")

    def interexchange(self) -> Life | None:
        """Let a customer of one exchange withdraw straight to another."""
        rng = self._stage.rng
        sender, receiver = rng.sample(self.exchanges, 2)
        to_hot = rng.random() < self._stage.habits.deposit_to_hot
        script = rng.choice(receiver.hot.scripts) if to_hot else self._deposit_script(receiver)
        payment = Payment(script, self._people.whale_amount_sat())
        return self._pay(sender.hot, [payment], sender.change, "interexchange")

    def custody_move(self) -> Life | None:
        """Let a custodian move coins, half of the time to another one."""
        rng = self._stage.rng
        sender, other = rng.sample(self.custodians, 2)
        receiver = rng.choice((sender, other))
        payment = Payment(receiver.new_script(rng), self._people.whale_amount_sat())
        return self._pay(sender, [payment], sender, "custody_move")

    def miner_payout(self) -> Life | None:
        """Let a pool pay its miners."""
        rng = self._stage.rng
        pool = self.choose_pool.draw(rng)
        count = rng.randint(*_PAYOUT_OUTPUTS)
        payments = [Payment(self._people.payee_script(), self._people.amount_sat(0.3)) for _ in range(count)]
        return self._pay(pool, payments, pool, "miner_payout")

    def _deposit_script(self, exchange: Exchange) -> Script:
        rng = self._stage.rng
        if rng.random() < self._stage.habits.deposit_reuse:
            return rng.choice(exchange.deposits.scripts)
        return exchange.deposits.new_script(rng)

    def _pay(self, payer: Wallet, payments: Sequence[Payment], change: Wallet, kind: str) -> Life | None:
        rng = self._stage.rng
        rate = self._stage.fees.service_bid(self._stage.now, rng)
        coins = self._coins(payer, change, sum([p.value_sat for p in payments]), rate)
        made = draft(coins, payments, change.new_script(rng), self._stage.terms(rate), rng)
        return self._stage.send(made, kind)

    def _coins(self, payer: Wallet, change: Wallet, paid_sat: int, rate: float) -> list[Coin]:
        """Return coins that suffice; an organisation always has more that is older than the simulation."""
        rng = self._stage.rng
        needed_sat = paid_sat + int(rate * 20_000) + 10_000
        is_careful = rng.random() < _CAREFUL
        for wallet in dict.fromkeys((change, payer)):
            coins = _best_fit(wallet, needed_sat) if is_careful else None
            coins = coins or take_coins(wallet, needed_sat, _MAX_INPUTS)
            if coins and (not is_careful or sum([c.value_sat for c in coins]) < _MUCH * needed_sat):
                return coins
        count = rng.choice((1, 1, 1, 2, 2, 3, 5))
        total_sat = needed_sat + int(needed_sat * min(_MUCH, draw_lognormal(0.8, 1.0, rng)))
        return [payer.mint(total_sat // count + 1, rng) for _ in range(count)]

    def _gather(self, coins: Sequence[Coin], wallet: Wallet, kind: str) -> Life | None:
        rng = self._stage.rng
        rate = self._stage.fees.estimate(6, self._stage.now) * 1.1
        payment = Payment(wallet.new_script(rng), 0)
        return self._stage.send(draft(coins, [payment], None, self._stage.terms(rate), rng), kind)

    def _vault(self, name: str, kind: OwnerKind, form: Form, coin_btc: float) -> Wallet:
        """Return the wallet of an organisation that has only one, with coins of about so much."""
        rng = self._stage.rng
        wallet = Wallet(Owner(name, kind), Role.COLD, form)
        for _ in range(3):
            wallet.new_script(rng)
        for _ in range(12):
            wallet.mint(int(draw_lognormal(coin_btc, 0.7, rng) * BTC), rng)
        return wallet


def _best_fit(wallet: Wallet, needed_sat: int) -> list[Coin] | None:
    """Return the smallest coin that suffices alone, of the oldest ones."""
    some = [coin for coin in islice(wallet.coins, _LOOKED_AT) if coin.value_sat >= needed_sat]
    return [min(some, key=lambda coin: coin.value_sat)] if some else None
