// The page's address: the path names a view, the query its filters.
import { computed, effect, signal } from "@preact/signals";

const here = signal(new URL(location.href));
window.addEventListener("popstate", () => {
  here.value = new URL(location.href);
});

export type View =
  | { name: "live" | "flows" | "fees" | "record" | "system" | "nowhere" }
  | { name: "whale"; txid: string };

const NAMES = {
  "/": "live",
  "/flows": "flows",
  "/fees": "fees",
  "/record": "record",
  "/system": "system",
} as const;

export const view = computed<View>(() => {
  const path = here.value.pathname;
  const name = NAMES[path as keyof typeof NAMES];
  if (name !== undefined) return { name };
  const [, txid] = /^\/whales\/([0-9a-f]{64})$/i.exec(path) ?? [];
  return txid === undefined ? { name: "nowhere" } : { name: "whale", txid: txid.toLowerCase() };
});

export const query = computed(() => here.value.searchParams);

const TITLES = {
  live: "Hydrophone",
  flows: "Flows \u00b7 Hydrophone",
  fees: "Fees \u00b7 Hydrophone",
  record: "Record \u00b7 Hydrophone",
  system: "System \u00b7 Hydrophone",
  nowhere: "No such page \u00b7 Hydrophone",
} as const;

/** The live view as it was left, with its filters. */
export const lastLive = signal("/");

/** Its filters: what another view has in its address is about something else. */
export const liveQuery = computed(() => new URL(lastLive.value, location.href).searchParams);

effect(() => {
  if (view.value.name === "live") lastLive.value = `/${here.value.search}`;
});

// Tabs and bookmarks are told apart by it.
effect(() => {
  const { value } = view;
  document.title =
    value.name === "whale" ? `Whale ${value.txid.slice(0, 8)} \u00b7 Hydrophone` : TITLES[value.name];
});

/** Goes to another address of the page. `replace`: the way back leads past this one. */
export function go(address: string, { replace = false } = {}): void {
  const next = new URL(address, location.href);
  const isOtherView = next.pathname !== here.value.pathname;
  // What leads to where one is makes no step that one would have to go back.
  history[replace || next.href === here.value.href ? "replaceState" : "pushState"](null, "", next);
  here.value = next;
  if (isOtherView) window.scrollTo(0, 0);
}
