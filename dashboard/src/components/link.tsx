import type { AnchorHTMLAttributes, ComponentChildren } from "preact";
import { go } from "../state/router";

type Anchor = AnchorHTMLAttributes<HTMLAnchorElement>;

/** A link to another address of the page: it does not load it anew. */
export function Link({ to, children, ...rest }: { to: string; children: ComponentChildren } & Anchor) {
  return (
    <a
      {...rest}
      href={to}
      onClick={(event: MouseEvent) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        go(to);
      }}
    >
      {children}
    </a>
  );
}
