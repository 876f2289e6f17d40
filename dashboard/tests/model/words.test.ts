import { describe, expect, it } from "vitest";
import type { Whale } from "../../src/model/whale";
import { describeEnd, describeRoute, describeWait, marksOf } from "../../src/model/words";
import { SEEN_MS, whaleOf } from "../whales";

describe("who pays whom", () => {
  it("is as the service words it", () => {
    const { from, to } = describeRoute(
      whaleOf({ text: "1,250.00 BTC from unknown wallet to Binance, Kraken" }),
    );
    expect(from).toEqual({ text: "unknown wallet", isNamed: false });
    expect(to).toEqual({ text: "Binance, Kraken", isNamed: true });
  });

  it("is one party where coins stay inside", () => {
    const { from, to } = describeRoute(whaleOf({ text: "250.00 BTC inside Coinbase" }));
    expect(from).toBe(to);
    expect(from).toEqual({ text: "Coinbase", isNamed: true });
  });

  it("is nobody where there is no sentence", () => {
    const { from, to } = describeRoute(whaleOf({ text: "" }));
    expect([from.isNamed, to.isNamed]).toEqual([false, false]);
    expect(from).not.toBe(to);
  });
});

describe("when it confirms", () => {
  it.each([
    [{ p50S: 480, p90S: 1_500 }, "8\u201325 min"],
    [{ p50S: 480, p90S: null }, "8 min or far longer"],
    [{ p50S: null, p90S: null }, "beyond 36 blocks"],
    [{ pConfirm: null, p50S: null }, "no fee market known yet"],
    [{ status: "in_doubt" as const }, "gone from the mempool: asking why"],
  ])("%j: %s", (change, text) => {
    expect(describeWait(whaleOf(change))).toBe(text);
  });
});

describe("what became of it", () => {
  const confirmed = (afterS: number, change: Partial<Whale> = {}) =>
    describeEnd(whaleOf({ status: "confirmed", endedMs: SEEN_MS + afterS * 1000, ...change }));

  it.each([
    [480, {}, "after 8 min", "within P50 (8 min)"],
    [1_500, {}, "after 25 min", "within P90 (25 min)"],
    [1_501, {}, "after 25 min", "later than P90 (25 min)"],
    [1_501, { p90S: null }, "after 25 min", "after P50"],
    [60, { p50S: null }, "after 1 min", "no time was predicted"],
    [-1, {}, "after 0 s", "within P50 (8 min)"],
    [60, { sighting: "mined" }, "mined", "nothing was predicted"],
    [60, { endedMs: null, height: 7 }, "confirmed", "in 7"],
  ])("confirmed after %d s, %j: %s, %s", (afterS, change, word, detail) => {
    expect(confirmed(afterS, change)).toEqual({ word, detail });
  });

  it.each([
    [{ change: "cancelled" }, "taken back by its sender"],
    [{ change: "praised" }, "by a payment unknown to us"],
    [{ change: null }, "by a payment unknown to us"],
  ])("replaced, %j: %s", (change, detail) => {
    expect(describeEnd(whaleOf({ status: "replaced", ...change }))).toEqual({ word: "replaced", detail });
  });

  it("dropped: why, as far as that is known", () => {
    expect(describeEnd(whaleOf({ status: "dropped", reason: "expired" })).detail).toBe("expired");
    expect(describeEnd(whaleOf({ status: "dropped" })).detail).toBe("the source has it no more");
  });
});

describe("marks", () => {
  const texts = (change: Parameters<typeof whaleOf>[0]) => marksOf(whaleOf(change)).map(({ text }) => text);
  const version = { transaction_id: "b", seen: "", fee_rate: 2, change: null };

  it("are none on an ordinary whale", () => {
    expect(texts({})).toEqual([]);
  });

  it("tell a replaced fee rather than that it may be replaced", () => {
    expect(texts({ rbf: true })).toEqual(["RBF"]);
    expect(texts({ rbf: true, versions: [version] })).toEqual(["fee raised"]);
    const [mark] = marksOf(whaleOf({ versions: [version, { ...version, fee_rate: null }], feeRate: 9 }));
    expect(mark).toMatchObject({ text: "fee raised 2\u00d7" });
    expect(mark?.title).toBe("replaced by fee: 2 sat/vB \u2192 ? sat/vB \u2192 9 sat/vB");
  });

  it("tell the weightiest first", () => {
    expect(texts({ returned: "reorged", sighting: "mined", amended: true, subtype: "cold_to_hot" })).toEqual([
      "reorg",
      "seen when mined",
      "corrected",
      "cold to hot",
    ]);
  });
});
