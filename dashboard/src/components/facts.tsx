import type { ComponentChildren } from "preact";

/** Names and what there is to each, one under the other. */
export function Facts({ children }: { children: ComponentChildren }) {
  return <dl class="fact-list">{children}</dl>;
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** A sentence in which commands stand in backticks. */
export function Sentence({ text }: { text: string }) {
  return (
    <>{text.split("`").map((part, place) => (place % 2 === 1 ? <code key={part}>{part}</code> : part))}</>
  );
}
