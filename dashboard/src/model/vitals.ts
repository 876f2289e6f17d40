// How memory, queues and latency went while the page was open.
import type { Status } from "../api/types";
import { numberIn } from "./fields";

/** chosen: ten minutes at a sample each two seconds; later ones are thinned, the page may stay open for weeks. */
export const MOST_SAMPLES = 300;
const CLOSE_MS = 1_500;

export interface Sample {
  readonly atMs: number;
  readonly memoryMb: number;
  /** Share of its room that is taken, by queue. */
  readonly queues: Readonly<Record<string, number>>;
  /** Milliseconds to the subscribers, by source, where n carries it. */
  readonly p99Ms: Readonly<Record<string, number>>;
  readonly clients: number;
}

export function sampleOf(status: Status, atMs: number): Sample {
  const queues: Record<string, number> = {};
  for (const { name, waiting, capacity } of readQueues(status)) queues[name] = share(waiting, capacity);
  const p99Ms: Record<string, number> = {};
  for (const [source, { p99 }] of Object.entries(status.latency.received_to_published_ms)) {
    if (p99 !== null && p99 !== undefined) p99Ms[source] = p99;
  }
  return {
    atMs,
    memoryMb: status.memory_mb,
    queues,
    p99Ms,
    clients: numberIn(status.alerts, "clients") ?? 0,
  };
}

/** With a sample at its end; when there are too many, every other one goes, so that all of the time stays. */
export function withSample(samples: readonly Sample[], sample: Sample): readonly Sample[] {
  const last = samples.at(-1);
  if (last !== undefined && sample.atMs - last.atMs < CLOSE_MS) return samples;
  const all = [...samples, sample];
  return all.length > MOST_SAMPLES ? all.filter((_, place) => (all.length - 1 - place) % 2 === 0) : all;
}

export interface Queue {
  readonly name: string;
  /** What waits in it. */
  readonly words: string;
  readonly waiting: number;
  readonly highWater: number;
  readonly capacity: number;
  /** How long it has been full; null: it is not. */
  readonly fullForS: number | null;
}

const WORDS: Record<string, string> = {
  frames: "frames of the source",
  frame_bytes: "their bytes",
  effects: "what is to be stored and told",
  lookups: "questions to the source",
  lookups_held: "questions that are held back",
  database_questions: "questions to the database",
  http_connections: "connections to REST",
  alert_clients: "subscribers to alerts",
  client_backlog: "messages for the slowest subscriber",
};

export function readQueues(status: Status): Queue[] {
  return Object.entries(status.queues).map(([name, queue]) => ({
    name,
    words: WORDS[name] ?? name.replaceAll("_", " "),
    waiting: numberIn(queue, "waiting") ?? 0,
    highWater: numberIn(queue, "high_water") ?? 0,
    capacity: numberIn(queue, "capacity") ?? 0,
    fullForS: numberIn(queue, "full_for_s"),
  }));
}

export function share(part: number, whole: number): number {
  return whole > 0 ? Math.min(1, part / whole) : 0;
}
