"""What a restart needs, read back from the tables."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import duckdb

from hydrophone.domain.flow import EntityFlow, FlowAssessment, FlowSubtype, FlowType, FlowValues
from hydrophone.domain.flow_values import Ledger
from hydrophone.domain.labels import Entity, EntityKind, Role
from hydrophone.domain.learned_labels import LEARNED_LIMIT, LearnedBy, LearnedLabel, learned_label
from hydrophone.domain.model_state import ModelState
from hydrophone.domain.outcome import Status
from hydrophone.domain.predictions import CLOSED_LIMIT, TrackedPrediction
from hydrophone.domain.revision import REMEMBERED_LIMIT
from hydrophone.domain.signal import Change, Sighting, Signal, Version
from hydrophone.domain.transaction import Output
from hydrophone.domain.units import (
    FeeRate,
    Height,
    Sats,
    Txid,
    WeightUnits,
    micros_from_datetime,
)
from hydrophone.domain.urgency import UrgencyBasis
from hydrophone.errors import MalformedMessage, StoreMismatch
from hydrophone.pipeline.ports import SavedState
from hydrophone.runtime.telemetry import get_logger
from hydrophone.store.blocks import load_blocks
from hydrophone.store.forecasts import forecast_of_row
from hydrophone.store.raw_transactions import unpack_transaction

log = get_logger(__name__)

_REORG_DAYS: Final = 2
"""# chosen: how long a confirmed prediction is still followed: 288 blocks, more than any reorg ever undid."""
_ENDED_DAYS: Final = 20
"""# chosen: a mempool forgets after 14 days (Bitcoin Core, DEFAULT_MEMPOOL_EXPIRY_HOURS), some later."""
_REASON_LENGTH: Final = 300
_ROWS_AT_ONCE: Final = 100
"""# chosen: whole rows take some 1 MB then."""
_MAX_ENDED: Final = 50_000
"""# chosen: predictions; some 6 MB of txids, one whale every 35 s for 20 days."""


_TRACKED_COLUMNS: Final = (
    "prediction_id, transaction_id, history, detection_timestamp, received_at, fee_rate, payees, status, "
    "confirmation_height"
)


def load_state(connection: duckdb.DuckDBPyConnection) -> SavedState:
    """Return what a restart needs.

    Ages are counted back from the newest thing stored, not from now: what was recent when we stopped is what
    may still change.

    Raises:
        StoreMismatch: a row holds what this program does not write.
    """
    [(last_seq, heard_at, newest_at)] = connection.execute(
        """
        SELECT
            (SELECT coalesce(max(seq), 0) FROM record),
            greatest(
                (SELECT max(recorded_at) FROM record),
                (SELECT max(ended_at) FROM source_gaps)
            ),
            greatest(
                (SELECT max(recorded_at) FROM record),
                (SELECT max(detection_timestamp) FROM mempool_predictions)
            )
        """
    ).fetchall()
    heard = None if heard_at is None else micros_from_datetime(heard_at)
    if newest_at is None:
        return SavedState(
            heard_at=heard,
            learned=load_learned(connection),
            model=_load_model(connection),
            blocks=load_blocks(connection),
        )
    open_rows = connection.execute(
        f"""
        SELECT {_TRACKED_COLUMNS}
        FROM mempool_predictions
        WHERE status IN ('pending', 'in_doubt') OR (status = 'confirmed' AND prediction_id IN (
            SELECT prediction_id FROM prediction_outcomes WHERE confirmation_time >= ?
        ))
        ORDER BY detection_timestamp, prediction_id
        """,  # noqa: S608  our own names
        [newest_at - timedelta(days=_REORG_DAYS)],
    )
    tracked = tuple(map(tracked_of_row, stream_rows(open_rows)))
    tracked_ids = {prediction.prediction_id for prediction in tracked}
    recent = connection.execute(
        """
        SELECT prediction_id, transaction_id, history FROM mempool_predictions
        WHERE detection_timestamp >= ?
        ORDER BY detection_timestamp DESC, prediction_id DESC
        LIMIT ?
        """,
        [newest_at - timedelta(days=_ENDED_DAYS), _MAX_ENDED],
    )
    ended = [txids_of_row(row) for row in stream_rows(recent) if row["prediction_id"] not in tracked_ids]
    return SavedState(
        last_seq=last_seq,
        tracked=tracked,
        ended=tuple(txid for txids in reversed(ended) for txid in txids),
        heard_at=heard,
        signals=_load_signals(connection),
        learned=load_learned(connection),
        model=_load_model(connection),
        closed=_load_closed(connection, newest_at - timedelta(days=_ENDED_DAYS)),
        blocks=load_blocks(connection),
    )


def _load_closed(connection: duckdb.DuckDBPyConnection, since: datetime) -> tuple[TrackedPrediction, ...]:
    """Return what was replaced or dropped lately, oldest first."""
    rows = connection.execute(
        f"""
        SELECT {_TRACKED_COLUMNS} FROM mempool_predictions
        WHERE status IN ('replaced', 'dropped') AND detection_timestamp >= ?
        ORDER BY detection_timestamp DESC, prediction_id DESC
        LIMIT ?
        """,  # noqa: S608  our own names
        [since, CLOSED_LIMIT],
    )
    return tuple(reversed([tracked_of_row(row) for row in stream_rows(rows)]))


def _load_model(connection: duckdb.DuckDBPyConnection) -> ModelState | None:
    """Return what was learned last about confirmation; None: nothing that this version can use.

    Rows are only ever added, so the last one is the newest also where two blocks came at once.
    """
    rows = connection.execute("SELECT state FROM model_state ORDER BY rowid DESC LIMIT 1").fetchall()
    if not rows:
        return None
    try:
        return ModelState.from_json(json.loads(rows[0][0]))
    except (ValueError, RecursionError) as error:
        log.warning("model_state_discarded", reason=str(error)[:_REASON_LENGTH])
        return None


def _load_signals(connection: duckdb.DuckDBPyConnection) -> tuple[Signal, ...]:
    """Return the newest signals that may still be corrected, oldest first.

    Since when they are is found first, by one column: sorting whole rows of ninety days does not fit into the
    memory limit.
    """
    meant = "raw_transaction IS NOT NULL AND status IN ('pending', 'in_doubt', 'confirmed')"
    since = connection.execute(
        f"SELECT detection_timestamp FROM mempool_predictions WHERE {meant} "  # noqa: S608  our own words
        "ORDER BY detection_timestamp DESC LIMIT 1 OFFSET ?",
        [REMEMBERED_LIMIT - 1],
    ).fetchall()
    rows = connection.execute(
        f"""
        SELECT * FROM mempool_predictions
        WHERE {meant} AND detection_timestamp >= ?
        ORDER BY detection_timestamp DESC, prediction_id DESC
        LIMIT ?
        """,  # noqa: S608  our own words
        [since[0][0] if since else datetime.min, REMEMBERED_LIMIT],  # noqa: DTZ901  as it is stored
    )
    signals = reversed([signal_of_row(row) for row in stream_rows(rows)])
    # Where a miner preferred an older version, the one that was kept is not what happened.
    return tuple(signal for signal in signals if signal.transaction.txid == signal.txid)


def load_learned(connection: duckdb.DuckDBPyConnection) -> tuple[LearnedLabel, ...]:
    """Return what was learned about scripts, oldest first; of very much, the newest."""
    rows = connection.execute(
        "SELECT * FROM learned_scripts ORDER BY learned_at DESC, script DESC LIMIT ?", [LEARNED_LIMIT]
    )
    return tuple(reversed([_learned_of_row(row) for row in stream_rows(rows)]))


def fetch_rows(result: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return the rows of a query, each by column."""
    columns = [column[0] for column in result.description]
    return [dict(zip(columns, values, strict=True)) for values in result.fetchall()]


def stream_rows(result: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    """Yield the rows of a query, each by column, some at a time.

    What all of them take at once, the process would keep: a start reads three thousand whole rows.

    Args:
        result: nothing else may be asked of its connection until all were taken.
    """
    columns = [column[0] for column in result.description]
    while rows := result.fetchmany(_ROWS_AT_ONCE):
        for values in rows:
            yield dict(zip(columns, values, strict=True))


def tracked_of_row(row: Mapping[str, Any]) -> TrackedPrediction:
    """Return what the core remembers of a stored prediction.

    A row that the quickstart's INSERT made has no history, no payees and no time of receipt.

    Raises:
        StoreMismatch: the row holds what this program does not write.
    """
    detected_at = micros_from_datetime(row["detection_timestamp"])
    received_at, height = row["received_at"], row["confirmation_height"]
    with _expected_content(f"prediction {row['prediction_id']}"):
        return TrackedPrediction(
            prediction_id=row["prediction_id"],
            txid=Txid(row["transaction_id"]),
            history=_history_of(row),
            detected_at=detected_at,
            seen_at=detected_at if received_at is None else micros_from_datetime(received_at),
            fee_rate_sat_vb=_fee_rate(row["fee_rate"]),
            payees=_payees_of(row),
            status=Status(row["status"]),
            confirmation_height=None if height is None else Height(height),
        )


def signal_of_row(row: Mapping[str, Any]) -> Signal:
    """Return a stored signal as it was said; what it rested on is not kept.

    Raises:
        StoreMismatch: the row holds what this program does not write.
    """
    with _expected_content(f"prediction {row['prediction_id']}"):
        flow = _flow_of(row)
        return Signal(
            prediction_id=row["prediction_id"],
            txid=Txid(row["transaction_id"]),
            history=_history_of(row),
            transaction=unpack_transaction(row["raw_transaction"]),
            flow=flow,
            gross_sat=Sats(row["gross_sat"]),
            fee_sat=None if row["fee_sat"] is None else Sats(row["fee_sat"]),
            weight_wu=WeightUnits(row["weight_wu"]),
            fee_rate_sat_vb=_fee_rate(row["fee_rate"]),
            effective_fee_rate_sat_vb=_fee_rate(row["effective_fee_rate"]),
            urgency_score=row["urgency_score"],
            urgency_basis=UrgencyBasis(row["urgency_basis"]),
            rbf_enabled=row["rbf_enabled"],
            detected_at=micros_from_datetime(row["detection_timestamp"]),
            seen_at=micros_from_datetime(row["received_at"]),
            payees=_payees_of(row),
            source=row["source"],
            is_simulated=row["simulated"],
            label_set=row["label_set"],
            sighting=Sighting(row["sighting"] or Sighting.ANNOUNCED),
            forecast=forecast_of_row(row, flow.confidence),
        )


def _flow_of(row: Mapping[str, Any]) -> FlowAssessment:
    probabilities = json.loads(row["flow_probabilities"])
    inflow, outflow = row["inflow_sat"], row["outflow_sat"]
    interexchange = row["interexchange_sat"]
    return FlowAssessment(
        flow_type=FlowType(row["flow_type"]),
        subtype=FlowSubtype(row["flow_subtype"]) if row["flow_subtype"] else None,
        probabilities={kind: probabilities[kind.value] for kind in FlowType},
        values=FlowValues(
            Sats(inflow),
            Sats(outflow),
            Sats(row["internal_sat"]),
            Sats(interexchange),
            Sats(row["moved_sat"] - inflow - outflow - interexchange),
        ),
        moved_sat=Sats(row["moved_sat"]),
        change=(),
        entities=tuple(
            EntityFlow(entity["name"], Ledger(**entity["sent"]), Ledger(**entity["received"]))
            for entity in json.loads(row["entities"])
        ),
        exchange_scripts=(),
        sender=None,
        receiver=None,
        reason=row["flow_reason"],
        evidence=None,
    )


def _learned_of_row(row: Mapping[str, Any]) -> LearnedLabel:
    with _expected_content(f"the script learned from {row['evidence']}"):
        return learned_label(
            row["script"],
            Entity(row["entity"], EntityKind.EXCHANGE),
            Role(row["role"]),
            source=row["source"],
            confidence=row["confidence"],
            learned_by=LearnedBy(row["learned_by"]),
            evidence=Txid(row["evidence"]),
            learned_at=micros_from_datetime(row["learned_at"]),
        )


def _history_of(row: Mapping[str, Any]) -> tuple[Version, ...]:
    return tuple(
        Version(
            Txid(version["txid"]),
            micros_from_datetime(datetime.fromisoformat(version["seen_at"])),
            _fee_rate(version["fee_rate_sat_vb"]),
            None if version.get("change") is None else Change(version["change"]),
        )
        for version in json.loads(row["history"] or "[]")
    )


def _payees_of(row: Mapping[str, Any]) -> tuple[Output, ...]:
    return tuple(
        Output(bytes.fromhex(payee["script"]), Sats(payee["value_sat"]))
        for payee in json.loads(row["payees"] or "[]")
    )


def txids_of_row(row: Mapping[str, Any]) -> list[Txid]:
    """Return the txids of all versions of a stored prediction, oldest first.

    Raises:
        StoreMismatch: the row holds what this program does not write.
    """
    with _expected_content(f"prediction {row['prediction_id']}"):
        earlier = [Txid(version["txid"]) for version in json.loads(row["history"] or "[]")]
    return [*earlier, Txid(row["transaction_id"])]


@contextmanager
def _expected_content(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, MalformedMessage) as error:
        raise StoreMismatch(
            f"expected {what} as this program writes it, found {error!r} in its columns: "
            "mend or delete that row"
        ) from error


def _fee_rate(value: float | None) -> FeeRate | None:
    return None if value is None else FeeRate(value)
