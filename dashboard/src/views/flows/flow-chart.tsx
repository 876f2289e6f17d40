import { useMemo } from "preact/hooks";
import type { Netflow } from "../../api/types";
import { Chart, type Series } from "../../components/chart";
import { formatAmount, formatCompact, formatFiat, type formatNet } from "../../model/amounts";
import { overTime, type Question, stack } from "../../model/netflows";
import { price } from "../../state/session";
import { unit } from "../../state/settings";

const HEIGHT_PX = 330;
const HOUR = {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
  timeZone: "UTC",
} as const;
const DAY = { month: "short", day: "numeric", timeZone: "UTC" } as const;
const PARTS = [
  ["unknown", "dotted"],
  ["likely", "hatched"],
  ["certain", "solid"],
] as const;

export function FlowChart({
  question,
  rows,
  steps,
}: {
  question: Question;
  rows: readonly Netflow[];
  steps: readonly number[];
}) {
  const flows = useMemo(() => overTime(rows, steps), [rows, steps]);
  const series = useMemo((): Series[] => {
    const [up, down] = [stack(flows, "received"), stack(flows, "sent")];
    return [
      ...PARTS.map(
        ([part, fill]): Series => ({
          name: `received, ${part}`,
          values: drawn(up[part]),
          said: flows.map(({ received }) => received[part]),
          colour: "--inflow",
          draw: "bar",
          fill,
        }),
      ),
      ...PARTS.map(
        ([part, fill]): Series => ({
          name: `sent, ${part}`,
          values: drawn(down[part]),
          said: flows.map(({ sent }) => sent[part]),
          colour: "--outflow",
          draw: "bar",
          fill,
        }),
      ),
      { name: "net", values: flows.map(({ net }) => net), colour: "--text", draw: "line" },
    ];
  }, [flows]);
  const words = new Intl.DateTimeFormat("en", question.interval === "hour" ? HOUR : DAY);
  const [shownUnit, shownPrice] = [unit.value, price.value];
  return (
    <Chart
      name={`What exchanges received and sent by ${question.interval}, and the net of both`}
      x={steps}
      xName={question.interval === "hour" ? "Hour (UTC)" : "Day (UTC)"}
      xScale="utc"
      formatX={(seconds) => words.format(seconds * 1000)}
      formatY={(sat) => formatAmount(sat, shownUnit, shownPrice)}
      formatTick={(sat) => formatTick(sat, shownUnit, shownPrice)}
      series={series}
      height={HEIGHT_PX}
    />
  );
}

/** Nothing is no bar, not one without height. */
function drawn(edges: readonly number[]): (number | null)[] {
  return edges.map((edge) => (edge === 0 ? null : edge));
}

/** What the numbers of the axis are: they have no room for it. */
export function axisUnit(): string {
  if (unit.value === "fiat" && price.value !== null) return price.value.currency;
  return unit.value === "sat" ? "sat" : "BTC";
}

/** As short as it goes; the sign says into or out of. */
function formatTick(
  sat: number,
  ...[shown, priced]: [Parameters<typeof formatNet>[1], Parameters<typeof formatNet>[2]]
): string {
  if (shown === "fiat" && priced !== null) return formatFiat(sat, priced);
  const sign = sat > 0 ? "+" : sat < 0 ? "\u2212" : "";
  return sign + formatCompact(Math.abs(shown === "sat" ? sat : sat / 1e8));
}
