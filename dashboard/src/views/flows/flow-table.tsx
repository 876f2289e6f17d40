import { Amount } from "../../components/amount";
import { Panel } from "../../components/panel";
import { formatCount } from "../../model/amounts";
import {
  type Flows,
  isSameExchange,
  type Order,
  type Question,
  type Row,
  type Sureness,
  totalOf,
} from "../../model/netflows";

const COLUMNS: readonly (readonly [Order, string])[] = [
  ["exchange", "Exchange"],
  ["net", "Net"],
  ["received", "Received"],
  ["sent", "Sent"],
];

/** The period by exchange. */
export function FlowTable(props: {
  question: Question;
  rows: readonly Row[];
  total: Flows;
  set: (change: Partial<Question>) => void;
}) {
  const { question, rows, total, set } = props;
  const most = Math.max(...rows.flatMap(({ received, sent }) => [totalOf(received), totalOf(sent)]), 1);
  return (
    <Panel
      id="flow-table"
      title="By exchange"
      hint="net: received less sent, so positive is coins into the exchange. Payments that wait count, replaced and dropped ones do not"
      aside={<SureKey />}
    >
      <div class="table-wrap">
        <table class="flow-table">
          <thead>
            <tr>
              {COLUMNS.map(([order, text]) => (
                <Head key={order} order={order} text={text} question={question} set={set} />
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => {
              const isChosen = question.exchange !== "" && isSameExchange(row.exchange, question.exchange);
              return (
                <tr key={row.exchange} class={isChosen ? "is-chosen" : ""}>
                  <th scope="row">
                    <button
                      type="button"
                      class="button button-plain"
                      aria-pressed={isChosen}
                      title={isChosen ? "Show all exchanges" : `Show ${row.exchange} alone`}
                      onClick={() => set({ exchange: isChosen ? "" : row.exchange })}
                    >
                      {row.exchange}
                    </button>
                  </th>
                  <Cells flows={row} most={most} />
                </tr>
              );
            })}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row">All</th>
              <Cells flows={total} most={null} />
            </tr>
          </tfoot>
        </table>
      </div>
      <p class="fine flow-fine">
        Expected amounts: each payment times how sure its direction is. One that goes from an exchange to
        another counts at both, so it is in n twice.
      </p>
    </Panel>
  );
}

function Head(props: {
  order: Order;
  text: string;
  question: Question;
  set: (change: Partial<Question>) => void;
}) {
  const { order, text, question, set } = props;
  const isSorted = question.order === order;
  const sort = isSorted ? (question.isAscending ? "ascending" : "descending") : "none";
  // Names begin with A, amounts with the largest.
  const isAscending = isSorted ? !question.isAscending : order === "exchange";
  return (
    <th scope="col" class={order === "net" ? "number" : ""} aria-sort={sort}>
      <button type="button" class="flow-sort" onClick={() => set({ order, isAscending })}>
        {text}
        <span aria-hidden="true">{isSorted ? (question.isAscending ? " \u2191" : " \u2193") : ""}</span>
      </button>
    </th>
  );
}

function Cells({ flows, most }: { flows: Flows; most: number | null }) {
  return (
    <>
      <td class="number flow-net" data-name="net">
        <b>
          <Amount sat={flows.net} net />
        </b>
      </td>
      <SureCell name="received" part={flows.received} most={most} />
      <SureCell name="sent" part={flows.sent} most={most} />
    </>
  );
}

function SureCell({ name, part, most }: { name: "received" | "sent"; part: Sureness; most: number | null }) {
  return (
    <td class="sure" data-name={name}>
      <span class="sure-sum">
        <Amount sat={totalOf(part)} /> <small>n = {formatCount(part.n)}</small>
      </span>
      {most !== null && (
        <span class={`sure-bar sure-${name}`} aria-hidden="true">
          {(["certain", "likely", "unknown"] as const).map((sure) => (
            <i key={sure} class={`sure-${sure}`} style={{ width: `${(part[sure] / most) * 100}%` }} />
          ))}
        </span>
      )}
      <small class="sure-parts">
        {(["certain", "likely", "unknown"] as const)
          .filter((sure) => part[sure] > 0)
          .map((sure) => (
            <span key={sure}>
              <Amount sat={part[sure]} /> {sure}
            </span>
          ))}
      </small>
    </td>
  );
}

function SureKey() {
  return (
    <ul class="sure-key" aria-label="How sure">
      <li>
        <i class="sure-certain" aria-hidden="true" /> certain: from 95 %
      </li>
      <li>
        <i class="sure-likely" aria-hidden="true" /> likely: from 50 %
      </li>
      <li>
        <i class="sure-unknown" aria-hidden="true" /> unknown: below
      </li>
    </ul>
  );
}
