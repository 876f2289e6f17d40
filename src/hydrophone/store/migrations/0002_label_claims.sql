-- What was believed of whom, and when: a signal names the label set it was judged by, and this gives its claims.
--
-- Bitemporal: valid_from and valid_to say when a claim holds, recorded_from and recorded_to when we believed it
-- (recorded_to NULL: we do). The claims of a set are those believed at its first_used_at. Both are half-open.
-- Times are naive and in UTC.

CREATE TABLE label_sets (
    version TEXT NOT NULL,                          -- hash of all claims, as in mempool_predictions.label_set
    first_used_at TIMESTAMP NOT NULL,
    last_used_at TIMESTAMP NOT NULL,                -- a service last began to use it; the newest is the current one
    dated DATE,                                     -- the date by which its claims were in force or not
    claims BIGINT NOT NULL,
    scripts BIGINT NOT NULL
);
CREATE TABLE label_claims (
    claim_id UBIGINT NOT NULL,                      -- 64 bits of the hash of all that is claimed
    script BLOB NOT NULL,
    entity TEXT NOT NULL,
    kind TEXT NOT NULL,
    role TEXT NOT NULL,
    source TEXT NOT NULL,
    confidence DOUBLE NOT NULL,
    as_of DATE,
    citation TEXT NOT NULL,
    source_url TEXT NOT NULL,
    licence TEXT NOT NULL,
    valid_from DATE,
    valid_to DATE,
    recorded_from TIMESTAMP NOT NULL,
    recorded_to TIMESTAMP
);
