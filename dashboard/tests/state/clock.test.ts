import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { now, nowMs, setClock } from "../../src/state/clock";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
});

afterEach(() => {
  setClock(Date.now());
  vi.useRealTimers();
});

it("goes by the service, whose clock whales are dated by", () => {
  setClock(1_000_000 - 300_000);
  expect([now.value, nowMs()]).toEqual([700_000, 700_000]);
  vi.advanceTimersByTime(5_000);
  expect(nowMs()).toBe(705_000);
});

it.each([1_000_000 + 1_500, Number.NaN])("leaves its own clock alone for %d", (said) => {
  setClock(said);
  expect(nowMs()).toBe(1_000_000);
});
