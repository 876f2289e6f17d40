import { useState } from "preact/hooks";
import type { Accuracy } from "../../api/types";
import { Panel } from "../../components/panel";
import { Scrolling } from "../../components/scrolling";
import { TableSwitch } from "../../components/table-switch";
import { type Day, LEAST, readDays } from "../../model/accuracy";
import { formatCount, formatDuration, formatN, formatShare } from "../../model/amounts";
import { useWidth } from "../../state/use-width";

const SHARES_PX = 130;
const COUNTS_PX = 44;
const GAP_PX = 12;
const LEFT_PX = 36;
const MOST_COLUMN_PX = 46;
const DAY_S = 86_400;
const AIMS = [0.5, 0.9] as const;

/** How it went day by day: shares above, how many they rest on below. */
export function DaysPanel({ accuracy }: { accuracy: Accuracy }) {
  const days = readDays(accuracy);
  const [isTable, setTable] = useState(false);
  return (
    <Panel
      id="days"
      title="Day by day"
      hint={`By the day (UTC) on which they ended. Rings: within P50, dots: within P90, where at least ${LEAST} confirmed; bars: how many ended.`}
      aside={<TableSwitch isTable={isTable} setTable={setTable} of="day by day" />}
    >
      <div class="panel-body">
        {days.length === 0 && <p class="muted">None of the predictions of this period has ended.</p>}
        {days.length > 0 && !isTable && <DaysPicture days={days} />}
        {isTable && <DaysTable days={days} />}
      </div>
    </Panel>
  );
}

function DaysPicture({ days }: { days: readonly Day[] }) {
  const [place, width] = useWidth<HTMLDivElement>();
  const [pointed, point] = useState<Day | null>(null);
  const first = days[0]?.atS ?? 0;
  const count = ((days.at(-1)?.atS ?? 0) - first) / DAY_S + 1;
  const step = Math.min(MOST_COLUMN_PX, (width - LEFT_PX) / count);
  const most = Math.max(...days.map(endedOf));
  const x = (day: Day) => LEFT_PX + ((day.atS - first) / DAY_S + 0.5) * step;
  const y = (share: number) => 8 + (1 - share) * (SHARES_PX - 16);
  const bottom = SHARES_PX + GAP_PX + COUNTS_PX;
  const radius = Math.max(2, Math.min(4, step / 3));
  return (
    <div ref={place}>
      <svg
        class="days"
        width={width}
        height={bottom}
        role="img"
        aria-label="Share of confirmations within P50 and P90 by day; the table has the figures"
        onPointerLeave={() => point(null)}
      >
        {AIMS.map((aim) => (
          <g key={aim}>
            <line class="plot-ideal" x1={LEFT_PX} x2={LEFT_PX + count * step} y1={y(aim)} y2={y(aim)} />
            <text class="plot-tick" x={LEFT_PX - 6} y={y(aim) + 4} text-anchor="end">
              {aim * 100} %
            </text>
          </g>
        ))}
        <text class="plot-tick" x={LEFT_PX - 6} y={bottom - 2} text-anchor="end">
          n
        </text>
        {days.map((day) => (
          <g
            key={`${day.day}${day.simulated}`}
            class={`day ${day === pointed ? "is-pointed" : ""} ${day.simulated ? "is-simulated" : ""}`}
            onPointerEnter={() => point(day)}
          >
            <rect class="day-place" x={x(day) - step / 2} width={step} y={0} height={bottom} />
            <rect
              class="day-count"
              x={x(day) - step * 0.36}
              width={step * 0.72}
              y={bottom - (endedOf(day) / most) * COUNTS_PX}
              height={(endedOf(day) / most) * COUNTS_PX}
            />
            {day.p90.n >= LEAST && (
              <>
                <circle class="day-p50" cx={x(day)} cy={y(day.p50.met / day.p50.n)} r={radius} />
                <circle class="day-p90" cx={x(day)} cy={y(day.p90.met / day.p90.n)} r={radius} />
              </>
            )}
          </g>
        ))}
      </svg>
      <p class="days-said" aria-hidden="true">
        {describe(pointed ?? days.at(-1))}
      </p>
    </div>
  );
}

function endedOf(day: Day): number {
  return day.confirmed + day.replaced + day.dropped;
}

function shareText({ met, n }: Day["p50"]): string {
  return n === 0 ? "none" : `${formatShare(met / n)} of ${formatCount(n)}`;
}

function describe(day: Day | undefined): string {
  if (day === undefined) return "";
  const score = day.score === null ? "" : `; score ${day.score.toFixed(3)} (${formatN(day.scored)})`;
  const kind = day.simulated ? " (simulated)" : "";
  return `${day.day}${kind}: ${formatCount(endedOf(day))} ended; within P50 ${shareText(day.p50)}, within P90 ${shareText(day.p90)}${score}`;
}

function DaysTable({ days }: { days: readonly Day[] }) {
  return (
    <Scrolling label="Day by day" class="table-tall">
      <table>
        <thead>
          <tr>
            <th scope="col">Day</th>
            {[
              "Confirmed",
              "Replaced",
              "Dropped",
              "Within P50",
              "Within P90",
              "Score",
              "Public before its block",
            ].map((head) => (
              <th key={head} scope="col" class="number">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {[...days].reverse().map((day) => (
            <tr key={`${day.day}${day.simulated}`}>
              <th scope="row">
                {day.day} {day.simulated && <span class="mark mark-warn">simulated</span>}
              </th>
              <td class="number">{formatCount(day.confirmed)}</td>
              <td class="number">{formatCount(day.replaced)}</td>
              <td class="number">{formatCount(day.dropped)}</td>
              <td class="number">{shareText(day.p50)}</td>
              <td class="number">{shareText(day.p90)}</td>
              <td class="number">
                {day.score === null ? "none scored" : `${day.score.toFixed(3)} (${formatN(day.scored)})`}
              </td>
              <td class="number">
                {day.leadS === null ? "unknown" : `${formatDuration(day.leadS)} (median)`}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolling>
  );
}
