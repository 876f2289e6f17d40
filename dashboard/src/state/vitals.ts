// How the service did while this page was open, from whichever status was read.
import { effect, signal } from "@preact/signals";
import type { Status } from "../api/types";
import { type Sample, sampleOf, withSample } from "../model/vitals";
import { nowMs } from "./clock";
import { status } from "./session";

export const vitals = signal<readonly Sample[]>([]);

export function noteVitals(said: Status): void {
  vitals.value = withSample(vitals.peek(), sampleOf(said, nowMs()));
}

effect(() => {
  if (status.value !== null) noteVitals(status.value);
});
