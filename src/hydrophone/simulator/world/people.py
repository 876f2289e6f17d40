"""People: they pay each other, pay into exchanges, mix their coins, and change their minds."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from hydrophone.simulator.node.scripts import Form, Script
from hydrophone.simulator.node.transactions import Coin, Payment
from hydrophone.simulator.world.chance import Choice, draw_count, draw_lognormal, draw_pareto
from hydrophone.simulator.world.habits import BTC
from hydrophone.simulator.world.lives import Life
from hydrophone.simulator.world.stage import Stage
from hydrophone.simulator.world.wallets import (
    DUST_SAT,
    Draft,
    Owner,
    OwnerKind,
    Role,
    Wallet,
    draft,
    memo,
    take_coins,
    wallet_of,
)

_MAX_PAYERS: Final = 50_000
"""Wallets remembered as payers. chosen: the memory of a long run stays flat."""
_RECENT_CHANGE: Final = 2_000
"""Unconfirmed change that may be spent. chosen."""
_MAX_INPUTS: Final = 60
_MAX_WEALTH: Final = 1_000
"""Times a payment that its coins are worth at most. chosen: nobody buys bread with a coin of 500 BTC."""
_MAX_EXTRA_SAT: Final = 5_000 * BTC
"""What the coins of a payment have in excess of it at most. chosen."""
_FEE_RESERVE_SAT: Final = 20_000
"""What a payer leaves for the fee when it looks for coins. chosen: else a later check refuses the draft."""
_TRIES: Final = 4
_CHANGE_GRAIN_SAT: Final = 100_000
"""To which change is rounded by those who round it. chosen."""
_SAVERS: Final = 0.02
"""Share of payers with many small coins. Sources: block 300025, where one in a hundred has 35 or more."""
_FEW_OUTPUTS: Final = (1.0, 0.06, 0.03, 0.02)
"""How many a person pays at once. Sources: block 300025, where 82 % have two outputs."""


class People:
    """All private persons.

    Args:
        stage: where they act.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._forms = Choice(stage.habits.wallet_forms)
        self._payers: list[Wallet] = []
        self._recent_change: deque[Coin] = deque(maxlen=_RECENT_CHANGE)

    def new_wallet(self, form: Form | None = None) -> Wallet:
        """Return an empty wallet of somebody new."""
        owner = Owner("", OwnerKind.PERSON)
        return Wallet(owner, Role.OTHER, form or self._forms.draw(self._stage.rng))

    def amount_sat(self, factor: float = 1.0) -> int:
        """Return what an ordinary payment is about."""
        habits, rng = self._stage.habits, self._stage.rng
        median_sat = habits.payment_median_btc * BTC * factor
        value_sat = int(draw_lognormal(median_sat, habits.payment_sigma, rng))
        return max(2 * DUST_SAT, min(self._rounded(value_sat), int(habits.whale_floor_btc * BTC)))

    def whale_amount_sat(self) -> int:
        """Return what a large payment is about."""
        habits, rng = self._stage.habits, self._stage.rng
        value_btc = draw_pareto(habits.whale_floor_btc, habits.whale_tail, habits.whale_cap_btc, rng)
        return self._rounded(int(value_btc * BTC))

    def payee_script(self) -> Script:
        """Return a script of somebody who is paid."""
        rng, habits = self._stage.rng, self._stage.habits
        if not self._payers or rng.random() < habits.new_payee:
            return self.new_wallet().new_script(rng)
        return rng.choice(self._payers).receive_script(rng, habits.receive_reuse)

    def pay(self, payees: Sequence[Payment], kind: str) -> Life | None:
        """Let somebody pay, with change by that one's habits."""
        rng, habits = self._stage.rng, self._stage.habits
        needed_sat = sum([p.value_sat for p in payees]) + _FEE_RESERVE_SAT
        rate = self._stage.fees.bid(self._stage.now, rng)
        coins = self._coins_for(needed_sat)
        if any(wallet_of(p.script) is wallet_of(coins[0].script) for p in payees):
            coins = self._old_coins(needed_sat)  # nobody pays themselves
        wallet = wallet_of(coins[0].script)
        assert wallet is not None
        terms = self._stage.terms(rate)
        if rng.random() < habits.exact_payment:
            return self._sent(draft(coins, payees, None, terms, rng), kind)
        change = self._change_script(wallet, coins)
        made = draft(coins, payees, change, terms, rng)
        if made is not None and made.change and rng.random() < habits.change_round:
            change_sat = made.transaction.outputs[made.change[0]].value_sat
            extra_sat = change_sat % _CHANGE_GRAIN_SAT
            first = Payment(payees[0].script, payees[0].value_sat + extra_sat)
            made = draft(coins, [first, *payees[1:]], change, terms, rng)
        return self._sent(made, kind)

    def payment(self) -> Life | None:
        """Let somebody pay somebody."""
        count = draw_count(_FEW_OUTPUTS, self._stage.rng)
        return self.pay([Payment(self.payee_script(), self.amount_sat()) for _ in range(count)], "payment")

    def whale_otc(self) -> Life | None:
        """Let somebody large pay somebody else nobody knows."""
        return self.pay([Payment(self.payee_script(), self.whale_amount_sat())], "whale_otc")

    def data(self) -> Life | None:
        """Let somebody write into the chain."""
        rng = self._stage.rng
        length = min(2_000, int(draw_lognormal(60, 0.9, rng)) + 4)
        wallet = self.new_wallet(Form.P2TR)
        coins = [wallet.mint(self.amount_sat() + _FEE_RESERVE_SAT, rng)]
        change = wallet.new_script(rng)
        rate = self._stage.fees.bid(self._stage.now, rng)
        return self._sent(
            draft(coins, [memo(rng.randbytes(length))], change, self._stage.terms(rate), rng), "data"
        )

    def self_transfer(self) -> Life | None:
        """Let somebody move everything to a new wallet of the same owner."""
        rng = self._stage.rng
        coins = self._coins_for(self.amount_sat() + _FEE_RESERVE_SAT)
        old = wallet_of(coins[0].script)
        assert old is not None
        new = Wallet(old.owner, Role.OTHER, self._forms.draw(rng))
        rate = self._stage.fees.bid(self._stage.now, rng)
        made = draft(coins, [Payment(new.new_script(rng), 0)], None, self._stage.terms(rate), rng)
        return self._sent(made, "self_transfer")

    def consolidation(self) -> Life | None:
        """Let somebody make one coin of many, cheaply."""
        rng = self._stage.rng
        wallet = self.new_wallet()
        coins = [wallet.mint(max(20_000, self.amount_sat(0.3)), rng) for _ in range(rng.randint(8, 60))]
        rate = self._stage.fees.estimate(144, self._stage.now) * 1.1
        made = draft(coins, [Payment(wallet.new_script(rng), 0)], None, self._stage.terms(rate), rng)
        return self._sent(made, "consolidation")

    def payjoin(self) -> Life | None:
        """Let somebody pay somebody who puts in a coin, too. Sources: BIP 78."""
        rng = self._stage.rng
        payer, payee = self.new_wallet(Form.P2WPKH), self.new_wallet(Form.P2WPKH)
        value_sat = self.amount_sat()
        own = payee.mint(self.amount_sat(), rng)
        coins = [payer.mint(int(value_sat * rng.uniform(1.1, 3.0)) + _FEE_RESERVE_SAT, rng), own]
        rng.shuffle(coins)
        paid = Payment(payee.new_script(rng), value_sat + own.value_sat)
        rate = self._stage.fees.bid(self._stage.now, rng)
        made = draft(coins, [paid], payer.new_script(rng), self._stage.terms(rate), rng)
        return self._sent(made, "payjoin")

    def private_payment(self) -> Draft | None:
        """Return a payment that its maker gives to a miner and to nobody else."""
        rng = self._stage.rng
        payee = Payment(self.new_wallet().new_script(rng), self.amount_sat())
        coins = self._old_coins(payee.value_sat + _FEE_RESERVE_SAT)
        wallet = wallet_of(coins[0].script)
        assert wallet is not None
        rate = self._stage.fees.bid(self._stage.now, rng)
        return draft(coins, [payee], wallet.new_script(rng), self._stage.terms(rate), rng)

    def receive(self, wallet: Wallet) -> None:
        """Take a wallet up as a payer: it has a coin that can be spent."""
        if wallet.listed_at is not None or wallet.owner.kind is not OwnerKind.PERSON:
            return
        if len(self._payers) >= _MAX_PAYERS:
            self._unlist(self._stage.rng.choice(self._payers))
        wallet.listed_at = len(self._payers)
        self._payers.append(wallet)

    def _sent(self, made: Draft | None, kind: str) -> Life | None:
        life = self._stage.send(made, kind)
        if life is not None:
            self._recent_change += [life.transaction.outputs[vout] for vout in life.change]
        return life

    def _coins_for(self, needed_sat: int) -> list[Coin]:
        """Return coins of one owner that suffice: waiting change, a known wallet, or old coins."""
        rng, habits = self._stage.rng, self._stage.habits
        if rng.random() < habits.unconfirmed_spend:
            coin = self._waiting_coin(needed_sat)
            if coin is not None:
                return [coin]
        if rng.random() >= habits.new_payer:
            for _ in range(_TRIES):
                wallet = self._known_payer()
                coins = None if wallet is None else take_coins(wallet, needed_sat, _MAX_INPUTS)
                if coins and sum([coin.value_sat for coin in coins]) < _MAX_WEALTH * needed_sat:
                    return coins
        return self._old_coins(needed_sat)

    def _waiting_coin(self, needed_sat: int) -> Coin | None:
        mempool = self._stage.node.mempool
        for _ in range(min(_TRIES, len(self._recent_change))):
            coin = self._recent_change.popleft()
            is_free = coin.height is None and mempool.spender(coin.outpoint) is None
            if is_free and coin.outpoint.txid_internal[::-1].hex() in mempool.entries:
                if coin.value_sat >= needed_sat:
                    return coin
                self._recent_change.append(coin)
        return None

    def _known_payer(self) -> Wallet | None:
        while self._payers:
            wallet = self._stage.rng.choice(self._payers)
            if wallet.coins:
                return wallet
            self._unlist(wallet)
        return None

    def _unlist(self, wallet: Wallet) -> None:
        place, last = wallet.listed_at, self._payers.pop()
        if last is not wallet and place is not None:
            self._payers[place] = last
            last.listed_at = place
        wallet.listed_at = None

    def _old_coins(self, needed_sat: int) -> list[Coin]:
        """Return new coins of somebody new: older than the simulation."""
        rng, habits = self._stage.rng, self._stage.habits
        wallet = self.new_wallet()
        count = draw_count(habits.input_counts, rng)
        if rng.random() < _SAVERS:
            count = rng.randint(len(habits.input_counts), _MAX_INPUTS)
        extra_sat = min(_MAX_EXTRA_SAT, int(needed_sat * draw_lognormal(0.6, 1.2, rng)))
        total_sat = needed_sat + 500 * count + extra_sat
        cuts = sorted(rng.uniform(0.02, 0.98) for _ in range(count - 1))
        shares = [b - a for a, b in zip([0.0, *cuts], [*cuts, 1.0], strict=True)]
        coins = [wallet.mint(max(DUST_SAT, int(total_sat * share)), rng) for share in shares]
        coins[0].value_sat += max(0, total_sat - sum([coin.value_sat for coin in coins]))
        return coins

    def _change_script(self, wallet: Wallet, coins: Sequence[Coin]) -> Script:
        rng, habits = self._stage.rng, self._stage.habits
        habit = rng.random()
        if habit < habits.change_reuse:
            return coins[0].script
        if habit < habits.change_reuse + habits.change_other_form:
            return wallet.new_script(rng, self._forms.draw(rng))
        return wallet.new_script(rng)

    def _rounded(self, value_sat: int) -> int:
        """Return an amount as people think of it, or as it is."""
        rng = self._stage.rng
        if rng.random() >= self._stage.habits.round_amount:
            return value_sat
        digits = len(str(value_sat))
        return round(value_sat, -(digits - rng.choice((1, 1, 2, 2, 3))))
