// What was said in some entries of the record, each read once.
import { useEffect, useState } from "preact/hooks";
import { ask } from "../api/rest";
import { token } from "../api/token";
import type { StatusUpdate } from "../api/types";

const MOST = 20; // chosen: a payment is not reorganised away more often

/** Updates by their index in the record; those that are not kept, or could not be read, are not there. */
export function useMessages(seqs: readonly number[]): ReadonlyMap<number, StatusUpdate> {
  const [found, setFound] = useState<ReadonlyMap<number, StatusUpdate>>(new Map());
  const shown = token.value;
  useEffect(() => {
    const stop = new AbortController();
    const missing = seqs.filter((seq) => !found.has(seq)).slice(-MOST);
    if (missing.length === 0) return;
    Promise.all(missing.map((seq) => read(seq, stop.signal))).then(
      (read) => setFound((before) => new Map([...before, ...read.flat()])),
      () => undefined, // the history says less
    );
    return () => stop.abort();
  }, [seqs.join(), shown]);
  return found;
}

async function read(seq: number, signal: AbortSignal): Promise<(readonly [number, StatusUpdate])[]> {
  const { entries } = await ask("/api/v1/record", { query: { since: seq - 1, limit: 1 }, signal });
  const [entry] = entries;
  if (entry?.seq !== seq || entry.message === null) return [];
  const message = JSON.parse(entry.message) as { type: string; data: StatusUpdate };
  return message.type === "status_update" ? [[seq, message.data] as const] : [];
}
