import { describe, expect, it } from "vitest";
import type { FeeMarket } from "../../src/api/types";
import {
  aheadOf,
  axisOf,
  type Bin,
  CAPACITY_WU,
  columnsOf,
  cutIntoBlocks,
  formatBlocks,
  formatVirtual,
  placeOf,
  projectBlocks,
  rateAt,
  readLearning,
  readMarket,
  stack,
  ticksOf,
  totalOf,
} from "../../src/model/feemarket";

function saidOf(market: object | null): FeeMarket {
  return {
    at: null,
    market,
    marginal_rate: null,
    model_state: "0",
    calibrated: false,
    model: { scored_blocks: 17 },
    let_go: 0,
    simulated: false,
  } as FeeMarket;
}

const BINS: readonly Bin[] = [
  { rate: 1, weight: 40 },
  { rate: 2, weight: 100 },
  { rate: 5, weight: 60 },
  { rate: 10, weight: 50 },
];

describe("what the service says", () => {
  it("is null while the market is unknown", () => {
    expect(readMarket(saidOf(null))).toBeNull();
  });

  it("is read by rate, the lowest first; what makes no sense is left out", () => {
    const market = readMarket(saidOf({ tip: 7, tau_s: 590, waiting: [[5, 60], [1, 40], [0, 9], "x"] }));
    expect(market).toMatchObject({ tip: 7, tauS: 590, inflow: [], mined: [] });
    expect(market?.waiting).toEqual([
      { rate: 1, weight: 40 },
      { rate: 5, weight: 60 },
    ]);
    expect(readLearning(saidOf(null))).toEqual({ calibrated: false, blocks: 17 });
  });
});

describe("blocks to come", () => {
  it("take the dearest first, and cut a rate that does not fit whole", () => {
    expect(cutIntoBlocks(BINS, 100)).toEqual([
      { rate: 10, weight: 50, block: 0 },
      { rate: 5, weight: 50, block: 0 },
      { rate: 5, weight: 10, block: 1 },
      { rate: 2, weight: 90, block: 1 },
      { rate: 2, weight: 10, block: 2 },
      { rate: 1, weight: 40, block: 2 },
    ]);
  });

  it("have a range and a middle", () => {
    const [next, , last] = projectBlocks(BINS, 6, 100);
    expect(next).toEqual({ weight: 100, low: 5, high: 10, median: 10, blocks: 1 });
    expect(last).toEqual({ weight: 50, low: 1, high: 2, median: 1, blocks: 1 });
  });

  it("are as many as are shown, the last for all that is left", () => {
    const blocks = projectBlocks(BINS, 2, 100);
    expect(blocks.map(({ weight, blocks: count }) => [weight, count])).toEqual([
      [100, 1],
      [150, 2],
    ]);
    expect(blocks.reduce((sum, { weight }) => sum + weight, 0)).toBe(totalOf(BINS));
  });

  it("are none where nothing waits", () => {
    expect(projectBlocks([], 6)).toEqual([]);
  });
});

it("sums what pays more than a rate", () => {
  expect([aheadOf(BINS, 0.5), aheadOf(BINS, 2), aheadOf(BINS, 10)]).toEqual([250, 110, 0]);
});

describe("the axis", () => {
  it("spans weights and what has to be on it", () => {
    const axis = axisOf(BINS, [50]);
    expect(axis.low).toBeLessThan(1);
    expect(axis.high).toBeGreaterThan(50);
    expect(placeOf(axis, axis.low)).toBe(0);
    expect(placeOf(axis, axis.high)).toBe(1);
    expect(placeOf(axis, 1e9)).toBe(1);
    expect(rateAt(axis, placeOf(axis, 7))).toBeCloseTo(7);
  });

  it("is not stretched by a speck of weight", () => {
    const speck = [{ rate: 0.05, weight: 0.01 }, ...BINS, { rate: 9_000, weight: 0.01 }];
    expect(axisOf(speck, []).high).toBeLessThan(20);
    expect(axisOf(speck, []).low).toBeGreaterThan(0.5);
  });

  it("spans something where all pay alike, and where nothing is known", () => {
    const { low, high } = axisOf([{ rate: 1, weight: 5 }], []);
    expect(high / low).toBeGreaterThanOrEqual(4);
    expect(axisOf([], [])).toEqual({ low: 1, high: 100 });
  });

  it("has round rates, fewer where there is little room", () => {
    expect(ticksOf({ low: 0.4, high: 25 }, 10)).toEqual([0.5, 1, 2, 5, 10, 20]);
    expect(ticksOf({ low: 0.4, high: 25 }, 4)).toEqual([1, 10]);
  });
});

describe("columns", () => {
  const axis = { low: 1, high: 100 };

  it("lose no weight, also beyond the ends of the axis", () => {
    const bins = [{ rate: 0.01, weight: 5 }, ...BINS, { rate: 9_000, weight: 7 }];
    const columns = columnsOf(bins, axis, 30);
    expect(columns.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(262);
    expect(columns[0]?.weight).toBeGreaterThanOrEqual(5);
    expect(columns.at(-1)?.weight).toBeCloseTo(7);
  });

  it("keep blocks apart", () => {
    const columns = columnsOf(cutIntoBlocks(BINS, 100), axis, 1);
    expect(columns[0]?.byBlock.map(Math.round)).toEqual([100, 100, 50]);
  });

  it("are level where the weight is, though bins and columns do not meet", () => {
    const level = Array.from({ length: 400 }, (_, n) => ({ rate: Math.exp(n * 0.01 + 0.3), weight: 1 }));
    const inner = columnsOf(level, axis, 61).slice(6, 55);
    const weights = inner.map(({ weight }) => weight);
    expect(Math.max(...weights) - Math.min(...weights)).toBeLessThan(0.1);
  });
});

it("stacks dots so that none hides another", () => {
  expect(stack([0, 100, 5, 200], 10, 3)).toEqual([0, 0, 1, 0]);
  const levels = stack([1, 1, 1, 1], 10, 3);
  expect(new Set(levels.slice(0, 3)).size).toBe(3);
});

it.each([
  [2_000, "500 vB"],
  [50_000, "12.5 kvB"],
  [5_000_000, "1.25 MvB"],
])("%d WU are %s", (weight, text) => {
  expect(formatVirtual(weight)).toBe(text);
});

it("says blocks, and that little is not none", () => {
  expect([0, 10, CAPACITY_WU * 1.5, CAPACITY_WU * 31.7].map(formatBlocks)).toEqual([
    "0",
    "<0.01",
    "1.5",
    "32",
  ]);
});
