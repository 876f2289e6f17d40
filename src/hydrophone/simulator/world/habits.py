"""How people, exchanges and miners behave: every figure of the world, with its source.

`Habits()` is a world about as kind as the real one. `mean_habits()` is one that lies to every rule of thumb:
change that looks like a payment, exchanges that never use a script twice, miners that skip what pays.

Sources used below: *block 300025*, a mainnet block of May 2014 with 460 payments; *pools of 2014*, 4,512
transactions followed from first seen to their block over 17 intervals in December 2014; *blocks of 2021*,
10,926 arrival times at one node from October to December 2021.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from hydrophone.simulator.node.scripts import Form

BTC: Final = 100_000_000
"""Satoshis of one bitcoin."""


def _wallet_forms() -> dict[Form, float]:
    """Return the shares of script types among new wallets. chosen: about what blocks of 2025 show."""
    return {
        Form.P2WPKH: 0.55, Form.P2TR: 0.16, Form.P2PKH: 0.11, Form.P2SH_P2WPKH: 0.09,
        Form.P2SH_MULTISIG: 0.03, Form.P2WSH: 0.05, Form.P2PK: 0.003, Form.MULTISIG: 0.007,
    }  # fmt: skip


def _ordinary_mix() -> dict[str, float]:
    """Return what ordinary transactions are.

    chosen; the literature on address clustering (Meiklejohn et al., IMC'13; Moeser and Narayanan, FC'22)
    names these habits, none gives their shares of today.
    """
    return {
        "payment": 66.0, "deposit": 14.0, "withdrawal": 5.0, "batch_withdrawal": 3.0, "sweep": 2.0,
        "consolidation": 1.2, "data": 6.0, "coinjoin": 0.2, "payjoin": 0.3, "miner_payout": 0.4,
        "exchange_internal": 0.7, "self_transfer": 2.2,
    }  # fmt: skip


def _whale_mix() -> dict[str, float]:
    """Return what large transactions are.

    chosen: exchanges and custodians move most of the large amounts; about a third is between parties nobody
    has a label for.
    """
    return {
        "whale_deposit": 17.0, "whale_withdrawal": 16.0, "interexchange": 7.0, "cold_to_hot": 9.0,
        "hot_to_cold": 9.0, "whale_otc": 21.0, "custody_move": 6.0, "custody_to_exchange": 3.0,
        "whale_batch": 4.0, "whale_sweep": 3.0, "whale_consolidation": 3.0, "miner_deposit": 1.0,
        "whale_coinjoin": 1.0,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Habits:
    """The figures of a world. Probabilities and shares are in [0, 1] unless said otherwise."""

    # --- what happens -------------------------------------------------------------------------------
    ordinary_mix: dict[str, float] = field(default_factory=_ordinary_mix)
    whale_mix: dict[str, float] = field(default_factory=_whale_mix)
    wallet_forms: dict[Form, float] = field(default_factory=_wallet_forms)

    # --- amounts ------------------------------------------------------------------------------------
    payment_median_btc: float = 0.012
    """chosen: a tenth of block 300025's 0.11 BTC, whose bitcoin bought a two-hundredth of today's."""
    payment_sigma: float = 2.3
    """Of the logarithm. Sources: block 300025, between its 10, 50 and 90 % quantiles (1.9 and 2.7)."""
    whale_floor_btc: float = 60.0
    """Large amounts begin below the threshold, so that some only just fail it. chosen."""
    whale_tail: float = 1.1
    """Pareto exponent. Sources: transfers of Bitcoin have a tail exponent near 1 (Kondor et al., PLoS ONE
    2014, on wealth)."""
    whale_cap_btc: float = 12_000.0
    """chosen: what an exchange moves between its own wallets on a large day."""
    round_amount: float = 0.22
    """A payer thinks in round amounts of bitcoin. chosen: Moeser and Narayanan find 11 to 48 % of change
    recognisable by it, by how round."""

    # --- wallets ------------------------------------------------------------------------------------
    input_counts: tuple[float, ...] = (0.38, 0.27, 0.13, 0.07, 0.05, 0.04, 0.03, 0.03)
    """How many coins a new payer holds: 1, 2, 3, ... Sources: fitted so that all transactions together have
    as many inputs as those of block 300025 (52 % have one, three quarters at most two, nine in ten at most
    five)."""
    exact_payment: float = 0.07
    """No change: the payer sends all there is. Sources: block 300025, 10 % have one output."""
    new_payer: float = 0.5
    """A payer's coins are older than the simulation. chosen: most coins spent are."""
    new_payee: float = 0.6
    """A payee has no wallet yet. chosen."""
    receive_reuse: float = 0.15
    """A payee gives an old address again. chosen."""
    change_reuse: float = 0.10
    """Change returns to the script of an input. chosen: half of 2014's quarter."""
    change_other_form: float = 0.05
    """Change is of another type than the inputs. chosen."""
    change_round: float = 0.0
    """Change is the round amount, the payment is not: the rule of thumb turned round."""
    replaceable: float = 0.75
    """Signals BIP 125. chosen: most wallets do by default today."""
    anti_fee_sniping: float = 0.4
    """Locktime is the tip's height. chosen: Bitcoin Core and Electrum do."""
    unconfirmed_spend: float = 0.15
    """A payer spends a coin that still waits. Sources: a third in the pools of 2014 depended on another;
    halved, because exchanges of then chained their withdrawals and batch them now."""

    # --- fees ---------------------------------------------------------------------------------------
    fixed_fee: float = 0.25
    """Uses a rate once set and never touched. Sources: pools of 2014, where it was nearly everybody."""
    fixed_rates_sat_vb: tuple[float, ...] = (1.0, 1.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)
    """chosen."""
    frugal: float = 0.15
    """Bids between the relay minimum and 1 sat/vB. chosen: since 2025 blocks hold such transactions."""
    whole_rate: float = 0.45
    """An estimate is rounded up to whole satoshis by virtual byte. chosen: many wallets still do."""
    overpay: float = 0.04
    """Bids a multiple of what is needed. Sources: pools of 2014, whose best per cent bid three times the
    median or more."""
    overpay_tail: float = 1.3
    """Pareto exponent of that multiple. chosen."""
    fee_sigma: float = 0.25
    """Of the logarithm of a bid around its estimate. chosen."""
    service_floor_sat_vb: float = 1.0
    """An exchange never bids less. chosen: the relay minimum of the years in which its software was made."""
    estimate_interval_s: float = 30.0
    """How old the estimate of a wallet is at most. chosen."""

    # --- changes of mind ----------------------------------------------------------------------------
    bump: float = 0.06
    """A sender replaces what waits. chosen: mempool.space shows replacements of a few per cent."""
    bump_again: float = 0.3
    """And does it once more. chosen."""
    bump_after_s: float = 240.0
    """Mean patience. chosen."""
    bump_other_payee: float = 0.06
    bump_cancel: float = 0.06
    bump_other_amount: float = 0.08
    """What a replacement is, if not a higher fee for the same. chosen: a double spend is rare, and the one
    that matters."""
    rescue: float = 0.04
    """A payee or sender pays for a parent that waits (CPFP). chosen."""
    rescue_after_s: float = 300.0

    # --- exchanges ----------------------------------------------------------------------------------
    exchange_fresh_change: float = 0.25
    """Share of exchanges whose change goes to scripts never seen. chosen."""
    deposit_reuse: float = 0.7
    """A customer pays to the address of last time. chosen."""
    deposit_to_hot: float = 0.15
    """A large customer pays to a published wallet of the exchange itself. chosen."""
    sweep_at_count: int = 12
    """Deposits an exchange gathers before it sweeps them. chosen."""
    batch_tail: float = 0.7
    """Pareto exponent of the payments of a batch, from two. Sources: fitted to block 300025, which has 21
    outputs at 99 %."""
    batch_cap: int = 250
    """chosen."""
    shared_custody: float = 0.0
    """Share of an exchange's moves to cold storage that go to a script never seen before: somebody else keeps
    the coins for it."""
    customers_per_exchange: int = 400
    """With a deposit address each. chosen."""

    # --- miners and blocks --------------------------------------------------------------------------
    template_lag_median_s: float = 38.0
    template_lag_sigma: float = 0.55
    """Age a transaction needs to be in a template. Sources: pools of 2014, fees of 20 sat/vB and more: 20 %
    of those aged 20 to 30 s were in the next block, 52 % at 30 to 45 s, 84 % at 60 to 90 s."""
    empty_block: float = 0.01
    """chosen: fewer than one in a hundred since 2020."""
    stale_template: float = 0.02
    """The template is minutes old. chosen."""
    stale_template_s: float = 180.0
    unannounced: float = 0.3
    """A block has transactions nobody saw before: mean number. chosen."""
    accelerated: float = 0.2
    """A miner takes what was paid for elsewhere: mean number by block. chosen."""
    skipped: float = 0.0
    """A miner leaves out what pays enough: share of the template."""
    mined_double_spend: float = 0.01
    """A block contains another payment of a coin than the one that waits. chosen: rare."""
    natural_fork: float = 2.5e-4
    """Two blocks at one height. Sources: stale blocks of recent years are about one in four thousand."""

    # --- demand -------------------------------------------------------------------------------------
    daily_swing: float = 0.25
    """Demand at the best hour above its mean. chosen."""
    busiest_hour_utc: float = 15.0
    """chosen: Europe's afternoon and America's morning."""
    burst_every_s: float = 5_400.0
    burst_length_s: float = 600.0
    burst_factor: float = 1.8
    """chosen."""


def mean_habits() -> Habits:
    """Return a world that breaks the rules of thumb a detector may lean on."""
    return Habits(
        round_amount=0.05,
        change_reuse=0.0,
        change_other_form=0.35,
        change_round=0.3,
        exchange_fresh_change=0.8,
        deposit_reuse=0.2,
        deposit_to_hot=0.02,
        shared_custody=0.4,
        bump_other_payee=0.25,
        template_lag_sigma=0.9,
        stale_template=0.15,
        empty_block=0.05,
        accelerated=3.0,
        skipped=0.05,
        ordinary_mix=_ordinary_mix() | {"payjoin": 6.0, "coinjoin": 3.0},
        whale_mix=_whale_mix() | {"whale_coinjoin": 6.0, "whale_sweep": 8.0},
    )


_ABOVE_ZERO: Final = frozenset({
    "payment_median_btc", "whale_floor_btc", "whale_cap_btc", "whale_tail", "overpay_tail", "batch_tail",
    "batch_cap", "bump_after_s", "rescue_after_s", "burst_every_s", "burst_length_s",
    "customers_per_exchange",
})  # fmt: skip
"""Means, medians, tails and numbers that something is divided by or chosen from."""


def with_habits(habits: Habits, changes: dict[str, float]) -> Habits:
    """Return habits with some figures changed.

    Raises:
        ValueError: there is no such figure, or it cannot be that.
    """
    numbers = {
        f.name: value for f in fields(habits) if isinstance(value := getattr(habits, f.name), int | float)
    }
    for name, value in changes.items():
        if name not in numbers:
            raise ValueError(f"expected a habit such as {', '.join(sorted(numbers)[:4])}, found {name!r}")
        if value < 0:
            raise ValueError(f"expected {name} of 0 or more, found {value:g}")
    typed: dict[str, Any] = {name: type(numbers[name])(value) for name, value in changes.items()}
    for name in _ABOVE_ZERO & typed.keys():
        if not typed[name]:
            raise ValueError(f"expected {name} above 0, found {changes[name]:g}")
    return replace(habits, **typed)
