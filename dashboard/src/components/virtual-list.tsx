// Thousands of rows of which only those in sight exist. Rows keep their element while they move, so that a
// style can let them glide.
import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
  type VirtualizerOptions,
} from "@tanstack/virtual-core";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import { view } from "../state/router";

/** So near to the end more is asked for. */
const NEAR_PX = 800;

/** Where lists were left for another view, by their label: who comes back reads on. */
const left = new Map<string, number>();

export interface VirtualListProps<T> {
  label: string;
  items: readonly T[];
  keyOf: (item: T) => string;
  heightOf: (item: T) => number;
  render: (item: T) => ComponentChildren;
  onNearEnd?: () => void;
  end?: ComponentChildren;
}

export function VirtualList<T>(props: VirtualListProps<T>) {
  const scroller = useRef<HTMLElement>(null);
  const anchor = useRef<{ key: string; offset: number } | null>(null);
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  // Positions are computed anew when the options change: only for other items, not at every scroll.
  const options = useMemo((): VirtualizerOptions<HTMLElement, HTMLElement> => {
    const { items, keyOf, heightOf } = props;
    return {
      count: items.length,
      getScrollElement: () => scroller.current,
      estimateSize: (index) => {
        const item = items[index];
        return item === undefined ? 0 : heightOf(item);
      },
      getItemKey: (index) => {
        const item = items[index];
        return item === undefined ? index : keyOf(item);
      },
      overscan: 6,
      initialOffset: () => left.get(props.label) ?? 0,
      observeElementRect,
      observeElementOffset,
      scrollToFn: elementScroll,
      onChange: () => redraw(undefined),
    };
  }, [props.items]);
  const [list] = useState(() => new Virtualizer(options));
  list.setOptions(options);

  useLayoutEffect(() => list._didMount(), [list]);
  useLayoutEffect(() => {
    const here = view.peek();
    return () => {
      if (view.peek() === here) left.delete(props.label);
      else left.set(props.label, list.scrollOffset ?? 0);
    };
  }, [list]);
  useLayoutEffect(() => list._willUpdate());

  // Whoever reads further down is not pushed away by what comes in above.
  useLayoutEffect(() => {
    const element = scroller.current;
    const kept = anchor.current;
    if (element === null || kept === null || element.scrollTop === 0) return;
    const index = props.items.findIndex((item) => props.keyOf(item) === kept.key);
    const start = index < 0 ? undefined : list.getOffsetForIndex(index, "start")?.[0];
    if (start !== undefined && start + kept.offset !== element.scrollTop)
      element.scrollTop = start + kept.offset;
  }, [props.items]);

  const rows = list.getVirtualItems();
  const first = rows.find((row) => row.end > (list.scrollOffset ?? 0));
  anchor.current =
    first === undefined ? null : { key: String(first.key), offset: (list.scrollOffset ?? 0) - first.start };
  const last = rows.at(-1);
  // Before its place is measured it has no rows: that is not its end.
  const belowPx = last === undefined ? Number.POSITIVE_INFINITY : list.getTotalSize() - last.end;
  useLayoutEffect(() => {
    if (belowPx < NEAR_PX) props.onNearEnd?.();
  });

  return (
    // A region that scrolls can be reached and scrolled by keyboard.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: as said
    <section class="scroller" ref={scroller} tabIndex={0} aria-label={props.label}>
      <ul
        class={`rows ${(list.scrollOffset ?? 0) > 0 ? "" : "is-gliding"}`}
        style={{ height: `${list.getTotalSize()}px` }}
      >
        {rows.map((row) => {
          const item = props.items[row.index];
          return (
            item !== undefined && (
              <li
                key={row.key}
                class="row-slot"
                aria-setsize={props.items.length}
                aria-posinset={row.index + 1}
                style={{ height: `${row.size}px`, transform: `translateY(${row.start}px)` }}
              >
                {props.render(item)}
              </li>
            )
          );
        })}
      </ul>
      {props.end}
    </section>
  );
}
