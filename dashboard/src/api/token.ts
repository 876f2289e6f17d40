// The token that this browser shows, where the service asks for one. It is kept for the tab, or, if the user
// says so, for this device; it is never put into an address.
import { signal } from "@preact/signals";

const KEY = "hydrophone.token";

function read(): string | null {
  try {
    return sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY);
  } catch {
    return null; // storage is forbidden: it lives as long as the page
  }
}

export const token = signal<string | null>(read());

/** Whether the service wants a token, and why the one shown did not do. */
export const refusal = signal<string | null>(null);

export function keepToken(text: string, onDevice: boolean): void {
  forgetStored(); // the token itself goes from one to the next: between them nobody asks without one
  try {
    (onDevice ? localStorage : sessionStorage).setItem(KEY, text);
  } catch {
    // As above.
  }
  refusal.value = null; // first: who asks anew because of the token looks at it
  token.value = text;
}

export function forgetToken(): void {
  forgetStored();
  token.value = null;
}

function forgetStored(): void {
  try {
    sessionStorage.removeItem(KEY);
    localStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}
