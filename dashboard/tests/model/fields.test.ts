import { expect, it } from "vitest";
import { fieldsIn, numberIn, numbersIn, rowsIn, textIn, textsIn, truthIn } from "../../src/model/fields";

const FIELDS = {
  n: 1,
  nan: Number.NaN,
  text: "a",
  yes: true,
  inner: { n: 2 },
  rows: [[1, 2], [3, "x"], 4],
  list: [1, "b"],
};

it("reads what is there as what it should be", () => {
  expect([numberIn(FIELDS, "n"), textIn(FIELDS, "text"), truthIn(FIELDS, "yes")]).toEqual([1, "a", true]);
  expect(fieldsIn(FIELDS, "inner")).toEqual({ n: 2 });
  expect([rowsIn(FIELDS, "rows"), numbersIn(FIELDS, "list"), textsIn(FIELDS, "list")]).toEqual([
    [[1, 2]],
    [1],
    ["b"],
  ]);
});

it.each(["nothing", "inner", "nan"])("takes anything else as not there: %s", (name) => {
  expect([numberIn(FIELDS, name), textIn(FIELDS, name), truthIn(FIELDS, name)]).toEqual([null, null, null]);
  expect([rowsIn(FIELDS, name), numbersIn(FIELDS, name), textsIn(FIELDS, name)]).toEqual([[], [], []]);
  expect(fieldsIn(FIELDS, "rows")).toEqual({});
});
