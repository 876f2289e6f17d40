import { describe, expect, it } from "vitest";
import { MOST_SAMPLES, readQueues, type Sample, sampleOf, share, withSample } from "../../src/model/vitals";
import { statusOf } from "../statuses";

const at = (atMs: number): Sample => ({ atMs, memoryMb: 1, queues: {}, p99Ms: {}, clients: 0 });

describe("a sample", () => {
  it("has what is drawn, as far as it is known", () => {
    const status = statusOf();
    expect(sampleOf(status, 5)).toEqual({
      atMs: 5,
      memoryMb: 150,
      queues: { frames: 1 / 64 },
      p99Ms: { source: 200 },
      clients: 1,
    });
    const few = {
      ...status,
      latency: { received_to_published_ms: { source: { n: 3, insufficient_data: true } } },
    };
    expect(sampleOf(few as unknown as typeof status, 5).p99Ms).toEqual({});
  });
});

describe("samples", () => {
  it("are taken once where two ask at the same time", () => {
    const samples = withSample([at(0)], at(1_000));
    expect(samples).toHaveLength(1);
    expect(withSample(samples, at(2_000))).toHaveLength(2);
  });

  it("stay few, and reach back to the beginning, however long the page is open", () => {
    let samples: readonly Sample[] = [];
    for (let n = 0; n < 10_000; n += 1) samples = withSample(samples, at(n * 2_000));
    expect(samples.length).toBeLessThanOrEqual(MOST_SAMPLES);
    expect(samples[0]?.atMs).toBeLessThan(10_000 * 2_000 * 0.05);
    expect(samples.at(-1)?.atMs).toBe(9_999 * 2_000);
    expect(samples).toEqual([...samples].sort((one, other) => one.atMs - other.atMs));
  });
});

describe("queues", () => {
  it("have words, also those that a later version adds", () => {
    const queues = readQueues(statusOf({ queues: { effects: { waiting: 2 }, new_one: {} } }));
    expect(queues.map(({ words }) => words)).toEqual(["what is to be stored and told", "new one"]);
    expect(queues[1]).toMatchObject({ waiting: 0, highWater: 0, capacity: 0, fullForS: null });
  });

  it("are filled by no more than all, and empty where there is no room", () => {
    expect([share(1, 4), share(9, 4), share(1, 0)]).toEqual([0.25, 1, 0]);
  });
});
