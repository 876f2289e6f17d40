-- What we said stays checkable when it is dropped, and how it turned out is scored and kept by day.

-- The record with a digest of each message, so that the message may go (NULL) and the chain still verifies:
-- hash = SHA-256(previous hash, digest, "seq recorded_at kind prediction_id"), see docs/adr/0021.
-- Existing entries are chained anew by the program; a break stays a break.
ALTER TABLE record RENAME TO former_record;
CREATE TABLE record (
    seq BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,                 -- what it tells was received
    kind TEXT NOT NULL,                             -- signal, amendment, outcome, successor, reopening
    prediction_id TEXT,
    message TEXT,                                   -- the exact public text; NULL: not kept any more
    digest BLOB NOT NULL,                           -- SHA-256 of the message
    hash BLOB NOT NULL
);

ALTER TABLE mempool_predictions ADD COLUMN p_predicted DOUBLE;             -- P(confirmed by the predicted block)
ALTER TABLE mempool_predictions ADD COLUMN first_published_at TIMESTAMP;   -- the first version was handed to broadcast

-- accuracy_score is filled from now on: 1 - (p_predicted - came)^2, where came is 1 for what was confirmed by the
-- predicted block and 0 for all else; NULL where no block was predicted.
ALTER TABLE prediction_outcomes ADD COLUMN lead_time_s DOUBLE;             -- from first_published_at to the block
ALTER TABLE prediction_outcomes ADD COLUMN within_p50 BOOLEAN;             -- confirmed within P50; NULL: not confirmed, or none said
ALTER TABLE prediction_outcomes ADD COLUMN within_p90 BOOLEAN;
ALTER TABLE prediction_outcomes ADD COLUMN simulated BOOLEAN;

-- What is already there is marked as simulated or not, and held against what had been said, as far as that is known.
UPDATE prediction_outcomes AS o SET
    simulated = p.simulated,
    within_p50 = CASE WHEN o.actual_outcome = 'confirmed' THEN epoch(o.ended_at) - p.made_at_s <= p.eta_p50_s END,
    within_p90 = CASE WHEN o.actual_outcome = 'confirmed' THEN epoch(o.ended_at) - p.made_at_s <= p.eta_p90_s END
FROM (
    SELECT prediction_id, simulated, eta_p50_s, eta_p90_s,
        epoch(coalesce(TRY_CAST(market ->> 'made_at' AS TIMESTAMP), received_at)) AS made_at_s
    FROM mempool_predictions
) p WHERE p.prediction_id = o.prediction_id;

-- How predictions turned out, by UTC day of their end. Kept when the predictions themselves are not.
CREATE TABLE accuracy_daily (
    day DATE NOT NULL,
    simulated BOOLEAN NOT NULL,
    confirmed BIGINT NOT NULL,                      -- so many ended that way
    replaced BIGINT NOT NULL,
    dropped BIGINT NOT NULL,
    scored BIGINT NOT NULL,                         -- of all, those with an accuracy_score
    accuracy_score DOUBLE,                          -- their mean
    p50_known BIGINT NOT NULL,                      -- confirmed, and P50 had been said
    p50_met BIGINT NOT NULL,                        -- of those, confirmed within it
    p90_known BIGINT NOT NULL,
    p90_met BIGINT NOT NULL,
    median_lead_time_s DOUBLE,                      -- of the confirmed
    computed_at TIMESTAMP NOT NULL
);
