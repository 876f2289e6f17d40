import { describe, expect, it } from "vitest";
import type { Gaps } from "../../src/api/types";
import { type Gap, listGaps, reasonOf, stretchesOf } from "../../src/model/gaps";

const hour = (n: number) => new Date(Date.UTC(2026, 10, 26, n)).toISOString();

function gapOf(from: number, to: number | null, reason = "reconnected"): Gap {
  return {
    source: "mempool.space",
    reason,
    started_at: hour(from),
    ended_at: to === null ? null : hour(to),
    duration_s: 3_600,
    detail: "",
    blocks: 0,
    blocks_read: 0,
    whales_mined: null,
    whales_unseen: null,
  };
}

function gapsOf(gaps: Gap[], open: Gap | null = null): Gaps {
  return { from: hour(0), to: hour(10), gaps, open_gap: open } as Gaps;
}

describe("gaps in a list", () => {
  it("are the open one, then the newest first", () => {
    const [early, late, open] = [gapOf(1, 2), gapOf(5, 6), gapOf(9, null, "degraded")];
    expect(listGaps(gapsOf([early, late], open))).toEqual([open, late, early]);
  });

  it("say why in words, also by a reason that is new", () => {
    expect(reasonOf(gapOf(1, 2, "started"))).toBe("Hydrophone was not running");
    expect(reasonOf(gapOf(1, 2, "solar_storm"))).toBe("solar storm");
  });
});

describe("gaps on a line", () => {
  it("stand where they were", () => {
    expect(stretchesOf(gapsOf([gapOf(1, 2), gapOf(5, 6)]), 0.001)).toEqual([
      { from: 0.1, to: 0.2, isOpen: false, count: 1 },
      { from: 0.5, to: 0.6, isOpen: false, count: 1 },
    ]);
  });

  it("are one where they overlap, or could not be told apart", () => {
    expect(stretchesOf(gapsOf([gapOf(1, 3), gapOf(2, 4), gapOf(4, 5)]), 0.001)).toEqual([
      { from: 0.1, to: 0.5, isOpen: false, count: 3 },
    ]);
  });

  it("reach to now while they are open, and not beyond the period", () => {
    expect(stretchesOf(gapsOf([gapOf(-5, 1)], gapOf(8, null)), 0.001)).toEqual([
      { from: 0, to: 0.1, isOpen: false, count: 1 },
      { from: 0.8, to: 1, isOpen: true, count: 1 },
    ]);
  });
});
