-- The quickstart's two tables, rebuilt, and those that the service fills beside them.
--
-- Works on an empty file and on one that the quickstart's snippet made (rows are kept). Its columns come first
-- and in its order, so that its INSERT and its queries run unchanged. What differs from the snippet, and why:
--   DOUBLE for REAL    a REAL holds 100.000001 as 100: satoshis, and whales, were lost
--   no CHECK           a parent may pay no fee at all, and NaN > 100 is true to a CHECK
--   no PRIMARY KEY     indexes triple the file and take 45 MB at 200,000 rows; the only writer keeps ids unique
--   nullable fee_rate and urgency_score    a source may not say the fee, and a made-up number is worse than none
-- Times are naive and in UTC. Amounts ending in _sat are exact.

CREATE TABLE IF NOT EXISTS mempool_predictions (
    prediction_id TEXT, transaction_id TEXT, flow_type TEXT, btc_value REAL, fee_rate REAL, urgency_score REAL,
    rbf_enabled BOOLEAN, detection_timestamp TIMESTAMP, predicted_confirmation_block INTEGER,
    exchange_addresses TEXT, confidence_score REAL, was_modified BOOLEAN, created_at TIMESTAMP
);
CREATE TABLE IF NOT EXISTS prediction_outcomes (
    outcome_id TEXT, prediction_id TEXT, transaction_id TEXT, predicted_flow TEXT, actual_outcome TEXT,
    confirmation_time TIMESTAMP, confirmation_block INTEGER, accuracy_score REAL, time_to_confirmation INTEGER,
    final_fee_rate REAL, created_at TIMESTAMP
);
ALTER TABLE mempool_predictions RENAME TO quickstart_predictions;
ALTER TABLE prediction_outcomes RENAME TO quickstart_outcomes;

CREATE TABLE mempool_predictions (
    prediction_id TEXT NOT NULL,
    transaction_id TEXT NOT NULL,                   -- the current one; earlier ones are in history
    flow_type TEXT NOT NULL,                        -- inflow, outflow, internal, unknown
    btc_value DOUBLE NOT NULL,                      -- sum of the outputs
    fee_rate DOUBLE,                                -- sat/vB
    urgency_score DOUBLE,                           -- in [0, 1]
    rbf_enabled BOOLEAN NOT NULL,
    detection_timestamp TIMESTAMP NOT NULL,         -- the first version was received
    predicted_confirmation_block INTEGER,
    exchange_addresses TEXT,                        -- JSON array
    confidence_score DOUBLE,
    was_modified BOOLEAN DEFAULT FALSE,             -- replaced by fee
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    gross_sat BIGINT,
    moved_sat BIGINT,                               -- net of change and of self-transfer
    inflow_sat BIGINT,
    outflow_sat BIGINT,
    internal_sat BIGINT,
    interexchange_sat BIGINT,
    flow_probabilities JSON,                        -- {flow_type: probability}
    entities JSON,                                  -- [{name, in_sat, out_sat, net_sat}]
    p_confirm JSON,                                 -- {blocks: probability}
    eta_p50_s DOUBLE,
    eta_p90_s DOUBLE,
    p_replaced DOUBLE,
    market JSON,
    fee_sat BIGINT,
    weight_wu BIGINT,
    effective_fee_rate DOUBLE,                      -- sat/vB, of the package
    source TEXT,
    simulated BOOLEAN,
    label_set TEXT,
    status TEXT DEFAULT 'pending',                  -- pending, in_doubt, confirmed, replaced, dropped
    replaced_by TEXT,                               -- by whom it was ended
    history JSON,                                   -- [{txid, seen_at, fee_rate_sat_vb}], oldest first
    raw_transaction BLOB,                           -- zstd
    first_seen_at TIMESTAMP,                        -- the source's own claim
    received_at TIMESTAMP,                          -- the current version was received
    published_at TIMESTAMP,                         -- the current version was handed to broadcast
    first_txid TEXT,
    flow_subtype TEXT,
    flow_reason TEXT,                               -- why the flow is unknown
    payees JSON,                                    -- [{script, value_sat}]: outputs that are probably not change
    urgency_basis TEXT,
    confirmation_height INTEGER
);
CREATE TABLE prediction_outcomes (
    outcome_id TEXT NOT NULL,
    prediction_id TEXT NOT NULL,
    transaction_id TEXT NOT NULL,
    predicted_flow TEXT NOT NULL,
    actual_outcome TEXT,                            -- confirmed, replaced, dropped
    confirmation_time TIMESTAMP,
    confirmation_block INTEGER,
    accuracy_score DOUBLE,
    time_to_confirmation INTEGER,                   -- seconds from detection
    final_fee_rate DOUBLE,                          -- sat/vB
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    ended_at TIMESTAMP                              -- we heard of the end, whichever it was
);

-- A REAL is read as its shortest decimal: 100.1 stays 100.1, a plain cast would make it 100.0999984741211.
INSERT INTO mempool_predictions (
    prediction_id, transaction_id, flow_type, btc_value, fee_rate, urgency_score, rbf_enabled, detection_timestamp,
    predicted_confirmation_block, exchange_addresses, confidence_score, was_modified, created_at, status,
    confirmation_height
)
SELECT
    p.prediction_id, p.transaction_id, p.flow_type, p.btc_value::TEXT::DOUBLE, p.fee_rate::TEXT::DOUBLE,
    p.urgency_score::TEXT::DOUBLE, p.rbf_enabled, p.detection_timestamp, p.predicted_confirmation_block,
    p.exchange_addresses, p.confidence_score::TEXT::DOUBLE, p.was_modified, p.created_at,
    coalesce(o.actual_outcome, 'pending'), o.confirmation_block
FROM quickstart_predictions p
LEFT JOIN (
    SELECT prediction_id, any_value(actual_outcome) AS actual_outcome, any_value(confirmation_block) AS confirmation_block
    FROM quickstart_outcomes
    WHERE actual_outcome IN ('confirmed', 'replaced', 'dropped')
    GROUP BY prediction_id
) o USING (prediction_id);

INSERT INTO prediction_outcomes
SELECT
    outcome_id, prediction_id, transaction_id, predicted_flow, actual_outcome, confirmation_time, confirmation_block,
    accuracy_score::TEXT::DOUBLE, time_to_confirmation, final_fee_rate::TEXT::DOUBLE, created_at,
    coalesce(confirmation_time, created_at)
FROM quickstart_outcomes;

DROP TABLE quickstart_predictions;
DROP TABLE quickstart_outcomes;

-- Every public message, chained: hash = SHA-256(previous hash, seq, message).
CREATE TABLE record (
    seq BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,                 -- what it tells was received
    kind TEXT NOT NULL,                             -- signal, amendment, outcome, successor, reopening
    prediction_id TEXT,
    message TEXT NOT NULL,                          -- the exact public text
    hash BLOB NOT NULL
);
CREATE TABLE amendments (
    prediction_id TEXT NOT NULL,
    amended_at TIMESTAMP NOT NULL,
    reason TEXT NOT NULL,
    before JSON NOT NULL,                           -- the columns that changed, as they were
    after JSON NOT NULL                             -- and as they are now
);
CREATE TABLE source_gaps (
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    started_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP NOT NULL,
    detail TEXT NOT NULL
);
CREATE TABLE schema_version (
    version INTEGER NOT NULL,
    applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    name TEXT NOT NULL
);
