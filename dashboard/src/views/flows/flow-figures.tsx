import { Amount } from "../../components/amount";
import { Figure } from "../../components/panel";
import { formatCount, formatShare } from "../../model/amounts";
import { type Flows, type Sureness, totalOf } from "../../model/netflows";

/** The period as a whole. */
export function FlowFigures({ flows, exchange }: { flows: Flows; exchange: string }) {
  const whom = exchange === "" ? "exchanges" : exchange;
  return (
    <dl class="figures">
      <Figure name={`Net into ${whom}`} hint="positive: coins into">
        <Amount sat={flows.net} net />
      </Figure>
      <Figure name="Received" hint={sureOf(flows.received)}>
        <Amount sat={totalOf(flows.received)} />
      </Figure>
      <Figure name="Sent" hint={sureOf(flows.sent)}>
        <Amount sat={totalOf(flows.sent)} />
      </Figure>
    </dl>
  );
}

/** No share without the n that carries it. */
function sureOf(part: Sureness): string {
  const total = totalOf(part);
  const payments = `n\u00a0=\u00a0${formatCount(part.n)}`;
  if (total === 0) return payments;
  return `${formatShare((part.certain + part.likely) / total)} certain or likely, ${payments}`;
}
