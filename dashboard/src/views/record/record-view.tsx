import type { Accuracy, Gaps } from "../../api/types";
import { Figure } from "../../components/panel";
import { Segmented } from "../../components/segmented";
import { Empty, Failed, Insufficient, Loading } from "../../components/states";
import { LEAST, PERIODS, parsePeriod, rateOf, readCoverage, readSkill } from "../../model/accuracy";
import { formatAgo, formatCount, formatN, formatShare } from "../../model/amounts";
import { now } from "../../state/clock";
import { go, query } from "../../state/router";
import { useAsk } from "../../state/use-ask";
import { BlindnessPanel } from "./blindness";
import { ChainPanel } from "./chain";
import { DaysPanel } from "./days";
import { FlowPanel } from "./flow-answers";
import { MinutesPanel } from "./minutes";
import { ReliabilityPanel } from "./reliability";

const ACCURACY_MS = 60_000;
const GAPS_MS = 30_000;

const CHOICES = PERIODS.map((days) => [String(days), days === 1 ? "1 day" : `${days} days`] as const);

export function RecordView() {
  const days = parsePeriod(query.value);
  const accuracy = useAsk("/api/v1/accuracy", { query: { days } }, ACCURACY_MS);
  const gaps = useAsk("/api/v1/gaps", { query: { days } }, GAPS_MS);
  return (
    <div class="view">
      <header class="view-head">
        <h1>Track record</h1>
        {accuracy.data !== null && <Basis accuracy={accuracy.data} />}
        <Segmented
          label="Period"
          options={CHOICES}
          value={String(days)}
          onChange={(value) => go(`/record?days=${value}`, { replace: true })}
        />
      </header>
      {accuracy.data !== null && <Figures accuracy={accuracy.data} gaps={gaps.data} />}
      {accuracy.data === null && (
        <section class="panel">
          {accuracy.error === null ? (
            <Loading what="how often we were right" />
          ) : (
            <Failed error={accuracy.error} again={accuracy.again} />
          )}
        </section>
      )}
      {accuracy.data !== null && <Scores accuracy={accuracy.data} />}
      <BlindnessPanel gaps={gaps.data} error={gaps.error} again={gaps.again} />
      <ChainPanel />
    </div>
  );
}

/** What the figures rest on. */
function Basis({ accuracy }: { accuracy: Accuracy }) {
  const { forecasts, simulated, blocks, waiting, forecasts_left_off: leftOff } = accuracy;
  return (
    <p class="muted record-basis">
      {formatCount(forecasts)} forecasts before {formatCount(blocks)} blocks; {formatCount(waiting)} still
      wait
      {leftOff > 0 && `; ${formatCount(leftOff)} older ones are not looked at`}; computed{" "}
      {formatAgo(Date.parse(accuracy.computed_at), now.value)}
      {simulated > 0 && (
        <>
          {" "}
          <span class="mark mark-warn">
            {simulated === forecasts ? "all simulated" : `${formatCount(simulated)} simulated`}
          </span>
        </>
      )}
    </p>
  );
}

function Figures({ accuracy, gaps }: { accuracy: Accuracy; gaps: Gaps | null }) {
  const { p50, p90 } = readCoverage(accuracy);
  const { skill } = readSkill(accuracy);
  return (
    <dl class="figures" data-testid="record-figures">
      {(accuracy.simulated === 0 || accuracy.simulated < accuracy.forecasts) && (
        <Scored name="Score of forecasts" kind="real" accuracy={accuracy} />
      )}
      {accuracy.simulated > 0 && <Scored name="Score, simulated" kind="simulated" accuracy={accuracy} />}
      <Share name="Within P50" aim="50 % were promised" n={p50.n} value={p50.value} />
      <Share name="Within P90" aim="90 % were promised" n={p90.n} value={p90.value} />
      <Figure
        name="Better than “next block”"
        hint={
          skill.next_block.value === null
            ? undefined
            : `skill; 0 is no better, 1 perfect (${formatN(skill.next_block.n)})`
        }
      >
        {skill.next_block.value === null ? (
          <Insufficient n={readSkill(accuracy).score.n} least={LEAST} />
        ) : (
          skill.next_block.value.toFixed(2)
        )}
      </Figure>
      {gaps !== null && (
        <Figure
          name="Blind"
          hint={gaps.gap_count === 1 ? "in one gap" : `in ${formatCount(gaps.gap_count)} gaps`}
        >
          {gaps.blind_share === null ? "unknown" : formatShare(gaps.blind_share, 1)}
        </Figure>
      )}
      {gaps !== null && (
        <Share
          name="Mined unseen"
          aim="of whales"
          n={gaps.blind_spot_rate.n}
          value={rateOf(gaps.blind_spot_rate)}
        />
      )}
    </dl>
  );
}

function Scored(props: { name: string; kind: "real" | "simulated"; accuracy: Accuracy }) {
  const rate = props.accuracy.accuracy_score[props.kind];
  const [value, n] = [rateOf(rate), rate?.n ?? 0];
  return (
    <Figure
      name={props.name}
      hint={value === null ? undefined : `1 is perfect, a coin scores 0.75 (${formatN(n)})`}
    >
      {value === null ? <Insufficient n={n} least={LEAST} /> : value.toFixed(3)}
    </Figure>
  );
}

function Share(props: { name: string; aim: string; n: number; value: number | null }) {
  return (
    <Figure name={props.name} hint={props.value === null ? undefined : `${props.aim} (${formatN(props.n)})`}>
      {props.value === null ? <Insufficient n={props.n} least={LEAST} /> : formatShare(props.value, 1)}
    </Figure>
  );
}

function Scores({ accuracy }: { accuracy: Accuracy }) {
  if (accuracy.forecasts === 0) {
    return (
      <Empty title="Nothing was forecast in this period">
        Every prediction and what became of it will be counted here.
      </Empty>
    );
  }
  return (
    <>
      <ReliabilityPanel accuracy={accuracy} />
      <div class="record-pair">
        <MinutesPanel accuracy={accuracy} />
        <FlowPanel accuracy={accuracy} />
      </div>
      <DaysPanel accuracy={accuracy} />
    </>
  );
}
