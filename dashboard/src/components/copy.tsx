import { useEffect, useState } from "preact/hooks";
import { Copy as CopyIcon, Record as Done } from "./icons";

const SAID_MS = 1_500;

/** Copies a text. Browsers allow that on https and on this machine; elsewhere there is no such button. */
export function Copy({ text, what }: { text: string; what: string }) {
  const [isDone, setDone] = useState(false);
  useEffect(() => {
    if (!isDone) return;
    const timer = setTimeout(() => setDone(false), SAID_MS);
    return () => clearTimeout(timer);
  }, [isDone]);
  if (!window.isSecureContext) return null;
  return (
    <button
      type="button"
      class="copy-icon"
      title={isDone ? "Copied" : `Copy ${what}`}
      aria-label={`Copy ${what}`}
      onClick={() => {
        navigator.clipboard.writeText(text).then(
          () => setDone(true),
          () => undefined,
        );
      }}
    >
      {isDone ? <Done /> : <CopyIcon />}
      <span class="unseen" role="status">
        {isDone && "Copied"}
      </span>
    </button>
  );
}
