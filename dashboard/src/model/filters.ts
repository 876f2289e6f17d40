// Which whales are shown. Filters stand in the page's address, so that a view can be kept and sent.
import { ENDS, type End, FLOWS, type Flow, type Whale } from "./whale";

export const ORDERS = ["newest", "largest", "urgent"] as const;
/** How those that wait are ordered. */
export type Order = (typeof ORDERS)[number];

export interface Filters {
  readonly flows: readonly Flow[];
  readonly exchange: string;
  readonly minMovedBtc: number;
  readonly minUrgency: number;
  /** Which ends the second list shows. */
  readonly ended: End | "all";
  readonly order: Order;
}

export const NO_FILTERS: Filters = {
  flows: FLOWS,
  exchange: "",
  minMovedBtc: 0,
  minUrgency: 0,
  ended: "confirmed",
  order: "newest",
};

const MOST_BTC = 21_000_000;

export function parseFilters(query: URLSearchParams): Filters {
  const flows = (query.get("flow") ?? "").split(",").filter((flow): flow is Flow => isOneOf(FLOWS, flow));
  const ended = query.get("ended") ?? "";
  const order = query.get("order") ?? "";
  return {
    flows: flows.length === 0 ? FLOWS : FLOWS.filter((flow) => flows.includes(flow)),
    exchange: (query.get("exchange") ?? "").slice(0, 100),
    minMovedBtc: between(query.get("moved"), MOST_BTC),
    minUrgency: between(query.get("urgency"), 1),
    ended: ended === "all" || isOneOf(ENDS, ended) ? ended : NO_FILTERS.ended,
    order: isOneOf(ORDERS, order) ? order : NO_FILTERS.order,
  };
}

export function formatFilters(filters: Filters): URLSearchParams {
  const query = new URLSearchParams();
  if (filters.flows.length < FLOWS.length) query.set("flow", filters.flows.join(","));
  if (filters.exchange !== "") query.set("exchange", filters.exchange);
  if (filters.minMovedBtc > 0) query.set("moved", String(filters.minMovedBtc));
  if (filters.minUrgency > 0) query.set("urgency", String(filters.minUrgency));
  if (filters.ended !== NO_FILTERS.ended) query.set("ended", filters.ended);
  if (filters.order !== NO_FILTERS.order) query.set("order", filters.order);
  return query;
}

/** How many conditions are set, for the button that hides them on a phone. */
export function countConditions(filters: Filters): number {
  const { ended, order } = NO_FILTERS;
  return [...formatFilters({ ...filters, ended, order }).keys()].length;
}

/** Whether a whale meets the conditions, its end aside. */
export function passes(filters: Filters, whale: Whale): boolean {
  if (!filters.flows.includes(whale.flow)) return false;
  if (whale.movedSat < filters.minMovedBtc * 1e8) return false;
  if (filters.minUrgency > 0 && (whale.urgency === null || whale.urgency < filters.minUrgency)) return false;
  return filters.exchange === "" || whale.entities.some(({ name }) => sameName(name, filters.exchange));
}

/** What REST is asked for so that it finds at least those that pass. It knows one flow at a time. */
export function restQuery(filters: Filters): Record<string, string | number> {
  const query: Record<string, string | number> = {};
  const [only, ...others] = filters.flows;
  if (only !== undefined && others.length === 0) query["flow_type"] = only;
  if (filters.exchange !== "") query["exchange"] = filters.exchange;
  if (filters.minMovedBtc > 0) query["min_moved_btc"] = filters.minMovedBtc;
  if (filters.minUrgency > 0) query["min_urgency"] = filters.minUrgency;
  if (filters.ended !== "all") query["status"] = filters.ended;
  return query;
}

function isOneOf<T extends string>(known: readonly T[], text: string): text is T {
  return (known as readonly string[]).includes(text);
}

function between(text: string | null, most: number): number {
  const value = Number(text ?? 0);
  return Number.isFinite(value) ? Math.min(Math.max(value, 0), most) : 0;
}

function sameName(one: string, other: string): boolean {
  return one.localeCompare(other, "en", { sensitivity: "base" }) === 0;
}
