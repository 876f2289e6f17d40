// The page's session as a whole, with a service that is made: what it reads, what it hears, what it shows.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { FADING_MS } from "../../src/model/book";
import { predictionOf, saidAlert, saidUpdate } from "../whales";

class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  send(text: string): void {
    const { type, id } = JSON.parse(text) as { type: string; id?: number };
    if (type === "authenticate") this.say({ type: "authenticated", data: {} });
    if (type === "subscribe") this.say({ type: "subscribed", data: { id, seq: 0 } });
  }
  close(): void {}
  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

let sockets: FakeSocket[];
let isAllowed: boolean;
let asked: string[];

function answer(url: string): Response {
  asked.push(url);
  if (!isAllowed) {
    return Response.json({ error: { code: "unauthorized", message: "no token", hint: "" } }, { status: 401 });
  }
  const isOpen = url.includes("status=pending");
  const data = isOpen ? [predictionOf({ prediction_id: "read" })] : [];
  return Response.json({ data, next_cursor: null });
}

/** Everything anew, as when the page is loaded; its socket is open. */
async function load() {
  vi.resetModules();
  const session = await import("../../src/state/session");
  const { go } = await import("../../src/state/router");
  const { keepToken } = await import("../../src/api/token");
  go("/");
  session.start();
  sockets.at(-1)?.onopen?.();
  await vi.advanceTimersByTimeAsync(200);
  return { ...session, go, keepToken };
}

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  asked = [];
  isAllowed = true;
  vi.stubGlobal("fetch", async (url: string) => answer(url));
  vi.stubGlobal(
    "WebSocket",
    class extends FakeSocket {
      constructor() {
        super();
        sockets.push(this);
      }
    },
  );
});

afterEach(() => {
  vi.clearAllTimers();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  sessionStorage.clear();
});

it("keeps the filters of the live view while another view is looked at", async () => {
  const { filters, go } = await load();
  go("/?flow=inflow&moved=500");
  const before = filters.value;
  const questions = asked.length;
  go("/flows?exchange=Binance");
  expect(filters.value).toBe(before);
  expect(asked.slice(questions).filter((url) => url.includes("Binance"))).toEqual([]);
});

it("asks for the history of another filter at once, also where all of the former one was read", async () => {
  const { reach, go } = await load();
  expect(reach.value).toBe("all");
  go("/?flow=inflow");
  expect(asked.at(-1)).toContain("flow_type=inflow");
});

it("lets what was replaced leave those that wait, also when nothing more is heard", async () => {
  const { pending } = await load();
  sockets[0]?.say(saidAlert({ prediction_id: "p1" }, 1));
  sockets[0]?.say(saidUpdate("replaced", {}, 2));
  await vi.advanceTimersByTimeAsync(200);
  expect(pending.value.map(({ id }) => id).sort()).toEqual(["p1", "read"]);
  await vi.advanceTimersByTimeAsync(FADING_MS + 1_000);
  expect(pending.value.map(({ id }) => id)).toEqual(["read"]);
});

it("reads the lists once there is a token, where they were refused without one", async () => {
  isAllowed = false;
  const { waiting, isReady, keepToken } = await load();
  expect([isReady.value, waiting.value.length]).toEqual([false, 0]);
  const questions = asked.length;
  await vi.advanceTimersByTimeAsync(120_000);
  expect(asked.slice(questions)).toEqual([]); // nobody is pestered without a token
  isAllowed = true;
  keepToken("secret", false);
  sockets.at(-1)?.onopen?.();
  await vi.advanceTimersByTimeAsync(200);
  expect([isReady.value, waiting.value.length]).toEqual([true, 1]);
  expect(asked.filter((url) => url === "/api/v1/status")).toHaveLength(2);
});
