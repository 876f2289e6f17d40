// A whale in a list, as it is seen.
import { render } from "preact";
import { afterEach, beforeEach, expect, it } from "vitest";
import { WhaleRow } from "../../src/components/whale-row";
import { status } from "../../src/state/session";
import { statusOf } from "../statuses";
import { whaleOf } from "../whales";

let page: HTMLElement;

beforeEach(() => {
  page = document.createElement("div");
});

afterEach(() => {
  render(null, page);
  status.value = null;
});

it.each([
  [false, true, "SIMULATED"],
  [true, false, "real network"],
  [true, true, null],
  [false, false, null],
])("service simulated: %s, whale simulated: %s, mark: %s", (service, whale, mark) => {
  status.value = { ...statusOf(), simulated: service };
  render(<WhaleRow whale={whaleOf({ simulated: whale })} />, page);
  expect(page.querySelector(".mark-loud")?.textContent ?? null).toBe(mark);
});
