// Rows glide from the one list to the other: a copy flies over the page while the list has the real one already.
import type { Moved } from "../../model/book";

const GLIDE_MS = 650;
const MOST = 12; // chosen: a block full of whales is a flurry, not a swarm

interface Start {
  readonly id: string;
  readonly copy: HTMLElement;
  readonly from: DOMRect;
}

let starts: Start[] = [];

function rowOf(id: string, list: string): HTMLElement | null {
  return document.querySelector<HTMLElement>(`[data-list="${list}"] [data-id="${CSS.escape(id)}"]`);
}

/** Whether most of a row can be seen: lists have a row or more ready beyond their ends. */
function isInSight(row: HTMLElement): boolean {
  const list = row.closest(".scroller")?.getBoundingClientRect();
  const { top, height } = row.getBoundingClientRect();
  const middle = top + height / 2;
  return list !== undefined && middle > Math.max(list.top, 0) && middle < Math.min(list.bottom, innerHeight);
}

/** Before the lists change: where do those stand that were confirmed? */
export function noteStarts(moved: readonly Moved[]): void {
  starts = [];
  if (document.hidden || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const { id, to } of moved) {
    const row = to === "confirmed" ? rowOf(id, "pending") : null;
    if (row === null || starts.length === MOST || !isInSight(row)) continue;
    const from = row.getBoundingClientRect();
    starts.push({ id, copy: row.cloneNode(true) as HTMLElement, from });
  }
}

/** After it: let copies fly to where they stand now. */
export function glide(): void {
  const flying = starts;
  starts = [];
  requestAnimationFrame(() => {
    for (const start of flying) fly(start);
  });
}

function fly({ id, copy, from }: Start): void {
  const row = rowOf(id, "ended");
  if (row === null || !isInSight(row)) return; // filtered, or further down
  const to = row.getBoundingClientRect();
  copy.classList.add("is-flying");
  copy.setAttribute("aria-hidden", "true");
  copy.removeAttribute("data-id");
  copy.inert = true;
  Object.assign(copy.style, {
    left: `${from.left}px`,
    top: `${from.top}px`,
    width: `${from.width}px`,
    height: `${from.height}px`,
  });
  document.body.append(copy);
  const easing = "cubic-bezier(.3, .7, .2, 1)";
  const shift = `translate(${to.left - from.left}px, ${to.top - from.top}px)`;
  const flight = copy.animate([{ transform: "none" }, { transform: shift, opacity: 0.9 }], {
    duration: GLIDE_MS,
    easing,
  });
  row.animate([{ opacity: 0 }, { opacity: 0, offset: 0.8 }, { opacity: 1 }], { duration: GLIDE_MS });
  flight.onfinish = () => copy.remove();
  flight.oncancel = () => copy.remove();
}
