import { describe, expect, it } from "vitest";
import * as netflows from "../../src/model/netflows";
import { netflowOf, suretyOf } from "../explanations";

const NOW = Date.parse("2026-11-26T02:30:00Z");
const questionOf = (text: string) => netflows.parseQuestion(new URLSearchParams(text));

describe("a question in the address", () => {
  it.each([
    ["", { interval: "hour", period: "24h", exchange: "", order: "net", isAscending: false }],
    ["period=30d", { interval: "day", period: "30d" }],
    ["period=7d&interval=day&exchange=Kraken", { interval: "day", period: "7d", exchange: "Kraken" }],
    ["sort=exchange", { order: "exchange", isAscending: true }],
    ["sort=-sent", { order: "sent", isAscending: false }],
    ["period=90d&interval=hour", { interval: "day", period: "90d" }],
    ["interval=day", { interval: "hour", period: "24h" }],
    ["period=1y&interval=minute&sort=fee", { interval: "hour", period: "24h", order: "net" }],
  ])("%s", (text, expected) => {
    expect(questionOf(text)).toMatchObject(expected);
  });

  it.each([
    "",
    "period=90d",
    "period=7d&interval=day",
    "period=30d&interval=hour&exchange=Kraken",
    "sort=net",
    "sort=-exchange",
  ])("stays what it was: %s", (text) => {
    expect(netflows.formatQuestion(questionOf(text)).toString()).toBe(text);
  });
});

describe("a period", () => {
  it("ends with the hour that is not over", () => {
    const steps = netflows.stepsOf({ interval: "hour", period: "24h" }, NOW);
    expect(steps).toHaveLength(24);
    expect(new Date((steps.at(-1) ?? 0) * 1000).toISOString()).toBe("2026-11-26T02:00:00.000Z");
    expect(netflows.restQuery(questionOf(""), NOW)).toEqual({
      interval: "hour",
      from: "2026-11-25T03:00:00.000Z",
    });
  });

  it("begins at midnight where days are counted", () => {
    const { from } = netflows.restQuery(questionOf("period=30d"), NOW);
    expect(from).toBe("2026-10-28T00:00:00.000Z");
    expect(netflows.stepsOf({ interval: "day", period: "30d" }, NOW)).toHaveLength(30);
  });
});

const rows = [
  netflowOf("Kraken", {
    start: "2026-11-26T02:00:00Z",
    net_sat: 70,
    received: suretyOf(50, 30, 20, 3),
    sent: suretyOf(0, 0, 30, 1),
  }),
  netflowOf("Binance", { start: "2026-11-26T01:00:00Z", net_sat: -40, sent: suretyOf(40, 0, 0, 2) }),
  netflowOf("Kraken", { start: "2026-11-26T01:00:00Z", net_sat: 5, received: suretyOf(5, 0, 0, 1) }),
];

describe("sums", () => {
  it("are the same however they are made", () => {
    const steps = netflows.stepsOf({ interval: "hour", period: "24h" }, NOW);
    const sum = (flows: Iterable<netflows.Flows>) => {
      const all = [...flows];
      const payments = all.reduce((n, { received, sent }) => n + received.n + sent.n, 0);
      return [all.reduce((net, flow) => net + flow.net, 0), payments];
    };
    expect(sum(netflows.byExchange(rows).values())).toEqual([35, 7]);
    expect(sum(netflows.overTime(rows, steps))).toEqual([35, 7]);
    expect(sum([netflows.sumOf(rows)])).toEqual([35, 7]);
  });

  it("have steps in which nothing moved, and none outside of the period", () => {
    const steps = netflows.stepsOf({ interval: "hour", period: "24h" }, NOW);
    const flows = netflows.overTime(
      [...rows, netflowOf("Kraken", { start: "2026-11-20T01:00:00Z", net_sat: 9 })],
      steps,
    );
    expect(flows.map(({ net }) => net).slice(-3)).toEqual([0, -35, 70]);
    expect(flows).toHaveLength(24);
  });

  it("keep the parts of how sure they are", () => {
    expect(netflows.byExchange(rows).get("Kraken")?.received).toEqual({
      certain: 55,
      likely: 30,
      unknown: 20,
      n: 4,
    });
  });
});

describe("a stack", () => {
  const flows = [netflows.sumOf(rows)];

  it("stands on certain amounts and ends with the total", () => {
    const { certain, likely, unknown } = netflows.stack(flows, "received");
    expect([certain, likely, unknown]).toEqual([[55], [85], [105]]);
  });

  it("hangs down for what was sent", () => {
    const { certain, likely, unknown } = netflows.stack(flows, "sent");
    expect([certain, likely, unknown]).toEqual([[-40], [-40], [-70]]);
  });

  it("has no negative zero", () => {
    const [nothing] = netflows.stack([netflows.sumOf([])], "sent").certain;
    expect(Object.is(nothing, 0)).toBe(true);
  });
});

describe("rows", () => {
  const order = (text: string) =>
    netflows.sorted(netflows.byExchange(rows), questionOf(text)).map(({ exchange }) => exchange);

  it.each([
    ["", ["Kraken", "Binance"]],
    ["sort=net", ["Binance", "Kraken"]],
    ["sort=exchange", ["Binance", "Kraken"]],
    ["sort=-exchange", ["Kraken", "Binance"]],
    ["sort=-sent", ["Binance", "Kraken"]],
    ["sort=received", ["Binance", "Kraken"]],
  ])("are sorted: %s", (text, expected) => {
    expect(order(text)).toEqual(expected);
  });

  it("take spellings of one name for one", () => {
    expect(netflows.isSameExchange("kraken", "Kraken")).toBe(true);
    expect(netflows.isSameExchange("kraken", "Binance")).toBe(false);
  });
});
