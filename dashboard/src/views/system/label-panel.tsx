import { useMemo, useState } from "preact/hooks";
import type { Coverage, Status } from "../../api/types";
import { Figure, Panel } from "../../components/panel";
import { Scrolling } from "../../components/scrolling";
import { Empty, Failed, Insufficient, Loading } from "../../components/states";
import { LEAST, rateOf } from "../../model/accuracy";
import { formatCount, formatN, formatShare } from "../../model/amounts";
import { COLUMNS, type Column, type Order, orderBy, tabulate } from "../../model/label-table";

const HEADS: Record<Column, string> = {
  entity: "Entity",
  kind: "Kind",
  claims: "Claims",
  scripts: "Addresses",
  disputed: "Disputed",
  oldest: "Oldest",
  newest: "Newest",
};
const NUMBERS: readonly Column[] = ["claims", "scripts", "disputed"];

export function LabelPanel(props: {
  status: Status;
  coverage: Coverage | null;
  error: string | null;
  again: () => void;
}) {
  const { coverage, error, again } = props;
  return (
    <Panel
      id="labels"
      title="Labels"
      hint="who is who, as sources claim; without them no payment has a direction"
      aside={<code class="muted">set {coverage?.label_set ?? "…"}</code>}
    >
      {coverage === null && error === null && <Loading what="labels" />}
      {coverage === null && error !== null && <Failed error={error} again={again} />}
      {coverage !== null && (
        <>
          <Figures coverage={coverage} status={props.status} />
          <EntityTable coverage={coverage} />
        </>
      )}
    </Panel>
  );
}

function Figures({ coverage, status }: { coverage: Coverage; status: Status }) {
  const { signals } = coverage;
  const share = rateOf(signals.share);
  const { oldest, newest, newest_age_days: age } = status.label_age;
  return (
    <dl class="figures figures-plain panel-body">
      <Figure name="Claims" hint={`on ${formatCount(coverage.scripts)} addresses`}>
        {formatCount(coverage.claims)}
      </Figure>
      <Figure name="Learned" hint="addresses, from transactions">
        {formatCount(coverage.learned)}
      </Figure>
      <Figure name="Disputed" hint="addresses on which sources disagree">
        {formatCount(coverage.disputed)}
      </Figure>
      <Figure
        name="Give a direction"
        hint={`to whales of the last ${signals.days} days (${formatN(signals.n)})`}
      >
        {share === null ? <Insufficient n={signals.n} least={LEAST} /> : formatShare(share, 1)}
      </Figure>
      <Figure name="Newest" hint={oldest === null ? "no source says when" : `the oldest is of ${oldest}`}>
        {newest === null ? "unknown" : age === 0 ? "today" : `${formatCount(age ?? 0)} d old`}
      </Figure>
    </dl>
  );
}

function EntityTable({ coverage }: { coverage: Coverage }) {
  const [text, setText] = useState("");
  const [order, setOrder] = useState<Order>({ column: "claims", isDescending: true });
  const rows = useMemo(() => tabulate(coverage.entities, text, order), [coverage, text, order]);
  return (
    <>
      <div class="panel-tools">
        <label class="field">
          <span>Search</span>
          <input
            type="search"
            value={text}
            placeholder="name, kind or source"
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <span class="muted" role="status">
          {formatCount(rows.length)} of {formatCount(coverage.entities.length)} entities
        </span>
      </div>
      {rows.length === 0 && <Empty title="Nobody of that name is labelled" />}
      {rows.length > 0 && (
        <Scrolling label="Labels by entity" class="table-tall">
          <table>
            <thead>
              <tr>
                {COLUMNS.map((column) => (
                  <Head key={column} column={column} order={order} onOrder={setOrder} />
                ))}
                <th scope="col">Sources</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={`${row.entity} ${row.kind}`}>
                  {COLUMNS.map((column) => (
                    <td key={column} class={NUMBERS.includes(column) ? "number" : ""}>
                      {cellOf(row[column])}
                    </td>
                  ))}
                  <td class="muted">{row.sources.join(", ")}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scrolling>
      )}
    </>
  );
}

function Head(props: { column: Column; order: Order; onOrder: (order: Order) => void }) {
  const { column, order } = props;
  const isChosen = order.column === column;
  const sort = order.isDescending ? "descending" : "ascending";
  return (
    <th scope="col" class={NUMBERS.includes(column) ? "number" : ""} aria-sort={isChosen ? sort : undefined}>
      <button type="button" class="sort" onClick={() => props.onOrder(orderBy(column, order))}>
        {HEADS[column]}
        <span aria-hidden="true">{isChosen ? (order.isDescending ? " ↓" : " ↑") : ""}</span>
      </button>
    </th>
  );
}

function cellOf(value: string | number | null): string {
  if (value === null) return "unknown";
  return typeof value === "number" ? formatCount(value) : value;
}
