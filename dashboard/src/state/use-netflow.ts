// All of a period's flows: REST gives them in pages.
import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "../api/rest";
import { token } from "../api/token";
import type { Netflow } from "../api/types";

const PAGE = 1_000;
const MOST_PAGES = 20; // chosen: a month of hours of 27 exchanges; more is not to be waited for
const REFRESH_MS = 30_000;

export interface AskedFlows {
  readonly rows: readonly Netflow[] | null;
  /** Older ones were left: there are more than are read. */
  readonly isCut: boolean;
  readonly error: string | null;
  readonly again: () => void;
}

type Kept = Omit<AskedFlows, "again">;

const NOTHING: Kept = { rows: null, isCut: false, error: null };

/** Asks when the question changes, and again while somebody looks. `period`: how long it is, in a word. */
export function useNetflow(interval: "hour" | "day", period: string, from: string): AskedFlows {
  const [kept, setKept] = useState<Kept>(NOTHING);
  const [round, setRound] = useState(0);
  const asked = useRef("");
  const question = `${interval} ${from}`;
  const shown = token.value;

  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    // Another interval or period is another picture: sums of the one must not stand under the name of the
    // other. The next hour of the same one is none.
    const picture = `${interval} ${period}`;
    if (asked.current !== picture) setKept(NOTHING);
    asked.current = picture;
    const settle = (change: Partial<Kept>) => {
      if (stop.signal.aborted) return;
      setKept((before) => ({ ...before, ...change }));
      timer = window.setTimeout(read, REFRESH_MS);
    };
    const read = () => {
      if (document.hidden) settle({});
      else {
        readAll(interval, from, stop.signal).then(
          (found) => settle({ ...found, error: null }),
          (error: Error) => settle({ error: error.message }),
        );
      }
    };
    read();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [question, round, shown]);

  return { ...kept, again: () => setRound((count) => count + 1) };
}

async function readAll(
  interval: "hour" | "day",
  from: string,
  signal: AbortSignal,
): Promise<Pick<Kept, "rows" | "isCut">> {
  const rows: Netflow[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    const page = await ask("/api/v1/netflow", {
      query: { interval, from, limit: PAGE, ...(cursor === undefined ? {} : { cursor }) },
      signal,
    });
    rows.push(...page.data);
    cursor = page.next_cursor ?? undefined;
    if (cursor === undefined) break;
  }
  return { rows, isCut: cursor !== undefined };
}
