// The fee market as it is told: what waits by fee rate, and the blocks that it would fill.
import type { FeeMarket } from "../api/types";
import { type Fields, fieldsIn, numberIn, rowsIn } from "./fields";

/** Room of a block beside header and coinbase. Sources: Bitcoin Core, policy.h, DEFAULT_BLOCK_MAX_WEIGHT. */
export const CAPACITY_WU = 3_992_000;
const WU_PER_VB = 4;
/** So small a part of the weight at either end does not stretch the axis. */
const TAIL = 0.001;
/** # chosen: a wallet's lowest and highest, so that the axis spans something where all pay alike. */
const LEAST_RATIO = 4;
const STEPS = [1, 2, 5] as const;
/** So wide is what the service counts as one rate, as a logarithm. */
const BIN_WIDTH = 0.01;

/** Weight at a fee rate, in WU, or WU in a second. */
export interface Bin {
  readonly rate: number;
  readonly weight: number;
}

export interface Market {
  readonly tip: number;
  /** Mean seconds between blocks. */
  readonly tauS: number;
  readonly waiting: readonly Bin[];
  readonly inflow: readonly Bin[];
  readonly inflowLong: readonly Bin[];
  readonly mined: readonly Bin[];
}

/** null: it is not known now. */
export function readMarket({ market }: FeeMarket): Market | null {
  if (market === null) return null;
  const fields = market as Fields;
  return {
    tip: numberIn(fields, "tip") ?? 0,
    tauS: numberIn(fields, "tau_s") ?? 600,
    waiting: binsIn(fields, "waiting"),
    inflow: binsIn(fields, "inflow"),
    inflowLong: binsIn(fields, "inflow_long"),
    mined: binsIn(fields, "mined"),
  };
}

/** By rate, the lowest first. */
function binsIn(fields: Fields, name: string): Bin[] {
  return rowsIn(fields, name)
    .map(([rate = 0, weight = 0]) => ({ rate, weight }))
    .filter(({ rate, weight }) => rate > 0 && weight > 0)
    .sort((one, other) => one.rate - other.rate);
}

export function totalOf(bins: readonly Bin[]): number {
  return bins.reduce((sum, { weight }) => sum + weight, 0);
}

/** Weight that pays more than a rate. */
export function aheadOf(bins: readonly Bin[], rate: number): number {
  return bins.reduce((sum, bin) => sum + (bin.rate > rate ? bin.weight : 0), 0);
}

/** How many blocks the model has learned from, and whether that is enough to mend its probabilities. */
export function readLearning({ calibrated, model }: FeeMarket): { calibrated: boolean; blocks: number } {
  return { calibrated, blocks: numberIn(fieldsIn({ model }, "model"), "scored_blocks") ?? 0 };
}

/** A block to come, were nothing else to arrive. */
export interface Projected {
  readonly weight: number;
  readonly low: number;
  readonly high: number;
  readonly median: number;
  /** How many blocks it stands for: the last one for all that is left. */
  readonly blocks: number;
}

/** Part of a bin that falls into one block. */
interface Piece extends Bin {
  readonly block: number;
}

/** All that waits from the dearest down, cut where a block is full. */
export function cutIntoBlocks(waiting: readonly Bin[], capacity = CAPACITY_WU): Piece[] {
  const pieces: Piece[] = [];
  let block = 0;
  let room = capacity;
  for (const { rate, weight } of [...waiting].reverse()) {
    let left = weight;
    while (left > 0) {
      const taken = Math.min(left, room);
      pieces.push({ rate, weight: taken, block });
      left -= taken;
      room -= taken;
      if (room <= 0) {
        block += 1;
        room = capacity;
      }
    }
  }
  return pieces;
}

export function projectBlocks(waiting: readonly Bin[], most: number, capacity = CAPACITY_WU): Projected[] {
  const pieces = cutIntoBlocks(waiting, capacity);
  const last = pieces.at(-1)?.block ?? -1;
  const found: Projected[] = [];
  for (let block = 0; block <= Math.min(last, most - 1); block += 1) {
    const isRest = block === most - 1 && last > block;
    const own = pieces.filter((piece) => (isRest ? piece.block >= block : piece.block === block));
    const weight = totalOf(own);
    found.push({
      weight,
      low: own.at(-1)?.rate ?? 0,
      high: own[0]?.rate ?? 0,
      median: medianOf(own, weight),
      blocks: isRest ? last - block + 1 : 1,
    });
  }
  return found;
}

function medianOf(pieces: readonly Bin[], total: number): number {
  let sum = 0;
  for (const { rate, weight } of pieces) {
    sum += weight;
    if (sum >= total / 2) return rate;
  }
  return 0;
}

/** An axis of fee rates, each step the same factor. */
export interface Axis {
  readonly low: number;
  readonly high: number;
}

/** An axis for weights, and for rates that have to be on it whatever they weigh. */
export function axisOf(bins: readonly Bin[], rates: readonly number[]): Axis {
  const total = totalOf(bins);
  let [low, high, sum] = [Number.POSITIVE_INFINITY, 0, 0];
  for (const { rate, weight } of bins) {
    sum += weight;
    if (sum >= total * TAIL) low = Math.min(low, rate);
    if (sum - weight <= total * (1 - TAIL)) high = Math.max(high, rate);
  }
  const known = rates.filter((rate) => rate > 0);
  low = Math.min(low, ...known);
  high = Math.max(high, ...known);
  if (!Number.isFinite(low) || high <= 0) return { low: 1, high: 100 };
  const stretch = Math.sqrt(Math.max(1, LEAST_RATIO / (high / low)));
  return { low: low / stretch / 1.1, high: high * stretch * 1.1 };
}

/** Where a rate stands: 0 at the axis' beginning, 1 at its end. */
export function placeOf({ low, high }: Axis, rate: number): number {
  return Math.min(1, Math.max(0, Math.log(rate / low) / Math.log(high / low)));
}

export function rateAt({ low, high }: Axis, place: number): number {
  return low * (high / low) ** place;
}

/** Round rates on an axis: 1, 2, 5, 10, or only powers of ten where those would crowd. */
export function ticksOf({ low, high }: Axis, most: number): number[] {
  const all: number[] = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power += 1) {
    for (const step of STEPS) all.push(Number((step * 10 ** power).toPrecision(1)));
  }
  const inside = all.filter((rate) => rate >= low && rate <= high);
  return inside.length <= most ? inside : inside.filter((rate) => Number.isInteger(Math.log10(rate)));
}

/** A column of the picture: its weight by block, the next one first. */
export interface Column {
  readonly from: number;
  readonly to: number;
  readonly weight: number;
  readonly byBlock: readonly number[];
}

/** Weight in equal steps of an axis. What is beyond its ends counts at its ends. */
export function columnsOf(
  pieces: readonly (Bin & { block?: number })[],
  axis: Axis,
  count: number,
): Column[] {
  const sums = Array.from({ length: count }, (): number[] => []);
  // A bin lies across steps: in parts, or every third step would look higher than its neighbours.
  const width = (BIN_WIDTH / Math.log(axis.high / axis.low)) * count;
  for (const { rate, weight, block = 0 } of pieces) {
    const middle = (Math.log(rate / axis.low) / Math.log(axis.high / axis.low)) * count;
    const [from, to] = [middle - width / 2, middle + width / 2];
    for (let step = Math.floor(from); step < to; step += 1) {
      const part = (Math.min(to, step + 1) - Math.max(from, step)) / width;
      const own = sums[Math.min(count - 1, Math.max(0, step))];
      if (own !== undefined) own[block] = (own[block] ?? 0) + weight * part;
    }
  }
  return sums.map((own, place) => {
    const byBlock = Array.from(own, (weight) => weight ?? 0);
    return {
      from: rateAt(axis, place / count),
      to: rateAt(axis, (place + 1) / count),
      weight: byBlock.reduce((sum, weight) => sum + weight, 0),
      byBlock,
    };
  });
}

/** Places for dots on a line so that none hides another: how far each is pushed up, in levels. */
export function stack(places: readonly number[], apart: number, most: number): number[] {
  const levels = new Array<number>(places.length).fill(0);
  const ends: number[] = new Array<number>(most).fill(Number.NEGATIVE_INFINITY);
  const order = places
    .map((_, index) => index)
    .sort((one, other) => (places[one] ?? 0) - (places[other] ?? 0));
  for (const index of order) {
    const place = places[index] ?? 0;
    let level = ends.findIndex((end) => place - end >= apart);
    if (level < 0) level = ends.indexOf(Math.min(...ends));
    ends[level] = place;
    levels[index] = level;
  }
  return levels;
}

const number = (most: number) => new Intl.NumberFormat("en", { maximumFractionDigits: most });

/** Weight as what fees are counted by: a block holds about 1 MvB. */
export function formatVirtual(weight: number): string {
  const size = weight / WU_PER_VB;
  if (size >= 1e6) return `${number(2).format(size / 1e6)} MvB`;
  if (size >= 1e3) return `${number(1).format(size / 1e3)} kvB`;
  return `${number(0).format(size)} vB`;
}

/** How many blocks a weight fills. */
export function formatBlocks(weight: number): string {
  const blocks = weight / CAPACITY_WU;
  if (weight > 0 && blocks < 0.01) return "<0.01";
  return number(blocks < 10 ? 2 : 0).format(blocks);
}
