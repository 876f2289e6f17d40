import { describe, expect, it } from "vitest";
import { marketOf } from "../../src/model/market";

describe("a market that was kept", () => {
  it("is read", () => {
    const kept = {
      at: "2026-11-26T02:00:00Z",
      tip: 900_000,
      tau_s: 600,
      marginal_rate_sat_vb: 2.5,
      overpay: 1.2,
    };
    expect(marketOf(kept)).toMatchObject({
      atMs: Date.parse(kept.at),
      tip: 900_000,
      intervalS: 600,
      marginalRate: 2.5,
    });
  });

  it("may lack anything", () => {
    expect(marketOf(null)).toBeNull();
    expect(marketOf({})).toBeNull();
    expect(marketOf({ tip: "high", at: "then" })).toMatchObject({ tip: null, atMs: null, overpay: null });
  });
});
