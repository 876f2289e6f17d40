"""Makes the label set that ships with the package out of a research list of cited addresses.

    python -m evaluation.make_curated_labels core.csv

The list has one row for each address: address, entity, category, role, evidence_class, latest_source (a date)
and sources, among others. Run it again when the list changes; the result is checked in.
"""

import argparse
import csv
from collections import Counter
from pathlib import Path
from typing import Final

from hydrophone.domain.labels import Entity, EntityKind, Role
from hydrophone.domain.script import Network
from hydrophone.store.label_files import CURATED_COLUMNS, load_label_file

COLUMNS: Final = (*CURATED_COLUMNS, "source_url", "licence")

CURATED_FILE: Final = Path(__file__).parents[1] / "src/hydrophone/store/curated_labels.csv"

CONFIDENCES: Final = {
    "A1": "0.97",  # in the entity's own current list
    "A2": "0.93",  # in an older list of the entity's own: may be retired
    "B": "0.85",  # two independent groups agree
}
"""By evidence class. chosen: they stand until precision can be measured. Class C (weaker) does not ship."""

KINDS: Final = {
    "exchange": EntityKind.EXCHANGE,
    # A broker and a wrapped asset's reserve hold coins for others, off the exchange's order book.
    "broker": EntityKind.CUSTODIAN,
    "wrapped_asset": EntityKind.CUSTODIAN,
    "miner_pool": EntityKind.POOL,
    "etf": EntityKind.ETF,
    "government_seizure": EntityKind.GOVERNMENT,
    "government_treasury": EntityKind.GOVERNMENT,
}
"""By category. One that is missing here stops the run: somebody has to decide."""


SOURCE_URLS: Final = {
    "binance-por-api": "https://www.binance.com/bapi/apex/v1/public/apex/market/por/address",
    "okx-por-csv": "https://www.okx.com/proof-of-reserves/download",
    "HTX huobi_por.csv": "https://github.com/huobiapi/Tool-Node.js-VerifyAddress",
    "htx-por": "https://github.com/huobiapi/Tool-Node.js-VerifyAddress",
    "bybit-": "https://www.bybit.com/en/app/user/audit-report",
    "mexc-": "https://www.mexc.com/proof-of-reserve/audit-report",
    "bitfinexcom/pub": "https://github.com/bitfinexcom/pub/blob/main/wallets.txt",
    "DefiLlama deribit": "https://insights.deribit.com/exchange-updates/deribit-wallet-holdings/",
    "DefiLlama coinbasebtc": "https://www.coinbase.com/cbbtc/proof-of-reserves",
    "GraphSense exchange-wallets-bitmex": "https://public.bitmex.com/?prefix=data/porl/",
    "mempool pools-v2": "https://github.com/mempool/mining-pools",
}
"""Where a list can be read that a row rests on, by how that source begins; the first that fits. A row that
rests on explorers and compilations alone has none."""

LICENCE: Final = "facts"
"""Single facts with their citations, none copied from a list in bulk."""


def source_url(sources: str) -> str:
    """Return where what a row rests on can be read; empty where there is no such place."""
    cited = sources.split("; ")
    return next(
        (url for start, url in SOURCE_URLS.items() if any(text.startswith(start) for text in cited)), ""
    )


def curated_row(row: dict[str, str]) -> dict[str, str]:
    """Return a row of the research list in our own form."""
    return {
        "address": row["address"],
        "entity": row["entity"],
        "kind": KINDS[row["category"]],
        "role": Role(row["role"]),
        "confidence": CONFIDENCES[row["evidence_class"]],
        "as_of": row["latest_source"],
        "sources": row["sources"],
        "source_url": source_url(row["sources"]),
        "licence": LICENCE,
    }


def sort_key(row: dict[str, str]) -> tuple[str, str]:
    """Return what orders rows: by entity, so that a new list shows as a small difference."""
    return Entity(row["entity"], EntityKind(row["kind"])).key, row["address"]


def main() -> None:
    """Read the research list and write the file of the package."""
    parser = argparse.ArgumentParser(description="Make the label set that ships with the package.")
    parser.add_argument("research_list", type=Path)
    research_list: Path = parser.parse_args().research_list
    with research_list.open(encoding="utf-8", newline="") as source:
        found = list(csv.DictReader(source))
    shipped = [row for row in found if row["evidence_class"] in CONFIDENCES]
    rows = sorted((curated_row(row) for row in shipped), key=sort_key)
    with CURATED_FILE.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    loaded = load_label_file(CURATED_FILE, Network.MAINNET)
    print(f"{len(found)} rows read, {len(shipped)} shipped, {len(loaded.rejected)} rejected by the loader")
    for column in ("evidence_class", "category", "role"):
        print(f"{column}: {dict(Counter(row[column] for row in shipped).most_common())}")
    for row in shipped:
        if row["conflict"]:
            print(f"in conflict: {row['address']} {row['entity']}")


if __name__ == "__main__":
    main()
