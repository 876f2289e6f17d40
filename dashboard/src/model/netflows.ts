// What whales moved into and out of exchanges, over time and by exchange. Positive is always into exchanges.
import type { Netflow } from "../api/types";

export const INTERVALS = ["hour", "day"] as const;
export type Interval = (typeof INTERVALS)[number];
export const PERIODS = ["24h", "7d", "30d", "90d"] as const;
export type Period = (typeof PERIODS)[number];
export const ORDERS = ["exchange", "net", "received", "sent"] as const;
export type Order = (typeof ORDERS)[number];

const HOUR_S = 3_600;
const DAYS = { "24h": 1, "7d": 7, "30d": 30, "90d": 90 } as const;
const SECONDS = { hour: HOUR_S, day: 86_400 } as const;

export interface Question {
  readonly interval: Interval;
  readonly period: Period;
  /** Empty: all of them. */
  readonly exchange: string;
  readonly order: Order;
  readonly isAscending: boolean;
}

export const FIRST_QUESTION: Question = {
  interval: "hour",
  period: "24h",
  exchange: "",
  order: "net",
  isAscending: false,
};

/** A day is one bar in a day, and a quarter of hours is a grey wall. */
export function fits(interval: Interval, period: Period): boolean {
  return interval === "hour" ? period !== "90d" : period !== "24h";
}

export function parseQuestion(query: URLSearchParams): Question {
  const period = oneOf(PERIODS, query.get("period")) ?? FIRST_QUESTION.period;
  const wanted = oneOf(INTERVALS, query.get("interval")) ?? usualInterval(period);
  const order = query.get("sort") ?? "";
  return {
    interval: fits(wanted, period) ? wanted : usualInterval(period),
    period,
    exchange: (query.get("exchange") ?? "").slice(0, 100),
    order: oneOf(ORDERS, order.replace(/^-/, "")) ?? FIRST_QUESTION.order,
    isAscending: order !== "" && !order.startsWith("-"),
  };
}

export function formatQuestion(question: Question): URLSearchParams {
  const { interval, period, exchange, order, isAscending } = question;
  const query = new URLSearchParams();
  if (period !== FIRST_QUESTION.period) query.set("period", period);
  if (interval !== usualInterval(period)) query.set("interval", interval);
  if (exchange !== "") query.set("exchange", exchange);
  if (order !== FIRST_QUESTION.order || isAscending) query.set("sort", isAscending ? order : `-${order}`);
  return query;
}

/** By the hour up to a week, by the day beyond it. */
export function usualInterval(period: Period): Interval {
  return period === "24h" || period === "7d" ? "hour" : "day";
}

function oneOf<T extends string>(known: readonly T[], text: string | null): T | null {
  return known.find((one) => one === text) ?? null;
}

/** When each bar of the period begins, in seconds since 1970; the last one is not over yet. */
export function stepsOf(
  { interval, period }: Pick<Question, "interval" | "period">,
  nowMs: number,
): number[] {
  const step = SECONDS[interval];
  const last = Math.floor(nowMs / 1000 / step) * step;
  const count = interval === "hour" ? DAYS[period] * 24 : DAYS[period];
  return Array.from({ length: count }, (_, index) => last - (count - 1 - index) * step);
}

/** What REST is asked for: all exchanges, so that one may be chosen without asking again. */
export function restQuery(question: Question, nowMs: number): { interval: Interval; from: string } {
  const [first = 0] = stepsOf(question, nowMs);
  return { interval: question.interval, from: new Date(first * 1000).toISOString() };
}

/** An amount by how sure its parts are, and of how many payments it is made. */
export interface Sureness {
  readonly certain: number;
  readonly likely: number;
  readonly unknown: number;
  readonly n: number;
}

export interface Flows {
  readonly received: Sureness;
  readonly sent: Sureness;
  readonly net: number;
}

const NOTHING: Sureness = { certain: 0, likely: 0, unknown: 0, n: 0 };
const NO_FLOWS: Flows = { received: NOTHING, sent: NOTHING, net: 0 };

export function totalOf({ certain, likely, unknown }: Sureness): number {
  return certain + likely + unknown;
}

function plus(flows: Flows, row: Netflow): Flows {
  return {
    received: add(flows.received, row.received),
    sent: add(flows.sent, row.sent),
    net: flows.net + row.net_sat,
  };
}

function add(sum: Sureness, part: Netflow["received"]): Sureness {
  return {
    certain: sum.certain + part.certain_sat,
    likely: sum.likely + part.likely_sat,
    unknown: sum.unknown + part.unknown_sat,
    n: sum.n + part.n,
  };
}

/** By exchange over the whole period, in no order. */
export function byExchange(rows: readonly Netflow[]): Map<string, Flows> {
  const found = new Map<string, Flows>();
  for (const row of rows) found.set(row.exchange, plus(found.get(row.exchange) ?? NO_FLOWS, row));
  return found;
}

export function sumOf(rows: readonly Netflow[]): Flows {
  return rows.reduce(plus, NO_FLOWS);
}

/** One for each step; steps in which nothing moved are there too. */
export function overTime(rows: readonly Netflow[], steps: readonly number[]): Flows[] {
  const found = new Map<number, Flows>(steps.map((step) => [step, NO_FLOWS]));
  for (const row of rows) {
    const step = Date.parse(row.start) / 1000;
    const before = found.get(step);
    if (before !== undefined) found.set(step, plus(before, row));
  }
  return [...found.values()];
}

/** Bars that stand on one another: what is drawn for each part is its upper edge. Sent ones hang down. */
export function stack(flows: readonly Flows[], side: "received" | "sent") {
  const sign = side === "received" ? 1 : -1;
  const parts = flows.map((flow) => flow[side]);
  const edge = (pick: (part: Sureness) => number) => parts.map((part) => sign * pick(part) + 0);
  return {
    certain: edge(({ certain }) => certain),
    likely: edge(({ certain, likely }) => certain + likely),
    unknown: edge(totalOf),
  };
}

export interface Row extends Flows {
  readonly exchange: string;
}

export function sorted(
  flows: ReadonlyMap<string, Flows>,
  { order, isAscending }: Pick<Question, "order" | "isAscending">,
): Row[] {
  const rows = [...flows].map(([exchange, flow]): Row => ({ exchange, ...flow }));
  const sign = isAscending ? 1 : -1;
  return rows.sort((one, other) => sign * compare(one, other, order) || byName(one, other));
}

function compare(one: Row, other: Row, order: Order): number {
  if (order === "exchange") return byName(one, other);
  if (order === "net") return one.net - other.net;
  return totalOf(one[order]) - totalOf(other[order]);
}

function byName(one: Row, other: Row): number {
  return one.exchange.localeCompare(other.exchange, "en", { sensitivity: "base" });
}

/** Spellings of one name are one. */
export function isSameExchange(one: string, other: string): boolean {
  return one.localeCompare(other, "en", { sensitivity: "base" }) === 0;
}
