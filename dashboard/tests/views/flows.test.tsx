import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { byExchange, parseQuestion, type Question, sorted, sumOf } from "../../src/model/netflows";
import { FlowTable } from "../../src/views/flows/flow-table";
import { netflowOf, suretyOf } from "../explanations";

const BTC = 100_000_000;
const ROWS = [
  netflowOf("Kraken", { net_sat: 2 * BTC, received: suretyOf(BTC, BTC, 0, 3) }),
  netflowOf("Binance", { net_sat: -5 * BTC, sent: suretyOf(0, 4 * BTC, BTC, 2) }),
];
let host: HTMLElement;

beforeEach(() => {
  host = document.createElement("div");
  document.body.append(host);
});

afterEach(() => {
  render(null, host);
  host.remove();
});

function show(text = ""): Partial<Question>[] {
  const changes: Partial<Question>[] = [];
  const question = parseQuestion(new URLSearchParams(text));
  void act(() =>
    render(
      <FlowTable
        question={question}
        rows={sorted(byExchange(ROWS), question)}
        total={sumOf(ROWS)}
        set={(change) => changes.push(change)}
      />,
      host,
    ),
  );
  return changes;
}

const click = (selector: string) => act(() => host.querySelector<HTMLElement>(selector)?.click());

describe("flows by exchange", () => {
  it("have every amount with its n, and a total", () => {
    show();
    const rows = [...host.querySelectorAll("tbody tr, tfoot tr")].map((row) => row.textContent);
    expect(rows[0]).toMatch(
      /Kraken\+2\.00 BTC2\.00 BTC n = 31\.00 BTC certain1\.00 BTC likely0\.00 BTC n = 0/,
    );
    expect(rows[1]).toMatch(
      /Binance.5\.00 BTC0\.00 BTC n = 05\.00 BTC n = 24\.00 BTC likely1\.00 BTC unknown/,
    );
    expect(rows[2]).toMatch(/^All.3\.00 BTC2\.00 BTC n = 3.*5\.00 BTC n = 2/);
  });

  it("say how they are sorted, and turn when asked again", () => {
    const changes = show();
    expect(
      [...host.querySelectorAll("th[aria-sort]")].map(
        (head) => head.ariaSort ?? head.getAttribute("aria-sort"),
      ),
    ).toEqual(["none", "descending", "none", "none"]);
    void click("th[aria-sort=descending] button");
    void click("th[aria-sort=none] button");
    expect(changes).toEqual([
      { order: "net", isAscending: true },
      { order: "exchange", isAscending: true },
    ]);
  });

  it("show one alone, and all again", () => {
    const changes = show();
    void click("tbody button");
    expect(changes).toEqual([{ exchange: "Kraken" }]);
    const others = show("exchange=kraken");
    expect(host.querySelector("tbody button[aria-pressed=true]")?.textContent).toBe("Kraken");
    void click("tbody button[aria-pressed=true]");
    expect(others).toEqual([{ exchange: "" }]);
  });
});
