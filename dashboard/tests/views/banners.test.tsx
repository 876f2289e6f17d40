// What must not be overlooked, and that it is not said wrongly.
import { render } from "preact";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { StreamState } from "../../src/api/stream";
import type { Connection } from "../../src/api/types";

const HEARD: Connection = {
  status: "connected",
  mempool_available: true,
  message: "listening",
  since: null,
  blocks_followed: true,
};

let page: HTMLElement;
let session: typeof import("../../src/state/session");

const sight = () => page.querySelector('[data-testid="sight"] strong')?.textContent ?? null;

async function become(state: StreamState, forMs = 2_000): Promise<void> {
  session.streamState.value = state;
  await vi.advanceTimersByTimeAsync(forMs);
}

beforeEach(async () => {
  vi.useFakeTimers();
  vi.resetModules();
  session = await import("../../src/state/session");
  const { Banners } = await import("../../src/components/banners");
  page = document.createElement("div");
  document.body.append(page);
  render(<Banners />, page);
  session.connection.value = HEARD;
  await become("live");
});

afterEach(() => {
  render(null, page);
  page.remove();
  vi.clearAllTimers();
  vi.useRealTimers();
});

it("says nothing of a connection that is back at once", async () => {
  await become("lost", 500);
  await become("live");
  expect(sight()).toBeNull();
});

it("says that it is disconnected, and that it is connected again", async () => {
  await become("lost");
  expect(sight()).toBe("Disconnected");
  await become("live");
  expect(sight()).toBe("Connected again");
  await vi.advanceTimersByTimeAsync(15_000);
  expect(sight()).toBeNull();
});

it.each(["connecting", "refused"] as const)("does not take %s for good news", async (state) => {
  await become("lost");
  await become(state);
  expect(sight()).toBeNull();
});

it("says that the mempool is heard again only where it was not", async () => {
  session.connection.value = { ...HEARD, status: "disconnected", mempool_available: false };
  await vi.advanceTimersByTimeAsync(100);
  expect(sight()).toContain("The mempool is not heard");
  session.connection.value = HEARD;
  await vi.advanceTimersByTimeAsync(100);
  expect(sight()).toBe("The mempool is heard again");
});
