import { useState } from "preact/hooks";

const SAID_MS = 2_000;

/** Puts a text into the clipboard. Browsers allow it only where the page is served securely or locally. */
export function CopyButton({ text, what }: { text: string; what: string }) {
  const [said, say] = useState("");
  if (!("clipboard" in navigator)) return null;
  const tell = (word: string) => {
    say(word);
    setTimeout(() => say(""), SAID_MS);
  };
  return (
    <button
      type="button"
      class="button copy"
      onClick={() => {
        navigator.clipboard.writeText(text).then(
          () => tell("Copied"),
          () => tell("Not allowed"),
        );
      }}
    >
      <span role="status">{said === "" ? "Copy" : said}</span>
      <span class="unseen"> {what}</span>
    </button>
  );
}
