// Whether the screen is a phone's; styles know it by themselves, rows of a fixed height have to be told.
import { signal } from "@preact/signals";

const narrow = matchMedia("(max-width: 760px)");

export const isNarrow = signal(narrow.matches);

narrow.addEventListener("change", ({ matches }) => {
  isNarrow.value = matches;
});
