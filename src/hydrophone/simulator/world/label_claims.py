"""What a label file would say of the simulated organisations: seldom all, sometimes old, sometimes wrong."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final, NamedTuple

from hydrophone.domain.script import Network, address_from_script
from hydrophone.simulator.node.scripts import Script, make_script
from hydrophone.simulator.world.organisations import Organisations
from hydrophone.simulator.world.wallets import Owner, OwnerKind, Role, Wallet

COLUMNS: Final = ("address", "entity", "kind", "role", "confidence", "as_of", "sources")
"""Our own form of label files: see docs/api.md."""
_CONFIDENCE: Final = 0.93
_SOURCE: Final = "simulation"


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """How good a label file is. Shares in [0, 1].

    Attributes:
        coverage: of the published wallets that it has.
        deposits: of the deposit addresses that it has. chosen: they are many, and nobody publishes them; what
            is known was learned from sweeps.
        staleness: of its rows about exchanges that name scripts they no longer use.
        errors: of its rows that name somebody else.
    """

    coverage: float = 0.9
    deposits: float = 0.3
    staleness: float = 0.0
    errors: float = 0.0

    def __post_init__(self) -> None:
        for name in ("coverage", "deposits", "staleness", "errors"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"expected a share from 0 to 1 for label {name}, found {getattr(self, name):g}"
                )


class _Claim(NamedTuple):
    script: Script
    owner: Owner
    role: Role


def write_labels(
    organisations: Organisations, quality: LabelQuality, network: Network, *, seed: int, as_of: float
) -> str:
    """Return a label file in our own form.

    Args:
        organisations: whom it is about.
        quality: how good it is.
        network: decides how scripts are spelled.
        seed: of its gaps and faults; the world is not touched by them.
        as_of: its date, seconds since the epoch.
    """
    rng = Random(f"labels {seed}")  # noqa: S311 -- chance, not secrets
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    date = datetime.fromtimestamp(as_of, UTC).date().isoformat()
    names = [exchange.owner for exchange in organisations.exchanges]
    for script, owner, role in _claims(organisations):
        if rng.random() >= (quality.deposits if role is Role.DEPOSIT else quality.coverage):
            continue
        claimed, listed = owner, script
        if owner.is_exchange and rng.random() < quality.staleness:
            listed = make_script(script.form, rng)
        if rng.random() < quality.errors:
            claimed = rng.choice([name for name in names if name is not owner])
        address = address_from_script(listed.raw, network)
        if address is not None:
            kind = claimed.kind.value
            rows.writerow((address, claimed.name, kind, role.value, _CONFIDENCE, date, _SOURCE))
    return text.getvalue()


def _claims(organisations: Organisations) -> Iterator[_Claim]:
    for exchange in organisations.exchanges:
        for wallet in (exchange.hot, exchange.cold, exchange.deposits):
            yield from _of(wallet)
    for wallet in (*organisations.custodians, *organisations.pools):
        yield from _of(wallet)


def _of(wallet: Wallet) -> Iterator[_Claim]:
    role = wallet.role if wallet.owner.kind is OwnerKind.EXCHANGE else Role.OTHER
    for script in wallet.scripts:
        yield _Claim(script, wallet.owner, role)
