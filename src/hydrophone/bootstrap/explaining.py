"""Why a transaction is judged as it is: the same answer for a file, the database and a running service."""

import asyncio
from dataclasses import dataclass
from functools import partial

from hydrophone.bootstrap.parts import load_labels, report_rejected, threshold_sat, today
from hydrophone.config import Settings
from hydrophone.domain.flow import classify_flow
from hydrophone.domain.labels import LabelBook
from hydrophone.domain.learned_labels import KnownLabels, LearnedLabel
from hydrophone.domain.script import Network
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import Sats, Txid
from hydrophone.errors import MalformedMessage
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.stored_transactions import read_learned, read_transaction
from hydrophone.wire.esplora import parse_esplora_transaction
from hydrophone.wire.explanation import explain
from hydrophone.wire.explanation_v1 import ExplanationV1, SaidV1, encode_explanation


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains transactions by what is known about scripts.

    Attributes:
        network: decides how scripts are spelled as addresses.
        labels: to judge by.
        threshold_sat: a whale's outputs sum to more.
    """

    network: Network
    labels: KnownLabels
    threshold_sat: Sats

    def explain(self, tx: Transaction, said: SaidV1 | None = None) -> ExplanationV1:
        """Return the explanation of a transaction.

        Args:
            tx: it.
            said: what the database says about it.

        Raises:
            MalformedMessage: a coinbase, or a transaction without inputs or outputs: nobody sends it.
        """
        if tx.is_coinbase:
            raise MalformedMessage(f"{tx.txid} is a coinbase: it makes coins, and nobody sends them")
        if not tx.inputs or not tx.outputs:
            raise MalformedMessage(f"expected inputs and outputs in {tx.txid}, found none of one of them")
        return explain(
            tx,
            classify_flow(tx, self.labels),
            self.labels,
            self.network,
            label_set=self.labels.version,
            threshold_sat=self.threshold_sat,
            said=said,
        )

    def explain_json(self, raw: bytes) -> ExplanationV1:
        """Return the explanation of a transaction in Esplora's JSON.

        Raises:
            MalformedMessage: it is none, or a coinbase.
        """
        return self.explain(parse_esplora_transaction(raw))


def make_explainer(settings: Settings, *, learned: tuple[LearnedLabel, ...] = ()) -> Explainer:
    """Return an explainer with the labels of the settings.

    Args:
        settings: all of them.
        learned: what was learned beside them, oldest first.

    Raises:
        ConfigError: a label file cannot be used.
    """
    book, files = load_labels(settings, today())
    report_rejected(files)
    return Explainer(Network(settings.network), KnownLabels(book, learned), threshold_sat(settings))


def explain_stored(settings: Settings, txid: Txid) -> ExplanationV1:
    """Return the explanation of a transaction in a database that no service has open.

    Raises:
        UnknownTransaction: it is not there.
        StoreError: the database cannot be read.
        ConfigError: a label file cannot be used.
    """
    path = settings.store.path
    stored = read_transaction(path, txid)
    return make_explainer(settings, learned=read_learned(path)).explain(stored.transaction, stored.said)


class LiveExplainer:
    """Explains what a running service has stored, by what it knows now.

    Args:
        settings: all of them.
        book: published labels.
        known: the same and what was learned; it may grow meanwhile.
        store: open.
    """

    def __init__(self, settings: Settings, book: LabelBook, known: KnownLabels, store: DuckDbStore) -> None:
        self._settings = settings
        self._book = book
        self._known = known
        self._store = store

    async def explain(self, txid: Txid) -> bytes:
        """Return the explanation as JSON; the work is done beside the event loop.

        Raises:
            UnknownTransaction: it is not stored.
            StoreError: the database cannot be read.
        """
        stored = await self._store.find_transaction(txid)
        tx = stored.transaction
        scripts = [i.prevout.script for i in tx.inputs if i.prevout is not None]
        found = (label for script in scripts for label in self._known.lookup(script))
        also = (label for output in tx.outputs for label in self._known.lookup(output.script))
        learned = [label for label in (*found, *also) if isinstance(label, LearnedLabel)]
        explainer = Explainer(
            Network(self._settings.network), KnownLabels(self._book, learned), threshold_sat(self._settings)
        )
        return await asyncio.to_thread(partial(_encode, explainer, tx, stored.said))


def _encode(explainer: Explainer, tx: Transaction, said: SaidV1) -> bytes:
    return encode_explanation(explainer.explain(tx, said))
