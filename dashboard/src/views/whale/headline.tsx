import type { PredictionDetail } from "../../api/types";
import { Amount } from "../../components/amount";
import { Copy } from "../../components/copy";
import { FlowMark } from "../../components/flow";
import { External } from "../../components/icons";
import { Route } from "../../components/route";
import { formatAgo, formatFee, formatInstant, formatRate, shortTxid } from "../../model/amounts";
import { isOpen, type Whale } from "../../model/whale";
import { marksOf } from "../../model/words";
import { now } from "../../state/clock";

/** Who, how much, and how it stands. */
export function Headline({ said, whale }: { said: PredictionDetail; whale: Whale }) {
  return (
    <section class="panel headline" aria-labelledby="whale-title" data-status={whale.status}>
      <FlowMark flow={whale.flow} />
      <div class="headline-what">
        <h1 id="whale-title">
          <Route whale={whale} />
        </h1>
        <p class="headline-marks">
          <Standing whale={whale} />
          {whale.simulated && <span class="mark mark-warn mark-loud">SIMULATED</span>}
          {marksOf(whale).map(({ text, title, kind }) => (
            <span key={text} class={`mark mark-${kind}`} title={title}>
              {text}
            </span>
          ))}
          <Heard seenMs={whale.seenMs} />
        </p>
        <p class="headline-id">
          <code title={whale.txid}>
            <span class="only-wide">{whale.txid}</span>
            <span class="only-narrow">{shortTxid(whale.txid)}</span>
          </code>
          <Copy text={whale.txid} what="the transaction's id" />
          {whale.explorerUrl !== null && (
            <a href={whale.explorerUrl} rel="noopener noreferrer" target="_blank">
              Your explorer <External />
            </a>
          )}
        </p>
      </div>
      <dl class="headline-amount">
        <div class="headline-moved">
          <dt>moved</dt>
          <dd>
            <Amount sat={whale.movedSat} />
          </dd>
        </div>
        <div>
          <dt>gross</dt>
          <dd>
            <Amount sat={whale.grossSat} />
          </dd>
        </div>
        <div>
          <dt>fee</dt>
          <dd>
            {said.fee_sat === null ? "not known" : formatFee(said.fee_sat)}, {formatRate(said.fee_rate)}
            <Effective said={said} />
          </dd>
        </div>
      </dl>
    </section>
  );
}

/** With its parents and children it may pay another rate than by itself. */
function Effective({ said }: { said: PredictionDetail }) {
  const { fee_rate: own, effective_fee_rate: effective } = said;
  if (own === null || effective === null || Math.abs(effective / own - 1) < 0.01) return null;
  return <>, {formatRate(effective)} with its relatives</>;
}

const STANDINGS = {
  pending: "waits in the mempool",
  in_doubt: "gone from the mempool: asking why",
  confirmed: "confirmed",
  replaced: "replaced",
  dropped: "dropped",
} as const;

function Standing({ whale }: { whale: Whale }) {
  return (
    <span class={`whale-standing whale-standing-${whale.status}`} role="status">
      {isOpen(whale) && <span class="dot" aria-hidden="true" />}
      {STANDINGS[whale.status]}
    </span>
  );
}

function Heard({ seenMs }: { seenMs: number }) {
  return (
    <time class="muted" dateTime={new Date(seenMs).toISOString()} title={formatInstant(seenMs)}>
      heard {formatAgo(seenMs, now.value)}
    </time>
  );
}
