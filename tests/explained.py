"""Transactions to explain: made up, in Esplora's JSON, one for each kind of answer."""

from typing import Any, Final

from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.script import Network, script_from_address
from tests.builders import Json, output_json, txid_of, wpkh

BTC: Final = 100_000_000
KRAKEN_ADDRESS: Final = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
"""Sources: BIP 173, examples; nobody's, so a label file may give it to anybody."""
KRAKEN: Final = script_from_address(KRAKEN_ADDRESS, Network.MAINNET)
BINANCE: Final = wpkh(0xB1)
POOL: Final = wpkh(0xB2)
BOOK: Final = LabelBook(
    [
        Label(KRAKEN, Entity("Kraken", EntityKind.EXCHANGE), Role.HOT, "test", 0.9),
        Label(BINANCE, Entity("Binance", EntityKind.EXCHANGE), Role.DEPOSIT, "test", 0.97),
        Label(POOL, Entity("AntPool", EntityKind.POOL), Role.UNKNOWN, "test", 0.9),
    ]
)
Coins = tuple[tuple[bytes, int], ...]


def taproot(number: int) -> bytes:
    return b"\x51\x20" + number.to_bytes(32, "big")


def esplora(name: str, spent: Coins, paid: Coins, *, has_prevouts: bool = True) -> Json:
    """Return a transaction that spends and pays scripts and satoshis; the fee is the difference."""
    inputs: list[dict[str, Any]] = [
        {
            "txid": txid_of(f"parent {index} of {name}"),
            "vout": 0,
            "sequence": 0xFFFFFFFD,
            "is_coinbase": False,
            "prevout": output_json(value_sat, script) if has_prevouts else None,
        }
        for index, (script, value_sat) in enumerate(spent)
    ]
    return {
        "txid": txid_of(name),
        "vin": inputs,
        "vout": [output_json(value_sat, script) for script, value_sat in paid],
        "weight": 400 + 400 * len(spent),
        "fee": sum(value for _, value in spent) - sum(value for _, value in paid),
    }


DEPOSIT: Final = esplora(
    "deposit",
    ((wpkh(7), 800 * BTC), (wpkh(8), 250 * BTC)),
    ((BINANCE, 1000 * BTC), (wpkh(9), 49 * BTC + 99_990_000)),
)
WITHDRAWAL: Final = esplora(
    "withdrawal", ((KRAKEN, 1000 * BTC),), ((taproot(3), 150 * BTC), (KRAKEN, 849 * BTC + 99_990_000))
)
SWEEP: Final = esplora(
    "sweep", tuple((wpkh(20 + i), (30 + i) * BTC) for i in range(8)), ((KRAKEN, 267 * BTC + 99_990_000),)
)
COINJOIN: Final = esplora(
    "coinjoin",
    tuple((wpkh(40 + i), 5_010_000) for i in range(5)),
    tuple((wpkh(50 + i), 5_000_000) for i in range(5)),
)
_PAYOUTS: Final = tuple(
    (wpkh(70 + i) if i % 2 else taproot(70 + i), (i + 1) ** 2 * 1_234_567) for i in range(30)
)
BATCH: Final = esplora("batch", ((wpkh(60), sum(value for _, value in _PAYOUTS) + 50_000),), _PAYOUTS)
UNSEEN: Final = esplora(
    "unseen", ((wpkh(7), 800 * BTC),), ((BINANCE, 700 * BTC), (wpkh(9), 99 * BTC)), has_prevouts=False
)
SMALL: Final = esplora("small", ((wpkh(7), 2 * BTC),), ((wpkh(5), BTC), (POOL, 90_000_000)))
COINBASE: Final[Json] = {
    "txid": txid_of("coinbase"),
    "vin": [{"is_coinbase": True, "sequence": 0xFFFFFFFF, "prevout": None}],
    "vout": [output_json(312_500_000)],
    "weight": 800,
    "fee": 0,
}
ALL: Final = (DEPOSIT, WITHDRAWAL, SWEEP, COINJOIN, BATCH, UNSEEN, SMALL)
