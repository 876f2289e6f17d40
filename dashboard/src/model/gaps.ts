// When we were blind, for a line of time and a list.
import type { Gaps } from "../api/types";

export type Gap = Gaps["gaps"][number];

const REASONS: Record<string, string> = {
  started: "Hydrophone was not running",
  reconnected: "the connection was lost",
  sequence_jump: "messages are missing",
  sequence_reset: "the source began anew, messages are missing",
  malformed: "parts of a message could not be read",
  silent: "connected, but nothing came",
  disconnected: "not connected, and still so",
  degraded: "not heard, and still so",
};

export function reasonOf(gap: Gap): string {
  return REASONS[gap.reason] ?? gap.reason.replaceAll("_", " ");
}

/** The open one first, then from the newest to the oldest. */
export function listGaps(gaps: Gaps): Gap[] {
  const ended = [...gaps.gaps].sort(
    (one, other) => Date.parse(other.started_at) - Date.parse(one.started_at),
  );
  return gaps.open_gap === null ? ended : [gaps.open_gap, ...ended];
}

export interface Stretch {
  /** Shares of the period. */
  readonly from: number;
  readonly to: number;
  readonly isOpen: boolean;
  readonly count: number;
}

/** Where the period was blind; gaps so near to each other that nobody could see it are one stretch. */
export function stretchesOf(gaps: Gaps, least: number): Stretch[] {
  const [fromMs, toMs] = [Date.parse(gaps.from), Date.parse(gaps.to)];
  const place = (ms: number) => Math.min(1, Math.max(0, (ms - fromMs) / Math.max(1, toMs - fromMs)));
  const found: Stretch[] = [];
  for (const gap of listGaps(gaps).reverse()) {
    const from = place(Date.parse(gap.started_at));
    const to = Math.max(from, gap.ended_at === null ? 1 : place(Date.parse(gap.ended_at)));
    const isOpen = gap.ended_at === null;
    const last = found.at(-1);
    if (last !== undefined && from - last.to < least && last.isOpen === isOpen) {
      found[found.length - 1] = { ...last, to: Math.max(last.to, to), count: last.count + 1 };
    } else found.push({ from, to, isOpen, count: 1 });
  }
  return found;
}
