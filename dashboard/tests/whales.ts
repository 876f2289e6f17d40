// Alerts, predictions and whales as the service tells them; a test names only what it is about.

import type { Said } from "../src/api/stream";
import type { Alert, Entity, Prediction, StatusUpdate } from "../src/api/types";
import { fromPrediction, type Whale } from "../src/model/whale";

export const SEEN = "2026-11-26T02:00:00.000000Z";
export const SEEN_MS = Date.parse(SEEN);
const LEDGER = { certain_sat: 0, likely_sat: 0, unknown_sat: 0 };

export function entity(name: string, netSat = 0): Entity {
  return { name, in_sat: 0, out_sat: 0, net_sat: netSat, received: LEDGER, sent: LEDGER };
}

export function alertOf(change: Partial<Alert> = {}): Alert {
  return {
    prediction_id: "p1",
    transaction_id: "a".repeat(64),
    flow_type: "inflow",
    flow_subtype: null,
    flow_reason: null,
    sender_conflict: [],
    flow_probabilities: { inflow: 0.9, outflow: 0, internal: 0, unknown: 0.1 },
    values: { inflow_sat: 0, outflow_sat: 0, internal_sat: 0, interexchange_sat: 0, unknown_sat: 0 },
    btc_value: 250,
    gross_sat: 25_000_000_000,
    moved_btc: 200,
    moved_sat: 20_000_000_000,
    fee_sat: 1_000,
    weight_wu: 800,
    fee_rate: 5,
    effective_fee_rate: null,
    urgency_score: 0.5,
    urgency_basis: "fee_market",
    urgency_reason: "pays as most",
    rbf_enabled: false,
    detection_timestamp: SEEN,
    predicted_confirmation_block: 900_001,
    confirm_probability: { "1": 0.6, "2": 0.8 },
    eta_minutes: { p50: 8, p90: 25 },
    p_replaced: 0.01,
    p_dropped: 0.01,
    calibrated: false,
    market: null,
    model_state: null,
    exchange_addresses: [],
    entities: [],
    confidence_score: 0.7,
    was_modified: false,
    history: [],
    source: "mempool.space",
    simulated: false,
    label_set: "set",
    explorer_url: null,
    text: "250.00 BTC from unknown wallet to Binance",
    sighting: "announced",
    ...change,
  };
}

export function predictionOf(change: Partial<Prediction> = {}): Prediction {
  const { sender_conflict, values, eta_minutes, market, model_state, ...shared } = alertOf();
  return {
    ...shared,
    sighting: "announced",
    status: "pending",
    inflow_btc: null,
    inflow_sat: null,
    outflow_btc: null,
    outflow_sat: null,
    internal_btc: null,
    internal_sat: null,
    interexchange_btc: null,
    interexchange_sat: null,
    fee_btc: null,
    received_at: SEEN,
    published_at: SEEN,
    eta_p50_s: 480,
    eta_p90_s: 1_500,
    confirmation_height: null,
    replaced_by: null,
    outcome: null,
    ...change,
  };
}

export function whaleOf(change: Partial<Whale> = {}): Whale {
  return { ...fromPrediction(predictionOf()), ...change };
}

export function updateOf(new_status: string, change: Partial<StatusUpdate> = {}): StatusUpdate {
  return {
    prediction_id: "p1",
    transaction_id: "a".repeat(64),
    new_status,
    confirmation_block: null,
    confirmation_time: null,
    replacement_txid: null,
    reason: null,
    amendment: null,
    change: null,
    provisional: null,
    ...change,
  };
}

export function saidAlert(change: Partial<Alert> = {}, seq = 1): Said {
  return { type: "whale_alert", seq, data: alertOf(change), timestamp: SEEN };
}

export function saidUpdate(new_status: string, change: Partial<StatusUpdate> = {}, seq = 2): Said {
  return { type: "status_update", seq, data: updateOf(new_status, change), timestamp: SEEN };
}
