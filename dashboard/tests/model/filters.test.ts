import { describe, expect, it } from "vitest";
import {
  countConditions,
  type Filters,
  formatFilters,
  NO_FILTERS,
  parseFilters,
  passes,
  restQuery,
} from "../../src/model/filters";
import { entity, whaleOf } from "../whales";

const parse = (text: string) => parseFilters(new URLSearchParams(text));
const filtersOf = (change: Partial<Filters>): Filters => ({ ...NO_FILTERS, ...change });

describe("filters in an address", () => {
  it("are none where nothing stands", () => {
    expect(parse("")).toEqual(NO_FILTERS);
    expect(formatFilters(NO_FILTERS).toString()).toBe("");
    expect(countConditions(NO_FILTERS)).toBe(0);
  });

  it("come back as they went", () => {
    const filters = filtersOf({
      flows: ["inflow", "unknown"],
      exchange: "Kraken & Co",
      minMovedBtc: 250.5,
      minUrgency: 0.75,
      ended: "replaced",
    });
    expect(parse(formatFilters(filters).toString())).toEqual(filters);
    expect(countConditions(filters)).toBe(4);
  });

  it.each([
    ["flow=sideways", NO_FILTERS],
    ["flow=inflow,sideways", filtersOf({ flows: ["inflow"] })],
    ["moved=much", NO_FILTERS],
    ["moved=-5", NO_FILTERS],
    ["moved=1e99", filtersOf({ minMovedBtc: 21_000_000 })],
    ["urgency=7", filtersOf({ minUrgency: 1 })],
    ["ended=never", NO_FILTERS],
    [`exchange=${"x".repeat(300)}`, filtersOf({ exchange: "x".repeat(100) })],
  ])("that make no sense are left out: %s", (text, filters) => {
    expect(parse(text)).toEqual(filters);
  });
});

describe("whether a whale passes", () => {
  const whale = whaleOf({ flow: "inflow", movedSat: 30e8, urgency: 0.5, entities: [entity("Kraken")] });

  it.each([
    [{}, true],
    [{ flows: ["outflow", "unknown"] }, false],
    [{ minMovedBtc: 30 }, true],
    [{ minMovedBtc: 30.1 }, false],
    [{ minUrgency: 0.5 }, true],
    [{ minUrgency: 0.51 }, false],
    [{ exchange: "kraken" }, true],
    [{ exchange: "Krake" }, false],
  ] as [Partial<Filters>, boolean][])("%j: %s", (change, isIn) => {
    expect(passes(filtersOf(change), whale)).toBe(isIn);
  });

  it("does not where its urgency is unknown and one is asked for", () => {
    expect(passes(filtersOf({ minUrgency: 0.1 }), whaleOf({ urgency: null }))).toBe(false);
    expect(passes(NO_FILTERS, whaleOf({ urgency: null }))).toBe(true);
  });
});

describe("what REST is asked for", () => {
  it("is one flow, or all of them", () => {
    expect(restQuery(filtersOf({ flows: ["inflow"] }))).toEqual({ flow_type: "inflow", status: "confirmed" });
    expect(restQuery(filtersOf({ flows: ["inflow", "outflow"] }))).toEqual({ status: "confirmed" });
  });

  it("is any end where all are shown", () => {
    expect(restQuery(filtersOf({ ended: "all", exchange: "OKX", minMovedBtc: 5, minUrgency: 0.2 }))).toEqual({
      exchange: "OKX",
      min_moved_btc: 5,
      min_urgency: 0.2,
    });
  });
});
