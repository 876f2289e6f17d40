import { useMemo, useState } from "preact/hooks";
import { Amount } from "../../components/amount";
import { FlowMark } from "../../components/flow";
import { Link } from "../../components/link";
import { Panel } from "../../components/panel";
import { Scrolling } from "../../components/scrolling";
import { Segmented } from "../../components/segmented";
import { TableSwitch } from "../../components/table-switch";
import { formatAmount, formatCount, formatRate } from "../../model/amounts";
import {
  type Axis,
  axisOf,
  type Bin,
  type Column,
  columnsOf,
  cutIntoBlocks,
  formatVirtual,
  type Market,
  placeOf,
  stack,
  ticksOf,
} from "../../model/feemarket";
import type { Whale } from "../../model/whale";
import { describeRoute, describeWait } from "../../model/words";
import { useWidth } from "../../state/use-width";

const HEIGHT_PX = 230;
const AXIS_PX = 26;
const LEVEL_PX = 13;
const LEVELS = 7;
const TOP_PX = 20;
const SIDE_PX = 12;
const COLUMN_PX = 9;
const TICK_PX = 56;
/** # chosen: more dots than these are neither seen apart nor walked through by keyboard. */
const MOST_DOTS = 150;
const BLOCK_SHADES = 6;

const SHOWN = [
  ["waiting", "Waiting"],
  ["inflow", "Arriving"],
  ["mined", "Mined"],
] as const;
type Shown = (typeof SHOWN)[number][0];
const WORDS: Record<Shown, string> = {
  waiting: "what waits, by fee rate; the shades are the blocks it would fill",
  inflow: "what arrives in a block's time, by fee rate",
  mined: "the last six blocks and the next, by fee rate",
};

/** Weight by fee rate, and where the whales stand in it. */
export function MarketPanel(props: { market: Market; marginal: number | null; whales: readonly Whale[] }) {
  const { market, marginal } = props;
  const [shown, show] = useState<Shown>("waiting");
  const [isTable, setTable] = useState(false);
  const known = useMemo(() => props.whales.filter(({ feeRate }) => feeRate !== null), [props.whales]);
  const whales = useMemo(() => largest(known), [known]);
  const bins = market[shown];
  const axis = useMemo(
    () => axisOf([...bins], [...whales.map(rateOfWhale), ...(marginal === null ? [] : [marginal])]),
    [bins, whales, marginal],
  );
  return (
    <Panel
      id="market"
      title="By fee rate"
      hint={`${WORDS[shown]}; dots: whales that wait, larger the more they move`}
      aside={
        <div class="market-tools">
          <Segmented label="What is shown" options={SHOWN} value={shown} onChange={show} />
          <TableSwitch isTable={isTable} setTable={setTable} of="weight by fee rate" />
        </div>
      }
    >
      <div class="panel-body">
        {isTable ? (
          <MarketTable columns={columnsOf(piecesOf(market, shown), axis, 24)} />
        ) : (
          <Picture market={market} shown={shown} marginal={marginal} axis={axis} whales={whales} />
        )}
        <Rest all={props.whales.length} known={known.length} drawn={whales.length} />
      </div>
    </Panel>
  );
}

function rateOfWhale({ feeRate }: Whale): number {
  return feeRate ?? 0;
}

function largest(whales: readonly Whale[]): readonly Whale[] {
  if (whales.length <= MOST_DOTS)
    return [...whales].sort((one, other) => rateOfWhale(one) - rateOfWhale(other));
  const kept = [...whales].sort((one, other) => other.movedSat - one.movedSat).slice(0, MOST_DOTS);
  return kept.sort((one, other) => rateOfWhale(one) - rateOfWhale(other));
}

function piecesOf(market: Market, shown: Shown): readonly (Bin & { block?: number })[] {
  if (shown === "waiting") return cutIntoBlocks(market.waiting);
  if (shown === "mined") return market.mined;
  return market.inflow.map(({ rate, weight }) => ({ rate, weight: weight * market.tauS }));
}

function Rest({ all, known, drawn }: { all: number; known: number; drawn: number }) {
  const words = [
    known > drawn && `The ${formatCount(drawn)} that move most are drawn, of ${formatCount(known)}.`,
    all > known && `Of ${formatCount(all - known)} the fee rate is not known.`,
    all === 0 && "No whale waits.",
  ].filter((word) => word !== false);
  return words.length === 0 ? null : <p class="muted market-rest">{words.join(" ")}</p>;
}

function Picture(props: {
  market: Market;
  shown: Shown;
  marginal: number | null;
  axis: Axis;
  whales: readonly Whale[];
}) {
  const { market, shown, marginal, axis, whales } = props;
  const [place, width] = useWidth<HTMLDivElement>();
  const [pointed, point] = useState<Whale | Column | null>(null);
  const inner = width - 2 * SIDE_PX;
  const x = (rate: number) => SIDE_PX + placeOf(axis, rate) * inner;
  const count = Math.max(16, Math.floor(inner / COLUMN_PX));
  const columns = useMemo(
    () => columnsOf(piecesOf(market, shown), axis, count),
    [market, shown, axis, count],
  );
  const most = Math.max(1, ...columns.map(({ weight }) => weight));
  const height = HEIGHT_PX + AXIS_PX;
  return (
    <div ref={place} class="fee-picture">
      <svg
        width={width}
        height={height}
        role="img"
        aria-label="Weight by fee rate; the table has the figures"
        onPointerLeave={() => point(null)}
      >
        {columns.map((column) => (
          <ColumnBars
            key={column.from}
            column={column}
            x={x(column.from)}
            width={Math.max(1, inner / count - 1)}
            scale={(HEIGHT_PX - TOP_PX) / most}
            isPointed={column === pointed}
            onPoint={point}
          />
        ))}
        <line class="plot-grid" x1={0} x2={width} y1={TOP_PX} y2={TOP_PX} />
        <text class="plot-tick market-scale" x={width} y={TOP_PX + 13} text-anchor="end">
          {formatVirtual(most)}
        </text>
        <line class="market-base" x1={0} x2={width} y1={HEIGHT_PX} y2={HEIGHT_PX} />
        {ticksOf(axis, inner / TICK_PX).map((tick) => (
          <text key={tick} class="plot-tick" x={x(tick)} y={HEIGHT_PX + 17} text-anchor="middle">
            {tick}
          </text>
        ))}
        {marginal !== null && <Marginal rate={marginal} place={placeOf(axis, marginal)} x={x(marginal)} />}
      </svg>
      <Dots whales={whales} x={x} pointed={pointed} onPoint={point} />
      <p class="market-unit" aria-hidden="true">
        sat/vB
      </p>
      <Said pointed={pointed} />
    </div>
  );
}

function Marginal({ rate, place, x }: { rate: number; place: number; x: number }) {
  const isRight = place > 0.5;
  return (
    <>
      <line class="market-marginal" x1={x} x2={x} y1={0} y2={HEIGHT_PX} />
      <text
        class="market-marginal-name"
        x={x + (isRight ? -6 : 6)}
        y={12}
        text-anchor={isRight ? "end" : "start"}
      >
        next block from {formatRate(rate)}
      </text>
    </>
  );
}

function ColumnBars(props: {
  column: Column;
  x: number;
  width: number;
  scale: number;
  isPointed: boolean;
  onPoint: (column: Column | null) => void;
}) {
  const { column, x, width, scale, isPointed, onPoint } = props;
  let top = HEIGHT_PX;
  return (
    <g class={isPointed ? "is-pointed" : ""} onPointerEnter={() => onPoint(column)}>
      <rect class="day-place" x={x} width={width + 1} y={0} height={HEIGHT_PX} />
      {column.byBlock.map((weight, block) => {
        if (weight === 0) return null;
        const height = Math.max(1, weight * scale);
        top -= height;
        return (
          <rect
            key={`block ${block}`}
            class="market-bar"
            data-block={Math.min(block, BLOCK_SHADES - 1)}
            x={x}
            width={width}
            y={top}
            height={height}
          />
        );
      })}
    </g>
  );
}

function sizeOf(whale: Whale): number {
  return Math.min(LEVEL_PX + 4, 6 + Math.sqrt(whale.movedSat / 1e8) / 4);
}

/** Whales at their rates, below the columns: links, so that a keyboard reaches them. */
function Dots(props: {
  whales: readonly Whale[];
  x: (rate: number) => number;
  pointed: Whale | Column | null;
  onPoint: (whale: Whale | null) => void;
}) {
  const { whales, x, pointed, onPoint } = props;
  const places = whales.map((whale) => x(rateOfWhale(whale)));
  const levels = stack(places, LEVEL_PX, LEVELS);
  const height = (Math.max(0, ...levels) + 1) * LEVEL_PX + 8;
  return (
    <ul class="market-dots" aria-label="Whales that wait, by fee rate" style={{ height: `${height}px` }}>
      {whales.map((whale, index) => {
        const size = sizeOf(whale);
        return (
          <li
            key={whale.id}
            class={`market-dot flow-${whale.flow} ${whale === pointed ? "is-pointed" : ""}`}
            style={{
              left: `${(places[index] ?? 0) - size / 2}px`,
              top: `${4 + ((levels[index] ?? 0) + 0.5) * LEVEL_PX - size / 2}px`,
              width: `${size}px`,
              height: `${size}px`,
            }}
            onPointerEnter={() => onPoint(whale)}
            onPointerLeave={() => onPoint(null)}
            onFocusCapture={() => onPoint(whale)}
            onBlurCapture={() => onPoint(null)}
          >
            <Link to={`/whales/${whale.txid}`} aria-label={nameOf(whale)}>
              {""}
            </Link>
          </li>
        );
      })}
    </ul>
  );
}

function nameOf(whale: Whale): string {
  const { from, to } = describeRoute(whale);
  const who = from === to ? `inside ${from.text}` : `from ${from.text} to ${to.text}`;
  return `${formatAmount(whale.movedSat, "btc", null)} ${who}, ${formatRate(whale.feeRate)}`;
}

/** What lies under the pointer, or has the focus. */
function Said({ pointed }: { pointed: Whale | Column | null }) {
  if (pointed === null) {
    return (
      <p class="market-said muted">Point at a column or a dot for its figures; a dot leads to its whale.</p>
    );
  }
  if ("byBlock" in pointed) {
    return (
      <p class="market-said">
        {formatRate(pointed.from)} to {formatRate(pointed.to)}:{" "}
        <strong>{formatVirtual(pointed.weight)}</strong>
      </p>
    );
  }
  const { from, to } = describeRoute(pointed);
  return (
    <p class="market-said">
      <FlowMark flow={pointed.flow} />{" "}
      <strong>
        <Amount sat={pointed.movedSat} />
      </strong>{" "}
      {from === to ? `inside ${from.text}` : `${from.text} → ${to.text}`}, {formatRate(pointed.feeRate)},{" "}
      {describeWait(pointed)}
    </p>
  );
}

function MarketTable({ columns }: { columns: readonly Column[] }) {
  return (
    <Scrolling label="Weight by fee rate" class="table-tall">
      <table>
        <thead>
          <tr>
            <th scope="col">Fee rate</th>
            <th scope="col" class="number">
              Weight
            </th>
            <th scope="col" class="number">
              This and dearer
            </th>
          </tr>
        </thead>
        <tbody>
          {[...columns].reverse().map((column, place, all) => (
            <tr key={column.from}>
              <th scope="row">
                {formatRate(column.from)} to {formatRate(column.to)}
              </th>
              <td class="number">{formatVirtual(column.weight)}</td>
              <td class="number">
                {formatVirtual(all.slice(0, place + 1).reduce((sum, { weight }) => sum + weight, 0))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolling>
  );
}
