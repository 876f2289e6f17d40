// Explanations as the service tells them; a test names only what it is about.
import type { Explanation, Netflow, PredictionDetail } from "../src/api/types";
import { predictionOf, SEEN } from "./whales";

type Input = Explanation["inputs"][number];
type Output = Explanation["outputs"][number];
type Label = Explanation["labels"][number];

const NO_VALUES = { inflow_sat: 0, outflow_sat: 0, internal_sat: 0, interexchange_sat: 0, unknown_sat: 0 };

export function inputOf(index: number, sat: number | null, script = `in${index}`): Input {
  return { index, address: null, script, value_sat: sat };
}

export function outputOf(
  index: number,
  sat: number,
  change: number | null = 0,
  script = `out${index}`,
): Output {
  return {
    index,
    address: null,
    script,
    type: "v0_p2wpkh",
    value_sat: sat,
    change_probability: change,
    receivers: {},
    net_sat: sat,
    contributes: NO_VALUES,
  };
}

export function labelOf(side: "input" | "output", index: number, change: Partial<Label> = {}): Label {
  return {
    side,
    index,
    address: null,
    script: `${side === "input" ? "in" : "out"}${index}`,
    entity: "Binance",
    kind: "exchange",
    role: "hot",
    confidence: 0.9,
    source: "list",
    citation: "",
    source_url: "",
    licence: "",
    as_of: null,
    disputed: false,
    gives_direction: true,
    why_not: null,
    learned: null,
    ...change,
  };
}

/** One input of 100, 60 paid and 39 back, 1 for the miner. */
export function explanationOf(change: Partial<Explanation> = {}): Explanation {
  return {
    txid: "a".repeat(64),
    text: "60.00 BTC from Binance to unknown wallet",
    flow_type: "outflow",
    flow_subtype: null,
    flow_reason: null,
    confidence: 0.9,
    probabilities: { inflow: 0, outflow: 0.9, internal: 0, unknown: 0.1 },
    values: NO_VALUES,
    gross_sat: 99,
    moved_sat: 60,
    fee_sat: 1,
    fee_rate: 1,
    rbf_enabled: false,
    shape: null,
    entities: [],
    exchange_addresses: [],
    whale: { is_whale: true, threshold_sat: 10, why: "it is large" },
    shares: { inflow: 0, outflow: 0.8, internal: 0.1, unknown: 0.1 },
    bars: { share: 0.6, probability: 0.5 },
    basis: { outflow: { basis: "pays_few", right: 17_405, n: 24_579 } },
    prevouts_known: 1,
    looks: {
      is_coinjoin: false,
      is_gathering: false,
      has_spare_input: false,
      has_round_total: false,
      swept_by: null,
    },
    sender: null,
    change: null,
    votes: [],
    inputs: [inputOf(0, 100)],
    outputs: [outputOf(0, 60), outputOf(1, 39, 0.99)],
    labels: [],
    label_set: "set",
    said: null,
    said_differs: null,
    ...change,
  };
}

export function detailOf(change: Partial<PredictionDetail> = {}): PredictionDetail {
  return {
    ...predictionOf(),
    amendments: [],
    evidence: {
      label_set: "set",
      model_state: null,
      market: null,
      record: [],
      raw_transaction_kept: true,
      explanation: "",
    },
    ...change,
  };
}

const NOTHING = {
  certain_btc: 0,
  certain_sat: 0,
  likely_btc: 0,
  likely_sat: 0,
  unknown_btc: 0,
  unknown_sat: 0,
  n: 0,
};

export function netflowOf(exchange: string, change: Partial<Netflow> = {}): Netflow {
  return {
    start: SEEN,
    exchange,
    simulated: false,
    net_btc: 0,
    net_sat: 0,
    received: NOTHING,
    sent: NOTHING,
    ...change,
  };
}

export function suretyOf(certain: number, likely: number, unknown: number, n: number): Netflow["received"] {
  return { ...NOTHING, certain_sat: certain, likely_sat: likely, unknown_sat: unknown, n };
}
