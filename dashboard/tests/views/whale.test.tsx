import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { heard } from "../../src/state/session";
import { Coins } from "../../src/views/whale/coins";
import { WhaleView } from "../../src/views/whale/whale-view";
import { detailOf, explanationOf, labelOf } from "../explanations";

const TXID = "a".repeat(64);
const UNKNOWN = { error: { code: "unknown_transaction", message: "it is not in the database", hint: "" } };
type Answers = Record<string, [status: number, body: unknown]>;
let host: HTMLElement;
let asked: string[];

beforeEach(() => {
  host = document.createElement("div");
  document.body.append(host);
  asked = [];
});

afterEach(() => {
  render(null, host);
  host.remove();
  vi.unstubAllGlobals();
});

function serve(answers: Answers) {
  vi.stubGlobal("fetch", async (path: string) => {
    asked.push(path);
    const [status, body] = Object.entries(answers).find(([start]) => path.startsWith(start))?.[1] ?? [
      404,
      UNKNOWN,
    ];
    return new Response(JSON.stringify(body), { status });
  });
}

async function show(txid = TXID) {
  await act(async () => {
    render(<WhaleView txid={txid} />, host);
  });
  await settle();
}

/** Lets answers come, and what is asked because of them. */
async function settle() {
  for (let round = 0; round < 5; round += 1) {
    await act(async () => {
      await new Promise((resolve) => setTimeout(resolve));
    });
  }
}

function known(change: Answers = {}): Answers {
  return {
    "/api/v1/predictions/": [200, detailOf()],
    "/api/v1/explain/": [200, explanationOf()],
    ...change,
  };
}

describe("a whale in full", () => {
  it("says that nobody knows it", async () => {
    serve({});
    await show();
    expect(host.textContent).toContain("No whale of this name is known");
    expect(host.textContent).toContain("it is not in the database");
  });

  it("says what failed and asks again when told to", async () => {
    serve({
      "/api/v1/predictions/": [500, { error: { code: "fault", message: "a fault of ours", hint: "" } }],
    });
    await show();
    expect(host.querySelector("[role=alert]")?.textContent).toContain("a fault of ours");
    serve(known());
    host.querySelector("button")?.click();
    await settle();
    expect(host.querySelector("h1")?.textContent).toContain("Binance");
  });

  it("keeps what is known although it cannot be explained", async () => {
    serve(known({ "/api/v1/explain/": [404, UNKNOWN] }));
    await show();
    expect(host.querySelector("h1")?.textContent).toContain("Binance");
    expect(host.querySelector("#coins")?.parentElement?.parentElement?.textContent).toContain(
      "not in the database",
    );
  });

  it("explains the newest version where an earlier one was asked for", async () => {
    serve(known());
    await show("b".repeat(64));
    expect(asked).toContain(`/api/v1/explain/${TXID}`);
    expect(host.textContent).toContain("is an earlier version of this payment");
  });

  it("asks again when the stream spoke of it, and not of another", async () => {
    serve(known());
    await show();
    const before = asked.length;
    await act(async () => {
      heard.value = new Set(["another"]);
    });
    await settle();
    expect(asked).toHaveLength(before);
    await act(async () => {
      heard.value = new Set(["p1"]);
    });
    await settle();
    expect(asked.slice(before).sort()).toEqual([`/api/v1/explain/${TXID}`, `/api/v1/predictions/${TXID}`]);
  });
});

describe("coins", () => {
  it("are a table as well, to the satoshi", () => {
    const explanation = explanationOf({ labels: [labelOf("input", 0)] });
    void act(() => render(<Coins explanation={explanation} />, host));
    expect(host.querySelectorAll("path.band")).toHaveLength(4);
    void act(() => host.querySelector("button")?.click());
    const rows = [...host.querySelectorAll("tbody tr")].map((row) =>
      [...row.children].map((cell) => cell.textContent),
    );
    expect(rows).toEqual([
      ["input 0", "in0", "0.000001 BTC", "Binance, hot", ""],
      ["output 0", "out0", "0.0000006 BTC", "", "0 %"],
      ["output 1", "out1", "0.00000039 BTC", "", "99 %"],
      ["fee", "", "0.00000001 BTC", "", ""],
    ]);
  });
});
