"""WhaleFlowDetector: the flow model as a library, for one transaction at a time."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypedDict

from hydrophone.domain.flow import FlowAssessment, classify_flow
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.script import Network, address_from_script
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import btc_from_sats
from hydrophone.errors import ConfigError, MalformedMessage
from hydrophone.store.label_files import build_label_book
from hydrophone.wire.mempool_space import parse_esplora_transaction


class ValuesResult(TypedDict):
    """The value net of change by direction, in satoshis; the five sum to it."""

    inflow_sat: int
    outflow_sat: int
    internal_sat: int
    interexchange_sat: int
    unknown_sat: int


class EntityResult(TypedDict):
    """What one exchange receives and sends, in satoshis (expected values, change excluded)."""

    name: str
    in_sat: int
    out_sat: int
    net_sat: int


class FlowResult(TypedDict):
    """What the detector says about one transaction; plain values, fit for JSON.

    Attributes:
        txid: its id.
        btc_value: gross, the sum of the outputs in BTC.
        moved_btc: net of change and of self-transfer, in BTC.
        gross_sat: `btc_value`, exact.
        moved_sat: `moved_btc`, exact.
        fee_rate: own fee rate in sat/vB; None when the fee is not given.
        rbf_enabled: whether BIP 125 replaceability is signalled.
        flow_type: inflow, outflow, internal or unknown.
        flow_subtype: interexchange, mixed or None.
        probabilities: by flow type; they sum to 1.
        values: the value net of change by direction.
        entities: exchanges on either side, largest amount first.
        exchange_addresses: addresses with an undisputed label of an exchange, inputs first.
        confidence: probability of `flow_type`.
        reason: why the flow is unknown; None when it is not.
    """

    txid: str
    btc_value: float
    moved_btc: float
    gross_sat: int
    moved_sat: int
    fee_rate: float | None
    rbf_enabled: bool
    flow_type: str
    flow_subtype: str | None
    probabilities: dict[str, float]
    values: ValuesResult
    entities: list[EntityResult]
    exchange_addresses: list[str]
    confidence: float
    reason: str | None


class WhaleFlowDetector:
    """Says who moves how much to whom in a transaction, by the labels of exchanges.

    Example:
        >>> detector = WhaleFlowDetector()
        >>> result = await detector.classify_transaction(tx_data)  # doctest: +SKIP
        >>> if result and result["btc_value"] > 100: ...  # doctest: +SKIP

    Args:
        labels: label files (CSV) to add to the labels that ship with the package.
        network: mainnet, testnet4, signet or regtest.
        book: labels to use instead of all those.

    Raises:
        ConfigError: the network is unknown, a label file is unusable, or both `labels` and `book` are given.
    """

    def __init__(
        self, labels: Sequence[str | Path] = (), *, network: str = "mainnet", book: LabelBook | None = None
    ) -> None:
        if network not in tuple(Network):
            raise ConfigError(f"expected a network among {', '.join(Network)}, found {network!r}")
        if labels and book is not None:
            raise ConfigError("expected label files or a label book, found both: add the files to the book")
        self._network = Network(network)
        if book is not None:
            self._book = book
        elif labels:
            self._book, _ = build_label_book(self._network, [Path(path) for path in labels])
        else:
            self._book = _default_book(self._network)

    async def classify_transaction(self, tx_data: Mapping[str, object]) -> FlowResult | None:
        """Do what `classify` does; awaitable, because callers are coroutines. It never waits."""
        return self.classify(tx_data)

    def classify(self, tx_data: Mapping[str, object]) -> FlowResult | None:
        """Return what moves in a transaction, whale or not.

        Args:
            tx_data: a transaction as in Esplora's JSON (`txid`, `vin` with `prevout`, `vout`, `weight`,
                `fee`); further keys are ignored, the fee rate is computed.

        Returns:
            None for what cannot be judged: a coinbase, or no such transaction.
        """
        tx = _parse(tx_data)
        if tx is None or not tx.inputs or not tx.outputs or tx.is_coinbase:
            return None
        return self._describe(tx, classify_flow(tx, self._book))

    def _describe(self, tx: Transaction, flow: FlowAssessment) -> FlowResult:
        addresses = (address_from_script(script, self._network) for script in flow.exchange_scripts)
        return {
            "txid": tx.txid,
            "btc_value": btc_from_sats(tx.gross_sat),
            "moved_btc": btc_from_sats(flow.moved_sat),
            "gross_sat": tx.gross_sat,
            "moved_sat": flow.moved_sat,
            "fee_rate": tx.fee_rate,
            "rbf_enabled": tx.signals_rbf,
            "flow_type": flow.flow_type.value,
            "flow_subtype": None if flow.subtype is None else flow.subtype.value,
            "probabilities": {flow_type.value: share for flow_type, share in flow.probabilities.items()},
            "values": {
                "inflow_sat": flow.values.inflow_sat,
                "outflow_sat": flow.values.outflow_sat,
                "internal_sat": flow.values.internal_sat,
                "interexchange_sat": flow.values.interexchange_sat,
                "unknown_sat": flow.values.unknown_sat,
            },
            "entities": [
                {
                    "name": entity.name,
                    "in_sat": entity.in_sat,
                    "out_sat": entity.out_sat,
                    "net_sat": entity.net_sat,
                }
                for entity in flow.entities
            ],
            "exchange_addresses": [address for address in addresses if address is not None],
            "confidence": flow.confidence,
            "reason": flow.reason,
        }


@cache
def _default_book(network: Network) -> LabelBook:
    """Return the labels that ship with the package; read once, however many detectors there are."""
    book, _ = build_label_book(network, ())
    return book


def _parse(tx_data: object) -> Transaction | None:
    """Return a transaction given as a mapping; None when it is none."""
    if not isinstance(tx_data, Mapping):
        return None
    try:
        return parse_esplora_transaction(json.dumps(dict(tx_data)).encode())
    except (TypeError, ValueError, RecursionError, MalformedMessage):  # the first three: no JSON at all
        return None
