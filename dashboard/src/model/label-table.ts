// The table of labelled entities: what is searched for, in which order.
import type { Coverage } from "../api/types";

export type LabelledEntity = Coverage["entities"][number];

export const COLUMNS = ["entity", "kind", "claims", "scripts", "disputed", "oldest", "newest"] as const;
export type Column = (typeof COLUMNS)[number];

export interface Order {
  readonly column: Column;
  readonly isDescending: boolean;
}

/** Numbers and dates begin with the greatest, names with A. */
export function orderBy(column: Column, before: Order): Order {
  if (column === before.column) return { column, isDescending: !before.isDescending };
  return { column, isDescending: column !== "entity" && column !== "kind" };
}

/** Entities whose name, kind or a source has a text in it, in an order; unknown dates are always last. */
export function tabulate(entities: readonly LabelledEntity[], text: string, order: Order): LabelledEntity[] {
  const wanted = text.trim().toLowerCase();
  const found = entities.filter(({ entity, kind, sources }) =>
    [entity, kind, ...sources].some((word) => word.toLowerCase().includes(wanted)),
  );
  const sign = order.isDescending ? -1 : 1;
  return found.sort((one, other) => {
    const [a, b] = [one[order.column], other[order.column]];
    if (a === null || b === null) return a === b ? byName(one, other) : a === null ? 1 : -1;
    if (a === b) return byName(one, other);
    if (typeof a === "string") return sign * a.localeCompare(String(b), "en", { sensitivity: "base" });
    return sign * (Number(a) - Number(b));
  });
}

function byName(one: LabelledEntity, other: LabelledEntity): number {
  return one.entity.localeCompare(other.entity, "en");
}
