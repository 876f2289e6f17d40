// Record, Fees and System as they are seen, on a service that is made.
import { render } from "preact";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { forgetToken, refusal } from "../../src/api/token";
import { go } from "../../src/state/router";
import { FeesView } from "../../src/views/fees/fees-view";
import { RecordView } from "../../src/views/record/record-view";
import { SystemView } from "../../src/views/system/system-view";
import { coverageOf, statusOf } from "../statuses";

type Answer = { status?: number; body: unknown };

const NONE = { insufficient_data: true, n: 12, blocks: 4 };
const ACCURACY = {
  days: 30,
  computed_at: "2026-11-26T02:00:00Z",
  forecasts: 12,
  forecasts_left_off: 0,
  simulated: 12,
  waiting: 1,
  blocks: 4,
  horizons: Object.fromEntries([1, 2, 3, 6, 12, 24].map((horizon) => [horizon, { ...NONE, censored: 3 }])),
  coverage: { p50: NONE, p90: NONE },
  ranked: NONE,
  pit: NONE,
  flow: { n: 12, amended: 0, counts: [] },
  accuracy_score: { real: { n: 0, insufficient_data: true }, simulated: { n: 12, insufficient_data: true } },
  daily: [],
};
const GAPS = {
  days: 30,
  from: "2026-11-26T01:00:00Z",
  to: "2026-11-26T02:00:00Z",
  simulated: true,
  period_s: 3_600,
  blind_s: 0,
  blind_share: null,
  gap_count: 0,
  blocks: 3,
  blocks_read: 3,
  whales_mined: 12,
  whales_unseen: 0,
  blind_spot_rate: { n: 12, insufficient_data: true },
  open_gap: null,
  gaps: [],
  gaps_left_off: 0,
};
const MARKET = {
  at: "2026-11-26T02:00:00Z",
  market: {
    tip: 900_000,
    tau_s: 600,
    waiting: [
      [1, 3_000_000],
      [5, 3_000_000],
    ],
    inflow: [[2, 100]],
    mined: [],
  },
  marginal_rate: 1,
  model_state: "0",
  calibrated: false,
  model: { scored_blocks: 17 },
  let_go: 0,
  simulated: false,
};

let answers: Record<string, Answer>;
let page: HTMLElement;

function show(view: preact.ComponentChild): void {
  render(view, page);
}

const words = () => page.textContent?.replaceAll("\u00a0", " ") ?? "";
const shown = (text: string) => vi.waitFor(() => expect(words()).toContain(text));

beforeEach(() => {
  answers = {
    "/api/v1/accuracy": { body: ACCURACY },
    "/api/v1/gaps": { body: GAPS },
    "/api/v1/fee-market": { body: MARKET },
    "/api/v1/status": { body: statusOf() },
    "/api/v1/labels/coverage": { body: coverageOf() },
    "/api/v1/tokens": { status: 403, body: { error: { code: "forbidden", message: "not yours", hint: "" } } },
  };
  vi.stubGlobal("fetch", async (url: string) => {
    const { status = 200, body } = answers[url.split("?")[0] ?? ""] ?? { status: 404, body: {} };
    return new Response(JSON.stringify(body), { status });
  });
  page = document.createElement("div");
  document.body.append(page);
  go("/record");
});

afterEach(() => {
  render(null, page);
  page.remove();
  forgetToken();
  refusal.value = null;
  vi.unstubAllGlobals();
});

function refuse(path: string, status: number, message: string): void {
  answers[path] = { status, body: { error: { code: "x", message, hint: "" } } };
}

describe("Record", () => {
  it("says that data is insufficient, with its n, in place of every figure", async () => {
    show(<RecordView />);
    await shown("insufficient data (n = 12, from 50 on)");
    await shown("Mined unseen");
    const figures = page.querySelector('[data-testid="record-figures"]')?.textContent ?? "";
    expect(figures).not.toMatch(/\d\s?%/);
    expect(page.querySelectorAll(".curve-none")).toHaveLength(6);
    expect(words()).toContain("all simulated");
    expect(words()).not.toContain("100 %");
  });

  it("asks for the period of its address, and writes the chosen one into it", async () => {
    go("/record?days=7");
    show(<RecordView />);
    await shown("insufficient data");
    const [chosen] = page.querySelectorAll<HTMLInputElement>("input[type=radio]:checked");
    expect(chosen?.value).toBe("7");
    page.querySelector<HTMLInputElement>("input[value='90']")?.dispatchEvent(new Event("change"));
    expect(location.search).toBe("?days=90");
  });

  it("says why it could not be read, and what could be stays", async () => {
    refuse("/api/v1/accuracy", 503, "the database is busy");
    show(<RecordView />);
    await shown("the database is busy");
    await shown("Never in this period");
    expect([...page.querySelectorAll("button")].map((button) => button.textContent)).toContain("Try again");
  });

  it("has the page ask for a token where one is needed", async () => {
    refuse("/api/v1/accuracy", 401, "a token is needed");
    show(<RecordView />);
    await vi.waitFor(() => expect(refusal.value).toBe("a token is needed"));
  });
});

describe("Fees", () => {
  it("says in words that the market is not known", async () => {
    answers["/api/v1/fee-market"] = { body: { ...MARKET, market: null, marginal_rate: null, at: null } };
    show(<FeesView />);
    await shown("The fee market is not known now");
  });

  it("shows the blocks to come, and where a rate would stand", async () => {
    show(<FeesView />);
    await shown("Next block");
    expect(page.querySelectorAll(".block")).toHaveLength(2);
    expect(words()).toContain("1.5 blocks");
    expect(words()).toContain("hydrophone estimate 1");
    expect(words()).toContain("No whale waits.");
  });

  it("shows the same as a table", async () => {
    show(<FeesView />);
    await shown("By fee rate");
    [...page.querySelectorAll("button")].find(({ textContent }) => textContent?.includes("table"))?.click();
    await shown("This and dearer");
    expect(page.querySelectorAll("tbody tr")).toHaveLength(24);
  });
});

describe("System", () => {
  it("says that all is well", async () => {
    show(<SystemView />);
    await shown("All is well");
    await shown("0 of 0 entities");
  });

  it("says what is wrong, and what to do", async () => {
    const source = { ...statusOf().source, mempool_available: false, message: "no connection" };
    answers["/api/v1/status"] = { body: statusOf({ source }) };
    show(<SystemView />);
    await shown("The mempool is not heard");
    expect(words()).not.toContain("All is well");
    expect(words()).toContain("reconnects by itself");
  });

  it("says that nobody answers", async () => {
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
    show(<SystemView />);
    await shown("Hydrophone does not answer");
  });
});
