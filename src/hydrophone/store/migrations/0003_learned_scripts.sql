-- Scripts whose owner transactions showed, where nobody published it.
CREATE TABLE learned_scripts (
    script BLOB NOT NULL,
    entity TEXT NOT NULL,
    role TEXT NOT NULL,                             -- hot, cold, deposit, unknown
    learned_by TEXT NOT NULL,                       -- sweep, co_spend, own_wallet
    evidence TEXT NOT NULL,                         -- txid of the transaction that settled it
    source TEXT NOT NULL,                           -- of the published claim it follows from
    confidence DOUBLE NOT NULL,                     -- in [0, 1]
    learned_at TIMESTAMP NOT NULL
);
