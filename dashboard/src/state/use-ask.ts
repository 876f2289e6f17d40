// What a view reads from REST: once, then again and again while it is looked at.
import { useEffect, useReducer, useRef } from "preact/hooks";
import { ApiError, ask, type JsonOf } from "../api/rest";
import type { paths } from "../api/schema.gen";
import { token } from "../api/token";

type Options<P extends keyof paths> = NonNullable<Parameters<typeof ask<P>>[1]>;

export interface Asked<T> {
  /** The newest answer; it stays while a newer one is awaited, or could not be had. */
  readonly data: T | null;
  /** Why the last attempt failed. */
  readonly error: string | null;
  /** What the service answered to it instead, such as 404; null: nothing, or it did not fail. */
  readonly status: number | null;
  readonly again: () => void;
}

interface Kept<T> {
  question: string;
  data: T | null;
  error: string | null;
  status: number | null;
}

const NOTHING = { data: null, error: null, status: null };

/** Asks a path when the view appears, when the question changes, and every so many milliseconds. */
export function useAsk<P extends keyof paths>(
  path: P,
  options: Options<P>,
  everyMs: number,
): Asked<JsonOf<P>> {
  const question = JSON.stringify([path, options]);
  const kept = useRef<Kept<JsonOf<P>>>({ question, ...NOTHING });
  const [round, again] = useReducer((count: number) => count + 1, 0);
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  if (kept.current.question !== question) kept.current = { question, ...NOTHING };
  const shown = token.value;

  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    const settle = (change: Partial<typeof kept.current>) => {
      if (stop.signal.aborted) return;
      kept.current = { ...kept.current, ...change };
      redraw(undefined);
      timer = window.setTimeout(read, everyMs);
    };
    const read = () => {
      if (document.hidden && kept.current.data !== null) settle({});
      else {
        ask(path, { ...options, signal: stop.signal }).then(
          (data) => settle({ data, error: null, status: null }),
          (error: Error) =>
            settle({ error: error.message, status: error instanceof ApiError ? error.status : null }),
        );
      }
    };
    read();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [question, everyMs, round, shown]);

  const { data, error, status } = kept.current;
  return { data, error, status, again: () => again(undefined) };
}
