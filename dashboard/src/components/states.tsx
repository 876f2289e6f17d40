// What a view says where there is nothing to show: not yet, nothing, or not to be had.
import type { ComponentChildren } from "preact";
import { Alert } from "./icons";

export function Loading({ what }: { what: string }) {
  return (
    <div class="state" role="status">
      <span class="sonar" aria-hidden="true" />
      <p>Reading {what}&hellip;</p>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="state">
      <span class="sonar" aria-hidden="true" />
      <p class="state-title">{title}</p>
      {children !== undefined && <p>{children}</p>}
    </div>
  );
}

export function Failed({ error, again }: { error: string; again?: () => void }) {
  return (
    <div class="state state-failed" role="alert">
      <Alert />
      <p class="state-title">That could not be read</p>
      <p>{error}</p>
      {again !== undefined && (
        <button type="button" class="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Too little to say a figure: what there is, and what it would take. */
export function Insufficient({ n, least }: { n: number; least?: number }) {
  return (
    <span class="insufficient">
      insufficient data{" "}
      <span class="muted">
        (n = {n}
        {least === undefined ? "" : `, from ${least} on`})
      </span>
    </span>
  );
}
