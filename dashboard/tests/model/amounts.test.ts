import { describe, expect, it } from "vitest";
import * as amounts from "../../src/model/amounts";

const USD = { currency: "USD", perBtc: 65_000 };

describe("amounts", () => {
  it.each([
    [24_883_000_000, "248.83 BTC"],
    [123_456_000_000, "1,234.6 BTC"],
    [2_100_000_000_000, "21,000 BTC"],
    [-5_000_000, "\u22120.05 BTC"],
    [0, "0.00 BTC"],
  ])("%d sat: %s", (sat, text) => {
    expect(amounts.formatAmount(sat, "btc", null)).toBe(text);
  });

  it("are exact in satoshis", () => {
    expect(amounts.formatAmount(24_883_000_001, "sat", null)).toBe("24,883,000,001 sat");
    expect(amounts.formatExactBtc(24_883_000_001)).toBe("248.83000001 BTC");
  });

  it("are coins where nobody told a price", () => {
    expect(amounts.formatAmount(1e8, "fiat", USD)).toBe("$65K");
    expect(amounts.formatAmount(1e8, "fiat", null)).toBe("1.00 BTC");
  });

  it("have a sign where a direction is meant", () => {
    expect(amounts.formatNet(1e8, "btc", null)).toBe("+1.00 BTC");
    expect(amounts.formatNet(-1e8, "btc", null)).toBe("\u22121.00 BTC");
    expect(amounts.formatNet(-1e8, "sat", null)).toBe("\u2212100,000,000 sat");
    expect(amounts.formatNet(0, "btc", null)).toBe("0.00 BTC");
  });
});

describe("rates and shares", () => {
  it.each([
    [null, "? sat/vB"],
    [1.234, "1.23 sat/vB"],
    [12.34, "12.3 sat/vB"],
    [123.4, "123 sat/vB"],
  ])("%s: %s", (rate, text) => {
    expect(amounts.formatRate(rate)).toBe(text);
  });

  it.each([
    [0, 0, "0 %"],
    [1, 0, "100 %"],
    [0.004, 0, "<1 %"],
    [0.9951, 0, ">99 %"],
    [0.994, 0, "99 %"],
    [0.5049, 1, "50.5 %"],
    [0.8, 1, "80.0 %"],
    [0, 1, "0 %"],
    [0.99999, 1, ">99.9 %"],
    [0.00001, 1, "<0.1 %"],
  ])("%d with %d decimals: %s", (share, decimals, text) => {
    expect(amounts.formatShare(share, decimals)).toBe(text);
  });
});

it.each([
  [367, "367 sat"],
  [999_999, "999,999 sat"],
  [1_000_000, "0.01 BTC"],
])("a fee of %d: %s", (sat, text) => {
  expect(amounts.formatFee(sat)).toBe(text);
});

describe("time", () => {
  it.each([
    [0, "just now"],
    [999, "just now"],
    [60_000, "1 min ago"],
  ])("%d ms ago: %s", (ms, text) => {
    expect(amounts.formatAgo(1_000_000, 1_000_000 + ms)).toBe(text);
  });

  it.each([
    [0, "0 s"],
    [45, "45 s"],
    [720, "12 min"],
    [12_600, "3.5 h"],
    [86_400, "1 d"],
    [59.7, "1 min"],
    [3_599, "1 h"],
    [86_399, "1 d"],
  ])("%d s: %s", (seconds, text) => {
    expect(amounts.formatDuration(seconds)).toBe(text);
  });

  it.each([
    [60, 180, "1\u20133 min"],
    [60, 7_200, "1 min \u2013 2 h"],
    [60, 60, "1 min"],
  ])("from %d to %d s: %s", (from, to, text) => {
    expect(amounts.formatSpan(from, to)).toBe(text);
  });

  it("has no ages of less than a second, nor of what is to come", () => {
    expect(amounts.formatAge(1_000, 1_900)).toBe("now");
    expect(amounts.formatAge(9_000, 1_000)).toBe("now");
    expect(amounts.formatAge(1_000, 31_000)).toBe("30 s");
  });
});

it.each([
  [4.25, "4.3 ms"],
  [180.4, "180 ms"],
  [1_500, "1.5 s"],
])("%d ms: %s", (ms, text) => {
  expect(amounts.formatMilliseconds(ms)).toBe(text);
});

it("has sizes and counts that do not break", () => {
  expect([amounts.formatBytes(3.2e9), amounts.formatBytes(5e8)]).toEqual(["3.2 GB", "500 MB"]);
  expect(amounts.formatN(1_234)).toBe("n\u00a0=\u00a01,234");
});

it("shortens a txid at its middle", () => {
  expect(amounts.shortTxid(`${"a".repeat(32)}${"b".repeat(32)}`)).toBe("aaaaaaaa\u2026bbbbbb");
});
