// What is said of a whale in a few words.
import { formatDuration, formatRate, formatSpan } from "./amounts";
import type { Whale } from "./whale";

export interface Party {
  readonly text: string;
  readonly isNamed: boolean;
}

const NOBODY = "unknown wallet";
const WORDING = /^[\d,.]+ BTC (?:from (.+) to (.+)|inside (.+))$/;

/** Who pays whom, as the service words it. Both are the same object where coins stay inside one entity. */
export function describeRoute(whale: Whale): { from: Party; to: Party } {
  const [, from, to, inside] = WORDING.exec(whale.text) ?? [];
  if (inside !== undefined) {
    const party = { text: inside, isNamed: true };
    return { from: party, to: party };
  }
  return { from: partyOf(from), to: partyOf(to) };
}

function partyOf(name: string | undefined): Party {
  return name === undefined || name === NOBODY
    ? { text: NOBODY, isNamed: false }
    : { text: name, isNamed: true };
}

/** When it will confirm: half, and nine in ten, of such whales do within. */
export function describeWait(whale: Whale): string {
  if (whale.status === "in_doubt") return "gone from the mempool: asking why";
  if (whale.pConfirm === null) return "no fee market known yet";
  if (whale.p50S === null) return "beyond 36 blocks";
  return whale.p90S === null
    ? `${formatDuration(whale.p50S)} or far longer`
    : formatSpan(whale.p50S, whale.p90S);
}

/** What a replacement changed. */
export const CHANGES: Readonly<Record<string, string>> = {
  fee_bump: "same payment, higher fee",
  other_amount: "same payee, another amount",
  other_payee: "pays somebody else: a double spend",
  cancelled: "taken back by its sender",
};

/** What became of it: the weightiest word, and a detail. */
export function describeEnd(whale: Whale): { word: string; detail: string } {
  const afterS = whale.endedMs === null ? null : Math.max(0, (whale.endedMs - whale.seenMs) / 1000);
  switch (whale.status) {
    case "confirmed":
      if (whale.sighting === "mined") return { word: "mined", detail: "nothing was predicted" };
      if (afterS === null)
        return { word: "confirmed", detail: whale.height === null ? "" : `in ${whale.height}` };
      return { word: `after ${formatDuration(afterS)}`, detail: judge(whale, afterS) };
    case "replaced":
      return {
        word: "replaced",
        detail: (whale.change !== null && CHANGES[whale.change]) || "by a payment unknown to us",
      };
    case "dropped":
      return { word: "dropped", detail: whale.reason ?? "the source has it no more" };
    default:
      return { word: "pending", detail: "" };
  }
}

/** Whether it came as it was said. */
function judge({ p50S, p90S }: Whale, afterS: number): string {
  if (p50S === null) return "no time was predicted";
  if (afterS <= p50S) return `within P50 (${formatDuration(p50S)})`;
  if (p90S === null) return "after P50";
  return `${afterS <= p90S ? "within" : "later than"} P90 (${formatDuration(p90S)})`;
}

export interface Mark {
  readonly text: string;
  readonly title: string;
  readonly kind: "plain" | "warn" | "note";
}

/** Small signs of what is particular about a whale, the weightiest first. */
export function marksOf(whale: Whale): Mark[] {
  const marks: Mark[] = [];
  const add = (text: string, title: string, kind: Mark["kind"] = "plain") =>
    marks.push({ text, title, kind });
  if (whale.returned === "reorged")
    add("reorg", "its block is no longer in the chain: it waits again", "warn");
  if (whale.returned === "returned") add("came back", "it was taken for replaced or dropped", "warn");
  if (whale.versions.length > 0) add(historyOf(whale), describeVersions(whale), "note");
  else if (whale.rbf) add("RBF", "it says that it may be replaced (BIP 125)");
  if (whale.sighting === "late") add("late", "it was announced while we were not listening", "warn");
  if (whale.sighting === "mined")
    add("seen when mined", "nobody announced it to us: nothing was predicted", "warn");
  if (whale.amended) add("corrected", whale.reason ?? "it was said otherwise at first", "note");
  if (whale.subtype !== null) add(whale.subtype.replaceAll("_", " "), "what kind of payment it looks like");
  return marks;
}

function historyOf({ versions }: Whale): string {
  return versions.length === 1 ? "fee raised" : `fee raised ${versions.length}\u00d7`;
}

function describeVersions({ versions, feeRate }: Whale): string {
  const rates = [...versions.map((version) => version.fee_rate), feeRate];
  return `replaced by fee: ${rates.map((rate) => formatRate(rate)).join(" \u2192 ")}`;
}
