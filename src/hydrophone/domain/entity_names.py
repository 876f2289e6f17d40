"""Names of entities: which spellings are one name.

Sources write the same exchange in many ways. Two spellings must not look like two owners, and two owners
must not look like one: so a spelling is an alias only when it stands in the table below, with its reason.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

_SPELLINGS: Final[Mapping[str, tuple[str, ...]]] = {
    # Huobi renamed itself HTX in September 2023; explorers still say Huobi.
    "htx": ("huobi", "huobicom", "huobiglobal", "huobipro", "htxcom", "htxhuobi", "huobihtx"),
    # OKEx renamed itself OKX in January 2022.
    "okx": ("okex", "okexcom", "okxcom", "okxokex", "okexokx"),
    # Gate.io renamed itself Gate in 2025 and moved to gate.com.
    "gate": ("gateio", "gatecom", "gateexchange"),
    # The company, its app and its exchange share one set of wallets in its own published list.
    "cryptocom": ("cryptocomexchange", "cryptocomapp", "mcocryptocom"),
    # Binance's own list counts the wallets of Ceffu, its custody arm. Binance.US is another company.
    "binance": ("binancecom", "binanceexchange", "ceffu", "ceffubinancecustody"),
    # GDAX and Coinbase Pro were names of its exchange. A wrapped asset's reserve keeps a name of its own.
    "coinbase": ("coinbasecom", "coinbaseexchange", "coinbasepro", "gdax"),
    "mexc": ("mexcglobal", "mexccom"),
    "cex": ("cexio",),
    "hashkey": ("hashkeyexchange",),
    # Explorers of the WalletExplorer lineage name an exchange by its site.
    "bitfinex": ("bitfinexcom",),
    "bitmex": ("bitmexcom",),
    "bitstamp": ("bitstampnet",),
    "bittrex": ("bittrexcom",),
    "bybit": ("bybitcom",),
    "deribit": ("deribitcom",),
    "gemini": ("geminicom",),
    "kraken": ("krakencom",),
    "kucoin": ("kucoincom",),
    "poloniex": ("poloniexcom",),
    # Pools that lists of payout addresses write in two ways.
    "foundryusa": ("foundry", "foundryusapool"),
    "marapool": ("marathonpool", "mara"),
    "luxor": ("luxortech", "luxormining"),
    "rawpool": ("rawpoolcom",),
    "sigmapool": ("sigmapoolcom",),
    "bitclub": ("bitclubnetwork",),
}
"""By key: other keys for the same entity. Sources: what 311 addresses with several names are called."""

_ALIASES: Final = {alias: key for key, aliases in _SPELLINGS.items() for alias in aliases}
_REMEMBERED: Final = 4096
"""# chosen: far more entities than any book has; a look-up then costs no more than a dict access."""


@lru_cache(_REMEMBERED)
def entity_key(name: str) -> str:
    """Return what two spellings of one name share.

    Case, spaces and punctuation do not count, and neither does which alias is used.
    """
    plain = "".join(c for c in name.casefold() if c.isalnum())
    return _ALIASES.get(plain, plain)
