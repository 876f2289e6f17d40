// A view of one whale asks again when the stream spoke of it.
import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { heard, isResyncing } from "./session";

/** Calls `again` when the stream spoke of one of these, and after it had to begin anew. */
export function useNews(ids: readonly (string | undefined)[], again: () => void): void {
  const newest = useRef(again);
  newest.current = again;
  const key = ids.join(" ");
  useEffect(() => {
    let wasResyncing = isResyncing.peek();
    let before = heard.peek();
    return effect(() => {
      const told = heard.value;
      const isNew = told !== before && ids.some((id) => id !== undefined && told.has(id));
      const isBack = wasResyncing && !isResyncing.value;
      wasResyncing = isResyncing.value;
      before = told;
      if (isNew || isBack) newest.current();
    });
  }, [key]);
}
