import type { ComponentChildren } from "preact";

/** A table that may be wider or longer than its place: what scrolls can be reached and scrolled by keyboard. */
export function Scrolling(props: { label: string; class?: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: as said
    <section class={`table-wrap ${props.class ?? ""}`} tabIndex={0} aria-label={props.label}>
      {props.children}
    </section>
  );
}
