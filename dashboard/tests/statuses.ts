// What the service says of itself; a test names only what it is about.
import type { Coverage, Status } from "../src/api/types";

export function statusOf(change: Partial<Status> = {}): Status {
  return {
    version: "0.1.0",
    uptime_s: 60,
    memory_mb: 150,
    memory: { level: "normal", rss_mb: 150, peak_mb: 160, shed_mb: 400, short_for_s: null, times_short: 0 },
    process: { open_files: 20, file_limit: 1024, threads: 12 },
    network: "mainnet",
    simulated: false,
    alerts_port: 8765,
    whale_threshold_btc: 100,
    explorer_url: null,
    source: { mempool_available: true, connected: true, malformed: 0, lookups_refused: 0 },
    predictions: { total: 10 },
    accuracy: { low: false },
    retention: {},
    gaps: 0,
    blindness: { blind_share: 0, period_s: 86_400 },
    record_seq: 7,
    record_head: "ab",
    alerts: { clients: 1, messages: 9, dropped: 0, kicked: 0 },
    queues: { frames: { waiting: 1, high_water: 5, capacity: 64, full_for_s: null } },
    latency: { received_to_published_ms: { source: { n: 60, p50: 40, p99: 200, insufficient_data: false } } },
    labels: { claims: 100 },
    label_age: { oldest: "2024-01-01", newest: "2026-11-20", newest_age_days: 6 },
    store: "data/hydrophone.db",
    storage: { file_bytes: 1e8, free_bytes: 5e10 },
    ...change,
  };
}

export function coverageOf(change: Partial<Coverage> = {}): Coverage {
  return {
    label_set: "set",
    on: null,
    claims: 3,
    scripts: 3,
    disputed: 0,
    learned: 0,
    signals: {
      days: 30,
      n: 100,
      with_direction: 70,
      share: { n: 100, value: 0.7, insufficient_data: false },
    },
    entities: [],
    ...change,
  };
}
