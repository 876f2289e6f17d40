-- When a prediction confirms, from what that was computed, and what was learned from how it turned out.
--
-- The columns p_confirm, eta_p50_s, eta_p90_s, p_replaced, market and predicted_confirmation_block exist since
-- the first migration and are filled from now on.

ALTER TABLE mempool_predictions ADD COLUMN p_dropped DOUBLE;
ALTER TABLE mempool_predictions ADD COLUMN market_tip INTEGER;        -- the newest block when it was estimated
ALTER TABLE mempool_predictions ADD COLUMN model_state TEXT;          -- model_state.state_id
ALTER TABLE mempool_predictions ADD COLUMN calibrated BOOLEAN;        -- mended by outcomes
ALTER TABLE mempool_predictions ADD COLUMN urgency_reason TEXT;

-- The market before each block, rates to a tenth, as `hydrophone estimate 5 --market FILE` reads it.
CREATE TABLE fee_market (
    recorded_at TIMESTAMP NOT NULL,
    tip INTEGER NOT NULL,
    tau_s DOUBLE NOT NULL,                          -- mean seconds between blocks
    marginal_rate DOUBLE,                           -- sat/vB, the least in the next template
    waiting_wu DOUBLE NOT NULL,
    market JSON NOT NULL
);
CREATE TABLE model_state (
    state_id TEXT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    state JSON NOT NULL
);
