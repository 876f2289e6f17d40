import { useEffect, useRef, useState } from "preact/hooks";
import { keepToken, refusal, token } from "../api/token";

/** Asks for the token, where the service wants one. */
export function AuthDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState("");
  const [isKept, setKept] = useState(false);
  const isOpen = refusal.value !== null;

  useEffect(() => {
    if (isOpen && dialog.current?.open === false) dialog.current.showModal();
    if (!isOpen) dialog.current?.close();
  }, [isOpen]);

  return (
    <dialog
      ref={dialog}
      class="dialog"
      aria-labelledby="auth-title"
      onCancel={(event) => event.preventDefault()}
      onClose={() => {
        // Browsers close it at the second Escape all the same; without it nobody could give a token.
        if (refusal.peek() !== null) dialog.current?.showModal();
      }}
    >
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          if (text.trim() !== "") keepToken(text.trim(), isKept);
          setText("");
        }}
      >
        <h2 id="auth-title">A token is needed</h2>
        <p>This service is open to other machines, so it asks who you are. Make a token on its machine:</p>
        <pre>hydrophone token create</pre>
        {token.value !== null && (
          <p class="dialog-error" role="alert">
            {refusal.value}
          </p>
        )}
        <label class="field field-wide">
          <span>Token</span>
          <input
            type="password"
            autocomplete="off"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
            required
          />
        </label>
        <label class="check">
          <input type="checkbox" checked={isKept} onChange={() => setKept(!isKept)} />
          <span>Keep it on this device</span>
        </label>
        <button type="submit" class="button button-main">
          Listen
        </button>
      </form>
    </dialog>
  );
}
