import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { checkEntries, describeEntry, type Entry } from "../../src/model/chain";

const hashOf = (...parts: (Buffer | string)[]) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};

/** A chain as the service makes it (docs/adr/0021). */
function chainOf(messages: readonly string[], first = 5): Entry[] {
  let before = "11".repeat(32);
  return messages.map((message, place) => {
    const seq = first + place;
    const entry = {
      seq,
      recorded_at: "2026-11-26T02:54:16.751021Z",
      kind: "signal",
      prediction_id: place % 2 === 0 ? `p${place}` : null,
      digest: hashOf(message),
      message,
    };
    const about = entry.prediction_id === null ? "" : ` ${entry.prediction_id}`;
    before = hashOf(
      Buffer.from(before, "hex"),
      Buffer.from(entry.digest, "hex"),
      `${seq} ${entry.recorded_at} ${entry.kind}${about}`,
    );
    return { ...entry, hash: before };
  });
}

const headOf = (entries: readonly Entry[]) => ({
  seq: entries.at(-1)?.seq ?? 0,
  hash: entries.at(-1)?.hash ?? "",
});
const check = (entries: readonly Entry[], head = headOf(entries)) => checkEntries(entries, head);
const MESSAGES = ['{"text":"a"}', '{"text":"\u00e9\u{1F40B}"}', '{"text":"c"}', '{"text":"d"}'];

describe("the chain", () => {
  it("holds where nothing was changed", async () => {
    expect(await check(chainOf(MESSAGES))).toEqual({ checked: 4, withContent: 4, broken: null });
    expect(await check([])).toEqual({ checked: 0, withContent: 0, broken: null });
  });

  it("holds over contents that are not kept any more", async () => {
    const entries = chainOf(MESSAGES).map((entry) => ({ ...entry, message: null }));
    expect(await check(entries)).toEqual({ checked: 4, withContent: 0, broken: null });
  });

  it.each([
    ["a text", { message: '{"text":"C"}' }],
    ["a text with its digest", { message: "x", digest: hashOf("x") }],
    ["a time", { recorded_at: "2026-11-26T02:54:16.751022Z" }],
    ["a kind", { kind: "outcome" }],
    ["whom it is about", { prediction_id: "p9" }],
    ["a hash", { hash: "00".repeat(32) }],
  ])("breaks where %s was changed", async (_, change) => {
    const entries = chainOf(MESSAGES);
    const broken = entries.map((entry) => (entry.seq === 7 ? { ...entry, ...change } : entry));
    expect((await check(broken)).broken).toBe(7);
  });

  it("breaks where an entry was taken out", async () => {
    const entries = chainOf(MESSAGES);
    expect((await check(entries.filter(({ seq }) => seq !== 6))).broken).toBe(7);
  });

  it("breaks where the head is another one; one that came later is none", async () => {
    const entries = chainOf(MESSAGES);
    expect((await check(entries, { seq: 8, hash: "00" })).broken).toBe(8);
    expect((await check(entries, { seq: 9, hash: "00" })).broken).toBeNull();
  });
});

describe("what an entry said", () => {
  const entryOf = (message: string | null, kind = "outcome") => ({ kind, message }) as Entry;
  const said = (data: object) => JSON.stringify({ type: "x", data });

  it.each([
    [said({ text: "5 BTC from A to B", transaction_id: "t" }), "5 BTC from A to B", "t"],
    [
      said({ new_status: "confirmed", confirmation_block: 7, transaction_id: "t" }),
      "confirmed in block 7",
      "t",
    ],
    [said({ new_status: "dropped", confirmation_block: null }), "dropped", null],
    [said({ new_status: "amended", amendment: { text: "corrected" } }), "corrected", null],
    ["not JSON", "not JSON", null],
    [null, "not kept any more; its digest is", null],
  ])("%j: %s", (message, text, txid) => {
    expect(describeEntry(entryOf(message))).toEqual({ kind: "outcome", text, txid });
  });

  it("has a word for its kind", () => {
    expect(describeEntry(entryOf(null, "signal")).kind).toBe("alert");
    expect(describeEntry(entryOf(null, "praise")).kind).toBe("praise");
  });
});
