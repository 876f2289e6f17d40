// A new whale for those who do not look: a sound, or a notification of the browser. Both only if asked for.
import { formatBtc } from "../model/amounts";
import { type Filters, passes } from "../model/filters";
import type { Whale } from "../model/whale";
import { notify, sound } from "./settings";

const PING_HZ = 880;
const PING_S = 0.5;
const QUIET_MS = 2_000; // chosen: a burst of whales is one sound
let audio: AudioContext | null = null;
let lastMs = 0;

export function announce(fresh: readonly Whale[], filters: Filters): void {
  const [whale, ...others] = fresh.filter((found) => passes(filters, found) && found.sighting !== "mined");
  if (whale === undefined || Date.now() - lastMs < QUIET_MS) return;
  if (sound.value === "on") ping();
  if (notify.value === "on" && document.hidden) show(whale, others.length);
  if (sound.value === "on" || notify.value === "on") lastMs = Date.now();
}

/** A short ping, as of a sonar. Also heard when it is switched on: browsers want a click before. */
export function ping(): void {
  audio ??= new AudioContext();
  const [oscillator, gain] = [audio.createOscillator(), audio.createGain()];
  const at = audio.currentTime;
  oscillator.frequency.setValueAtTime(PING_HZ, at);
  gain.gain.setValueAtTime(0.15, at);
  gain.gain.exponentialRampToValueAtTime(0.001, at + PING_S);
  oscillator.connect(gain).connect(audio.destination);
  oscillator.start(at);
  oscillator.stop(at + PING_S);
}

/** Asks the browser whether it may notify, and says what came of it. */
export async function allowNotifications(): Promise<boolean> {
  if (!("Notification" in window)) return false;
  return (await Notification.requestPermission()) === "granted";
}

function show(whale: Whale, others: number): void {
  const mark = whale.simulated ? "SIMULATED: " : "";
  const more = others > 0 ? ` and ${others} more` : "";
  new Notification(`${mark}${formatBtc(whale.movedSat)} BTC, ${whale.flow}${more}`, {
    body: whale.text,
    tag: "hydrophone",
  });
}
