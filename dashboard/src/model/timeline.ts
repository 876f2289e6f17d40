// The life of a payment, oldest first: when it was heard, what its sender changed, what we corrected, how it ended.
import type { PredictionDetail, StatusUpdate } from "../api/types";
import { formatCount, formatExactBtc, formatRate, formatShare, shortTxid } from "./amounts";
import { CHANGES } from "./words";

const TXID = /\b[0-9a-f]{64}\b/g;

export type HappeningKind =
  | "heard"
  | "replacement"
  | "amended"
  | "reopened"
  | "ended"
  | "confirmed"
  | "replaced"
  | "dropped";

export interface Happening {
  readonly kind: HappeningKind;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly title: string;
  readonly detail: string;
  /** Another transaction that it is about. */
  readonly txid: string | null;
  /** What a correction changed: as it was said before, and after. */
  readonly changes: readonly Changed[];
}

export interface Changed {
  readonly what: string;
  readonly before: string;
  readonly after: string;
}

/** Everything that is known to have happened to a payment. `messages`: what the record says, by index. */
export function timelineOf(
  said: PredictionDetail,
  messages: ReadonlyMap<number, StatusUpdate> = new Map(),
): Happening[] {
  const found = [...versionsOf(said), ...undoneEnds(said, messages), ...amendmentsOf(said), ...endOf(said)];
  return found.sort((one, other) => one.atMs - other.atMs);
}

function happening(
  kind: HappeningKind,
  at: string,
  title: string,
  detail = "",
  txid: string | null = null,
): Happening {
  return { kind, atMs: Date.parse(at), title, detail, txid, changes: [] };
}

function versionsOf(said: PredictionDetail): Happening[] {
  const versions = [
    ...said.history.map((version) => ({
      txid: version.transaction_id,
      seen: version.seen,
      rate: version.fee_rate,
      change: version.change ?? null,
    })),
    {
      txid: said.transaction_id,
      seen: said.received_at ?? said.detection_timestamp,
      rate: said.effective_fee_rate ?? said.fee_rate,
      change: null,
    },
  ];
  return versions.map((version, index) => {
    const before = versions[index - 1];
    const paid = `paid ${formatRate(version.rate)}`;
    if (before === undefined)
      return happening("heard", version.seen, heardAs(said.sighting), paid, version.txid);
    const changed = (before.change !== null && CHANGES[before.change]) || "what it changed is not known";
    const rates = `${formatRate(before.rate)} \u2192 ${formatRate(version.rate)}`;
    return happening(
      "replacement",
      version.seen,
      `Replaced by version ${index + 1}`,
      `${changed}: ${rates}`,
      version.txid,
    );
  });
}

const SIGHTINGS: Readonly<Record<string, string>> = {
  late: "Heard, after it was announced while we were not listening",
  mined: "Heard when it was mined: nobody announced it to us",
};

function heardAs(sighting: string | null): string {
  return SIGHTINGS[sighting ?? ""] ?? "Heard in the mempool";
}

function amendmentsOf({ amendments }: PredictionDetail): Happening[] {
  return amendments.map(({ amended_at, reason, before, after }) => ({
    ...happening("amended", amended_at, "Corrected", reason.replace(TXID, shortTxid)),
    changes: changesOf(before, after),
  }));
}

/** Entries of the record that tell of an end that was none, by their index. */
export function undoneOf({ evidence }: PredictionDetail): number[] {
  const last = evidence.record.findLastIndex(({ kind }) => kind === "reopening");
  const told = evidence.record.slice(0, last + 1);
  return told.filter(({ kind }) => kind === "outcome" || kind === "reopening").map(({ seq }) => Number(seq));
}

/** A payment that was taken for ended, and was not. What exactly was said is in the record, if it is kept. */
function undoneEnds(said: PredictionDetail, messages: ReadonlyMap<number, StatusUpdate>): Happening[] {
  const seqs = new Set(undoneOf(said));
  return said.evidence.record
    .filter(({ seq }) => seqs.has(Number(seq)))
    .map(({ seq, kind, recorded_at }) => {
      const message = messages.get(Number(seq));
      const at = String(recorded_at);
      return kind === "reopening" ? reopening(at, message) : undoneEnd(at, message);
    });
}

function reopening(at: string, message: StatusUpdate | undefined): Happening {
  switch (message?.new_status) {
    case "reorged":
      return happening(
        "reopened",
        at,
        "Reorganised away",
        "its block is no longer in the chain: it waits again",
      );
    case "returned":
      return happening("reopened", at, "Came back", "it is in the mempool again");
    default:
      return happening("reopened", at, "Waits again", "its block was reorganised away, or it came back");
  }
}

function undoneEnd(at: string, message: StatusUpdate | undefined): Happening {
  const height = message?.confirmation_block;
  if (message === undefined) return happening("ended", at, "Ended, as it seemed then");
  if (height) return happening("ended", at, `Confirmed in block ${formatCount(height)}`);
  const changed = (message.change && CHANGES[message.change]) || message.reason || "";
  const title = message.new_status === "replaced" ? "Taken for replaced" : "Taken for dropped";
  return happening("ended", at, title, changed, message.replacement_txid ?? null);
}

function endOf(said: PredictionDetail): Happening[] {
  const { outcome } = said;
  const at = outcome?.ended_at ?? outcome?.confirmation_time ?? null;
  if (outcome === null || at === null) return [];
  const why = outcome.reason ?? "";
  switch (outcome.actual_outcome) {
    case "confirmed": {
      const height = outcome.confirmation_block ?? said.confirmation_height;
      const where = height === null ? "Confirmed" : `Confirmed in block ${formatCount(height)}`;
      return [
        happening(
          "confirmed",
          at,
          where,
          outcome.final_fee_rate === null ? why : `paid ${formatRate(outcome.final_fee_rate)}`,
        ),
      ];
    }
    case "replaced": {
      const changed =
        (outcome.change !== null && CHANGES[outcome.change]) || why || "what it changed is not known";
      return [happening("replaced", at, "Replaced by another payment", changed, said.replaced_by)];
    }
    case "dropped":
      return [happening("dropped", at, "Dropped", why || "the source has it no more")];
    default:
      return [];
  }
}

const COLUMNS: Readonly<Record<string, string>> = {
  text: "said",
  flow_type: "flow",
  flow_subtype: "kind",
  flow_reason: "why unknown",
  confidence_score: "sure",
  moved_sat: "moved",
  inflow_sat: "into exchanges",
  outflow_sat: "out of exchanges",
  internal_sat: "inside one exchange",
  interexchange_sat: "between exchanges",
  gross_sat: "gross",
  fee_sat: "fee",
};

/** The columns that mean something to people; the others are in the API. */
function changesOf(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): Changed[] {
  return Object.entries(COLUMNS).flatMap(([column, what]) => {
    if (!(column in before) && !(column in after)) return [];
    return { what, before: worded(column, before[column]), after: worded(column, after[column]) };
  });
}

function worded(column: string, value: unknown): string {
  if (value === null || value === undefined) return "\u2013";
  if (typeof value === "number" && column.endsWith("_sat")) return formatExactBtc(value);
  if (typeof value === "number" && column === "confidence_score") return formatShare(value);
  return String(value).replaceAll("_", " ");
}
