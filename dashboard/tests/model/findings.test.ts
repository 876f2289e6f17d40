import { describe, expect, it } from "vitest";
import type { Coverage, Status } from "../../src/api/types";
import { findingsOf } from "../../src/model/findings";
import { coverageOf, statusOf } from "../statuses";

function found(change: Partial<Status> = {}, coverage: Coverage | null = coverageOf(), expiredTokens = 0) {
  return findingsOf({ status: statusOf(change), coverage, expiredTokens });
}

it("finds nothing where all is well", () => {
  expect(found()).toEqual([]);
  expect(findingsOf({ status: statusOf(), coverage: null, expiredTokens: null })).toEqual([]);
});

describe("each trouble has a kind, and says what to do", () => {
  const SOURCE = statusOf().source;
  const QUEUE = { waiting: 1, high_water: 5, capacity: 64, full_for_s: null };

  it.each([
    ["bad", "not heard", { source: { ...SOURCE, mempool_available: false } }],
    ["note", "1 message could", { source: { ...SOURCE, malformed: 1 } }],
    ["warn", "11 messages could", { source: { ...SOURCE, malformed: 11 } }],
    ["warn", "2 questions", { source: { ...SOURCE, lookups_refused: 2 } }],
    ["note", "simulated", { simulated: true }],
    ["bad", "Nearly full", { queues: { frames: { ...QUEUE, waiting: 60 } } }],
    ["bad", "Nearly full", { queues: { frames: { ...QUEUE, full_for_s: 9 } } }],
    ["note", "Was nearly full", { queues: { frames: { ...QUEUE, high_water: 60 } } }],
    ["bad", "Short of memory", { memory: { rss_mb: 410, shed_mb: 400, short_for_s: 30, times_short: 1 } }],
    [
      "note",
      "short of memory once",
      { memory: { rss_mb: 210, shed_mb: 400, short_for_s: null, times_short: 1 } },
    ],
    ["bad", "500 MB are free", { storage: { file_bytes: 1e8, free_bytes: 5e8 } }],
    ["warn", "2.0 GB are free", { storage: { file_bytes: 3e9, free_bytes: 2e9 } }],
    ["bad", "Open files", { process: { open_files: 1_000, file_limit: 1_024 } }],
    [
      "warn",
      "1.5 s",
      {
        latency: { received_to_published_ms: { s: { n: 60, p50: 9, p99: 1_500, insufficient_data: false } } },
      },
    ],
    ["warn", "P90", { accuracy: { low: true, within_p90: 0.6, n: 80, window_h: 24, threshold_percent: 70 } }],
    ["note", "Blind for 5.0 %", { blindness: { blind_share: 0.05, period_s: 86_400 } }],
    ["note", "too slow", { alerts: { clients: 1, dropped: 4, kicked: 0 } }],
    ["warn", "no labels", { labels: { claims: 0 } }],
    ["warn", "200 days old", { label_age: { oldest: null, newest: "2026-05-01", newest_age_days: 200 } }],
  ] as [string, string, Partial<Status>][])("%s: %s", (kind, words, change) => {
    const [finding, ...others] = found(change);
    expect(others).toEqual([]);
    expect(finding?.kind).toBe(kind);
    expect(`${finding?.title} ${finding?.text}`).toContain(words);
    expect(finding?.todo).not.toBe("");
  });

  it("disputes and tokens", () => {
    expect(found({}, coverageOf({ disputed: 2 }))[0]?.title).toBe("2 labelled addresses are disputed");
    expect(found({}, coverageOf(), 1)[0]?.title).toBe("A token has expired");
  });
});

it("names the worst first", () => {
  const kinds = found({
    simulated: true,
    labels: { claims: 0 },
    source: { mempool_available: false, message: "no connection", blocks_followed: true },
  }).map(({ kind }) => kind);
  expect(kinds).toEqual(["bad", "warn", "note"]);
});

it("says nothing of latency that n does not carry", () => {
  const latency = { received_to_published_ms: { s: { n: 3, insufficient_data: true } } };
  expect(found({ latency } as unknown as Partial<Status>)).toEqual([]);
});
