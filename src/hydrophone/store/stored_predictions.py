"""Reads predictions as REST answers them: pages by key, and one with all that belongs to it."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import duckdb

from hydrophone.domain.entity_names import entity_key
from hydrophone.domain.units import (
    SATS_PER_BTC,
    Txid,
    UnixMicros,
    btc_from_sats,
    datetime_from_micros,
    micros_from_datetime,
)
from hydrophone.errors import UnknownTransaction
from hydrophone.wire.public_v1 import link_to
from hydrophone.wire.rest_json import parse_addresses, parse_entities, parse_history, parse_numbers
from hydrophone.wire.rest_queries import PredictionsQuery
from hydrophone.wire.rest_v1 import (
    CorrectionV1,
    EvidenceV1,
    OutcomeV1,
    PredictionDetailV1,
    PredictionsPageV1,
    PredictionV1,
)

_ROWS_AT_ONCE: Final = 100
"""# chosen: spelled in a millisecond, after which other threads have their turn."""
_FIRST_WINDOW: Final = timedelta(days=1)
_GROWTH: Final = 8
"""Pages are looked for in the newest day, then in the eight before it, and so on: most are found at once, and
the last look is at all there is. # chosen: four looks cover ninety days."""
_LOOKS: Final = 4
_CLOCK_SET_BACK: Final = timedelta(days=1)
"""So much before it was heard something may end, by the clock. # chosen: more than a wrong time zone."""
_EARLIEST: Final = datetime(1970, 1, 1)  # noqa: DTZ001 -- the store keeps naive times

_TIMES: Final = frozenset(
    {"detection_timestamp", "received_at", "published_at", "ended_at", "confirmation_time"}
)
_ENDS: Final = (
    "prediction_id", "actual_outcome", "ended_at", "confirmation_time", "confirmation_block",
    "accuracy_score", "time_to_confirmation", "lead_time_s", "within_p50", "within_p90",
    "final_fee_rate", "change", "reason",
)  # fmt: skip
_PLAIN: Final = (
    "prediction_id", "transaction_id", "flow_type", "flow_subtype", "flow_reason", "confidence_score",
    "detection_timestamp", "received_at", "published_at",
    "btc_value", "weight_wu", "fee_rate", "effective_fee_rate", "urgency_score", "urgency_basis",
    "urgency_reason", "rbf_enabled", "predicted_confirmation_block", "eta_p50_s", "eta_p90_s", "p_replaced",
    "p_dropped", "calibrated", "confirmation_height", "replaced_by", "sighting", "source", "simulated",
    "label_set", "text",
)  # fmt: skip
_AMOUNTS: Final = ("gross", "moved", "inflow", "outflow", "internal", "interexchange", "fee")
_AMOUNT_NAMES: Final = tuple((f"{name}_sat", f"{name}_btc") for name in _AMOUNTS)
_PARSED: Final = (
    "status", "was_modified", "flow_probabilities", "p_confirm", "exchange_addresses", "entities", "history",
)  # fmt: skip
_COLUMNS: Final = (*_PLAIN, *(name_sat for name_sat, _ in _AMOUNT_NAMES), *_PARSED)
"""In the order in which `_described` takes them apart: by place, in half of the time that names take."""

Key = tuple[datetime, str]


def naive(moment: object) -> datetime | None:
    """Return a moment as the store keeps it; None for one that was not told."""
    return moment.astimezone(UTC).replace(tzinfo=None) if isinstance(moment, datetime) else None


def spellings_of(connection: duckdb.DuckDBPyConnection, exchange: object) -> list[str] | None:
    """Return the names under which an exchange is stored, as filters of the websocket understand it.

    Args:
        connection: to read by.
        exchange: as it was asked for; None where it was not.
    """
    if not isinstance(exchange, str):
        return None
    known = connection.execute("SELECT DISTINCT exchange FROM exchange_hours").fetchall()
    key = entity_key(exchange)
    return sorted({exchange, *(name for (name,) in known if key and entity_key(name) == key)})


def read_predictions(
    connection: duckdb.DuckDBPyConnection, query: PredictionsQuery, *, explorer_url: str | None = None
) -> PredictionsPageV1:
    """Return a page of predictions, the newest first.

    Args:
        connection: to read by, in one transaction.
        query: which.
        explorer_url: where a txid is appended; None: no links.
    """
    keys = _find_keys(connection, query)
    page = keys[: query.limit]
    if not page:
        return PredictionsPageV1([], None)
    outcomes = _read_outcomes(connection, page)
    found = connection.execute(
        f"SELECT {_spelled(_COLUMNS)} FROM mempool_predictions p "  # noqa: S608 -- our own names
        "WHERE p.detection_timestamp BETWEEN ? AND ? AND prediction_id IN (SELECT unnest(?::TEXT[])) "
        "ORDER BY p.detection_timestamp DESC, prediction_id DESC",
        [page[-1][0], page[0][0], [prediction_id for _, prediction_id in page]],
    )
    data: list[PredictionV1] = []
    while rows := found.fetchmany(_ROWS_AT_ONCE):
        data += [PredictionV1(**_described(row, outcomes, explorer_url)) for row in rows]
    cursor = None
    if len(keys) > query.limit:
        at, prediction_id = page[-1]
        cursor = f"{micros_from_datetime(at)}.{prediction_id.encode().hex()}"
    return PredictionsPageV1(data, cursor)


def read_prediction(
    connection: duckdb.DuckDBPyConnection, txid: Txid, *, explorer_url: str | None = None
) -> PredictionDetailV1:
    """Return a prediction with all that belongs to it.

    Args:
        connection: to read by, in one transaction.
        txid: of any version of its payment.
        explorer_url: where a txid is appended; None: no link.

    Raises:
        UnknownTransaction: there is none.
    """
    key = _find_version(connection, txid)
    if key is None:
        raise UnknownTransaction(
            f"{txid} is not in the database: it was no whale, was never heard, or is older than what is kept"
        )
    at, prediction_id = key
    [(*row, market, model_state, is_kept)] = connection.execute(
        f"SELECT {_spelled(_COLUMNS)}, market, model_state, "  # noqa: S608 -- our own names
        "raw_transaction IS NOT NULL FROM mempool_predictions p "
        "WHERE p.detection_timestamp = ? AND prediction_id = ? LIMIT 1",
        [at, prediction_id],
    ).fetchall()
    described = _described(row, _read_outcomes(connection, [key]), explorer_url)
    entries = connection.execute(
        "SELECT seq, recorded_at, kind, lower(hex(digest)), lower(hex(hash)) FROM record "
        "WHERE recorded_at >= ? AND prediction_id = ? ORDER BY seq",
        [at, prediction_id],
    ).fetchall()
    return PredictionDetailV1(
        **described,
        amendments=[
            CorrectionV1(_said(amended_at), reason, json.loads(before), json.loads(after))
            for amended_at, reason, before, after in connection.execute(
                "SELECT amended_at, reason, before, after FROM amendments WHERE prediction_id = ? "
                "ORDER BY amended_at",
                [prediction_id],
            ).fetchall()
        ],
        evidence=EvidenceV1(
            label_set=described["label_set"],
            model_state=model_state,
            market=None if market is None else json.loads(market),
            record=[
                {
                    "seq": seq,
                    "recorded_at": _said(recorded_at),
                    "kind": kind,
                    "digest": digest,
                    "hash": chained,
                }
                for seq, recorded_at, kind, digest, chained in entries
            ],
            raw_transaction_kept=is_kept,
            explanation=f"/api/v1/explain/{txid}",
        ),
    )


def _find_keys(connection: duckdb.DuckDBPyConnection, query: PredictionsQuery) -> list[Key]:
    """Return the keys of a page and of one more, looking in the newest days first."""
    conditions, values = _conditions(query, spellings_of(connection, query.exchange))
    begin = naive(query.from_) or _EARLIEST
    [(newest,)] = connection.execute("SELECT max(detection_timestamp) FROM mempool_predictions").fetchall()
    if newest is None:
        return []
    upper = newest + timedelta(microseconds=1)
    end = naive(query.to)
    if end is not None:
        upper = min(upper, end)
    before: Key | None = None
    if isinstance(query.cursor, str):
        micros, _, name = query.cursor.partition(".")
        at = datetime_from_micros(UnixMicros(int(micros))).replace(tzinfo=None)
        before = (at, bytes.fromhex(name).decode(errors="replace"))
        upper = min(upper, at + timedelta(microseconds=1))
    window = _FIRST_WINDOW
    keys: list[Key] = []
    for look in range(_LOOKS):
        if upper <= begin:
            break
        is_last = look == _LOOKS - 1 or upper - begin <= window
        lower = begin if is_last else upper - window
        where = [*conditions, "detection_timestamp >= ?", "detection_timestamp < ?"]
        bound = [*values, lower, upper]
        if before is not None:
            where.append("(detection_timestamp < ? OR prediction_id < ?)")  # it is at most that time already
            bound += before
        keys += _look(connection, " AND ".join(where), bound, query.limit + 1 - len(keys))
        if is_last or len(keys) > query.limit:
            break
        upper, window = lower, window * _GROWTH
    return keys


def _look(connection: duckdb.DuckDBPyConnection, where: str, bound: list[Any], most: int) -> list[Key]:
    found: list[Key] = connection.execute(
        f"SELECT detection_timestamp, prediction_id FROM mempool_predictions WHERE {where} "  # noqa: S608 -- our own words; what was asked is bound
        "ORDER BY detection_timestamp DESC, prediction_id DESC LIMIT ?",
        [*bound, most],
    ).fetchall()
    return found


def _conditions(query: PredictionsQuery, exchanges: list[str] | None) -> tuple[list[str], list[Any]]:
    conditions, values = [], []
    plain: dict[str, object] = {
        "coalesce(status, 'pending') = ?": query.status,
        "flow_type = ?": query.flow_type,
        "urgency_score >= ?": query.min_urgency,
        "btc_value >= ?": query.min_btc,
        "moved_sat >= ?": query.min_moved_btc,
    }
    for condition, value in plain.items():
        if isinstance(value, str | float | int):
            is_moved = condition.startswith("moved_sat") and not isinstance(value, str)
            conditions.append(condition)
            values.append(round(value * SATS_PER_BTC) if is_moved and not isinstance(value, str) else value)
    if exchanges is not None:
        conditions.append(f"({' OR '.join(['contains(entities::TEXT, ?)'] * len(exchanges))})")
        values += [f'"name":{json.dumps(name, ensure_ascii=False)}' for name in exchanges]
    return conditions, values


def _find_version(connection: duckdb.DuckDBPyConnection, txid: Txid) -> Key | None:
    """Return the key of a payment by any of its txids; the current one before earlier ones."""
    for condition in ("transaction_id = ?", "first_txid = ?", "contains(history::TEXT, ?)"):
        rows: list[Key] = connection.execute(
            f"SELECT detection_timestamp, prediction_id FROM mempool_predictions WHERE {condition} "  # noqa: S608 -- our own words
            "ORDER BY detection_timestamp DESC LIMIT 1",
            [txid],
        ).fetchall()
        if rows:
            return rows[0]
    return None


def _read_outcomes(connection: duckdb.DuckDBPyConnection, keys: Sequence[Key]) -> dict[str, OutcomeV1]:
    """Return how predictions ended, by their ids; those that did not are left out.

    Args:
        connection: to read by.
        keys: of the predictions, the newest first.
    """
    found = connection.execute(
        f"SELECT {_spelled(_ENDS)} FROM prediction_outcomes o "  # noqa: S608 -- our own names
        "WHERE prediction_id IN (SELECT unnest(?::TEXT[])) AND actual_outcome IS NOT NULL "
        "AND (o.ended_at IS NULL OR o.ended_at >= ?)",  # so that most of the table is not read
        [[prediction_id for _, prediction_id in keys], keys[-1][0] - _CLOCK_SET_BACK],
    )
    outcomes = {}
    while rows := found.fetchmany(_ROWS_AT_ONCE):
        for prediction_id, how, ended_at, confirmed_at, block, score, took_s, lead_s, *more in rows:
            within_p50, within_p90, fee_rate, change, reason = more
            outcomes[prediction_id] = OutcomeV1(
                actual_outcome=how,
                ended_at=ended_at,
                confirmation_time=confirmed_at,
                confirmation_block=block,
                accuracy_score=score,
                time_to_confirmation_s=took_s,
                lead_time_s=lead_s,
                within_p50=within_p50,
                within_p90=within_p90,
                final_fee_rate=fee_rate,
                change=change,
                reason=reason,
            )
    return outcomes


def _described(
    row: Sequence[Any], outcomes: Mapping[str, OutcomeV1], explorer_url: str | None
) -> dict[str, Any]:
    """Return the fields of a prediction.

    Args:
        row: of `_COLUMNS`.
        outcomes: of those that ended, by their ids.
        explorer_url: where a txid is appended; None: no link.
    """
    fields: dict[str, Any] = dict(zip(_PLAIN, row, strict=False))
    amounts_sat = row[len(_PLAIN) :]
    for (name_sat, name_btc), value_sat in zip(_AMOUNT_NAMES, amounts_sat, strict=False):
        fields[name_sat] = value_sat
        fields[name_btc] = None if value_sat is None else btc_from_sats(value_sat)
    del fields["gross_btc"]  # it is there as btc_value, as in the websocket's messages
    status, was_modified, by_flow, by_block, addresses, entities, history = row[-len(_PARSED) :]
    fields["status"] = status or "pending"
    fields["was_modified"] = bool(was_modified)
    fields["flow_probabilities"] = parse_numbers(by_flow)
    fields["confirm_probability"] = parse_numbers(by_block)
    fields["exchange_addresses"] = parse_addresses(addresses)
    fields["entities"] = parse_entities(entities)
    fields["history"] = parse_history(history)
    fields["outcome"] = outcomes.get(fields["prediction_id"])
    fields["explorer_url"] = link_to(explorer_url, fields["transaction_id"])
    return fields


def _said(moment: datetime) -> str:
    """Spell a moment as `format_instant` and the database do, in a fifth of the former's time."""
    return f"{moment.isoformat(timespec='microseconds')}Z"


def _spelled(columns: Sequence[str]) -> str:
    """Return columns as a query names them; the database spells times, in a third of Python's time."""
    return ", ".join(
        f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ') AS {name}" if name in _TIMES else name for name in columns
    )
