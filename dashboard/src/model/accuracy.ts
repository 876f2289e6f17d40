// How often we were right, read from what the service computed. Where it says "insufficient data" there is
// no figure here either.
import type { Accuracy } from "../api/types";
import { type Fields, fieldsIn, numberIn, numbersIn, rowsIn } from "./fields";

/** Of fewer the service says no share, and neither does the page where it divides. */
export const LEAST = 50;
export const PERIODS = [1, 7, 30, 90] as const;
export const HORIZONS = [1, 2, 3, 6, 12, 24] as const;
const FIRST_PERIOD = 30;
/** Curve points so near to each other are one: somebody said the same each time. */
const SAME = 1e-3;

export type Period = (typeof PERIODS)[number];

export function parsePeriod(query: URLSearchParams): Period {
  const asked = Number(query.get("days"));
  return PERIODS.find((period) => period === asked) ?? FIRST_PERIOD;
}

export interface Counted {
  readonly n: number;
  readonly blocks: number;
}

/** Predictions of about the same probability: what was said of them, and how often it came. */
export interface CurvePoint {
  readonly said: number;
  readonly came: number;
  readonly n: number;
}

export interface Horizon extends Counted {
  readonly horizon: number;
  /** Too young to be judged. */
  readonly censored: number;
  /** null: insufficient data. */
  readonly score: {
    readonly said: number;
    readonly came: number;
    readonly brier: number;
    /** The Brier score of somebody who says each time how often it came on the whole, which nobody knows before. */
    readonly reference: number;
    readonly ece: number;
    readonly floor: number;
    readonly curve: readonly CurvePoint[];
  } | null;
}

export function readHorizons(accuracy: Accuracy): Horizon[] {
  return HORIZONS.map((horizon) => {
    const fields = accuracy.horizons[horizon] ?? {};
    const [said, came, brier] = [
      numberIn(fields, "said"),
      numberIn(fields, "came"),
      numberIn(fields, "brier"),
    ];
    const isKnown = said !== null && came !== null && brier !== null;
    return {
      horizon,
      ...countedIn(fields),
      censored: numberIn(fields, "censored") ?? 0,
      score: isKnown
        ? {
            said,
            came,
            brier,
            reference: came * (1 - came),
            ece: numberIn(fields, "ece") ?? 0,
            floor: numberIn(fields, "ece_floor") ?? 0,
            curve: readCurve(fields),
          }
        : null,
    };
  });
}

function countedIn(fields: Fields): Counted {
  return { n: numberIn(fields, "n") ?? 0, blocks: numberIn(fields, "blocks") ?? 0 };
}

function readCurve(fields: Fields): CurvePoint[] {
  const points: CurvePoint[] = [];
  for (const [said = 0, came = 0, n = 0] of rowsIn(fields, "curve")) {
    const last = points.at(-1);
    if (last === undefined || Math.abs(last.said - said) > SAME) points.push({ said, came, n });
    else {
      const all = last.n + n;
      points[points.length - 1] = {
        said: (last.said * last.n + said * n) / all,
        came: (last.came * last.n + came * n) / all,
        n: all,
      };
    }
  }
  return points;
}

/** A figure with its 95 % interval, from drawing whole blocks anew; null: insufficient data. */
export interface Measured extends Counted {
  readonly value: number | null;
  readonly low: number;
  readonly high: number;
}

function measuredIn(fields: Fields): Measured {
  const value = numberIn(fields, "value");
  return {
    ...countedIn(fields),
    value,
    low: numberIn(fields, "low") ?? value ?? 0,
    high: numberIn(fields, "high") ?? value ?? 0,
  };
}

export function readCoverage(accuracy: Accuracy): { p50: Measured; p90: Measured } {
  const { coverage } = accuracy;
  return { p50: measuredIn(coverage["p50"] ?? {}), p90: measuredIn(coverage["p90"] ?? {}) };
}

export const RIVALS = ["climatology", "projected_block", "next_block"] as const;

/** How much better than simple rules: 1 is perfect, 0 no better. */
export function readSkill(accuracy: Accuracy): {
  score: Measured;
  skill: Record<(typeof RIVALS)[number], Measured>;
} {
  const fields = accuracy.ranked as Fields;
  const skill = fieldsIn(fields, "skill");
  const score = numberIn(fields, "n") === null ? measuredIn(fieldsIn(fields, "score")) : measuredIn(fields);
  return {
    score,
    skill: {
      climatology: measuredIn(fieldsIn(skill, "climatology")),
      projected_block: measuredIn(fieldsIn(skill, "projected_block")),
      next_block: measuredIn(fieldsIn(skill, "next_block")),
    },
  };
}

/** How often each tenth of what was said was hit; null: insufficient data. */
export function readPit(accuracy: Accuracy): Counted & { counts: readonly number[] | null } {
  const fields = accuracy.pit as Fields;
  const counts = numbersIn(fields, "counts");
  return { ...countedIn(fields), counts: counts.length === 0 ? null : counts };
}

export interface FlowTable {
  readonly n: number;
  readonly amended: number;
  /** Those of which no direction was said at first. */
  readonly unsaid: number;
  /** Directions, in the order of rows and columns. */
  readonly flows: readonly string[];
  /** First said by row, now said by column. */
  readonly counts: readonly (readonly number[])[];
}

export function readFlows({ flow }: Accuracy, flows: readonly string[]): FlowTable {
  const cells = (flow.counts as readonly Fields[]).map((cell) => ({
    said: String(cell["said"]),
    now: String(cell["now"]),
    n: numberIn(cell, "n") ?? 0,
  }));
  const count = (said: string, now: string) =>
    cells.reduce((sum, cell) => sum + (cell.said === said && cell.now === now ? cell.n : 0), 0);
  return {
    n: flow.n,
    amended: flow.amended,
    unsaid: cells.reduce((sum, { said, n }) => sum + (said === "unknown" ? n : 0), 0),
    flows,
    counts: flows.map((said) => flows.map((now) => count(said, now))),
  };
}

/** A share that was counted; null: insufficient data. The service leaves out what is null. */
export function rateOf(rate: { value?: number | null } | undefined): number | null {
  return rate?.value ?? null;
}

/** A share of at least `LEAST`; null: insufficient data. */
export function shareOf(part: number, n: number): number | null {
  return n < LEAST ? null : part / n;
}

export interface Day {
  /** Midnight UTC at its beginning, seconds since 1970. */
  readonly atS: number;
  readonly day: string;
  readonly simulated: boolean;
  readonly confirmed: number;
  readonly replaced: number;
  readonly dropped: number;
  readonly score: number | null;
  readonly scored: number;
  readonly p50: { readonly met: number; readonly n: number };
  readonly p90: { readonly met: number; readonly n: number };
  readonly leadS: number | null;
}

/** Days, the oldest first; real and simulated ones apart. */
export function readDays(accuracy: Accuracy): Day[] {
  return accuracy.daily.map((said) => ({
    atS: Date.parse(`${said.day}T00:00:00Z`) / 1000,
    day: said.day,
    simulated: said.simulated,
    confirmed: said.confirmed,
    replaced: said.replaced,
    dropped: said.dropped,
    score: said.accuracy_score["value"] ?? null,
    scored: said.accuracy_score["n"] ?? 0,
    p50: { met: said.within_p50["met"] ?? 0, n: said.within_p50["n"] ?? 0 },
    p90: { met: said.within_p90["met"] ?? 0, n: said.within_p90["n"] ?? 0 },
    leadS: said.median_lead_time_s,
  }));
}
