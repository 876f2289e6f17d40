// The time as the page shows it: once a second is enough for ages, and none of it while nobody looks. It is the
// service's: whales are dated by it, and the clock of a phone may be minutes off.
import { signal } from "@preact/signals";

/** chosen: less is the way of a message through the network. */
const TOLERATED_MS = 2_000;

let aheadMs = 0;

export const now = signal(Date.now());

/** The service's time now. */
export function nowMs(): number {
  return Date.now() + aheadMs;
}

/** The service has just said what time it is; what is no time is ignored. */
export function setClock(serviceMs: number): void {
  const found = serviceMs - Date.now();
  aheadMs = Math.abs(found) > TOLERATED_MS ? found : 0;
  now.value = nowMs();
}

setInterval(() => {
  if (!document.hidden) now.value = nowMs();
}, 1000);
document.addEventListener("visibilitychange", () => {
  now.value = nowMs();
});
