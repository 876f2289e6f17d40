// Amounts, rates, durations and ages as people read them.
const SAT_PER_BTC = 1e8;
/** chosen: a hundredth of a bitcoin. */
const LEAST_BTC_SAT = 1e6;

export type Unit = "btc" | "sat" | "fiat";

/** What a coin costs, as the source says; null: nobody told. */
export interface Price {
  readonly currency: string;
  readonly perBtc: number;
}

const number = (most: number, least = 0) =>
  new Intl.NumberFormat("en", { maximumFractionDigits: most, minimumFractionDigits: least });
const whole = number(0);
const one = number(1, 1);
const two = number(2, 2);
const exact = number(8);
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** An amount to read at a glance: `248.83 BTC`, `24,883,000,000 sat`, `US$16.2M`. */
export function formatAmount(sat: number, unit: Unit, price: Price | null): string {
  if (unit === "sat") return `${signOf(sat)}${whole.format(Math.abs(sat))} sat`;
  if (unit === "fiat" && price !== null) return formatFiat(sat, price);
  return `${formatBtc(sat)} BTC`;
}

/** Bitcoin without their name, fewer decimals the larger they are. */
export function formatBtc(sat: number): string {
  const btc = Math.abs(sat) / SAT_PER_BTC;
  const sign = signOf(sat);
  if (btc >= 10_000) return sign + whole.format(btc);
  if (btc >= 1_000) return sign + one.format(btc);
  return sign + two.format(btc);
}

function signOf(amount: number): string {
  return amount < 0 ? "\u2212" : "";
}

export function formatExactBtc(sat: number): string {
  return `${exact.format(sat / SAT_PER_BTC)} BTC`;
}

/** A fee: what would be a row of zeros is told in satoshis. */
export function formatFee(sat: number): string {
  return sat < LEAST_BTC_SAT ? `${whole.format(sat)} sat` : formatExactBtc(sat);
}

export function formatFiat(sat: number, price: Price): string {
  return new Intl.NumberFormat("en", {
    style: "currency",
    currency: price.currency,
    notation: "compact",
    maximumFractionDigits: 1,
  }).format((sat / SAT_PER_BTC) * price.perBtc);
}

/** With its sign: positive is into exchanges. */
export function formatNet(sat: number, unit: Unit, price: Price | null): string {
  return (sat > 0 ? "+" : "") + formatAmount(sat, unit, price);
}

export function formatCount(count: number): string {
  return whole.format(count);
}

/** What a figure rests on; it does not break. */
export function formatN(n: number): string {
  return `n\u00a0=\u00a0${whole.format(n)}`;
}

export function formatCompact(count: number): string {
  return compact.format(count);
}

export function formatBytes(bytes: number): string {
  return bytes >= 1e9 ? `${one.format(bytes / 1e9)} GB` : `${whole.format(bytes / 1e6)} MB`;
}

export function formatRate(rateSatVb: number | null): string {
  if (rateSatVb === null) return "? sat/vB";
  return `${rateSatVb >= 100 ? whole.format(rateSatVb) : number(rateSatVb < 10 ? 2 : 1).format(rateSatVb)} sat/vB`;
}

/** Nearly none is not none, and nearly all not all: `<1 %`, `>99.9 %`. */
export function formatShare(share: number, decimals = 0): string {
  const percent = share * 100;
  const step = 10 ** -decimals;
  if (percent > 0 && percent < step / 2) return `<${number(decimals).format(step)} %`;
  if (percent < 100 && percent > 100 - step / 2) return `>${number(decimals).format(100 - step)} %`;
  const isWhole = percent === 0 || percent === 100;
  return `${number(decimals, isWhole ? 0 : decimals).format(percent)} %`;
}

const STEPS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
] as const;

/** A span of time in its largest unit: `45 s`, `12 min`, `3.5 h`. */
export function formatDuration(seconds: number): string {
  // What rounds to a whole larger unit is one: `1 h`, not `60 min`.
  const [size, name] = STEPS.find(([step], place) => seconds >= step - (STEPS[place + 1]?.[0] ?? 0) / 2) ?? [
    1,
    "s",
  ];
  const count = seconds / size;
  return `${size > 60 && count < 10 ? number(1).format(count) : whole.format(count)} ${name}`;
}

/** A short time: `4.2 ms`, `180 ms`, `1.5 s`. */
export function formatMilliseconds(ms: number): string {
  if (ms >= 1_000) return `${number(1).format(ms / 1_000)} s`;
  return `${(ms < 10 ? number(1) : whole).format(ms)} ms`;
}

/** From a span to another: `1\u20133 min` where both have the same unit. */
export function formatSpan(fromS: number, toS: number): string {
  const [from, to] = [formatDuration(fromS), formatDuration(toS)];
  if (from === to) return from;
  const [count, unit] = from.split(" ");
  return unit === to.split(" ")[1] ? `${count}\u2013${to}` : `${from} \u2013 ${to}`;
}

export function formatAge(thenMs: number, nowMs: number): string {
  const seconds = Math.max(0, (nowMs - thenMs) / 1000);
  return seconds < 1 ? "now" : formatDuration(seconds);
}

/** How long ago something was: `12 min ago`. */
export function formatAgo(thenMs: number, nowMs: number): string {
  const age = formatAge(thenMs, nowMs);
  return age === "now" ? "just now" : `${age} ago`;
}

export function formatInstant(ms: number): string {
  return new Date(ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

export function formatTime(ms: number): string {
  return new Date(ms).toLocaleTimeString();
}

export function shortTxid(txid: string): string {
  return `${txid.slice(0, 8)}\u2026${txid.slice(-6)}`;
}
