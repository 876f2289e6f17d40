"""A database of ninety busy days, as the REST measures ask it: real rows with other names, times and ends."""

import asyncio
import time
from pathlib import Path

import duckdb

from evaluation.store_bench import entries_of
from hydrophone.store.duckdb_store import DuckDbStore

DAYS = 90
TEMPLATES = 500
_ENTITIES = (
    '\'[{"name":"\' || exchange || \'","in_sat":3000000000,"out_sat":0,"net_sat":3000000000,'
    '"received":{"certain_sat":2000000000,"likely_sat":999999000,"unknown_sat":1000},'
    '"sent":{"certain_sat":0,"likely_sat":0,"unknown_sat":0}}]\''
)
_MARKET = (
    '\'{"made_at":null,"at":"2026-08-28T00:00:00.000000Z","tip":\' || (900000 + i // 15) || \',"tau_s":600.0,'
    '"waiting_wu":4e6,"ahead_wu":10.0,"inflow_wu_s":3000.0,"marginal_rate_sat_vb":2.0,"overpay":1.5}\''
)
_PREDICTIONS = f"""
    INSERT INTO mempool_predictions BY NAME
    SELECT t.* EXCLUDE (n, i, exchange, happened_at) REPLACE (
        'p' || i AS prediction_id,
        sha256('t' || i) AS transaction_id,
        sha256('t' || i) AS first_txid,
        happened_at AS detection_timestamp,
        happened_at AS received_at,
        CASE WHEN i % 3 = 0 THEN '[]' ELSE {_ENTITIES} END AS entities,
        CASE i % 4 WHEN 0 THEN 'inflow' WHEN 1 THEN 'outflow' WHEN 2 THEN 'internal' ELSE 'unknown' END
            AS flow_type,
        CASE WHEN i > $count - 200 THEN 'pending' WHEN i % 20 = 0 THEN 'replaced'
            WHEN i % 50 = 1 THEN 'dropped' ELSE 'confirmed' END AS status,
        (i % 1000) / 1000.0 AS urgency_score,
        '{{"1":0.6,"2":0.8,"3":0.9,"6":0.95,"12":0.97,"24":0.98}}' AS p_confirm,
        500.0 AS eta_p50_s, 1400.0 AS eta_p90_s, 0.01 AS p_replaced, 0.001 AS p_dropped,
        {_MARKET} AS market, 900000 + i // 15 AS market_tip,
        900002 + i // 15 AS predicted_confirmation_block,
        CASE WHEN i % 20 = 0 OR i % 50 = 1 THEN NULL ELSE 900001 + i // 15 + i % 3 END
            AS confirmation_height
    )
    FROM (
        SELECT p.*, r.range AS i, 'Exchange ' || (r.range % 25) AS exchange,
            $begin::TIMESTAMP
            + to_microseconds(CAST(r.range * ({DAYS} * 86400e6 / $count) AS BIGINT)) AS happened_at
        FROM range($count) r JOIN (SELECT *, row_number() OVER () - 1 AS n FROM template) p
        ON p.n = r.range % {TEMPLATES}
    ) t ORDER BY i
"""
_OUTCOMES = """
    INSERT INTO prediction_outcomes (outcome_id, prediction_id, transaction_id, predicted_flow,
        actual_outcome, confirmation_time, confirmation_block, accuracy_score, time_to_confirmation,
        ended_at, lead_time_s,
        within_p50, within_p90, simulated)
    SELECT 'o' || prediction_id, prediction_id, transaction_id, flow_type, status,
        CASE WHEN status = 'confirmed' THEN detection_timestamp + INTERVAL 10 MINUTE END, confirmation_height,
        0.8, 600, detection_timestamp + INTERVAL 10 MINUTE, 600.0, confirmation_height % 2 = 0,
        confirmation_height % 10 > 0, simulated
    FROM mempool_predictions WHERE status <> 'pending'
"""
_RECORD = """
    INSERT INTO record
    SELECT row_number() OVER (ORDER BY told_at, kind), told_at, kind, prediction_id,
        repeat('{"type":"whale_alert"}', 60), unhex(sha256(prediction_id)),
        unhex(sha256(kind || prediction_id))
    FROM (
        SELECT detection_timestamp AS told_at, 'signal' AS kind, prediction_id FROM mempool_predictions
        UNION ALL SELECT ended_at, 'outcome', prediction_id FROM prediction_outcomes
    )
"""
_BACKGROUND = """
    INSERT INTO blocks (height, block_hash, previous_hash, heard_at, whales, unseen)
        SELECT 900000 + range, sha256('b' || range), sha256('b' || (range - 1)),
        $begin::TIMESTAMP + to_seconds(range * 600), 15, range % 2 FROM range(12960);
    INSERT INTO source_gaps SELECT 'mempool.space', 'reconnected',
        $begin::TIMESTAMP + to_seconds(range * 7000),
        $begin::TIMESTAMP + to_seconds(range * 7000 + 60), 'the connection was lost' FROM range(1000);
    INSERT INTO amendments SELECT prediction_id, detection_timestamp + INTERVAL 1 HOUR, 'labels changed',
        '{"flow_type":"unknown"}', '{"flow_type":"' || flow_type || '"}'
        FROM mempool_predictions USING SAMPLE 1 PERCENT (bernoulli, 7);
"""


async def _begin(path: Path) -> None:
    store = DuckDbStore(path, address_of=bytes.hex)
    await store.open()
    await store.commit(entries_of(TEMPLATES))
    await store.close()


def make_history(path: Path, count: int) -> list[str]:
    """Fill a new database with so many predictions of the ninety days before now; return some of their txids.

    Args:
        path: where.
        count: predictions.
    """
    asyncio.run(_begin(path))
    begin = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - DAYS * 86_400))
    with duckdb.connect(path, config={"memory_limit": "1GB"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE TABLE template AS FROM mempool_predictions")
        for table in ("mempool_predictions", "record", "prediction_outcomes"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute(_PREDICTIONS, {"begin": begin, "count": count})
        connection.execute("DROP TABLE template")
        connection.execute(_OUTCOMES)
        connection.execute(_RECORD)
        for statement in _BACKGROUND.strip().rstrip(";").split(";"):
            connection.execute(statement, {"begin": begin} if "$begin" in statement else None)
        rows = connection.execute(
            "SELECT transaction_id FROM mempool_predictions USING SAMPLE 200 ROWS (reservoir, 7)"
        ).fetchall()
        connection.execute("CHECKPOINT")
    return [txid for (txid,) in rows]
