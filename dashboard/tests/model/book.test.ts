import { beforeEach, describe, expect, it } from "vitest";
import { Book, FADING_MS, MOST_ENDED } from "../../src/model/book";
import { type Filters, NO_FILTERS } from "../../src/model/filters";
import { alertOf, predictionOf, SEEN_MS, saidAlert, saidUpdate } from "../whales";

const ALL: Filters = { ...NO_FILTERS, ended: "all" };
const ids = (whales: readonly { id: string }[]) => whales.map(({ id }) => id);
const at = (seconds: number) => new Date(SEEN_MS + seconds * 1000).toISOString();

let book: Book;
beforeEach(() => {
  book = new Book();
});

function addEnded(id: string, seconds: number, height: number, status = "confirmed"): void {
  book.addPage([
    predictionOf({
      prediction_id: id,
      detection_timestamp: at(seconds),
      status,
      confirmation_height: height,
    }),
  ]);
}

describe("what waits", () => {
  it("is shown the newest first", () => {
    book.hear(saidAlert({ prediction_id: "old", detection_timestamp: at(0) }), 0);
    book.hear(saidAlert({ prediction_id: "new", detection_timestamp: at(5) }), 0);
    expect(ids(book.pending(NO_FILTERS, 0))).toEqual(["new", "old"]);
  });

  it("moves to the other list when it is confirmed, once", () => {
    book.hear(saidAlert(), 0);
    expect(book.hear(saidUpdate("confirmed", { confirmation_block: 7 }), 0)).toEqual({
      id: "p1",
      to: "confirmed",
    });
    expect(book.pending(NO_FILTERS, 0)).toEqual([]);
    expect(ids(book.ended(NO_FILTERS))).toEqual(["p1"]);
    expect(book.hear(saidUpdate("confirmed", { confirmation_block: 7 }), 0)).toBeNull();
  });

  it("says nothing of whales that are not known", () => {
    expect(book.hear(saidUpdate("confirmed"), 0)).toBeNull();
    expect(book.size).toBe(0);
  });

  it.each(["replaced", "dropped"] as const)("%s: stays for some seconds, marked", (status) => {
    book.hear(saidAlert(), 0);
    book.hear(saidUpdate(status), 1000);
    expect(book.isFading(0)).toBe(true);
    expect(ids(book.pending(NO_FILTERS, 1000 + FADING_MS - 1))).toEqual(["p1"]);
    expect(book.pending(NO_FILTERS, 1000 + FADING_MS)).toEqual([]);
    expect(book.isFading(0)).toBe(false);
  });

  it("goes on after a fee bump: the alert that follows is the same prediction", () => {
    book.hear(saidAlert(), 0);
    book.hear(saidUpdate("replaced", { replacement_txid: "b" }), 0);
    book.hear(saidAlert({ transaction_id: "b", was_modified: true }), 0);
    expect(book.isFading(0)).toBe(false);
    expect(book.find("p1")).toMatchObject({ txid: "b", status: "pending", wasModified: true });
    expect(book.ended(ALL)).toEqual([]);
  });

  it("comes back after a reorganisation", () => {
    book.hear(saidAlert(), 0);
    book.hear(saidUpdate("confirmed", { confirmation_block: 7 }), 0);
    expect(book.hear(saidUpdate("reorged"), 0)).toEqual({ id: "p1", to: "pending" });
    expect(ids(book.pending(NO_FILTERS, 0))).toEqual(["p1"]);
    expect(book.ended(ALL)).toEqual([]);
  });

  it("stays marked as corrected, whatever is read of it later", () => {
    book.hear(saidAlert(), 0);
    expect(book.hear(saidUpdate("amended", { amendment: alertOf({ flow_type: "outflow" }) }), 0)).toBeNull();
    book.addPage([predictionOf({ flow_type: "outflow" })]);
    book.hear(saidAlert({ flow_type: "outflow" }), 0);
    expect(book.find("p1")).toMatchObject({ flow: "outflow", amended: true });
  });
});

describe("what ended", () => {
  it("stands by its block, the newest first", () => {
    addEnded("early", 9, 5);
    addEnded("late", 1, 6);
    book.reach(Number.NEGATIVE_INFINITY);
    expect(ids(book.ended(NO_FILTERS))).toEqual(["late", "early"]);
    expect(ids(book.ended(ALL))).toEqual(["early", "late"]);
  });

  it("is not shown from before the frontier: there would be holes", () => {
    addEnded("old", 0, 5);
    addEnded("new", 10, 6);
    book.reach(SEEN_MS + 10_000);
    expect(ids(book.ended(ALL))).toEqual(["new"]);
    book.reach(SEEN_MS);
    expect(ids(book.ended(ALL))).toEqual(["new", "old"]);
  });

  it("is shown from before the frontier where the stream told its end", () => {
    book.hear(saidAlert(), 0);
    book.hear(saidUpdate("confirmed", { confirmation_block: 7 }), 0);
    expect(ids(book.ended(NO_FILTERS))).toEqual(["p1"]);
  });

  it("is not overwritten by a page that was asked for before the stream spoke of it", () => {
    book.hear(saidAlert(), 0);
    book.hear(saidUpdate("confirmed", { confirmation_block: 7 }), 0);
    book.addPage([predictionOf()], (id) => id === "p1");
    expect(book.find("p1")?.status).toBe("confirmed");
  });

  it("is let go of beyond a bound, the oldest first, and the frontier says so", () => {
    const count = Math.floor(MOST_ENDED * 1.1) + 1;
    const ended = predictionOf({ status: "confirmed" });
    book.addPage(
      Array.from({ length: count }, (_, n) => ({
        ...ended,
        prediction_id: `p${n}`,
        detection_timestamp: at(n),
      })),
    );
    book.reach(Number.NEGATIVE_INFINITY);
    expect(book.size).toBe(MOST_ENDED);
    expect(book.find("p0")).toBeUndefined();
    expect(book.find(`p${count - 1}`)).toBeDefined();
  });
});

it("sorts what ended anew only when something about it changed: it is long, and alerts come often", () => {
  addEnded("old", 0, 5);
  book.reach(Number.NEGATIVE_INFINITY);
  const list = book.ended(NO_FILTERS);
  book.hear(saidAlert(), 0);
  expect(book.ended(NO_FILTERS)).toBe(list);
  expect(ids(book.ended(ALL))).toEqual(["old"]);
  book.hear(saidUpdate("confirmed", { confirmation_block: 7 }), 0);
  expect(ids(book.ended(NO_FILTERS))).toEqual(["p1", "old"]);
  book.hear(saidUpdate("reorged"), 0);
  expect(ids(book.ended(NO_FILTERS))).toEqual(["old"]);
  book.forgetHistory();
  expect(book.ended(NO_FILTERS)).toEqual([]);
});

it("takes no more history in when it is full, for that would push out what is at the top", () => {
  const ended = predictionOf({ status: "confirmed" });
  const many = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ ...ended, prediction_id: `p${n}` }));
  book.addPage(many(MOST_ENDED - 1));
  expect(book.isFull).toBe(false);
  book.addPage(many(MOST_ENDED));
  expect(book.isFull).toBe(true);
});

it("forgets the history of another filter, but nothing that waits or that it saw end", () => {
  addEnded("read", 0, 5);
  book.hear(saidAlert({ prediction_id: "waits" }), 0);
  book.hear(saidAlert(), 0);
  book.hear(saidUpdate("confirmed", { confirmation_block: 7 }), 0);
  book.reach(SEEN_MS);
  book.forgetHistory();
  expect(book.find("read")).toBeUndefined();
  expect(ids(book.pending(NO_FILTERS, 0))).toEqual(["waits"]);
  expect(ids(book.ended(NO_FILTERS))).toEqual(["p1"]);
  expect(book.frontier).toBe(Number.POSITIVE_INFINITY);
});

it("forgets everything when the history between is not to be had", () => {
  book.hear(saidAlert(), 0);
  book.hear(saidUpdate("dropped"), 0);
  book.clear();
  expect([book.size, book.isFading(0), book.frontier]).toEqual([0, false, Number.POSITIVE_INFINITY]);
});
