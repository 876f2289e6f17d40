import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Listener, Stream } from "../../src/api/stream";
import { saidAlert } from "../whales";

/** The service's end of a websocket. */
class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  readonly heard: Record<string, unknown>[] = [];
  isClosed = false;

  send(text: string): void {
    this.heard.push(JSON.parse(text));
  }

  close(): void {
    this.isClosed = true;
  }

  say(type: string, data: object = {}): void {
    this.onmessage?.({ data: JSON.stringify({ type, data, timestamp: "" }) });
  }

  alert(seq: number): void {
    this.onmessage?.({ data: JSON.stringify(saidAlert({}, seq)) });
  }

  /** Answers the newest subscription. */
  subscribed(seq: number): void {
    const { id } = this.heard.findLast(({ type }) => type === "subscribe") ?? {};
    this.say("subscribed", { id, seq });
  }
}

let sockets: FakeSocket[];
let seqs: number[];
let states: string[];
let resyncs: number;
let refusals: string[];
let token: string | null;
let stream: Stream;

const listener: Listener = {
  said: ({ seq }) => seqs.push(seq),
  connection: () => undefined,
  time: () => undefined,
  resync: () => {
    resyncs += 1;
  },
  state: (state) => states.push(state),
  refused: (message) => refusals.push(message),
};

function newest(): FakeSocket {
  const socket = sockets.at(-1);
  if (socket === undefined) throw new Error("nothing was opened");
  return socket;
}

/** Connects the newest socket and lets it answer the subscription. */
function goLive(seq: number): FakeSocket {
  const socket = newest();
  socket.onopen?.();
  socket.subscribed(seq);
  return socket;
}

beforeEach(() => {
  vi.useFakeTimers();
  [sockets, seqs, states, resyncs, refusals, token] = [[], [], [], 0, [], null];
  stream = new Stream({
    url: "ws://here/ws",
    token: () => token,
    listener,
    random: () => 0.5, // no jitter
    open: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
  });
  stream.start();
});

afterEach(() => {
  stream.stop();
  vi.useRealTimers();
});

describe("a first connection", () => {
  it("subscribes from now on and has everything read", () => {
    const socket = goLive(7);
    expect(socket.heard).toEqual([{ type: "subscribe", id: 1, since: null }]);
    expect([states, resyncs]).toEqual([["connecting", "live"], 1]);
  });

  it("passes over what comes before its subscription is answered", () => {
    const socket = newest();
    socket.onopen?.();
    socket.alert(7);
    socket.subscribed(7);
    socket.alert(8);
    expect(seqs).toEqual([8]);
  });

  it("hands each entry on once", () => {
    const socket = goLive(7);
    for (const seq of [7, 8, 8, 9, 8]) socket.alert(seq);
    expect(seqs).toEqual([8, 9]);
  });

  it("is given up when nobody answers", () => {
    vi.advanceTimersByTime(10_000);
    expect(sockets[0]?.isClosed).toBe(true);
    expect(states.at(-1)).toBe("lost");
  });

  it("stays away until it is answered, also where it never was", () => {
    vi.advanceTimersByTime(10_000 + 1_000);
    expect(states).toEqual(["connecting", "lost", "resuming"]);
  });
});

describe("a token", () => {
  it("is the first message, and the subscription waits for its answer", () => {
    token = "secret";
    const socket = newest();
    socket.onopen?.();
    expect(socket.heard).toEqual([{ type: "authenticate", token: "secret" }]);
    socket.say("authenticated");
    expect(socket.heard[1]).toMatchObject({ type: "subscribe", since: null });
  });

  it("that is refused is said, and not shown again and again", () => {
    const socket = newest();
    socket.onopen?.();
    socket.say("error", { code: "unauthorized", message: "a token is needed" });
    socket.onclose?.();
    vi.advanceTimersByTime(60_000);
    expect([states.at(-1), refusals, sockets.length]).toEqual(["refused", ["a token is needed"], 1]);
    token = "better";
    stream.start();
    newest().onopen?.();
    expect(newest().heard).toEqual([{ type: "authenticate", token: "better" }]);
  });

  it("is not blamed for other errors", () => {
    goLive(7).say("error", { code: "malformed", message: "what?" });
    expect([states.at(-1), refusals]).toEqual(["live", []]);
  });
});

describe("a connection that was lost", () => {
  it("is resumed from the last entry", () => {
    const first = goLive(7);
    first.alert(9);
    first.onclose?.();
    vi.advanceTimersByTime(500);
    const second = newest();
    second.onopen?.();
    expect(second.heard).toEqual([{ type: "subscribe", id: 2, since: 9 }]);
    second.subscribed(12);
    for (const seq of [10, 11, 12]) second.alert(seq);
    expect([seqs, resyncs]).toEqual([[9, 10, 11, 12], 1]);
    expect(states).toEqual(["connecting", "live", "lost", "resuming", "live"]);
  });

  it("is tried again ever more slowly, up to eight seconds", () => {
    const waits: number[] = [];
    for (let tries = 0; tries < 6; tries += 1) {
      const count = sockets.length;
      newest().onclose?.();
      let waited = 0;
      while (sockets.length === count && waited < 20_000) {
        vi.advanceTimersByTime(250);
        waited += 250;
      }
      waits.push(waited);
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 8_000]);
    goLive(7).onclose?.(); // it was good once: the next loss is a first one
    const count = sockets.length;
    vi.advanceTimersByTime(500);
    expect(sockets.length).toBe(count + 1);
  });

  it.each([
    [0, 250],
    [0.999, 749.5],
  ])("waits by chance: %d", (chance, waitMs) => {
    stream.stop();
    const opened: FakeSocket[] = [];
    const jittery = new Stream({
      url: "ws://here/ws",
      token: () => null,
      listener,
      random: () => chance,
      open: () => {
        opened.push(new FakeSocket());
        return opened.at(-1) as unknown as WebSocket;
      },
    });
    jittery.start();
    opened[0]?.onclose?.();
    vi.advanceTimersByTime(Math.floor(waitMs) - 1);
    expect(opened.length).toBe(1);
    vi.advanceTimersByTime(2);
    expect(opened.length).toBe(2);
    jittery.stop();
  });

  it("says nothing any more, whatever its socket still has", () => {
    const first = goLive(7);
    first.onclose?.();
    first.alert(8);
    expect(seqs).toEqual([]);
  });

  it("stays as it is when the page stopped it", () => {
    goLive(7).onclose?.();
    stream.stop();
    vi.advanceTimersByTime(60_000);
    expect(sockets.length).toBe(1);
  });
});

describe("what cannot be sent again", () => {
  it("is read anew, and the stream goes on from there", () => {
    const first = goLive(7);
    first.onclose?.();
    vi.advanceTimersByTime(500);
    const second = goLive(90_000);
    second.say("resync_required", { id: 2, reason: "too_old", since: 7, seq: 90_000 });
    second.alert(90_001);
    expect([resyncs, seqs]).toEqual([2, [90_001]]);
    second.onclose?.();
    vi.advanceTimersByTime(500);
    newest().onopen?.();
    expect(newest().heard[0]).toMatchObject({ since: 90_001 });
  });

  it("goes back where the record is another one", () => {
    const socket = goLive(90_000);
    socket.say("resync_required", { id: 1, reason: "ahead", since: 90_000, seq: 3 });
    socket.alert(4);
    expect([resyncs, seqs]).toEqual([2, [4]]);
  });

  it("is no news where a later subscription is under way", () => {
    const socket = goLive(7);
    socket.say("lagged", { n: 3 });
    socket.say("resync_required", { id: 1, reason: "not_kept", since: 7, seq: 50 });
    socket.subscribed(50);
    socket.alert(8);
    expect([resyncs, seqs]).toEqual([1, [8]]);
  });
});

describe("a page that was too slow", () => {
  it("asks again for what was dropped", () => {
    const socket = goLive(7);
    socket.alert(8);
    socket.say("lagged", { n: 3 });
    expect(socket.heard.at(-1)).toEqual({ type: "subscribe", id: 2, since: 8 });
    socket.alert(12); // after the hole: it comes again
    socket.say("subscribed", { id: 1, seq: 12 }); // an old answer
    socket.alert(12);
    socket.subscribed(12);
    for (const seq of [9, 10, 11, 12]) socket.alert(seq);
    expect(seqs).toEqual([8, 9, 10, 11, 12]);
  });

  it("does not take a pong for having heard what was dropped", () => {
    const socket = goLive(7);
    socket.say("lagged", { n: 3 });
    socket.say("pong", { seq: 10 }); // answers a ping of before
    socket.subscribed(10);
    for (const seq of [8, 9, 10]) socket.alert(seq);
    expect(seqs).toEqual([8, 9, 10]);
  });
});

describe("silence", () => {
  it("is asked about, and an answer tells how far everything is known", () => {
    const socket = goLive(7);
    vi.advanceTimersByTime(20_000);
    expect(socket.heard.at(-1)).toEqual({ type: "ping" });
    socket.say("pong", { seq: 11 });
    vi.advanceTimersByTime(15_000);
    expect(socket.isClosed).toBe(false);
    socket.onclose?.();
    vi.advanceTimersByTime(500);
    newest().onopen?.();
    expect(newest().heard[0]).toMatchObject({ since: 11 });
  });

  it("on a ping is a lost connection", () => {
    const socket = goLive(7);
    vi.advanceTimersByTime(30_000);
    expect([socket.isClosed, states.at(-1)]).toEqual([true, "lost"]);
  });
});

it("passes over types that it does not know", () => {
  const socket = goLive(7);
  socket.say("weather", {});
  socket.alert(8);
  expect(seqs).toEqual([8]);
});
