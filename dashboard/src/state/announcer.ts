// A new whale for those who do not look: a sound, or a notification of the browser. Both only if asked for.
import { signal } from "@preact/signals";
import { formatBtc } from "../model/amounts";
import { type Filters, passes } from "../model/filters";
import type { Whale } from "../model/whale";
import { go } from "./router";
import { notify, sound } from "./settings";

const PING_HZ = 880;
const PING_S = 0.5;
const QUIET_MS = 2_000; // chosen: a burst of whales is one sound
let audio: AudioContext | null = null;
let lastMs = 0;

/** Sound is on, but the browser plays none before the first click on this page. */
export const isSoundBlocked = signal(
  sound.peek() === "on" && globalThis.navigator?.userActivation?.hasBeenActive === false,
);

document.addEventListener("click", unlockSound, { once: true });

/** To be called in a click. */
export function unlockSound(): void {
  isSoundBlocked.value = false;
  if (sound.peek() === "on") void awake();
}

async function awake(): Promise<AudioContext> {
  audio ??= new AudioContext();
  if (audio.state !== "running") await audio.resume();
  return audio;
}

export function announce(fresh: readonly Whale[], filters: Filters): void {
  const [whale, ...others] = fresh.filter((found) => passes(filters, found) && found.sighting !== "mined");
  if (whale === undefined || Date.now() - lastMs < QUIET_MS) return;
  // Sounds of whales that came while it was blocked must not all be heard at the first click.
  if (sound.value === "on" && !isSoundBlocked.value) void ping();
  if (notify.value === "on" && document.hidden) show(whale, others.length);
  if (sound.value === "on" || notify.value === "on") lastMs = Date.now();
}

/** A short ping, as of a sonar. Also heard when it is switched on: browsers want a click before. */
export async function ping(): Promise<void> {
  const audio = await awake();
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
  try {
    const shown = new Notification(`${mark}${formatBtc(whale.movedSat)} BTC, ${whale.flow}${more}`, {
      body: whale.text,
      tag: "hydrophone",
    });
    shown.onclick = () => {
      window.focus();
      go(`/whales/${whale.txid}`);
      shown.close();
    };
  } catch {
    // Browsers of phones let only service workers do it: the page goes on without.
  }
}
