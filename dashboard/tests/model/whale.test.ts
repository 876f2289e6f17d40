import { describe, expect, it } from "vitest";
import { fromAlert, fromPrediction, isOpen, updated } from "../../src/model/whale";
import { alertOf, predictionOf, SEEN_MS, updateOf, whaleOf } from "../whales";

describe("a whale from an alert", () => {
  it("waits, and its minutes are seconds", () => {
    const whale = fromAlert(alertOf());
    expect(whale).toMatchObject({ id: "p1", status: "pending", p50S: 480, p90S: 1_500, seenMs: SEEN_MS });
    expect(isOpen(whale)).toBe(true);
  });

  it("pays the rate of its package where that is known", () => {
    expect(fromAlert(alertOf({ fee_rate: 5, effective_fee_rate: 9 })).feeRate).toBe(9);
    expect(fromAlert(alertOf({ fee_rate: 5, effective_fee_rate: null })).feeRate).toBe(5);
  });

  it("links nowhere but to web addresses", () => {
    expect(fromAlert(alertOf({ explorer_url: "https://explorer.example/tx/1" })).explorerUrl).not.toBeNull();
    expect(fromAlert(alertOf({ explorer_url: "javascript:alert(1)" })).explorerUrl).toBeNull();
  });

  it("has no direction where a later version of the service knows a fifth", () => {
    expect(fromAlert(alertOf({ flow_type: "sideways" })).flow).toBe("unknown");
  });
});

describe("a whale from REST", () => {
  it("is the same whale as its alert makes", () => {
    expect(fromPrediction(predictionOf())).toEqual(fromAlert(alertOf()));
  });

  it("says how it ended", () => {
    const outcome = {
      actual_outcome: "confirmed",
      ended_at: "2026-11-26T02:10:00.000000Z",
      confirmation_time: null,
      confirmation_block: 900_001,
      accuracy_score: 0.9,
      time_to_confirmation_s: 600,
      lead_time_s: 600,
      within_p50: true,
      within_p90: true,
      final_fee_rate: null,
      change: null,
      reason: "found in a block",
    };
    const whale = fromPrediction(
      predictionOf({ status: "confirmed", confirmation_height: 900_001, outcome }),
    );
    expect(whale).toMatchObject({ status: "confirmed", height: 900_001, endedMs: SEEN_MS + 600_000 });
    expect(whale.reason).toBe("found in a block");
  });

  it("is in doubt where its status is not known here", () => {
    expect(fromPrediction(predictionOf({ status: "lost" })).status).toBe("in_doubt");
  });

  it("computes the gross of rows that say it only in coins", () => {
    expect(fromPrediction(predictionOf({ gross_sat: null, btc_value: 1.1 })).grossSat).toBe(110_000_000);
  });
});

describe("what becomes of a whale", () => {
  const whale = whaleOf();

  it("confirmed: in a block, perhaps by an earlier version", () => {
    const after = updated(whale, updateOf("confirmed", { confirmation_block: 7, transaction_id: "b" }), 99);
    expect(after).toMatchObject({ status: "confirmed", height: 7, txid: "b", endedMs: 99 });
  });

  it("replaced: by whom and how", () => {
    const update = updateOf("replaced", { replacement_txid: "c", change: "other_payee" });
    expect(updated(whale, update, 99)).toMatchObject({
      status: "replaced",
      replacedBy: "c",
      change: "other_payee",
      endedMs: 99,
    });
  });

  it("dropped: why", () => {
    expect(updated(whale, updateOf("dropped", { reason: "expired" }), 99).reason).toBe("expired");
  });

  it.each(["reorged", "returned"] as const)("%s: it waits again", (status) => {
    const ended = updated(whale, updateOf("confirmed", { confirmation_block: 7 }), 99);
    const after = updated(ended, updateOf(status), 100);
    expect(after).toMatchObject({ status: "pending", height: null, endedMs: null, returned: status });
  });

  it("amended: other claims, the same end", () => {
    const ended = updated(whale, updateOf("confirmed", { confirmation_block: 7 }), 99);
    const amendment = alertOf({ flow_type: "outflow", moved_sat: 1 });
    const after = updated(ended, updateOf("amended", { amendment, reason: "labels changed" }), 100);
    expect(after).toMatchObject({ status: "confirmed", height: 7, endedMs: 99 });
    expect(after).toMatchObject({ flow: "outflow", movedSat: 1, amended: true, reason: "labels changed" });
  });

  it("is the same object where nothing is known of the kind", () => {
    expect(updated(whale, updateOf("praised"), 99)).toBe(whale);
    expect(updated(whale, updateOf("amended"), 99)).toBe(whale);
  });
});
