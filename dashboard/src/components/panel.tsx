import type { ComponentChildren } from "preact";

/** A titled part of a view; `aside` stands beside its title. */
export function Panel(props: {
  title: string;
  id: string;
  hint?: ComponentChildren;
  aside?: ComponentChildren;
  children: ComponentChildren;
  class?: string;
}) {
  return (
    <section class={`panel ${props.class ?? ""}`} aria-labelledby={props.id}>
      <header class="panel-head">
        <h2 id={props.id}>{props.title}</h2>
        {props.aside !== undefined && <div class="panel-aside">{props.aside}</div>}
        {props.hint !== undefined && <p class="panel-hint">{props.hint}</p>}
      </header>
      {props.children}
    </section>
  );
}

/** One figure and what it counts. */
export function Figure(props: { name: string; children: ComponentChildren; hint?: ComponentChildren }) {
  return (
    <div class="figure">
      <dt>{props.name}</dt>
      <dd>
        {props.children}
        {props.hint !== undefined && <small>{props.hint}</small>}
      </dd>
    </div>
  );
}
