import { useState } from "preact/hooks";
import { downloadCsv } from "../../api/download";
import { Download } from "../../components/icons";
import { Segmented } from "../../components/segmented";
import {
  fits,
  INTERVALS,
  type Interval,
  PERIODS,
  type Period,
  type Question,
  restQuery,
  usualInterval,
} from "../../model/netflows";

const PERIOD_WORDS: Readonly<Record<Period, string>> = {
  "24h": "24 h",
  "7d": "7 d",
  "30d": "30 d",
  "90d": "90 d",
};
const INTERVAL_WORDS: Readonly<Record<Interval, string>> = { hour: "by hour", day: "by day" };

export function Controls(props: {
  question: Question;
  names: readonly string[];
  set: (change: Partial<Question>) => void;
}) {
  const { question, names, set } = props;
  const { interval, period, exchange } = question;
  const known = names.some((name) => name === exchange) || exchange === "" ? names : [exchange, ...names];
  return (
    <search class="view-head flow-controls" aria-label="What is shown">
      <h1>Flows</h1>
      <Segmented
        label="Period"
        options={PERIODS.map((value) => [value, PERIOD_WORDS[value]] as const)}
        value={period}
        onChange={(value) => set({ period: value, interval: usualInterval(value) })}
      />
      <Segmented
        label="Interval"
        options={INTERVALS.map((value) => [value, INTERVAL_WORDS[value]] as const)}
        value={interval}
        disabled={(value) => !fits(value, period)}
        onChange={(value) => set({ interval: value })}
      />
      <label class="field">
        <span>Exchange</span>
        <select value={exchange} onChange={(event) => set({ exchange: event.currentTarget.value })}>
          <option value="">all</option>
          {[...known]
            .sort((one, other) => one.localeCompare(other))
            .map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
        </select>
      </label>
      <CsvButton question={question} />
    </search>
  );
}

/** The same question, answered as a file. */
function CsvButton({ question }: { question: Question }) {
  const [error, setError] = useState<string | null>(null);
  const save = async () => {
    setError(null);
    const query = new URLSearchParams({ ...restQuery(question, Date.now()), format: "csv", limit: "1000" });
    if (question.exchange !== "") query.set("exchange", question.exchange);
    try {
      await downloadCsv(`/api/v1/netflow?${query}`, `netflow-${question.period}-by-${question.interval}.csv`);
    } catch (failure) {
      setError((failure as Error).message);
    }
  };
  return (
    <span class="flow-csv">
      {error !== null && (
        <span class="muted" role="alert">
          {error}
        </span>
      )}
      <button type="button" class="button" onClick={() => void save()}>
        <Download /> CSV
      </button>
    </span>
  );
}
