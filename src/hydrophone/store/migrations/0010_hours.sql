-- What was predicted and what exchanges received and sent, hour by hour, so that ninety days are a quick question.
--
-- Counted anew for each hour in which a prediction changed, as the record tells; kept when predictions go.

CREATE TABLE prediction_hours (
    hour TIMESTAMP NOT NULL,                        -- of detection
    simulated BOOLEAN NOT NULL,
    flow_type TEXT NOT NULL,
    n BIGINT NOT NULL,                              -- predictions
    open BIGINT NOT NULL,                           -- of those, with no outcome yet
    confirmed BIGINT NOT NULL,
    replaced BIGINT NOT NULL,
    dropped BIGINT NOT NULL,
    gross_sat HUGEINT NOT NULL,
    moved_sat HUGEINT NOT NULL,
    inflow_sat HUGEINT NOT NULL,
    outflow_sat HUGEINT NOT NULL,
    fee_sat HUGEINT NOT NULL
);
CREATE TABLE exchange_hours (
    hour TIMESTAMP NOT NULL,                        -- of detection
    exchange TEXT NOT NULL,
    simulated BOOLEAN NOT NULL,
    net_sat HUGEINT NOT NULL,                       -- positive: coins into it; replaced and dropped do not count
    received_n BIGINT NOT NULL,
    received_certain_sat HUGEINT NOT NULL,
    received_likely_sat HUGEINT NOT NULL,
    received_unknown_sat HUGEINT NOT NULL,
    sent_n BIGINT NOT NULL,
    sent_certain_sat HUGEINT NOT NULL,
    sent_likely_sat HUGEINT NOT NULL,
    sent_unknown_sat HUGEINT NOT NULL
);
-- One row: up to which entry of the record hours are counted. None: they were never counted.
CREATE TABLE hours_counted (
    seq BIGINT NOT NULL
);
