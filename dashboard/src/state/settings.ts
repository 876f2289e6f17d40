// What the user chose, kept on this device.
import { effect, type Signal, signal } from "@preact/signals";
import type { Unit } from "../model/amounts";

export type Theme = "system" | "dark" | "light";

function kept<T extends string>(name: string, values: readonly T[], first: T): Signal<T> {
  const key = `hydrophone.${name}`;
  let before: string | null = null;
  try {
    before = localStorage.getItem(key);
  } catch {
    // Storage is forbidden: the choice lives as long as the page.
  }
  const choice = signal<T>(values.find((value) => value === before) ?? first);
  effect(() => {
    try {
      localStorage.setItem(key, choice.value);
    } catch {
      // As above.
    }
  });
  return choice;
}

const SWITCH = ["off", "on"] as const;

export const unit = kept<Unit>("unit", ["btc", "sat", "fiat"], "btc");
export const currency = kept<string>("currency", ["USD", "EUR", "GBP", "CAD", "CHF", "AUD", "JPY"], "USD");
export const theme = kept<Theme>("theme", ["system", "dark", "light"], "system");
export const sound = kept("sound", SWITCH, "off");
export const notify = kept("notify", SWITCH, "off");

effect(() => {
  const { dataset } = document.documentElement;
  if (theme.value === "system") delete dataset["theme"];
  else dataset["theme"] = theme.value;
  dataset["unit"] = unit.value; // satoshis need more room
});
