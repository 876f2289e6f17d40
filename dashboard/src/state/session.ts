// What the page knows, kept true by the stream; views read the signals, nothing else writes them.
import { batch, computed, effect, signal } from "@preact/signals";
import { ApiError, ask } from "../api/rest";
import { type Said, Stream, type StreamState } from "../api/stream";
import { refusal, token } from "../api/token";
import type { Connection, Prediction, Status } from "../api/types";
import type { Price } from "../model/amounts";
import { Book, type Moved } from "../model/book";
import { type Filters, parseFilters, restQuery } from "../model/filters";
import { isOpen, type Whale } from "../model/whale";
import { announce } from "./announcer";
import { setClock } from "./clock";
import { liveQuery } from "./router";
import { currency } from "./settings";

const FLUSH_MS = 100;
const FADE_MS = 1_000;
const STATUS_MS = 5_000;
const PRICE_MS = 60_000;
const PAGE = 200;
const PENDING_PAGE = 1_000;

const book = new Book();
const revision = signal(0);
let queue: Said[] = [];
let flushTimer = 0;
let isLoading = false;
let fadeTimer = 0;
/** The lists could not be read without a token: they are once there is one. */
let isUnread = false;
/** Predictions that the stream spoke of while a page of REST was under way, for each that is. */
const meanwhile = new Set<Set<string>>();

export const streamState = signal<StreamState>("connecting");
export const connection = signal<Connection | null>(null);
export const status = signal<Status | null>(null);
export const prices = signal<Readonly<Record<string, number>> | null>(null);
/** The predictions, and their transactions, that the stream spoke of last. */
export const heard = signal<ReadonlySet<string>>(new Set());
/** The first lists have come. */
export const isReady = signal(false);
/** Lists are being read anew, as what was said meanwhile is not to be had. */
export const isResyncing = signal(false);
/** Older whales: are they being asked for, why did it fail. */
export const history = signal<{ loading: boolean; error: string | null }>({ loading: false, error: null });
/** How far back the second list goes: to the very first, as far as a page holds, or there is more to ask for. */
export const reach = computed<"all" | "full" | "more">(() => {
  revision.value;
  if (book.frontier === Number.NEGATIVE_INFINITY) return "all";
  return book.isFull ? "full" : "more";
});

export const filters = computed<Filters>(() => parseFilters(liveQuery.value));
export const pending = computed<readonly Whale[]>(() => {
  revision.value;
  return book.pending(filters.value, Date.now());
});
export const ended = computed<readonly Whale[]>(() => {
  revision.value;
  return book.ended(filters.value);
});
/** All that wait, whatever is filtered. */
export const waiting = computed<readonly Whale[]>(() => {
  revision.value;
  return book.open();
});
/** Those of them that may be summed: a store can hold real and simulated ones. */
export const counted = computed<readonly Whale[]>(() =>
  waiting.value.filter((whale) => whale.simulated === simulated.value),
);
export const price = computed<Price | null>(() => {
  const perBtc = prices.value?.[currency.value];
  return perBtc === undefined ? null : { currency: currency.value, perBtc };
});
export const simulated = computed(
  () => status.value?.simulated ?? (pending.value[0] ?? ended.value[0])?.simulated ?? false,
);

let beforeMove: (moved: readonly Moved[]) => void = () => undefined;
let afterMove: (moved: readonly Moved[]) => void = () => undefined;

/** Who shows that whales move from list to list is told before and after the lists change. */
export function watchMoves(before: typeof beforeMove, after: typeof afterMove): () => void {
  beforeMove = before;
  afterMove = after;
  return () => {
    beforeMove = () => undefined;
    afterMove = () => undefined;
  };
}

function hear(message: Said): void {
  queue.push(message);
  for (const heardIds of meanwhile) heardIds.add(message.data.prediction_id);
  if (flushTimer === 0 && !isLoading) flushTimer = window.setTimeout(flush, FLUSH_MS);
}

function flush(): void {
  flushTimer = 0;
  const said = queue;
  queue = [];
  const nowMs = Date.now();
  const moved: Moved[] = [];
  const fresh: Whale[] = [];
  for (const message of said) {
    const before = book.find(message.data.prediction_id);
    const move = book.hear(message, nowMs);
    if (move !== null) moved.push(move);
    const whale = book.find(message.data.prediction_id);
    if (whale === undefined && isReturn(message)) void readReturned(message.data.transaction_id);
    if (before === undefined && whale !== undefined && isOpen(whale)) fresh.push(whale);
  }
  beforeMove(moved);
  revision.value += 1;
  heard.value = new Set(said.flatMap(({ data }) => [data.prediction_id, data.transaction_id]));
  afterMove(moved);
  announce(fresh, filters.value);
  fade();
}

/** Looks again each second until those that ended otherwise than in a block have left the first list. */
function fade(): void {
  if (fadeTimer !== 0 || !book.isFading(Date.now())) return;
  fadeTimer = window.setTimeout(() => {
    fadeTimer = 0;
    revision.value += 1;
    fade();
  }, FADE_MS);
}

function isReturn({ type, data }: Said): boolean {
  return type === "status_update" && (data.new_status === "reorged" || data.new_status === "returned");
}

/** Reads both lists; what the stream says meanwhile is applied after them. */
async function load(): Promise<void> {
  if (isLoading) {
    isStale = true;
    return;
  }
  isLoading = true;
  isResyncing.value = isReady.value;
  for (let waitMs = 500; ; waitMs = Math.min(waitMs * 2, 10_000)) {
    isStale = false;
    try {
      const open = [...(await readOpen("pending")), ...(await readOpen("in_doubt"))];
      book.clear();
      nextPage = null;
      book.addPage(open);
      await readOlder();
      if (!isStale) break;
    } catch (error) {
      isUnread = error instanceof ApiError && error.status === 401;
      if (isUnread) break;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }
  isLoading = false;
  batch(() => {
    isResyncing.value = false;
    isReady.value = refusal.value === null;
    flush();
  });
}
let isStale = false;

async function readOpen(wanted: "pending" | "in_doubt"): Promise<Prediction[]> {
  const found: Prediction[] = [];
  let cursor: string | undefined;
  do {
    const page = await ask("/api/v1/predictions", {
      query: { status: wanted, limit: PENDING_PAGE, ...(cursor === undefined ? {} : { cursor }) },
    });
    found.push(...page.data);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return found;
}

/** Reads one page of what ended, older than what is known. */
async function readOlder(heardIds: ReadonlySet<string> = new Set()): Promise<void> {
  const asked = filters.value;
  const { frontier } = book;
  // What was let go since the last page makes its cursor lead too far back.
  const isNext = nextPage !== null && nextPage.frontier === frontier;
  // Up to the frontier and one past it: several whales may have come in one frame.
  const before = Number.isFinite(frontier) ? { to: new Date(frontier + 1).toISOString() } : {};
  const from = isNext && nextPage !== null ? { cursor: nextPage.cursor } : before;
  const page = await ask("/api/v1/predictions", { query: { ...restQuery(asked), ...from, limit: PAGE } });
  if (asked !== filters.value) return;
  book.addPage(page.data, (id) => heardIds.has(id) && book.find(id) !== undefined);
  const oldest = page.data.at(-1);
  const isLast = page.next_cursor === null || oldest === undefined;
  book.reach(isLast ? Number.NEGATIVE_INFINITY : Date.parse(oldest.detection_timestamp));
  nextPage = page.next_cursor === null ? null : { cursor: page.next_cursor, frontier: book.frontier };
}
let nextPage: { cursor: string; frontier: number } | null = null;

/** Asks for whales older than the list has; nothing happens while that is under way or there are none. */
export async function loadOlder(): Promise<void> {
  if (history.value.loading || reach.value !== "more" || isLoading) return;
  history.value = { loading: true, error: null };
  const heardIds = new Set<string>();
  meanwhile.add(heardIds);
  let error: string | null = null;
  try {
    await readOlder(heardIds);
  } catch (reason) {
    error = (reason as Error).message;
  }
  meanwhile.delete(heardIds);
  batch(() => {
    history.value = { loading: false, error };
    revision.value += 1;
  });
}

/** Reads a whale that waits again, and that was over before this page knew it. */
async function readReturned(txid: string): Promise<void> {
  const heardIds = new Set<string>();
  meanwhile.add(heardIds);
  try {
    let said: Prediction;
    do {
      heardIds.clear();
      said = await ask("/api/v1/predictions/{txid}", { place: { txid } });
    } while (heardIds.has(said.prediction_id)); // it may be as it was before
    book.addPage([said]);
    revision.value += 1;
  } catch {
    // It is in the list when the page is loaded anew.
  }
  meanwhile.delete(heardIds);
}

async function poll(): Promise<void> {
  try {
    if (refusal.peek() === null) status.value = await ask("/api/v1/status");
  } catch {
    // The stream says that nobody answers.
  }
  clearTimeout(statusTimer);
  statusTimer = window.setTimeout(poll, STATUS_MS);
}
let statusTimer = 0;

async function pollPrices(): Promise<void> {
  try {
    if (refusal.peek() === null) prices.value = (await ask("/api/v1/prices")).prices;
  } catch {
    // Without a price there is no fiat; the switch says so.
  }
  clearTimeout(priceTimer);
  priceTimer = window.setTimeout(pollPrices, PRICE_MS);
}
let priceTimer = 0;

/** Begins to listen; once, at the start of the page. */
export function start(): void {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const stream = new Stream({
    url: `${scheme}://${location.host}/ws`,
    token: () => token.value,
    listener: {
      said: hear,
      connection: (said) => {
        connection.value = said;
      },
      resync: () => void load(),
      time: setClock,
      state: (state) => {
        streamState.value = state;
      },
      refused: (message) => {
        refusal.value = message;
      },
    },
  });
  let shown: string | null | undefined;
  effect(() => {
    if (token.value === shown) return;
    shown = token.value;
    stream.start();
    if (isUnread) void load();
    if (shown !== null) {
      void poll();
      void pollPrices();
    }
  });
  let asked = filters.peek();
  effect(() => {
    const wanted = JSON.stringify(restQuery(filters.value));
    if (wanted === JSON.stringify(restQuery(asked))) return;
    asked = filters.value;
    book.forgetHistory();
    revision.value = revision.peek() + 1; // what is within reach is another question now
    nextPage = null;
    history.value = { loading: false, error: null };
    if (isReady.peek()) void loadOlder();
  });
  void poll();
  void pollPrices();
}
