"""WhaleFlowDetector: the flow model as a library, for one transaction at a time."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final, TypedDict

from hydrophone.domain.flow import classify_flow
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.script import Network
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import btc_from_sats, sats_from_btc
from hydrophone.errors import ConfigError, MalformedMessage
from hydrophone.store.label_files import build_label_book
from hydrophone.wire.esplora import parse_esplora_transaction
from hydrophone.wire.explanation import answer, explain
from hydrophone.wire.explanation_v1 import AnswerV1, explanation_as_dict

_THRESHOLD_BTC: Final = Decimal(100)
"""Sources: the service's own default, `whale.threshold_btc`."""


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
        flow_subtype: what the direction does not say, such as sweep or interexchange; None: nothing.
        probabilities: by flow type; they sum to 1.
        values: the value net of change by direction.
        entities: exchanges on either side, largest amount first.
        exchange_addresses: addresses with an undisputed label of an exchange, inputs first.
        confidence: probability of `flow_type`.
        reason: why the flow is unknown; None when it is not.
        shape: what the transaction looks like (coinjoin_..., batch, consolidation); None: a plain payment.
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
    shape: str | None


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
        threshold_btc: what `explain` calls a whale has outputs that sum to more.

    Raises:
        ConfigError: the network or the threshold is none, a label file is unusable, or both `labels` and
            `book` are given.
    """

    def __init__(
        self,
        labels: Sequence[str | Path] = (),
        *,
        network: str = "mainnet",
        book: LabelBook | None = None,
        threshold_btc: str | Decimal = _THRESHOLD_BTC,
    ) -> None:
        if network not in tuple(Network):
            raise ConfigError(f"expected a network among {', '.join(Network)}, found {network!r}")
        if labels and book is not None:
            raise ConfigError("expected label files or a label book, found both: add the files to the book")
        try:
            self._threshold_sat = sats_from_btc(threshold_btc)
        except ValueError as error:
            raise ConfigError(f"threshold_btc: {error}") from error
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
        return None if tx is None else _result_of(answer(tx, classify_flow(tx, self._book), self._network))

    def explain(self, tx_data: Mapping[str, object]) -> dict[str, Any] | None:
        """Return why a transaction is judged as it is, as the command `explain --json` does.

        Args:
            tx_data: as for `classify`.

        Returns:
            None for what cannot be judged: a coinbase, or no such transaction.
        """
        tx = _parse(tx_data)
        if tx is None:
            return None
        explanation = explain(
            tx,
            classify_flow(tx, self._book),
            self._book,
            self._network,
            label_set=self._book.version,
            threshold_sat=self._threshold_sat,
        )
        return explanation_as_dict(explanation)


def _result_of(e: AnswerV1) -> FlowResult:
    return {
        "txid": e.txid,
        "btc_value": btc_from_sats(e.gross_sat),
        "moved_btc": btc_from_sats(e.moved_sat),
        "gross_sat": e.gross_sat,
        "moved_sat": e.moved_sat,
        "fee_rate": e.fee_rate,
        "rbf_enabled": e.rbf_enabled,
        "flow_type": e.flow_type,
        "flow_subtype": e.flow_subtype,
        "probabilities": e.probabilities,
        "values": {
            "inflow_sat": e.values.inflow_sat,
            "outflow_sat": e.values.outflow_sat,
            "internal_sat": e.values.internal_sat,
            "interexchange_sat": e.values.interexchange_sat,
            "unknown_sat": e.values.unknown_sat,
        },
        "entities": [
            {
                "name": entity.name,
                "in_sat": entity.in_sat,
                "out_sat": entity.out_sat,
                "net_sat": entity.net_sat,
            }
            for entity in e.entities
        ],
        "exchange_addresses": e.exchange_addresses,
        "confidence": e.confidence,
        "reason": e.flow_reason,
        "shape": e.shape,
    }


@cache
def _default_book(network: Network) -> LabelBook:
    """Return the labels that ship with the package; read once, however many detectors there are."""
    book, _ = build_label_book(network, ())
    return book


def _parse(tx_data: object) -> Transaction | None:
    """Return a transaction given as a mapping; None when it is none, or one that nobody sends."""
    if not isinstance(tx_data, Mapping):
        return None
    try:
        tx = parse_esplora_transaction(json.dumps(dict(tx_data)).encode())
    except (TypeError, ValueError, RecursionError, MalformedMessage):  # the first three: no JSON at all
        return None
    return tx if tx.inputs and tx.outputs and not tx.is_coinbase else None
