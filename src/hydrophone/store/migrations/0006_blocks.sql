-- Which blocks we heard of, and how many whales nobody had told us of before they were in them.

CREATE TABLE blocks (
    height INTEGER NOT NULL,
    block_hash TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    heard_at TIMESTAMP NOT NULL,
    ours BOOLEAN NOT NULL DEFAULT TRUE,             -- it came since we first began
    whales INTEGER,                                 -- in it; NULL until its contents were told
    unseen INTEGER                                  -- of those, not announced to us before
);

ALTER TABLE mempool_predictions ADD COLUMN sighting TEXT;             -- announced, late, mined
ALTER TABLE prediction_outcomes ADD COLUMN change TEXT;               -- fee_bump, other_amount, other_payee, cancelled
ALTER TABLE prediction_outcomes ADD COLUMN reason TEXT;               -- how we know, where that is not plain
