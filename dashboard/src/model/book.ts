// All whales the page knows of, and the two lists it shows: what waits, and what ended.
import type { Said } from "../api/stream";
import type { Prediction } from "../api/types";
import { type Filters, type Order, passes } from "./filters";
import { fromAlert, fromPrediction, isOpen, updated, type Whale } from "./whale";

/** Ended whales that are kept; older ones are asked for again when somebody scrolls there. */
export const MOST_ENDED = 12_000;
/** So long a replaced or dropped whale stays, marked, among those that wait. */
export const FADING_MS = 8_000;

export interface Moved {
  readonly id: string;
  readonly to: Whale["status"];
}

export class Book {
  private whales = new Map<string, Whale>();
  /** Whales that ended while the page looked on, by when that was. */
  private fading = new Map<string, number>();
  /** Whales whose end was told by the stream: they are shown however old they are. */
  private told = new Set<string>();
  private endedCount = 0;
  /** Counts what changed about those that ended: the list is long, and most of what comes does not touch it. */
  private endedVersion = 0;
  private sorted: { version: number; filters: Filters; list: Whale[] } | null = null;
  /** Ended whales heard at or after it are known, as far as the present filter wants them. */
  private frontierMs = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.whales.size;
  }

  get frontier(): number {
    return this.frontierMs;
  }

  /** No more history is taken in: somebody who scrolls further back would push out what is at the top. */
  get isFull(): boolean {
    return this.endedCount >= MOST_ENDED;
  }

  find(id: string): Whale | undefined {
    return this.whales.get(id);
  }

  /** Forgets everything: the history between is not to be had. */
  clear(): void {
    this.whales.clear();
    this.fading.clear();
    this.told.clear();
    this.endedCount = 0;
    this.endedVersion += 1;
    this.frontierMs = Number.POSITIVE_INFINITY;
  }

  /** Another filter is shown: its history is read from the newest on, and the other's makes room for it. */
  forgetHistory(): void {
    for (const whale of this.whales.values()) {
      if (isOpen(whale) || this.told.has(whale.id)) continue;
      this.whales.delete(whale.id);
      this.endedCount -= 1;
    }
    this.endedVersion += 1;
    this.frontierMs = Number.POSITIVE_INFINITY;
  }

  /** Takes a page of REST in. `isKnown`: the stream spoke of it since the page was asked for. */
  addPage(page: readonly Prediction[], isKnown: (id: string) => boolean = () => false): void {
    for (const said of page) {
      if (isKnown(said.prediction_id)) continue;
      const amended = this.whales.get(said.prediction_id)?.amended ?? false;
      this.put({ ...fromPrediction(said), amended });
    }
  }

  /** Everything of the present filter is known that was heard at or after an instant; -Infinity: all. */
  reach(frontierMs: number): void {
    this.frontierMs = Math.min(this.frontierMs, frontierMs);
    this.endedVersion += 1;
  }

  /** Takes a message in and says what moved from the one list to the other. */
  hear(message: Said, nowMs: number): Moved | null {
    if (message.type === "whale_alert") {
      const whale = fromAlert(message.data);
      const before = this.whales.get(whale.id);
      this.fading.delete(whale.id);
      this.put(before?.amended ? { ...whale, amended: true } : whale);
      return null;
    }
    const { data } = message;
    const before = this.whales.get(data.prediction_id);
    if (before === undefined) return null;
    const after = updated(before, data, Date.parse(message.timestamp));
    if (after === before) return null;
    this.put(after);
    if (after.status === before.status) return null;
    if (!isOpen(after)) this.told.add(after.id);
    if (after.status === "replaced" || after.status === "dropped") this.fading.set(after.id, nowMs);
    else this.fading.delete(after.id);
    return { id: after.id, to: after.status };
  }

  /** All that wait, in no order. */
  open(): Whale[] {
    return [...this.whales.values()].filter(isOpen);
  }

  /** Whales that wait, in the order asked for, and those that just ended otherwise than in a block. */
  pending(filters: Filters, nowMs: number): Whale[] {
    this.fade(nowMs);
    const found: Whale[] = [];
    for (const whale of this.whales.values()) {
      if ((isOpen(whale) || this.fading.has(whale.id)) && passes(filters, whale)) found.push(whale);
    }
    return found.sort(ORDERED[filters.order]);
  }

  /** Whales that ended, the newest first: confirmed ones by their block, others by when they were heard. */
  ended(filters: Filters): readonly Whale[] {
    const version = this.endedVersion;
    if (this.sorted?.version !== version || this.sorted.filters !== filters) {
      this.sorted = { version, filters, list: this.sortEnded(filters) };
    }
    return this.sorted.list;
  }

  private sortEnded(filters: Filters): Whale[] {
    const found: Whale[] = [];
    for (const whale of this.whales.values()) {
      if (isOpen(whale) || (filters.ended !== "all" && whale.status !== filters.ended)) continue;
      const isReached = whale.seenMs >= this.frontierMs || this.told.has(whale.id);
      if (isReached && passes(filters, whale)) found.push(whale);
    }
    return found.sort(filters.ended === "confirmed" ? byBlock : byTime);
  }

  /** Whether some that ended are still among those that wait. */
  isFading(nowMs: number): boolean {
    this.fade(nowMs);
    return this.fading.size > 0;
  }

  private fade(nowMs: number): void {
    for (const [id, since] of this.fading) if (nowMs - since >= FADING_MS) this.fading.delete(id);
  }

  private put(whale: Whale): void {
    const before = this.whales.get(whale.id);
    const wasEnded = before !== undefined && !isOpen(before);
    const isEnded = !isOpen(whale);
    this.endedCount += Number(isEnded) - Number(wasEnded);
    if (wasEnded || isEnded) this.endedVersion += 1;
    this.whales.set(whale.id, whale);
    if (this.endedCount > MOST_ENDED * 1.1) this.evict();
  }

  private evict(): void {
    const ended = [...this.whales.values()].filter((whale) => !isOpen(whale));
    ended.sort(byTime);
    for (const whale of ended.slice(MOST_ENDED)) {
      this.whales.delete(whale.id);
      this.told.delete(whale.id);
      this.frontierMs = Math.max(this.frontierMs, whale.seenMs + 1);
    }
    this.endedCount = Math.min(ended.length, MOST_ENDED);
  }
}

function byBlock(one: Whale, other: Whale): number {
  return (other.height ?? 0) - (one.height ?? 0) || byTime(one, other);
}

function byTime(one: Whale, other: Whale): number {
  return other.seenMs - one.seenMs || (one.id < other.id ? -1 : 1);
}

const ORDERED: Record<Order, (one: Whale, other: Whale) => number> = {
  newest: byTime,
  largest: (one, other) => other.movedSat - one.movedSat || byTime(one, other),
  urgent: (one, other) => (other.urgency ?? -1) - (one.urgency ?? -1) || byTime(one, other),
};
