import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { NO_FILTERS } from "../../src/model/filters";
import { whaleOf } from "../whales";

let made: { title: string; onclick: (() => void) | null; close: () => void }[];

/** The announcer as after a reload, with what was chosen before it. */
async function load(choices: Record<string, string>) {
  localStorage.clear();
  for (const [name, value] of Object.entries(choices)) localStorage.setItem(`hydrophone.${name}`, value);
  vi.resetModules();
  return await import("../../src/state/announcer");
}

beforeEach(() => {
  made = [];
  vi.spyOn(document, "hidden", "get").mockReturnValue(true);
  vi.stubGlobal(
    "Notification",
    class {
      onclick: (() => void) | null = null;
      constructor(readonly title: string) {
        made.push(this);
      }
      close(): void {}
    },
  );
});

afterEach(() => {
  vi.unstubAllGlobals();
  localStorage.clear();
});

it("notifies of what passes the filters, marks what is simulated, and opens it at a click", async () => {
  const { announce } = await load({ notify: "on" });
  announce([whaleOf({ flow: "outflow" }), whaleOf({ simulated: true })], {
    ...NO_FILTERS,
    flows: ["inflow"],
  });
  expect(made.map(({ title }) => title)).toEqual(["SIMULATED: 200.00 BTC, inflow"]);
  made[0]?.onclick?.();
  expect(location.pathname).toBe(`/whales/${"a".repeat(64)}`);
});

it("goes on where the browser lets no page notify", async () => {
  const { announce } = await load({ notify: "on" });
  const refuse = vi.fn(function refuse() {
    throw new TypeError("Illegal constructor");
  });
  vi.stubGlobal("Notification", refuse);
  expect(() => announce([whaleOf()], NO_FILTERS)).not.toThrow();
  expect(refuse).toHaveBeenCalledOnce();
});

it("plays nothing until the page was clicked, and then not what was missed", async () => {
  const started = vi.fn();
  const node = { connect: () => node, start: started, stop: () => undefined };
  const parameter = { setValueAtTime: () => undefined, exponentialRampToValueAtTime: () => undefined };
  vi.stubGlobal(
    "AudioContext",
    class {
      state = "suspended";
      currentTime = 0;
      resume = async () => {
        this.state = "running";
      };
      createOscillator = () => ({ ...node, frequency: parameter });
      createGain = () => ({ ...node, gain: parameter });
    },
  );
  vi.stubGlobal("navigator", { userActivation: { hasBeenActive: false } });
  const { announce, isSoundBlocked } = await load({ sound: "on" });
  announce([whaleOf()], NO_FILTERS);
  expect(isSoundBlocked.value).toBe(true);
  document.dispatchEvent(new Event("click"));
  expect(isSoundBlocked.value).toBe(false);
  await Promise.resolve();
  expect(started).not.toHaveBeenCalled();
  vi.spyOn(Date, "now").mockReturnValue(Date.now() + 10_000);
  announce([whaleOf()], NO_FILTERS);
  await vi.waitFor(() => expect(started).toHaveBeenCalledOnce());
});
