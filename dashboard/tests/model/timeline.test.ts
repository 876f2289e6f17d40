import { describe, expect, it } from "vitest";
import type { PredictionDetail } from "../../src/api/types";
import { timelineOf, undoneOf } from "../../src/model/timeline";
import { detailOf } from "../explanations";
import { SEEN, updateOf } from "../whales";

const at = (minute: number) => `2026-11-26T02:${String(minute).padStart(2, "0")}:00.000000Z`;
const outcomeOf = (
  change: Partial<NonNullable<PredictionDetail["outcome"]>>,
): PredictionDetail["outcome"] => ({
  actual_outcome: "confirmed",
  ended_at: at(9),
  confirmation_time: null,
  confirmation_block: null,
  accuracy_score: null,
  time_to_confirmation_s: null,
  lead_time_s: null,
  within_p50: null,
  within_p90: null,
  final_fee_rate: null,
  change: null,
  reason: null,
  ...change,
});
const recordOf = (...entries: [kind: string, minute: number][]): PredictionDetail["evidence"] => ({
  ...detailOf().evidence,
  record: entries.map(([kind, minute], index) => ({ seq: index, kind, recorded_at: at(minute) })),
});
const titles = (said: PredictionDetail) => timelineOf(said).map(({ title }) => title);

describe("a history", () => {
  it("begins where it was heard", () => {
    expect(timelineOf(detailOf())).toEqual([
      {
        kind: "heard",
        atMs: Date.parse(SEEN),
        title: "Heard in the mempool",
        detail: "paid 5 sat/vB",
        txid: "a".repeat(64),
        changes: [],
      },
    ]);
  });

  it("has every version and what it changed", () => {
    const said = detailOf({
      history: [
        { transaction_id: "1".repeat(64), seen: at(1), fee_rate: 2, change: "fee_bump" },
        { transaction_id: "2".repeat(64), seen: at(2), fee_rate: 3, change: null },
      ],
      received_at: at(3),
    });
    expect(timelineOf(said).map(({ title, detail, txid }) => [title, detail, txid?.at(0)])).toEqual([
      ["Heard in the mempool", "paid 2 sat/vB", "1"],
      ["Replaced by version 2", "same payment, higher fee: 2 sat/vB \u2192 3 sat/vB", "2"],
      ["Replaced by version 3", "what it changed is not known: 3 sat/vB \u2192 5 sat/vB", "a"],
    ]);
  });

  it.each([
    [{ confirmation_block: 900_001, final_fee_rate: 5 }, "Confirmed in block 900,001", "paid 5 sat/vB"],
    [
      { actual_outcome: "replaced", change: "other_payee" },
      "Replaced by another payment",
      "pays somebody else: a double spend",
    ],
    [{ actual_outcome: "replaced" }, "Replaced by another payment", "what it changed is not known"],
    [{ actual_outcome: "dropped", reason: "expired" }, "Dropped", "expired"],
  ])("ends with %o", (change, title, detail) => {
    expect(timelineOf(detailOf({ outcome: outcomeOf(change) })).at(-1)).toMatchObject({ title, detail });
  });

  it("shows what a correction changed, in words", () => {
    const said = detailOf({
      amendments: [
        {
          amended_at: at(5),
          reason: `learned here: sweep ${"b".repeat(64)} showed it`,
          before: { flow_type: "unknown", confidence_score: 0.99, moved_sat: 1, payees: [] },
          after: { flow_type: "inflow", confidence_score: 0.9, moved_sat: 100_000_000, payees: [1] },
        },
      ],
    });
    const corrected = timelineOf(said).at(-1);
    expect(corrected?.detail).toBe("learned here: sweep bbbbbbbb\u2026bbbbbb showed it");
    expect(corrected?.changes).toEqual([
      { what: "flow", before: "unknown", after: "inflow" },
      { what: "sure", before: "99 %", after: "90 %" },
      { what: "moved", before: "0.00000001 BTC", after: "1 BTC" },
    ]);
  });

  it("tells of an end that was none", () => {
    const evidence = recordOf(["signal", 0], ["outcome", 4], ["reopening", 5], ["outcome", 9]);
    expect(titles(detailOf({ evidence, outcome: outcomeOf({}) }))).toEqual([
      "Heard in the mempool",
      "Ended, as it seemed then",
      "Waits again",
      "Confirmed",
    ]);
  });

  it.each([
    [
      { new_status: "confirmed", confirmation_block: 900_001 },
      "reorged",
      "Confirmed in block 900,001",
      "Reorganised away",
    ],
    [{ new_status: "dropped", reason: "evicted" }, "returned", "Taken for dropped", "Came back"],
    [{ new_status: "replaced", change: "cancelled" }, "returned", "Taken for replaced", "Came back"],
  ])("says what the record kept of it: %o", (end, again, ...expected) => {
    const said = detailOf({ evidence: recordOf(["signal", 0], ["outcome", 4], ["reopening", 5]) });
    expect(undoneOf(said)).toEqual([1, 2]);
    const { new_status, ...more } = end;
    const messages = new Map([
      [1, updateOf(new_status, more)],
      [2, updateOf(again)],
    ]);
    expect(timelineOf(said, messages).map(({ title }) => title)).toEqual([
      "Heard in the mempool",
      ...expected,
    ]);
  });

  it("asks the record for nothing while nothing was undone", () => {
    expect(undoneOf(detailOf({ evidence: recordOf(["signal", 0], ["outcome", 4]) }))).toEqual([]);
  });

  it("is in the order of time", () => {
    const said = detailOf({
      outcome: outcomeOf({}),
      amendments: [{ amended_at: at(30), reason: "labels", before: {}, after: {} }],
    });
    expect(titles(said)).toEqual(["Heard in the mempool", "Confirmed", "Corrected"]);
  });
});
