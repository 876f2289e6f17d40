import { useMemo } from "preact/hooks";
import { Panel } from "../../components/panel";
import { Empty, Failed, Loading } from "../../components/states";
import { formatCount } from "../../model/amounts";
import {
  byExchange,
  formatQuestion,
  isSameExchange,
  parseQuestion,
  type Question,
  restQuery,
  sorted,
  stepsOf,
  sumOf,
} from "../../model/netflows";
import { now } from "../../state/clock";
import { go, query } from "../../state/router";
import { simulated } from "../../state/session";
import { useNetflow } from "../../state/use-netflow";
import { Controls } from "./controls";
import { axisUnit, FlowChart } from "./flow-chart";
import { FlowFigures } from "./flow-figures";
import { FlowTable } from "./flow-table";

/** What whales moved into and out of exchanges. */
export function FlowsView() {
  const question = parseQuestion(query.value);
  const { interval, period } = question;
  const [first = 0, ...later] = stepsOf(question, now.value);
  // A new hour is a new period; a new second is not.
  const steps = useMemo(() => [first, ...later], [first, interval, period]);
  const asked = useNetflow(interval, period, restQuery(question, now.value).from);
  const rows = useMemo(
    () => asked.rows?.filter((row) => row.simulated === simulated.value),
    [asked.rows, simulated.value],
  );
  const others = (asked.rows?.length ?? 0) - (rows?.length ?? 0);

  if (rows === undefined) {
    return (
      <div class="flows">
        <Controls question={question} names={[]} set={(change) => set(question, change)} />
        <section class="panel">
          {asked.error === null ? (
            <Loading what="flows" />
          ) : (
            <Failed error={asked.error} again={asked.again} />
          )}
        </section>
      </div>
    );
  }
  const exchanges = byExchange(rows);
  const chosen = rows.filter(
    ({ exchange }) => question.exchange === "" || isSameExchange(exchange, question.exchange),
  );
  return (
    <div class="flows">
      <Controls question={question} names={[...exchanges.keys()]} set={(change) => set(question, change)} />
      {asked.error !== null && (
        <p class="note note-bad" role="status">
          This is as it was read last; it could not be read again: {asked.error}
        </p>
      )}
      {asked.isCut && (
        <p class="note">
          There is more than can be read at once: only the newest {formatCount(rows.length)} rows count here.
        </p>
      )}
      {others > 0 && (
        <p class="note">
          {formatCount(others)} rows {simulated.value ? "of the real network" : "of simulated worlds"} are
          left out.
        </p>
      )}
      <FlowFigures flows={sumOf(chosen)} exchange={question.exchange} />
      <Panel
        id="flow-chart"
        title={
          question.exchange === "" ? "Into and out of all exchanges" : `Into and out of ${question.exchange}`
        }
        hint={`${axisUnit()} by ${interval} of detection, UTC; the last one is not over. Up: received, down: sent, each by how sure it is. Where there is nothing, nothing was heard`}
      >
        <div class="panel-body">
          {chosen.length === 0 ? (
            <Empty title="Nothing moved in this period">
              No whale whose label is known paid{" "}
              {question.exchange === "" ? "an exchange" : question.exchange}, or was paid by it.
            </Empty>
          ) : (
            <FlowChart question={question} rows={chosen} steps={steps} />
          )}
        </div>
      </Panel>
      {exchanges.size > 0 && (
        <FlowTable
          question={question}
          rows={sorted(exchanges, question)}
          total={sumOf(rows)}
          set={(change) => set(question, change)}
        />
      )}
    </div>
  );
}

/** The question stands in the page's address. */
function set(question: Question, change: Partial<Question>): void {
  const next = { ...question, ...change };
  const text = formatQuestion(parseQuestion(formatQuestion(next))).toString();
  go(text === "" ? "/flows" : `/flows?${text}`, { replace: true });
}
