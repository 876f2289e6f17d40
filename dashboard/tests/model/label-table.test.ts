import { describe, expect, it } from "vitest";
import { type LabelledEntity, orderBy, tabulate } from "../../src/model/label-table";

const row = (entity: string, change: Partial<LabelledEntity> = {}): LabelledEntity => ({
  entity,
  kind: "exchange",
  claims: 1,
  scripts: 1,
  disputed: 0,
  sources: ["list.csv"],
  oldest: null,
  newest: null,
  ...change,
});
const ROWS = [
  row("Kraken", { claims: 5, newest: "2026-01-01" }),
  row("binance", { claims: 9, newest: "2025-01-01" }),
  row("Pool X", { kind: "pool", claims: 5, sources: ["miners.csv"] }),
];
const names = (rows: readonly LabelledEntity[]) => rows.map(({ entity }) => entity);

describe("the table of labels", () => {
  it.each([
    ["", 3],
    [" KRA ", 1],
    ["pool", 1],
    ["miners", 1],
    ["nobody", 0],
  ])("finds by name, kind or source: %j", (text, count) => {
    expect(tabulate(ROWS, text, { column: "entity", isDescending: false })).toHaveLength(count);
  });

  it.each([
    ["entity", false, ["binance", "Kraken", "Pool X"]],
    ["claims", true, ["binance", "Kraken", "Pool X"]],
    ["claims", false, ["Kraken", "Pool X", "binance"]],
    ["newest", true, ["Kraken", "binance", "Pool X"]],
    ["newest", false, ["binance", "Kraken", "Pool X"]],
  ] as const)("by %s, descending: %s; unknown dates last", (column, isDescending, order) => {
    expect(names(tabulate(ROWS, "", { column, isDescending }))).toEqual(order);
  });

  it("turns around when the same head is chosen again", () => {
    const first = orderBy("claims", { column: "entity", isDescending: false });
    expect(first).toEqual({ column: "claims", isDescending: true });
    expect(orderBy("claims", first).isDescending).toBe(false);
    expect(orderBy("entity", first)).toEqual({ column: "entity", isDescending: false });
  });
});
