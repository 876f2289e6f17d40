"""What the database knows about one transaction: itself, what was said about it, and what was learned."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from hydrophone.domain.learned_labels import LearnedLabel
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import Txid, format_instant, micros_from_datetime
from hydrophone.errors import MalformedMessage, StoreMismatch, UnknownTransaction
from hydrophone.store.raw_transactions import unpack_transaction
from hydrophone.store.saved_state import fetch_rows, load_learned
from hydrophone.store.schema import reading, schema_version
from hydrophone.wire.explanation_v1 import AmendmentV1, SaidV1
from hydrophone.wire.public_v1 import ValuesV1

_LEARNED_SINCE: Final = 3
"""Version of the schema that brought `learned_scripts`."""
_AMOUNTS: Final = ("moved_sat", "inflow_sat", "outflow_sat", "internal_sat", "interexchange_sat")
_COLUMNS: Final = (
    "prediction_id", "transaction_id", "detection_timestamp", "status", "flow_type", "flow_subtype",
    "flow_reason", "confidence_score", *_AMOUNTS, "label_set", "raw_transaction",
)  # fmt: skip
_FIND: Final = f"""
    SELECT {", ".join(_COLUMNS)} FROM mempool_predictions
    WHERE transaction_id = $txid OR contains(history::TEXT, $txid)
    ORDER BY transaction_id = $txid DESC, detection_timestamp DESC LIMIT 1
"""  # noqa: S608 -- our own names
"""The current version of a payment before an earlier one: a txid in the history was replaced by fee."""


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """A transaction that was signalled.

    Attributes:
        transaction: the current version of the payment.
        said: what the database says about it.
    """

    transaction: Transaction
    said: SaidV1


def read_transaction(path: Path, txid: Txid) -> StoredTransaction:
    """Return what a database that no service has open knows about a transaction.

    Args:
        path: the database.
        txid: of the current version of a payment, or of an earlier one.

    Raises:
        UnknownTransaction: it is not there, or was kept without its inputs and outputs.
        StoreError: there is no such file, or it cannot be read.
    """
    with reading(path) as connection:
        return find_transaction(connection, txid)


def read_learned(path: Path) -> tuple[LearnedLabel, ...]:
    """Return what was learned about scripts, oldest first; nothing from a file older than that.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    with reading(path) as connection:
        if schema_version(connection) < _LEARNED_SINCE:
            return ()
        return load_learned(connection)


def find_transaction(connection: duckdb.DuckDBPyConnection, txid: Txid) -> StoredTransaction:
    """Return what a connection sees of a transaction.

    Raises:
        UnknownTransaction: it is not there, or was kept without its inputs and outputs.
    """
    if schema_version(connection) == 0:
        raise StoreMismatch(
            "expected a database of ours, found one of the quickstart's, which keeps no transactions: "
            "run `hydrophone db migrate`"
        )
    rows = fetch_rows(connection.execute(_FIND, {"txid": txid}))
    if not rows:
        raise UnknownTransaction(
            f"{txid} is not in the database: it was no whale, was never heard, or is older than what is "
            "kept. Save it from an explorer as Esplora's JSON and name that file instead"
        )
    [row] = rows
    if row["raw_transaction"] is None:
        raise UnknownTransaction(
            f"{txid} is in the database without its inputs and outputs: it was stored before they were kept. "
            "Save it from an explorer as Esplora's JSON and name that file instead"
        )
    try:
        transaction = unpack_transaction(row["raw_transaction"])
    except MalformedMessage as error:
        raise StoreMismatch(
            f"raw_transaction of {txid} is not what this program writes: {error}: mend or delete that row"
        ) from error
    amendments = connection.execute(
        "SELECT amended_at, reason, before, after FROM amendments "
        "WHERE prediction_id = ? ORDER BY amended_at",
        [row["prediction_id"]],
    ).fetchall()
    return StoredTransaction(transaction, _said_of_row(row, amendments))


def _said_of_row(row: Mapping[str, Any], amendments: list[tuple[Any, ...]]) -> SaidV1:
    return SaidV1(
        prediction_id=row["prediction_id"],
        transaction_id=row["transaction_id"],
        detected_at=_instant(row["detection_timestamp"]),
        status=row["status"],
        flow_type=row["flow_type"],
        flow_subtype=row["flow_subtype"],
        flow_reason=row["flow_reason"],
        confidence=row["confidence_score"],
        values=_values_of_row(row),
        moved_sat=row["moved_sat"],
        label_set=row["label_set"],
        amendments=[
            AmendmentV1(_instant(amended_at), reason, json.loads(before), json.loads(after))
            for amended_at, reason, before, after in amendments
        ],
    )


def _values_of_row(row: Mapping[str, Any]) -> ValuesV1 | None:
    """Return the five values; None for a row that states none. The unknown one has no column."""
    if any(row[column] is None for column in _AMOUNTS):
        return None
    moved, into, out, inside, between = (row[column] for column in _AMOUNTS)
    return ValuesV1(into, out, inside, between, moved - into - out - between)


def _instant(moment: datetime) -> str:
    return format_instant(micros_from_datetime(moment))
