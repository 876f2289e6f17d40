// uPlot as the page wants it: the theme's colours, the width of its place, a legend that says what lies under
// the pointer, and the same figures as a table for whoever does not see a picture.
import { TableSwitch } from "./table-switch";
import "uplot/dist/uPlot.min.css";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { theme } from "../state/settings";
import { type Fill, Paint } from "./chart-paint";

const HEIGHT_PX = 260;
const FONT_PX = 12; // uPlot knows whole pixels only
const TIME_AXIS_PX = 34;
const DAY_S = 86_400;
const DAYS_S = [1, 2, 5, 10, 30].map((days) => days * DAY_S);
const BAR_SHARE = 0.72;
const BAR_MOST_PX = 42;

export interface Series {
  name: string;
  /** What is drawn, one for each x; null leaves a gap. */
  values: readonly (number | null)[];
  /** What is said in the legend and the table, where that is not what is drawn: the part of a stack. */
  said?: readonly (number | null)[];
  /** A custom property of the styles, such as `--accent`. */
  colour: string;
  draw: "line" | "step" | "bar" | "points";
  fill?: Fill;
  dashed?: boolean;
}

export interface ChartProps {
  /** What it shows, for those who do not see it. */
  name: string;
  /** Ascending; for a time scale in seconds since 1970. */
  x: readonly number[];
  xName: string;
  /** `local` and `utc` are scales of time. */
  xScale?: "local" | "utc" | "number";
  formatX: (value: number) => string;
  formatY: (value: number) => string;
  /** Shorter, for the axis; `formatY` without it. */
  formatTick?: (value: number) => string;
  /** Drawn in this order, later ones on top. */
  series: readonly Series[];
  height?: number;
  rangeX?: readonly [number, number];
  rangeY?: readonly [number, number];
}

export function Chart(props: ChartProps) {
  const [isTable, setTable] = useState(false);
  const [index, setIndex] = useState<number | null>(null);
  return (
    <figure class="chart">
      {isTable ? <ChartTable {...props} /> : <Plot {...props} onPoint={setIndex} />}
      <figcaption class="chart-foot">
        <Legend {...props} index={isTable ? null : index} />
        <TableSwitch isTable={isTable} setTable={setTable} of={props.name} />
      </figcaption>
    </figure>
  );
}

function Plot(props: ChartProps & { onPoint: (index: number | null) => void }) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const newest = useRef(props);
  newest.current = props;
  const shape = shapeOf(props);
  const chosen = theme.value;

  useEffect(() => {
    const element = host.current;
    if (element === null) return;
    const paint = new Paint(element);
    const made = new uPlot(optionsOf(newest, paint, element.clientWidth), dataOf(newest.current), element);
    plot.current = made;
    const resized = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height: made.height });
    });
    resized.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const repaint = () => {
      paint.clear();
      made.redraw(false);
    };
    scheme.addEventListener("change", repaint);
    return () => {
      scheme.removeEventListener("change", repaint);
      resized.disconnect();
      made.destroy();
      plot.current = null;
      element.replaceChildren();
    };
  }, [shape, chosen]);

  useEffect(() => {
    plot.current?.setData(dataOf(newest.current));
  }, [props.x, props.series]);

  return <div class="chart-plot" ref={host} role="img" aria-label={props.name} />;
}

/** What a plot is made anew for; other figures are only put in. */
function shapeOf({ series, height, rangeX, rangeY, xScale, x }: ChartProps): string {
  const looks = series.map(({ name, colour, draw, fill, dashed }) => [name, colour, draw, fill, dashed]);
  return JSON.stringify([looks, height, rangeX, rangeY, xScale, isDaily(x)]);
}

function dataOf({ x, series }: ChartProps): uPlot.AlignedData {
  return [[...x], ...series.map(({ values }) => [...values])];
}

type Newest = { readonly current: ChartProps & { onPoint: (index: number | null) => void } };

function optionsOf(newest: Newest, paint: Paint, width: number): uPlot.Options {
  const { series, height = HEIGHT_PX, rangeX, rangeY, xScale = "local" } = newest.current;
  const hasBars = series.some(({ draw }) => draw === "bar");
  const axis = {
    stroke: () => paint.colour("--muted"),
    font: paint.font(FONT_PX),
    grid: { stroke: () => paint.colour("--line-soft"), width: 1 },
    ticks: { show: false },
  };
  const short = (value: number) => (newest.current.formatTick ?? newest.current.formatY)(value);
  return {
    width: Math.max(width, 1),
    height,
    padding: [10, 12, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: !hasBars }, y: false },
    ...(xScale === "utc"
      ? { tzDate: (seconds: number) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC") }
      : {}),
    scales: {
      x: {
        time: xScale !== "number",
        range: (_, least, most) =>
          (rangeX?.slice() as uPlot.Range.MinMax) ?? withRoom(newest, least, most, hasBars),
      },
      y: rangeY === undefined ? {} : { range: () => [...rangeY] as uPlot.Range.MinMax },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: TIME_AXIS_PX,
        ...(xScale !== "number" && isDaily(newest.current.x) ? { incrs: DAYS_S } : {}),
        values:
          xScale === "number" ? (_, at) => at.map((value) => newest.current.formatX(value)) : clockOf(xScale),
      },
      { ...axis, size: widthOf, values: (_, at) => at.map(short) },
    ],
    series: [{}, ...series.map((one) => seriesOf(one, paint))],
    hooks: { setCursor: [({ cursor }) => newest.current.onPoint(cursor.idx ?? null)] },
  };
}

/** Days have no hours that could be written between them. */
function isDaily([first = 0, second = 0]: readonly number[]): boolean {
  return second - first >= DAY_S;
}

/** The date where a day begins, else the hour. */
function clockOf(scale: "local" | "utc"): (_: uPlot, at: number[]) => string[] {
  const zone = scale === "utc" ? { timeZone: "UTC" } : {};
  const date = new Intl.DateTimeFormat("en", { month: "short", day: "numeric", ...zone });
  const time = new Intl.DateTimeFormat("en", {
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
    ...zone,
  });
  return (_, at) =>
    at.map((seconds) => {
      const text = time.format(seconds * 1000);
      return text === "00:00" ? date.format(seconds * 1000) : text;
    });
}

/** Bars at both ends need half a step more, or they are cut. */
function withRoom(newest: Newest, least: number, most: number, hasBars: boolean): uPlot.Range.MinMax {
  const { x } = newest.current;
  const [first = 0, second = first + 1] = x;
  const room = hasBars ? (second - first) / 2 : 0;
  return [least - room, most + room];
}

/** As wide as its longest number. */
function widthOf(_: uPlot, values: string[] | null): number {
  const longest = Math.max(3, ...(values ?? []).map((value) => value.length));
  return Math.ceil(longest * FONT_PX * 0.6) + 14;
}

function seriesOf({ name, colour, draw, fill = "none", dashed = false }: Series, paint: Paint): uPlot.Series {
  const { bars, stepped } = uPlot.paths;
  const line: uPlot.Series = {
    label: name,
    stroke: () => paint.colour(colour),
    width: draw === "points" ? 0 : 2,
    points: { show: draw === "points", size: 8, fill: () => paint.colour(colour) },
    ...(dashed ? { dash: [6, 4] } : {}),
    ...(fill === "none" ? {} : { fill: () => paint.fill(colour, fill) }),
  };
  if (draw === "step" && stepped !== undefined) return { ...line, paths: stepped({ align: 1 }) };
  if (draw === "bar" && bars !== undefined) {
    return { ...line, width: 1, points: { show: false }, paths: bars({ size: [BAR_SHARE, BAR_MOST_PX] }) };
  }
  return line;
}

function Legend(props: ChartProps & { index: number | null }) {
  const { series, index, x } = props;
  const at = index === null ? undefined : x[index];
  return (
    <div class="chart-legend" aria-hidden="true">
      <span class="chart-at">{at === undefined ? "" : props.formatX(at)}</span>
      {series.map((one) => {
        const value = index === null ? undefined : saidOf(one)[index];
        return (
          <span key={one.name} class="chart-key">
            <Swatch {...one} /> {one.name}
            {at !== undefined && (
              <b>{value === null || value === undefined ? "\u2013" : props.formatY(value)}</b>
            )}
          </span>
        );
      })}
    </div>
  );
}

/** The look of a series in small; the tiles are drawn by the styles. */
export function Swatch({
  colour,
  draw,
  fill = "none",
  dashed = false,
}: Pick<Series, "colour" | "draw" | "fill" | "dashed">) {
  const look = draw === "bar" || draw === "points" ? fill : dashed ? "dashed" : "line";
  return (
    <i
      class={`swatch swatch-${look} swatch-${draw}`}
      style={{ color: `var(${colour})` }}
      aria-hidden="true"
    />
  );
}

function saidOf({ said, values }: Series): readonly (number | null)[] {
  return said ?? values;
}

/** The newest first where x is a time. */
function ChartTable(props: ChartProps) {
  const { x, series, xScale = "local" } = props;
  const order = x.map((_, index) => index);
  if (xScale !== "number") order.reverse();
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls can be scrolled by keyboard
    <section class="table-wrap chart-table" tabIndex={0} aria-label={props.name}>
      <table>
        <thead>
          <tr>
            <th scope="col">{props.xName}</th>
            {series.map(({ name }) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {order.map((index) => (
            <tr key={x[index]}>
              <td>{props.formatX(x[index] ?? 0)}</td>
              {series.map((one) => {
                const value = saidOf(one)[index] ?? null;
                return (
                  <td key={one.name} class="number">
                    {value === null ? "\u2013" : props.formatY(value)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
