import { describe, expect, it } from "vitest";
import type { Accuracy } from "../../src/api/types";
import {
  HORIZONS,
  parsePeriod,
  rateOf,
  readCoverage,
  readDays,
  readFlows,
  readHorizons,
  readPit,
  readSkill,
  shareOf,
} from "../../src/model/accuracy";
import { FLOWS } from "../../src/model/whale";

const NONE = { insufficient_data: true, n: 12, blocks: 4 };

function accuracyOf(change: Partial<Accuracy> = {}): Accuracy {
  return {
    days: 30,
    computed_at: "2026-11-26T02:00:00Z",
    forecasts: 12,
    forecasts_left_off: 0,
    simulated: 0,
    waiting: 1,
    blocks: 4,
    horizons: Object.fromEntries(HORIZONS.map((horizon) => [horizon, { ...NONE, censored: 3 }])),
    coverage: { p50: NONE, p90: NONE },
    ranked: NONE,
    pit: NONE,
    flow: { n: 12, amended: 0, counts: [] },
    accuracy_score: { real: { n: 12, insufficient_data: true } },
    daily: [],
    ...change,
  } as Accuracy;
}

it.each([
  ["", 30],
  ["days=7", 7],
  ["days=8", 30],
  ["days=x", 30],
])("a period in an address: %j is %d days", (text, days) => {
  expect(parsePeriod(new URLSearchParams(text))).toBe(days);
});

describe("insufficient data", () => {
  it("is no figure anywhere, but has its n", () => {
    const accuracy = accuracyOf();
    for (const horizon of readHorizons(accuracy)) {
      expect(horizon).toMatchObject({ n: 12, blocks: 4, censored: 3, score: null });
    }
    expect(readCoverage(accuracy).p90).toMatchObject({ value: null, n: 12 });
    expect(readSkill(accuracy).score).toMatchObject({ value: null, n: 12 });
    expect(readSkill(accuracy).skill.next_block.value).toBeNull();
    expect(readPit(accuracy)).toEqual({ n: 12, blocks: 4, counts: null });
    expect(rateOf(accuracy.accuracy_score["real"])).toBeNull();
    expect(rateOf(undefined)).toBeNull();
  });

  it("is what the page says of its own shares, too", () => {
    expect(shareOf(0, 49)).toBeNull();
    expect(shareOf(5, 50)).toBe(0.1);
  });
});

describe("a horizon", () => {
  const fields = {
    n: 300,
    blocks: 60,
    censored: 2,
    said: 0.6,
    came: 0.5,
    brier: 0.2,
    ece: 0.1,
    ece_floor: 0.05,
  };

  it("stands beside who always says the mean", () => {
    const accuracy = accuracyOf({
      horizons: {
        "3": {
          ...fields,
          curve: [
            [0.2, 0.1, 150],
            [0.9, 0.8, 150],
          ],
        },
      },
    });
    const horizon = readHorizons(accuracy).find(({ horizon }) => horizon === 3);
    expect(horizon?.score).toMatchObject({ said: 0.6, came: 0.5, brier: 0.2, reference: 0.25, floor: 0.05 });
    expect(horizon?.score?.curve).toHaveLength(2);
  });

  it("has one point where the same was said each time", () => {
    const curve = [
      [0.6, 0.3, 100],
      [0.6, 0.6, 200],
      [0.7, 0.7, 100],
    ];
    const [first] = readHorizons(accuracyOf({ horizons: { "1": { ...fields, curve } } }));
    expect(first?.score?.curve).toEqual([
      { said: 0.6, came: expect.closeTo(0.5), n: 300 },
      { said: 0.7, came: 0.7, n: 100 },
    ]);
  });
});

it("reads coverage and skill with their intervals", () => {
  const measured = { value: 0.5, low: 0.4, high: 0.6, n: 90, blocks: 30 };
  const accuracy = accuracyOf({
    coverage: { p50: measured, p90: { value: 0.9, n: 90, blocks: 30 } },
    ranked: {
      score: measured,
      skill: { next_block: measured, climatology: measured, projected_block: measured },
    },
  } as unknown as Partial<Accuracy>);
  expect(readCoverage(accuracy).p50).toEqual(measured);
  expect(readCoverage(accuracy).p90).toMatchObject({ value: 0.9, low: 0.9, high: 0.9 });
  expect(readSkill(accuracy)).toMatchObject({ score: measured, skill: { climatology: measured } });
});

it("counts what was first said and is said now", () => {
  const counts = [
    { said: "inflow", now: "inflow", n: 5 },
    { said: "unknown", now: "inflow", n: 2 },
    { said: "unknown", now: "unknown", n: 3 },
  ];
  const table = readFlows(
    accuracyOf({ flow: { n: 10, amended: 2, counts } } as unknown as Partial<Accuracy>),
    FLOWS,
  );
  expect(table).toMatchObject({ n: 10, amended: 2, unsaid: 5 });
  expect(table.counts[FLOWS.indexOf("unknown")]?.[FLOWS.indexOf("inflow")]).toBe(2);
  expect(table.counts.flat().reduce((sum, n) => sum + n)).toBe(10);
});

it("reads days with the n of each figure", () => {
  const daily = [
    {
      day: "2026-11-25",
      simulated: true,
      confirmed: 7,
      replaced: 1,
      dropped: 0,
      accuracy_score: { value: null, n: 0 },
      within_p50: { met: 3, n: 7 },
      within_p90: { met: 6, n: 7 },
      median_lead_time_s: null,
    },
  ];
  expect(readDays(accuracyOf({ daily }))).toEqual([
    expect.objectContaining({
      atS: Date.UTC(2026, 10, 25) / 1000,
      score: null,
      p90: { met: 6, n: 7 },
      simulated: true,
      leadS: null,
    }),
  ]);
});
