// The coins of a transaction as bands: from who pays, through it, to who is paid, and a sliver for the miner.
import type { Explanation } from "../api/types";

type Label = Explanation["labels"][number];

/** So many bands a side has at most; the last one stands for what is left. */
export const MOST_BANDS = 8; // chosen: what one sees at a glance; the table has them all
const CHANGE_FROM = 0.5;

const FLOW_PX = 240;
/** A label of three lines needs so much, however thin its band is. */
const SLOT_PX = 48;
const LEAST_PX = 1.5;

export type BandKind = "known" | "nobody" | "change" | "fee";

export interface Band {
  readonly key: string;
  readonly kind: BandKind;
  /** Inputs or outputs that it stands for; none for the fee. */
  readonly count: number;
  /** null: nobody told us what its inputs are worth. */
  readonly sat: number | null;
  /** Whose it is, by a label. */
  readonly entity: string | null;
  readonly role: string | null;
  /** Of the one script; null where it stands for several. */
  readonly address: string | null;
  /** How likely it is change; null for inputs, for several, and where it is not known. */
  readonly change: number | null;
}

export interface Placed extends Band {
  /** Its slot, which its label stands in. */
  readonly top: number;
  readonly height: number;
  /** Its end at the label, and its end at the transaction. */
  readonly outer: { readonly top: number; readonly height: number };
  readonly inner: { readonly top: number; readonly height: number };
}

export interface Drawing {
  readonly height: number;
  readonly middle: { readonly top: number; readonly height: number };
  readonly inputs: readonly Placed[];
  readonly outputs: readonly Placed[];
}

/** Who pays: one band for each script, those that tell most first. */
export function inputBands({ inputs, labels }: Explanation, most = MOST_BANDS): Band[] {
  const bands = inputs.map((input): Band => {
    const label = claimOn(labels, "input", input.index);
    return {
      key: input.script ?? `input ${input.index}`,
      kind: label === null ? "nobody" : "known",
      count: 1,
      sat: input.value_sat,
      address: input.address ?? input.script,
      change: null,
      ...whose(label),
    };
  });
  return folded(merged(bands), most);
}

/** Who is paid, and what the miner gets. */
export function outputBands({ outputs, labels, fee_sat }: Explanation, most = MOST_BANDS): Band[] {
  const bands = outputs.map((output): Band => {
    const label = claimOn(labels, "output", output.index);
    const isChange = (output.change_probability ?? 0) >= CHANGE_FROM;
    return {
      key: `${output.script} ${isChange}`,
      kind: isChange ? "change" : label === null ? "nobody" : "known",
      count: 1,
      sat: output.value_sat,
      address: output.address ?? output.script,
      change: output.change_probability,
      ...whose(label),
    };
  });
  const paid = folded(merged(bands), most);
  return fee_sat === null ? paid : [...paid, feeBand(fee_sat)];
}

function feeBand(sat: number): Band {
  const nothing = { entity: null, role: null, address: null, change: null };
  return { key: "fee", kind: "fee", count: 0, sat, ...nothing };
}

/** The claim on a script that gives a direction, else any. */
export function claimOn(labels: readonly Label[], side: string, index: number): Label | null {
  const claims = labels.filter((label) => label.side === side && label.index === index);
  return claims.find((label) => label.gives_direction) ?? claims[0] ?? null;
}

function whose(label: Label | null): Pick<Band, "entity" | "role"> {
  if (label === null) return { entity: null, role: null };
  return { entity: label.entity, role: label.role === "unknown" ? null : label.role };
}

/** Coins of one script are one band. */
function merged(bands: readonly Band[]): Band[] {
  const found = new Map<string, Band>();
  for (const band of bands) {
    const before = found.get(band.key);
    found.set(
      band.key,
      before === undefined ? band : { ...before, count: before.count + 1, sat: sum([before, band]) },
    );
  }
  return [...found.values()];
}

/** The bands that tell most; the others are one. */
function folded(bands: readonly Band[], most: number): Band[] {
  const ranked = [...bands].sort(
    (one, other) => tells(other) - tells(one) || (other.sat ?? 0) - (one.sat ?? 0),
  );
  if (ranked.length <= most) return ranked;
  const rest = ranked.slice(most - 1);
  const [first] = rest;
  const isSame = (pick: (band: Band) => unknown) =>
    rest.every((band) => first !== undefined && pick(band) === pick(first));
  return [
    ...ranked.slice(0, most - 1),
    {
      key: "rest",
      kind: isSame((band) => band.kind) && first !== undefined ? first.kind : "nobody",
      count: rest.reduce((count, band) => count + band.count, 0),
      sat: sum(rest),
      entity: isSame((band) => band.entity) ? (first?.entity ?? null) : null,
      role: null,
      address: null,
      change: null,
    },
  ];
}

function tells({ kind }: Band): number {
  return kind === "nobody" ? 0 : 1;
}

/** In satoshis; null if one of them is not known. */
function sum(bands: readonly Band[]): number | null {
  return bands.reduce<number | null>(
    (total, { sat }) => (total === null || sat === null ? null : total + sat),
    0,
  );
}

/** Where everything stands, in pixels from the top. */
export function draw(inputs: readonly Band[], outputs: readonly Band[]): Drawing {
  const paid = outputs.reduce((total, { sat }) => total + (sat ?? 0), 0);
  const left = place(inputs, paid);
  const right = place(outputs, paid);
  const height = Math.max(left.height, right.height);
  const middle = { top: (height - FLOW_PX) / 2, height: FLOW_PX };
  const moved = ({ bands, height: own }: typeof left) =>
    bands.map((band) => shifted(band, (height - own) / 2, middle.top));
  return { height, middle, inputs: moved(left), outputs: moved(right) };
}

/** One side from its own top on. What nobody told the worth of shares what is missing to the total. */
function place(bands: readonly Band[], total: number): { bands: Placed[]; height: number } {
  const told = bands.reduce((known, { sat }) => known + (sat ?? 0), 0);
  const untold = bands.filter(({ sat }) => sat === null).length;
  const missing = untold === 0 ? 0 : Math.max(0, total - told) / untold;
  const all = Math.max(1, told + missing * untold);
  let top = 0;
  let innerTop = 0;
  const placed = bands.map((band) => {
    const exact = ((band.sat ?? missing) / all) * FLOW_PX;
    const bar = Math.max(LEAST_PX, exact);
    const height = Math.max(SLOT_PX, bar + 6);
    const at = {
      ...band,
      top,
      height,
      outer: { top: top + (height - bar) / 2, height: bar },
      inner: { top: innerTop, height: exact },
    };
    top += height;
    innerTop += exact;
    return at;
  });
  return { bands: placed, height: top };
}

function shifted(band: Placed, byPx: number, innerByPx: number): Placed {
  return {
    ...band,
    top: band.top + byPx,
    outer: { ...band.outer, top: band.outer.top + byPx },
    inner: { ...band.inner, top: band.inner.top + innerByPx },
  };
}

/** The outline of a band from its label's side (x = 0) to the transaction (x = `width`). */
export function outline({ outer, inner }: Placed, fromX: number, toX: number): string {
  const bend = (fromX + toX) / 2;
  const innerHeight = Math.max(inner.height, LEAST_PX / 2);
  const [a, b] = [outer.top, outer.top + outer.height].map(round);
  const [c, d] = [inner.top, inner.top + innerHeight].map(round);
  return `M${fromX} ${a}C${bend} ${a} ${bend} ${c} ${toX} ${c}V${d}C${bend} ${d} ${bend} ${b} ${fromX} ${b}Z`;
}

function round(px: number): number {
  return Math.round(px * 100) / 100;
}
