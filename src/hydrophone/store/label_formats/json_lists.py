"""Lists that their publishers keep as one JSON document.

Its addresses have no line numbers of their own, so the line of each is looked for in the text.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from hydrophone.domain.labels import EntityKind
from hydrophone.store.label_formats.rows import KEPT_TEXT_LENGTH, RawRow, UnknownFormError

OFAC: Final = "OFAC sanctions list"
_BITCOIN: Final = "BTC"
_POOL_CONFIDENCE: Final = "0.85"
"""# chosen: as what two groups agree on: payouts are seen on the chain, whose they are is read from a tag."""
_PUBLISHED_CONFIDENCE: Final = "0.97"
"""# chosen: as an entity's own current list."""


def is_ofac(text: str) -> bool:
    """Whether a file may be an array of addresses."""
    start = "".join(text[:KEPT_TEXT_LENGTH].split())
    return start.startswith('["') or start == "[]"


def is_mining_pools(text: str) -> bool:
    """Whether a file may be an array of objects."""
    return "".join(text[:KEPT_TEXT_LENGTH].split()).startswith("[{")


def is_binance(text: str) -> bool:
    """Whether a file may be the answer of Binance."""
    start = text[:KEPT_TEXT_LENGTH].lstrip()
    return start.startswith("{") and '"data"' in text


def read_ofac(text: str) -> Iterator[RawRow]:
    """Yield the addresses of a sanctions list: a JSON array of texts.

    Sources: 0xB10C/ofac-sanctioned-digital-currency-addresses, branch lists, sanctioned_addresses_XBT.json.

    Raises:
        UnknownFormError: it is no such array.
    """
    lines = _Lines(text)
    for address in _array(_load(text), "addresses"):
        if not isinstance(address, str):
            yield RawRow(lines.last, str(address), problem="expected an address as text")
            continue
        fields = {
            "address": address,
            "entity": OFAC,
            "kind": EntityKind.SANCTIONED.value,
            "confidence": _PUBLISHED_CONFIDENCE,
        }
        yield RawRow(lines.find(address), address, fields)


def read_mining_pools(text: str) -> Iterator[RawRow]:
    """Yield the payout addresses of mining pools.

    Sources: mempool/mining-pools, pools-v2.json: an array of `{id, name, addresses[], tags[], link}`.

    Raises:
        UnknownFormError: it is no such array.
    """
    lines = _Lines(text)
    for pool in _array(_load(text), "pools"):
        name = pool.get("name") if isinstance(pool, dict) else None
        addresses = pool.get("addresses") if isinstance(pool, dict) else None
        if not isinstance(name, str) or not isinstance(addresses, list):
            problem = "expected a pool with a name and an array of addresses"
            yield RawRow(lines.last, str(pool), problem=problem)
            continue
        line = lines.find(name)
        for address in addresses:
            if not isinstance(address, str):
                yield RawRow(line, str(address), problem="expected an address as text")
                continue
            fields = {
                "address": address,
                "entity": name,
                "kind": EntityKind.POOL.value,
                "confidence": _POOL_CONFIDENCE,
                "citation": "payout address",
            }
            yield RawRow(lines.find(address), f"{name}: {address}", fields)


def read_binance(text: str) -> Iterator[RawRow]:
    """Yield the bitcoin addresses of Binance's proof of reserves.

    Sources: https://www.binance.com/bapi/apex/v1/public/apex/market/por/address: `data[] {network, address}`.

    Raises:
        UnknownFormError: it is no such answer.
    """
    lines = _Lines(text)
    document = _load(text)
    if not isinstance(document, dict):
        raise UnknownFormError("expected a JSON object with an array `data`")
    for entry in _array(document.get("data"), "`data`"):
        network = entry.get("network") if isinstance(entry, dict) else None
        address = entry.get("address") if isinstance(entry, dict) else None
        if not isinstance(network, str) or not isinstance(address, str):
            yield RawRow(lines.last, str(entry), problem="expected an entry with network and address as text")
            continue
        line = lines.find(address)
        if network != _BITCOIN:
            yield RawRow(line, address, skipped=f"an address of {network[:KEPT_TEXT_LENGTH]}")
            continue
        fields = {
            "address": address,
            "entity": "Binance",
            "kind": EntityKind.EXCHANGE.value,
            "confidence": _PUBLISHED_CONFIDENCE,
            "citation": "binance-por-api",
        }
        yield RawRow(line, address, fields)


def _load(text: str) -> Any:  # noqa: ANN401 -- JSON of a stranger: every use looks what it is
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnknownFormError(f"expected one whole JSON document: {error}") from error


def _array(found: object, what: str) -> list[Any]:
    if not isinstance(found, list):
        raise UnknownFormError(f"expected a JSON array of {what}, found {type(found).__name__}")
    return found


class _Lines:
    """Says on which line the texts of a document stand, when asked in their order."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self.last = 1

    def find(self, wanted: str) -> int:
        """Return the line of a text; where it is spelled with escapes, that of the text before."""
        place = self._text.find(json.dumps(wanted, ensure_ascii=False), self._place)
        if place >= 0:
            self.last += self._text.count("\n", self._place, place)
            self._place = place
        return self.last
