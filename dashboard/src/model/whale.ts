// One payment as the page shows it, from whichever side of the API it came.
import type { Alert, Entity, Prediction, StatusUpdate, Version } from "../api/types";

export const FLOWS = ["inflow", "outflow", "internal", "unknown"] as const;
export type Flow = (typeof FLOWS)[number];

export const ENDS = ["confirmed", "replaced", "dropped"] as const;
export type End = (typeof ENDS)[number];
export type WhaleStatus = "pending" | "in_doubt" | End;

export interface Whale {
  readonly id: string;
  readonly txid: string;
  readonly status: WhaleStatus;
  readonly flow: Flow;
  readonly subtype: string | null;
  readonly flowReason: string | null;
  readonly text: string;
  readonly entities: readonly Entity[];
  readonly grossSat: number;
  readonly movedSat: number;
  readonly feeRate: number | null;
  readonly urgency: number | null;
  readonly urgencyReason: string | null;
  readonly confidence: number | null;
  readonly rbf: boolean;
  readonly wasModified: boolean;
  readonly versions: readonly Version[];
  readonly sighting: string;
  readonly simulated: boolean;
  /** Milliseconds since 1970: it was heard first. */
  readonly seenMs: number;
  readonly pConfirm: Readonly<Record<string, number>> | null;
  readonly p50S: number | null;
  readonly p90S: number | null;
  readonly predictedBlock: number | null;
  readonly explorerUrl: string | null;
  /** The block that has it. */
  readonly height: number | null;
  /** Milliseconds since 1970: we heard of its end. */
  readonly endedMs: number | null;
  readonly replacedBy: string | null;
  /** What its replacement changed. */
  readonly change: string | null;
  /** Why it ended, came back, or was corrected. */
  readonly reason: string | null;
  /** It was said otherwise at first. */
  readonly amended: boolean;
  /** A reorganisation took its block away, or it came back. */
  readonly returned: "reorged" | "returned" | null;
}

export function isOpen(whale: Whale): boolean {
  return whale.status === "pending" || whale.status === "in_doubt";
}

function flowOf(text: string): Flow {
  return (FLOWS as readonly string[]).includes(text) ? (text as Flow) : "unknown";
}

const STATUSES: readonly string[] = ["pending", "in_doubt", ...ENDS];

function statusOf(text: string): WhaleStatus {
  return STATUSES.includes(text) ? (text as WhaleStatus) : "in_doubt";
}

function claimsOf(said: Alert | Prediction) {
  return {
    txid: said.transaction_id,
    flow: flowOf(said.flow_type),
    subtype: said.flow_subtype,
    flowReason: said.flow_reason,
    text: said.text ?? "",
    entities: said.entities,
    movedSat: said.moved_sat ?? 0,
    feeRate: said.effective_fee_rate ?? said.fee_rate,
    urgency: said.urgency_score,
    urgencyReason: said.urgency_reason,
    confidence: said.confidence_score,
    rbf: said.rbf_enabled,
    wasModified: said.was_modified,
    versions: said.history,
    sighting: said.sighting ?? "announced",
    simulated: said.simulated ?? false,
    seenMs: Date.parse(said.detection_timestamp),
    pConfirm: said.confirm_probability,
    predictedBlock: said.predicted_confirmation_block,
    explorerUrl: linkOf(said.explorer_url),
  };
}

/** An address that a link may have; a setting could say anything. */
function linkOf(url: string | null): string | null {
  return url !== null && /^https?:\/\//.test(url) ? url : null;
}

function seconds(minutes: number | null): number | null {
  return minutes === null ? null : minutes * 60;
}

const OPEN = {
  status: "pending",
  height: null,
  endedMs: null,
  replacedBy: null,
  change: null,
  reason: null,
  returned: null,
} as const;

/** A whale as an alert says it: waiting, whatever was known of it. */
export function fromAlert(alert: Alert): Whale {
  return {
    ...claimsOf(alert),
    ...OPEN,
    id: alert.prediction_id,
    grossSat: alert.gross_sat,
    p50S: seconds(alert.eta_minutes.p50),
    p90S: seconds(alert.eta_minutes.p90),
    amended: false,
  };
}

export function fromPrediction(said: Prediction): Whale {
  return {
    ...claimsOf(said),
    ...OPEN,
    id: said.prediction_id,
    status: statusOf(said.status),
    grossSat: said.gross_sat ?? Math.round(said.btc_value * 1e8),
    p50S: said.eta_p50_s,
    p90S: said.eta_p90_s,
    height: said.confirmation_height,
    endedMs: timeOf(said.outcome?.ended_at ?? null),
    replacedBy: said.replaced_by,
    change: said.outcome?.change ?? null,
    reason: said.outcome?.reason ?? null,
    amended: false,
  };
}

function timeOf(instant: string | null): number | null {
  return instant === null ? null : Date.parse(instant);
}

/** What became of a whale. Returns the same object where nothing did. */
export function updated(whale: Whale, update: StatusUpdate, atMs: number): Whale {
  switch (update.new_status) {
    case "confirmed":
      return {
        ...whale,
        status: "confirmed",
        txid: update.transaction_id,
        height: update.confirmation_block ?? null,
        endedMs: atMs,
        reason: update.reason ?? null,
      };
    case "replaced":
      return {
        ...whale,
        status: "replaced",
        endedMs: atMs,
        replacedBy: update.replacement_txid ?? null,
        change: update.change ?? null,
        reason: update.reason ?? null,
      };
    case "dropped":
      return { ...whale, status: "dropped", endedMs: atMs, reason: update.reason ?? null };
    case "reorged":
    case "returned":
      return { ...whale, ...OPEN, reason: update.reason ?? null, returned: update.new_status };
    case "amended":
      return update.amendment ? amend(whale, update.amendment, update.reason ?? null) : whale;
    default:
      return whale; // kinds may be added
  }
}

/** A corrected alert changes what was claimed, not what became of it. */
function amend(whale: Whale, alert: Alert, reason: string | null): Whale {
  const { status, height, endedMs, replacedBy, change, returned } = whale;
  const said = fromAlert(alert);
  return { ...said, status, height, endedMs, replacedBy, change, returned, reason, amended: true };
}
