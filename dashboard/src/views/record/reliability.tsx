import type { Accuracy } from "../../api/types";
import { Panel } from "../../components/panel";
import { Scrolling } from "../../components/scrolling";
import { Insufficient } from "../../components/states";
import { type CurvePoint, type Horizon, LEAST, readHorizons } from "../../model/accuracy";
import { formatCount, formatN, formatShare } from "../../model/amounts";

const SIZE = 200;
const LEFT = 30;
const BOTTOM = 22;
const TOP = 8;
const INNER = SIZE - LEFT - TOP;
const TICKS = [0, 0.5, 1];
const LEAST_DOT = 3;
const MOST_DOT = 8;

/** Said and came: where a curve lies on the diagonal, 70 % said is 70 % come. */
export function ReliabilityPanel({ accuracy }: { accuracy: Accuracy }) {
  const horizons = readHorizons(accuracy);
  return (
    <Panel
      id="reliability"
      title="Forecast and outcome"
      hint="Each dot is a tenth of the forecasts: across, the chance we gave; up, how often it happened. On the line: just right. Below it: we promised too much. Larger dots count more."
    >
      <div class="curves">
        {horizons.map((horizon) => (
          <Curve key={horizon.horizon} horizon={horizon} />
        ))}
      </div>
      <HorizonTable horizons={horizons} />
    </Panel>
  );
}

function nameOf(horizon: number): string {
  return horizon === 1 ? "within the next block" : `within ${horizon} blocks`;
}

function Curve({ horizon: { horizon, score, n, blocks } }: { horizon: Horizon }) {
  return (
    <figure class="curve">
      <figcaption>
        <h3>{nameOf(horizon)}</h3>
        <small>
          {formatN(n)} in {formatCount(blocks)} blocks
        </small>
      </figcaption>
      {score === null ? (
        <div class="curve-none">
          <Insufficient n={n} least={LEAST} />
          <small>{blocks < 20 ? `from 20 blocks on, there are ${blocks}` : ""}</small>
        </div>
      ) : (
        <CurvePicture name={describe(horizon, score.curve)} curve={score.curve} />
      )}
    </figure>
  );
}

function describe(horizon: number, curve: readonly CurvePoint[]): string {
  const points = curve.map(
    ({ said, came, n }) =>
      `forecast ${formatShare(said)}, happened ${formatShare(came)} of ${formatCount(n)}`,
  );
  return `Confirmed ${nameOf(horizon)}: ${points.join("; ")}`;
}

const x = (share: number) => LEFT + share * INNER;
const y = (share: number) => TOP + (1 - share) * INNER;

function CurvePicture({ name, curve }: { name: string; curve: readonly CurvePoint[] }) {
  const most = Math.max(...curve.map(({ n }) => n));
  return (
    <svg viewBox={`0 0 ${SIZE} ${SIZE - TOP + BOTTOM - 14}`} role="img" aria-label={name}>
      {TICKS.map((tick) => (
        <g key={tick}>
          <line class="plot-grid" x1={x(tick)} x2={x(tick)} y1={y(0)} y2={y(1)} />
          <line class="plot-grid" x1={x(0)} x2={x(1)} y1={y(tick)} y2={y(tick)} />
          <text class="plot-tick" x={x(tick)} y={y(0) + 13} text-anchor={tick === 1 ? "end" : "middle"}>
            {tick * 100}
          </text>
          <text class="plot-tick" x={LEFT - 5} y={y(tick) + 3.5} text-anchor="end">
            {tick * 100}
          </text>
        </g>
      ))}
      <line class="plot-ideal" x1={x(0)} y1={y(0)} x2={x(1)} y2={y(1)} />
      <polyline class="plot-line" points={curve.map(({ said, came }) => `${x(said)},${y(came)}`).join(" ")} />
      {curve.map(({ said, came, n }) => (
        <circle
          key={`${said} ${n}`}
          class="plot-dot"
          cx={x(said)}
          cy={y(came)}
          r={LEAST_DOT + (MOST_DOT - LEAST_DOT) * Math.sqrt(n / most) * (curve.length === 1 ? 1 : 0.5)}
        >
          <title>
            forecast {formatShare(said, 1)}, happened {formatShare(came, 1)} ({formatN(n)})
          </title>
        </circle>
      ))}
    </svg>
  );
}

function HorizonTable({ horizons }: { horizons: readonly Horizon[] }) {
  return (
    <Scrolling label="Scores by horizon">
      <table>
        <thead>
          <tr>
            <th scope="col">Confirmed</th>
            <th scope="col" class="number">
              n
            </th>
            <th scope="col" class="number">
              Forecast
            </th>
            <th scope="col" class="number">
              Happened
            </th>
            <th scope="col" class="number" title="mean squared error of the probabilities: 0 is perfect">
              Brier score
            </th>
            <th
              scope="col"
              class="number"
              title="the Brier score of giving the overall share each time, which nobody can know beforehand"
            >
              Always the mean
            </th>
            <th scope="col" class="number" title="mean distance of the curve from the diagonal">
              Off the line
            </th>
            <th
              scope="col"
              class="number"
              title="the distance that a perfect model would show with as few blocks, by chance"
            >
              By chance
            </th>
          </tr>
        </thead>
        <tbody>
          {horizons.map((row) => (
            <HorizonRow key={row.horizon} row={row} />
          ))}
        </tbody>
      </table>
    </Scrolling>
  );
}

function HorizonRow({ row: { horizon, n, score, censored } }: { row: Horizon }) {
  return (
    <tr>
      <th scope="row">{nameOf(horizon)}</th>
      <td class="number" title={`${formatCount(censored)} more are too young to be judged`}>
        {formatCount(n)}
      </td>
      {score === null ? (
        <td colSpan={6} class="number">
          <Insufficient n={n} least={LEAST} />
        </td>
      ) : (
        <>
          <td class="number">{formatShare(score.said, 1)}</td>
          <td class="number">{formatShare(score.came, 1)}</td>
          <td class="number">{score.brier.toFixed(3)}</td>
          <td class="number">{score.reference.toFixed(3)}</td>
          <td class="number">{formatShare(score.ece, 1)}</td>
          <td class="number">{formatShare(score.floor, 1)}</td>
        </>
      )}
    </tr>
  );
}
