// The hash chain of all that was said, checked by whoever reads it. The rules are in docs/adr/0021.
import type { RecordPage } from "../api/types";

export type Entry = RecordPage["entries"][number];

/** How entries hold up: `checked` of them follow the one before; at `broken` one does not. */
export interface Checked {
  readonly checked: number;
  /** Whose contents are as they were published; of others only the digest is kept. */
  readonly withContent: number;
  readonly broken: number | null;
}

const text = new TextEncoder();

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Whether this browser can compute hashes: only of pages that are served securely or from this machine. */
export function canCheck(): boolean {
  return globalThis.crypto?.subtle !== undefined;
}

/** Checks entries in order, and the head. The first entry is what the others are held against. */
export async function checkEntries(entries: readonly Entry[], head: RecordPage["head"]): Promise<Checked> {
  let withContent = 0;
  for (const [place, entry] of entries.entries()) {
    if (entry.message !== null) {
      if ((await sha256(text.encode(entry.message))) !== entry.digest) {
        return { checked: place, withContent, broken: entry.seq };
      }
      withContent += 1;
    }
    const before = entries[place - 1];
    if (before !== undefined && !(await follows(entry, before))) {
      return { checked: place, withContent, broken: entry.seq };
    }
  }
  const last = entries.at(-1);
  const isHead = last === undefined || last.seq !== head.seq || last.hash === head.hash;
  return { checked: entries.length, withContent, broken: isHead ? null : head.seq };
}

async function follows(entry: Entry, before: Entry): Promise<boolean> {
  if (entry.seq !== before.seq + 1) return false;
  const about = entry.prediction_id === null ? "" : ` ${entry.prediction_id}`;
  const header = text.encode(`${entry.seq} ${entry.recorded_at} ${entry.kind}${about}`);
  const covered = new Uint8Array([...bytesOf(before.hash), ...bytesOf(entry.digest), ...header]);
  return (await sha256(covered)) === entry.hash;
}

const KINDS: Record<string, string> = {
  signal: "alert",
  amendment: "correction",
  outcome: "outcome",
  successor: "replaced",
  reopening: "open again",
};

/** What an entry said in a few words, and about which transaction. */
export function describeEntry(entry: Entry): { kind: string; text: string; txid: string | null } {
  const kind = KINDS[entry.kind] ?? entry.kind;
  if (entry.message === null) return { kind, text: "not kept any more; its digest is", txid: null };
  try {
    const { data } = JSON.parse(entry.message) as { data: Record<string, unknown> };
    const amended = data["amendment"] as { text?: string } | null | undefined;
    const status = String(data["new_status"] ?? "").replaceAll("_", " ");
    const block = data["confirmation_block"];
    const ended = typeof block === "number" ? `${status} in block ${block}` : status;
    const txid = data["transaction_id"];
    return {
      kind,
      text: String(data["text"] ?? amended?.text ?? ended),
      txid: typeof txid === "string" ? txid : null,
    };
  } catch {
    return { kind, text: entry.message.slice(0, 80), txid: null };
  }
}
